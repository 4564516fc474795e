#include "models/formats/scaled_tensor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <vector>

#include "tests/support/random_tensors.h"

namespace mlsim::models {
namespace {

// Codes in ascending order of the magnitude that they stand for are 0, 1, 2, ...: the fields are an integer.
TEST(Element, EveryCodeOfEveryFormatSurvivesARoundTrip) {
  for (int ex = 0; ex <= 4; ++ex) {
    for (int mx = ex == 0 ? 1 : 0; mx <= (ex == 4 ? 4 : 10); ++mx) {
      const ElementFormat format{ex, mx};
      const int positive = 1 << (format.code_bits() - 1);
      std::int64_t previous = -1;
      for (int code = 0; code < positive; ++code) {
        const std::int64_t k = decode_element(format, static_cast<std::uint16_t>(code));
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
  tensor.scales = {{-1, 2}, {-127, 3}};
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
    tensor.scales.push_back(read_scale(tensor.format.scale, {group, static_cast<std::uint8_t>(group % 2)}));
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

// The published numbers of the OCP element types, largest and smallest.
TEST(Element, TheMxElementsAreThePublishedOnes) {
  struct Known {
    const char* name;
    double largest;
    double smallest;
    int codes;
  };
  for (const Known& known : {Known{"mxfp4", 6, 0.5, 15}, Known{"mxfp6-e2m3", 7.5, 0.125, 63},
                             Known{"mxfp6-e3m2", 28, 0.0625, 63}, Known{"mxfp8-e4m3", 448, 0x1p-9, 253},
                             Known{"mxfp8-e5m2", 57344, 0x1p-16, 247}, Known{"mxint8", 127.0 / 64, 0x1p-6, 255}}) {
    SCOPED_TRACE(known.name);
    const ElementFormat format = parse_scaled_format(known.name).element;
    EXPECT_EQ(double{format.largest()}, known.largest);
    EXPECT_EQ(std::ldexp(1.0, -format.unit_exponent()), known.smallest);
    int codes = 0;
    for (int code = 0; code < 1 << format.code_bits(); ++code) {
      const std::int64_t k = decode_element(format, static_cast<std::uint16_t>(code));
      if (k > format.max_integer() || k < -format.max_integer()) continue;
      const bool negative_zero = k == 0 && code != 0;
      if (negative_zero) continue;
      ++codes;
      ASSERT_EQ(encode_element(format, k), code);
    }
    EXPECT_EQ(codes, known.codes);
  }
}

// Every stored scale of every kind.
TEST(TileScale, EveryStoredScaleSurvivesARoundTrip) {
  for (const ScaleKind kind : {ScaleKind::kE8m0, ScaleKind::kE4m3}) {
    const ScaleFormat format = parse_scaled_format(kind == ScaleKind::kE8m0 ? "mxfp4" : "nvfp4").scale;
    for (int byte = 0; byte < (kind == ScaleKind::kE8m0 ? 255 : 127); ++byte) {
      const TileScale scale = read_scale(format, {static_cast<std::uint8_t>(byte), 0});
      ASSERT_EQ(store_scale(format, scale), (StoredScale{static_cast<std::uint8_t>(byte), 0}));
      const double value = std::ldexp(static_cast<double>(scale.significand), scale.exponent);
      const int exponent = byte >> 3;
      const double expected = kind == ScaleKind::kE8m0 ? std::ldexp(1.0, byte - 127)
                              : exponent == 0          ? (byte & 7) * 0x1p-9
                                                       : std::ldexp(1 + (byte & 7) / 8.0, exponent - 7);
      ASSERT_EQ(value, expected) << byte;
    }
  }
}

// With tiles that have names MLS scales are stored for each index pair, others for each tile.
TEST(Scales, AreStoredForPairsOrTiles) {
  ScaledTensor tensor;
  tensor.shape = {2, 3, 4, 5};
  tensor.format = parse_scaled_format("e2m4/g8m1/n");
  const TileScale first = read_scale(tensor.format.scale, {3, 1});
  const TileScale second = read_scale(tensor.format.scale, {7, 0});
  tensor.scales = {first, second};
  EXPECT_EQ(stored_scales(tensor).shape, (Shape{2, 3}));
  EXPECT_EQ(stored_scales(tensor).exponents, (std::vector<std::uint8_t>{3, 3, 3, 7, 7, 7}));
  EXPECT_EQ(stored_scales(tensor).fractions, (std::vector<std::uint8_t>{1, 1, 1, 0, 0, 0}));
  EXPECT_EQ(tile_sizes(tensor), (std::array<std::int64_t, 4>{1, 3, 4, 5}));

  tensor.format = parse_scaled_format("e2m4/g8m1/t2x2x*x*");
  EXPECT_EQ(stored_scales(tensor).shape, (Shape{1, 2, 1, 1}));
  EXPECT_EQ(stored_scales(tensor).exponents, (std::vector<std::uint8_t>{3, 7}));
  EXPECT_EQ(tile_sizes(tensor), (std::array<std::int64_t, 4>{2, 2, 4, 5}));

  tensor.format = parse_scaled_format("mxfp4/n");
  tensor.scales = {read_scale(tensor.format.scale, {100, 0}), read_scale(tensor.format.scale, {0, 0})};
  EXPECT_EQ(stored_scales(tensor).shape, (Shape{2, 1, 1, 1}));
  EXPECT_EQ(stored_scales(tensor).exponents, (std::vector<std::uint8_t>{100, 0}));
}

TEST(Names, OfPassesAndOperandsAreReadAsTheyAreWritten) {
  for (const Pass pass : kPasses) EXPECT_EQ(parse_pass(to_string(pass)), pass);
  for (const Operand operand : kOperands) EXPECT_EQ(parse_operand(to_string(operand)), operand);
  EXPECT_THROW(parse_pass("backward"), std::runtime_error);
  EXPECT_THROW(parse_operand(""), std::runtime_error);
}

// Runs of every layout against the tile of each element.
TEST(TileGrid, RunsCoverTheElementsInTheirTiles) {
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    tests::Random random(seed);
    const ScaleLayout layout = tests::random_block_format(random).layout;
    Shape shape{tests::between(random, 1, 5), tests::between(random, 1, 9)};
    for (std::int64_t more = tests::between(random, 0, 2); more > 0; --more) {
      shape.push_back(tests::between(random, 1, 4));
    }
    const TileGrid grid(layout, shape);
    const std::int64_t size = element_count(shape);
    const std::int64_t first = tests::between(random, 0, size - 1);
    const std::int64_t count = tests::between(random, 1, size - first);
    std::int64_t next = 0;
    grid.for_each_run(
        first, count, [&](std::int64_t offset, std::int64_t length, std::int64_t tile, std::int64_t step) {
          ASSERT_EQ(offset, next);
          next += length;
          for (std::int64_t i = 0; i < length; ++i) {
            std::int64_t rest = first + offset + i;
            std::array<std::int64_t, 4> at{};
            for (std::size_t d = shape.size(); d-- > 0;) {
              at[d] = rest % shape[d];
              rest /= shape[d];
            }
            ASSERT_EQ(tile + i * step, grid.index(at[0], at[1], at[2], at[3])) << "seed " << seed << " element " << i;
          }
        });
    ASSERT_EQ(next, count);
  }
}

}  // namespace
}  // namespace mlsim::models
