// Nodes of a model's graph, and what is known of the tensors between them.
// Tested in tests/workloads/onnx/model_test.cpp.
#pragma once

#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "workloads/onnx/model.h"

namespace mlsim::workloads::onnx_model {

// Where the values of a tensor stand in the file.
struct Origin {
  const ::onnx::TensorProto* tensor = nullptr;
  bool swapped = false;  // with the last two axes exchanged
  Dims dims{};           // where they are: those before
};

struct Value {
  int type = ::onnx::TensorProto::UNDEFINED;
  std::optional<Dims> dims;                    // none where no rule tells
  std::optional<std::vector<double>> content;  // of small constants, shapes above all
  bool constant = false;                       // depends on no input of the model
  bool parameter = false;                      // a trained number itself, at most moved
  bool trained = false;                        // depends on a trained number, so that it has a gradient
  Origin origin;
  std::string name;             // of the initializer or input that a parameter is
  std::int64_t parameters = 0;  // which has as many elements
};

// Constants of as many elements are followed through the operators that compute shapes.
constexpr std::int64_t kMostContent = 4096;

// Thrown where the sizes of an operator's outputs do not follow from what is known.
class UnknownSizes : public std::exception {};

// An operator with its inputs; every wrong attribute or size is refused with its place.
class Node {
 public:
  Node(const Model& model, int index, const std::map<std::string, Value>& values);

  const ::onnx::NodeProto& proto() const { return *proto_; }
  const std::string& type() const { return proto_->op_type(); }
  const Model& model() const { return *model_; }
  std::int64_t opset() const { return opset_; }
  [[noreturn]] void refuse(const std::string& reason) const;

  std::size_t input_count() const { return inputs_.size(); }
  bool has_input(std::size_t index) const { return index < inputs_.size() && inputs_[index] != nullptr; }
  // Refuses where there is none.
  const Value& input(std::size_t index) const;
  // The dimensions of an input; throws UnknownSizes.
  const Dims& dims(std::size_t index) const;
  // The numbers of a small constant; throws UnknownSizes.
  const std::vector<double>& content(std::size_t index) const;
  // Of integers.
  Dims integers_of(std::size_t index) const;

  bool has_attribute(const std::string& name) const { return attribute(name) != nullptr; }
  std::int64_t integer(const std::string& name, std::int64_t otherwise) const;
  double number(const std::string& name, double otherwise) const;
  std::string text(const std::string& name, const std::string& otherwise) const;
  Dims integers(const std::string& name) const;  // empty where there are none
  const ::onnx::AttributeProto* attribute(const std::string& name) const;

  // Axes from an attribute or, in later opsets, from an input; none where they are in neither.
  std::optional<Dims> axes(const std::string& name, std::size_t index) const;
  // From 0 to below the rank; refuses others.
  std::size_t axis(std::int64_t given, std::size_t rank) const;

 private:
  const Model* model_;
  const ::onnx::NodeProto* proto_;
  int index_;
  std::int64_t opset_;
  std::vector<const Value*> inputs_;
};

// The opset of ONNX's own operators that a model imports; 0 where it does not say.
std::int64_t opset_of(const ::onnx::ModelProto& model);

// The nearest integer64 of a number, which may be beyond them.
std::int64_t to_integer(double number);

std::string to_string(const Dims& dims);  // 2 × 3 × 4, or a scalar

}  // namespace mlsim::workloads::onnx_model
