// The order in which a pass runs on the array: tiles of results, their steps, and the taps of each step. Controller and
// feeders of both details walk it. docs/dataflow.md describes the mapping. Weight-stationary arrays walk it, too, with
// tiles and steps of their own (sim/weight_stationary/folds.h).
// Tested in tests/sim/weight_stationary_test.cpp.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "models/convolution/convolution.h"
#include "sim/array_config.h"

namespace mlsim::sim {

// A row or a column of the array in one tile: where its operand and its results lie. The operand of tap t is at
// `element` plus the tap's offset, provided that (y, x) plus the tap's (y, x) lies in the operand's plane.
struct Lane {
  std::int64_t element = 0;  // index into the operand's codes, of tap offset 0
  std::int64_t y = 0;
  std::int64_t x = 0;
  std::int64_t plane = 0;   // index among the operand's planes, of outer index 0
  std::int64_t result = 0;  // a result lies at the sum of its row's and its column's index
};

// Offsets of one tap, the same for all lanes of a tile.
struct Tap {
  std::int64_t row = 0;     // into the codes of the operand of the rows
  std::int64_t column = 0;  // into the codes of the operand of the columns
  std::int64_t y = 0;       // in the plane of the operand of the columns
  std::int64_t x = 0;
};

// Results that have the same taps. Forward and backward weight have one phase; backward data has one for each position
// within the stride.
struct Phase {
  std::array<std::int64_t, 2> first{0, 0};  // position of its first result
  std::array<std::int64_t, 2> count{1, 1};  // results along each axis
  std::int64_t columns = 0;                 // over the whole batch
  std::vector<Tap> taps;                    // of one outer index
};

// A reduction group of the results of a tile: all taps of a run of outer indices, or one tap where taps are apart.
struct Group {
  std::int64_t begin = 0;  // of the run
  std::int64_t end = 0;
  std::int64_t tap = 0;  // that one tap
};

// A run of taps of one tile that fits in half a buffer: in words of as many as an element multiplies at once, of which
// each reduction group begins one.
struct Step {
  std::int64_t conv_group = 0;
  std::int64_t row_tile = 0;
  std::size_t phase = 0;
  std::int64_t column_tile = 0;
  int groups = 1;     // convolution groups from that one on which stand side by side
  int live_rows = 0;  // of all of them
  int live_columns = 0;
  Group first_group;           // the reduction group of its first tap,
  std::int64_t first_tap = 0;  // and the place of that tap in it
  std::int64_t taps = 0;
  std::int64_t words = 0;
  std::int64_t started_groups = 0;  // reduction groups whose first tap it has
  std::int64_t stalls = 0;          // cycles that groups which end in it wait for the group-scale units
  bool ends_group = false;          // where rows stay: it is the last fold of its reduction group
  bool fills_rows = true;           // false where the row panel is still in its half
  int row_half = 0;
  int column_half = 0;
  bool first_of_panel = false;  // first step of its (conv group, row tile, phase),
  bool first_of_tile = false;   // and of its tile

  // Lanes of the columns' operand: each of the groups has its own.
  int column_lanes() const { return groups * live_columns; }
};

class Schedule {
 public:
  Schedule(models::Pass pass, const models::ConvolutionShape& shape, const models::ScaleLayout& left,
           const models::ScaleLayout& right, const ArrayConfig& config);

  models::Pass pass() const { return pass_; }
  const models::ConvolutionShape& shape() const { return shape_; }
  const models::Reduction& reduction() const { return reduction_; }

  std::int64_t rows() const { return rows_; }                   // of results of a conv group
  const std::vector<Phase>& phases() const { return phases_; }  // those that have a tap
  std::int64_t results() const;                                 // computed on the array
  int share() const { return share_; }                          // most elements that a group-scale unit serves
  bool rows_stay() const { return rows_stay_; }                 // Dataflow::rows_stay
  // From the end of a tile's computation to its last result in its bank.
  std::int64_t drain() const;
  // Height and width of the planes of the operand of the rows, and of that of the columns.
  const std::array<std::int64_t, 2>& row_plane() const { return row_plane_; }
  const std::array<std::int64_t, 2>& plane() const { return plane_; }

