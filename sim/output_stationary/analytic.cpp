#include "sim/output_stationary/analytic.h"

#include <algorithm>
#include <vector>

#include "base/integers.h"
#include "sim/closed_form/closed_forms.h"
#include "sim/closed_form/tile_row.h"
#include "sim/closed_form/tiled_pass.h"
#include "sim/closed_form/tiles.h"
#include "sim/closed_form/traffic.h"

namespace mlsim::sim::output_stationary {
namespace {

using closed_form::cycles_of;
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

// How the tiles of a pass are cut into steps.
class Mapping : public TileMapping<Mapping> {
 public:
  explicit Mapping(const PassOnArray& of)
      : TileMapping(of, [](const ArrayConfig& config, std::int64_t) -> std::int64_t { return config.columns; }),
        of_(of),
        step_words_(config_.words_of_half(tiles().groups_at_once)) {
    if (pass_.scaled()) share_ = most_shared(config_, tiles().most_rows(), tiles().most_columns());
  }

  // Array cycles and their stalls.
  CycleCounts cycles() const;
  // What the memory adds to them; from here on this mapping waits for the ports of the SRAM.
  void add_memory(CycleCounts& cycles);
  // All but the traffic of results.
  Traffic traffic() const;

 private:
  friend TileMapping<Mapping>;

  // Cycles in which an element multiplies so many taps of a group, and those that the group waits beyond them.
  std::int64_t words(std::int64_t taps) const { return base::ceiling(taps, config_.taps_per_cycle); }
  std::int64_t stall(std::int64_t taps) const { return std::max<std::int64_t>(share_ - words(taps), 0); }
  // Whether a tile is one step, so that the row panel is filled once.
  bool keeps_rows(const std::vector<RunLength>& runs, const Phases& phases) const {
    std::int64_t left = step_words_;
    for (const RunLength& run : runs) {
      const std::int64_t group = words(tiles().group_taps(run, phases));
      const std::int64_t count = run.count * tiles().groups_of_run(phases);
      if (group > left / count) return false;
      left -= count * group;
    }
    return true;
  }

  // Taps of a tile that are filled and used together.
  struct Taps {
    std::int64_t taps = 0;
    std::int64_t words = 0;
    std::int64_t stalls = 0;
    std::int64_t started_groups = 0;  // reduction groups whose first tap is one of them
  };
  Steps step(const Tile& tile, const Taps& taps) const;
  Steps cut_group(const Tile& tile, std::int64_t taps) const;
  Steps tile_steps(const Place& place) const;
  std::int64_t tile_wait(const Place& place) const;
  // From the end of a tile's computation to its last result in its bank.
  std::int64_t drain() const { return std::max(share_, write_cycles_) + kArrayPipeline; }

