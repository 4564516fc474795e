#include "models/direct_convolution.h"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <cassert>

namespace mlsim::models {
namespace {

// Output positions o with 0 <= o·stride + k - padding < in.
struct Range {
  std::int64_t first;
  std::int64_t last;  // one past the end
};

Range valid_outputs(std::int64_t in, std::int64_t out, std::int64_t k, std::int64_t stride, std::int64_t padding) {
  const std::int64_t first = padding > k ? (padding - k + stride - 1) / stride : 0;
  const std::int64_t last = in - 1 + padding - k;
  return {first, last < 0 ? 0 : std::min(last / stride + 1, out)};
}

struct Geometry {
  explicit Geometry(const ConvolutionShape& s)
      : shape(s), out(s.out_size()), cin(s.in_channels / s.groups), cout(s.out_channels / s.groups) {}

  ConvolutionShape shape;
  std::array<std::int64_t, 2> out;
  std::int64_t cin;   // input channels of a convolution group
  std::int64_t cout;  // output channels of a convolution group

  Range rows(std::int64_t i) const {
    return valid_outputs(shape.in_size[0], out[0], i, shape.stride[0], shape.padding[0]);
  }
  Range columns(std::int64_t j) const {
    return valid_outputs(shape.in_size[1], out[1], j, shape.stride[1], shape.padding[1]);
  }
  std::int64_t in_plane() const { return shape.in_size[0] * shape.in_size[1]; }
  std::int64_t out_plane() const { return out[0] * out[1]; }
  std::int64_t taps() const { return shape.kernel[0] * shape.kernel[1]; }
};

template <typename T>
void forward_plane(const Geometry& g, const T* activation, const T* weight, std::int64_t n, std::int64_t co, T* z) {
  const ConvolutionShape& s = g.shape;
  for (std::int64_t ci = 0; ci < g.cin; ++ci) {
    const T* a = activation + (n * s.in_channels + co / g.cout * g.cin + ci) * g.in_plane();
    const T* w = weight + (co * g.cin + ci) * g.taps();
    for (std::int64_t i = 0; i < s.kernel[0]; ++i) {
      const Range rows = g.rows(i);
      for (std::int64_t j = 0; j < s.kernel[1]; ++j) {
        const Range columns = g.columns(j);
        const T factor = w[i * s.kernel[1] + j];
        for (std::int64_t y = rows.first; y < rows.last; ++y) {
          const T* in = a + (y * s.stride[0] + i - s.padding[0]) * s.in_size[1] + j - s.padding[1];
          T* out = z + y * g.out[1];
          for (std::int64_t x = columns.first; x < columns.last; ++x) out[x] += in[x * s.stride[1]] * factor;
        }
      }
    }
  }
}

template <typename T>
void backward_data_plane(const Geometry& g, const T* error, const T* weight, std::int64_t n, std::int64_t c, T* z) {
  const ConvolutionShape& s = g.shape;
  for (std::int64_t o = 0; o < g.cout; ++o) {
    const std::int64_t co = c / g.cin * g.cout + o;
    const T* e = error + (n * s.out_channels + co) * g.out_plane();
    const T* w = weight + (co * g.cin + c % g.cin) * g.taps();
    for (std::int64_t i = 0; i < s.kernel[0]; ++i) {
      const Range rows = g.rows(i);
      for (std::int64_t j = 0; j < s.kernel[1]; ++j) {
        const Range columns = g.columns(j);
        const T factor = w[i * s.kernel[1] + j];
        for (std::int64_t y = rows.first; y < rows.last; ++y) {
          const T* in = e + y * g.out[1];
          T* out = z + (y * s.stride[0] + i - s.padding[0]) * s.in_size[1] + j - s.padding[1];
          for (std::int64_t x = columns.first; x < columns.last; ++x) out[x * s.stride[1]] += in[x] * factor;
        }
      }
    }
  }
}

// The weights of all output channels of a convolution group for one input channel; lanes run over the output channels.
// `error` is transposed to image, row, column, output channel.
template <typename T>
void backward_weight_channel(const Geometry& g, const T* error, const T* activation, std::int64_t c, T* z) {
  const ConvolutionShape& s = g.shape;
  const std::int64_t first_co = c / g.cin * g.cout;
  std::vector<T> sums(static_cast<std::size_t>(g.cout));
  for (std::int64_t i = 0; i < s.kernel[0]; ++i) {
    const Range rows = g.rows(i);
    for (std::int64_t j = 0; j < s.kernel[1]; ++j) {
      const Range columns = g.columns(j);
      std::fill(sums.begin(), sums.end(), T{0});
      for (std::int64_t n = 0; n < s.batch; ++n) {
        const T* a = activation + (n * s.in_channels + c) * g.in_plane();
        for (std::int64_t y = rows.first; y < rows.last; ++y) {
          const T* in = a + (y * s.stride[0] + i - s.padding[0]) * s.in_size[1] + j - s.padding[1];
          const T* e = error + ((n * g.out[0] + y) * g.out[1]) * s.out_channels + first_co;
          for (std::int64_t x = columns.first; x < columns.last; ++x) {
            const T factor = in[x * s.stride[1]];
            const T* lane = e + x * s.out_channels;
            for (std::int64_t o = 0; o < g.cout; ++o) sums[static_cast<std::size_t>(o)] += lane[o] * factor;
          }
        }
      }
      for (std::int64_t o = 0; o < g.cout; ++o) {
        z[((first_co + o) * g.cin + c % g.cin) * g.taps() + i * s.kernel[1] + j] = sums[static_cast<std::size_t>(o)];
      }
    }
  }
}

template <typename T>
std::vector<T> channels_last(const std::vector<T>& values, std::int64_t batch, std::int64_t channels,
                             std::int64_t plane) {
  std::vector<T> result(values.size());
  for (std::int64_t n = 0; n < batch; ++n) {
    for (std::int64_t c = 0; c < channels; ++c) {
      const T* in = values.data() + (n * channels + c) * plane;
      T* out = result.data() + n * plane * channels + c;
      for (std::int64_t i = 0; i < plane; ++i) out[i * channels] = in[i];
    }
  }
  return result;
}

}  // namespace

template <typename T>
std::vector<T> direct_convolution(Pass pass, const ConvolutionShape& shape, const std::vector<T>& left,
                                  const std::vector<T>& right) {
  assert(static_cast<std::int64_t>(left.size()) == element_count(shape.shape_of(left_operand(pass))));
  assert(static_cast<std::int64_t>(right.size()) == element_count(shape.shape_of(right_operand(pass))));
  const Geometry g(shape);
  std::vector<T> result(static_cast<std::size_t>(element_count(shape.result_shape(pass))), T{0});
  T* z = result.data();
  switch (pass) {
    case Pass::kForward:
      tbb::parallel_for(std::int64_t{0}, shape.batch * shape.out_channels, [&](std::int64_t plane) {
        forward_plane(g, left.data(), right.data(), plane / shape.out_channels, plane % shape.out_channels,
                      z + plane * g.out_plane());
      });
      break;
    case Pass::kBackwardData:
      tbb::parallel_for(std::int64_t{0}, shape.batch * shape.in_channels, [&](std::int64_t plane) {
        backward_data_plane(g, left.data(), right.data(), plane / shape.in_channels, plane % shape.in_channels,
                            z + plane * g.in_plane());
      });
      break;
    case Pass::kBackwardWeight: {
      const std::vector<T> error = channels_last(left, shape.batch, shape.out_channels, g.out_plane());
      tbb::parallel_for(std::int64_t{0}, shape.in_channels,
                        [&](std::int64_t c) { backward_weight_channel(g, error.data(), right.data(), c, z); });
      break;
    }
  }
  return result;
}

template std::vector<float> direct_convolution(Pass, const ConvolutionShape&, const std::vector<float>&,
                                               const std::vector<float>&);
template std::vector<double> direct_convolution(Pass, const ConvolutionShape&, const std::vector<double>&,
                                                const std::vector<double>&);

}  // namespace mlsim::models
