#include "workloads/onnx/operators.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <set>
#include <string_view>

#include "base/integers.h"
#include "workloads/onnx/folding.h"

namespace mlsim::workloads::onnx_model {
namespace {

using ::onnx::AttributeProto;
using ::onnx::TensorProto;
using Values = std::vector<Value>;

void set_dims(const Node& node, Value& output, Dims dims) {
  if (!element_count(dims)) {
    node.refuse(
        fmt::format("gives {}, expected each extent from 0 to 2^31 and at most 2^56 elements", to_string(dims)));
  }
  output.dims = std::move(dims);
}

// Those of the first input, in another shape.
void keep_numbers(const Node& node, Value& output) {
  output.content = node.input(0).content;
  if (!node.input(0).origin.swapped) output.origin = node.input(0).origin;
}

std::size_t rank_of(const Node& node, std::size_t index) {
  return node.dims(index).size();
}

// The common shape of two that are broadcast as in NumPy.
Dims broadcast(const Node& node, const Dims& a, const Dims& b) {
  Dims common(std::max(a.size(), b.size()), 1);
  for (const Dims& one : {a, b}) {
    for (std::size_t back = 1; back <= one.size(); ++back) {
      const std::int64_t extent = one[one.size() - back];
      std::int64_t& entry = common[common.size() - back];
      if (extent != 1 && entry != 1 && extent != entry) {
        node.refuse(fmt::format("combines {} with {}, which do not go together", to_string(a), to_string(b)));
      }
      if (extent != 1) entry = extent;
    }
  }
  return common;
}

// Outputs of the first input's shape.
void same(const Node& node, Values& outputs) {
  for (Value& output : outputs) output.dims = node.dims(0);
  fold_elementwise(node, outputs[0]);
}

// The first output alone, as with masks, statistics and positions beside it.
void first_same(const Node& node, Values& outputs) {
  outputs[0].dims = node.dims(0);
}

void elementwise(const Node& node, Values& outputs) {
  Dims dims = node.dims(0);
  for (std::size_t i = 1; i < node.input_count(); ++i) dims = broadcast(node, dims, node.dims(i));
  set_dims(node, outputs[0], dims);
  if (node.type() == "Where") outputs[0].type = node.input(1).type;
  fold_elementwise(node, outputs[0]);
}

void compare(const Node& node, Values& outputs) {
  outputs[0].type = TensorProto::BOOL;
  elementwise(node, outputs);
}

void cast(const Node& node, Values& outputs) {
  outputs[0].dims = node.dims(0);
  outputs[0].type = node.type() == "CastLike" ? node.input(1).type : static_cast<int>(node.integer("to", 0));
  if (is_float(outputs[0].type)) outputs[0].origin = node.input(0).origin;
  if (!node.input(0).content) return;
  std::vector<double> content = *node.input(0).content;
  if (is_integer(outputs[0].type)) {
    for (double& x : content) {
      if (!std::isfinite(x)) return;
      x = outputs[0].type == TensorProto::BOOL ? (x != 0 ? 1.0 : 0.0) : std::trunc(x);
    }
  }
  set_content(outputs[0], std::move(content));
}

void identity(const Node& node, Values& outputs) {
  outputs[0].dims = node.dims(0);
  outputs[0].content = node.input(0).content;
  outputs[0].origin = node.input(0).origin;
}

void constant(const Node& node, Values& outputs) {
  Value& output = outputs[0];
  if (const AttributeProto* const value = node.attribute("value")) {
    const TensorProto& tensor = value->t();
    output.type = tensor.data_type();
    set_dims(node, output, dims_of(node.model(), tensor));
    output.origin.tensor = &tensor;
    if (element_count(*output.dims).value_or(0) <= kMostContent && (is_float(output.type) || is_integer(output.type))) {
      set_content(output, load_doubles(node.model(), tensor));
    }
    return;
  }
  for (const char* name : {"value_int", "value_ints", "value_float", "value_floats"}) {
    const AttributeProto* const given = node.attribute(name);
    if (given == nullptr) continue;
    const bool integers = name[6] == 'i';
    output.type = integers ? TensorProto::INT64 : TensorProto::FLOAT;
    std::vector<double> content;
    if (given->type() == AttributeProto::INTS || given->type() == AttributeProto::FLOATS) {
      content.assign(given->ints().begin(), given->ints().end());
      content.insert(content.end(), given->floats().begin(), given->floats().end());
      set_dims(node, output, {static_cast<std::int64_t>(content.size())});
    } else {
      content = {integers ? static_cast<double>(given->i()) : given->f()};
      set_dims(node, output, {});
    }
    set_content(output, std::move(content));
    return;
  }
}

void constant_of_shape(const Node& node, Values& outputs) {
  Value& output = outputs[0];
  set_dims(node, output, node.integers_of(0));
  double filled = 0;
  output.type = TensorProto::FLOAT;
  if (const AttributeProto* const value = node.attribute("value")) {
    output.type = value->t().data_type();
    if (element_count(dims_of(node.model(), value->t())) == 1) filled = load_doubles(node.model(), value->t()).at(0);
  }
  const std::int64_t count = element_count(*output.dims).value_or(0);
  if (count <= kMostContent) set_content(output, std::vector<double>(static_cast<std::size_t>(count), filled));
}

void shape(const Node& node, Values& outputs) {
  const Dims& dims = node.dims(0);
  const auto rank = static_cast<std::int64_t>(dims.size());
  const auto clamped = [&](std::int64_t at) { return std::clamp<std::int64_t>(at < 0 ? at + rank : at, 0, rank); };
  const std::int64_t begin = clamped(node.integer("start", 0));
  const std::int64_t end = std::max(begin, clamped(node.integer("end", rank)));
  outputs[0].type = TensorProto::INT64;
  outputs[0].constant = true;  // whatever the values are
  outputs[0].trained = false;
  set_dims(node, outputs[0], {end - begin});
  set_content(outputs[0], std::vector<double>(dims.begin() + begin, dims.begin() + end));
}

void size(const Node& node, Values& outputs) {
  outputs[0].type = TensorProto::INT64;
  outputs[0].constant = true;
  outputs[0].trained = false;
  set_dims(node, outputs[0], {});
  set_content(outputs[0], {static_cast<double>(element_count(node.dims(0)).value_or(0))});
}

void reshape(const Node& node, Values& outputs) {
  const Dims& in = node.dims(0);
  Dims out = node.has_attribute("shape") ? node.integers("shape") : node.integers_of(1);
  const std::int64_t count = element_count(in).value_or(0);
  const bool copies_zeros = node.integer("allowzero", 0) == 0;
  std::int64_t known = 1;
  std::int64_t* open = nullptr;
  for (std::size_t axis = 0; axis < out.size(); ++axis) {
    if (out[axis] == 0 && copies_zeros && axis < in.size()) out[axis] = in[axis];
    if (out[axis] == -1 && open == nullptr) {
      open = &out[axis];
    } else if (out[axis] < 0 || out[axis] > kLargestExtent ||
               known > (std::int64_t{1} << 57) / std::max<std::int64_t>(out[axis], 1)) {
      node.refuse(fmt::format("makes {} of {}", to_string(out), to_string(in)));
    } else {
      known *= out[axis];
    }
  }
  if (open != nullptr && known > 0 && count % known == 0) {
    *open = count / known;
    known *= *open;
  }
  if (known != count) {
    node.refuse(fmt::format("makes {} of {}, which has {} elements", to_string(out), to_string(in), count));
  }
  set_dims(node, outputs[0], out);
  keep_numbers(node, outputs[0]);
}

void flatten(const Node& node, Values& outputs) {
  const Dims& in = node.dims(0);
  const std::int64_t given = node.integer("axis", 1);
  const std::size_t axis = given == static_cast<std::int64_t>(in.size()) ? in.size() : node.axis(given, in.size());
  std::int64_t rows = 1;
  std::int64_t columns = 1;
  for (std::size_t i = 0; i < in.size(); ++i) (i < axis ? rows : columns) *= in[i];
  set_dims(node, outputs[0], {rows, columns});
  outputs[0].content = node.input(0).content;
}

void transpose(const Node& node, Values& outputs) {
  const Dims& in = node.dims(0);
  Dims order = node.integers("perm");
  if (order.empty()) {
    order.resize(in.size());
    std::iota(order.rbegin(), order.rend(), 0);
  }
  Dims sorted = order;
  std::sort(sorted.begin(), sorted.end());
  Dims straight(in.size());
  std::iota(straight.begin(), straight.end(), 0);
  if (sorted != straight) node.refuse(fmt::format("has the perm {} for {} axes", to_string(order), in.size()));
  Dims out;
  for (const std::int64_t axis : order) out.push_back(in[static_cast<std::size_t>(axis)]);
  set_dims(node, outputs[0], out);
  if (in.size() < 2) {
    outputs[0].content = node.input(0).content;
    return;
  }
  std::swap(straight[in.size() - 1], straight[in.size() - 2]);
  if (order == straight) {
    Origin& origin = outputs[0].origin;
    origin = node.input(0).origin;
    if (!origin.swapped) origin.dims = in;
    origin.swapped = !origin.swapped;
  }
}

std::set<std::size_t> axes_set(const Node& node, const Dims& axes, std::size_t rank) {
  std::set<std::size_t> set;
  for (const std::int64_t given : axes) {
    if (!set.insert(node.axis(given, rank)).second) node.refuse(fmt::format("names axis {} twice", given));
  }
  return set;
}

void squeeze(const Node& node, Values& outputs) {
  const Dims& in = node.dims(0);
  const std::optional<Dims> axes = node.axes("axes", 1);
  const std::set<std::size_t> gone = axes_set(node, axes.value_or(Dims()), in.size());
  Dims out;
  for (std::size_t axis = 0; axis < in.size(); ++axis) {
    if (gone.contains(axis) && in[axis] != 1) {
      node.refuse(fmt::format("leaves out axis {} of {}, expected one of extent 1", axis, to_string(in)));
    }
    if (!gone.contains(axis) && (axes || in[axis] != 1)) out.push_back(in[axis]);
  }
  set_dims(node, outputs[0], out);
  keep_numbers(node, outputs[0]);
}

void unsqueeze(const Node& node, Values& outputs) {
  const Dims& in = node.dims(0);
  const Dims axes = node.axes("axes", 1).value_or(Dims());
  const std::size_t rank = in.size() + axes.size();
  const std::set<std::size_t> added = axes_set(node, axes, rank);
  Dims out;
  auto next = in.begin();
  for (std::size_t axis = 0; axis < rank; ++axis) out.push_back(added.contains(axis) ? 1 : *next++);
  set_dims(node, outputs[0], out);
  keep_numbers(node, outputs[0]);
}

void concat(const Node& node, Values& outputs) {
  Dims out = node.dims(0);
  const std::size_t axis = node.axis(node.integer("axis", 0), out.size());
  std::vector<double> content;
  bool known = out.size() == 1;
  for (std::size_t i = 0; i < node.input_count(); ++i) {
    Dims other = node.dims(i);
    if (other.size() != out.size()) node.refuse(fmt::format("joins {} and {}", to_string(out), to_string(other)));
    if (i > 0) out[axis] += other[axis];
    other[axis] = out[axis];
    if (other != out) node.refuse(fmt::format("joins {} and {}", to_string(out), to_string(node.dims(i))));
    known = known && node.input(i).content;
    if (known) content.insert(content.end(), node.input(i).content->begin(), node.input(i).content->end());
  }
  set_dims(node, outputs[0], out);
  if (known) set_content(outputs[0], std::move(content));
}

void split(const Node& node, Values& outputs) {
  const Dims& in = node.dims(0);
  const std::size_t axis = node.axis(node.integer("axis", 0), in.size());
  const auto parts = static_cast<std::int64_t>(outputs.size());
  Dims sizes = node.axes("split", 1).value_or(Dims());
  if (sizes.empty()) {
    const std::int64_t part = base::ceiling(in[axis], parts);
    for (std::int64_t i = 0; i < parts; ++i) sizes.push_back(std::clamp<std::int64_t>(in[axis] - i * part, 0, part));
  }
  std::int64_t total = 0;
  for (const std::int64_t part : sizes) total += std::clamp<std::int64_t>(part, 0, kLargestExtent);
  if (sizes.size() != outputs.size() || total != in[axis]) {
    node.refuse(fmt::format("splits an axis of {} into {} for {} outputs", in[axis], to_string(sizes), parts));
  }
  std::int64_t begin = 0;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    Dims out = in;
    out[axis] = sizes[i];
    set_dims(node, outputs[i], out);
    if (node.input(0).content) {
      Dims indices(static_cast<std::size_t>(std::max<std::int64_t>(sizes[i], 0)));
      std::iota(indices.begin(), indices.end(), begin);
      set_content(outputs[i], taken_along(*node.input(0).content, in, axis, indices));
    }
    begin += sizes[i];
  }
}

// The positions that a slice takes of an extent.
std::int64_t slice_length(std::int64_t& start, std::int64_t end, std::int64_t step, std::int64_t extent) {
  const auto from_end = [&](std::int64_t at) { return at < 0 ? at + extent : at; };
  if (step > 0) {
    start = std::clamp<std::int64_t>(from_end(start), 0, extent);
    end = std::clamp<std::int64_t>(from_end(end), 0, extent);
    return end > start ? (end - start - 1) / step + 1 : 0;
  }
  start = std::clamp<std::int64_t>(from_end(start), -1, extent - 1);
  end = std::clamp<std::int64_t>(from_end(end), -1, extent - 1);
  return start > end ? (start - end - 1) / -step + 1 : 0;
}

void slice(const Node& node, Values& outputs) {
  const Dims& in = node.dims(0);
  const bool by_attribute = node.has_attribute("starts");
  const Dims starts = by_attribute ? node.integers("starts") : node.integers_of(1);
  const Dims ends = by_attribute ? node.integers("ends") : node.integers_of(2);
  Dims axes = by_attribute ? node.integers("axes") : node.has_input(3) ? node.integers_of(3) : Dims();
  Dims steps = !by_attribute && node.has_input(4) ? node.integers_of(4) : Dims(starts.size(), 1);
  if (axes.empty()) {
    axes.resize(starts.size());
    std::iota(axes.begin(), axes.end(), 0);
  }
  if (ends.size() != starts.size() || axes.size() != starts.size() || steps.size() != starts.size()) {
    node.refuse("has starts, ends, axes and steps of different lengths");
  }
  axes_set(node, axes, in.size());
  Dims out = in;
  std::optional<std::vector<double>> content = node.input(0).content;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const std::size_t axis = node.axis(axes[i], in.size());
    const std::int64_t step = std::clamp(steps[i], -kLargestExtent, kLargestExtent);
    if (step == 0) node.refuse("has a step of 0");
    std::int64_t start = starts[i];
    const std::int64_t length = slice_length(start, ends[i], step, in[axis]);
    if (content && length <= kMostContent) {
      Dims indices;
      for (std::int64_t k = 0; k < length; ++k) indices.push_back(start + k * step);
      content = taken_along(*content, out, axis, indices);
    }
    out[axis] = length;
  }
  set_dims(node, outputs[0], out);
  if (content) set_content(outputs[0], std::move(*content));
}

