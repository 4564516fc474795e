#include "workloads/onnx/model.h"

#include <fmt/format.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <span>

#include "base/error.h"
#include "base/hash.h"
#include "base/text.h"

namespace mlsim::workloads::onnx_model {
namespace {

using ::onnx::TensorProto;

// Protocol buffers are of 2 GiB at most; what is larger keeps its values in other files.
constexpr std::uint64_t kLargestModel = (std::uint64_t{1} << 31) - 1;

// Hands a file to the parser piece by piece, so that no second copy of it is in memory.
class HashedFile : public google::protobuf::io::CopyingInputStream {
 public:
  explicit HashedFile(base::Input& input) : input_(input) {}

  int Read(void* buffer, int size) override {
    const std::size_t count = input_.read(buffer, static_cast<std::size_t>(size));
    total_ += count;
    if (total_ > kLargestModel) base::refuse(input_.name(), "", "is longer than 2 GiB, the most that a model can have");
    hash_.add({static_cast<const char*>(buffer), count});
    return static_cast<int>(count);
  }

  std::uint64_t hash() const { return hash_.value(); }

 private:
  base::Input& input_;
  base::Hash hash_;
  std::uint64_t total_ = 0;
};

[[noreturn]] void refuse_tensor(const Model& model, const TensorProto& tensor, const std::string& reason) {
  base::refuse(model.file(), fmt::format("tensor '{}'", tensor.name()), reason);
}

float float_of_half(std::uint16_t bits) {
  const int exponent = bits >> 10 & 0x1F;
  const int fraction = bits & 0x3FF;
  const bool negative = (bits & 0x8000) != 0;
  float magnitude = 0;
  if (exponent == 0x1F) {
    magnitude = fraction == 0 ? std::numeric_limits<float>::infinity() : std::numeric_limits<float>::quiet_NaN();
  } else if (exponent == 0) {
    magnitude = std::ldexp(static_cast<float>(fraction), -24);
  } else {
    magnitude = std::ldexp(static_cast<float>(fraction + 0x400), exponent - 25);
  }
  return negative ? -magnitude : magnitude;
}

float float_of_bfloat16(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

// Bytes of an element; 0 for types without values here.
std::size_t bytes_of(int type) {
  switch (type) {
    case TensorProto::INT8:
    case TensorProto::UINT8:
    case TensorProto::BOOL:
      return 1;
    case TensorProto::FLOAT16:
    case TensorProto::BFLOAT16:
    case TensorProto::INT16:
    case TensorProto::UINT16:
      return 2;
    case TensorProto::FLOAT:
    case TensorProto::INT32:
    case TensorProto::UINT32:
      return 4;
    case TensorProto::DOUBLE:
    case TensorProto::INT64:
    case TensorProto::UINT64:
      return 8;
    default:
      return 0;
  }
}

template <typename Stored>
Stored stored_at(const char* bytes) {
  Stored value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

// An element of little-endian bytes.
template <typename Number>
Number number_at(const char* bytes, int type) {
  switch (type) {
    case TensorProto::FLOAT:
      return static_cast<Number>(stored_at<float>(bytes));
    case TensorProto::DOUBLE:
      return static_cast<Number>(stored_at<double>(bytes));
    case TensorProto::FLOAT16:
      return static_cast<Number>(float_of_half(stored_at<std::uint16_t>(bytes)));
    case TensorProto::BFLOAT16:
      return static_cast<Number>(float_of_bfloat16(stored_at<std::uint16_t>(bytes)));
    case TensorProto::INT8:
      return static_cast<Number>(stored_at<std::int8_t>(bytes));
    case TensorProto::UINT8:
    case TensorProto::BOOL:
      return static_cast<Number>(stored_at<std::uint8_t>(bytes));
    case TensorProto::INT16:
      return static_cast<Number>(stored_at<std::int16_t>(bytes));
    case TensorProto::UINT16:
      return static_cast<Number>(stored_at<std::uint16_t>(bytes));
    case TensorProto::INT32:
      return static_cast<Number>(stored_at<std::int32_t>(bytes));
    case TensorProto::UINT32:
      return static_cast<Number>(stored_at<std::uint32_t>(bytes));
    case TensorProto::INT64:
      return static_cast<Number>(stored_at<std::int64_t>(bytes));
    default:
      return static_cast<Number>(stored_at<std::uint64_t>(bytes));
  }
}

// Elements in the field that a type has for them.
std::int64_t field_size(const TensorProto& tensor) {
  switch (tensor.data_type()) {
    case TensorProto::FLOAT:
      return tensor.float_data_size();
    case TensorProto::DOUBLE:
      return tensor.double_data_size();
    case TensorProto::INT64:
      return tensor.int64_data_size();
    case TensorProto::UINT32:
    case TensorProto::UINT64:
      return tensor.uint64_data_size();
    default:
      return tensor.int32_data_size();
  }
}

template <typename Number>
Number number_in_field(const TensorProto& tensor, int index) {
  switch (tensor.data_type()) {
    case TensorProto::FLOAT:
      return static_cast<Number>(tensor.float_data(index));
    case TensorProto::DOUBLE:
      return static_cast<Number>(tensor.double_data(index));
    case TensorProto::INT64:
      return static_cast<Number>(tensor.int64_data(index));
    case TensorProto::UINT32:
    case TensorProto::UINT64:
      return static_cast<Number>(tensor.uint64_data(index));
    case TensorProto::FLOAT16:
      return static_cast<Number>(float_of_half(static_cast<std::uint16_t>(tensor.int32_data(index))));
    case TensorProto::BFLOAT16:
      return static_cast<Number>(float_of_bfloat16(static_cast<std::uint16_t>(tensor.int32_data(index))));
    default:
      return static_cast<Number>(tensor.int32_data(index));
  }
}

// Where the values of a tensor are that the model's file does not hold.
struct External {
  std::string location;
  std::uint64_t offset = 0;
  std::optional<std::uint64_t> length;
};

External external_of(const Model& model, const TensorProto& tensor) {
  External external;
  for (const ::onnx::StringStringEntryProto& entry : tensor.external_data()) {
    if (entry.key() == "location") external.location = entry.value();
    if (entry.key() != "offset" && entry.key() != "length") continue;
    const auto number = base::number_of<std::uint64_t>(entry.value());
    if (!number || *number > std::uint64_t{1} << 60) {
      refuse_tensor(
          model, tensor,
          fmt::format("has the {} '{}' in another file, expected a number of bytes", entry.key(), entry.value()));
    }
    if (entry.key() == "offset") {
      external.offset = *number;
    } else {
      external.length = *number;
    }
  }
  if (external.location.empty()) refuse_tensor(model, tensor, "is in another file that has no name, expected one");
  return external;
}

// The file beside the model, which is in the model's folder or below it, whatever links are on the way.
std::filesystem::path external_path(const Model& model, const TensorProto& tensor, const std::string& location) {
  namespace fs = std::filesystem;
  const auto refuse_place = [&] {
    refuse_tensor(model, tensor, fmt::format("is in the file '{}', expected one in the folder of the model", location));
  };
  const fs::path relative(location);
  if (relative.is_absolute() || location.find('\0') != std::string::npos) refuse_place();
  if (std::find(relative.begin(), relative.end(), "..") != relative.end()) refuse_place();
  const fs::path folder = model.path.has_parent_path() ? model.path.parent_path() : fs::path(".");
  std::error_code error;
  const fs::path real_folder = fs::canonical(folder, error);
  const fs::path real = error ? fs::path() : fs::weakly_canonical(folder / relative, error);
  if (error) refuse_place();
  const auto [end, in_real] = std::mismatch(real_folder.begin(), real_folder.end(), real.begin(), real.end());
  if (end != real_folder.end() && !end->empty()) refuse_place();
  return folder / relative;
}

std::string external_bytes(const Model& model, const TensorProto& tensor, std::uint64_t size) {
  const External external = external_of(model, tensor);
  const std::filesystem::path path = external_path(model, tensor, external.location);
  base::RegularFile file(path, fmt::format("the values of tensor '{}' of {}", tensor.name(), model.file()));
  file.skip(std::min(external.offset, file.size()));
  if (external.offset > file.size() || file.left() < size) {
    file.refuse(fmt::format("has {} bytes, fewer than the {} behind byte {}", file.size(), size, external.offset));
  }
  std::string bytes(size, '\0');
  file.read({reinterpret_cast<std::uint8_t*>(bytes.data()), bytes.size()});
  return bytes;
}

bool is_external(const TensorProto& tensor) {
  return tensor.data_location() == TensorProto::EXTERNAL;
}

template <typename Number>
std::vector<Number> load(const Model& model, const TensorProto& tensor) {
  check_values(model, tensor);
  const auto count = static_cast<std::size_t>(element_count(dims_of(model, tensor)).value_or(0));
  std::vector<Number> values(count);
  const std::size_t width = bytes_of(tensor.data_type());
  if (is_external(tensor) || !tensor.raw_data().empty()) {
    const std::string read = is_external(tensor) ? external_bytes(model, tensor, count * width) : std::string();
    const std::string& bytes = is_external(tensor) ? read : tensor.raw_data();
    for (std::size_t i = 0; i < count; ++i) {
      values[i] = number_at<Number>(bytes.data() + i * width, tensor.data_type());
    }
    return values;
  }
  for (std::size_t i = 0; i < count; ++i) values[i] = number_in_field<Number>(tensor, static_cast<int>(i));
  return values;
}

}  // namespace

std::shared_ptr<const Model> read_model(base::Input& input, const std::filesystem::path& path) {
  auto model = std::make_shared<Model>();
  model->path = path;
  HashedFile file(input);
  google::protobuf::io::CopyingInputStreamAdaptor stream(&file);
  const google::protobuf::LogSilencer quiet;
  if (!model->proto.ParseFromZeroCopyStream(&stream)) {
    base::refuse(model->file(), "", "is no ONNX model, or is cut off: expected a protocol buffer of one");
  }
  if (!model->proto.has_graph() || model->proto.graph().node_size() == 0) {
    base::refuse(model->file(), "", "is no ONNX model: it has no graph with nodes");
  }
  model->content_hash = file.hash();
  return model;
}

std::optional<std::int64_t> element_count(const Dims& dims) {
  constexpr std::int64_t kMost = std::int64_t{1} << 56;
  const auto is_out = [](std::int64_t extent) { return extent < 0 || extent > kLargestExtent; };
  if (std::any_of(dims.begin(), dims.end(), is_out)) return std::nullopt;
  if (std::find(dims.begin(), dims.end(), 0) != dims.end()) return 0;
  std::int64_t count = 1;
  for (const std::int64_t extent : dims) {
    if (extent > kMost / count) return std::nullopt;
    count *= extent;
  }
  return count;
}

Dims dims_of(const Model& model, const TensorProto& tensor) {
  Dims dims(tensor.dims().begin(), tensor.dims().end());
  if (!element_count(dims)) {
    refuse_tensor(model, tensor,
                  fmt::format("has the dimensions {}, expected each from 0 to 2^31 and at most 2^56 elements",
                              fmt::join(dims, " × ")));
  }
  return dims;
}

bool is_float(int type) {
  return type == TensorProto::FLOAT || type == TensorProto::FLOAT16 || type == TensorProto::BFLOAT16 ||
         type == TensorProto::DOUBLE;
}

bool is_integer(int type) {
  return bytes_of(type) != 0 && !is_float(type);
}

void check_values(const Model& model, const TensorProto& tensor) {
  const std::int64_t count = element_count(dims_of(model, tensor)).value_or(0);
  const std::size_t width = bytes_of(tensor.data_type());
  if (width == 0) {
    refuse_tensor(model, tensor,
                  fmt::format("has values of the type {}, expected floats, integers or booleans",
                              ::onnx::TensorProto_DataType_Name(tensor.data_type())));
  }
  const std::uint64_t bytes = static_cast<std::uint64_t>(count) * width;
  const auto check = [&](const char* unit, std::uint64_t has, std::uint64_t wants) {
    if (has == wants) return;
    refuse_tensor(model, tensor,
                  fmt::format("holds {} {}, expected the {} of its dimensions {}", has, unit, wants,
                              fmt::join(tensor.dims(), " × ")));
  };
  if (is_external(tensor)) {
    if (const External external = external_of(model, tensor); external.length) check("bytes", *external.length, bytes);
  } else if (!tensor.raw_data().empty()) {
    check("bytes", tensor.raw_data().size(), bytes);
  } else {
    check("values", static_cast<std::uint64_t>(field_size(tensor)), static_cast<std::uint64_t>(count));
  }
}

std::vector<float> load_floats(const Model& model, const TensorProto& tensor) {
  return load<float>(model, tensor);
}

std::vector<double> load_doubles(const Model& model, const TensorProto& tensor) {
  return load<double>(model, tensor);
}

std::filesystem::path external_file(const Model& model, const TensorProto& tensor) {
  if (!is_external(tensor)) return {};
  return external_path(model, tensor, external_of(model, tensor).location);
}

}  // namespace mlsim::workloads::onnx_model
