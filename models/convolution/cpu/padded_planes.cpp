#include "models/convolution/cpu/padded_planes.h"

#include <utility>

#include "base/integers.h"

namespace mlsim::models {
namespace {

SourceAxis forward_axis(const ConvolutionShape& shape, std::size_t axis) {
  const std::int64_t kernel = shape.kernel[axis];
  const std::int64_t stride = shape.stride[axis];
  const std::int64_t out = shape.out_size()[axis];
  const std::int64_t extent = shape.kernel_extent(axis);
  SourceAxis source{shape.in_size[axis],         stride, std::min(extent, stride), shape.padding[axis].begin,
                    out + (extent - 1) / stride, {}};
  ResultPhase results{0, 1, out, {}};
  for (std::int64_t k = 0; k < kernel; ++k) {
    const std::int64_t place = k * shape.dilation[axis];
    results.taps.push_back({k, place % stride, place / stride});
  }
  source.results.push_back(std::move(results));
  return source;
}

SourceAxis backward_axis(const ConvolutionShape& shape, std::size_t axis) {
  const std::int64_t stride = shape.stride[axis];
  const std::int64_t in = shape.in_size[axis];
  SourceAxis source{shape.out_size()[axis], 1, 1, 0, 1, {}};
  for (std::int64_t first = 0; first < std::min(stride, in); ++first) {
    ResultPhase results{first, stride, base::ceiling(in - first, stride), {}};
    for (std::int64_t k = 0; k < shape.kernel[axis]; ++k) {
      const std::int64_t distance = first + shape.padding[axis].begin - k * shape.dilation[axis];
      if (distance % stride != 0) continue;
      results.taps.push_back({k, 0, distance / stride});
      source.lead = std::max(source.lead, -distance / stride);
    }
    source.results.push_back(std::move(results));
  }
  for (ResultPhase& results : source.results) {
    for (AxisTap& tap : results.taps) {
      tap.offset += source.lead;
      source.extent = std::max(source.extent, tap.offset + results.count);
    }
  }
  return source;
}

// Distance between the rows of a plane. The zeros at the end of a row may be those that the next row starts with.
std::int64_t row_pitch(const SourceAxis& axis, bool share_zeros) {
  if (!share_zeros) return axis.extent;
  const std::int64_t leading_zeros = std::max<std::int64_t>(base::ceiling(axis.lead - axis.phases + 1, axis.step), 0);
  const std::int64_t nonzero = base::ceiling(axis.size + axis.lead, axis.step);
  return std::min(axis.extent, std::max(nonzero, axis.extent - leading_zeros));
}

SourceAxis source_axis(Pass pass, const ConvolutionShape& shape, std::size_t axis) {
  return pass == Pass::kForward ? forward_axis(shape, axis) : backward_axis(shape, axis);
}

}  // namespace

PaddedPlanes::PaddedPlanes(Pass pass, const ConvolutionShape& shape, bool share_zeros)
    : vertical(source_axis(pass, shape, 0)),
      horizontal(source_axis(pass, shape, 1)),
      pitch(row_pitch(horizontal, share_zeros)),
      phase_plane(vertical.extent * pitch),
      plane(vertical.phases * horizontal.phases * phase_plane) {
  for (std::int64_t phase = 0; phase < horizontal.phases; ++phase) {
    const std::int64_t first = std::max<std::int64_t>(base::ceiling(horizontal.lead - phase, horizontal.step), 0);
    const std::int64_t last =
        std::min(pitch, base::ceiling(horizontal.size + horizontal.lead - phase, horizontal.step));
    places_.push_back({first, last, first * horizontal.step + phase - horizontal.lead});
  }
}

}  // namespace mlsim::models
