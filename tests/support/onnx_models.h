// ONNX models made node by node.
#pragma once

#include <onnx/onnx_pb.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace mlsim::test {

class OnnxModel {
 public:
  using Dims = std::vector<std::int64_t>;
  using Names = std::vector<std::string>;
  using Attribute = std::variant<std::int64_t, Dims, float, std::string>;

  explicit OnnxModel(std::int64_t opset = 13) {
    proto_.set_ir_version(7);
    proto_.add_opset_import()->set_version(opset);
    graph().set_name("g");
  }

  ::onnx::ModelProto& proto() { return proto_; }
  ::onnx::GraphProto& graph() { return *proto_.mutable_graph(); }

  // A dimension of -1 is open, with the name of the batch.
  OnnxModel& input(const std::string& name, const Dims& dims, int type = ::onnx::TensorProto::FLOAT) {
    ::onnx::ValueInfoProto& info = *graph().add_input();
    info.set_name(name);
    ::onnx::TypeProto_Tensor& tensor = *info.mutable_type()->mutable_tensor_type();
    tensor.set_elem_type(type);
    for (const std::int64_t extent : dims) {
      ::onnx::TensorShapeProto_Dimension& dim = *tensor.mutable_shape()->add_dim();
      if (extent == -1) {
        dim.set_dim_param("N");
      } else {
        dim.set_dim_value(extent);
      }
    }
    return *this;
  }

  // Values 1, 2, 3, ...
  OnnxModel& weight(const std::string& name, const Dims& dims) {
    ::onnx::TensorProto& tensor = this->tensor(name, dims, ::onnx::TensorProto::FLOAT);
    std::int64_t count = 1;
    for (const std::int64_t extent : dims) count *= extent;
    for (std::int64_t i = 0; i < count; ++i) tensor.add_float_data(static_cast<float>(i + 1));
    return *this;
  }

  OnnxModel& integers(const std::string& name, const Dims& values) {
    ::onnx::TensorProto& tensor =
        this->tensor(name, {static_cast<std::int64_t>(values.size())}, ::onnx::TensorProto::INT64);
    for (const std::int64_t value : values) tensor.add_int64_data(value);
    return *this;
  }

  ::onnx::TensorProto& tensor(const std::string& name, const Dims& dims, int type) {
    ::onnx::TensorProto& tensor = *graph().add_initializer();
    tensor.set_name(name);
    tensor.set_data_type(type);
    for (const std::int64_t extent : dims) tensor.add_dims(extent);
    return tensor;
  }

  OnnxModel& node(const std::string& type, const Names& inputs, const Names& outputs,
                  const std::vector<std::pair<std::string, Attribute>>& attributes = {}) {
    ::onnx::NodeProto& node = *graph().add_node();
    node.set_op_type(type);
    for (const std::string& name : inputs) node.add_input(name);
    for (const std::string& name : outputs) node.add_output(name);
    for (const auto& [name, value] : attributes) {
      ::onnx::AttributeProto& attribute = *node.add_attribute();
      attribute.set_name(name);
      if (const auto* integer = std::get_if<std::int64_t>(&value)) {
        attribute.set_type(::onnx::AttributeProto::INT);
        attribute.set_i(*integer);
      } else if (const auto* integers = std::get_if<Dims>(&value)) {
        attribute.set_type(::onnx::AttributeProto::INTS);
        for (const std::int64_t entry : *integers) attribute.add_ints(entry);
      } else if (const auto* number = std::get_if<float>(&value)) {
        attribute.set_type(::onnx::AttributeProto::FLOAT);
        attribute.set_f(*number);
      } else {
        attribute.set_type(::onnx::AttributeProto::STRING);
        attribute.set_s(std::get<std::string>(value));
      }
    }
    return *this;
  }

  std::string bytes() const { return proto_.SerializeAsString(); }
  std::filesystem::path save(const std::filesystem::path& path) const {
    std::ofstream(path, std::ios::binary) << bytes();
    return path;
  }

 private:
  ::onnx::ModelProto proto_;
};

}  // namespace mlsim::test
