#include "models/convolution/convolution.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <stdexcept>

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

// Pairs (output index, kernel index) along one axis that touch an input element and not the padding.
std::int64_t valid_pairs(std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride,
                         std::int64_t padding) {
  // 0 <= y·stride + k - padding < in: k from padding - y·stride, and as far as in elements on, both within the kernel.
  return sum_clamped(in + padding, stride, kernel, out) - sum_clamped(padding, stride, kernel, out);
}

}  // namespace

std::string to_string(Pass pass) {
  switch (pass) {
    case Pass::kForward:
      return "forward";
    case Pass::kBackwardData:
      return "backward_data";
    case Pass::kBackwardWeight:
      break;
  }
  return "backward_weight";
}

std::string to_string(Operand operand) {
  switch (operand) {
    case Operand::kActivation:
      return "activation";
    case Operand::kWeight:
      return "weight";
    case Operand::kError:
      break;
  }
  return "error";
}

std::string to_string(Overflow overflow) {
  return overflow == Overflow::kSaturate ? "saturate" : "wrap";
}

Operand left_operand(Pass pass) {
  return pass == Pass::kForward ? Operand::kActivation : Operand::kError;
}

Operand right_operand(Pass pass) {
  return pass == Pass::kBackwardWeight ? Operand::kActivation : Operand::kWeight;
}

Operand result_operand(Pass pass) {
  switch (pass) {
    case Pass::kForward:
      return Operand::kActivation;
    case Pass::kBackwardData:
      return Operand::kError;
    case Pass::kBackwardWeight:
      break;
  }
  return Operand::kWeight;
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
    if (padding[axis] < 0) {
      throw std::runtime_error("padding is " + std::to_string(padding[axis]) + ", expected 0 or more");
    }
    if (kernel[axis] > in_size[axis] + 2 * padding[axis]) {
      throw std::runtime_error("kernel is " + std::to_string(kernel[axis]) + ", larger than the padded input of " +
                               std::to_string(in_size[axis] + 2 * padding[axis]));
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
    size[axis] = (in_size[axis] + 2 * padding[axis] - kernel[axis]) / stride[axis] + 1;
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

std::uint64_t ConvolutionShape::multiply_adds(Pass /*pass*/) const {
  // Each pass walks the same set of (image, output position, kernel position, channel pair).
  const auto out = out_size();
  const std::int64_t rows = valid_pairs(in_size[0], out[0], kernel[0], stride[0], padding[0]);
  const std::int64_t columns = valid_pairs(in_size[1], out[1], kernel[1], stride[1], padding[1]);
  return static_cast<std::uint64_t>(batch * out_channels * (in_channels / groups) * rows * columns);
}

Reduction reduction_of(Pass pass, const ConvolutionShape& shape, const ScaleLayout& left, const ScaleLayout& right) {
  // The outer index is the input channel, dimension 1 of both; the output channel, dimension 1 of the error and 0 of
  // the weight; the image, dimension 0 of both.
  const std::size_t left_dimension = pass == Pass::kBackwardWeight ? 0 : 1;
  const std::size_t right_dimension = pass == Pass::kForward ? 1 : 0;
  const bool merged = left.constant_over(left_dimension) && right.constant_over(right_dimension);
  const std::int64_t outer = shape.outer_count(pass);
  const std::int64_t taps = shape.inner_taps(pass);
  return merged ? Reduction{true, 1, outer * taps} : Reduction{false, outer, taps};
}

int full_accumulator_bits(const ElementFormat& left, const ElementFormat& right, std::int64_t taps) {
  const int log2_taps = std::bit_width(static_cast<std::uint64_t>(taps) - 1);
  return left.unit_exponent() + right.unit_exponent() + log2_taps + 1;
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

float product_scale(Pass pass, const MlsTensor& left, const MlsTensor& right) {
  return product_scale(pass, left.tensor_scale, right.tensor_scale);
}

}  // namespace mlsim::models
