#include "models/convolution/zero_products.h"

#include <gtest/gtest.h>

#include "models/quantizer/quantizer.h"
#include "tests/support/random_layers.h"

namespace mlsim::models {
namespace {

using tests::between;
using tests::Random;

// Tap by tap, as section 3 of docs/numerics.md writes the passes: every one of them walks the same pairs of output and
// kernel positions.
std::uint64_t by_walking(Pass pass, const ConvolutionShape& shape, const std::vector<std::uint8_t>& left,
                         const std::vector<std::uint8_t>& right) {
  const auto at = [](const Shape& s, std::int64_t i0, std::int64_t i1, std::int64_t i2, std::int64_t i3) {
    return static_cast<std::size_t>(((i0 * s[1] + i1) * s[2] + i2) * s[3] + i3);
  };
  const auto [out_height, out_width] = shape.out_size();
  const std::int64_t inputs = shape.in_channels / shape.groups;
  const std::int64_t outputs = shape.out_channels / shape.groups;
  std::uint64_t zeros = 0;
  for (std::int64_t n = 0; n < shape.batch; ++n) {
    for (std::int64_t co = 0; co < shape.out_channels; ++co) {
      for (std::int64_t ci = 0; ci < inputs; ++ci) {
        for (std::int64_t y = 0; y < out_height; ++y) {
          for (std::int64_t x = 0; x < out_width; ++x) {
            for (std::int64_t i = 0; i < shape.kernel[0]; ++i) {
              for (std::int64_t j = 0; j < shape.kernel[1]; ++j) {
                const std::int64_t row = y * shape.stride[0] + i * shape.dilation[0] - shape.padding[0].begin;
                const std::int64_t column = x * shape.stride[1] + j * shape.dilation[1] - shape.padding[1].begin;
                if (row < 0 || row >= shape.in_size[0] || column < 0 || column >= shape.in_size[1]) continue;
                const std::size_t activation = at(shape.activation_shape(), n, co / outputs * inputs + ci, row, column);
                const std::size_t weight = at(shape.weight_shape(), co, ci, i, j);
                const std::size_t error = at(shape.error_shape(), n, co, y, x);
                const bool first = left[pass == Pass::kForward ? activation : error] != 0;
                const bool second = right[pass == Pass::kBackwardWeight ? activation : weight] != 0;
                zeros += first && second ? 0 : 1;
              }
            }
          }
        }
      }
    }
  }
  return zeros;
}

std::vector<std::uint8_t> random_mask(Random& random, const Shape& shape) {
  const std::int64_t share = between(random, 0, 10);  // of ones, in tenths
  std::vector<std::uint8_t> mask(static_cast<std::size_t>(element_count(shape)));
  for (std::uint8_t& element : mask) element = between(random, 1, 10) <= share ? 1 : 0;
  return mask;
}

TEST(ZeroProducts, EqualThoseOfAWalkThroughEveryTap) {
  for (std::uint64_t seed = 1; seed <= 600; ++seed) {
    Random random(seed);
    const ConvolutionShape shape = tests::random_layer(random);
    for (const Pass pass : kPasses) {
      const auto left = random_mask(random, shape.shape_of(left_operand(pass)));
      const auto right = random_mask(random, shape.shape_of(right_operand(pass)));
      ASSERT_EQ(count_zero_products(pass, shape, left, right), by_walking(pass, shape, left, right))
          << "seed " << seed << ": " << to_string(pass) << " of " << tests::to_string(shape);
    }
  }
}

TEST(ZeroProducts, AreAllWhereAnOperandIsZeroAndNoneWhereNothingIs) {
  Random random(3);
  const ConvolutionShape shape = tests::random_layer(random);
  for (const Pass pass : kPasses) {
    const std::vector<std::uint8_t> left(static_cast<std::size_t>(element_count(shape.shape_of(left_operand(pass)))),
                                         1);
    std::vector<std::uint8_t> right(static_cast<std::size_t>(element_count(shape.shape_of(right_operand(pass)))), 1);
    EXPECT_EQ(count_zero_products(pass, shape, left, right), 0U);
    right.assign(right.size(), 0);
    EXPECT_EQ(count_zero_products(pass, shape, left, right), shape.multiply_adds(pass));
  }
}

TEST(ZeroProducts, AreThoseOfTheQuantizedValues) {
  // Quantized to <2,1> with one scale, 1/100 of the largest element is flushed to zero; fp32 keeps it, and no format
  // keeps the zeros, whatever their sign.
  const Tensor<float> tensor{{1, 1, 1, 4}, {1.0F, 0.01F, -0.0F, 0.0F}};
  const ScaledTensor mls = quantize(tensor, parse_scaled_format("e2m1/g8m1/none"), {}, "x").tensor;
  EXPECT_EQ(nonzero_elements(mls), (std::vector<std::uint8_t>{1, 0, 0, 0}));
  EXPECT_EQ(nonzero_elements(quantize_baseline(tensor, BaselineFormat::kFp32, "x")),
            (std::vector<std::uint8_t>{1, 1, 0, 0}));
}

}  // namespace
}  // namespace mlsim::models
