#include "models/quantizer/quantizer.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <span>
#include <stdexcept>

#include "models/quantizer/reference_quantizer.h"
#include "tests/support/random_tensors.h"
#include "tests/support/vector_targets.h"

namespace mlsim::models {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;
using tests::between;
using tests::Random;

void expect_equal(const QuantizedTensor& result, const QuantizedTensor& expected) {
  EXPECT_EQ(result.tensor.format, expected.tensor.format);
  EXPECT_EQ(result.tensor.shape, expected.tensor.shape);
  EXPECT_EQ(std::bit_cast<std::uint32_t>(result.tensor.tensor_scale),
            std::bit_cast<std::uint32_t>(expected.tensor.tensor_scale));
  EXPECT_EQ(result.tensor.scales, expected.tensor.scales);
  EXPECT_EQ(result.tensor.codes, expected.tensor.codes);
  EXPECT_EQ(result.counts.saturated, expected.counts.saturated);
  EXPECT_EQ(result.counts.flushed_to_zero, expected.counts.flushed_to_zero);
  EXPECT_EQ(result.counts.exact, expected.counts.exact);
}

// Each value times tensor scale and unit is the number that the code stands for.
void expect_scaled(const Tensor<float>& input, const QuantizedTensor& expected, const QuantizerOptions& options) {
  std::vector<float> values = input.values;  // in place
  const float scale = quantize_scaled(values, input.shape, expected.tensor.format, options, "x", values);
  EXPECT_EQ(scale, expected.tensor.tensor_scale);
  const Tensor<double> numbers = dequantize(expected.tensor);
  for (std::size_t i = 0; i < values.size(); ++i) {
    // What lies beyond binary32, which the largest scales of MX reach, is infinite there.
    const double wanted = numbers.values[i] / double{scale};
    if (std::fabs(wanted) > double{std::numeric_limits<float>::max()}) {
      ASSERT_TRUE(std::isinf(values[i])) << i;
      continue;
    }
    ASSERT_EQ(double{scale} * double{values[i]}, numbers.values[i]) << i;
    ASSERT_FALSE(values[i] == 0 && std::signbit(values[i])) << i;
  }
}

Shape random_shape(Random& random) {
  const bool large_inner = between(random, 0, 3) == 0;
  const std::int64_t extent = large_inner ? 50 : 7;
  Shape shape{between(random, 1, 6), between(random, 1, 9)};
  for (std::int64_t more = between(random, 0, 2); more > 0; --more) shape.push_back(between(random, 1, extent));
  return shape;
}

// With random options, on every instruction set.
void expect_equals_reference(Random& random, const Tensor<float>& input, const ScaledFormat& format) {
  const QuantizerOptions options{.rounding = static_cast<Rounding>(between(random, 0, 1)),
                                 .random_bits = static_cast<int>(between(random, 1, 24)),
                                 .seed = random(),
                                 .stream = random()};
  const QuantizedTensor expected = reference_quantize(input, format, options, "x");
  tests::for_each_vector_target([&] {
    expect_equal(quantize(input, format, options, "x"), expected);
    expect_scaled(input, expected, options);
  });
}

TEST(Quantizer, EqualsReferenceOnRandomTensors) {
  for (std::uint64_t seed = 0; seed < 1500; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    const ScaledFormat format = tests::random_format(random);
    const Tensor<float> input = tests::random_tensor(random, random_shape(random));
    expect_equals_reference(random, input, format);
    if (HasFailure()) break;
  }
}

// Every system, rule and kind of tile; values at both ends of the scales' range, too.
TEST(Quantizer, EqualsReferenceOnBlocks) {
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    Random random(seed);
    const ScaledFormat format = tests::random_block_format(random);
    SCOPED_TRACE("seed " + std::to_string(seed) + ", " + to_string(format));
    Tensor<float> input = tests::random_tensor(random, random_shape(random));
    if (between(random, 0, 3) == 0) {
      const float factor = std::ldexp(1.0F, static_cast<int>(between(random, -120, 120)));
      for (float& x : input.values) {
        if (std::isfinite(x * factor)) x *= factor;
      }
    }
    expect_equals_reference(random, input, format);
    if (HasFailure()) break;
  }
}

TEST(Quantizer, EqualsReferenceOnEveryElementFormat) {
  Random random(1);
  Tensor<float> input{{3, 5, 8, 9}, {}};
  for (std::int64_t i = 0; i < element_count(input.shape); ++i) {
    input.values.push_back(std::ldexp(static_cast<float>(between(random, -65536, 65536)), -16));
  }
  for (int ex = 0; ex <= 4; ++ex) {
    for (int mx = ex == 0 ? 1 : 0; mx <= (ex == 4 ? 4 : 10); ++mx) {
      for (const Rounding rounding : {Rounding::kNearest, Rounding::kStochastic}) {
        const ScaledFormat format{{ex, mx}, {}, grouping::kNc};
        SCOPED_TRACE(to_string(format));
        const QuantizerOptions options{.rounding = rounding, .seed = 3, .stream = std::uint64_t{7} << 32};
        const QuantizedTensor expected = reference_quantize(input, format, options, "x");
        tests::for_each_vector_target([&] { expect_equal(quantize(input, format, options, "x"), expected); });
      }
    }
  }
}

