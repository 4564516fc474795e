// The vector loop of the baseline formats' quantizer, chosen at run time for the processor's widest instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "models/baseline/baseline.h"
#include "models/quantizer/quantizer.h"

namespace mlsim::models {

// Writes `count` finite elements divided by `scale`, on the grid; `words` has the random word of each, for stochastic
// rounding only. `output` may be `input`.
void round_to_grid(const BaselineGrid& grid, float scale, Rounding rounding, int random_bits, const float* input,
                   const std::uint32_t* words, std::size_t count, float* output);

// What became of `count` elements, as QuantizationCounts has it: saturated are those that are infinite.
QuantizationCounts count_rounded(float scale, const float* input, const float* values, std::size_t count);

}  // namespace mlsim::models
