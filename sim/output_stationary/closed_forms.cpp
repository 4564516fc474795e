#include "sim/output_stationary/closed_forms.h"

#include <algorithm>
#include <array>

namespace mlsim::sim {
namespace {

std::int64_t ceiling(std::int64_t value, std::int64_t divisor) {
  return (value + divisor - 1) / divisor;
}

}  // namespace

std::vector<PhaseRun> phase_runs(std::int64_t in, std::int64_t kernel, std::int64_t stride, std::int64_t padding) {
  const std::int64_t places = std::min(stride, in);
  const std::int64_t shift = padding % stride;
  // The first kernel position of a place is (place + padding) mod stride: it rises by one from place to place, but for
  // one return to 0. Results and taps are quotients by the stride, so each changes at one place more.
  std::array<std::int64_t, 4> ends{in % stride, stride - shift, (kernel % stride + stride - shift) % stride, places};
  std::sort(ends.begin(), ends.end());
  std::vector<PhaseRun> runs;
  std::int64_t place = 0;
  for (const std::int64_t cut : ends) {
    const std::int64_t end = std::min(cut, places);
    if (end <= place) continue;
    const std::int64_t first = (place + shift) % stride;
    if (first < kernel) runs.push_back({ceiling(in - place, stride), ceiling(kernel - first, stride), end - place});
    place = end;
  }
  return runs;
}

std::int64_t most_shared(const ArrayConfig& config, std::int64_t live_rows, std::int64_t live_columns) {
  // A share of whole rows and m elements more has at most min(m, live columns) live ones in these, wherever it starts:
  // the first share, which starts in the corner, has the most.
  const std::int64_t share = config.elements_per_scaler;
  const std::int64_t whole_rows = share / config.columns;
  if (whole_rows >= live_rows) return live_rows * live_columns;
  return whole_rows * live_columns + std::min(share % config.columns, live_columns);
}

}  // namespace mlsim::sim
