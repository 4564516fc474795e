#include "sim/output_stationary/operand_toggles.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "base/integers.h"
#include "base/parallel.h"
#include "sim/code_sequence.h"
#include "sim/output_stationary/dot_toggles.h"
#include "sim/output_stationary/toggle_kernels.h"
#include "sim/schedule.h"

namespace mlsim::sim::output_stationary {
namespace {

// Codes that are worth a call of the kernel, and a thread's while.
constexpr std::int64_t kBlockCodes = 1024;
constexpr std::int64_t kGrainCodes = 16 * kBlockCodes;

template <typename Sum>
std::uint64_t parallel_sum(std::int64_t count, std::int64_t grain, const Sum& sum) {
  using Range = tbb::blocked_range<std::int64_t>;
  return base::parallel_reduce(
      Range(0, count, static_cast<std::size_t>(std::max<std::int64_t>(grain, 1))), std::uint64_t{0},
      [&](const Range& range, std::uint64_t total) { return total + sum(range.begin(), range.end()); },
      [](std::uint64_t a, std::uint64_t b) { return a + b; });
}

// The run that each outer index of each convolution group lies in. None where a lane takes all taps of an outer index
// before it goes on to the next one.
struct Runs {
  std::int64_t outer = 1;
  std::vector<std::int64_t> begin;
  std::vector<std::int64_t> end;

  bool none() const { return begin.empty(); }
};

Runs runs_of(const Schedule& schedule) {
  const models::Reduction& reduction = schedule.reduction();
  Runs runs{schedule.shape().outer_count(schedule.pass()), {}, {}};
  if (!reduction.taps_apart() || reduction.longest_run() == 1) return runs;
  // Images are cut alike for all convolution groups.
  const std::int64_t groups = schedule.pass() == models::Pass::kBackwardWeight ? 1 : schedule.shape().groups;
  for (std::int64_t group = 0; group < groups; ++group) {
    for (std::int64_t outer = 0; outer < runs.outer;) {
      const std::int64_t end = reduction.run_end(group, outer);
      runs.begin.insert(runs.begin.end(), static_cast<std::size_t>(end - outer), outer);
      runs.end.insert(runs.end.end(), static_cast<std::size_t>(end - outer), end);
      outer = end;
    }
  }
  return runs;
}

// The codes of an operand: planes, of which every lane walks `outer` ones, `step` apart.
struct Planes {
  std::vector<std::uint16_t> codes;
  std::int64_t plane = 1;  // codes of a plane
  std::int64_t count = 0;
  std::int64_t outer = 1;
  std::int64_t step = 1;
  std::int64_t lanes = 1;  // sets of `outer` · `step` planes that follow each other and belong to one convolution group

  std::uint16_t code(std::int64_t index, std::int64_t place) const {
    return codes[static_cast<std::size_t>(index * plane + place)];
  }
  std::int64_t last_of(std::int64_t first) const { return first + (outer - 1) * step; }
};

// Pairs of codes that follow each other in a register, by their places in two planes, each with how often it occurs.
// Those that lie equally far apart are counted together, a vector of first places at a time.
class Pairs {
 public:
  explicit Pairs(const Planes& planes)
      : planes_(&planes), slots_(static_cast<std::size_t>(2 * planes.plane - 1), kNoSlot) {}

  void add(std::int64_t from, std::int64_t to) {
    std::size_t& slot = slots_[static_cast<std::size_t>(to - from + planes_->plane - 1)];
    if (slot == kNoSlot) {
      slot = times_.size();
      distances_.push_back(to - from);
      times_.emplace_back(static_cast<std::size_t>(planes_->plane), 0);
    }
    ++times_[slot][static_cast<std::size_t>(from)];
  }

  // Ends the adding.
  void arrange() {
    block_ = std::clamp<std::int64_t>(kBlockCodes / planes_->plane, 1, std::max<std::int64_t>(planes_->count, 1));
    for (std::size_t slot = 0; slot < times_.size(); ++slot) arrange(distances_[slot], times_[slot]);
    times_.clear();
    slots_.clear();
  }

  std::int64_t block() const { return block_; }

  // Bits that change over all pairs of `count` planes from `from` on, at most block(), with as many from `to` on.
  std::uint64_t changed_bits(std::int64_t from, std::int64_t to, std::int64_t count) const {
    std::uint64_t bits = 0;
    for (const Distance& distance : distances_arranged_) {
      const std::int64_t a = from * planes_->plane + distance.first;
      const std::int64_t b = to * planes_->plane + distance.first + distance.offset;
      const auto readable = static_cast<std::size_t>(planes_->count * planes_->plane - std::max(a, b));
      bits += weighted_changes(distance.weights.data(), distance.largest, planes_->codes.data() + a,
                               planes_->codes.data() + b,
                               static_cast<std::size_t>((count - 1) * planes_->plane + distance.places), readable);
    }
    return bits;
  }

