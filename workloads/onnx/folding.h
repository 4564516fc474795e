// Numbers of constants that exporters compute shapes from: each rule leaves a content open that it cannot tell.
// Tested in tests/workloads/onnx/import_test.cpp.
#pragma once

#include <vector>

#include "workloads/onnx/node.h"

namespace mlsim::workloads::onnx_model {

// Operators of one, two or three operands, element by element.
void fold_elementwise(const Node& node, Value& output);

// The elements of a slice of dimension `axis`, in the order of the tensor.
std::vector<double> taken_along(const std::vector<double>& content, const Dims& dims, std::size_t axis,
                                const Dims& indices);

// Keeps a content only where it is as long as the dimensions say and short enough.
void set_content(Value& output, std::vector<double> content);

}  // namespace mlsim::workloads::onnx_model
