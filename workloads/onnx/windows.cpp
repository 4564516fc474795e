// Windows of convolutions and pooling: kernels, strides, dilations and the four ways in which padding is given.
#include <fmt/format.h>

#include <algorithm>

#include "base/integers.h"
#include "workloads/onnx/operators.h"

namespace mlsim::workloads::onnx_model {
namespace {

constexpr std::int64_t kMost = std::int64_t{1} << 20;

// A list with an entry for each spatial axis, of `low` or more.
Dims list_of(const Node& node, const std::string& name, std::size_t count, std::int64_t otherwise, std::int64_t low) {
  Dims list = node.integers(name);
  if (list.empty()) list.assign(count, otherwise);
  if (list.size() != count) node.refuse(fmt::format("{} has {} entries, expected {}", name, list.size(), count));
  for (const std::int64_t entry : list) {
    if (entry < low || entry > kMost) {
      node.refuse(fmt::format("{} has {}, expected numbers from {} to {}", name, entry, low, kMost));
    }
  }
  return list;
}

Dims spatial_of(const Node& node) {
  const Dims& input = node.dims(0);
  if (input.size() < 3) {
    node.refuse(fmt::format("reads a tensor of {}, expected batch, channels and one or more axes", to_string(input)));
  }
  return {input.begin() + 2, input.end()};
}

void check_auto_pad(const Node& node, const std::string& mode) {
  if (mode != "NOTSET" && mode != "VALID" && mode != "SAME_UPPER" && mode != "SAME_LOWER") {
    node.refuse(fmt::format("auto_pad is '{}', expected NOTSET, VALID, SAME_UPPER or SAME_LOWER", mode));
  }
}

// Half of the zeros on each side; of an odd number one more behind, or in front.
void share_out(Window& window, std::size_t axis, std::int64_t total, bool upper) {
  const std::int64_t fewer = total / 2;
  window.begin[axis] = upper ? fewer : total - fewer;
  window.end[axis] = total - window.begin[axis];
}

std::int64_t extent_of(const Window& window, std::size_t axis) {
  return window.dilation[axis] * (window.kernel[axis] - 1) + 1;
}

// Everything but the positions.
Window read_window(const Node& node, const Dims& kernel) {
  const std::size_t axes = kernel.size();
  Window window;
  window.kernel = kernel;
  window.stride = list_of(node, "strides", axes, 1, 1);
  window.dilation = list_of(node, "dilations", axes, 1, 1);
  const Dims pads = list_of(node, "pads", 2 * axes, 0, 0);
  window.begin.assign(pads.begin(), pads.begin() + static_cast<std::ptrdiff_t>(axes));
  window.end.assign(pads.begin() + static_cast<std::ptrdiff_t>(axes), pads.end());
  return window;
}

Window window_over(const Node& node, const Dims& kernel, bool ceil) {
  const Dims in = spatial_of(node);
  if (kernel.size() != in.size()) {
    node.refuse(fmt::format("has a kernel of {} axes for an input of {}", kernel.size(), in.size()));
  }
  Window window = read_window(node, kernel);
  const std::string mode = node.text("auto_pad", "NOTSET");
  check_auto_pad(node, mode);
  window.out.resize(in.size());
  for (std::size_t axis = 0; axis < in.size(); ++axis) {
    const std::int64_t extent = extent_of(window, axis);
    const std::int64_t stride = window.stride[axis];
    if (mode.starts_with("SAME")) {
      const std::int64_t out = base::ceiling(in[axis], stride);
      share_out(window, axis, std::max<std::int64_t>((out - 1) * stride + extent - in[axis], 0), mode == "SAME_UPPER");
    } else if (mode == "VALID") {
      window.begin[axis] = window.end[axis] = 0;
    }
    const std::int64_t padded = in[axis] + window.begin[axis] + window.end[axis];
    if (extent > padded) {
      node.refuse(fmt::format("has a kernel of {} on an input of {} with its padding", extent, padded));
    }
    window.out[axis] = (padded - extent) / stride + 1;
    if (ceil && (padded - extent) % stride != 0 && window.out[axis] * stride < in[axis] + window.begin[axis]) {
      ++window.out[axis];  // one that starts inside
    }
  }
  return window;
}

Dims weight_kernel(const Node& node) {
  const Dims& weight = node.dims(1);
  const std::size_t rank = node.dims(0).size();
  if (weight.size() != rank || rank < 3) {
    node.refuse(fmt::format("has weights of {} for an input of {}", to_string(weight), to_string(node.dims(0))));
  }
  Dims kernel(weight.begin() + 2, weight.end());
  for (const std::int64_t extent : kernel) {
    if (extent < 1 || extent > kMost) node.refuse(fmt::format("has a kernel of {}", to_string(kernel)));
  }
  const Dims said = node.integers("kernel_shape");
  if (!said.empty() && said != kernel) {
    node.refuse(
        fmt::format("has the kernel_shape {}, expected the {} of its weights", to_string(said), to_string(kernel)));
  }
  return kernel;
}

}  // namespace

std::int64_t Window::size() const {
  return element_count(kernel).value_or(0);
}

Window convolution_window(const Node& node) {
  return window_over(node, weight_kernel(node), false);
}

Window pooling_window(const Node& node) {
  const Dims in = spatial_of(node);
  if (node.type().starts_with("Global")) {
    Window window;
    window.kernel = in;
    window.out.assign(in.size(), 1);
    return window;
  }
  if (!node.has_attribute("kernel_shape")) node.refuse("has no kernel_shape, expected one");
  Window window = window_over(node, list_of(node, "kernel_shape", in.size(), 1, 1), node.integer("ceil_mode", 0) != 0);
  if (!element_count(window.kernel)) node.refuse("has a window of more than 2^56 elements");
  return window;
}

Window transposed_window(const Node& node) {
  const Dims in = spatial_of(node);
  Window window = read_window(node, weight_kernel(node));
  const std::string mode = node.text("auto_pad", "NOTSET");
  check_auto_pad(node, mode);
  const Dims more = list_of(node, "output_padding", in.size(), 0, 0);
  Dims wanted = node.integers("output_shape");
  if (wanted.size() == in.size() + 2) wanted.erase(wanted.begin(), wanted.begin() + 2);
  if (!wanted.empty() && wanted.size() != in.size()) {
    node.refuse(fmt::format("has the output_shape {} for {} axes", to_string(wanted), in.size()));
  }
  window.out.resize(in.size());
  for (std::size_t axis = 0; axis < in.size(); ++axis) {
    const std::int64_t stride = window.stride[axis];
    const std::int64_t whole = stride * (in[axis] - 1) + more[axis] + extent_of(window, axis);
    if (!wanted.empty() || mode.starts_with("SAME")) {
      const std::int64_t out = wanted.empty() ? in[axis] * stride : wanted[axis];
      // Without zeros to cut off, what is longer has zeros behind.
      if (out < 1 || out > whole) {
        node.refuse(fmt::format("gives {} positions, expected 1 to {}", out, whole));
      }
      share_out(window, axis, whole - out, mode == "SAME_UPPER");
    } else if (mode == "VALID") {
      window.begin[axis] = window.end[axis] = 0;
    }
    window.out[axis] = whole - window.begin[axis] - window.end[axis];
    if (window.out[axis] < 1) node.refuse(fmt::format("gives {} positions, expected 1 or more", window.out[axis]));
    const std::int64_t back =
        (window.out[axis] + window.begin[axis] + window.end[axis] - extent_of(window, axis)) / stride + 1;
    if (back != in[axis]) {
      node.refuse(fmt::format("has an output_padding of {} with a stride of {}, expected less than the stride",
                              more[axis], stride));
    }
  }
  return window;
}

}  // namespace mlsim::workloads::onnx_model
