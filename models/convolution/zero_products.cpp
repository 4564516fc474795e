#include "models/convolution/zero_products.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <functional>

#include "base/integers.h"
#include "base/parallel.h"

namespace mlsim::models {
namespace {

using Sums = std::vector<std::uint64_t>;

std::size_t index(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

// Of every kernel position along an axis.
std::vector<IndexRange> outputs_along(const ConvolutionShape& shape, std::size_t axis) {
  std::vector<IndexRange> all;
  all.reserve(index(shape.kernel[axis]));
  for (std::int64_t k = 0; k < shape.kernel[axis]; ++k) all.push_back(shape.outputs_at(axis, k));
  return all;
}

// Adds up planes of bytes.
std::vector<std::uint32_t> sum_of_planes(const std::uint8_t* planes, std::int64_t count, std::int64_t distance,
                                         std::int64_t size) {
  std::vector<std::uint32_t> sums(index(size));
  for (std::int64_t plane = 0; plane < count; ++plane, planes += distance) {
    for (std::int64_t i = 0; i < size; ++i) sums[index(i)] += planes[i];
  }
  return sums;
}

// An operand's planes, and which of their elements kernel position k meets at output o of an axis:
// o · step + k · kernel_step - padding.
struct TapOperand {
  std::int64_t channels;
  std::array<std::int64_t, 2> size;
  std::array<std::int64_t, 2> step;
  std::array<std::int64_t, 2> kernel_step;
  std::array<std::int64_t, 2> padding;
};

// For each channel and kernel position, how many elements that are not zero its taps meet, over images and outputs.
Sums sums_of_taps(const ConvolutionShape& shape, const TapOperand& operand, const std::vector<std::uint8_t>& nonzero) {
  const std::vector<IndexRange> rows = outputs_along(shape, 0);
  const std::vector<IndexRange> columns = outputs_along(shape, 1);
  const std::int64_t kernel = shape.kernel[0] * shape.kernel[1];
  const std::int64_t width = operand.size[1];
  const std::int64_t plane = operand.size[0] * width;
  Sums sums(index(operand.channels * kernel));
  base::parallel_for(std::int64_t{0}, operand.channels, [&](std::int64_t c) {
    const std::vector<std::uint32_t> elements =
        sum_of_planes(nonzero.data() + c * plane, shape.batch, operand.channels * plane, plane);
    std::uint64_t* sum = sums.data() + c * kernel;
    for (std::int64_t i = 0; i < shape.kernel[0]; ++i) {
      for (std::int64_t j = 0; j < shape.kernel[1]; ++j, ++sum) {
        const IndexRange& column = columns[index(j)];
        for (std::int64_t y = rows[index(i)].first; y < rows[index(i)].end; ++y) {
          const std::uint32_t* row =
              elements.data() + (y * operand.step[0] + i * operand.kernel_step[0] - operand.padding[0]) * width;
          const std::int64_t shift = j * operand.kernel_step[1] - operand.padding[1];
          for (std::int64_t x = column.first; x < column.end; ++x) *sum += row[x * operand.step[1] + shift];
        }
      }
    }
  });
  return sums;
}

Sums sums_of_activation(const ConvolutionShape& shape, const std::vector<std::uint8_t>& nonzero) {
  return sums_of_taps(shape,
                      {shape.in_channels,
                       shape.in_size,
                       shape.stride,
                       shape.dilation,
                       {shape.padding[0].begin, shape.padding[1].begin}},
                      nonzero);
}

Sums sums_of_error(const ConvolutionShape& shape, const std::vector<std::uint8_t>& nonzero) {
  return sums_of_taps(shape, {shape.out_channels, shape.out_size(), {1, 1}, {0, 0}, {0, 0}}, nonzero);
}

// Taps with two operands that are not zero. In forward and backward data a tap is a channel and a kernel position of
// the plane operand with the weights of all channels on the other side.
std::uint64_t nonzero_forward(const ConvolutionShape& shape, const std::vector<std::uint8_t>& activation,
                              const std::vector<std::uint8_t>& weight) {
  const std::int64_t kernel = shape.kernel[0] * shape.kernel[1];
  const std::int64_t inputs = shape.in_channels / shape.groups;
  const std::int64_t outputs = shape.out_channels / shape.groups;
  const Sums sums = sums_of_activation(shape, activation);
  std::uint64_t taps = 0;
  for (std::int64_t co = 0; co < shape.out_channels; ++co) {
    const std::uint8_t* filter = weight.data() + co * inputs * kernel;
    const std::uint64_t* group = sums.data() + co / outputs * inputs * kernel;
    for (std::int64_t i = 0; i < inputs * kernel; ++i) taps += filter[i] * group[i];
  }
  return taps;
}

std::uint64_t nonzero_backward_data(const ConvolutionShape& shape, const std::vector<std::uint8_t>& error,
                                    const std::vector<std::uint8_t>& weight) {
  const std::int64_t kernel = shape.kernel[0] * shape.kernel[1];
  const std::int64_t inputs = shape.in_channels / shape.groups;
  const Sums sums = sums_of_error(shape, error);
  std::uint64_t taps = 0;
  for (std::int64_t co = 0; co < shape.out_channels; ++co) {
    for (std::int64_t ci = 0; ci < inputs; ++ci) {
      const std::uint8_t* filter = weight.data() + (co * inputs + ci) * kernel;
      for (std::int64_t i = 0; i < kernel; ++i) taps += filter[i] * sums[index(co * kernel + i)];
    }
  }
  return taps;
}

// Each error of a conv group meets each activation of it at the tap's place: products of sums over the channels.
std::uint64_t nonzero_backward_weight(const ConvolutionShape& shape, const std::vector<std::uint8_t>& error,
                                      const std::vector<std::uint8_t>& activation) {
  const std::vector<IndexRange> rows = outputs_along(shape, 0);
  const std::vector<IndexRange> columns = outputs_along(shape, 1);
  const std::int64_t outputs = shape.out_channels / shape.groups;
  const std::int64_t inputs = shape.in_channels / shape.groups;
  const std::int64_t out_width = shape.out_size()[1];
  const std::int64_t out_plane = shape.out_size()[0] * out_width;
  const std::int64_t in_width = shape.in_size[1];
  const std::int64_t in_plane = shape.in_size[0] * in_width;
  const auto taps_of = [&](std::int64_t part) {
    const auto errors = sum_of_planes(error.data() + part * outputs * out_plane, outputs, out_plane, out_plane);
    const auto activations = sum_of_planes(activation.data() + part * inputs * in_plane, inputs, in_plane, in_plane);
    std::uint64_t taps = 0;
    for (std::int64_t i = 0; i < shape.kernel[0]; ++i) {
      for (std::int64_t y = rows[index(i)].first; y < rows[index(i)].end; ++y) {
        const std::uint32_t* error_row = errors.data() + y * out_width;
        const std::uint32_t* activation_row =
            activations.data() + (y * shape.stride[0] + i * shape.dilation[0] - shape.padding[0].begin) * in_width;
        for (std::int64_t j = 0; j < shape.kernel[1]; ++j) {
          for (std::int64_t x = columns[index(j)].first; x < columns[index(j)].end; ++x) {
            taps += std::uint64_t{error_row[x]} *
                    activation_row[x * shape.stride[1] + j * shape.dilation[1] - shape.padding[1].begin];
          }
        }
      }
    }
    return taps;
  };
  using Range = tbb::blocked_range<std::int64_t>;
  return base::parallel_reduce(
      Range(0, shape.batch * shape.groups), std::uint64_t{0},
      [&](const Range& range, std::uint64_t taps) {
        for (std::int64_t part = range.begin(); part < range.end(); ++part) taps += taps_of(part);
        return taps;
      },
      std::plus<>());
}

}  // namespace

std::vector<std::uint8_t> nonzero_elements(const ScaledTensor& tensor) {
  const std::vector<std::uint16_t> codes = gated_codes(tensor);
  std::vector<std::uint8_t> nonzero(codes.size());
  std::transform(codes.begin(), codes.end(), nonzero.begin(),
                 [](std::uint16_t code) { return static_cast<std::uint8_t>(code != 0); });
  return nonzero;
}

std::vector<std::uint8_t> nonzero_elements(const BaselineTensor& tensor) {
  std::vector<std::uint8_t> nonzero(tensor.values.size());
  std::transform(tensor.values.begin(), tensor.values.end(), nonzero.begin(),
                 [](float value) { return static_cast<std::uint8_t>(value != 0); });
  return nonzero;
}

std::uint64_t count_zero_products(Pass pass, const ConvolutionShape& shape,
                                  const std::vector<std::uint8_t>& left_nonzero,
                                  const std::vector<std::uint8_t>& right_nonzero) {
  assert(static_cast<std::int64_t>(left_nonzero.size()) == element_count(shape.shape_of(left_operand(pass))));
  assert(static_cast<std::int64_t>(right_nonzero.size()) == element_count(shape.shape_of(right_operand(pass))));
  const std::uint64_t taps = shape.multiply_adds(pass);
  switch (pass) {
    case Pass::kForward:
      return taps - nonzero_forward(shape, left_nonzero, right_nonzero);
    case Pass::kBackwardData:
      return taps - nonzero_backward_data(shape, left_nonzero, right_nonzero);
    case Pass::kBackwardWeight:
      break;
  }
  return taps - nonzero_backward_weight(shape, left_nonzero, right_nonzero);
}

}  // namespace mlsim::models
