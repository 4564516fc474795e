// The one check of the convolutions that files describe.
#pragma once

#include <string>

#include "models/convolution/convolution.h"

namespace mlsim::workloads {

// Throws std::runtime_error with file and place, "FILE: POINTER/kernel: is 5, larger than ...", for a shape that is no
// convolution and for one whose multiply-adds of a pass are beyond 2^56, so that every later count fits 64 bits.
void check_convolution(const models::ConvolutionShape& shape, const std::string& file, const std::string& pointer);

}  // namespace mlsim::workloads
