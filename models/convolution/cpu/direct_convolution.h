// The three training convolutions in plain arithmetic, for the baselines and for the binary64 yardstick.
#pragma once

#include <vector>

#include "models/convolution/convolution.h"

namespace mlsim::models {

// Operands as in left_operand(pass) and right_operand(pass), with the shapes that `shape` gives them, in C order. Each
// product is rounded to T, then added to a sum in T, in ascending order of the outer index and, inside it, of the taps;
// padding taps are no operands. T is float or double; operands are of T, or float where T is double.
template <typename T, typename Value>
std::vector<T> direct_convolution(Pass pass, const ConvolutionShape& shape, const std::vector<Value>& left,
                                  const std::vector<Value>& right);

}  // namespace mlsim::models