 private:
  static constexpr std::size_t kNoSlot = std::numeric_limits<std::size_t>::max();
  static constexpr std::uint32_t kLargestWeight = std::numeric_limits<std::int16_t>::max();

  struct Distance {
    std::int64_t offset = 0;  // from the first code of a pair to the second
    std::int64_t first = 0;   // place of the first pair,
    std::int64_t places = 0;  // and from there to behind the last one
    std::int16_t largest = 0;
    std::vector<std::int16_t> weights;  // of the places of a block's planes
  };

  // Weights beyond the kernel's are cut into several.
  void arrange(std::int64_t offset, std::vector<std::uint32_t>& times) {
    const auto used = [](std::uint32_t n) { return n != 0; };
    while (true) {
      const auto first = std::find_if(times.begin(), times.end(), used);
      if (first == times.end()) return;
      const auto end = std::find_if(times.rbegin(), times.rend(), used).base();
      Distance distance;
      distance.offset = offset;
      distance.first = first - times.begin();
      distance.places = end - first;
      distance.weights.assign(
          static_cast<std::size_t>((block_ - 1) * planes_->plane + distance.places) + kMostToggleLanes, 0);
      for (auto place = first; place != end; ++place) {
        const std::uint32_t weight = std::min(*place, kLargestWeight);
        *place -= weight;
        distance.largest = std::max(distance.largest, static_cast<std::int16_t>(weight));
        for (std::int64_t plane = 0; plane < block_; ++plane) {
          distance.weights[static_cast<std::size_t>(plane * planes_->plane + (place - first))] =
              static_cast<std::int16_t>(weight);
        }
      }
      distances_arranged_.push_back(std::move(distance));
    }
  }

  const Planes* planes_;
  std::int64_t block_ = 1;
  std::vector<std::size_t> slots_;                 // by distance
  std::vector<std::int64_t> distances_;            // by slot
  std::vector<std::vector<std::uint32_t>> times_;  // by slot and first place
  std::vector<Distance> distances_arranged_;
};

// What lanes take between their first and their last code.
struct LanePairs {
  explicit LanePairs(const Planes& planes) : within(planes), onward(planes), along(planes) {}

  Pairs within;  // a plane; in a run from its last plane to its first
  Pairs onward;  // from one plane of a lane, or from the last of a run, to the next
  Pairs along;   // from one plane of a run to the next, at the same place

  void arrange() {
    within.arrange();
    onward.arrange();
    along.arrange();
  }

  std::uint64_t changed_bits(const Planes& planes, const Runs& runs) const {
    return parallel_sum(planes.count, kGrainCodes / planes.plane, [&](std::int64_t begin, std::int64_t end) {
      return runs.none() ? plane_by_plane(planes, begin, end) : run_by_run(planes, runs, begin, end);
    });
  }

 private:
  std::uint64_t plane_by_plane(const Planes& planes, std::int64_t begin, std::int64_t end) const {
    // Planes that have a next one, and behind them those that have none.
    const std::int64_t with_next = (planes.outer - 1) * planes.step;
    const std::int64_t set = planes.outer * planes.step;
    std::uint64_t bits = 0;
    for (std::int64_t plane = begin; plane < end; plane += within.block()) {
      bits += within.changed_bits(plane, plane, std::min(within.block(), end - plane));
    }
    for (std::int64_t plane = begin; plane < end;) {
      const std::int64_t left = with_next - plane % set;
      if (left <= 0) {
        plane += set - plane % set;
        continue;
      }
      const std::int64_t count = std::min({onward.block(), end - plane, left});
      bits += onward.changed_bits(plane, plane + planes.step, count);
      plane += count;
    }
    return bits;
  }

