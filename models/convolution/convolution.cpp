#include "models/convolution/convolution.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "base/integers.h"

namespace mlsim::models {
namespace {

// Σ over y from 0 to count - 1 of start - y · stride, clamped to 0..limit.
std::int64_t sum_clamped(std::int64_t start, std::int64_t stride, std::int64_t limit, std::int64_t count) {
  // Of the falling terms, the first `full` are the limit or more and those from `positive` on 0 or less.
  const std::int64_t full = start < limit ? 0 : std::min((start - limit) / stride + 1, count);
  const std::int64_t positive = start < 1 ? 0 : std::min((start - 1) / stride + 1, count);
  const std::int64_t between = positive - full;
  return full * limit + between * start - between * (full + positive - 1) / 2 * stride;
}

// Indices i, of `count`, with 0 <= i · step + shift < in.
IndexRange indices_within(std::int64_t in, std::int64_t count, std::int64_t step, std::int64_t shift) {
  const std::int64_t below = shift >= 0 ? 0 : base::ceiling(-shift, step);
  const std::int64_t behind = shift >= in ? 0 : (in - shift - 1) / step + 1;
  return {below, std::max(std::min(behind, count), below)};
}

// Pairs (output index, kernel index) along one axis that touch an input element and not the padding.
std::int64_t valid_pairs(const ConvolutionShape& shape, std::size_t axis) {
  const std::int64_t in = shape.in_size[axis];
  const std::int64_t out = shape.out_size()[axis];
  const std::int64_t kernel = shape.kernel[axis];
  const std::int64_t stride = shape.stride[axis];
  const std::int64_t dilation = shape.dilation[axis];
  const std::int64_t padding = shape.padding[axis].begin;
  if (dilation == 1) {
    // 0 <= y·stride + k - padding < in: k from padding - y·stride, and as far as in elements on, both in the kernel.
    return sum_clamped(in + padding, stride, kernel, out) - sum_clamped(padding, stride, kernel, out);
  }
  std::int64_t pairs = 0;
  if (kernel <= out) {
    for (std::int64_t k = 0; k < kernel; ++k) pairs += shape.outputs_at(axis, k).size();
  } else {
    for (std::int64_t y = 0; y < out; ++y) pairs += indices_within(in, kernel, dilation, y * stride - padding).size();
  }
  return pairs;
}

}  // namespace

std::string to_string(Overflow overflow) {
  return overflow == Overflow::kSaturate ? "saturate" : "wrap";
}

void ConvolutionShape::check() const {
  const auto positive = [](const char* name, std::int64_t value) {
    if (value < 1)
      throw std::runtime_error(std::string(name) + " is " + std::to_string(value) + ", expected 1 or more");
  };
  positive("batch", batch);
  positive("in_channels", in_channels);
  positive("out_channels", out_channels);
  positive("groups", groups);
  for (const std::size_t axis : {0U, 1U}) {
    positive("in_size", in_size[axis]);
    positive("kernel", kernel[axis]);
    positive("stride", stride[axis]);
    positive("dilation", dilation[axis]);
    for (const std::int64_t side : {padding[axis].begin, padding[axis].end}) {
      if (side < 0) throw std::runtime_error("padding is " + std::to_string(side) + ", expected 0 or more");
    }
    const std::int64_t padded = in_size[axis] + padding[axis].begin + padding[axis].end;
    if (kernel_extent(axis) > padded) {
      throw std::runtime_error("kernel is " + std::to_string(kernel[axis]) +
                               (dilation[axis] == 1 ? "" : " with dilation " + std::to_string(dilation[axis])) +
                               ", larger than the padded input of " + std::to_string(padded));
    }
  }
  if (in_channels % groups != 0 || out_channels % groups != 0) {
    throw std::runtime_error("groups is " + std::to_string(groups) + ", expected a divisor of in_channels " +
                             std::to_string(in_channels) + " and out_channels " + std::to_string(out_channels));
  }
}

std::array<std::int64_t, 2> ConvolutionShape::out_size() const {
  std::array<std::int64_t, 2> size{};
  for (const std::size_t axis : {0U, 1U}) {
    size[axis] = (in_size[axis] + padding[axis].begin + padding[axis].end - kernel_extent(axis)) / stride[axis] + 1;
  }
  return size;
}

Shape ConvolutionShape::activation_shape() const {
  return {batch, in_channels, in_size[0], in_size[1]};
}

Shape ConvolutionShape::weight_shape() const {
  return {out_channels, in_channels / groups, kernel[0], kernel[1]};
}

Shape ConvolutionShape::error_shape() const {
  return {batch, out_channels, out_size()[0], out_size()[1]};
}

Shape ConvolutionShape::shape_of(Operand operand) const {
  switch (operand) {
    case Operand::kActivation:
      return activation_shape();
    case Operand::kWeight:
      return weight_shape();
    case Operand::kError:
      break;
  }
  return error_shape();
}

Shape ConvolutionShape::result_shape(Pass pass) const {
  switch (pass) {
    case Pass::kForward:
      return error_shape();
    case Pass::kBackwardData:
      return activation_shape();
    case Pass::kBackwardWeight:
      break;
  }
  return weight_shape();
}

std::int64_t ConvolutionShape::outer_count(Pass pass) const {
  switch (pass) {
    case Pass::kForward:
      return in_channels / groups;
    case Pass::kBackwardData:
      return out_channels / groups;
    case Pass::kBackwardWeight:
      break;
  }
  return batch;
}

std::int64_t ConvolutionShape::inner_taps(Pass pass) const {
  return pass == Pass::kBackwardWeight ? out_size()[0] * out_size()[1] : kernel[0] * kernel[1];
}

IndexRange ConvolutionShape::outputs_at(std::size_t axis, std::int64_t kernel_position) const {
  return indices_within(in_size[axis], out_size()[axis], stride[axis],
                        kernel_position * dilation[axis] - padding[axis].begin);
}

std::uint64_t ConvolutionShape::multiply_adds(Pass /*pass*/) const {
  // Each pass walks the same set of (image, output position, kernel position, channel pair).
  return static_cast<std::uint64_t>(batch * out_channels * (in_channels / groups) * valid_pairs(*this, 0) *
                                    valid_pairs(*this, 1));
}

std::int64_t Reduction::Cut::end(std::int64_t conv_group, std::int64_t outer) const {
  if (block == 0) return std::numeric_limits<std::int64_t>::max();
  const std::int64_t first = conv_group * stride;
  return ((first + outer) / block + 1) * block - first;
}

Reduction::Reduction(Pass pass, const ConvolutionShape& shape, const ScaleLayout& left, const ScaleLayout& right)
    : conv_groups_(shape.groups), outer_(shape.outer_count(pass)), inner_taps_(shape.inner_taps(pass)) {
  const std::size_t left_dimension = reduction_dimension(left_operand(pass), pass);
  const std::size_t right_dimension = reduction_dimension(right_operand(pass), pass);
  // Channels count over the whole tensor where the operand has all of them: weights hold the input channels of one
  // convolution group only, and an image belongs to every one of them.
  left_ = {left.tile[left_dimension], pass == Pass::kBackwardWeight ? 0 : outer_};
  right_ = {right.tile[right_dimension], pass == Pass::kBackwardData ? outer_ : 0};
  taps_apart_ = !left.constant_over_planes() || !right.constant_over_planes();
  const auto cut_alike = [&](const Cut& cut) { return cut.block <= 1 || cut.stride == 0 || outer_ % cut.block == 0; };
  alike_ = cut_alike(left_) && cut_alike(right_);
  for (std::int64_t group = 0; group < (alike_ ? 1 : conv_groups_); ++group) {
    std::int64_t runs = 0;
    if (left_.block == 1 || right_.block == 1) {
      runs = outer_;
      longest_run_ = 1;
    } else {
      for (std::int64_t outer = 0; outer < outer_; ++runs) {
        const std::int64_t end = run_end(group, outer);
        longest_run_ = std::max(longest_run_, end - outer);
        outer = end;
      }
    }
    if (group == 0) runs_ = runs;
    all_runs_ += runs;
  }
  if (alike_) all_runs_ = runs_ * conv_groups_;
}

std::int64_t Reduction::run_end(std::int64_t conv_group, std::int64_t outer) const {
  return std::min({left_.end(conv_group, outer), right_.end(conv_group, outer), outer_});
}

std::int64_t Reduction::runs(std::int64_t conv_group) const {
  if (alike_ || conv_group == 0) return runs_;
  std::int64_t runs = 0;
  for (std::int64_t outer = 0; outer < outer_; ++runs) outer = run_end(conv_group, outer);
  return runs;
}

int full_accumulator_bits(const ElementFormat& left, const ElementFormat& right, std::int64_t taps) {
  const int log2_taps = std::bit_width(static_cast<std::uint64_t>(taps) - 1);
  return left.integer_bits() + right.integer_bits() + log2_taps + 1;
}

float product_scale(Pass pass, float left, float right) {
  const float scale = left * right;
  if (std::isinf(scale)) {
    throw std::runtime_error(to_string(pass) + ": the product of the tensor scales of " +
                             to_string(left_operand(pass)) + " and " + to_string(right_operand(pass)) +
                             " is beyond binary32");
  }
  return scale;
}

float product_scale(Pass pass, const ScaledTensor& left, const ScaledTensor& right) {
  return product_scale(pass, left.tensor_scale, right.tensor_scale);
}

}  // namespace mlsim::models
