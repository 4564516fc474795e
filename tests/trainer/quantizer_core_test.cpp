#include "trainer/cuda/quantizer_core.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "base/philox.h"
#include "models/quantizer/reference_quantizer.h"
#include "tests/support/random_tensors.h"

namespace mlsim::trainer::cuda {
namespace {

using models::ScaleKind;

// Where the elements of a tensor in C order lie.
std::vector<std::size_t> places_of(const TensorShape& shape, ElementOrder order) {
  std::vector<std::size_t> places(shape.size());
  for (std::size_t i = 0; i < places.size(); ++i) {
    const std::size_t pair = i / shape.plane();
    const std::size_t position = i % shape.plane();
    const bool contiguous = order == ElementOrder::kContiguous;
    places[i] = contiguous ? i : (pair / shape.d1 * shape.plane() + position) * shape.d1 + pair % shape.d1;
  }
  return places;
}

struct Quantized {
  float tensor_scale;
  std::vector<float> values;  // in C order
};

// What the kernels compute, one element after the other.
template <ScaleKind kKind, bool kStochastic>
Quantized quantize(const std::vector<float>& input, const TensorShape& shape, ElementOrder order,
                   const models::ScaledFormat& format, const models::QuantizerOptions& options) {
  const QuantizerConstants constants = constants_of(format, options);
  const Tiles tiles = tiles_of(format.layout, shape, order);
  const auto tile_of = [&](std::size_t i) {
    const std::size_t pair = i / shape.plane();
    return tiles.of_pair(pair / shape.d1, pair % shape.d1) + tiles.of_position(i % shape.plane());
  };
  std::uint32_t maximum = 0;
  std::vector<std::uint32_t> maxima(tiles.count(), 0);
  for (std::size_t i = 0; i < input.size(); ++i) {
    maximum = std::max(maximum, magnitude_bits(input[i]));
    maxima.at(tile_of(i)) = std::max(maxima[tile_of(i)], magnitude_bits(input[i]));
  }
  const TensorScale tensor = tensor_scale_of<kKind>(constants, maximum);
  Quantized result{tensor.scale, std::vector<float>(input.size(), 0)};
  if (maximum == 0) return result;
  for (std::size_t i = 0; i < input.size(); ++i) {
    const TileFactors factors = tile_factors<kKind>(constants, maxima[tile_of(i)], tensor);
    const std::uint32_t word = kStochastic ? base::random_word(options.seed, options.stream, i) : 0;
    result.values[i] = rounded_value<kKind, kStochastic>(constants, input[i], tensor, factors, word);
  }
  return result;
}

template <ScaleKind kKind>
Quantized quantize(const std::vector<float>& input, const TensorShape& shape, ElementOrder order,
                   const models::ScaledFormat& format, const models::QuantizerOptions& options) {
  return options.rounding == models::Rounding::kStochastic
             ? quantize<kKind, true>(input, shape, order, format, options)
             : quantize<kKind, false>(input, shape, order, format, options);
}

Quantized quantize(const std::vector<float>& input, const TensorShape& shape, ElementOrder order,
                   const models::ScaledFormat& format, const models::QuantizerOptions& options) {
  switch (format.scale.kind) {
    case ScaleKind::kE8m0:
      return quantize<ScaleKind::kE8m0>(input, shape, order, format, options);
    case ScaleKind::kE4m3:
      return quantize<ScaleKind::kE4m3>(input, shape, order, format, options);
    case ScaleKind::kMls:
      break;
  }
  return quantize<ScaleKind::kMls>(input, shape, order, format, options);
}

// S_g · x of every element, without negative zeros, which a scale of 0 makes.
std::vector<float> values_of(const models::ScaledTensor& tensor) {
  models::ScaledTensor unscaled = tensor;
  unscaled.tensor_scale = 1;
  const models::Tensor<double> dequantized = models::dequantize(unscaled);
  std::vector<float> values;
  values.reserve(dequantized.values.size());
  for (const double x : dequantized.values) values.push_back(static_cast<float>(x) + 0.0F);
  return values;
}

std::vector<std::uint32_t> bits(const std::vector<float>& values) {
  std::vector<std::uint32_t> result;
  result.reserve(values.size());
  for (const float x : values) result.push_back(bits_of(x));
  return result;
}

TEST(QuantizerCore, HasTheBitsOfTheReference) {
  std::array<int, 3> tensors{};
  for (std::uint64_t seed = 1; seed <= 6000; ++seed) {
    tests::Random random(seed);
    const models::Operand operand = models::kOperands[static_cast<std::size_t>(tests::between(random, 0, 2))];
    const models::Pass pass = models::kPasses[static_cast<std::size_t>(tests::between(random, 0, 2))];
    const models::ScaledFormat format =
        (seed % 4 == 0 ? tests::random_format(random) : tests::random_block_format(random)).of(operand, pass);
    const models::QuantizerOptions options{.rounding = static_cast<models::Rounding>(tests::between(random, 0, 1)),
                                           .random_bits = static_cast<int>(tests::between(random, 1, 24)),
                                           .seed = random(),
                                           .stream = random()};
    models::Shape shape;
    const std::int64_t dimensions = tests::between(random, 2, 4);
    for (std::int64_t d = 0; d < dimensions; ++d) shape.push_back(tests::between(random, 1, d < 2 ? 9 : 4));
    const models::Tensor<float> input = tests::random_tensor(random, shape);
    const models::ScaledTensor expected = models::reference_quantize(input, format, options, "x").tensor;
    shape.resize(4, 1);
    const TensorShape extents{static_cast<std::size_t>(shape[0]), static_cast<std::size_t>(shape[1]),
                              static_cast<std::size_t>(shape[2]), static_cast<std::size_t>(shape[3])};
    for (const ElementOrder order : {ElementOrder::kContiguous, ElementOrder::kChannelsLast}) {
      const Quantized found = quantize(input.values, extents, order, format, options);
      ASSERT_EQ(bits_of(found.tensor_scale), bits_of(expected.tensor_scale)) << to_string(format) << " seed " << seed;
      ASSERT_EQ(bits(found.values), bits(values_of(expected))) << to_string(format) << " seed " << seed;
    }
    ++tensors[static_cast<std::size_t>(format.scale.kind)];
  }
  for (const int count : tensors) EXPECT_GT(count, 300);
}

TEST(QuantizerCore, NumbersTilesInTheOrderOfMemory) {
  for (std::uint64_t seed = 1; seed <= 500; ++seed) {
    tests::Random random(seed);
    const models::ScaleLayout layout = tests::random_block_format(random).layout;
    const auto extent = [&] { return static_cast<std::size_t>(tests::between(random, 1, 6)); };
    const TensorShape shape{extent(), extent(), extent(), extent()};
    for (const ElementOrder order : {ElementOrder::kContiguous, ElementOrder::kChannelsLast}) {
      const Tiles tiles = tiles_of(layout, shape, order);
      ASSERT_EQ(tiles.count(), static_cast<std::size_t>(layout.count(
                                   {static_cast<std::int64_t>(shape.d0), static_cast<std::int64_t>(shape.d1),
                                    static_cast<std::int64_t>(shape.d2), static_cast<std::int64_t>(shape.d3)})));
      // Tiles are numbered by their first elements.
      std::vector<std::size_t> first(tiles.count(), shape.size());
      const std::vector<std::size_t> places = places_of(shape, order);
      for (std::size_t i = 0; i < places.size(); ++i) {
        const std::size_t pair = i / shape.plane();
        std::size_t& place =
            first.at(tiles.of_pair(pair / shape.d1, pair % shape.d1) + tiles.of_position(i % shape.plane()));
        place = std::min(place, places[i]);
      }
      EXPECT_TRUE(std::is_sorted(first.begin(), first.end())) << "seed " << seed;
    }
  }
}

TEST(QuantizerCore, TellsOfAnInfinityOrANaNByTheScale) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float bad : {infinity, -infinity, std::numeric_limits<float>::quiet_NaN()}) {
    for (const char* const name : {"e2m4", "e2m1/fit/b16", "mxfp4", "mxfp8-e5m2/even", "nvfp4"}) {
      const models::ScaledFormat format = models::parse_scaled_format(name);
      const Quantized found = quantize({1, bad, 2, 3}, {1, 1, 2, 2}, ElementOrder::kContiguous, format, {});
      EXPECT_TRUE(std::isnan(found.tensor_scale)) << name;
    }
  }
}

}  // namespace
}  // namespace mlsim::trainer::cuda