void gather(const Node& node, Values& outputs) {
  const Dims& data = node.dims(0);
  const Dims& indices = node.dims(1);
  const std::size_t axis = node.axis(node.integer("axis", 0), data.size());
  Dims out(data.begin(), data.begin() + static_cast<std::ptrdiff_t>(axis));
  out.insert(out.end(), indices.begin(), indices.end());
  out.insert(out.end(), data.begin() + static_cast<std::ptrdiff_t>(axis) + 1, data.end());
  set_dims(node, outputs[0], out);
  if (!node.input(0).content || !node.input(1).content) return;
  Dims wanted = node.integers_of(1);
  for (std::int64_t& index : wanted) {
    if (index < -data[axis] || index >= data[axis]) {
      node.refuse(fmt::format("takes element {} of {}", index, data[axis]));
    }
    if (index < 0) index += data[axis];
  }
  set_content(outputs[0], taken_along(*node.input(0).content, data, axis, wanted));
}

void gather_elements(const Node& node, Values& outputs) {
  outputs[0].dims = node.dims(1);
}

void gather_nd(const Node& node, Values& outputs) {
  const Dims& data = node.dims(0);
  const Dims& indices = node.dims(1);
  const std::int64_t batch = node.integer("batch_dims", 0);
  const std::int64_t depth = indices.empty() ? -1 : indices.back();
  if (batch < 0 || depth < 0 || depth > static_cast<std::int64_t>(data.size()) - batch) {
    node.refuse(fmt::format("takes {} of {}", to_string(indices), to_string(data)));
  }
  Dims out(indices.begin(), indices.end() - 1);
  out.insert(out.end(), data.begin() + batch + depth, data.end());
  set_dims(node, outputs[0], out);
}

