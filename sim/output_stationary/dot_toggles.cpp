#include "sim/output_stationary/dot_toggles.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "base/integers.h"
#include "base/parallel.h"
#include "sim/code_sequence.h"

namespace mlsim::sim::output_stationary {
namespace {

// The registers of one lane.
class Registers {
 public:
  explicit Registers(int taps_per_cycle)
      : sequences_(static_cast<std::size_t>(taps_per_cycle)), held_(sequences_.size()) {}

  void begin() { std::fill(sequences_.begin(), sequences_.end(), CodeSequence{}); }
  // A tap of the group, by its place in a word.
  void add(std::size_t place, std::uint16_t code) { sequences_[place].add(code); }
  // What was added since begin() is taken so many times, one after the other.
  void take(std::int64_t times) {
    for (std::size_t place = 0; place < sequences_.size(); ++place) {
      bits_ += sequences_[place].taken_by(held_[place], times);
    }
  }
  std::uint64_t bits() const { return bits_; }

 private:
  std::vector<CodeSequence> sequences_;
  std::vector<std::uint16_t> held_;
  std::uint64_t bits_ = 0;
};

class DotWalk {
 public:
  DotWalk(const Schedule& schedule, const models::ScaledTensor& rows, const models::ScaledTensor& columns,
          const ArrayConfig& config)
      : schedule_(schedule),
        taps_per_cycle_(config.taps_per_cycle),
        rows_(models::gated_codes(rows)),
        columns_(models::gated_codes(columns)),
        array_rows_(config.rows),
        array_columns_(config.columns) {}

  OperandToggles run() const {
    const auto sum_of = [](std::int64_t lanes, const auto& bits_of) {
      using Range = tbb::blocked_range<std::int64_t>;
      return base::parallel_reduce(
          Range(0, lanes), std::uint64_t{0},
          [&](const Range& range, std::uint64_t total) {
            for (std::int64_t lane = range.begin(); lane != range.end(); ++lane) total += bits_of(lane);
            return total;
          },
          [](std::uint64_t a, std::uint64_t b) { return a + b; });
    };
    return {sum_of(array_rows_, [&](std::int64_t lane) { return count_row(lane); }),
            sum_of(array_columns_ * schedule_.groups_at_once(), [&](std::int64_t lane) { return count_column(lane); })};
  }

 private:
  // Every tile of columns takes the rows of its tile once.
  std::uint64_t count_row(std::int64_t lane) const {
    Registers registers(taps_per_cycle_);
    // Of convolution groups side by side, those that come to stand in the lane.
    const std::int64_t at_once = schedule_.groups_at_once();
    const std::int64_t first = schedule_.group_of_row(lane);
    if (first >= at_once) return 0;
    for (std::int64_t conv_group = first; conv_group < schedule_.shape().groups; conv_group += at_once) {
      for (std::int64_t row = lane - first * schedule_.rows(); row < schedule_.rows(); row += array_rows_) {
        for (std::size_t phase = 0; phase < schedule_.phases().size(); ++phase) {
          const Lane place = schedule_.row_lane(conv_group, row);
          registers.begin();
          for_each_tap(conv_group, phase, [&](std::int64_t outer, const Tap& tap, std::size_t word_place) {
            const std::int64_t element = place.element + tap.row + outer * schedule_.row_outer_elements();
            registers.add(word_place, rows_[static_cast<std::size_t>(element)]);
          });
          registers.take(base::ceiling(schedule_.phases()[phase].columns, array_columns_));
        }
      }
    }
    return registers.bits();
  }

  // Every tile of rows takes the columns of all phases once.
  std::uint64_t count_column(std::int64_t lane) const {
    Registers registers(taps_per_cycle_);
    const std::array<std::int64_t, 2>& plane = schedule_.plane();
    const std::int64_t at_once = schedule_.groups_at_once();
    for (std::int64_t conv_group = lane / array_columns_; conv_group < schedule_.shape().groups;
         conv_group += at_once) {
      registers.begin();
      for (std::size_t phase = 0; phase < schedule_.phases().size(); ++phase) {
        for (std::int64_t column = lane % array_columns_; column < schedule_.phases()[phase].columns;
             column += array_columns_) {
          const Lane place = schedule_.column_lane(conv_group, phase, column);
          for_each_tap(conv_group, phase, [&](std::int64_t outer, const Tap& tap, std::size_t word_place) {
            const std::int64_t y = place.y + tap.y;
            const std::int64_t x = place.x + tap.x;
            if (y < 0 || y >= plane[0] || x < 0 || x >= plane[1]) return;
            const std::int64_t element = place.element + tap.column + outer * schedule_.column_outer_elements();
            registers.add(word_place, columns_[static_cast<std::size_t>(element)]);
          });
        }
      }
      registers.take(base::ceiling(schedule_.rows(), array_rows_));
    }
    return registers.bits();
  }

  // use(outer index, tap, place in its word), in the order of a tile.
  template <typename Use>
  void for_each_tap(std::int64_t conv_group, std::size_t phase, const Use& use) const {
    const std::vector<Tap>& taps = schedule_.phases()[phase].taps;
    const bool apart = schedule_.reduction().taps_apart();
    const auto last_place = static_cast<std::size_t>(taps_per_cycle_ - 1);
    for (Group group = schedule_.first_group(conv_group);; schedule_.advance(group, conv_group, phase)) {
      std::size_t word_place = 0;
      const auto meet = [&](std::int64_t outer, const Tap& tap) {
        use(outer, tap, word_place);
        word_place = word_place == last_place ? 0 : word_place + 1;
      };
      for (std::int64_t outer = group.begin; outer < group.end; ++outer) {
        if (apart) {
          meet(outer, taps[static_cast<std::size_t>(group.tap)]);
        } else {
          for (const Tap& tap : taps) meet(outer, tap);
        }
      }
      if (schedule_.is_last(group, phase)) return;
    }
  }

  const Schedule& schedule_;
  int taps_per_cycle_;
  std::vector<std::uint16_t> rows_;
  std::vector<std::uint16_t> columns_;
  std::int64_t array_rows_;
  std::int64_t array_columns_;
};

}  // namespace

OperandToggles count_dot_toggles(const Schedule& schedule, const models::ScaledTensor& rows,
                                 const models::ScaledTensor& columns, const ArrayConfig& config) {
  return DotWalk(schedule, rows, columns, config).run();
}

}  // namespace mlsim::sim::output_stationary
