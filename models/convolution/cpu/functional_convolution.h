// The fast engine of the three training convolutions: vectorized, threaded, equal to the reference bit by bit.
#pragma once

#include <span>

#include "models/convolution/convolution.h"

namespace mlsim::models {

// See reference_convolution() for parameters and errors.
ConvolutionResult functional_convolution(Pass pass, const ConvolutionShape& shape, const ScaledTensor& left,
                                         const ScaledTensor& right, const Accumulator& accumulator);

// The same into memory of the caller, who has room for every result of the pass.
OperationCounts functional_convolution_into(Pass pass, const ConvolutionShape& shape, const ScaledTensor& left,
                                            const ScaledTensor& right, const Accumulator& accumulator,
                                            std::span<float> values);

}  // namespace mlsim::models
