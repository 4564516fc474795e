#include "sim/weight_stationary/analytic.h"

#include <algorithm>
#include <variant>
#include <vector>

#include "base/integers.h"
#include "sim/closed_form/closed_forms.h"
#include "sim/closed_form/tile_row.h"
#include "sim/closed_form/tiled_pass.h"
#include "sim/closed_form/tiles.h"
#include "sim/closed_form/traffic.h"
#include "sim/weight_stationary/folds.h"

namespace mlsim::sim::weight_stationary {
namespace {

using closed_form::kFloatBytes;
using closed_form::PassOnArray;
using closed_form::Phases;
using closed_form::Place;
using closed_form::Steps;
using closed_form::Tile;
using closed_form::TileMapping;
using models::ConvolutionShape;
using models::Format;
using models::Pass;
using models::ScaledFormat;

// A fold of a tile.
struct Fold {
  std::int64_t taps = 0;
  bool begins = true;       // its reduction group,
  bool ends = true;         // and ends it
  bool first_group = true;  // of its tile
};

// How the tiles of a pass are cut into folds.
class Mapping : public TileMapping<Mapping> {
 public:
  explicit Mapping(const PassOnArray& of) : TileMapping(of, tile_positions) {
    if (!pass_.scaled()) return;
    const auto& left = std::get<ScaledFormat>(of.left);
    const auto& right = std::get<ScaledFormat>(of.right);
    const models::Reduction reduction(of.pass, of.shape, left.layout, right.layout);
    share_ = std::min<std::int64_t>(tiles().most_rows(), rows_of_scaler(config_));
    word_bits_ = sum_word_bits(full_accumulator_bits(left.element, right.element, reduction.taps()));
  }

  CycleCounts cycles() const;
  // What the memory adds to them; from here on this mapping waits for the ports of the SRAM.
  void add_memory(CycleCounts& cycles);
  // All but the traffic of results.
  Traffic traffic() const;

 private:
  friend TileMapping<Mapping>;

  // Folds that do not end their group.
  std::int64_t open_folds(const std::vector<RunLength>& runs, const Phases& p) const {
    std::int64_t sum = 0;
    for (const RunLength& run : runs) {
      sum += run.count * tiles().groups_of_run(p) * ((tiles().group_taps(run, p) - 1) / fold_taps(config_));
    }
    return sum;
  }
  // Whether a tile is one fold, so that its operand stays for the tiles that follow.
  bool keeps_rows(const std::vector<RunLength>& runs, const Phases& p) const {
    return tiles().reduction_groups(runs, p) == 1 && open_folds(runs, p) == 0;
  }

  std::int64_t fill(std::int64_t lanes, const Fold& fold, const FeederConfig& feeder, const Format& format) const;
  std::int64_t sum_cycles(const Tile& tile, const Fold& fold) const;
  Steps one_fold(const Tile& tile, const Fold& fold) const;
  Steps group(const Tile& tile, std::int64_t taps, bool first) const;
  Steps tile_steps(const Place& place) const;

  // From the end of a tile's computation to its last result in its bank: along a row, and from there as everywhere.
  std::int64_t drain() const { return config_.columns - 1 + share_ + kArrayPipeline; }

