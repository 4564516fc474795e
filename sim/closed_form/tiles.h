// The tiles of a pass as a closed form sees them: rows of steps and rows of tiles, composed from the few kinds there
// are instead of one after the other (docs/dataflow.md).
// Tested in tests/sim/analytic_test.cpp.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/integers.h"
#include "models/convolution/convolution.h"
#include "sim/closed_form/closed_forms.h"
#include "sim/closed_form/tile_row.h"

namespace mlsim::sim::closed_form {

// A row of steps: what happens inside it, and its ends, which overlap with what comes before and after.
struct Steps {
  std::int64_t first_wait = 0;    // from the computation of the step before to that of the first step, at least
  std::int64_t first_fill = 0;    // L of the first step
  std::int64_t last_compute = 0;  // C of the last step
  std::int64_t cycles = 0;        // Σ max(C_i, L_(i+1)) over the neighbours inside
  std::int64_t waits = 0;         // the same without C_i
  std::int64_t count = 0;
};
Steps one_step(std::int64_t fill, std::int64_t compute);
Steps joined(const Steps& a, const Steps& b);
Steps repeated(const Steps& a, std::int64_t times);

TileRow joined(TileRow a, const TileRow& b);
TileRow repeated(const TileRow& a, std::int64_t times);

// Phases of the pass that follow each other and are alike.
struct Phases {
  std::int64_t columns = 1;  // of results, in each
  std::int64_t taps = 1;     // of one outer index
  std::int64_t count = 1;
};

// A row of phases that is run a number of times.
struct PhaseRow {
  std::vector<Phases> phases;
  std::int64_t count = 1;
};
std::vector<PhaseRow> phases_of(models::Pass pass, const models::ConvolutionShape& shape);

// The live corner of a tile, and what it fills.
struct Tile {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  bool fills_rows = true;      // its row panel
  bool first_of_panel = true;  // of its conv group, row tile and phase
  bool first_of_group = true;  // in the first panel of its conv group
};

// A tile where blocks and convolution groups cut it.
struct Place {
  const std::vector<RunLength>& runs;
  const Phases& phases;
  Tile tile;
};

// What the tiles of a pass are cut from: results in rows and, in each phase, columns. Where convolution groups stand
// side by side, the rows of all of them are those of one, and a row of tiles is of as many groups as stand there at
// once.
struct Tiles {
  std::int64_t rows = 1;  // of a convolution group
  std::int64_t tile_rows = 1;
  std::int64_t tile_columns = 1;
  std::int64_t groups = 1;  // convolution groups that are run one after the other
  std::vector<PhaseRow> phases;
  std::vector<ConvGroups> conv_groups;  // until their cuts repeat
  bool taps_apart = false;              // each tap of a run is a reduction group of its own
  std::int64_t groups_at_once = 1;      // convolution groups side by side, at most
  std::int64_t groups_in_rows = 1;      // all of them

  std::int64_t row_tiles() const { return base::ceiling(rows, tile_rows); }
  // Lanes of the columns' operand of a tile: a column has one for each convolution group.
  std::int64_t column_lanes(const Tile& tile) const {
    return tile.columns * (groups_at_once == 1 ? 1 : tile.rows / (rows / groups_in_rows));
  }
  // How often the operand of a column is filled, over the row tiles.
  std::int64_t column_fills() const { return groups_at_once == 1 ? row_tiles() : groups_in_rows; }
  std::int64_t column_tiles(const Phases& p) const { return base::ceiling(p.columns, tile_columns); }
  std::int64_t most_rows() const { return std::min(rows, tile_rows); }
  std::int64_t most_columns() const;  // of the largest tile

  // Reduction groups of a result: in a run, the taps of each of them, and in all runs.
  std::int64_t groups_of_run(const Phases& p) const { return taps_apart ? p.taps : 1; }
  std::int64_t group_taps(const RunLength& run, const Phases& p) const {
    return run.length * (taps_apart ? 1 : p.taps);
  }
  std::int64_t reduction_groups(const std::vector<RunLength>& runs, const Phases& p) const {
    std::int64_t sum = 0;
    for (const RunLength& run : runs) sum += run.count * groups_of_run(p);
    return sum;
  }
  // That are computed: those of the phases.
  std::int64_t results() const {
    return total([&](const auto& /*runs*/, const Phases& p) { return rows * p.columns; });
  }

  // f(phases, how many of them there are in a row tile), for each kind.
  template <typename Function>
  void for_phases(const Function& f) const {
    for (const PhaseRow& row : phases) {
      for (const Phases& p : row.phases) f(p, row.count * p.count);
    }
  }

  // Σ f(runs, phases) over the phases of all convolution groups.
  template <typename Function>
  std::int64_t total(const Function& f) const {
    const auto sum_of = [&](std::int64_t limit) {
      std::int64_t sum = 0;
      for_conv_groups(limit, [&](const std::vector<RunLength>& runs, std::int64_t count) {
        for_phases([&](const Phases& p, std::int64_t times) { sum += count * times * f(runs, p); });
      });
      return sum;
    };
    return groups / period() * sum_of(period()) + sum_of(groups % period());
  }