void pad(const Node& node, Values& outputs) {
  Dims out = node.dims(0);
  const Dims pads = node.axes(node.has_attribute("paddings") ? "paddings" : "pads", 1).value_or(Dims());
  Dims axes(out.size());
  std::iota(axes.begin(), axes.end(), 0);
  if (node.has_input(3)) axes = node.integers_of(3);
  axes_set(node, axes, out.size());
  if (pads.size() != 2 * axes.size()) node.refuse(fmt::format("has {} pads for {} axes", pads.size(), axes.size()));
  for (std::size_t i = 0; i < axes.size(); ++i) {
    for (const std::int64_t side : {pads[i], pads[axes.size() + i]}) {
      out[node.axis(axes[i], out.size())] += std::clamp(side, -kLargestExtent, kLargestExtent);
    }
  }
  set_dims(node, outputs[0], out);
}

void expand(const Node& node, Values& outputs) {
  set_dims(node, outputs[0], broadcast(node, node.dims(0), node.integers_of(1)));
  if (node.input(0).content && node.input(0).content->size() == 1) {
    const std::int64_t count = element_count(*outputs[0].dims).value_or(0);
    if (count > kMostContent) return;
    set_content(outputs[0], std::vector<double>(static_cast<std::size_t>(count), node.input(0).content->front()));
  } else if (*outputs[0].dims == node.dims(0)) {
    outputs[0].content = node.input(0).content;
  }
}

