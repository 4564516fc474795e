// The blocks of the quantizer unit against the scalar reference.
#include "models/quantizer/quantizer_datapath.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "base/philox.h"
#include "models/formats/scaled_tensor.h"
#include "models/quantizer/reference_quantizer.h"
#include "tests/support/random_tensors.h"

namespace mlsim::models {
namespace {

std::vector<ScaledFormat> formats() {
  std::vector<ScaledFormat> all;
  for (int ex = 0; ex <= 4; ++ex) {
    for (int mx = ex == 0 ? 1 : 0; mx <= (ex == 4 ? 4 : 10); ++mx) {
      for (int mg = 0; mg <= 3; ++mg) all.push_back({{ex, mx}, {(ex + mx + mg) % 9, mg}, grouping::kN});
    }
  }
  return all;
}

// One group a row; values spread over many binades, subnormal ones and halfway cases included.
Tensor<float> spread_values(std::uint64_t seed) {
  std::mt19937_64 generator(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  Tensor<float> input{{16, 64}, {}};
  for (int i = 0; i < 16 * 64; ++i) {
    const int low = (i / 64) % 4 == 3 ? -140 : -20;
    const auto binade = std::uniform_int_distribution<int>(low, 0)(generator);
    const float value = i % 5 == 0 ? std::round(uniform(generator) * 64) / 64 : uniform(generator);
    input.values.push_back(std::ldexp(value, i % 7 == 0 ? 0 : binade));
  }
  return input;
}

TEST(QuantizerDatapath, EqualsReference) {
  std::uint64_t seed = 1;
  for (const ScaledFormat& format : formats()) {
    for (const Rounding rounding : {Rounding::kNearest, Rounding::kStochastic}) {
      const Tensor<float> input = spread_values(++seed);
      const QuantizerOptions options{rounding, static_cast<int>(seed % 24) + 1, seed, 7};
      const ScaledTensor expected = reference_quantize(input, format, options, "input").tensor;
      for (std::size_t row = 0; row < 16; ++row) {
        float maximum = 0;
        for (std::size_t i = 0; i < 64; ++i) maximum = std::max(maximum, std::fabs(input.values[row * 64 + i]));
        const TileScale scale = encode_scale(format.scale, maximum / expected.tensor_scale);
        ASSERT_EQ(scale, expected.scales[row]) << to_string(format) << " seed " << seed << " row " << row;
        for (std::size_t i = row * 64; i < (row + 1) * 64; ++i) {
          const float v = std::fabs(input.values[i]) / expected.tensor_scale / scale_value(scale);
          const std::uint32_t random = base::random_word(options.seed, options.stream, i) >> (32 - options.random_bits);
          ASSERT_EQ(round_to_code(format.element, v, format.element.unit_exponent(), std::signbit(input.values[i]),
                                  {rounding, options.random_bits}, random),
                    expected.codes[i])
              << to_string(format) << " " << to_string(rounding) << " seed " << seed << " element " << i;
        }
      }
    }
  }
}

// The whole unit, in every system and with every rule.
TEST(QuantizerDatapath, TheUnitEqualsTheReference) {
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    tests::Random random(seed);
    const ScaledFormat format = tests::random_block_format(random);
    const Tensor<float> input =
        tests::random_tensor(random, {tests::between(random, 1, 6), tests::between(random, 1, 9), 2, 3});
    const QuantizerOptions options{static_cast<Rounding>(tests::between(random, 0, 1)),
                                   static_cast<int>(tests::between(random, 1, 24)), random(), random()};
    const ScaledTensor expected = reference_quantize(input, format, options, "input").tensor;
    std::vector<float> maxima(expected.scales.size(), 0);
    const TileGrid grid = expected.grid();
    const auto tile_of = [&](std::int64_t i) {
      return static_cast<std::size_t>(grid.index(i / 6 / input.shape[1], i / 6 % input.shape[1], i / 3 % 2, i % 3));
    };
    float maximum = 0;
    for (std::int64_t i = 0; i < input.size(); ++i) {
      const float magnitude = std::fabs(input.values[static_cast<std::size_t>(i)]);
      maxima[tile_of(i)] = std::max(maxima[tile_of(i)], magnitude);
      maximum = std::max(maximum, magnitude);
    }
    if (maximum == 0) continue;
    const QuantizerUnit unit(format, maximum);
    ASSERT_EQ(unit.tensor_scale(), expected.tensor_scale) << to_string(format) << " seed " << seed;
    for (std::int64_t i = 0; i < input.size(); ++i) {
      const TileScale scale = unit.scale_of(maxima[tile_of(i)]);
      const auto at = static_cast<std::size_t>(i);
      ASSERT_EQ(scale, expected.scales[tile_of(i)]) << to_string(format) << " seed " << seed << " element " << i;
      const std::uint32_t word = base::random_word(options.seed, options.stream, at) >> (32 - options.random_bits);
      ASSERT_EQ(unit.code_of(input.values[at], scale, {options.rounding, options.random_bits}, word),
                expected.codes[at])
          << to_string(format) << " seed " << seed << " element " << i;
    }
  }
}

}  // namespace
}  // namespace mlsim::models