  // A tap of all planes of a run is followed by the next tap of all of them.
  std::uint64_t run_by_run(const Planes& planes, const Runs& runs, std::int64_t begin, std::int64_t end) const {
    const std::int64_t set = planes.outer * planes.step;
    const std::int64_t groups = static_cast<std::int64_t>(runs.begin.size()) / planes.outer;
    std::uint64_t bits = 0;
    for (std::int64_t plane = begin; plane < end;) {
      const std::int64_t group = plane / set / planes.lanes % groups;
      const std::int64_t outer = plane % set / planes.step;
      const std::int64_t beside = plane % planes.step;
      const auto at = static_cast<std::size_t>(group * planes.outer + outer);
      const std::int64_t last = runs.end[at] - 1;
      std::int64_t count = std::min(within.block(), end - plane);
      if (outer < last) {
        count = std::min(count, (last - outer) * planes.step - beside);
        bits += along.changed_bits(plane, plane + planes.step, count);
      } else {
        count = std::min(count, planes.step - beside);
        bits += within.changed_bits(plane, plane - (last - runs.begin[at]) * planes.step, count);
        if (last + 1 < planes.outer) bits += onward.changed_bits(plane, plane + planes.step, count);
      }
      plane += count;
    }
    return bits;
  }
};

constexpr std::int64_t kNone = -1;

// First and last place that a run of taps takes; kNone where all are padding.
struct Ends {
  std::int64_t first = kNone;
  std::int64_t last = kNone;
};

class Walk {
 public:
  Walk(const Schedule& schedule, const models::ScaledTensor& rows, const models::ScaledTensor& columns,
       const ArrayConfig& config)
      : schedule_(schedule),
        runs_(runs_of(schedule)),
        rows_(planes_of(rows, schedule.row_outer_planes())),
        columns_(planes_of(columns, schedule.column_outer_planes())),
        array_rows_(config.rows),
        array_columns_(config.columns),
        row_tiles_(base::ceiling(schedule.rows(), config.rows)) {
    // Forward, each row has a set of its own.
    if (schedule.pass() == models::Pass::kForward) rows_.lanes = schedule.rows();
  }

  OperandToggles run() const { return {count_rows(), count_columns()}; }

 private:
  Planes planes_of(const models::ScaledTensor& tensor, std::int64_t step) const {
    return {models::gated_codes(tensor), tensor.inner_size(), tensor.shape[0] * tensor.shape[1], runs_.outer, step};
  }

  // Every tile of columns takes the rows of its tile once.
  std::int64_t column_tiles(const Phase& phase) const { return base::ceiling(phase.columns, array_columns_); }

  std::uint64_t count_rows() const {
    std::uint64_t bits = 0;
    for (const Phase& phase : schedule_.phases()) {
      LanePairs pairs(rows_);
      for (std::size_t tap = 1; tap < phase.taps.size(); ++tap) {
        pairs.within.add(phase.taps[tap - 1].row, phase.taps[tap].row);
      }
      if (rows_.outer > 1) pairs.onward.add(phase.taps.back().row, phase.taps.front().row);
      if (!runs_.none()) {
        for (const Tap& tap : phase.taps) pairs.along.add(tap.row, tap.row);
      }
      pairs.arrange();
      bits += static_cast<std::uint64_t>(column_tiles(phase)) * pairs.changed_bits(rows_, runs_);
    }
    std::vector<std::uint16_t> registers(static_cast<std::size_t>(array_rows_));
    for (std::int64_t group = 0; group < schedule_.shape().groups; ++group) {
      for (std::int64_t first_row = 0; first_row < schedule_.rows(); first_row += array_rows_) {
        for (const Phase& phase : schedule_.phases()) {
          const std::int64_t first = group % schedule_.groups_at_once() * schedule_.rows();
          for (std::int64_t row = first_row; row < std::min(first_row + array_rows_, schedule_.rows()); ++row) {
            const std::int64_t plane = schedule_.row_lane(group, row).plane;
            CodeSequence run;
            run.add(rows_.code(plane, phase.taps.front().row), rows_.code(rows_.last_of(plane), phase.taps.back().row));
            bits += run.taken_by(registers[static_cast<std::size_t>(first + row - first_row)], column_tiles(phase));
          }
        }
      }
    }
    return bits;
  }

  // Columns of a phase that share a first plane: those of an image, or of an input channel's weights. They are alike in
  // every such block. Theirs are the pairs of a lane, and of one lane and the next of the same register in the block.
  struct ColumnBlocks {
    std::int64_t lanes = 0;   // of a block
    std::int64_t blocks = 0;  // of a convolution group
    std::vector<Ends> ends;   // of what each register takes in a block, by its first lane
  };