void tile(const Node& node, Values& outputs) {
  Dims out = node.dims(0);
  const Dims repeats = node.integers_of(1);
  if (repeats.size() != out.size()) node.refuse(fmt::format("has {} repeats for {} axes", repeats.size(), out.size()));
  for (std::size_t axis = 0; axis < out.size(); ++axis) {
    if (repeats[axis] < 0 || repeats[axis] > kLargestExtent) {
      node.refuse(fmt::format("repeats an axis {} times", repeats[axis]));
    }
    out[axis] *= repeats[axis];
  }
  set_dims(node, outputs[0], out);
}

void range(const Node& node, Values& outputs) {
  std::array<double, 3> numbers{};
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    if (node.content(i).size() != 1) node.refuse("has a start, limit or delta that is no single number");
    numbers[i] = node.content(i).front();
  }
  const auto [start, limit, delta] = numbers;
  const double steps = std::ceil((limit - start) / delta);
  if (delta == 0 || !std::isfinite(steps)) node.refuse("has no end");
  const std::int64_t count = std::max<std::int64_t>(to_integer(steps), 0);
  set_dims(node, outputs[0], {count});
  std::vector<double> content;
  for (std::int64_t i = 0; i < std::min(count, kMostContent); ++i)
    content.push_back(start + static_cast<double>(i) * delta);
  set_content(outputs[0], std::move(content));
}

