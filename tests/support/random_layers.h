// Random convolution layers for comparisons of the engines with the reference.
#pragma once

#include <string>

#include "models/convolution/convolution.h"
#include "tests/support/random_tensors.h"

namespace mlsim::tests {

// A small layer with strides 1 to 3, paddings 0 to 3, on one side now and then, kernels of 1, 2, 3, 5 or 7, dilated now
// and then, groups, odd sizes.
inline models::ConvolutionShape random_layer(Random& random) {
  models::ConvolutionShape shape;
  shape.batch = between(random, 1, 3);
  shape.groups = between(random, 0, 3) == 0 ? between(random, 2, 5) : 1;
  const bool depthwise = shape.groups > 1 && between(random, 0, 1) == 0;
  shape.in_channels = shape.groups * (depthwise ? 1 : between(random, 1, 4));
  shape.out_channels = shape.groups * (depthwise ? between(random, 1, 2) : between(random, 1, 6));
  const bool square = between(random, 0, 1) == 0;
  const bool dilated = between(random, 0, 3) == 0;
  const bool one_sided = between(random, 0, 3) == 0;
  for (const std::size_t axis : {0U, 1U}) {
    constexpr std::array<std::int64_t, 6> kKernels{1, 2, 3, 3, 5, 7};
    if (axis == 1 && square) {
      shape.kernel[1] = shape.kernel[0];
      shape.stride[1] = shape.stride[0];
      shape.padding[1] = shape.padding[0];
    } else {
      shape.kernel[axis] = kKernels[static_cast<std::size_t>(between(random, 0, 5))];
      shape.stride[axis] = between(random, 1, 3);
      shape.padding[axis] = between(random, 0, 3);
    }
    if (dilated) shape.dilation[axis] = between(random, 1, 3);
    if (one_sided) shape.padding[axis] = {between(random, 0, 3), between(random, 0, 3)};
    const std::int64_t smallest =
        std::max<std::int64_t>(shape.kernel_extent(axis) - shape.padding[axis].begin - shape.padding[axis].end, 1);
    shape.in_size[axis] = between(random, smallest, smallest + 8);
  }
  return shape;
}

inline std::string to_string(const models::ConvolutionShape& s) {
  const auto pair = [](const std::array<std::int64_t, 2>& p) {
    return std::to_string(p[0]) + "x" + std::to_string(p[1]);
  };
  const auto sides = [](const models::Padding& p) { return std::to_string(p.begin) + "," + std::to_string(p.end); };
  return std::to_string(s.batch) + "x" + std::to_string(s.in_channels) + "x" + pair(s.in_size) + " -> " +
         std::to_string(s.out_channels) + ", kernel " + pair(s.kernel) + ", stride " + pair(s.stride) + ", padding " +
         sides(s.padding[0]) + "x" + sides(s.padding[1]) + ", dilation " + pair(s.dilation) + ", groups " +
         std::to_string(s.groups);
}

}  // namespace mlsim::tests
