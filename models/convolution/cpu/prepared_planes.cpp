#include "models/convolution/cpu/prepared_planes.h"

#include <algorithm>

#include "models/convolution/cpu/scratch.h"

namespace mlsim::models {
namespace {

constexpr std::int64_t floor_div(std::int64_t a, std::int64_t b) {
  return a >= 0 ? a / b : -ceil_div(-a, b);
}

}  // namespace

PlaneTap plane_tap(const AxisPhase& axis, std::int64_t tap) {
  const std::int64_t element = axis.base + tap;
  const std::int64_t distance = floor_div(element, axis.source_step);
  return {element - distance * axis.source_step, distance};
}

PreparedPlanes::PreparedPlanes(const std::vector<AxisPhase>& rows, const std::vector<AxisPhase>& columns,
                               const std::array<std::int64_t, 2>& source_size) {
  const std::array<std::int64_t, 2> steps{rows.front().source_step, columns.front().source_step};
  std::int64_t top = 0;
  std::int64_t extent = ceil_div(source_size[0], steps[0]);
  for (const AxisPhase& phase : rows) {
    top = std::max(top, -floor_div(phase.base, steps[0]));
    extent = std::max(extent, phase.count + floor_div(phase.base + phase.taps() - 1, steps[0]));
  }
  std::int64_t pitch = ceil_div(source_size[1], steps[1]);
  for (const AxisPhase& phase : columns) pitch = std::max(pitch, phase.count);
  plane_ = BytePlane(source_size[0], source_size[1], steps, pitch);
  // A vector begins as many bytes before a plane as a tap lies to the left, and ends as many behind it.
  const std::int64_t beside = kPlaneBytes + pitch;
  for (std::int64_t row_phase = 0; row_phase < steps[0]; ++row_phase) {
    for (std::int64_t column_phase = 0; column_phase < steps[1]; ++column_phase) {
      const std::int64_t place = plane_.size + top * pitch + beside;
      plane_.places[static_cast<std::size_t>(row_phase)][static_cast<std::size_t>(column_phase)] = place;
      plane_.size = ceil_div(place + extent * pitch + 2 * kPlaneBytes + beside, kPlaneBytes) * kPlaneBytes;
    }
  }
}

void PreparedPlanes::clear(std::uint8_t* bytes, std::int64_t count) const {
  const auto zeros = [](std::uint8_t* from, std::uint8_t* to) { std::fill(from, to, std::uint8_t{kDotOffset}); };
  constexpr std::int64_t kLarge = 2048;  // from which it pays to leave out what is written anyway
  if (plane_.size < kLarge || plane_.pitch * plane_.steps[1] != plane_.columns) {
    return zeros(bytes, bytes + count * plane_.size);
  }
  for (std::int64_t i = 0; i < count; ++i, bytes += plane_.size) {
    std::int64_t done = 0;
    for (std::int64_t row_phase = 0; row_phase < plane_.steps[0]; ++row_phase) {
      for (std::int64_t column_phase = 0; column_phase < plane_.steps[1]; ++column_phase) {
        const std::int64_t place =
            plane_.places[static_cast<std::size_t>(row_phase)][static_cast<std::size_t>(column_phase)];
        zeros(bytes + done, bytes + place);
        done = place + ceil_div(plane_.rows - row_phase, plane_.steps[0]) * plane_.pitch;
      }
    }
    zeros(bytes + done, bytes + plane_.size);
  }
}

}  // namespace mlsim::models
