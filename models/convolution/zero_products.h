// How many products of a pass have a zero operand: what its values tell of the switching activity of the elements.
#pragma once

#include <cstdint>
#include <vector>

#include "models/baseline/baseline.h"
#include "models/convolution/convolution.h"
#include "models/formats/scaled_tensor.h"

namespace mlsim::models {

// A byte for each element: 1 where it is not zero after quantization.
std::vector<std::uint8_t> nonzero_elements(const ScaledTensor& tensor);
std::vector<std::uint8_t> nonzero_elements(const BaselineTensor& tensor);

// Of the taps whose operands both exist (those that multiply_adds counts), how many have a zero operand, so that the
// product is zero and the accumulator keeps its value. Exact: the taps with two operands that are not zero are a sum of
// products of sums over either operand alone, so a pass takes about as much work as its operands have elements times
// the kernel's width, whatever the number of channels on the other side.
std::uint64_t count_zero_products(Pass pass, const ConvolutionShape& shape,
                                  const std::vector<std::uint8_t>& left_nonzero,
                                  const std::vector<std::uint8_t>& right_nonzero);

}  // namespace mlsim::models
