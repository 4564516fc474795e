#include "models/convolution/cpu/axis_phases.h"

#include <algorithm>
#include <utility>

#include "base/integers.h"
#include "models/convolution/cpu/scratch.h"

namespace mlsim::models {

std::vector<AxisPhase> axis_phases(Pass pass, const ConvolutionShape& shape, std::size_t axis) {
  const std::int64_t kernel = shape.kernel[axis];
  const std::int64_t stride = shape.stride[axis];
  const std::int64_t padding = shape.padding[axis].begin;
  std::vector<AxisPhase> phases;
  if (pass == Pass::kForward) {
    AxisPhase phase{0, 1, shape.out_size()[axis], stride, -padding, {}};
    for (std::int64_t k = 0; k < kernel; ++k) phase.kernel.push_back(k);
    phases.push_back(std::move(phase));
    return phases;
  }
  const std::int64_t in = shape.in_size[axis];
  for (std::int64_t first = 0; first < std::min(stride, in); ++first) {
    AxisPhase phase{first, stride, base::ceiling(in - first, stride), 1, 0, {}};
    for (std::int64_t k = kernel; k-- > 0;) {
      if ((first + padding - k) % stride != 0) continue;
      if (phase.kernel.empty()) phase.base = (first + padding - k) / stride;
      phase.kernel.push_back(k);
    }
    if (!phase.kernel.empty()) phases.push_back(std::move(phase));
  }
  return phases;
}

}  // namespace mlsim::models