// Magnitudes around every tie and every saturation, and their neighbours.
TEST(Quantizer, EqualsReferenceAroundTies) {
  for (const ElementFormat element : {ElementFormat{2, 1}, {2, 4}, {1, 3}, {0, 5}, {3, 0}, {4, 2}}) {
    const int unit = element.unit_exponent();
    Tensor<float> input{{1, 1, 1, 0}, {1}};
    for (std::int64_t k = 0; k <= element.max_integer() && k < 4096; ++k) {
      for (const float half : {0.0F, 0.25F, 0.5F, 0.75F}) {
        const float x = std::ldexp(static_cast<float>(k) + half, -unit);
        for (const float value : {x, std::nextafter(x, 0.0F), std::nextafter(x, 1.0F)}) {
          input.values.push_back(k % 2 == 0 ? value : -value);
        }
      }
    }
    input.shape[3] = input.size();
    const ScaledFormat format{element, {}, grouping::kNone};
    for (const Rounding rounding : {Rounding::kNearest, Rounding::kStochastic}) {
      const QuantizerOptions options{.rounding = rounding, .random_bits = 2};
      const QuantizedTensor expected = reference_quantize(input, format, options, "x");
      tests::for_each_vector_target([&] { expect_equal(quantize(input, format, options, "x"), expected); });
    }
  }
}

// Counts are of values: the factor that NVFP4 multiplies with is rounded, and a scale may be zero.
TEST(Quantizer, CountsValuesOfNvfp4) {
  const ScaledFormat format = parse_scaled_format("nvfp4");
  tests::for_each_vector_target([&] {
    EXPECT_EQ(quantize({{1, 1}, {1457.53125F}}, format, {}, "x").counts.exact, 1U);
    const QuantizationCounts flushed = quantize({{2, 2}, {3e38F, 0, 1e-6F, 0}}, format, {}, "x").counts;
    EXPECT_EQ(flushed.flushed_to_zero, 1U);
    EXPECT_EQ(reference_quantize({{2, 2}, {3e38F, 0, 1e-6F, 0}}, format, {}, "x").counts, flushed);
  });
}

TEST(Quantizer, ThreadsDoNotMatter) {
  Random random(5);
  std::normal_distribution<float> normal;
  for (const Shape& shape : {Shape{4, 64, 31, 33}, Shape{512, 700}, Shape{1, 1, 700, 500}}) {
    Tensor<float> input{shape, {}};
    for (std::int64_t i = 0; i < element_count(shape); ++i) input.values.push_back(normal(random));
    const QuantizerOptions options{.rounding = Rounding::kStochastic, .seed = 11};
    for (const char* name : {"e2m4", "mxfp4", "nvfp4/t16x16x1x1", "e2m1/b16", "mxfp6-e3m2/t32x1x1x1", "e2m1/none"}) {
      SCOPED_TRACE(name);
      const ScaledFormat format = parse_scaled_format(name);
      expect_equal(quantize(input, format, options, "x"), reference_quantize(input, format, options, "x"));
    }
  }
}

// The largest magnitudes of a tensor and of its tiles, as bits.
std::vector<std::uint32_t> maxima_of(const Tensor<float>& tensor, const TileGrid& grid) {
  std::vector<std::uint32_t> maxima(1 + static_cast<std::size_t>(grid.count()), 0);
  for (std::int64_t i = 0; i < tensor.size(); ++i) {
    grid.for_each_run(i, 1, [&](std::int64_t, std::int64_t, std::int64_t tile, std::int64_t) {
      const auto bits = std::bit_cast<std::uint32_t>(std::fabs(tensor.values[static_cast<std::size_t>(i)]));
      for (const std::size_t at : {std::size_t{0}, 1 + static_cast<std::size_t>(tile)}) {
        maxima[at] = std::max(maxima[at], bits);
      }
    });
  }
  return maxima;
}

