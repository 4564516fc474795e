// The functional engine's path for depthwise layers: forward and backward data of one channel a group, whose results
// are one reduction group each, on processors with dot products of bytes.
// Tested in tests/models/functional_convolution_test.cpp.
#pragma once

#include "models/convolution/engine.h"

namespace mlsim::models {

// Why a pass is none of these; nothing where it is.
std::optional<std::string> refuse_depthwise(const ConvolutionRequest& request);

// Writes every result that has taps.
std::uint64_t correlate_depthwise(const ConvolutionRequest& request, float* results);

}  // namespace mlsim::models
