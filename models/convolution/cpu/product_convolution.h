// The functional engine's path for passes that are matrix products: one tap an outer index, and each outer index a
// group, so that a result is a sum of fused multiply-adds in binary32.
// Tested in tests/models/functional_convolution_test.cpp.
#pragma once

#include "models/convolution/engine.h"

namespace mlsim::models {

// Why a pass is no such product; nothing where it is. Layers of 1×1 kernels without padding are, in forward and
// backward data; linear ones in backward weight, too.
std::optional<std::string> refuse_products(const ConvolutionRequest& request);

// Writes every result that has taps.
std::uint64_t sum_products(const ConvolutionRequest& request, float* results);

}  // namespace mlsim::models
