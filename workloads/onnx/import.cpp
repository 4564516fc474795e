#include "workloads/onnx/import.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/input_file.h"
#include "workloads/onnx/graph.h"
#include "workloads/onnx/layers.h"
#include "workloads/onnx/operators.h"

namespace mlsim::workloads {
namespace {

using namespace onnx_model;

// What is left out of a network, by operator.
class LeftOut {
 public:
  void add(const std::string& name, double multiply_adds) {
    Entry& entry = entries_[name];
    ++entry.nodes;
    if (multiply_adds > 0) {
      entry.multiply_adds += multiply_adds;
    } else {
      entry.is_known = false;
    }
  }

  bool empty() const { return entries_.empty(); }

  // With shares of the multiply-adds that are known, of which the network has `imported`.
  std::string text(double imported) const {
    double total = imported;
    for (const auto& [name, entry] : entries_) total += entry.multiply_adds;
    std::string text;
    for (const auto& [name, entry] : entries_) {
      text +=
          fmt::format("{}{} ({} node{}, {})", text.empty() ? "" : ", ", name, entry.nodes, entry.nodes == 1 ? "" : "s",
                      entry.is_known ? fmt::format("{:.1f} % of the multiply-adds", 100 * entry.multiply_adds / total)
                                     : "of an unknown share");
    }
    return text;
  }

 private:
  struct Entry {
    int nodes = 0;
    double multiply_adds = 0;
    bool is_known = true;
  };
  std::map<std::string, Entry> entries_;
};

std::string full_name(const ::onnx::NodeProto& node) {
  return node.domain().empty() ? node.op_type() : node.domain() + "." + node.op_type();
}

double multiply_adds(const Network& network) {
  double total = 0;
  for (const NetworkLayer& layer : network.layers) {
    if (!layer.multiplies()) continue;
    total += static_cast<double>(layer.convolution_shape(1).multiply_adds(models::Pass::kForward));
  }
  return total;
}

class Importer {
 public:
  Importer(std::shared_ptr<const Model> model, const ModelOptions& options)
      : model_(std::move(model)), options_(options), graph_(*model_, options.batch), layers_(model_, network_) {}

  Network run() {
    network_.name = model_->path.stem().string();
    network_.batch = graph_.batch();
    network_.content_hash = model_->content_hash;
    network_.input = {graph_.input_elements() / graph_.batch(), {1, 1}};
    try {
      for (int index = 0; index < model_->proto.graph().node_size(); ++index) take(index);
    } catch (const base::Error& error) {
      if (graph_.file_batch() == 0) throw;
      throw base::Error(
          error.file(), error.place(),
          fmt::format("{} (with a batch of {} in place of the model's {}, which sizes inside it may have)",
                      error.reason(), graph_.batch(), graph_.file_batch()));
    }
    network_.gradient_additions = gradient_additions();
    say_what_is_left_out();
    return std::move(network_);
  }

 private:
  void take(int index) {
    const ::onnx::NodeProto& proto = model_->proto.graph().node(index);
    std::vector<Value> outputs = graph_.begin(index);
    const Node node(*model_, index, graph_.values());
    const Operator* const known = find_operator(proto);
    if (known != nullptr) infer(*known, node, outputs);
    graph_.complete(node, outputs);
    const bool is_constant = std::all_of(outputs.begin(), outputs.end(), [](const Value& v) { return v.constant; });
    if (!is_constant) {
      count_readers(node, outputs);
      add_layer(known, node, outputs);
    }
    graph_.end(index, std::move(outputs));
  }

  void add_layer(const Operator* known, const Node& node, const std::vector<Value>& outputs) {
    if (known == nullptr) {
      left_out_.add(full_name(node.proto()), 0);
      return;
    }
    try {
      if (!layers_.add(*known, node, outputs, readers_of_outputs(node))) {
        left_out_.add(node.type(), multiply_adds_of(node));
      }
    } catch (const UnknownSizes&) {
      if (known->work != Work::kMove) left_out_.add(node.type() + " of unknown sizes", 0);
    }
  }

  // How many nodes read the first output.
  std::size_t readers_of_outputs(const Node& node) const { return graph_.readers(node.proto().output(0)); }

  // Gradients come back from the readers whose own outputs have some.
  void count_readers(const Node& node, const std::vector<Value>& outputs) {
    const auto has_gradient = [](const Value& value) {
      return value.trained && !value.constant && !is_integer(value.type);
    };
    if (std::none_of(outputs.begin(), outputs.end(), has_gradient)) return;
    for (std::size_t i = 0; i < node.input_count(); ++i) {
      if (!node.has_input(i) || !has_gradient(node.input(i))) continue;
      ++gradients_[node.proto().input(static_cast<int>(i))];
    }
  }

  std::int64_t gradient_additions() const {
    double bound = 0;
    std::int64_t additions = 0;
    for (const auto& [name, count] : gradients_) {
      const Value& value = graph_.values().at(name);
      if (count < 2 || !value.dims) continue;
      const std::int64_t elements = element_count(*value.dims).value_or(0);
      bound += static_cast<double>(elements) * static_cast<double>(count - 1);
      if (bound > 0x1p60) base::refuse(model_->file(), "", "a step has more than 2^60 operations");
      additions += elements * (count - 1);
    }
    return additions;
  }

  void say_what_is_left_out() {
    if (left_out_.empty()) return;
    const std::string text = left_out_.text(multiply_adds(network_));
    if (options_.strict) {
      base::refuse(model_->file(), "", fmt::format("has operators that are not counted, with --strict: {}", text));
    }
    network_.remarks.push_back(fmt::format("{}: has operators that are not counted: {}", model_->file(), text));
  }

  std::shared_ptr<const Model> model_;
  ModelOptions options_;
  Network network_;
  Graph graph_;
  LayerBuilder layers_;
  LeftOut left_out_;
  std::map<std::string, std::int64_t> gradients_;  // that come back, by tensor
};

}  // namespace

Network import_onnx(const std::filesystem::path& path, const ModelOptions& options) {
  base::InputFile file(path);
  return Importer(read_model(file, path), options).run();
}

Network parse_onnx(std::string_view bytes, const std::filesystem::path& path, const ModelOptions& options) {
  base::InputText text(bytes, path.string());
  return Importer(read_model(text, path), options).run();
}

}  // namespace mlsim::workloads
