// Scales of tiles as numbers, and how far apart they are.
// Tested in tests/models/functional_convolution_test.cpp.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "models/convolution/cpu/scratch.h"
#include "models/formats/scaled_tensor.h"

namespace mlsim::models {

// g · 2^(s - unit_exponent) of scales: what the integer 1 of an element stands for. Exact where binary32 has it; else
// some finite number.
void fill_units(std::span<const TileScale> scales, int unit_exponent, float* units);

// The smallest and the largest exponent.
struct ExponentRange {
  std::int16_t smallest;
  std::int16_t largest;
};
ExponentRange exponent_range(std::span<const TileScale> scales);

// use(scales, first) for the scales of `count` index pairs of dimensions 0 and 1 from `begin` on, some at a time.
template <typename Use>
void with_pair_scales(const ScaledTensor& tensor, std::int64_t begin, std::int64_t count, const Use& use) {
  if (tensor.format.layout.one_a_plane()) {
    use(std::span(tensor.scales).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(count)), begin);
    return;
  }
  constexpr std::int64_t kAtOnce = 32;
  std::array<TileScale, kAtOnce> scales;
  for (std::int64_t first = begin; first < begin + count; first += kAtOnce) {
    const auto size = static_cast<std::size_t>(std::min(kAtOnce, begin + count - first));
    for (std::size_t i = 0; i < size; ++i) scales[i] = scale_of_pair(tensor, first + static_cast<std::int64_t>(i));
    use(std::span<const TileScale>(scales).first(size), first);
  }
}

// Units of `count` index pairs from one on.
inline void fill_pair_units(const ScaledTensor& tensor, std::int64_t begin, std::int64_t count, float* units) {
  with_pair_scales(tensor, begin, count, [&](std::span<const TileScale> scales, std::int64_t first) {
    fill_units(scales, tensor.format.element.unit_exponent(), units + (first - begin));
  });
}
inline Scratch<float> pair_units(const ScaledTensor& tensor, std::int64_t begin, std::int64_t count) {
  auto units = make_scratch<float>(count);
  fill_pair_units(tensor, begin, count, units.get());
  return units;
}

}  // namespace mlsim::models
