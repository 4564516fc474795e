#include "workloads/onnx/graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "workloads/onnx/operators.h"

namespace mlsim::workloads::onnx_model {
namespace {

using ::onnx::TensorProto;
using ::onnx::TensorShapeProto_Dimension;
using ::onnx::ValueInfoProto;

const ::onnx::TypeProto_Tensor& tensor_of(const ValueInfoProto& info) {
  return info.type().tensor_type();
}

// Whether an input of an operator is one that is trained in every network.
bool is_parameter_place(const ::onnx::NodeProto& node, int index) {
  const std::string& type = node.op_type();
  if (type == "Gather") return index == 0;
  if (index == 0) return false;
  if (type == "LSTM" || type == "GRU" || type == "RNN") return index <= 3;
  return type == "Conv" || type == "ConvTranspose" || type == "Gemm" || type == "BatchNormalization" ||
         type == "LayerNormalization" || type == "InstanceNormalization" || type == "GroupNormalization" ||
         type == "PRelu";
}

bool has_open_batch(const ValueInfoProto& input) {
  return tensor_of(input).shape().dim_size() > 0 && !tensor_of(input).shape().dim(0).has_dim_value();
}

}  // namespace

Graph::Graph(const Model& model, std::optional<std::int64_t> batch) : model_(model) {
  constexpr std::int64_t kFirstOpset = 7;
  if (const std::int64_t opset = opset_of(model.proto); opset < kFirstOpset) {
    refuse("", fmt::format("has opset {}, expected {} or later", opset, kFirstOpset));
  }
  const ::onnx::GraphProto& graph = model.proto.graph();
  for (const ValueInfoProto& info : graph.value_info()) said_.emplace(info.name(), &info);
  for (const ValueInfoProto& info : graph.output()) {
    said_.emplace(info.name(), &info);
    ++readers_[info.name()];
  }
  for (const ::onnx::NodeProto& node : graph.node()) {
    for (const std::string& input : node.input()) ++readers_[input];
  }
  read_initializers();
  read_inputs(batch);
}

void Graph::refuse(const std::string& place, const std::string& reason) const {
  base::refuse(model_.file(), place, reason);
}

std::size_t Graph::readers(const std::string& name) const {
  const auto found = readers_.find(name);
  return found == readers_.end() ? 0 : found->second;
}

void Graph::read_initializers() {
  const auto add = [&](const TensorProto& tensor, bool is_dense) {
    Value value;
    value.type = tensor.data_type();
    value.dims = dims_of(model_, tensor);
    value.constant = true;
    value.name = tensor.name();
    value.parameter = value.trained = is_float(value.type);
    value.parameters = element_count(*value.dims).value_or(0);
    if (is_dense && (is_float(value.type) || is_integer(value.type))) {
      check_values(model_, tensor);
      if (is_float(value.type)) value.origin.tensor = &tensor;
      if (element_count(*value.dims).value_or(0) <= kMostContent && tensor.data_location() != TensorProto::EXTERNAL) {
        value.content = load_doubles(model_, tensor);
      }
    }
    if (tensor.name().empty()) refuse("", "has an initializer without a name");
    if (!values_.emplace(tensor.name(), std::move(value)).second) {
      refuse(fmt::format("tensor '{}'", tensor.name()), "is there twice");
    }
  };
  for (const TensorProto& tensor : model_.proto.graph().initializer()) add(tensor, true);
  for (const ::onnx::SparseTensorProto& sparse : model_.proto.graph().sparse_initializer()) {
    TensorProto tensor = sparse.values();
    *tensor.mutable_dims() = sparse.dims();
    add(tensor, false);
  }
}

std::set<std::string> Graph::parameter_inputs() const {
  const ::onnx::GraphProto& graph = model_.proto.graph();
  std::set<std::string> open;
  for (const ValueInfoProto& input : graph.input()) {
    if (!values_.contains(input.name())) open.insert(input.name());
  }
  std::set<std::string> parameters;
  for (const ::onnx::NodeProto& node : graph.node()) {
    // What known numbers stand before is data.
    if (node.input_size() > 0 && values_.contains(node.input(0))) continue;
    for (int i = 0; i < node.input_size(); ++i) {
      if (is_parameter_place(node, i) && open.contains(node.input(i))) parameters.insert(node.input(i));
    }
  }
  if (parameters.empty()) return parameters;
  // A model without its parameters: every float with sizes of its own behind the first input is one.
  bool is_first = true;
  for (const ValueInfoProto& input : graph.input()) {
    if (!open.contains(input.name()) || parameters.contains(input.name())) continue;
    const bool is_data =
        std::exchange(is_first, false) || !is_float(tensor_of(input).elem_type()) || has_open_batch(input);
    if (!is_data) parameters.insert(input.name());
  }
  return parameters;
}

void Graph::bind_batch(const std::set<std::string>& parameters, std::optional<std::int64_t> batch) {
  const ValueInfoProto* first = nullptr;
  const ValueInfoProto* open = nullptr;
  for (const ValueInfoProto& input : model_.proto.graph().input()) {
    if (values_.contains(input.name()) || parameters.contains(input.name())) continue;
    if (first == nullptr && tensor_of(input).shape().dim_size() > 0) first = &input;
    if (!has_open_batch(input)) continue;
    if (open == nullptr) open = &input;
    if (batch && !tensor_of(input).shape().dim(0).dim_param().empty()) {
      sizes_[tensor_of(input).shape().dim(0).dim_param()] = *batch;
    }
  }
  if (open != nullptr && !batch) {
    const std::string& symbol = tensor_of(*open).shape().dim(0).dim_param();
    refuse(fmt::format("input '{}'", open->name()),
           fmt::format("has an open batch{}, expected --batch N",
                       symbol.empty() ? std::string() : fmt::format(" '{}'", symbol)));
  }
  const std::int64_t own =
      first != nullptr && !has_open_batch(*first) ? tensor_of(*first).shape().dim(0).dim_value() : 0;
  batch_ = batch.value_or(std::max<std::int64_t>(own, 1));
  if (own > 0 && own != batch_) file_batch_ = own;
}

std::optional<std::int64_t> Graph::bound(const TensorShapeProto_Dimension& dim) const {
  if (dim.has_dim_value()) return dim.dim_value();
  const auto size = sizes_.find(dim.dim_param());
  return size == sizes_.end() ? std::nullopt : std::optional(size->second);
}

Dims Graph::dims_of_input(const ValueInfoProto& input, bool is_parameter) const {
  const std::string place = fmt::format("input '{}'", input.name());
  if (!input.type().has_tensor_type() || !tensor_of(input).has_shape()) {
    refuse(place, "has no sizes, expected a tensor with its sizes");
  }
  Dims dims;
  for (const TensorShapeProto_Dimension& dim : tensor_of(input).shape().dim()) {
    const bool is_batch = dims.empty() && !is_parameter;
    std::optional<std::int64_t> extent = bound(dim);
    if (is_batch && (!extent || (file_batch_ > 0 && *extent == file_batch_))) extent = batch_;
    if (!extent) {
      refuse(place, fmt::format("has the open size '{}' on axis {}, expected a number: --batch binds the batch alone",
                                dim.dim_param(), dims.size()));
    }
    if (*extent < 1 || *extent > kLargestExtent) {
      refuse(place, fmt::format("has {} on axis {}, expected 1 to 2^31", *extent, dims.size()));
    }
    dims.push_back(*extent);
  }
  if (!element_count(dims)) refuse(place, "has more than 2^56 elements");
  return dims;
}

void Graph::read_inputs(std::optional<std::int64_t> batch) {
  const std::set<std::string> parameters = parameter_inputs();
  bind_batch(parameters, batch);
  std::set<std::string> seen;
  bool has_data = false;
  for (const ValueInfoProto& input : model_.proto.graph().input()) {
    if (!seen.insert(input.name()).second) refuse(fmt::format("input '{}'", input.name()), "is there twice");
    if (values_.contains(input.name())) continue;
    const bool is_parameter = parameters.contains(input.name());
    Value value;
    value.type = tensor_of(input).elem_type();
    value.dims = dims_of_input(input, is_parameter);
    value.constant = value.parameter = value.trained = is_parameter;
    value.name = input.name();
    value.parameters = element_count(*value.dims).value_or(0);
    if (!is_parameter && !std::exchange(has_data, true)) input_elements_ = element_count(*value.dims).value_or(1);
    values_.emplace(input.name(), std::move(value));
  }
  if (!has_data) refuse("", "has no input but parameters, expected one");
}

void Graph::refuse_missing(int node_index, const std::string& name) const {
  const Node node(model_, node_index, values_);
  for (int later = node_index; later < model_.proto.graph().node_size(); ++later) {
    const auto& outputs = model_.proto.graph().node(later).output();
    if (std::find(outputs.begin(), outputs.end(), name) == outputs.end()) continue;
    node.refuse(fmt::format("reads '{}', which node {} gives: expected nodes in order, without cycles", name, later));
  }
  node.refuse(fmt::format("reads '{}', which is no input, no initializer and no earlier node's output", name));
}

std::vector<Value> Graph::begin(int node_index) const {
  const ::onnx::NodeProto& proto = model_.proto.graph().node(node_index);
  Value output;
  output.constant = true;
  bool is_first = true;
  for (const std::string& name : proto.input()) {
    if (name.empty()) continue;
    const auto found = values_.find(name);
    if (found == values_.end()) refuse_missing(node_index, name);
    const Value& value = found->second;
    if (std::exchange(is_first, false)) {
      output.type = value.type;
      output.name = value.name;
      output.parameters = value.parameters;
      output.parameter = value.parameter;
    }
    output.constant = output.constant && value.constant;
    output.trained = output.trained || value.trained;
  }
  const Operator* const known = find_operator(proto);
  const bool moves = known != nullptr && (known->work == Work::kMove || known->work == Work::kEmbed);
  output.parameter = output.parameter && moves && output.constant;
  // Operators without inputs that draw numbers give no constants.
  if (proto.op_type().starts_with("Random")) output.constant = false;
  if (proto.output_size() == 0) Node(model_, node_index, values_).refuse("has no output, expected one");
  std::vector<Value> outputs(static_cast<std::size_t>(proto.output_size()), output);
  return outputs;
}

void Graph::complete(const Node& node, std::vector<Value>& outputs) const {
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    Value& output = outputs[i];
    const std::string& name = node.proto().output(static_cast<int>(i));
    const auto info = said_.find(name);
    if (info != said_.end() && output.type == TensorProto::UNDEFINED)
      output.type = tensor_of(*info->second).elem_type();
    // Sizes of another batch are of no use.
    if (!output.dims && file_batch_ == 0 && info != said_.end() && tensor_of(*info->second).has_shape()) {
      Dims dims;
      for (const TensorShapeProto_Dimension& dim : tensor_of(*info->second).shape().dim()) {
        dims.push_back(bound(dim).value_or(-1));
      }
      if (element_count(dims).value_or(0) > 0) output.dims = std::move(dims);
    }
    if (output.dims && !output.constant && element_count(*output.dims) == 0) {
      node.refuse(fmt::format("gives '{}' of {}, which has no elements", name, to_string(*output.dims)));
    }
  }
}

void Graph::end(int node_index, std::vector<Value> outputs) {
  const ::onnx::NodeProto& proto = model_.proto.graph().node(node_index);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const std::string& name = proto.output(static_cast<int>(i));
    if (name.empty()) continue;
    if (!values_.emplace(name, std::move(outputs[i])).second) {
      Node(model_, node_index, values_).refuse(fmt::format("gives '{}', which is there already", name));
    }
  }
}

}  // namespace mlsim::workloads::onnx_model
