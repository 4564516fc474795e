#include "sim/closed_form/closed_forms.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

#include "base/integers.h"

namespace mlsim::sim {
namespace {

// Adds what follows the last of a row of runs, or is more of it.
template <typename Run, typename Same>
void append(std::vector<Run>& runs, const Run& run, const Same& same) {
  if (!runs.empty() && same(runs.back(), run)) {
    runs.back().count += run.count;
  } else {
    runs.push_back(run);
  }
}

std::vector<PhaseRun> dilated_phase_runs(const PhaseAxis& axis) {
  // Kernel positions that meet the same places lie `period` apart, so the first ones tell which places meet any.
  const std::int64_t period = axis.stride / std::gcd(axis.stride, axis.dilation);
  std::vector<std::pair<std::int64_t, std::int64_t>> met;  // place, first kernel position
  for (std::int64_t k = 0; k < std::min(axis.kernel, period); ++k) {
    const std::int64_t place = ((k * axis.dilation - axis.padding) % axis.stride + axis.stride) % axis.stride;
    if (place < axis.in) met.emplace_back(place, k);
  }
  std::sort(met.begin(), met.end());
  std::vector<PhaseRun> runs;
  for (const auto& [place, first] : met) {
    append(runs, {base::ceiling(axis.in - place, axis.stride), base::ceiling(axis.kernel - first, period), 1},
           [](const PhaseRun& a, const PhaseRun& b) { return a.results == b.results && a.taps == b.taps; });
  }
  return runs;
}

std::vector<RunLength> run_lengths(const models::Reduction& reduction, std::int64_t conv_group, std::int64_t outer) {
  if (reduction.longest_run() == 1) return {{1, outer}};
  std::vector<RunLength> runs;
  for (std::int64_t begin = 0; begin < outer;) {
    const std::int64_t end = reduction.run_end(conv_group, begin);
    append(runs, {end - begin, 1}, [](const RunLength& a, const RunLength& b) { return a.length == b.length; });
    begin = end;
  }
  return runs;
}

}  // namespace

std::vector<PhaseRun> phase_runs(const PhaseAxis& axis) {
  if (axis.dilation > 1 && axis.stride > 1) return dilated_phase_runs(axis);
  const auto [in, kernel, stride, padding, dilation] = axis;
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
    if (first < kernel)
      runs.push_back({base::ceiling(in - place, stride), base::ceiling(kernel - first, stride), end - place});
    place = end;
  }
  return runs;
}

std::vector<ConvGroups> conv_groups(models::Pass pass, const models::ConvolutionShape& shape,
                                    const models::ScaleLayout& left, const models::ScaleLayout& right) {
  const models::Reduction reduction(pass, shape, left, right);
  const std::int64_t outer = shape.outer_count(pass);
  // Blocks are cut in other places of the next convolution group where its channels go on counting.
  std::int64_t period = 1;
  const auto repeat_after = [&](std::int64_t block) {
    if (block <= 1 || block >= outer * shape.groups) return;
    period = std::min(std::lcm(period, block / std::gcd(block, outer)), shape.groups);
  };
  if (pass != models::Pass::kBackwardWeight && outer > 1) {
    repeat_after(left.tile[1]);
    if (pass == models::Pass::kBackwardData) repeat_after(right.tile[0]);
  }
  std::vector<ConvGroups> groups;
  for (std::int64_t group = 0; group < period; ++group) {
    append(groups, {run_lengths(reduction, group, outer), 1},
           [](const ConvGroups& a, const ConvGroups& b) { return a.runs == b.runs; });
  }
  return groups;
}

std::int64_t touched_blocks(const models::ScaleLayout& layout, std::size_t dimension, std::int64_t extent,
                            std::int64_t shares) {
  if (layout.constant_over(dimension)) return shares;
  // Each border between shares that lies inside a block lets both of them touch it.
  const std::int64_t block = layout.tile[dimension];
  const std::int64_t apart = block / std::max<std::int64_t>(std::gcd(block, extent / shares), 1);
  const std::int64_t inside = shares - shares / std::max<std::int64_t>(apart, 1);
  return extent / block + inside;
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
