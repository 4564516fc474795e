// Convolutions plane by plane, in binary32 or binary64 numbers that hold every sum exactly: forward and backward data
// as shifted sums of padded planes, backward weight with output channels in lanes.
// Tested in tests/models/functional_convolution_test.cpp.
#pragma once

#include <cstdint>

#include "models/convolution/cpu/refusals.h"
#include "models/convolution/engine.h"

namespace mlsim::models {

// See Engine. The narrow ones are those of an accumulator that a sum might leave.
Refusal refuse_float(const ConvolutionRequest& request);
Refusal refuse_double(const ConvolutionRequest& request);
Refusal refuse_narrow_float(const ConvolutionRequest& request);
Refusal refuse_narrow_double(const ConvolutionRequest& request);

// Of float and of double.
template <typename T>
std::uint64_t sum_planes(const ConvolutionRequest& request, float* results);

}  // namespace mlsim::models
