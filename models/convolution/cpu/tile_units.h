// What the integer 1 stands for in each tile of a tensor.
// Tested in tests/models/functional_convolution_test.cpp.
#pragma once

#include <cstdint>
#include <type_traits>
#include <vector>

#include "base/power_of_two.h"
#include "models/convolution/cpu/scale_kernels.h"
#include "models/formats/scaled_tensor.h"

namespace mlsim::models {

// g · 2^(s - U) of every tile; in binary32 some finite number where that has no such one, as of tiles without values.
template <typename T>
std::vector<T> tile_units(const ScaledTensor& tensor) {
  const int unit = tensor.format.element.unit_exponent();
  std::vector<T> units(tensor.scales.size());
  if constexpr (std::is_same_v<T, float>) {
    fill_units(tensor.scales, unit, units.data());
  } else {
    for (std::size_t i = 0; i < units.size(); ++i) {
      const int exponent = tensor.scales[i].exponent - unit;
      units[i] = tensor.scales[i].significand * base::power_of_two(exponent);
    }
  }
  return units;
}

// s - U of every tile whose unit is a power of two.
inline std::vector<float> tile_powers(const ScaledTensor& tensor) {
  const int unit = tensor.format.element.unit_exponent();
  std::vector<float> powers(tensor.scales.size());
  for (std::size_t i = 0; i < powers.size(); ++i) powers[i] = static_cast<float>(tensor.scales[i].exponent - unit);
  return powers;
}

}  // namespace mlsim::models
