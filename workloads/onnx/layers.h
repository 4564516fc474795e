// Layers of a network from the nodes of a model.
// Tested in tests/workloads/onnx/import_test.cpp.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "workloads/network.h"
#include "workloads/onnx/operators.h"

namespace mlsim::workloads::onnx_model {

class LayerBuilder {
 public:
  LayerBuilder(std::shared_ptr<const Model> model, Network& network) : model_(std::move(model)), network_(network) {}

  // Adds what a node is counted as, which may be nothing; `readers` read its first output. False where it multiplies
  // and is no layer here. Throws UnknownSizes, and base::Error for sizes that make no layer.
  bool add(const Operator& known, const Node& node, const std::vector<Value>& outputs, std::size_t readers);

 private:
  // A product of matrices as a layer has them: `groups` pairs of rows × inner and inner × columns.
  struct Product {
    std::size_t left = 0;  // the input that stands for activations
    std::size_t right = 1;
    std::int64_t groups = 1;
    std::int64_t rows = 1;
    std::int64_t inner = 1;
    std::int64_t columns = 1;
    bool right_is_swapped = false;  // is columns × inner in the model already
  };

  bool add_convolution(const Node& node, bool transposed);
  void add_gemm(const Node& node, std::size_t readers);
  void add_mat_mul(const Node& node, std::size_t readers);
  void add_product(const Node& node, const Product& product, std::size_t readers);
  bool is_bias(const Node& node, const Value& output);
  void add_sum(const Node& node, const Value& output);
  void add_elements(const Node& node, LayerType type, const Value& output);
  void add_norm(const Node& node, LayerType type, const Value& output);
  void add_pool(const Node& node, const Value& output);
  void add_reduction(const Node& node, const Value& output);
  void add_moved_parameters(const Node& node, const Value& output);
  void add_embedding(const Node& node, const Value& output);

  NetworkLayer begin(const Node& node, LayerType type);
  void end(NetworkLayer layer, const Node& node);
  // Of the inputs that are parameters, the elements that no earlier layer has trained.
  std::int64_t newly_trained(const Node& node);
  void take_weight(NetworkLayer& layer, const Value& weight, bool swapped, const models::Shape& shape);
  std::string name_of(const Node& node);
  void check(const NetworkLayer& layer, const Node& node) const;

  std::shared_ptr<const Model> model_;
  Network& network_;
  std::map<std::string, int> names_;             // and how often each was asked for
  std::set<std::string> trained_;                // names of parameters that are counted
  std::map<std::string, std::size_t> unbiased_;  // linear layers that an addition may give a bias to, by output
};

}  // namespace mlsim::workloads::onnx_model
