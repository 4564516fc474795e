#include "sim/output_stationary/schedule.h"

#include <algorithm>
#include <cassert>

namespace mlsim::sim {
namespace {

using models::Pass;

std::int64_t ceiling(std::int64_t value, std::int64_t divisor) {
  return (value + divisor - 1) / divisor;
}

// The most elements of any group-scale unit that lie in the live corner of the array.
int largest_share(int array_rows, int array_columns, int live_rows, int live_columns, int elements_per_scaler) {
  int largest = 0;
  int live = 0;
  for (int element = 0; element < array_rows * array_columns; ++element) {
    if (element % elements_per_scaler == 0) live = 0;
    if (element / array_columns < live_rows && element % array_columns < live_columns) ++live;
    largest = std::max(largest, live);
  }
  return largest;
}

}  // namespace

Schedule::Schedule(Pass pass, const models::ConvolutionShape& shape, const models::ScaleLayout& left,
                   const models::ScaleLayout& right, const ArrayConfig& config)
    : pass_(pass),
      shape_(shape),
      reduction_(models::reduction_of(pass, shape, left, right)),
      array_rows_(config.rows),
      array_columns_(config.columns),
      row_ports_(config.row_feeder.fill_ports),
      column_ports_(config.column_feeder.fill_ports),
      step_taps_(std::min(config.row_feeder.buffer_elements / 2 / config.rows,
                          config.column_feeder.buffer_elements / 2 / config.columns)),
      rows_((pass == Pass::kBackwardData ? shape.in_channels : shape.out_channels) / shape.groups),
      plane_(pass == Pass::kBackwardData ? shape.out_size() : shape.in_size) {
  assert(step_taps_ >= 1);
  const auto [oh, ow] = shape.out_size();
  const auto [kh, kw] = shape.kernel;
  const std::int64_t kernel = kh * kw;
  const std::int64_t in_plane = shape.in_size[0] * shape.in_size[1];
  const std::int64_t out_plane = oh * ow;
  const std::int64_t cin = shape.in_channels / shape.groups;
  switch (pass) {
    case Pass::kForward: {
      row_outer_elements_ = kernel;
      column_outer_elements_ = in_plane;
      row_outer_scales_ = 1;
      column_outer_scales_ = 1;
      Phase phase{.count = {oh, ow}, .columns = shape.batch * out_plane, .taps = {}};
      for (std::int64_t i = 0; i < kh; ++i) {
        for (std::int64_t j = 0; j < kw; ++j) phase.taps.push_back({i * kw + j, i * shape.in_size[1] + j, i, j});
      }
      phases_.push_back(std::move(phase));
      break;
    }
    case Pass::kBackwardData:
      row_outer_elements_ = cin * kernel;
      column_outer_elements_ = out_plane;
      row_outer_scales_ = cin;
      column_outer_scales_ = 1;
      add_backward_data_phases();
      break;
    case Pass::kBackwardWeight: {
      row_outer_elements_ = shape.out_channels * out_plane;
      column_outer_elements_ = shape.in_channels * in_plane;
      row_outer_scales_ = shape.out_channels;
      column_outer_scales_ = shape.in_channels;
      Phase phase{.count = {kh, kw}, .columns = cin * kernel, .taps = {}};
      for (std::int64_t y = 0; y < oh; ++y) {
        for (std::int64_t x = 0; x < ow; ++x) {
          const std::int64_t yi = y * shape.stride[0];
          const std::int64_t xi = x * shape.stride[1];
          phase.taps.push_back({y * ow + x, yi * shape.in_size[1] + xi, yi, xi});
        }
      }
      phases_.push_back(std::move(phase));
      break;
    }
  }
  std::int64_t most_columns = 0;
  for (const Phase& phase : phases_) most_columns = std::max(most_columns, phase.columns);
  share_ =
      largest_share(config.rows, config.columns, static_cast<int>(std::min<std::int64_t>(config.rows, rows_)),
                    static_cast<int>(std::min<std::int64_t>(config.columns, most_columns)), config.elements_per_scaler);
}

void Schedule::add_backward_data_phases() {
  const std::int64_t ow = shape_.out_size()[1];
  const auto [kh, kw] = shape_.kernel;
  const auto [sh, sw] = shape_.stride;
  for (std::int64_t py = 0; py < std::min(sh, shape_.in_size[0]); ++py) {
    for (std::int64_t px = 0; px < std::min(sw, shape_.in_size[1]); ++px) {
      Phase phase;
      phase.first = {py, px};
      phase.count = {ceiling(shape_.in_size[0] - py, sh), ceiling(shape_.in_size[1] - px, sw)};
      phase.columns = shape_.batch * phase.count[0] * phase.count[1];
      // A kernel position one stride further meets the error one place before.
      for (std::int64_t i = (py + shape_.padding[0]) % sh; i < kh; i += sh) {
        for (std::int64_t j = (px + shape_.padding[1]) % sw; j < kw; j += sw) {
          phase.taps.push_back({i * kw + j, -(i / sh) * ow - j / sw, -(i / sh), -(j / sw)});
        }
      }
      if (!phase.taps.empty()) phases_.push_back(std::move(phase));
    }
  }
}

std::int64_t Schedule::group_taps(std::size_t phase) const {
  const auto taps = static_cast<std::int64_t>(phases_[phase].taps.size());
  return reduction_.merged ? taps * shape_.outer_count(pass_) : taps;
}

std::int64_t Schedule::results() const {
  std::int64_t columns = 0;
  for (const Phase& phase : phases_) columns += phase.columns;
  return shape_.groups * rows_ * columns;
}

Lane Schedule::row_lane(std::int64_t conv_group, std::int64_t row) const {
  const std::int64_t kernel = shape_.kernel[0] * shape_.kernel[1];
  const std::int64_t cin = shape_.in_channels / shape_.groups;
  const std::int64_t cout = shape_.out_channels / shape_.groups;
  const std::int64_t out_plane = shape_.out_size()[0] * shape_.out_size()[1];
  Lane lane;
  switch (pass_) {
    case Pass::kForward: {
      const std::int64_t co = conv_group * cout + row;
      lane.element = co * cin * kernel;
      lane.scale = co * cin;
      lane.result = co * out_plane;
      break;
    }
    case Pass::kBackwardData:
      lane.scale = conv_group * cout * cin + row;
      lane.element = lane.scale * kernel;
      lane.result = (conv_group * cin + row) * shape_.in_size[0] * shape_.in_size[1];
      break;
    case Pass::kBackwardWeight: {
      const std::int64_t co = conv_group * cout + row;
      lane.element = co * out_plane;
      lane.scale = co;
      lane.result = co * cin * kernel;
      break;
    }
  }
  return lane;
}

Lane Schedule::column_lane(std::int64_t conv_group, std::size_t phase_index, std::int64_t column) const {
  const Phase& phase = phases_[phase_index];
  const std::int64_t cin = shape_.in_channels / shape_.groups;
  const std::int64_t cout = shape_.out_channels / shape_.groups;
  const auto [ih, iw] = shape_.in_size;
  const auto [oh, ow] = shape_.out_size();
  const std::int64_t outer = column / (phase.count[0] * phase.count[1]);  // image, or input channel
  const std::int64_t row = column / phase.count[1] % phase.count[0];
  const std::int64_t place = column % phase.count[1];
  Lane lane;
  switch (pass_) {
    case Pass::kForward:
      lane.y = row * shape_.stride[0] - shape_.padding[0];
      lane.x = place * shape_.stride[1] - shape_.padding[1];
      lane.scale = outer * shape_.in_channels + conv_group * cin;
      lane.element = lane.scale * ih * iw + lane.y * iw + lane.x;
      lane.result = outer * shape_.out_channels * oh * ow + row * ow + place;
      break;
    case Pass::kBackwardData: {
      lane.y = (phase.first[0] + shape_.padding[0]) / shape_.stride[0] + row;
      lane.x = (phase.first[1] + shape_.padding[1]) / shape_.stride[1] + place;
      lane.scale = outer * shape_.out_channels + conv_group * cout;
      lane.element = lane.scale * oh * ow + lane.y * ow + lane.x;
      const std::int64_t y = phase.first[0] + row * shape_.stride[0];
      const std::int64_t x = phase.first[1] + place * shape_.stride[1];
      lane.result = outer * shape_.in_channels * ih * iw + y * iw + x;
      break;
    }
    case Pass::kBackwardWeight:
      lane.y = row - shape_.padding[0];
      lane.x = place - shape_.padding[1];
      lane.scale = conv_group * cin + outer;
      lane.element = lane.scale * ih * iw + lane.y * iw + lane.x;
      lane.result = column;
      break;
  }
  return lane;
}

std::int64_t Schedule::fill_cycles(const Step& step) const {
  const std::int64_t columns = ceiling(step.live_columns * step.taps, column_ports_);
  return step.fills_rows ? std::max(ceiling(step.live_rows * step.taps, row_ports_), columns) : columns;
}

std::int64_t Schedule::compute_cycles(const Step& step) const {
  return step.taps + step.ended_groups * group_stall(step.phase);
}

std::int64_t Schedule::group_stall(std::size_t phase) const {
  return std::max<std::int64_t>(share_ - group_taps(phase), 0);
}

StepWalk::StepWalk(const Schedule& schedule) : schedule_(&schedule), done_(schedule.phases_.empty()) {
  if (!done_) start_tile();
}

void StepWalk::advance() {
  const Schedule& s = *schedule_;
  const std::int64_t taps = s.group_taps(step_.phase);
  const int column_half = 1 - step_.column_half;
  step_.first_of_panel = false;
  step_.column_half = column_half;

  const std::int64_t next = step_.first_group * taps + step_.first_tap + step_.taps;
  if (next < s.reduction_.groups * taps) {
    cut_step(next / taps, next % taps);
    step_.row_half = 1 - step_.row_half;
    return;
  }
  const bool whole = step_.first_group == 0 && step_.first_tap == 0;  // the tile was this one step
  ++step_.column_tile;
  if (step_.column_tile * s.array_columns_ < s.phases_[step_.phase].columns) {
    start_tile();
    step_.fills_rows = !whole;
    if (step_.fills_rows) step_.row_half = 1 - step_.row_half;
    return;
  }
  step_.column_tile = 0;
  if (++step_.phase == s.phases_.size()) {
    step_.phase = 0;
    ++step_.row_tile;
    if (step_.row_tile * s.array_rows_ >= s.rows_) {
      step_.row_tile = 0;
      if (++step_.conv_group == s.shape_.groups) {
        done_ = true;
        return;
      }
    }
  }
  start_tile();
  step_.row_half = 1 - step_.row_half;
}

void StepWalk::start_tile() {
  const Schedule& s = *schedule_;
  step_.live_rows = static_cast<int>(std::min<std::int64_t>(s.array_rows_, s.rows_ - step_.row_tile * s.array_rows_));
  step_.live_columns = static_cast<int>(
      std::min<std::int64_t>(s.array_columns_, s.phases_[step_.phase].columns - step_.column_tile * s.array_columns_));
  step_.fills_rows = true;
  step_.first_of_panel = step_.column_tile == 0;
  cut_step(0, 0);
}

void StepWalk::cut_step(std::int64_t first_group, std::int64_t first_tap) {
  const Schedule& s = *schedule_;
  const std::int64_t taps = s.group_taps(step_.phase);
  step_.first_group = first_group;
  step_.first_tap = first_tap;
  if (taps <= s.step_taps_) {
    step_.ended_groups = std::min(s.step_taps_ / taps, s.reduction_.groups - first_group);
    step_.taps = step_.ended_groups * taps;
  } else {
    step_.taps = std::min(s.step_taps_, taps - first_tap);
    step_.ended_groups = first_tap + step_.taps == taps ? 1 : 0;
  }
}

}  // namespace mlsim::sim
