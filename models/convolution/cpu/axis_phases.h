// Forward and backward data along one axis: which results share their taps, and where they find their sources.
// Tested in tests/models/functional_convolution_test.cpp.
#pragma once

#include <cstdint>
#include <vector>

#include "models/convolution/convolution.h"

namespace mlsim::models {

// Results first, first + step, … along one axis, which share their taps: tap t of the i-th of them takes the source
// element base + t + i · source_step and the weight kernel[t].
struct AxisPhase {
  std::int64_t first = 0;
  std::int64_t step = 1;
  std::int64_t count = 0;
  std::int64_t source_step = 1;
  std::int64_t base = 0;
  std::vector<std::int64_t> kernel;

  auto taps() const { return static_cast<std::int64_t>(kernel.size()); }
};

// Those of an axis that have taps, without dilation.
std::vector<AxisPhase> axis_phases(Pass pass, const ConvolutionShape& shape, std::size_t axis);

}  // namespace mlsim::models