// Parts of any number of elements, whose tiles are their own or, where they are cut, get the maxima of the whole.
TEST(Quantizer, QuantizesPartsAsTheWhole) {
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    Random random(seed);
    ScaledFormat format = tests::random_block_format(random);
    const std::int64_t rows = between(random, 1, 4);
    // Tiles within a part, of some whole parts, or of all.
    constexpr std::array<std::int64_t, 5> kRows{1, 0, 1, 2, 3};
    const auto choice = static_cast<std::size_t>(between(random, 0, 4));
    format.layout.tile[0] = choice < 2 ? kRows[choice] : kRows[choice] * rows;
    SCOPED_TRACE("seed " + std::to_string(seed) + ", " + to_string(format));
    Shape shape = random_shape(random);
    shape[0] = 3 * rows;
    const Tensor<float> whole = tests::random_tensor(random, shape);
    QuantizerOptions options{.rounding = static_cast<Rounding>(between(random, 0, 1)), .seed = seed, .stream = 3};
    const QuantizedTensor expected = reference_quantize(whole, format, options, "x");
    const TileGrid grid(format.layout, shape);
    const std::vector<std::uint32_t> maxima = maxima_of(whole, grid);
    const std::int64_t size = whole.size() / 3;
    shape[0] = rows;
    const TileGrid own(format.layout, shape);
    for (std::int64_t part = 0; part < 3; ++part) {
      const auto first = static_cast<std::size_t>(part * size);
      const std::span<const float> values(whole.values.data() + first, static_cast<std::size_t>(size));
      // Tiles are numbered with dimension 0 first.
      const std::int64_t tiles = own.count() / own.extents()[0];
      const std::int64_t skipped = grid.layout().tile_of(0, part * rows) * tiles;
      TensorPart place{first, {}};
      place.raise = [&](std::span<std::uint32_t> raised) {
        raised[0] = maxima[0];
        for (std::size_t tile = 1; tile < raised.size(); ++tile) {
          ASSERT_LE(raised[tile], maxima[static_cast<std::size_t>(skipped) + tile]);
          raised[tile] = maxima[static_cast<std::size_t>(skipped) + tile];
        }
      };
      options.part = &place;
      tests::for_each_vector_target([&] {
        const QuantizedTensor found = quantize(values, shape, format, options, "x");
        EXPECT_EQ(found.tensor.tensor_scale, expected.tensor.tensor_scale);
        const std::vector<std::uint16_t>& codes = expected.tensor.codes;
        EXPECT_TRUE(std::equal(found.tensor.codes.begin(), found.tensor.codes.end(), codes.begin() + part * size));
        const std::vector<TileScale>& scales = expected.tensor.scales;
        EXPECT_TRUE(std::equal(found.tensor.scales.begin(), found.tensor.scales.end(), scales.begin() + skipped));
        std::vector<float> scaled(values.size());
        EXPECT_EQ(quantize_scaled(values, shape, format, options, "x", scaled), expected.tensor.tensor_scale);
        const Tensor<double> numbers = dequantize(expected.tensor);
        for (std::size_t i = 0; i < scaled.size(); ++i) {
          const double number = double{scaled[i]} * double{expected.tensor.tensor_scale};
          if (!std::isfinite(scaled[i])) continue;
          ASSERT_EQ(number, numbers.values[first + i]) << i;
        }
      });
    }
    if (HasFailure()) break;
  }
}

TEST(Quantizer, RefusesAPartWhoseWholeIsNotFinite) {
  const Tensor<float> part{{1, 2}, {1, 2}};
  TensorPart place;
  place.raise = [](std::span<std::uint32_t> maxima) { maxima[0] = 0x7F800000; };
  const QuantizerOptions options{.part = &place};
  EXPECT_THAT([&] { quantize(part, parse_scaled_format("e2m4"), options, "conv1 error"); },
              ThrowsMessage<std::runtime_error>(
                  "conv1 error: an element of another part of it is NaN or infinite, expected finite numbers"));
}

TEST(Quantizer, RefusesWhatIsNotFinite) {
  for (const bool nan : {false, true}) {
    for (const Shape& shape : {Shape{2, 3, 4, 5}, Shape{6, 20}}) {
      Tensor<float> input{shape, std::vector<float>(120, 1)};
      input.values[110] = std::numeric_limits<float>::quiet_NaN();
      input.values[67] = nan ? -std::numeric_limits<float>::quiet_NaN() : -std::numeric_limits<float>::infinity();
      const std::string message = std::string("conv1.error: the element at ") +
                                  (shape.size() == 4 ? "[1, 0, 1, 2]" : "[3, 7]") + " is " +
                                  (nan ? "NaN" : "infinite") + ", expected a finite number";
      tests::for_each_vector_target([&] {
        EXPECT_THAT([&] { quantize(input, {}, {}, "conv1.error"); }, ThrowsMessage<std::runtime_error>(message));
      });
    }
  }
}

TEST(Quantizer, RefusesOtherDimensions) {
  EXPECT_THAT(
      [] {
        quantize({{3}, {1, 2, 3}}, {}, {}, "x");
      },
      ThrowsMessage<std::runtime_error>(HasSubstr(", expected 2 to 4 dimensions")));
}

TEST(Quantizer, RoundingNames) {
  EXPECT_EQ(parse_rounding("nearest"), Rounding::kNearest);
  EXPECT_EQ(to_string(parse_rounding("stochastic")), "stochastic");
  EXPECT_THAT([] { parse_rounding("up"); }, ThrowsMessage<std::runtime_error>(HasSubstr("'up'")));
}

}  // namespace
}  // namespace mlsim::models
