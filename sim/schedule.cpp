#include "sim/schedule.h"

#include <algorithm>
#include <cassert>

#include "base/integers.h"
#include "sim/dataflow.h"
#include "sim/statistics.h"
#include "sim/weight_stationary/folds.h"

namespace mlsim::sim {
namespace {

using models::Pass;

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

// Whether all convolution groups are cut into the same runs of outer indices.
bool cut_alike(const models::Reduction& reduction, std::int64_t groups, std::int64_t outer_count) {
  for (std::int64_t outer = 0; outer < outer_count; outer = reduction.run_end(0, outer)) {
    for (std::int64_t group = 1; group < groups; ++group) {
      if (reduction.run_end(group, outer) != reduction.run_end(0, outer)) return false;
    }
  }
  return true;
}

}  // namespace

Schedule::Schedule(Pass pass, const models::ConvolutionShape& shape, const models::ScaleLayout& left,
                   const models::ScaleLayout& right, const ArrayConfig& config)
    : pass_(pass),
      shape_(shape),
      reduction_(pass, shape, left, right),
      rows_stay_(dataflow_of(config).rows_stay),
      array_rows_(config.rows),
      array_columns_(config.columns),
      row_ports_(config.row_feeder.fill_ports),
      column_ports_(config.column_feeder.fill_ports),
      taps_per_cycle_(config.taps_per_cycle),
      rows_((pass == Pass::kBackwardData ? shape.in_channels : shape.out_channels) / shape.groups),
      groups_at_once_(cut_alike(reduction_, shape.groups, shape.outer_count(pass))
                          ? config.groups_at_once(rows_, shape.groups)
                          : 1),
      tile_columns_(dataflow_of(config).tile_columns(config, groups_at_once_)),
      step_words_(rows_stay_ ? config.columns : config.words_of_half(groups_at_once_)),
      row_plane_(pass == Pass::kBackwardWeight ? shape.out_size() : shape.kernel),
      plane_(pass == Pass::kBackwardData ? shape.out_size() : shape.in_size) {
  assert(step_words_ >= 1);
  add_phases();
  if (pass == Pass::kBackwardData) row_outer_planes_ = shape.in_channels / shape.groups;
  if (pass == Pass::kBackwardWeight) {
    row_outer_planes_ = shape.out_channels;
    column_outer_planes_ = shape.in_channels;
  }
  if (rows_stay_) {
    share_ = static_cast<int>(std::min<std::int64_t>(most_live_rows(), weight_stationary::rows_of_scaler(config)));
    return;
  }
  share_ = largest_share(config.rows, config.columns, static_cast<int>(most_live_rows()),
                         static_cast<int>(most_live_columns()), config.elements_per_scaler);
}

std::int64_t Schedule::most_live_columns() const {
  std::int64_t most = 0;
  for (const Phase& phase : phases_) most = std::max(most, phase.columns);
  return std::min(tile_columns_, most);
}

std::int64_t Schedule::drain() const {
  return share_ + kArrayPipeline + (rows_stay_ ? array_columns_ - 1 : 0);
}

std::int64_t Schedule::tile_cycles(std::int64_t conv_group, std::size_t phase) const {
  std::int64_t cycles = 0;
  for (Group group = first_group(conv_group);; advance(group, conv_group, phase)) {
    cycles += group_words(group, phase) + group_stall(group, phase);
    if (is_last(group, phase)) return cycles;
  }
}

void Schedule::add_phases() {
  if (pass_ == Pass::kBackwardData) return add_backward_data_phases();
  const bool forward = pass_ == Pass::kForward;
  // The taps of forward are kernel positions, those of backward weight are output positions: each lies in the plane of
  // the rows' operand, and a dilation, or a stride, further on in that of the columns'.
  const auto [height, width] = row_plane_;
  const auto [step_y, step_x] = forward ? shape_.dilation : shape_.stride;
  Phase phase;
  phase.count = forward ? shape_.out_size() : shape_.kernel;
  phase.columns = (forward ? shape_.batch : shape_.in_channels / shape_.groups) * phase.count[0] * phase.count[1];
  for (std::int64_t i = 0; i < height; ++i) {
    for (std::int64_t j = 0; j < width; ++j) {
      const std::int64_t y = i * step_y;
      const std::int64_t x = j * step_x;
      phase.taps.push_back({i * width + j, y * plane_[1] + x, y, x});
    }
  }
  phases_.push_back(std::move(phase));
}

void Schedule::add_backward_data_phases() {
  const auto [kh, kw] = shape_.kernel;
  const auto [sh, sw] = shape_.stride;
  for (std::int64_t py = 0; py < std::min(sh, shape_.in_size[0]); ++py) {
    for (std::int64_t px = 0; px < std::min(sw, shape_.in_size[1]); ++px) {
      Phase phase;
      phase.first = {py, px};
      phase.count = {base::ceiling(shape_.in_size[0] - py, sh), base::ceiling(shape_.in_size[1] - px, sw)};
      phase.columns = shape_.batch * phase.count[0] * phase.count[1];
      for (std::int64_t i = 0; i < kh; ++i) {
        const std::int64_t y = py + shape_.padding[0].begin - i * shape_.dilation[0];
        if (y % sh != 0) continue;
        for (std::int64_t j = 0; j < kw; ++j) {
          const std::int64_t x = px + shape_.padding[1].begin - j * shape_.dilation[1];
          if (x % sw != 0) continue;
          phase.taps.push_back({i * kw + j, y / sh * plane_[1] + x / sw, y / sh, x / sw});
        }
      }
      if (!phase.taps.empty()) phases_.push_back(std::move(phase));
    }
  }
}

bool Schedule::is_last(const Group& group, std::size_t phase) const {
  if (group.end < shape_.outer_count(pass_)) return false;
  return !reduction_.taps_apart() || group.tap + 1 == static_cast<std::int64_t>(phases_[phase].taps.size());
}

void Schedule::advance(Group& group, std::int64_t conv_group, std::size_t phase) const {
  if (reduction_.taps_apart() && ++group.tap < static_cast<std::int64_t>(phases_[phase].taps.size())) return;
  group = {group.end, reduction_.run_end(conv_group, group.end), 0};
}

std::int64_t Schedule::group_taps(const Group& group, std::size_t phase) const {
  const std::int64_t length = group.end - group.begin;
  return reduction_.taps_apart() ? length : length * static_cast<std::int64_t>(phases_[phase].taps.size());
}

std::int64_t Schedule::group_words(const Group& group, std::size_t phase) const {
  return base::ceiling(group_taps(group, phase), taps_per_cycle_);
}

std::int64_t Schedule::group_stall(const Group& group, std::size_t phase) const {
  return std::max<std::int64_t>(share_ - group_words(group, phase), 0);
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
      lane.plane = co * cin;
      lane.result = co * out_plane;
      break;
    }
    case Pass::kBackwardData:
      lane.plane = conv_group * cout * cin + row;
      lane.result = (conv_group * cin + row) * shape_.in_size[0] * shape_.in_size[1];
      break;
    case Pass::kBackwardWeight: {
      const std::int64_t co = conv_group * cout + row;
      lane.plane = co;
      lane.result = co * cin * kernel;
      break;
    }
  }
  lane.element = lane.plane * row_plane_[0] * row_plane_[1];
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
      lane.y = row * shape_.stride[0] - shape_.padding[0].begin;
      lane.x = place * shape_.stride[1] - shape_.padding[1].begin;
      lane.plane = outer * shape_.in_channels + conv_group * cin;
      lane.result = outer * shape_.out_channels * oh * ow + row * ow + place;
      break;
    case Pass::kBackwardData: {
      lane.y = row;
      lane.x = place;
      lane.plane = outer * shape_.out_channels + conv_group * cout;
      const std::int64_t y = phase.first[0] + row * shape_.stride[0];
      const std::int64_t x = phase.first[1] + place * shape_.stride[1];
      lane.result = outer * shape_.in_channels * ih * iw + y * iw + x;
      break;
    }
    case Pass::kBackwardWeight:
      lane.y = row * shape_.dilation[0] - shape_.padding[0].begin;
      lane.x = place * shape_.dilation[1] - shape_.padding[1].begin;
      lane.plane = conv_group * cin + outer;
      lane.result = column;
      break;
  }
  lane.element = (lane.plane * plane_[0] + lane.y) * plane_[1] + lane.x;
  return lane;
}

