// The functional engine's path for elements of at most 8 bits, on processors with dot products of bytes.
// Tested in tests/models/functional_convolution_test.cpp.
#pragma once

#include "models/convolution/convolution.h"

namespace mlsim::models {

// Forward and backward data. `source` is the left operand. The caller has proven that sums fit 32 bits and that every
// group's contribution is a binary32 number. Writes every result that has taps.
void correlate_bytes(Pass pass, const ConvolutionShape& shape, const ScaledTensor& source, const ScaledTensor& weight,
                     float tensor_scale, float* results);

// Backward weight, one reduction group an image. The caller has proven that sums fit 32 bits. `exact`: every group's
// contribution is a binary32 number.
void sum_weight_bytes(const ConvolutionShape& shape, const ScaledTensor& error, const ScaledTensor& activation,
                      float tensor_scale, bool exact, float* results);

}  // namespace mlsim::models