  // Σ f(run) over the runs of all convolution groups.
  template <typename Function>
  std::int64_t total_of_runs(const Function& f) const {
    const auto sum_of = [&](std::int64_t limit) {
      std::int64_t sum = 0;
      for_conv_groups(limit, [&](const std::vector<RunLength>& runs, std::int64_t count) {
        for (const RunLength& run : runs) sum += count * run.count * f(run);
      });
      return sum;
    };
    return groups / period() * sum_of(period()) + sum_of(groups % period());
  }

  // A row of all tiles, made of one for each: `make` gives it for a Place. Where `brings` is set, the tiles in the
  // first panel of a conv group are others than those that follow. A row panel for which `keeps` is true of its runs
  // and phases is filled once.
  template <typename Row, typename Make, typename Keeps>
  Row all(const Make& make, const Keeps& keeps, bool brings) const {
    const auto row_of = [&](std::int64_t limit) {
      Row row;
      for_conv_groups(limit, [&](const std::vector<RunLength>& runs, std::int64_t count) {
        row = joined(row, repeated(conv_group<Row>(runs, make, keeps, brings), count));
      });
      return row;
    };
    return joined(repeated(row_of(period()), groups / period()), row_of(groups % period()));
  }

 private:
  // f(runs, how many convolution groups are cut into them), for the first `limit` convolution groups, in order.
  template <typename Function>
  void for_conv_groups(std::int64_t limit, const Function& f) const {
    for (const ConvGroups& cut : conv_groups) {
      const std::int64_t count = std::min(cut.count, limit);
      if (count > 0) f(cut.runs, count);
      limit -= count;
    }
  }
  // Convolution groups until their cuts repeat.
  std::int64_t period() const {
    std::int64_t sum = 0;
    for (const ConvGroups& cut : conv_groups) sum += cut.count;
    return std::max<std::int64_t>(sum, 1);
  }

  template <typename Row, typename Make, typename Keeps>
  Row conv_group(const std::vector<RunLength>& runs, const Make& make, const Keeps& keeps, bool brings) const {
    std::int64_t whole = rows / tile_rows;
    std::int64_t rest = rows % tile_rows;
    Row row;
    // Each row tile of convolution groups side by side is the first one of its own.
    const bool all_bring = brings && groups_at_once > 1;
    if (brings && !all_bring) {
      row = row_tile<Row>(runs, make, keeps, whole > 0 ? tile_rows : rest, true);
      (whole > 0 ? --whole : rest = 0);
    }
    if (whole > 0) row = joined(row, repeated(row_tile<Row>(runs, make, keeps, tile_rows, all_bring), whole));
    if (rest > 0) row = joined(row, row_tile<Row>(runs, make, keeps, rest, all_bring));
    return row;
  }

  template <typename Row, typename Make, typename Keeps>
  Row row_tile(const std::vector<RunLength>& runs, const Make& make, const Keeps& keeps, std::int64_t live_rows,
               bool brings) const {
    Row row;
    for (const PhaseRow& of : phases) {
      if (of.phases.empty()) continue;
      std::int64_t left = of.count;
      if (brings) {
        row = row_of_phases<Row>(runs, of, make, keeps, {live_rows, 0, true, true, true});
        --left;
      }
      brings = false;
      const Tile later{live_rows, 0, true, true, false};
      if (left > 0) row = joined(row, repeated(row_of_phases<Row>(runs, of, make, keeps, later), left));
    }
    return row;
  }

  template <typename Row, typename Make, typename Keeps>
  Row row_of_phases(const std::vector<RunLength>& runs, const PhaseRow& of, const Make& make, const Keeps& keeps,
                    Tile tile) const {
    Row row;
    for (const Phases& p : of.phases) {
      std::int64_t left = p.count;
      if (tile.first_of_group) {
        row = panel<Row>({runs, p, tile}, make, keeps);
        --left;
      }
      tile.first_of_group = false;
      if (left > 0) row = joined(row, repeated(panel<Row>({runs, p, tile}, make, keeps), left));
    }
    return row;
  }

  // The column tiles of one phase.
  template <typename Row, typename Make, typename Keeps>
  Row panel(const Place& at, const Make& make, const Keeps& keeps) const {
    const std::int64_t whole = at.phases.columns / tile_columns;
    const std::int64_t rest = at.phases.columns % tile_columns;
    const bool kept = keeps(at.runs, at.phases);
    const auto row_of = [&](std::int64_t columns, bool first) {
      return make(
          Place{at.runs, at.phases, Tile{at.tile.rows, columns, first || !kept, first, at.tile.first_of_group}});
    };
    Row row;
    if (whole > 0) row = joined(row_of(tile_columns, true), repeated(row_of(tile_columns, false), whole - 1));
    if (rest > 0) row = joined(row, row_of(rest, whole == 0));
    return row;
  }
};

}  // namespace mlsim::sim::closed_form