  PassOnArray of_;
  std::int64_t step_words_;  // that fit in half a buffer
  std::int64_t share_ = 0;   // the most elements that a group-scale unit serves in a tile
  // Of the SRAM, where its ports are taken into account.
  ByteRate read_port_;
  std::int64_t write_cycles_ = 0;  // in which the results of the largest tile pass
};

Steps Mapping::step(const Tile& tile, const Taps& taps) const {
  if (taps.taps == 0) return {};
  const auto fill = [&](std::int64_t lanes, const FeederConfig& feeder, const Format& format) {
    const std::int64_t bits = lanes * models::packed_bits(format, taps.taps, taps.started_groups);
    return std::max(base::ceiling(lanes * taps.taps, feeder.fill_ports), cycles_of(read_port_, base::ceiling(bits, 8)));
  };
  const std::int64_t row_fill = tile.fills_rows ? fill(tile.rows, config_.row_feeder, pass_.row_format()) : 0;
  return closed_form::one_step(
      std::max(row_fill, fill(tiles().column_lanes(tile), config_.column_feeder, pass_.column_format())),
      taps.words + taps.stalls);
}

// A reduction group that is larger than a step.
Steps Mapping::cut_group(const Tile& tile, std::int64_t taps) const {
  const std::int64_t step_taps = step_words_ * config_.taps_per_cycle;
  const std::int64_t full = (taps - 1) / step_taps;
  const std::int64_t rest = taps - full * step_taps;
  const Steps first = step(tile, {step_taps, step_words_, 0, 1});
  return joined(joined(first, repeated(step(tile, {step_taps, step_words_, 0, 0}), full - 1)),
                step(tile, {rest, words(rest), stall(taps), 0}));
}

// The steps of a tile: whole groups, as many as fit.
Steps Mapping::tile_steps(const Place& place) const {
  const Tile& tile = place.tile;
  Steps all;
  Taps open;  // of the step that may take more
  const auto put = [&](std::int64_t count, std::int64_t taps) {
    open = {open.taps + count * taps, open.words + count * words(taps), open.stalls + count * stall(taps),
            open.started_groups + count};
  };
  const auto close = [&] {
    all = joined(all, step(tile, open));
    open = {};
  };
  for (const RunLength& run : place.runs) {
    const std::int64_t taps = tiles().group_taps(run, place.phases);
    const std::int64_t count = run.count * tiles().groups_of_run(place.phases);
    const std::int64_t group = words(taps);
    if (group > step_words_) {
      close();
      all = joined(all, repeated(cut_group(tile, taps), count));
      continue;
    }
    const std::int64_t fits = std::min(count, (step_words_ - open.words) / group);
    put(fits, taps);
    if (fits == count) continue;
    close();
    const std::int64_t whole = step_words_ / group;  // groups of a step
    const std::int64_t full = (count - fits - 1) / whole;
    all = joined(all, repeated(step(tile, {whole * taps, whole * group, whole * stall(taps), whole}), full));
    put(count - fits - full * whole, taps);
  }
  close();
  all.first_wait = tile_wait(place);
  return all;
}

// So that the results of a tile have passed before those of the next come: a tile computes for no less.
std::int64_t Mapping::tile_wait(const Place& place) const {
  if (write_cycles_ == 0) return 0;
  std::int64_t computes = 0;
  for (const RunLength& run : place.runs) {
    const std::int64_t taps = tiles().group_taps(run, place.phases);
    computes += run.count * tiles().groups_of_run(place.phases) * (words(taps) + stall(taps));
  }
  return std::max<std::int64_t>(write_cycles_ - computes, 0);
}

CycleCounts Mapping::cycles() const {
  CycleCounts cycles = cycles_of_steps();
  tiles().for_phases([&](const Phases& phases, std::int64_t count) {
    const std::int64_t stalls =
        tiles().total_of_runs([&](const RunLength& run) { return stall(tiles().group_taps(run, phases)); });
    cycles.scaler_stalls += static_cast<std::uint64_t>(count * tiles().row_tiles() * tiles().column_tiles(phases) *
                                                       tiles().groups_of_run(phases) * stalls);
  });
  return cycles;
}

void Mapping::add_memory(CycleCounts& cycles) {
  read_port_ = config_.sram_read_bytes_per_cycle;
  write_cycles_ =
      cycles_of(config_.sram_write_bytes_per_cycle, kFloatBytes * tiles().most_rows() * tiles().most_columns());
  add_waits(cycles);
}

Traffic Mapping::traffic() const {
  Traffic traffic = traffic_of_operands();
  // Every tile reads its row panel, also one that is still there.
  const std::int64_t row_reads = tiles().total([&](const auto& /*runs*/, const Phases& p) {
    return tiles().rows * of_.shape.outer_count(of_.pass) * p.taps * tiles().column_tiles(p);
  });
  traffic.row_buffer_reads =
      static_cast<std::uint64_t>(row_reads) * static_cast<std::uint64_t>(element_bits(pass_.row_format()));
  return traffic;
}

}  // namespace

PassPrediction predict_pass(Pass pass, const ConvolutionShape& shape, const Format& left, const Format& right,
                            const ArrayConfig& config, const Exchange& exchange) {
  return closed_form::predict<Mapping>({pass, shape, left, right, config, exchange});
}

}  // namespace mlsim::sim::output_stationary