  // The reduction groups of a tile, one after the other.
  Group first_group(std::int64_t conv_group) const { return {0, reduction_.run_end(conv_group, 0), 0}; }
  bool is_last(const Group& group, std::size_t phase) const;
  void advance(Group& group, std::int64_t conv_group, std::size_t phase) const;
  std::int64_t group_taps(const Group& group, std::size_t phase) const;
  // Cycles in which an element multiplies them.
  std::int64_t group_words(const Group& group, std::size_t phase) const;
  // Cycles that a group waits for the group-scale units.
  std::int64_t group_stall(const Group& group, std::size_t phase) const;

  // Most convolution groups that stand side by side.
  std::int64_t groups_at_once() const { return groups_at_once_; }
  // The one of them that a row of the array belongs to, which is none for rows beyond those of all.
  std::int64_t group_of_row(std::int64_t array_row) const { return groups_at_once_ > 1 ? array_row / rows_ : 0; }
  std::int64_t tile_columns() const { return tile_columns_; }  // of results, in a tile that is whole
  Lane row_lane(std::int64_t conv_group, std::int64_t row) const;
  Lane column_lane(std::int64_t conv_group, std::size_t phase, std::int64_t column) const;
  // Those of a step by their number: lanes of the columns go group by group.
  Lane row_lane(const Step& step, int lane) const;
  Lane column_lane(const Step& step, int lane) const;
  // What an outer index adds to a lane's indices.
  std::int64_t row_outer_elements() const { return row_outer_planes_ * row_plane_[0] * row_plane_[1]; }
  std::int64_t column_outer_elements() const { return column_outer_planes_ * plane_[0] * plane_[1]; }
  std::int64_t row_outer_planes() const { return row_outer_planes_; }
  std::int64_t column_outer_planes() const { return column_outer_planes_; }

  // Cycles in which a tile computes, all of its steps.
  std::int64_t tile_cycles(std::int64_t conv_group, std::size_t phase) const;
  std::int64_t taps_per_cycle() const { return taps_per_cycle_; }
  // Of the largest tile.
  std::int64_t most_live_rows() const { return std::min<std::int64_t>(array_rows_, rows_ * groups_at_once_); }
  std::int64_t most_live_columns() const;

  // Cycles in which both feeders fill a step's operands, and in which the array uses them.
  std::int64_t fill_cycles(const Step& step) const;
  std::int64_t compute_cycles(const Step& step) const;

 private:
  friend class StepWalk;

  void add_phases();
  void add_backward_data_phases();

  models::Pass pass_;
  models::ConvolutionShape shape_;
  models::Reduction reduction_;
  bool rows_stay_;
  int array_rows_;
  int array_columns_;
  std::int64_t row_ports_;
  std::int64_t column_ports_;
  std::int64_t taps_per_cycle_;
  std::int64_t rows_;
  std::int64_t groups_at_once_;
  std::int64_t tile_columns_;
  std::int64_t step_words_;  // the most words of a step
  int share_ = 0;
  std::array<std::int64_t, 2> row_plane_;
  std::array<std::int64_t, 2> plane_;
  std::vector<Phase> phases_;
  std::int64_t row_outer_planes_ = 1;
  std::int64_t column_outer_planes_ = 1;
};

// The steps of a pass, one after the other: conv group, row tile, phase, column tile, reduction.
class StepWalk {
 public:
  explicit StepWalk(const Schedule& schedule);

  bool done() const { return done_; }
  const Step& step() const { return step_; }  // the current one, unless done
  void advance();

 private:
  void start_tile();
  void cut_step();
  void cut_fold();
  void end_group();

  const Schedule* schedule_;
  Step step_;
  bool done_ = false;
  // Where the next step of the tile begins.
  Group next_group_;
  std::int64_t next_tap_ = 0;
  bool tile_ends_ = false;  // there is none
};

}  // namespace mlsim::sim
