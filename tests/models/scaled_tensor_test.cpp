#include "models/formats/scaled_tensor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace mlsim::models {
namespace {

// Codes in ascending order of the magnitude that they stand for are 0, 1, 2, ...: the fields are an integer.
TEST(Element, EveryCodeOfEveryFormatSurvivesARoundTrip) {
  for (int ex = 0; ex <= 4; ++ex) {
    for (int mx = ex == 0 ? 1 : 0; mx <= (ex == 4 ? 4 : 10); ++mx) {
      const ElementFormat format{ex, mx};
      const int positive = 1 << (format.code_bits() - 1);
      std::int32_t previous = -1;
      for (int code = 0; code < positive; ++code) {
        const std::int32_t k = decode_element(format, static_cast<std::uint16_t>(code));
        ASSERT_GT(k, previous) << "e" << ex << "m" << mx << " " << code;
        ASSERT_EQ(encode_element(format, k), code) << "e" << ex << "m" << mx;
        const auto negative = static_cast<std::uint16_t>(positive + code);
        ASSERT_EQ(decode_element(format, negative), -k) << "e" << ex << "m" << mx;
        if (k != 0) {
          ASSERT_EQ(encode_element(format, -k), negative) << "e" << ex << "m" << mx;
        }
        previous = k;
      }
      EXPECT_EQ(previous, format.max_integer());
      EXPECT_EQ(encode_element(format, 0), 0);
    }
  }
}

TEST(Element, Fp4IsTheMxGrid) {
  const ElementFormat format{2, 1};
  // E2M1 is 0, 0.5, 1, 1.5, 2, 3, 4, 6.
  for (const auto& [code, twice] : {std::pair{0, 0}, {1, 1}, {2, 2}, {3, 3}, {4, 4}, {5, 6}, {6, 8}, {7, 12}}) {
    EXPECT_EQ(decode_element(format, static_cast<std::uint16_t>(code)), twice);
  }
  EXPECT_EQ(format.unit_exponent(), 4);  // x = k / 16 is the grid over 8
}

TEST(ScaledTensor, DequantizesExactly) {
  ScaledTensor tensor;
  tensor.format = {{2, 4}, {8, 1}, grouping::kNc};
  tensor.shape = {1, 2, 2};
  tensor.tensor_scale = 3.0F;
  tensor.group_exponent = {0, 126};
  tensor.group_fraction = {0, 1};
  tensor.codes = {encode_element(tensor.format.element, 124), encode_element(tensor.format.element, -1),
                  encode_element(tensor.format.element, 17), 0};
  const Tensor<double> values = dequantize(tensor);
  EXPECT_EQ(values.shape, tensor.shape);
  EXPECT_EQ(values.values[0], 3.0 * 124 / 128);
  EXPECT_EQ(values.values[1], -3.0 / 128);
  EXPECT_EQ(values.values[2], std::ldexp(3.0 * 1.5 * 17 / 128, -126));
  EXPECT_EQ(values.values[3], 0);
}

// In parts that begin and end inside a group.
TEST(ScaledTensor, DequantizesSomeElementsAtATime) {
  ScaledTensor tensor;
  tensor.format = {{2, 1}, {8, 1}, grouping::kNc};
  tensor.shape = {2, 3, 1, 5};
  tensor.tensor_scale = 1.7F;
  for (std::uint8_t group = 0; group < 6; ++group) {
    tensor.group_exponent.push_back(group);
    tensor.group_fraction.push_back(group % 2);
  }
  for (std::uint16_t i = 0; i < 30; ++i) tensor.codes.push_back(i % 16);
  const std::vector<double> whole = dequantize(tensor).values;
  const Dequantizer dequantizer(tensor);
  for (std::size_t first = 0; first <= whole.size(); ++first) {
    for (std::size_t end = first; end <= whole.size(); ++end) {
      std::vector<double> part(end - first);
      dequantizer.run(first, part);
      EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + static_cast<std::ptrdiff_t>(first)))
          << first << " to " << end;
    }
  }
}

}  // namespace
}  // namespace mlsim::models
