// The scalar reference of the three training convolutions: slow, obvious, and sharing no helper with what it checks.
// Tested in tests/models/vectors_test.cpp.
#pragma once

#include "models/convolution/convolution.h"

namespace mlsim::models {

// Operands as in left_operand(pass) and right_operand(pass), with the shapes that `shape` gives them. Values and counts
// follow the numeric contract (docs/numerics.md) term by term. Throws std::runtime_error if the product of the tensor
// scales overflows.
ConvolutionResult reference_convolution(Pass pass, const ConvolutionShape& shape, const ScaledTensor& left,
                                        const ScaledTensor& right, const Accumulator& accumulator);

}  // namespace mlsim::models