void one_hot(const Node& node, Values& outputs) {
  Dims out = node.dims(0);
  const std::int64_t given = node.integer("axis", -1);
  const std::size_t axis = node.axis(given, out.size() + 1);
  const Dims depth = node.integers_of(1);
  if (depth.size() != 1) node.refuse("has no depth, expected one number");
  out.insert(out.begin() + static_cast<std::ptrdiff_t>(axis), depth[0]);
  set_dims(node, outputs[0], out);
  outputs[0].type = node.input(2).type;
}

void top_k(const Node& node, Values& outputs) {
  Dims out = node.dims(0);
  const Dims k = node.has_attribute("k") ? Dims{node.integer("k", 0)} : node.integers_of(1);
  if (k.size() != 1) node.refuse("has no k, expected one number");
  out[node.axis(node.integer("axis", -1), out.size())] = k[0];
  for (Value& output : outputs) set_dims(node, output, out);
  if (outputs.size() > 1) outputs[1].type = TensorProto::INT64;
}

void resize(const Node& node, Values& outputs) {
  const bool is_upsample = node.type() == "Upsample";
  const std::size_t scales_at = is_upsample || node.opset() < 11 ? 1 : 2;
  Dims out = node.dims(0);
  Dims axes(out.size());
  std::iota(axes.begin(), axes.end(), 0);
  if (node.has_attribute("axes")) axes = node.integers("axes");
  const auto check = [&](std::size_t count) {
    if (count != axes.size()) node.refuse(fmt::format("has {} sizes for {} axes", count, axes.size()));
  };
  if (!is_upsample && node.has_input(3)) {
    const Dims sizes = node.integers_of(3);
    check(sizes.size());
    for (std::size_t i = 0; i < axes.size(); ++i) out[node.axis(axes[i], out.size())] = sizes[i];
  } else {
    std::vector<double> scales;
    if (const AttributeProto* const given = node.attribute("scales")) {
      scales.assign(given->floats().begin(), given->floats().end());
    } else {
      scales = node.content(scales_at);
    }
    check(scales.size());
    for (std::size_t i = 0; i < axes.size(); ++i) {
      std::int64_t& extent = out[node.axis(axes[i], out.size())];
      extent = to_integer(std::floor(static_cast<double>(extent) * scales[i]));
    }
  }
  set_dims(node, outputs[0], out);
}

void depth_to_space(const Node& node, Values& outputs) {
  Dims out = node.dims(0);
  const std::int64_t block = node.integer("blocksize", 0);
  const bool widens = node.type() == "DepthToSpace";
  if (block < 1 || block > 1 << 15 || out.size() != 4 || (widens && out[1] % (block * block) != 0)) {
    node.refuse(fmt::format("has blocks of {} for {}", block, to_string(out)));
  }
  out[1] = widens ? out[1] / (block * block) : out[1] * block * block;
  for (const std::size_t axis : {2U, 3U}) out[axis] = widens ? out[axis] * block : out[axis] / block;
  set_dims(node, outputs[0], out);
}

void fold_reduction(const Node& node, Value& output) {
  const std::vector<double>& content = *node.input(0).content;
  if (element_count(*output.dims) != 1 || content.empty()) return;
  double sum = node.type() == "ReduceProd" ? 1 : node.type() == "ReduceSum" ? 0 : content.front();
  for (const double x : content) {
    if (node.type() == "ReduceProd")
      sum *= x;
    else if (node.type() == "ReduceSum")
      sum += x;
    else if (node.type() == "ReduceMax")
      sum = std::max(sum, x);
    else if (node.type() == "ReduceMin")
      sum = std::min(sum, x);
    else
      return;
  }
  set_content(output, {sum});
}

