#include "sim/closed_form/tiles.h"

namespace mlsim::sim::closed_form {

Steps one_step(std::int64_t fill, std::int64_t compute) {
  return {0, fill, compute, 0, 0, 1};
}

Steps joined(const Steps& a, const Steps& b) {
  if (a.count == 0) return b;
  if (b.count == 0) return a;
  const std::int64_t between = std::max(a.last_compute + b.first_wait, b.first_fill);
  return {a.first_wait,
          a.first_fill,
          b.last_compute,
          a.cycles + b.cycles + between,
          a.waits + b.waits + between - a.last_compute,
          a.count + b.count};
}

Steps repeated(const Steps& a, std::int64_t times) {
  if (times == 0 || a.count == 0) return {};
  const std::int64_t between = std::max(a.last_compute + a.first_wait, a.first_fill);
  return {a.first_wait,
          a.first_fill,
          a.last_compute,
          times * a.cycles + (times - 1) * between,
          times * a.waits + (times - 1) * (between - a.last_compute),
          times * a.count};
}

TileRow joined(TileRow a, const TileRow& b) {
  a.append(b);
  return a;
}

TileRow repeated(const TileRow& a, std::int64_t times) {
  return a.repeated(times);
}

std::vector<PhaseRow> phases_of(models::Pass pass, const models::ConvolutionShape& shape) {
  const auto [oh, ow] = shape.out_size();
  const std::int64_t kernel = shape.kernel[0] * shape.kernel[1];
  if (pass == models::Pass::kForward) return {PhaseRow{{Phases{shape.batch * oh * ow, kernel}}}};
  if (pass == models::Pass::kBackwardWeight) {
    return {PhaseRow{{Phases{shape.in_channels / shape.groups * kernel, oh * ow}}}};
  }
  const auto runs = [&](std::size_t axis) {
    return phase_runs(
        {shape.in_size[axis], shape.kernel[axis], shape.stride[axis], shape.padding[axis].begin, shape.dilation[axis]});
  };
  const std::vector<PhaseRun> across = runs(1);
  std::vector<PhaseRow> rows;
  for (const PhaseRun& y : runs(0)) {
    PhaseRow& row = rows.emplace_back(PhaseRow{{}, y.count});
    for (const PhaseRun& x : across) {
      row.phases.push_back({shape.batch * y.results * x.results, y.taps * x.taps, x.count});
    }
  }
  return rows;
}

std::int64_t Tiles::most_columns() const {
  std::int64_t most = 0;
  for_phases([&](const Phases& p, std::int64_t) { most = std::max(most, p.columns); });
  return std::min(most, tile_columns);
}

}  // namespace mlsim::sim::closed_form
