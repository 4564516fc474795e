// The blocks of the quantizer unit against the scalar reference.
#include "models/quantizer/quantizer_datapath.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "base/philox.h"
#include "models/formats/scaled_tensor.h"
#include "models/quantizer/reference_quantizer.h"

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
        const ScaleCode scale = encode_scale(format.scale, maximum / expected.tensor_scale);
        const ScaleCode wanted{expected.group_exponent[row * 64], expected.group_fraction[row * 64]};
        ASSERT_EQ(scale, wanted) << to_string(format) << " seed " << seed << " row " << row;
        for (std::size_t i = row * 64; i < (row + 1) * 64; ++i) {
          const float v = std::fabs(input.values[i]) / expected.tensor_scale / scale_value(format.scale, scale);
          const std::uint32_t random = base::random_word(options.seed, options.stream, i) >> (32 - options.random_bits);
          ASSERT_EQ(
              round_to_code(format.element, v, std::signbit(input.values[i]), rounding, options.random_bits, random),
              expected.codes[i])
              << to_string(format) << " " << to_string(rounding) << " seed " << seed << " element " << i;
        }
      }
    }
  }
}

}  // namespace
}  // namespace mlsim::models
