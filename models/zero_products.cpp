#include "models/zero_products.h"

#include <algorithm>
#include <array>
#include <cassert>

namespace mlsim::models {
namespace {

using Sums = std::vector<std::uint64_t>;

std::size_t index(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

// Output indices along one axis whose tap at a kernel position is no padding: first to last, none where last < first.
struct Extent {
  std::int64_t first = 0;
  std::int64_t last = -1;
};

std::vector<Extent> extents(const ConvolutionShape& shape, std::size_t axis) {
  const std::int64_t stride = shape.stride[axis];
  std::vector<Extent> all;
  for (std::int64_t k = 0; k < shape.kernel[axis]; ++k) {
    const std::int64_t offset = shape.padding[axis] - k;
    const std::int64_t room = shape.in_size[axis] - 1 + offset;
    Extent& extent = all.emplace_back();
    extent.first = offset > 0 ? (offset + stride - 1) / stride : 0;
    extent.last = room < 0 ? -1 : std::min(room / stride, shape.out_size()[axis] - 1);
  }
  return all;
}

// The sum of row[first · step + shift], …, row[last · step + shift].
std::uint64_t strided_sum(const std::uint8_t* row, const Extent& extent, std::int64_t step, std::int64_t shift) {
  std::uint64_t sum = 0;
  for (std::int64_t x = extent.first; x <= extent.last; ++x) sum += row[x * step + shift];
  return sum;
}

// For each channel and kernel position, how many elements that are not zero its taps meet, over images and outputs.
Sums sums_of_activation(const ConvolutionShape& shape, const std::vector<std::uint8_t>& nonzero) {
  const std::vector<Extent> rows = extents(shape, 0);
  const std::vector<Extent> columns = extents(shape, 1);
  const auto [kernel_rows, kernel_columns] = shape.kernel;
  const auto [height, width] = shape.in_size;
  Sums sums(index(shape.in_channels * kernel_rows * kernel_columns));
  Sums of_row(index(kernel_columns));
  for (std::int64_t plane = 0; plane < shape.batch * shape.in_channels; ++plane) {
    std::uint64_t* channel = sums.data() + plane % shape.in_channels * kernel_rows * kernel_columns;
    for (std::int64_t y = 0; y < height; ++y) {
      const std::uint8_t* row = nonzero.data() + (plane * height + y) * width;
      for (std::int64_t j = 0; j < kernel_columns; ++j) {
        of_row[index(j)] = strided_sum(row, columns[index(j)], shape.stride[1], j - shape.padding[1]);
      }
      for (std::int64_t i = 0; i < kernel_rows; ++i) {
        const std::int64_t place = y + shape.padding[0] - i;
        if (place < 0 || place % shape.stride[0] != 0) continue;
        const std::int64_t output = place / shape.stride[0];
        if (output < rows[index(i)].first || output > rows[index(i)].last) continue;
        for (std::int64_t j = 0; j < kernel_columns; ++j) channel[i * kernel_columns + j] += of_row[index(j)];
      }
    }
  }
  return sums;
}

Sums sums_of_error(const ConvolutionShape& shape, const std::vector<std::uint8_t>& nonzero) {
  const std::vector<Extent> rows = extents(shape, 0);
  const std::vector<Extent> columns = extents(shape, 1);
  const auto [kernel_rows, kernel_columns] = shape.kernel;
  const auto [height, width] = shape.out_size();
  Sums sums(index(shape.out_channels * kernel_rows * kernel_columns));
  Sums of_row(index(kernel_columns));
  for (std::int64_t plane = 0; plane < shape.batch * shape.out_channels; ++plane) {
    std::uint64_t* channel = sums.data() + plane % shape.out_channels * kernel_rows * kernel_columns;
    for (std::int64_t y = 0; y < height; ++y) {
      const std::uint8_t* row = nonzero.data() + (plane * height + y) * width;
      for (std::int64_t j = 0; j < kernel_columns; ++j) of_row[index(j)] = strided_sum(row, columns[index(j)], 1, 0);
      for (std::int64_t i = 0; i < kernel_rows; ++i) {
        if (y < rows[index(i)].first || y > rows[index(i)].last) continue;
        for (std::int64_t j = 0; j < kernel_columns; ++j) channel[i * kernel_columns + j] += of_row[index(j)];
      }
    }
  }
  return sums;
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
  const std::vector<Extent> rows = extents(shape, 0);
  const std::vector<Extent> columns = extents(shape, 1);
  const auto [out_height, out_width] = shape.out_size();
  const auto [in_height, in_width] = shape.in_size;
  const auto over_channels = [](const std::uint8_t* planes, std::int64_t channels, std::int64_t plane) {
    std::vector<std::uint32_t> sums(index(plane));
    for (std::int64_t c = 0; c < channels; ++c) {
      for (std::int64_t i = 0; i < plane; ++i) sums[index(i)] += planes[c * plane + i];
    }
    return sums;
  };
  std::uint64_t taps = 0;
  for (std::int64_t part = 0; part < shape.batch * shape.groups; ++part) {
    const std::int64_t outputs = shape.out_channels / shape.groups;
    const std::int64_t inputs = shape.in_channels / shape.groups;
    const auto errors =
        over_channels(error.data() + part * outputs * out_height * out_width, outputs, out_height * out_width);
    const auto activations =
        over_channels(activation.data() + part * inputs * in_height * in_width, inputs, in_height * in_width);
    for (std::int64_t i = 0; i < shape.kernel[0]; ++i) {
      for (std::int64_t y = rows[index(i)].first; y <= rows[index(i)].last; ++y) {
        const std::uint32_t* error_row = errors.data() + y * out_width;
        const std::uint32_t* activation_row =
            activations.data() + (y * shape.stride[0] + i - shape.padding[0]) * in_width;
        for (std::int64_t j = 0; j < shape.kernel[1]; ++j) {
          for (std::int64_t x = columns[index(j)].first; x <= columns[index(j)].last; ++x) {
            taps += std::uint64_t{error_row[x]} * activation_row[x * shape.stride[1] + j - shape.padding[1]];
          }
        }
      }
    }
  }
  return taps;
}

}  // namespace

std::vector<std::uint8_t> nonzero_elements(const MlsTensor& tensor) {
  std::vector<std::uint8_t> nonzero(tensor.codes.size());
  std::transform(tensor.codes.begin(), tensor.codes.end(), nonzero.begin(),
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
