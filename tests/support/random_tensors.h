// Random formats and tensors for comparisons of the fast code with the reference.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "models/formats/format.h"
#include "models/formats/tensor.h"

namespace mlsim::tests {

using Random = std::mt19937_64;

inline std::int64_t between(Random& random, std::int64_t low, std::int64_t high) {
  return std::uniform_int_distribution<std::int64_t>(low, high)(random);
}

inline models::ScaledFormat random_format(Random& random) {
  models::ScaledFormat format;
  format.element.exponent_bits = static_cast<int>(between(random, 0, 4));
  format.element.mantissa_bits = static_cast<int>(
      between(random, format.element.exponent_bits == 0 ? 1 : 0, format.element.exponent_bits == 4 ? 4 : 10));
  format.scale = {static_cast<int>(between(random, 0, 8)), static_cast<int>(between(random, 0, 3))};
  format.layout = models::grouping::kAll[static_cast<std::size_t>(between(random, 0, 3))];
  return format;
}

// A format of any of the three systems with tiles of any kind; blocks are small.
inline models::ScaledFormat random_block_format(Random& random) {
  constexpr std::array<const char*, 7> kNames{"mxfp4",      "mxfp6-e2m3", "mxfp6-e3m2", "mxfp8-e4m3",
                                              "mxfp8-e5m2", "mxint8",     "nvfp4"};
  constexpr std::array<const char*, 4> kMxRules{"/floor", "/ceil", "/even", "/rceil"};
  constexpr std::array<const char*, 4> kNamed{"/nc", "/n", "/c", "/none"};
  constexpr std::array<const char*, 2> kMlsRules{"/sat", "/fit"};
  const auto pick = [&](const auto& all) {
    return std::string(all[static_cast<std::size_t>(between(random, 0, static_cast<std::int64_t>(all.size()) - 1))]);
  };
  const auto block = [&] { return std::to_string(between(random, 1, 5)); };
  const auto in_plane = [&] { return std::string(between(random, 0, 1) == 0 ? "x1" : "x*"); };
  std::string text;
  if (between(random, 0, 2) == 0) {
    const models::ScaledFormat mls = random_format(random);
    text = "e" + std::to_string(mls.element.exponent_bits) + "m" + std::to_string(mls.element.mantissa_bits) + "/g" +
           std::to_string(mls.scale.exponent_bits) + "m" + std::to_string(mls.scale.fraction_bits);
    if (between(random, 0, 1) == 0) text += pick(kMlsRules);
  } else {
    text = pick(kNames);
    if (text != "nvfp4" && between(random, 0, 1) == 0) text += pick(kMxRules);
  }
  switch (between(random, 0, 3)) {
    case 0:
      return models::parse_scaled_format(text + pick(kNamed));
    case 1:
      return models::parse_scaled_format(text + "/b" + block());
    case 2:
      return models::parse_scaled_format(text + "/k" + block());
    default:
      return models::parse_scaled_format(text + "/t" + block() + "x" + block() + in_plane() + in_plane());
  }
}

// Values of a random kind: normal, spread over the exponents, with zero groups, subnormal, on a coarse grid (many exact
// and tied ones), the largest numbers, or nothing but zeros.
inline models::Tensor<float> random_tensor(Random& random, const models::Shape& shape) {
  models::Tensor<float> tensor{shape, std::vector<float>(static_cast<std::size_t>(models::element_count(shape)))};
  std::normal_distribution<float> normal;
  const std::int64_t kind = between(random, 0, 7);
  const auto inner = static_cast<std::size_t>(tensor.size() / (shape[0] * shape[1]));
  bool zero_group = false;
  float group_factor = 1;
  for (std::size_t i = 0; i < tensor.values.size(); ++i) {
    if (i % inner == 0) {
      zero_group = between(random, 0, 3) == 0;
      group_factor = std::ldexp(1.0F, static_cast<int>(between(random, -12, 0)));
    }
    float x = normal(random);
    switch (kind) {
      case 0:
        break;
      case 1:
        x = std::ldexp(x, static_cast<int>(between(random, -140, 100)));
        break;
      case 2:
        x = zero_group ? std::copysign(0.0F, x) : x * group_factor;
        break;
      case 3:
        x *= std::numeric_limits<float>::denorm_min() * static_cast<float>(between(random, 0, 3000));
        break;
      case 4:
        x = static_cast<float>(between(random, -64, 64)) / 64;
        break;
      case 5:
        x = std::max(x, 0.0F) * group_factor;
        break;
      case 6:
        x = std::copysign(std::numeric_limits<float>::max() / 16 * static_cast<float>(between(random, 0, 16)), x);
        break;
      default:
        x = between(random, 0, 50) == 0 ? std::copysign(0.0F, x) : 0.0F;
        break;
    }
    tensor.values[i] = x;
  }
  return tensor;
}

}  // namespace mlsim::tests
