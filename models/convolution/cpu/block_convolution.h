// The functional engine's path for reduction groups of any length: runs of several outer indices, and taps apart.
// Tested in tests/models/functional_convolution_test.cpp.
#pragma once

#include "models/convolution/cpu/block_kernels.h"
#include "models/convolution/engine.h"

namespace mlsim::models {

// Writes every result that has taps. The caller has proven that the elements fit, that integer sums of a group fit 32
// bits and their units binary32 (of tiles with values; those of others may be smaller), or, of doubles, that scaled
// sums are exact in binary64. No register is narrow.
void sum_in_blocks(BlockElement element, const ConvolutionRequest& request, GroupRounding rounding, float* results);

}  // namespace mlsim::models
