// The vector loop of the baseline formats' quantizer, chosen at run time for the processor's widest instruction set.
// Tested in tests/models/baseline_test.cpp.
#pragma once

#include <cstddef>
#include <cstdint>

#include "models/baseline/baseline.h"
#include "models/quantizer/quantizer.h"

namespace mlsim::models {

// What the elements of one tensor have in common.
struct GridRounding {
  BaselineGrid grid;
  float scale = 1;
  Rounding rounding = Rounding::kNearest;
  int random_bits = 16;
};

// Writes `count` finite elements divided by the scale, on the grid; `words` has the random word of each, for stochastic
// rounding only. `output` may be `input`.
void round_to_grid(const GridRounding& rounding, const float* input, const std::uint32_t* words, std::size_t count,
                   float* output);

// What became of `count` elements, as QuantizationCounts has it: saturated are those that are infinite.
QuantizationCounts count_rounded(float scale, const float* input, const float* values, std::size_t count);

}  // namespace mlsim::models
