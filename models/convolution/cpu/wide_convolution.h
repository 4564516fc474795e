// The functional engine's path for sums beyond binary64's integers: scalar and threaded, with 128-bit sums.
#pragma once

#include "models/convolution/convolution.h"

namespace mlsim::models {

// The values of functional_convolution(); of the counts only `overflows`.
ConvolutionResult wide_convolution(Pass pass, const ConvolutionShape& shape, const MlsTensor& left,
                                   const MlsTensor& right, const Accumulator& accumulator);

}  // namespace mlsim::models