void reduce(const Node& node, Values& outputs) {
  const Dims& in = node.dims(0);
  const bool is_arg = node.type().starts_with("Arg");
  Dims axes = is_arg ? Dims{node.integer("axis", 0)} : node.axes("axes", 1).value_or(Dims());
  if (axes.empty() && node.integer("noop_with_empty_axes", 0) == 0) {
    axes.resize(in.size());
    std::iota(axes.begin(), axes.end(), 0);
  }
  const std::set<std::size_t> gone = axes_set(node, axes, in.size());
  const bool keeps = node.integer("keepdims", 1) != 0;
  Dims out;
  for (std::size_t axis = 0; axis < in.size(); ++axis) {
    if (!gone.contains(axis))
      out.push_back(in[axis]);
    else if (keeps)
      out.push_back(1);
  }
  set_dims(node, outputs[0], out);
  if (is_arg)
    outputs[0].type = TensorProto::INT64;
  else if (node.input(0).content)
    fold_reduction(node, outputs[0]);
}

Dims with_positions(const Node& node, std::int64_t channels, const Dims& positions) {
  Dims out{node.dims(0)[0], channels};
  out.insert(out.end(), positions.begin(), positions.end());
  return out;
}

std::int64_t groups_of(const Node& node) {
  const std::int64_t groups = node.integer("group", 1);
  if (groups < 1 || groups > kLargestExtent) node.refuse(fmt::format("has {} groups, expected 1 or more", groups));
  return groups;
}

void convolution(const Node& node, Values& outputs) {
  const Window window = convolution_window(node);
  const Dims& in = node.dims(0);
  const Dims& weight = node.dims(1);
  const std::int64_t groups = groups_of(node);
  if (in[1] != weight[1] * groups || weight[0] % groups != 0) {
    node.refuse(
        fmt::format("has weights of {} in {} groups for an input of {}", to_string(weight), groups, to_string(in)));
  }
  set_dims(node, outputs[0], with_positions(node, weight[0], window.out));
}

void transposed_convolution(const Node& node, Values& outputs) {
  const Window window = transposed_window(node);
  const Dims& in = node.dims(0);
  const Dims& weight = node.dims(1);
  const std::int64_t groups = groups_of(node);
  if (in[1] != weight[0] || weight[0] % groups != 0) {
    node.refuse(
        fmt::format("has weights of {} in {} groups for an input of {}", to_string(weight), groups, to_string(in)));
  }
  set_dims(node, outputs[0], with_positions(node, weight[1] * groups, window.out));
}

void pool(const Node& node, Values& outputs) {
  const Window window = pooling_window(node);
  const Dims out = with_positions(node, node.dims(0)[1], window.out);
  for (Value& output : outputs) set_dims(node, output, out);
  if (outputs.size() > 1) outputs[1].type = TensorProto::INT64;
}

void gemm(const Node& node, Values& outputs) {
  Dims a = node.dims(0);
  Dims b = node.dims(1);
  if (a.size() != 2 || b.size() != 2) {
    node.refuse(fmt::format("multiplies {} by {}, expected two matrices", to_string(a), to_string(b)));
  }
  if (node.integer("transA", 0) != 0) std::swap(a[0], a[1]);
  if (node.integer("transB", 0) != 0) std::swap(b[0], b[1]);
  if (a[1] != b[0]) node.refuse(fmt::format("multiplies {} by {}", to_string(a), to_string(b)));
  set_dims(node, outputs[0], {a[0], b[1]});
}

void mat_mul(const Node& node, Values& outputs) {
  Dims a = node.dims(0);
  Dims b = node.dims(1);
  const bool row = a.size() == 1;
  const bool column = b.size() == 1;
  if (a.empty() || b.empty()) node.refuse("multiplies a scalar, expected matrices");
  if (row) a.insert(a.begin(), 1);
  if (column) b.push_back(1);
  if (a.back() != b[b.size() - 2]) {
    node.refuse(fmt::format("multiplies {} by {}", to_string(node.dims(0)), to_string(node.dims(1))));
  }
  Dims out = broadcast(node, {a.begin(), a.end() - 2}, {b.begin(), b.end() - 2});
  if (!row) out.push_back(a[a.size() - 2]);
  if (!column) out.push_back(b.back());
  set_dims(node, outputs[0], out);
}

void batch_norm(const Node& node, Values& outputs) {
  const Dims& in = node.dims(0);
  if (in.size() < 2) node.refuse(fmt::format("reads {}, expected batch and channels", to_string(in)));
  if (node.dims(1) != Dims{in[1]}) {
    node.refuse(fmt::format("has scales of {} for {} channels", to_string(node.dims(1)), in[1]));
  }
  outputs[0].dims = in;
  for (std::size_t i = 1; i < outputs.size(); ++i) outputs[i].dims = Dims{in[1]};
}

