#include "sim/closed_form/tiled_pass.h"

#include <algorithm>
#include <map>
#include <stdexcept>
#include <variant>

#include "base/integers.h"
#include "models/convolution/accumulator_additions.h"
#include "sim/closed_form/closed_forms.h"

namespace mlsim::sim::closed_form {

using models::Format;
using models::Pass;
using models::ScaledFormat;

TiledPass::TiledPass(const PassOnArray& of, TileColumns tile_columns)
    : of_(of),
      outer_(of.shape.outer_count(of.pass)),
      rows_(of.pass == Pass::kBackwardWeight
                ? operand(of.left, of.shape.shape_of(left_operand(of.pass)), of.exchange.residence.rows)
                : operand(of.right, of.shape.shape_of(right_operand(of.pass)), of.exchange.residence.rows)),
      columns_(of.pass == Pass::kBackwardWeight
                   ? operand(of.right, of.shape.shape_of(right_operand(of.pass)), of.exchange.residence.columns)
                   : operand(of.left, of.shape.shape_of(left_operand(of.pass)), of.exchange.residence.columns)),
      tiles_{(of.pass == Pass::kBackwardData ? of.shape.in_channels : of.shape.out_channels) / of.shape.groups,
             of.config.rows,
             1,
             of.shape.groups,
             phases_of(of.pass, of.shape),
             {{{{outer_, 1}}, 1}},
             false},
      results_leave_(path_of(of.exchange, models::element_count(of.shape.result_shape(of.pass)), of.config).leave) {
  if (is_scaled(of.left) != is_scaled(of.right)) {
    throw std::runtime_error(to_string(of.pass) + ": operands of " + to_string(of.left) + " and " +
                             to_string(of.right) + ", expected two block-scaled formats or two baseline formats");
  }
  if (scaled()) {
    const auto& left = std::get<ScaledFormat>(of.left);
    const auto& right = std::get<ScaledFormat>(of.right);
    has_exponents_ = left.element.exponent_bits > 0 || right.element.exponent_bits > 0;
    tiles_.taps_apart = models::Reduction(of.pass, of.shape, left.layout, right.layout).taps_apart();
    tiles_.conv_groups = conv_groups(of.pass, of.shape, left.layout, right.layout);
  }
  put_groups_side_by_side();
  tiles_.tile_columns = tile_columns(of.config, tiles_.groups_at_once);
}

void TiledPass::put_groups_side_by_side() {
  if (tiles_.conv_groups.size() > 1) return;  // they are cut differently
  const std::int64_t at_once = of_.config.groups_at_once(tiles_.rows, of_.shape.groups);
  if (at_once == 1) return;
  tiles_.groups_at_once = at_once;
  tiles_.groups_in_rows = of_.shape.groups;
  tiles_.tile_rows = tiles_.rows * at_once;
  tiles_.rows *= of_.shape.groups;
  tiles_.groups = 1;
}

TiledPass::Operand TiledPass::operand(const Format& format, const models::Shape& shape, bool is_there) const {
  const auto bits = static_cast<std::uint64_t>(models::packed_bits(format, shape));
  const bool fits = 3 * bits <= 8 * static_cast<std::uint64_t>(of_.config.global_sram_bytes);
  return {format, bits, fits, is_there, fits ? 0 : packed_shares(format, shape, of_.shape.groups)};
}

// To all accumulators, or to sums that pass by, where one is of several products.
std::uint64_t TiledPass::additions(std::uint64_t products) const {
  const int taps_per_cycle = of_.config.taps_per_cycle;
  if (taps_per_cycle == 1) return products;
  const models::AccumulatorAdditions additions(of_.pass, of_.shape, tiles_.taps_apart, taps_per_cycle);
  std::map<std::int64_t, std::int64_t> known;  // by the length of a run
  const std::int64_t sum = tiles_.total_of_runs([&](const RunLength& run) {
    const auto [entry, is_new] = known.try_emplace(run.length);
    if (is_new) entry->second = static_cast<std::int64_t>(additions.of_run(run.length));
    return entry->second;
  });
  return static_cast<std::uint64_t>(sum * tiles_.groups_in_rows);
}

models::OperationCounts TiledPass::counts() const {
  models::OperationCounts counts;
  counts.mantissa_multiplies = of_.shape.multiply_adds(of_.pass);
  counts.integer_adds = additions(counts.mantissa_multiplies);
  counts.tree_adds = counts.mantissa_multiplies - counts.integer_adds;
  if (!scaled()) return counts;
  if (has_exponents_) {
    counts.exponent_adds = counts.mantissa_multiplies;
    counts.shifts = counts.mantissa_multiplies;
  }
  const auto ended_groups = static_cast<std::uint64_t>(tiles_.total(
      [&](const auto& runs, const Phases& p) { return tiles_.reduction_groups(runs, p) * tiles_.rows * p.columns; }));
  counts.group_exponent_adds = ended_groups;
  counts.shift_adds = ended_groups;
  counts.conversions = ended_groups;
  counts.float_adds = ended_groups;
  counts.tensor_scale_multiplies = static_cast<std::uint64_t>(tiles_.results());
  return counts;
}

Traffic TiledPass::traffic(const Fills& rows, const Fills& columns) const {
  Traffic traffic;
  traffic.row_buffer_writes = rows.taps * static_cast<std::uint64_t>(models::element_bits(rows_.format));
  traffic.row_buffer_reads = traffic.row_buffer_writes;
  traffic.column_buffer_writes = columns.taps * static_cast<std::uint64_t>(models::element_bits(columns_.format));
  traffic.column_buffer_reads = traffic.column_buffer_writes;
  traffic.sram_row_reads =
      traffic.row_buffer_writes + rows.groups * static_cast<std::uint64_t>(models::scale_bits(rows_.format));
  traffic.sram_column_reads =
      traffic.column_buffer_writes + columns.groups * static_cast<std::uint64_t>(models::scale_bits(columns_.format));

  // DRAM: an operand that fits in its third of the SRAM is read once.
  if (!rows_.is_there) traffic.dram_row_reads = rows_.fits ? rows_.bits : traffic.sram_row_reads;
  if (!columns_.is_there) {
    std::int64_t panels = 0;  // of a convolution group
    tiles_.for_phases([&](const Phases&, std::int64_t count) { panels += count * tiles_.column_fills(); });
    traffic.dram_column_reads =
        columns_.fits ? columns_.bits : static_cast<std::uint64_t>(panels / tiles_.groups_in_rows) * columns_.shares;
  }
  traffic.sram_operand_writes = traffic.dram_row_reads + traffic.dram_column_reads;
  return traffic;
}

// What a tile brings from DRAM: of an operand that fits in the SRAM its share, the first time that it is used, else
// what docs/dataflow.md counts.
std::int64_t TiledPass::row_bytes(const Place& place) const {
  const Tile& tile = place.tile;
  if (rows_.is_there) return 0;
  if (rows_.fits) {
    if (!tile.first_of_panel) return 0;
    std::int64_t taps = 0;  // of all phases
    tiles_.for_phases([&](const Phases& p, std::int64_t count) { taps += count * p.taps; });
    return bytes_of_share(rows_.bits, tile.rows * place.phases.taps, tiles_.groups * tiles_.rows * taps);
  }
  if (!tile.fills_rows) return 0;
  const std::int64_t bits =
      models::packed_bits(rows_.format, outer_ * place.phases.taps, tiles_.reduction_groups(place.runs, place.phases));
  return base::ceiling(tile.rows * bits, 8);
}

std::int64_t TiledPass::column_bytes(const Place& place) const {
  const Tile& tile = place.tile;
  if (columns_.is_there) return 0;
  const std::int64_t parts = of_.shape.groups * place.phases.columns;
  const std::int64_t share = tiles_.column_lanes(tile);
  if (!columns_.fits) return bytes_of_share(columns_.shares, share, parts);
  return tile.first_of_group ? bytes_of_share(columns_.bits, share, parts) : 0;
}

TileRow TiledPass::tile(const Place& place, const Steps& steps, std::int64_t drain) const {
  const ArrayConfig& config = of_.config;
  const Moved brought = moved(row_bytes(place), config) + moved(column_bytes(place), config);
  TileTimes times;
  times.wait = steps.first_wait;
  times.first_fill = steps.first_fill;
  times.inside = steps.cycles;
  times.last_compute = steps.last_compute;
  times.has_operands = brought.bytes > 0;
  times.operands = sequence(brought, config.sram_write_bytes_per_cycle, config);
  if (results_leave_) {
    const Moved results = moved(kFloatBytes * place.tile.rows * place.tile.columns, config);
    times.results = sequence(results, config.sram_read_bytes_per_cycle, config);
  }
  times.latency = config.dram_latency_cycles;
  times.drain = drain;
  TileRow row;
  row.append(times);
  return row;
}

void TiledPass::add_memory(std::int64_t with_ports, const TileRow& row, CycleCounts& cycles) const {
  const ArrayConfig& config = of_.config;
  std::int64_t rest = 0;  // results that no tile computes
  if (results_leave_) {
    const std::int64_t untouched = models::element_count(of_.shape.result_shape(of_.pass)) - tiles_.results();
    rest = sequence(moved(kFloatBytes * untouched, config), config.sram_read_bytes_per_cycle, config);
  }
  // A pass without any tile has a cycle of reset.
  const std::int64_t end = row.empty() ? (rest > 0 ? rest + 1 : 0) : row.end(rest);
  check_time(of_.pass, end);
  cycles.sram_stalls = static_cast<std::uint64_t>(with_ports) - cycles.array;
  cycles.array = static_cast<std::uint64_t>(end);
  (config.ports_slow_the_channel() ? cycles.sram_stalls : cycles.dram_stalls) +=
      cycles.array - static_cast<std::uint64_t>(with_ports);
}

void TiledPass::add_results(PassPrediction& prediction) const {
  closed_form::add_results(of_.shape.result_shape(of_.pass), static_cast<std::uint64_t>(tiles_.results()), of_.exchange,
                           of_.config, prediction);
  check_time(of_.pass, static_cast<std::int64_t>(prediction.cycles.quantizer_stalls));
}

}  // namespace mlsim::sim::closed_form
