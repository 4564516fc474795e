// ONNX's operators: the sizes of what they give, the small constants that they compute, and what they are counted as.
// Semantics: the ONNX project, "Operator Schemas", opsets 7 and later.
// Tested in tests/workloads/onnx/import_test.cpp.
#pragma once

#include <string>
#include <vector>

#include "workloads/onnx/node.h"

namespace mlsim::workloads::onnx_model {

// What an operator is in a training step.
enum class Work : std::uint8_t {
  kMove,  // nothing is computed: values move, or integers alone are computed
  kConvolution,
  kTransposedConvolution,
  kGemm,
  kMatMul,
  kBatchNorm,
  kLayerNorm,
  kGate,  // a sign or a comparison passes elements or blocks them
  kSmooth,
  kSoftmax,
  kAdd,
  kMultiply,
  kPool,
  kReduce,
  kEmbed,    // rows of a table, where the table is trained
  kUnknown,  // multiplies and accumulates, but is no layer: its share alone is known
};

struct Operator {
  using Rule = void (*)(const Node&, std::vector<Value>&);
  Rule rule;
  Work work;
};

// Nothing for an operator that is not known, and for those of other domains.
const Operator* find_operator(const ::onnx::NodeProto& node);

// Sizes, types and contents of the outputs of a known operator; what cannot be told is left open. Throws base::Error
// for attributes and sizes that do not fit.
void infer(const Operator& known, const Node& node, std::vector<Value>& outputs);

// A window that moves over the spatial axes of an input: of convolutions and pooling.
struct Window {
  Dims kernel;
  Dims stride;
  Dims dilation;
  Dims begin;  // zeros in front
  Dims end;    // and behind
  Dims out;    // positions

  std::int64_t size() const;  // elements of it
};
Window convolution_window(const Node& node);
Window pooling_window(const Node& node);
// Of the convolution whose backward pass of data a transposed convolution is; `out` is the transposed one's.
Window transposed_window(const Node& node);

// Multiply-adds of an operator that is no layer here; 0 where they are not known. Throws UnknownSizes.
double multiply_adds_of(const Node& node);

}  // namespace mlsim::workloads::onnx_model
