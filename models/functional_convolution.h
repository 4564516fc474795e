// The fast engine of the three training convolutions: vectorized, threaded, equal to the reference bit by bit.
#pragma once

#include "models/convolution.h"

namespace mlsim::models {

// See reference_convolution() for parameters and errors.
ConvolutionResult functional_convolution(Pass pass, const ConvolutionShape& shape, const MlsTensor& left,
                                         const MlsTensor& right, const Accumulator& accumulator);

}  // namespace mlsim::models
