#include "workloads/onnx/layers.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "workloads/convolution_check.h"

namespace mlsim::workloads::onnx_model {
namespace {

using models::Pass;

// Values of an initializer in the shape of a layer's weight.
class ModelWeight : public StoredTensor {
 public:
  ModelWeight(std::shared_ptr<const Model> model, Origin origin, models::Shape shape)
      : model_(std::move(model)), origin_(std::move(origin)), shape_(std::move(shape)) {}

  models::Tensor<float> load() const override {
    models::Tensor<float> tensor{shape_, load_floats(*model_, *origin_.tensor)};
    if (!origin_.swapped) return tensor;
    const auto columns = static_cast<std::size_t>(origin_.dims.back());
    const auto rows = static_cast<std::size_t>(origin_.dims[origin_.dims.size() - 2]);
    std::vector<float> swapped(tensor.values.size());
    for (std::size_t i = 0; i < swapped.size(); ++i) {
      const std::size_t matrix = i / (rows * columns);
      const std::size_t row = i / columns % rows;
      swapped[(matrix * columns + i % columns) * rows + row] = tensor.values[i];
    }
    tensor.values = std::move(swapped);
    return tensor;
  }

  std::filesystem::path file() const override { return external_file(*model_, *origin_.tensor); }

 private:
  std::shared_ptr<const Model> model_;
  Origin origin_;
  models::Shape shape_;
};

std::vector<Pass> passes_of(bool backward_data, bool backward_weight) {
  std::vector<Pass> passes{Pass::kForward};
  if (backward_data) passes.push_back(Pass::kBackwardData);
  if (backward_weight) passes.push_back(Pass::kBackwardWeight);
  return passes;
}

std::int64_t elements_of(const Value& value) {
  if (!value.dims) throw UnknownSizes();
  return element_count(*value.dims).value_or(0);
}

std::int64_t product_of(const Dims& dims, std::size_t begin, std::size_t end) {
  std::int64_t product = 1;
  for (std::size_t i = begin; i < end; ++i) product *= dims[i];
  return product;
}

// Whether a weight is trained where it is a constant: every one that multiplies is taken for it.
bool is_weight(const Value& value) {
  return value.constant;
}

}  // namespace

bool LayerBuilder::add(const Operator& known, const Node& node, const std::vector<Value>& outputs,
                       std::size_t readers) {
  const Value& output = outputs.front();
  const bool is_number = !is_integer(output.type);
  switch (known.work) {
    case Work::kMove:
      add_moved_parameters(node, output);
      return true;
    case Work::kConvolution:
      return add_convolution(node, false);
    case Work::kTransposedConvolution:
      return add_convolution(node, true);
    case Work::kGemm:
      add_gemm(node, readers);
      return true;
    case Work::kMatMul:
      add_mat_mul(node, readers);
      return true;
    case Work::kEmbed:
      add_embedding(node, output);
      return true;
    case Work::kUnknown:
      return false;
    default:
      break;
  }
  // Integers are of shapes and indices.
  if (!is_number) return true;
  switch (known.work) {
    case Work::kBatchNorm:
      add_norm(node, LayerType::kBatchNorm, output);
      break;
    case Work::kLayerNorm:
      add_norm(node, LayerType::kLayerNorm, output);
      break;
    case Work::kGate:
      add_elements(node, LayerType::kRelu, output);
      break;
    case Work::kSmooth:
      add_elements(node, LayerType::kSmooth, output);
      break;
    case Work::kSoftmax:
      add_elements(node, LayerType::kSoftmax, output);
      break;
    case Work::kAdd:
      add_sum(node, output);
      break;
    case Work::kMultiply:
      add_elements(node, LayerType::kMultiply, output);
      break;
    case Work::kPool:
      add_pool(node, output);
      break;
    default:
      add_reduction(node, output);
      break;
  }
  return true;
}

bool LayerBuilder::add_convolution(const Node& node, bool transposed) {
  const Window window = transposed ? transposed_window(node) : convolution_window(node);
  const Dims& in = node.dims(0);
  const Dims& weight = node.dims(1);
  const std::size_t axes = window.kernel.size();
  if (axes > 2) return false;
  const std::int64_t groups = node.integer("group", 1);
  NetworkLayer layer = begin(node, LayerType::kConvolution);
  layer.rows = in[0];
  layer.groups = groups;
  layer.transposed = transposed;
  layer.input = {in[1], {1, 1}};
  layer.output = {transposed ? weight[1] * groups : weight[0], {1, 1}};
  for (std::size_t axis = 0; axis < axes; ++axis) {
    const std::size_t at = axis + 2 - axes;  // what has one axis is one row high
    layer.input.size[at] = in[axis + 2];
    layer.output.size[at] = window.out[axis];
    layer.kernel[at] = window.kernel[axis];
    layer.stride[at] = window.stride[axis];
    layer.dilation[at] = window.dilation[axis];
    layer.padding[at] = {window.begin[axis], window.end[axis]};
  }
  // Of a transposed one the convolution goes from the output to the input.
  if (transposed) std::swap(layer.input, layer.output);
  layer.bias = node.has_input(2);
  const bool learns = is_weight(node.input(1)) || node.input(1).trained;
  layer.passes = transposed ? std::vector<Pass>{Pass::kBackwardData} : passes_of(node.input(0).trained, learns);
  if (transposed) {
    if (node.input(0).trained) layer.passes.insert(layer.passes.begin(), Pass::kForward);
    if (learns) layer.passes.push_back(Pass::kBackwardWeight);
  }
  take_weight(layer, node.input(1), false, layer.convolution_shape(1).weight_shape());
  check(layer, node);
  end(std::move(layer), node);
  return true;
}

void LayerBuilder::add_gemm(const Node& node, std::size_t readers) {
  const bool left_is_swapped = node.integer("transA", 0) != 0;
  const bool right_is_swapped = node.integer("transB", 0) != 0;
  const Dims& a = node.dims(0);
  const Dims& b = node.dims(1);
  Product product{.rows = a[left_is_swapped ? 1 : 0],
                  .inner = a[left_is_swapped ? 0 : 1],
                  .columns = b[right_is_swapped ? 0 : 1],
                  .right_is_swapped = right_is_swapped};
  if (is_weight(node.input(0)) && !is_weight(node.input(1))) {
    product = {.left = 1,
               .right = 0,
               .rows = product.columns,
               .inner = product.inner,
               .columns = product.rows,
               .right_is_swapped = !left_is_swapped};
  }
  add_product(node, product, readers);
}

void LayerBuilder::add_mat_mul(const Node& node, std::size_t readers) {
  Dims a = node.dims(0);
  Dims b = node.dims(1);
  if (a.size() == 1) a.insert(a.begin(), 1);
  if (b.size() == 1) b.push_back(1);
  const std::int64_t rows = a[a.size() - 2];
  const std::int64_t inner = a.back();
  const std::int64_t columns = b.back();
  const std::int64_t a_matrices = product_of(a, 0, a.size() - 2);
  const std::int64_t b_matrices = product_of(b, 0, b.size() - 2);
  // Matrices that pair up with all of the other side's are read once a row more.
  std::int64_t all = 1;
  for (std::size_t back = 3; back <= std::max(a.size(), b.size()); ++back) {
    all *= std::max(back <= a.size() ? a[a.size() - back] : 1, back <= b.size() ? b[b.size() - back] : 1);
  }
  const bool left_is_weight = is_weight(node.input(0)) && !is_weight(node.input(1));
  Product product;
  if (left_is_weight || (!is_weight(node.input(1)) && a_matrices < all && b_matrices == all)) {
    product = {.left = 1,
               .right = 0,
               .groups = a_matrices,
               .rows = columns * (all / a_matrices),
               .inner = inner,
               .columns = rows,
               .right_is_swapped = true};
  } else {
    product = {.groups = b_matrices, .rows = rows * (all / b_matrices), .inner = inner, .columns = columns};
  }
  add_product(node, product, readers);
}

void LayerBuilder::add_product(const Node& node, const Product& product, std::size_t readers) {
  const Value& right = node.input(product.right);
  const bool has_weights = is_weight(right);
  NetworkLayer layer = begin(node, has_weights ? LayerType::kLinear : LayerType::kProduct);
  layer.rows = product.rows;
  layer.groups = product.groups;
  layer.input = {product.groups * product.inner, {1, 1}};
  layer.output = {product.groups * product.columns, {1, 1}};
  layer.passes = passes_of(node.input(product.left).trained, has_weights || right.trained);
  check(layer, node);
  if (has_weights) {
    take_weight(layer, right, !product.right_is_swapped, layer.convolution_shape(1).weight_shape());
  }
  const bool sums = node.type() == "Gemm" && node.has_input(2);
  layer.bias = sums && node.input(2).constant;
  if (has_weights && !sums && readers == 1) unbiased_[node.proto().output(0)] = network_.layers.size();
  end(std::move(layer), node);
  if (sums && !node.input(2).constant) {
    NetworkLayer sum = begin(node, LayerType::kAdd);
    sum.input = sum.output = {product.rows * product.groups * product.columns, {1, 1}};
    sum.inputs.resize(2);
    end(std::move(sum), node);
  }
}

// An addition of a number for each output of a linear layer that nothing else reads is its bias.
bool LayerBuilder::is_bias(const Node& node, const Value& output) {
  if (node.type() != "Add" || node.input_count() != 2 || !output.dims || output.dims->empty()) return false;
  for (const std::size_t side : {0U, 1U}) {
    const Value& bias = node.input(1 - side);
    const auto layer = unbiased_.find(node.proto().input(static_cast<int>(side)));
    if (layer == unbiased_.end() || !bias.constant || !bias.dims) continue;
    NetworkLayer& linear = network_.layers[layer->second];
    if (linear.groups != 1 || elements_of(bias) != linear.output.channels || bias.dims->empty() ||
        bias.dims->back() != linear.output.channels || output.dims->back() != linear.output.channels) {
      continue;
    }
    linear.bias = true;
    unbiased_.erase(layer);
    return true;
  }
  return false;
}

void LayerBuilder::add_sum(const Node& node, const Value& output) {
  if (!is_bias(node, output)) add_elements(node, LayerType::kAdd, output);
}

void LayerBuilder::add_elements(const Node& node, LayerType type, const Value& output) {
  NetworkLayer layer = begin(node, type);
  layer.input = layer.output = {elements_of(output), {1, 1}};
  if (type != LayerType::kAdd && type != LayerType::kMultiply) layer.inputs.resize(1);
  // A sum over an axis adds to what is there, as one of two maps does.
  if (layer.inputs.size() < 2 && (type == LayerType::kAdd || type == LayerType::kMultiply)) layer.inputs.resize(2);
  layer.trained = newly_trained(node);
  end(std::move(layer), node);
}

void LayerBuilder::add_norm(const Node& node, LayerType type, const Value& output) {
  NetworkLayer layer = begin(node, type);
  const std::int64_t elements = elements_of(output);
  const std::int64_t channels = type == LayerType::kBatchNorm ? node.dims(0)[1] : elements;
  layer.input = layer.output = {channels, {elements / channels, 1}};
  layer.inputs.resize(1);
  // The running statistics of a batch normalization are not trained; its two numbers a channel go with its type.
  if (type == LayerType::kLayerNorm) layer.trained = newly_trained(node);
  end(std::move(layer), node);
}

void LayerBuilder::add_pool(const Node& node, const Value& output) {
  NetworkLayer layer =
      begin(node, node.type().find("Max") == std::string::npos ? LayerType::kAvgPool : LayerType::kMaxPool);
  layer.input = {elements_of(node.input(0)), {1, 1}};
  layer.output = {elements_of(output), {1, 1}};
  layer.kernel = {pooling_window(node).size(), 1};
  end(std::move(layer), node);
}

void LayerBuilder::add_reduction(const Node& node, const Value& output) {
  const bool is_extreme = node.type() == "ReduceMax" || node.type() == "ReduceMin";
  NetworkLayer layer = begin(node, is_extreme ? LayerType::kMaxPool : LayerType::kAvgPool);
  layer.input = {elements_of(node.input(0)), {1, 1}};
  layer.output = {elements_of(output), {1, 1}};
  layer.inputs.resize(1);
  layer.kernel = {layer.input.channels / std::max<std::int64_t>(layer.output.channels, 1), 1};
  end(std::move(layer), node);
}

void LayerBuilder::add_embedding(const Node& node, const Value& output) {
  const Value& table = node.input(0);
  if (!table.parameter || is_integer(table.type)) return;
  NetworkLayer layer = begin(node, LayerType::kEmbedding);
  layer.input = layer.output = {elements_of(output), {1, 1}};
  layer.inputs.resize(1);
  layer.trained = newly_trained(node);
  end(std::move(layer), node);
}

// Numbers that are trained and joined to others, such as the token of a class.
void LayerBuilder::add_moved_parameters(const Node& node, const Value& output) {
  const std::int64_t trained = newly_trained(node);
  if (trained == 0) return;
  NetworkLayer layer = begin(node, LayerType::kEmbedding);
  layer.input = layer.output = {elements_of(output), {1, 1}};
  layer.inputs.resize(1);
  layer.trained = trained;
  end(std::move(layer), node);
}

NetworkLayer LayerBuilder::begin(const Node& node, LayerType type) {
  NetworkLayer layer;
  layer.name = name_of(node);
  layer.type = type;
  for (const std::string& input : node.proto().input()) {
    if (!input.empty()) layer.inputs.push_back(input);
  }
  return layer;
}

void LayerBuilder::end(NetworkLayer layer, const Node& node) {
  if (layer.rows < 1 || layer.output.elements() < 1 || layer.kernel[0] < 1) {
    node.refuse("makes a layer without elements");
  }
  network_.layers.push_back(std::move(layer));
}

std::int64_t LayerBuilder::newly_trained(const Node& node) {
  std::int64_t count = 0;
  for (std::size_t i = 0; i < node.input_count(); ++i) {
    if (!node.has_input(i)) continue;
    const Value& value = node.input(i);
    if (value.parameter && !value.name.empty() && trained_.insert(value.name).second) count += value.parameters;
  }
  return count;
}

void LayerBuilder::take_weight(NetworkLayer& layer, const Value& weight, bool swapped, const models::Shape& shape) {
  if (!weight.name.empty()) layer.shares_weights = !trained_.insert(weight.name).second;
  if (weight.origin.tensor == nullptr || !weight.dims) return;
  Origin origin = weight.origin;
  if (swapped && weight.dims->size() > 1) {
    if (!origin.swapped) origin.dims = *weight.dims;
    origin.swapped = !origin.swapped;
  }
  if (origin.swapped && origin.dims.size() < 2) return;
  if (const std::filesystem::path file = external_file(*model_, *origin.tensor); !file.empty()) {
    std::vector<std::filesystem::path>& files = network_.files;
    if (std::find(files.begin(), files.end(), file) == files.end()) files.push_back(file);
  }
  layer.weight = std::make_shared<ModelWeight>(model_, std::move(origin), shape);
}

// The name of the weights where it ends as frameworks end it, else the node's; fit for a file name.
std::string LayerBuilder::name_of(const Node& node) {
  constexpr std::size_t kLongest = 150;
  constexpr std::string_view kWeight = ".weight";
  std::string name = node.proto().name();
  for (std::size_t i = 0; i < node.input_count(); ++i) {
    if (!node.has_input(i)) continue;
    const std::string& parameter = node.input(i).name;
    if (!node.input(i).constant || !parameter.ends_with(kWeight)) continue;
    name = parameter.substr(0, parameter.size() - kWeight.size());
    break;
  }
  if (name.empty()) name = node.type();
  for (char& c : name) {
    if (c == '/' || c == '\\' || static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '.';
  }
  name.erase(0, name.find_first_not_of('.'));
  if (name.size() > kLongest) name.resize(kLongest);
  if (name.empty()) name = "layer";
  if (base::has_control_characters(name)) name = node.type();
  std::string unique = name;
  while (true) {
    const int times = ++names_[unique];
    if (times == 1) return unique;
    unique = fmt::format("{}.{}", name, std::max(times, ++names_[name]));
  }
}

void LayerBuilder::check(const NetworkLayer& layer, const Node& node) const {
  try {
    check_convolution(layer.convolution_shape(1), model_->file(), "");
  } catch (const base::Error& error) {
    node.refuse(fmt::format("makes no layer: {}{}{}", error.place().empty() ? "" : error.place().substr(1),
                            error.place().empty() ? "" : " ", error.reason()));
  }
}

}  // namespace mlsim::workloads::onnx_model
