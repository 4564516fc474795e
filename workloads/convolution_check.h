// What files say of convolutions: their one check, and padding.
// Tested in tests/workloads/workload_test.cpp.
#pragma once

#include <array>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "models/convolution/convolution.h"

namespace mlsim::workloads {

// Throws std::runtime_error with file and place, "FILE: POINTER/kernel: is 5, larger than ...", for a shape that is no
// convolution and for one whose multiply-adds of a pass are beyond 2^56, so that every later count fits 64 bits.
void check_convolution(const models::ConvolutionShape& shape, const std::string& file, const std::string& pointer);

// Zeros around an image as files give them, down and across: one number for both sides of an axis, or a pair. The
// schemas have checked it.
std::array<models::Padding, 2> padding_from_json(const nlohmann::json& json);
// Pairs where the sides of some axis differ.
nlohmann::ordered_json padding_to_json(const std::array<models::Padding, 2>& padding);

}  // namespace mlsim::workloads