  std::int64_t share_ = 0;       // the most rows that a group-scale unit serves
  std::int64_t word_bits_ = 32;  // of a partial sum inside a group
  // Of the SRAM, where its ports are taken into account.
  ByteRate read_port_;
  ByteRate write_port_;
};

std::int64_t Mapping::fill(std::int64_t lanes, const Fold& fold, const FeederConfig& feeder,
                           const Format& format) const {
  const std::int64_t bits = lanes * models::packed_bits(format, fold.taps, fold.begins ? 1 : 0);
  return std::max(base::ceiling(lanes * fold.taps, std::min(feeder.fill_ports, lanes * config_.taps_per_cycle)),
                  closed_form::cycles_of(read_port_, base::ceiling(bits, 8)));
}

// In which partial sums and results pass through the ports of their memory.
std::int64_t Mapping::sum_cycles(const Tile& tile, const Fold& fold) const {
  const std::int64_t sums = tile.rows * tile.columns;
  const std::int64_t word = word_bits_ / 8;
  const std::int64_t reads = (fold.begins ? 0 : word) + (fold.ends && !fold.first_group ? kFloatBytes : 0);
  return std::max(closed_form::cycles_of(read_port_, base::Int128{sums} * reads),
                  closed_form::cycles_of(write_port_, base::Int128{sums} * (fold.ends ? kFloatBytes : word)));
}

Steps Mapping::one_fold(const Tile& tile, const Fold& fold) const {
  const std::int64_t rows = tile.fills_rows ? fill(tile.rows, fold, config_.row_feeder, pass_.row_format()) : 0;
  const std::int64_t computes = tile.columns + fold_stalls(fold.ends, tile.columns, share_, config_.columns);
  const std::int64_t columns = fill(tiles().column_lanes(tile), fold, config_.column_feeder, pass_.column_format());
  return closed_form::one_step(std::max(rows, columns), std::max(computes, sum_cycles(tile, fold)));
}

Steps Mapping::group(const Tile& tile, std::int64_t taps, bool first) const {
  const std::int64_t most = fold_taps(config_);
  const std::int64_t open = (taps - 1) / most;
  if (open == 0) return one_fold(tile, {taps, true, true, first});
  return joined(joined(one_fold(tile, {most, true, false, first}),
                       repeated(one_fold(tile, {most, false, false, first}), open - 1)),
                one_fold(tile, {taps - open * most, false, true, first}));
}

Steps Mapping::tile_steps(const Place& place) const {
  Steps all;
  for (const RunLength& run : place.runs) {
    const std::int64_t taps = tiles().group_taps(run, place.phases);
    std::int64_t count = run.count * tiles().groups_of_run(place.phases);
    if (all.count == 0) {
      all = group(place.tile, taps, true);
      --count;
    }
    all = joined(all, repeated(group(place.tile, taps, false), count));
  }
  return all;
}

CycleCounts Mapping::cycles() const {
  CycleCounts cycles = cycles_of_steps();
  cycles.scaler_stalls = tiles().total([&](const std::vector<RunLength>& runs, const Phases& p) {
    const auto stalls = [&](bool ends, std::int64_t positions) {
      return positions == 0 ? 0 : fold_stalls(ends, positions, share_, config_.columns);
    };
    const auto of_folds = [&](bool ends) {
      return p.columns / tiles().tile_columns * stalls(ends, tiles().tile_columns) +
             stalls(ends, p.columns % tiles().tile_columns);
    };
    return tiles().row_tiles() *
           (tiles().reduction_groups(runs, p) * of_folds(true) + open_folds(runs, p) * of_folds(false));
  });
  return cycles;
}

void Mapping::add_memory(CycleCounts& cycles) {
  read_port_ = config_.sram_read_bytes_per_cycle;
  write_port_ = config_.sram_write_bytes_per_cycle;
  add_waits(cycles);
}

Traffic Mapping::traffic() const {
  Traffic traffic = traffic_of_operands();
  traffic.sram_sum_writes =
      static_cast<std::uint64_t>(tiles().total([&](const std::vector<RunLength>& runs, const Phases& p) {
        const std::int64_t integers = open_folds(runs, p);
        const std::int64_t floats = tiles().reduction_groups(runs, p) - 1;
        return tiles().rows * p.columns * (integers * word_bits_ + floats * 8 * kFloatBytes);
      }));
  traffic.sram_sum_reads = traffic.sram_sum_writes;
  return traffic;
}

}  // namespace

PassPrediction predict_pass(Pass pass, const ConvolutionShape& shape, const Format& left, const Format& right,
                            const ArrayConfig& config, const Exchange& exchange) {
  return closed_form::predict<Mapping>({pass, shape, left, right, config, exchange});
}

}  // namespace mlsim::sim::weight_stationary
