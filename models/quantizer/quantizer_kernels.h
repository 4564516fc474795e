// The vector loops of the quantizer, chosen at run time for the processor's widest instruction set.
// Tested in tests/models/quantizer_test.cpp.
#pragma once

#include <cstddef>
#include <cstdint>

#include "models/quantizer/quantizer.h"

namespace mlsim::models {

// Of the magnitude of an infinity in binary32.
inline constexpr std::uint32_t kInfinityBits = 0x7F800000;
// Elements rounded at a time: their scales and random words stay in the first-level cache. A multiple of 4, so that
// Philox blocks are not cut in tensors that are whole.
inline constexpr std::size_t kRoundingBlock = 1024;

// For each of `pairs` runs of `inner` elements: the bits of its largest magnitude (above those of FLT_MAX where the run
// holds a NaN or an infinity).
void largest_magnitudes(const float* input, std::size_t pairs, std::size_t inner, std::uint32_t* magnitudes);

// The same element by element: maxima[i] becomes at least the magnitude of input[i].
void raise_magnitudes(const float* input, std::size_t count, std::uint32_t* maxima);

// Step 3 of dynamic quantization (docs/numerics.md) for groups whose largest magnitudes, as bits, are given: the
// smallest scale not below each one's ratio to the tensor's, divided by `largest_element` and at most 1. Writes the
// scales and their values S_g. 1 for `largest_element` is the rule `sat`.
struct MlsScaling {
  ScaleFormat format;
  float tensor_scale = 0;  // S_t, above 0
  float largest_element = 1;
};
void find_group_scales(const MlsScaling& scaling, const std::uint32_t* magnitudes, std::size_t count, TileScale* tiles,
                       float* scales);

// The scales of NVFP4's tiles from their largest magnitudes, with the factor c and the unit S_b · 2^-U of each.
struct Nvfp4Scaling {
  float encode_scale = 0;  // S_enc · (1/6)
  float tensor_scale = 0;  // S_t
  int unit_exponent = 0;   // U
};
void find_nvfp4_tiles(const Nvfp4Scaling& scaling, const std::uint32_t* magnitudes, std::size_t count, TileScale* tiles,
                      float* factors, float* units);

// The random words of `count` elements from element `first` on; both are multiples of 4.
void random_words(std::uint64_t seed, std::uint64_t stream, std::uint64_t first, std::size_t count,
                  std::uint32_t* words);

// The random words of `count` elements of a tensor from element `first` on, wherever it lies in a larger one. They are
// made in `room`, of kMoreWords more than `count`; the result points to the first.
inline constexpr std::size_t kMoreWords = 6;
const std::uint32_t* random_words(const QuantizerOptions& options, std::size_t first, std::size_t count,
                                  std::uint32_t* room);

// What the elements of one tensor have in common.
struct ElementRounding {
  ElementFormat format;
  ScaleKind scale = ScaleKind::kMls;
  float tensor_scale = 0;  // S_t, above 0
  Rounding rounding = Rounding::kNearest;
  int random_bits = 16;
};

// Of each element: how it comes to the unit in which it is rounded, and what one such unit is worth.
struct ElementScales {
  const float* factor;  // MLS: S_g, to divide by; E8M0: 2^(U - s) and E4M3: c, to multiply with
  const float* unit;    // S_g · 2^-U; not looked at for MLS
};

// Steps 4 to 7 of dynamic quantization (docs/numerics.md, docs/blocks.md) for `count` finite elements. `words` has the
// random word of each, for stochastic rounding only.
QuantizationCounts round_to_codes(const ElementRounding& rounding, const float* input, const ElementScales& scales,
                                  const std::uint32_t* words, std::size_t count, std::uint16_t* codes);

// The same; every element is written as S_g · x, which binary32 holds exactly (but for what lies beyond it). `values`
// may be `input`.
QuantizationCounts round_to_values(const ElementRounding& rounding, const float* input, const ElementScales& scales,
                                   const std::uint32_t* words, std::size_t count, float* values);

}  // namespace mlsim::models