Lane Schedule::row_lane(const Step& step, int lane) const {
  const std::int64_t row = step.row_tile * array_rows_ + lane;
  if (step.groups == 1) return row_lane(step.conv_group, row);
  return row_lane(step.conv_group + row / rows_, row % rows_);
}

Lane Schedule::column_lane(const Step& step, int lane) const {
  return column_lane(step.conv_group + lane / step.live_columns, step.phase,
                     step.column_tile * tile_columns_ + lane % step.live_columns);
}

std::int64_t Schedule::fill_cycles(const Step& step) const {
  if (rows_stay_) {
    const auto fill = [&](std::int64_t lanes, std::int64_t ports) {
      return base::ceiling(lanes * step.taps, std::min(ports, lanes * taps_per_cycle_));
    };
    return std::max(step.fills_rows ? fill(step.live_rows, row_ports_) : 0, fill(step.column_lanes(), column_ports_));
  }
  const std::int64_t columns = base::ceiling(step.column_lanes() * step.taps, column_ports_);
  return step.fills_rows ? std::max(base::ceiling(step.live_rows * step.taps, row_ports_), columns) : columns;
}

std::int64_t Schedule::compute_cycles(const Step& step) const {
  return (rows_stay_ ? step.live_columns : step.words) + step.stalls;
}

