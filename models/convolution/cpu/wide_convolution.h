// A functional convolution of any formats, tiles and accumulators, result by result in wide integers.
// Tested in tests/models/functional_convolution_test.cpp.
#pragma once

#include <cstdint>

#include "models/convolution/engine.h"

namespace mlsim::models {

// As Engine::run.
std::uint64_t wide_convolution(const ConvolutionRequest& request, float* results);

}  // namespace mlsim::models
