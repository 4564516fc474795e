#include "workloads/onnx/node.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace mlsim::workloads::onnx_model {

using ::onnx::AttributeProto;

std::int64_t opset_of(const ::onnx::ModelProto& model) {
  for (const ::onnx::OperatorSetIdProto& opset : model.opset_import()) {
    if (opset.domain().empty() || opset.domain() == "ai.onnx") return opset.version();
  }
  return 0;
}

std::int64_t to_integer(double number) {
  if (std::isnan(number)) return 0;
  if (number >= 0x1p63) return std::numeric_limits<std::int64_t>::max();
  if (number <= -0x1p63) return std::numeric_limits<std::int64_t>::min();
  return static_cast<std::int64_t>(number);
}

std::string to_string(const Dims& dims) {
  return dims.empty() ? "a scalar" : fmt::format("{}", fmt::join(dims, " × "));
}

Node::Node(const Model& model, int index, const std::map<std::string, Value>& values)
    : model_(&model), proto_(&model.proto.graph().node(index)), index_(index), opset_(opset_of(model.proto)) {
  for (const std::string& name : proto_->input()) {
    const auto value = values.find(name);
    inputs_.push_back(name.empty() || value == values.end() ? nullptr : &value->second);
  }
}

void Node::refuse(const std::string& reason) const {
  const std::string& name = proto_->name();
  base::refuse(model_->file(), fmt::format("node {} ({}{}{})", index_, type(), name.empty() ? "" : " ", name), reason);
}

const Value& Node::input(std::size_t index) const {
  if (!has_input(index)) {
    refuse(fmt::format("has {} inputs, expected one more that is not empty", std::min(index, inputs_.size())));
  }
  return *inputs_[index];
}

const Dims& Node::dims(std::size_t index) const {
  const Value& value = input(index);
  if (!value.dims) throw UnknownSizes();
  return *value.dims;
}

const std::vector<double>& Node::content(std::size_t index) const {
  const Value& value = input(index);
  if (!value.content) throw UnknownSizes();
  return *value.content;
}

Dims Node::integers_of(std::size_t index) const {
  Dims integers;
  for (const double number : content(index)) integers.push_back(to_integer(number));
  return integers;
}

const AttributeProto* Node::attribute(const std::string& name) const {
  for (const AttributeProto& attribute : proto_->attribute()) {
    if (attribute.name() == name) return &attribute;
  }
  return nullptr;
}

std::int64_t Node::integer(const std::string& name, std::int64_t otherwise) const {
  const AttributeProto* const found = attribute(name);
  if (found == nullptr) return otherwise;
  if (found->type() != AttributeProto::INT) refuse(fmt::format("{} is no integer, expected one", name));
  return found->i();
}

double Node::number(const std::string& name, double otherwise) const {
  const AttributeProto* const found = attribute(name);
  if (found == nullptr) return otherwise;
  if (found->type() != AttributeProto::FLOAT) refuse(fmt::format("{} is no number, expected one", name));
  return found->f();
}

std::string Node::text(const std::string& name, const std::string& otherwise) const {
  const AttributeProto* const found = attribute(name);
  if (found == nullptr) return otherwise;
  if (found->type() != AttributeProto::STRING) refuse(fmt::format("{} is no text, expected one", name));
  return found->s();
}

Dims Node::integers(const std::string& name) const {
  const AttributeProto* const found = attribute(name);
  if (found == nullptr) return {};
  if (found->type() != AttributeProto::INTS) refuse(fmt::format("{} is no list of integers, expected one", name));
  return {found->ints().begin(), found->ints().end()};
}

std::optional<Dims> Node::axes(const std::string& name, std::size_t index) const {
  if (has_attribute(name)) return integers(name);
  if (has_input(index)) return integers_of(index);
  return std::nullopt;
}

std::size_t Node::axis(std::int64_t given, std::size_t rank) const {
  const auto signed_rank = static_cast<std::int64_t>(rank);
  if (given < -signed_rank || given >= signed_rank) {
    refuse(fmt::format("names axis {} of a tensor with {} axes", given, rank));
  }
  return static_cast<std::size_t>(given < 0 ? given + signed_rank : given);
}

}  // namespace mlsim::workloads::onnx_model