// X is length, batch, features, or with layout 1 batch, length, features.
void recurrent(const Node& node, Values& outputs) {
  const Dims& in = node.dims(0);
  if (in.size() != 3) node.refuse(fmt::format("reads {}, expected three axes", to_string(in)));
  const std::int64_t hidden = node.integer("hidden_size", 0);
  const std::int64_t directions = node.text("direction", "forward") == "bidirectional" ? 2 : 1;
  const bool batch_first = node.integer("layout", 0) != 0;
  const std::int64_t batch = batch_first ? in[0] : in[1];
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const Dims states = batch_first ? Dims{batch, directions, hidden} : Dims{directions, batch, hidden};
    const Dims all = batch_first ? Dims{in[0], in[1], directions, hidden} : Dims{in[0], directions, in[1], hidden};
    set_dims(node, outputs[i], i == 0 ? all : states);
  }
}

// The labels of an equation's operands and result, without spaces; nothing for ellipses.
std::optional<std::pair<std::vector<std::string>, std::string>> einsum_labels(const Node& node) {
  std::string equation = node.text("equation", "");
  std::erase(equation, ' ');
  const std::size_t arrow = equation.find("->");
  if (arrow == std::string::npos || equation.find('.') != std::string::npos) return std::nullopt;
  std::vector<std::string> operands(1);
  for (const char c : equation.substr(0, arrow)) {
    if (c == ',')
      operands.emplace_back();
    else
      operands.back() += c;
  }
  return std::pair{operands, equation.substr(arrow + 2)};
}

std::optional<std::map<char, std::int64_t>> einsum_extents(const Node& node) {
  const auto labels = einsum_labels(node);
  if (!labels || labels->first.size() != node.input_count()) return std::nullopt;
  std::map<char, std::int64_t> extents;
  for (std::size_t i = 0; i < node.input_count(); ++i) {
    if (labels->first[i].size() != rank_of(node, i)) return std::nullopt;
    for (std::size_t axis = 0; axis < labels->first[i].size(); ++axis) {
      std::int64_t& extent = extents.emplace(labels->first[i][axis], 1).first->second;
      extent = std::max(extent, node.dims(i)[axis]);
    }
  }
  return extents;
}

void einsum(const Node& node, Values& outputs) {
  const auto labels = einsum_labels(node);
  const auto extents = einsum_extents(node);
  if (!labels || !extents) throw UnknownSizes();
  Dims out;
  for (const char label : labels->second) {
    const auto extent = extents->find(label);
    if (extent == extents->end()) node.refuse(fmt::format("has the equation '{}'", node.text("equation", "")));
    out.push_back(extent->second);
  }
  set_dims(node, outputs[0], out);
}

void quantize(const Node& node, Values& outputs) {
  outputs[0].dims = node.dims(0);
  outputs[0].type = node.type() == "QuantizeLinear" ? TensorProto::UINT8 : TensorProto::FLOAT;
}

using Table = std::map<std::string_view, Operator>;

void add_all(Table& table, std::initializer_list<std::string_view> names, Operator what) {
  for (const std::string_view name : names) table[name] = what;
}

