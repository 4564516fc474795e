// Files of ONNX models: the message that they are, and the values of its tensors.
// Format: the ONNX project, "Open Neural Network Exchange Intermediate Representation", and onnx.proto.
#pragma once

#include <onnx/onnx_pb.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/input_file.h"

namespace mlsim::workloads::onnx_model {

using Dims = std::vector<std::int64_t>;

struct Model {
  std::filesystem::path path;
  ::onnx::ModelProto proto;
  std::uint64_t content_hash = 0;

  std::string file() const { return path.string(); }
};

// Reads the model of that path. Throws base::Error where it cannot be read, is no model or has no graph.
std::shared_ptr<const Model> read_model(base::Input& input, const std::filesystem::path& path);

constexpr std::int64_t kLargestExtent = std::int64_t{1} << 31;

// The elements of a tensor; nothing where a dimension is below 0 or above kLargestExtent, or they are more than 2^56.
std::optional<std::int64_t> element_count(const Dims& dims);

// Dimensions of a tensor. Throws base::Error, with the tensor's name, where it has no elements that can be counted.
Dims dims_of(const Model& model, const ::onnx::TensorProto& tensor);

// Whether a type has values that are taken: floats, integers, booleans.
bool is_float(int type);
bool is_integer(int type);

// Throws base::Error where the file says of a tensor that it has other than as many values as its dimensions ask for,
// in a type that has values here; those of other files are not opened.
void check_values(const Model& model, const ::onnx::TensorProto& tensor);

// All values of a tensor, which may be in a file beside the model. Throws base::Error where they cannot be read, for a
// place outside the model's folder, for other types than floats, integers and booleans.
std::vector<float> load_floats(const Model& model, const ::onnx::TensorProto& tensor);
std::vector<double> load_doubles(const Model& model, const ::onnx::TensorProto& tensor);

// The file beside the model that holds the values of a tensor; empty where the model itself does. Throws base::Error
// for a place outside the model's folder.
std::filesystem::path external_file(const Model& model, const ::onnx::TensorProto& tensor);

}  // namespace mlsim::workloads::onnx_model
