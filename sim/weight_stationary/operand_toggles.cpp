#include "sim/weight_stationary/operand_toggles.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/integers.h"
#include "base/parallel.h"
#include "sim/code_sequence.h"
#include "sim/schedule.h"
#include "sim/weight_stationary/folds.h"

namespace mlsim::sim::weight_stationary {
namespace {

// A tap of a tile: its outer index, and which tap of it.
struct TapAt {
  std::int64_t outer = 0;
  std::size_t tap = 0;
};

class Walk {
 public:
  Walk(const Schedule& schedule, const models::ScaledTensor& rows, const models::ScaledTensor& columns,
       const ArrayConfig& config)
      : schedule_(schedule),
        rows_(models::gated_codes(rows)),
        columns_(models::gated_codes(columns)),
        array_rows_(config.rows),
        places_(fold_taps(config)),
        tile_columns_(schedule.tile_columns()) {}

  OperandToggles run() const {
    return {parallel_sum(array_rows_, [&](std::int64_t row) { return bits_of_row(row); }),
            parallel_sum(places_ * schedule_.groups_at_once(), [&](std::int64_t reg) { return bits_of_column(reg); })};
  }

 private:
  template <typename Bits>
  static std::uint64_t parallel_sum(std::int64_t count, const Bits& bits) {
    using Range = tbb::blocked_range<std::int64_t>;
    return base::parallel_reduce(
        Range(0, count), std::uint64_t{0},
        [&](const Range& range, std::uint64_t sum) {
          for (std::int64_t i = range.begin(); i < range.end(); ++i) sum += bits(i);
          return sum;
        },
        [](std::uint64_t a, std::uint64_t b) { return a + b; });
  }

  std::int64_t column_tiles(const Phase& phase) const { return base::ceiling(phase.columns, tile_columns_); }

  // f(place in its fold, tap), for all taps of a tile in their order; how many folds they are.
  template <typename Use>
  std::int64_t for_taps(std::int64_t conv_group, std::size_t phase, const Use& use) const {
    const bool apart = schedule_.reduction().taps_apart();
    const auto inner = static_cast<std::int64_t>(schedule_.phases()[phase].taps.size());
    std::int64_t folds = 0;
    for (Group group = schedule_.first_group(conv_group);; schedule_.advance(group, conv_group, phase)) {
      const std::int64_t taps = schedule_.group_taps(group, phase);
      for (std::int64_t t = 0; t < taps; ++t) {
        use(t % places_,
            TapAt{group.begin + (apart ? t : t / inner), static_cast<std::size_t>(apart ? group.tap : t % inner)});
      }
      folds += base::ceiling(taps, places_);
      if (schedule_.is_last(group, phase)) return folds;
    }
  }

  // The registers of a row of elements.
  std::uint64_t bits_of_row(std::int64_t array_row) const {
    std::vector<std::uint16_t> registers(static_cast<std::size_t>(places_));
    std::uint64_t bits = 0;
    // Of convolution groups side by side, those that come to stand in the row.
    const std::int64_t at_once = schedule_.groups_at_once();
    const std::int64_t beside = schedule_.group_of_row(array_row);
    if (beside >= at_once) return 0;
    for (std::int64_t conv_group = beside; conv_group < schedule_.shape().groups; conv_group += at_once) {
      for (std::int64_t row = array_row - beside * schedule_.rows(); row < schedule_.rows(); row += array_rows_) {
        const std::int64_t first = schedule_.row_lane(conv_group, row).element;
        for (std::size_t phase = 0; phase < schedule_.phases().size(); ++phase) {
          const std::vector<Tap>& taps = schedule_.phases()[phase].taps;
          std::vector<CodeSequence> sequences(registers.size());
          const std::int64_t folds = for_taps(conv_group, phase, [&](std::int64_t place, const TapAt& at) {
            const std::int64_t element = first + at.outer * schedule_.row_outer_elements() + taps[at.tap].row;
            sequences[static_cast<std::size_t>(place)].add(rows_[static_cast<std::size_t>(element)]);
          });
          // The only fold of a tile stays for the tiles that follow.
          const std::int64_t times = folds == 1 ? 1 : column_tiles(schedule_.phases()[phase]);
          for (std::size_t i = 0; i < registers.size(); ++i) bits += sequences[i].taken_by(registers[i], times);
        }
      }
    }
    return bits;
  }

  // A register of a column, by its place in a fold and its convolution group among those side by side: the same for
  // every row tile.
  std::uint64_t bits_of_column(std::int64_t of_column) const {
    const std::int64_t place = of_column % places_;
    const std::int64_t at_once = schedule_.groups_at_once();
    const std::int64_t row_tiles = base::ceiling(schedule_.rows(), array_rows_);
    std::uint16_t reg = 0;
    std::uint64_t bits = 0;
    for (std::int64_t conv_group = of_column / places_; conv_group < schedule_.shape().groups; conv_group += at_once) {
      CodeSequence sequence;
      for (std::size_t phase = 0; phase < schedule_.phases().size(); ++phase) {
        std::vector<TapAt> taps;
        for_taps(conv_group, phase, [&](std::int64_t of, const TapAt& at) {
          if (of == place) taps.push_back(at);
        });
        add_positions(conv_group, phase, taps, sequence);
      }
      bits += sequence.taken_by(reg, row_tiles);
    }
    return bits;
  }

  void add_positions(std::int64_t conv_group, std::size_t phase, const std::vector<TapAt>& taps,
                     CodeSequence& sequence) const {
    const Phase& of = schedule_.phases()[phase];
    const auto [height, width] = schedule_.plane();
    std::vector<Lane> lanes;
    for (std::int64_t first = 0; first < of.columns; first += tile_columns_) {
      lanes.clear();
      for (std::int64_t column = first; column < std::min(first + tile_columns_, of.columns); ++column) {
        lanes.push_back(schedule_.column_lane(conv_group, phase, column));
      }
      for (const TapAt& at : taps) {
        const Tap& tap = of.taps[at.tap];
        const std::int64_t offset = at.outer * schedule_.column_outer_elements() + tap.column;
        for (const Lane& lane : lanes) {
          const std::int64_t y = lane.y + tap.y;
          const std::int64_t x = lane.x + tap.x;
          if (y < 0 || y >= height || x < 0 || x >= width) continue;
          sequence.add(columns_[static_cast<std::size_t>(lane.element + offset)]);
        }
      }
    }
  }

  const Schedule& schedule_;
  std::vector<std::uint16_t> rows_;
  std::vector<std::uint16_t> columns_;
  std::int64_t array_rows_;
  std::int64_t places_;  // of a fold
  std::int64_t tile_columns_;
};

}  // namespace

OperandToggles count_operand_toggles(models::Pass pass, const models::ConvolutionShape& shape,
                                     const models::ScaledTensor& left, const models::ScaledTensor& right,
                                     const ArrayConfig& config) {
  const Schedule schedule(pass, shape, left.format.layout, right.format.layout, config);
  const bool left_in_rows = pass == models::Pass::kBackwardWeight;
  return Walk(schedule, left_in_rows ? left : right, left_in_rows ? right : left, config).run();
}

}  // namespace mlsim::sim::weight_stationary
