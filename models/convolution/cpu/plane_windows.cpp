#include "models/convolution/cpu/plane_windows.h"

#include <utility>

#include "base/integers.h"
#include "models/convolution/cpu/scratch.h"

namespace mlsim::models {

PlaneWindows::PlaneWindows(AxisPhase rows, AxisPhase columns, std::int64_t taps, std::int64_t source_columns)
    : rows_(std::move(rows)), columns_(std::move(columns)), taps_(taps), pitch_(source_columns) {}

VectorShape PlaneWindows::vector(std::int64_t lanes, std::int64_t most_rows) const {
  if (lanes > kPlaneLanes) return {1, kPlaneLanes, kPlaneLanes};
  std::int64_t rows = most_rows;
  const std::int64_t last_row = (columns_.count - 1) * columns_.source_step + taps_;
  while (rows > 1 && (rows * lanes > kPlaneLanes || (rows - 1) * rows_.source_step * pitch_ + last_row > kPlaneBytes)) {
    rows /= 2;
  }
  return {rows, columns_.count, lanes};
}

WindowRows PlaneWindows::rows(const VectorShape& vector) const {
  return {.kernel_rows = rows_.taps(),
          .step = vector.rows * rows_.source_step,
          .pitch = pitch_,
          .vectors = base::ceiling(rows_.count, vector.rows)};
}

WindowPicks PlaneWindows::window(std::int64_t first) const {
  return {begin() + first * columns_.source_step, 0, {}};
}

void PlaneWindows::pick(WindowPicks& window, std::int64_t i, std::int64_t row, std::int64_t column,
                        std::int64_t tap) const {
  const std::int64_t distance = column * columns_.source_step + tap;
  const std::int64_t source = window.window - rows_.base * pitch_ + distance;
  if (source < 0 || source >= pitch_) return;
  window.mask |= std::uint64_t{1} << i;
  window.picks[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(row * rows_.source_step * pitch_ + distance);
}

std::int64_t PlaneWindows::begin() const {
  return rows_.base * pitch_ + columns_.base;
}

std::int64_t PlaneWindows::end(const VectorShape& vector) const {
  const WindowRows windows = rows(vector);
  return begin() + (columns_.count - 1) * columns_.source_step +
         (windows.step * windows.vectors + windows.kernel_rows - 1) * pitch_ + kPlaneBytes;
}

}  // namespace mlsim::models
