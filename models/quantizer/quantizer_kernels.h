// The vector loops of the quantizer, chosen at run time for the processor's widest instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "models/quantizer/quantizer.h"

namespace mlsim::models {

// For each of `pairs` runs of `inner` elements: the bits of its largest magnitude (above those of FLT_MAX where the run
// holds a NaN or an infinity).
void largest_magnitudes(const float* input, std::size_t pairs, std::size_t inner, std::uint32_t* magnitudes);

// Step 3 of dynamic quantization (docs/numerics.md) for groups whose largest magnitudes, as bits, are given: the
// smallest scale not below each one's ratio to the tensor's. Writes h, f and S_g.
void find_group_scales(const std::uint32_t* magnitudes, std::size_t count, float tensor_scale,
                       const ScaleFormat& format, std::uint8_t* exponents, std::uint8_t* fractions, float* scales);

// The random words of `count` elements from element `first` on; both are multiples of 4.
void random_words(std::uint64_t seed, std::uint64_t stream, std::uint64_t first, std::size_t count,
                  std::uint32_t* words);

// What the elements of one tensor have in common.
struct ElementRounding {
  ElementFormat format;
  float tensor_scale = 0;  // above 0
  Rounding rounding = Rounding::kNearest;
  int random_bits = 16;
};

// Steps 4 to 7 of dynamic quantization (docs/numerics.md) for `count` finite elements. `group_scales` has the S_g of
// each element; `words` the random word of each, for stochastic rounding only.
QuantizationCounts round_to_codes(const ElementRounding& rounding, const float* input, const float* group_scales,
                                  const std::uint32_t* words, std::size_t count, std::uint16_t* codes);

// The same; every element is written as S_g · x, which binary32 holds exactly. `values` may be `input`.
QuantizationCounts round_to_values(const ElementRounding& rounding, const float* input, const float* group_scales,
                                   const std::uint32_t* words, std::size_t count, float* values);

}  // namespace mlsim::models
