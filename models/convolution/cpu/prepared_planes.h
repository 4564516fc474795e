// Planes of bytes as depthwise layers read them.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "models/convolution/cpu/axis_phases.h"
#include "models/convolution/cpu/plane_kernels.h"

namespace mlsim::models {

// Where the first result of a phase finds a tap along an axis: in this phase of the source, so many elements on.
struct PlaneTap {
  std::int64_t phase;
  std::int64_t distance;
};
PlaneTap plane_tap(const AxisPhase& axis, std::int64_t tap);

// Rows of results and of every phase of the source are as far apart, so that neighbouring results take neighbouring
// bytes. Rows above and below a plane are zeros; what lies beside it is some other element.
class PreparedPlanes {
 public:
  // All phases of the results of a pass; steps of 1 and 2.
  PreparedPlanes(const std::vector<AxisPhase>& rows, const std::vector<AxisPhase>& columns,
                 const std::array<std::int64_t, 2>& source_size);

  const BytePlane& plane() const { return plane_; }
  // The byte that result 0 takes.
  std::int64_t place(const PlaneTap& row, const PlaneTap& column) const {
    return plane_.places[static_cast<std::size_t>(row.phase)][static_cast<std::size_t>(column.phase)] +
           row.distance * plane_.pitch + column.distance;
  }
  // Makes memory for some planes ready, once for all that are written to it.
  void clear(std::uint8_t* bytes, std::int64_t count) const;

 private:
  BytePlane plane_;
};

}  // namespace mlsim::models