Table make_table() {
  Table table{{"Conv", {convolution, Work::kConvolution}},
              {"ConvTranspose", {transposed_convolution, Work::kTransposedConvolution}},
              {"Gemm", {gemm, Work::kGemm}},
              {"MatMul", {mat_mul, Work::kMatMul}},
              {"BatchNormalization", {batch_norm, Work::kBatchNorm}},
              {"Constant", {constant, Work::kMove}},
              {"ConstantOfShape", {constant_of_shape, Work::kMove}},
              {"Shape", {shape, Work::kMove}},
              {"Size", {size, Work::kMove}},
              {"Reshape", {reshape, Work::kMove}},
              {"Flatten", {flatten, Work::kMove}},
              {"Transpose", {transpose, Work::kMove}},
              {"Squeeze", {squeeze, Work::kMove}},
              {"Unsqueeze", {unsqueeze, Work::kMove}},
              {"Concat", {concat, Work::kMove}},
              {"Split", {split, Work::kMove}},
              {"Slice", {slice, Work::kMove}},
              {"Gather", {gather, Work::kEmbed}},
              {"GatherElements", {gather_elements, Work::kMove}},
              {"GatherND", {gather_nd, Work::kMove}},
              {"Pad", {pad, Work::kMove}},
              {"Expand", {expand, Work::kMove}},
              {"Tile", {tile, Work::kMove}},
              {"Range", {range, Work::kMove}},
              {"OneHot", {one_hot, Work::kMove}},
              {"TopK", {top_k, Work::kMove}},
              {"Identity", {identity, Work::kMove}},
              {"Einsum", {einsum, Work::kUnknown}},
              {"Where", {elementwise, Work::kGate}},
              {"Softmax", {same, Work::kSoftmax}},
              {"LogSoftmax", {same, Work::kSoftmax}}};
  add_all(table, {"Resize", "Upsample"}, {resize, Work::kMove});
  add_all(table, {"DepthToSpace", "SpaceToDepth"}, {depth_to_space, Work::kMove});
  add_all(table, {"Cast", "CastLike"}, {cast, Work::kMove});
  add_all(table, {"QuantizeLinear", "DequantizeLinear"}, {quantize, Work::kMove});
  add_all(table, {"LSTM", "GRU", "RNN"}, {recurrent, Work::kUnknown});
  add_all(table,
          {"Dropout", "ScatterElements", "ScatterND", "Scatter", "Trilu", "EyeLike", "ReverseSequence",
           "RandomNormalLike", "RandomUniformLike", "Bernoulli", "Hardmax"},
          {first_same, Work::kMove});
  add_all(table,
          {"LayerNormalization", "InstanceNormalization", "GroupNormalization", "LRN", "LpNormalization",
           "MeanVarianceNormalization", "RMSNormalization", "SimplifiedLayerNormalization"},
          {first_same, Work::kLayerNorm});
  add_all(table, {"Relu", "Clip", "LeakyRelu", "ThresholdedRelu", "HardSigmoid", "HardSwish", "Shrink", "Softsign"},
          {first_same, Work::kGate});
  add_all(table, {"Abs", "Neg", "Sign", "Floor", "Ceil", "Round"}, {same, Work::kGate});
  add_all(table,
          {"Sigmoid", "Tanh", "Erf",  "Exp",  "Log",  "Softplus", "Elu",  "Selu",  "Celu",  "Gelu",  "Mish", "Sin",
           "Cos",     "Tan",  "Asin", "Acos", "Atan", "Sinh",     "Cosh", "Asinh", "Acosh", "Atanh", "Swish"},
          {first_same, Work::kSmooth});
  add_all(table, {"Sqrt", "Reciprocal"}, {same, Work::kSmooth});
  add_all(table, {"Add", "Sub", "Sum", "Mean"}, {elementwise, Work::kAdd});
  add_all(table, {"Mul", "Div", "Mod", "Pow"}, {elementwise, Work::kMultiply});
  add_all(table, {"Min", "Max", "PRelu"}, {elementwise, Work::kGate});
  add_all(table, {"Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "And", "Or", "Xor"},
          {compare, Work::kMove});
  add_all(table, {"Not", "IsNaN", "IsInf"}, {same, Work::kMove});
  add_all(table, {"MaxPool", "AveragePool", "LpPool", "GlobalMaxPool", "GlobalAveragePool", "GlobalLpPool"},
          {pool, Work::kPool});
  add_all(table,
          {"ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare",
           "ReduceLogSum", "ReduceLogSumExp"},
          {reduce, Work::kReduce});
  add_all(table, {"ArgMax", "ArgMin"}, {reduce, Work::kMove});
  table["CumSum"] = {first_same, Work::kAdd};
  return table;
}

}  // namespace

const Operator* find_operator(const ::onnx::NodeProto& node) {
  static const Table table = make_table();
  if (!node.domain().empty() && node.domain() != "ai.onnx") return nullptr;
  const auto found = table.find(node.op_type());
  return found == table.end() ? nullptr : &found->second;
}

void infer(const Operator& known, const Node& node, std::vector<Value>& outputs) {
  try {
    known.rule(node, outputs);
  } catch (const UnknownSizes&) {
    // Left open; the file may say it.
  }
}

double multiply_adds_of(const Node& node) {
  const auto count = [](const Dims& dims) { return static_cast<double>(element_count(dims).value_or(0)); };
  if (node.type() == "Einsum") {
    const auto extents = einsum_extents(node);
    if (!extents) throw UnknownSizes();
    double product = 1;
    for (const auto& [label, extent] : *extents) product *= static_cast<double>(extent);
    return product;
  }
  if (node.type() == "Conv") {
    return static_cast<double>(node.dims(0)[0]) * count(convolution_window(node).out) * count(node.dims(1));
  }
  if (node.type() == "ConvTranspose") {
    const Dims& in = node.dims(0);
    return static_cast<double>(in[0]) * count({in.begin() + 2, in.end()}) * count(node.dims(1));
  }
  // Recurrent: the weights of inputs and of states once for each step and sequence.
  const Dims& in = node.dims(0);
  if (in.size() == 3)
    return static_cast<double>(in[0]) * static_cast<double>(in[1]) * (count(node.dims(1)) + count(node.dims(2)));
  throw UnknownSizes();
}

}  // namespace mlsim::workloads::onnx_model