  ColumnBlocks add_pairs(std::size_t phase_index, LanePairs& pairs, Pairs& between) const {
    const Phase& phase = schedule_.phases()[phase_index];
    const auto [height, width] = schedule_.plane();
    ColumnBlocks blocks;
    blocks.lanes = phase.count[0] * phase.count[1];
    blocks.blocks = phase.columns / blocks.lanes;
    blocks.ends.resize(static_cast<std::size_t>(std::min(array_columns_, blocks.lanes)));
    for (std::int64_t column = 0; column < blocks.lanes; ++column) {
      const Lane lane = schedule_.column_lane(0, phase_index, column);
      Ends taken;
      for (const Tap& tap : phase.taps) {
        const std::int64_t y = lane.y + tap.y;
        const std::int64_t x = lane.x + tap.x;
        if (y < 0 || y >= height || x < 0 || x >= width) continue;
        const std::int64_t place = y * width + x;
        if (!runs_.none()) pairs.along.add(place, place);
        if (taken.first == kNone) {
          taken.first = place;
        } else {
          pairs.within.add(taken.last, place);
        }
        taken.last = place;
      }
      if (taken.first == kNone) continue;
      if (columns_.outer > 1) pairs.onward.add(taken.last, taken.first);
      Ends& ends = blocks.ends[static_cast<std::size_t>(column % array_columns_)];
      if (ends.first == kNone) {
        ends.first = taken.first;
      } else {
        (columns_.outer > 1 ? between : pairs.within).add(ends.last, taken.first);
      }
      ends.last = taken.last;
    }
    return blocks;
  }

  std::int64_t first_plane(std::int64_t group, std::size_t phase, const ColumnBlocks& blocks,
                           std::int64_t block) const {
    return schedule_.column_lane(group, phase, block * blocks.lanes).plane;
  }

  std::uint64_t count_columns() const {
    LanePairs pairs(columns_);
    Pairs between(columns_);  // from the last plane of a lane to the first of another, where a lane has several
    std::vector<ColumnBlocks> phases;
    for (std::size_t phase = 0; phase < schedule_.phases().size(); ++phase) {
      phases.push_back(add_pairs(phase, pairs, between));
    }
    if (phases.empty()) return 0;
    pairs.arrange();
    between.arrange();

    // All phases have the blocks of the first one.
    const std::int64_t blocks = phases.front().blocks;
    std::uint64_t bits = pairs.changed_bits(columns_, runs_);
    if (columns_.outer > 1) {
      bits += parallel_sum(schedule_.shape().groups * blocks, kGrainCodes / columns_.plane,
                           [&](std::int64_t begin, std::int64_t end) {
                             std::uint64_t sum = 0;
                             for (std::int64_t i = begin; i < end; ++i) {
                               const std::int64_t plane = first_plane(i / blocks, 0, phases.front(), i % blocks);
                               sum += between.changed_bits(columns_.last_of(plane), plane, 1);
                             }
                             return sum;
                           });
    }
    bits *= static_cast<std::uint64_t>(row_tiles_);

    std::vector<std::uint16_t> registers(static_cast<std::size_t>(array_columns_ * schedule_.groups_at_once()));
    for (std::int64_t group = 0; group < schedule_.shape().groups; ++group) {
      std::vector<CodeSequence> runs(static_cast<std::size_t>(array_columns_));
      for (std::size_t phase = 0; phase < phases.size(); ++phase) {
        for (std::int64_t block = 0; block < blocks; ++block) {
          const std::int64_t plane = first_plane(group, phase, phases[phase], block);
          std::int64_t column = block * phases[phase].lanes;
          for (const Ends& ends : phases[phase].ends) {
            CodeSequence& run = runs[static_cast<std::size_t>(column++ % array_columns_)];
            if (ends.first == kNone) continue;
            run.add(columns_.code(plane, ends.first), columns_.code(columns_.last_of(plane), ends.last));
          }
        }
      }
      std::uint16_t* own = registers.data() + group % schedule_.groups_at_once() * array_columns_;
      for (std::size_t column = 0; column < runs.size(); ++column) {
        bits += runs[column].taken_by(own[column], row_tiles_);
      }
    }
    return bits;
  }

  const Schedule& schedule_;
  Runs runs_;
  Planes rows_;
  Planes columns_;
  std::int64_t array_rows_;
  std::int64_t array_columns_;
  std::int64_t row_tiles_;
};

}  // namespace

OperandToggles count_operand_toggles(models::Pass pass, const models::ConvolutionShape& shape,
                                     const models::ScaledTensor& left, const models::ScaledTensor& right,
                                     const ArrayConfig& config) {
  const Schedule schedule(pass, shape, left.format.layout, right.format.layout, config);
  const bool left_in_rows = pass == models::Pass::kBackwardWeight;
  const models::ScaledTensor& rows = left_in_rows ? left : right;
  const models::ScaledTensor& columns = left_in_rows ? right : left;
  if (config.taps_per_cycle > 1) return count_dot_toggles(schedule, rows, columns, config);
  return Walk(schedule, rows, columns, config).run();
}

}  // namespace mlsim::sim::output_stationary
