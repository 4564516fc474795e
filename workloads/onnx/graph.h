// The tensors of a model's graph: inputs with their batch, initializers, and what nodes have given so far.
// Tested in tests/workloads/onnx/import_test.cpp.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "workloads/onnx/node.h"

namespace mlsim::workloads::onnx_model {

class Graph {
 public:
  // Throws base::Error for opsets before 7, names that are there twice, inputs without sizes, and a batch that is open
  // where none is given.
  Graph(const Model& model, std::optional<std::int64_t> batch);

  std::int64_t batch() const { return batch_; }
  // That of the file, where it has another; else 0.
  std::int64_t file_batch() const { return file_batch_; }
  std::int64_t input_elements() const { return input_elements_; }  // of the first input
  const std::map<std::string, Value>& values() const { return values_; }
  // Nodes and outputs of the model that read a tensor.
  std::size_t readers(const std::string& name) const;

  // The outputs of a node as far as its inputs tell. Throws base::Error where an input is not there.
  std::vector<Value> begin(int node_index) const;
  // Takes what the file says of sizes that are open, and refuses tensors without elements.
  void complete(const Node& node, std::vector<Value>& outputs) const;
  void end(int node_index, std::vector<Value> outputs);

 private:
  void read_initializers();
  void read_inputs(std::optional<std::int64_t> batch);
  // The graph's inputs that are no initializers: of data and, in a model without its parameters, of parameters.
  std::set<std::string> parameter_inputs() const;
  void bind_batch(const std::set<std::string>& parameters, std::optional<std::int64_t> batch);
  // Refuses sizes that are open or impossible.
  Dims dims_of_input(const ::onnx::ValueInfoProto& input, bool is_parameter) const;
  std::optional<std::int64_t> bound(const ::onnx::TensorShapeProto_Dimension& dim) const;
  [[noreturn]] void refuse(const std::string& place, const std::string& reason) const;
  [[noreturn]] void refuse_missing(int node_index, const std::string& name) const;

  const Model& model_;
  std::map<std::string, Value> values_;
  std::map<std::string, std::size_t> readers_;
  std::map<std::string, const ::onnx::ValueInfoProto*> said_;
  std::map<std::string, std::int64_t> sizes_;  // of symbols
  std::int64_t batch_ = 1;
  std::int64_t file_batch_ = 0;  // where it is another
  std::int64_t input_elements_ = 1;
};

}  // namespace mlsim::workloads::onnx_model
