// A pass cut into tiles, as every closed form sees it: which operand stands in the rows of the array and which in its
// columns, what is computed, and what memories move of operands and results. How an array takes a tile is the
// dataflow's.
// Tested in tests/sim/analytic_test.cpp.
#pragma once

#include <cstdint>
#include <vector>

#include "models/convolution/convolution.h"
#include "models/convolution/operation_counts.h"
#include "models/formats/format.h"
#include "sim/array_config.h"
#include "sim/closed_form/tile_row.h"
#include "sim/closed_form/tiles.h"
#include "sim/closed_form/traffic.h"
#include "sim/dataflow.h"
#include "sim/exchange.h"

namespace mlsim::sim::closed_form {

// What Dataflow::predict is asked about.
struct PassOnArray {
  models::Pass pass;
  const models::ConvolutionShape& shape;
  const models::Format& left;
  const models::Format& right;
  const ArrayConfig& config;
  const Exchange& exchange;
};

class TiledPass {
 public:
  // Columns of a tile, with so many convolution groups side by side.
  using TileColumns = std::int64_t (*)(const ArrayConfig& config, std::int64_t groups_at_once);
  // In tiles of as many rows as the array has. What `of` refers to is not copied. Throws std::runtime_error for a
  // block-scaled operand beside a baseline.
  TiledPass(const PassOnArray& of, TileColumns tile_columns);

  const Tiles& tiles() const { return tiles_; }
  bool scaled() const { return is_scaled(rows_.format); }
  const models::Format& row_format() const { return rows_.format; }
  const models::Format& column_format() const { return columns_.format; }

  models::OperationCounts counts() const;

  // Of the operands, where what fills a buffer is read from it once. keeps(runs, phases) tells whether a row panel is
  // filled once for all of its tiles.
  template <typename Keeps>
  Traffic traffic(const Keeps& keeps) const {
    const auto row_lanes = [&](const std::vector<RunLength>& runs, const Phases& p) {
      return tiles_.rows * (keeps(runs, p) ? 1 : tiles_.column_tiles(p));
    };
    const auto column_lanes = [&](const std::vector<RunLength>& /*runs*/, const Phases& p) {
      return p.columns * tiles_.column_fills();
    };
    return traffic(fills(row_lanes), fills(column_lanes));
  }

  // A tile that takes such steps, with `drain` from the end of its computation to its last result in its bank, where
  // the array waits for its memory.
  TileRow tile(const Place& place, const Steps& steps, std::int64_t drain) const;
  // What memory adds to the cycles of a pass: it takes `with_ports` where it waits for the ports of the SRAM alone, and
  // its tiles are `row`.
  void add_memory(std::int64_t with_ports, const TileRow& row, CycleCounts& cycles) const;
  // What is moved of the results, and the quantizer's cycles.
  void add_results(PassPrediction& prediction) const;

 private:
  std::uint64_t additions(std::uint64_t products) const;

  struct Operand {
    const models::Format& format;
    std::uint64_t bits = 0;    // packed
    bool fits = false;         // in its third of the SRAM
    bool is_there = false;     // in the SRAM, before the pass
    std::uint64_t shares = 0;  // bits of what all convolution groups take of one that does not fit
  };
  // What a pass brings into a buffer: taps and, each with a scale, reduction groups.
  struct Fills {
    std::uint64_t taps = 0;
    std::uint64_t groups = 0;
  };

  Operand operand(const models::Format& format, const models::Shape& shape, bool is_there) const;
  void put_groups_side_by_side();
  // Of lanes(runs, phases) in each phase.
  template <typename Lanes>
  Fills fills(const Lanes& lanes) const {
    const auto taps = [&](const std::vector<RunLength>& runs, const Phases& p) {
      return lanes(runs, p) * outer_ * p.taps;
    };
    const auto groups = [&](const std::vector<RunLength>& runs, const Phases& p) {
      return lanes(runs, p) * tiles_.reduction_groups(runs, p);
    };
    return {static_cast<std::uint64_t>(tiles_.total(taps)), static_cast<std::uint64_t>(tiles_.total(groups))};
  }
  Traffic traffic(const Fills& rows, const Fills& columns) const;
  std::int64_t row_bytes(const Place& place) const;
  std::int64_t column_bytes(const Place& place) const;

  PassOnArray of_;
  std::int64_t outer_;
  Operand rows_;
  Operand columns_;
  Tiles tiles_;
  bool has_exponents_ = false;
  bool results_leave_;  // for DRAM, in binary32
};

// What is the same in how the arrays of all dataflows take the tiles of a pass. A `Mapping` derives from it, and gives
// keeps_rows(runs, phases), whether a row panel is filled once for all of its tiles; tile_steps(place), the steps of a
// tile; and drain(), the cycles from the end of a tile's computation to its last result in its bank.
template <typename Mapping>
class TileMapping {
 public:
  const TiledPass& tiled() const { return pass_; }

 protected:
  TileMapping(const PassOnArray& of, TiledPass::TileColumns tile_columns)
      : config_(of.config), pass_(of, tile_columns) {}

  const Tiles& tiles() const { return pass_.tiles(); }

  Steps all_steps() const {
    return all_tiles<Steps>([&](const Place& place) { return mapping().tile_steps(place); }, false);
  }
  std::int64_t array_cycles(const Steps& all) const {
    return all.count == 0 ? 0 : all.first_fill + all.cycles + all.last_compute + mapping().drain();
  }
  // Those of the steps, and their waits for operands.
  CycleCounts cycles_of_steps() const {
    const Steps all = all_steps();
    CycleCounts cycles;
    cycles.array = static_cast<std::uint64_t>(array_cycles(all));
    if (all.count > 0) cycles.fill_stalls = static_cast<std::uint64_t>(all.first_fill + all.waits);
    return cycles;
  }
  // What memory adds, where tile_steps() knows of the ports of the SRAM.
  void add_waits(CycleCounts& cycles) const {
    const auto tile = [&](const Place& place) {
      return pass_.tile(place, mapping().tile_steps(place), mapping().drain());
    };
    pass_.add_memory(array_cycles(all_steps()), all_tiles<TileRow>(tile, true), cycles);
  }
  Traffic traffic_of_operands() const { return pass_.traffic(keeps_rows()); }

  const ArrayConfig& config_;
  TiledPass pass_;

 private:
  const Mapping& mapping() const { return static_cast<const Mapping&>(*this); }
  auto keeps_rows() const {
    return
        [this](const std::vector<RunLength>& runs, const Phases& phases) { return mapping().keeps_rows(runs, phases); };
  }
  // A row of all tiles, made of one for each: `make` gives it for a Place. Where `brings` is set, the tiles in the
  // first panel of a conv group are others than those that follow.
  template <typename Row, typename Make>
  Row all_tiles(const Make& make, bool brings) const {
    return tiles().template all<Row>(make, keeps_rows(), brings);
  }
};

// `Mapping` is a TileMapping made of a PassOnArray, with cycles() without memory and traffic() without results;
// add_memory(cycles) adds what an array waits for its memory.
template <typename Mapping>
PassPrediction predict(const PassOnArray& of) {
  Mapping mapping(of);
  PassPrediction prediction{mapping.tiled().counts(), mapping.cycles(), mapping.traffic()};
  if (of.config.waits_for_memory()) mapping.add_memory(prediction.cycles);
  mapping.tiled().add_results(prediction);
  return prediction;
}

}  // namespace mlsim::sim::closed_form