StepWalk::StepWalk(const Schedule& schedule) : schedule_(&schedule), done_(schedule.phases_.empty()) {
  if (!done_) start_tile();
}

void StepWalk::advance() {
  const Schedule& s = *schedule_;
  step_.first_of_panel = false;
  step_.first_of_tile = false;
  step_.column_half = 1 - step_.column_half;
  if (!tile_ends_) {
    cut_step();
    step_.row_half = 1 - step_.row_half;
    return;
  }
  // Whether the tile was this one step.
  const bool whole = step_.first_group.begin == 0 && step_.first_group.tap == 0 && step_.first_tap == 0;
  ++step_.column_tile;
  if (step_.column_tile * s.tile_columns_ < s.phases_[step_.phase].columns) {
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
      step_.conv_group += step_.groups;
      if (step_.conv_group == s.shape_.groups) {
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
  step_.groups = static_cast<int>(std::min(s.groups_at_once_, s.shape_.groups - step_.conv_group));
  step_.live_rows =
      step_.groups * static_cast<int>(std::min<std::int64_t>(s.array_rows_, s.rows_ - step_.row_tile * s.array_rows_));
  step_.live_columns =
      static_cast<int>(std::min(s.tile_columns_, s.phases_[step_.phase].columns - step_.column_tile * s.tile_columns_));
  step_.fills_rows = true;
  step_.first_of_panel = step_.column_tile == 0;
  step_.first_of_tile = true;
  next_group_ = s.first_group(step_.conv_group);
  next_tap_ = 0;
  cut_step();
}

// A step takes whole groups, as many as fit; one that is larger than a step is cut into steps of its own.
void StepWalk::cut_step() {
  const Schedule& s = *schedule_;
  step_.first_group = next_group_;
  step_.first_tap = next_tap_;
  step_.started_groups = next_tap_ == 0 ? 1 : 0;
  step_.stalls = 0;
  tile_ends_ = false;
  if (s.rows_stay_) return cut_fold();
  const std::int64_t taps = s.group_taps(next_group_, step_.phase);
  const std::int64_t words = s.group_words(next_group_, step_.phase);
  if (words > s.step_words_) {
    step_.taps = std::min(s.step_words_ * s.taps_per_cycle_, taps - next_tap_);
    step_.words = base::ceiling(step_.taps, s.taps_per_cycle_);
    next_tap_ += step_.taps;
    if (next_tap_ == taps) end_group();
    return;
  }
  step_.taps = taps;
  step_.words = words;
  end_group();
  while (!tile_ends_) {
    const std::int64_t more = s.group_words(next_group_, step_.phase);
    if (step_.words + more > s.step_words_) break;
    step_.taps += s.group_taps(next_group_, step_.phase);
    step_.words += more;
    ++step_.started_groups;
    end_group();
  }
}

// As many taps of one group as a row of elements holds.
void StepWalk::cut_fold() {
  const Schedule& s = *schedule_;
  const std::int64_t taps = s.group_taps(next_group_, step_.phase);
  step_.taps = std::min(s.step_words_ * s.taps_per_cycle_, taps - next_tap_);
  step_.words = base::ceiling(step_.taps, s.taps_per_cycle_);
  next_tap_ += step_.taps;
  step_.ends_group = next_tap_ == taps;
  step_.stalls = weight_stationary::fold_stalls(step_.ends_group, step_.live_columns, s.share_, s.array_columns_);
  if (step_.ends_group) end_group();
}

void StepWalk::end_group() {
  const Schedule& s = *schedule_;
  if (!s.rows_stay_) step_.stalls += s.group_stall(next_group_, step_.phase);
  next_tap_ = 0;
  tile_ends_ = s.is_last(next_group_, step_.phase);
  if (!tile_ends_) s.advance(next_group_, step_.conv_group, step_.phase);
}

}  // namespace mlsim::sim
