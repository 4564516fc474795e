#include "sim/output_stationary/analytic.h"

#include <algorithm>
#include <map>
#include <stdexcept>
#include <vector>

#include "models/convolution/accumulator_additions.h"
#include "models/convolution/datapath.h"
#include "sim/closed_form/closed_forms.h"
#include "sim/closed_form/tile_row.h"
#include "sim/closed_form/tiles.h"
#include "sim/closed_form/traffic.h"

namespace mlsim::sim {
namespace {

using closed_form::bytes_of_share;
using closed_form::check_time;
using closed_form::cycles_of;
using closed_form::is_scaled;
using closed_form::Moved;
using closed_form::moved;
using closed_form::packed_bits;
using closed_form::packed_shares;
using closed_form::Phases;
using closed_form::Place;
using closed_form::scale_bits;
using closed_form::sequence;
using closed_form::Steps;
using closed_form::Tile;
using models::ConvolutionShape;
using models::Format;
using models::Pass;
using models::ScaledFormat;

std::int64_t ceiling(std::int64_t value, std::int64_t divisor) {
  return (value + divisor - 1) / divisor;
}

// A pass on the array: what stands in its rows and columns, and how its tiles are cut into steps.
class Mapping {
 public:
  Mapping(Pass pass, const ConvolutionShape& shape, const Format& left, const Format& right, const ArrayConfig& config)
      : pass_(pass),
        shape_(shape),
        config_(config),
        scaled_(is_scaled(left)),
        outer_(shape.outer_count(pass)),
        rows_((pass == Pass::kBackwardData ? shape.in_channels : shape.out_channels) / shape.groups),
        row_tiles_(ceiling(rows_, config.rows)),
        step_words_(config.words_of_half()),
        row_format_(pass == Pass::kBackwardWeight ? left : right),
        column_format_(pass == Pass::kBackwardWeight ? right : left),
        row_shape_(shape.shape_of(pass == Pass::kBackwardWeight ? left_operand(pass) : right_operand(pass))),
        column_shape_(shape.shape_of(pass == Pass::kBackwardWeight ? right_operand(pass) : left_operand(pass))),
        tiles_{rows_,
               config.rows,
               config.columns,
               shape.groups,
               closed_form::phases_of(pass, shape),
               {{{{outer_, 1}}, 1}}} {
    if (!scaled_) return;
    const auto& left_format = std::get<ScaledFormat>(left);
    const auto& right_format = std::get<ScaledFormat>(right);
    has_exponents_ = left_format.element.exponent_bits > 0 || right_format.element.exponent_bits > 0;
    taps_apart_ = models::Reduction(pass, shape, left_format.layout, right_format.layout).taps_apart();
    tiles_.conv_groups = conv_groups(pass, shape, left_format.layout, right_format.layout);
    share_ = most_shared(config, tiles_.most_rows(), tiles_.most_columns());
  }

  // What of the operands and the results does not pass through DRAM.
  void set_exchange(const Exchange& exchange) {
    rows_are_there_ = exchange.residence.rows;
    columns_are_there_ = exchange.residence.columns;
    results_leave_ = closed_form::path_of(exchange, models::element_count(shape_.result_shape(pass_)), config_).leave;
  }
  // Array cycles and their stalls.
  CycleCounts cycles() const;
  // What the memory adds to them; from here on this mapping waits for the ports of the SRAM.
  void add_memory(CycleCounts& cycles);
  // All but the traffic of results.
  Traffic traffic() const;
  models::OperationCounts counts() const;
  std::uint64_t additions(std::uint64_t products) const;
  // Results that are computed: those of the phases.
  std::uint64_t computed_results() const;

 private:
  // f(phases, how many of them there are in a row tile), for each kind.
  template <typename Function>
  void for_phases(const Function& f) const {
    tiles_.for_phases(f);
  }

  // Σ f(phases) over all phases of a conv group, times the conv groups.
  template <typename Function>
  std::uint64_t total(const Function& f) const {
    return total_of_panels([&](const auto& /*runs*/, const Phases& phases) { return f(phases); });
  }
  // Σ f(phases) over the reduction groups of all phases and convolution groups.
  template <typename Function>
  std::uint64_t total_of_groups(const Function& f) const {
    const std::int64_t runs = tiles_.total_of_runs([](const RunLength&) { return 1; });
    std::int64_t sum = 0;
    for_phases([&](const Phases& phases, std::int64_t count) { sum += count * groups_of_run(phases) * f(phases); });
    return static_cast<std::uint64_t>(runs * sum);
  }
  std::int64_t groups_of_run(const Phases& phases) const { return taps_apart_ ? phases.taps : 1; }
  std::int64_t group_taps(const RunLength& run, const Phases& phases) const {
    return run.length * (taps_apart_ ? 1 : phases.taps);
  }
  // Cycles in which an element multiplies so many taps of a group, and those that the group waits beyond them.
  std::int64_t words(std::int64_t taps) const { return ceiling(taps, config_.taps_per_cycle); }
  std::int64_t stall(std::int64_t taps) const { return std::max<std::int64_t>(share_ - words(taps), 0); }
  std::int64_t column_tiles(const Phases& phases) const { return ceiling(phases.columns, config_.columns); }
  // Whether a tile is one step, so that the row panel is filled once.
  bool keeps_rows(const std::vector<RunLength>& runs, const Phases& phases) const {
    std::int64_t left = step_words_;
    for (const RunLength& run : runs) {
      const std::int64_t group = words(group_taps(run, phases));
      const std::int64_t count = run.count * groups_of_run(phases);
      if (group > left / count) return false;
      left -= count * group;
    }
    return true;
  }
  std::int64_t row_panels(const std::vector<RunLength>& runs, const Phases& phases) const {
    return keeps_rows(runs, phases) ? 1 : column_tiles(phases);
  }
  // Σ f(runs, phases) over the phases of all convolution groups.
  template <typename Function>
  std::uint64_t total_of_panels(const Function& f) const {
    return static_cast<std::uint64_t>(tiles_.total(f));
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
  std::int64_t array_cycles(const Steps& all) const {
    return all.count == 0 ? 0 : all.first_fill + all.cycles + all.last_compute + drain();
  }
  TileRow tile_times(const Place& place) const;
  Moved operands(const Place& place) const;
  std::int64_t row_bytes(const Place& place) const;
  std::int64_t column_bytes(const Place& place) const;

  // A row of all tiles, made of one for each tile: `make` gives it for a Place. Where `brings` is set, the tiles in the
  // first panel of a conv group are others than those that follow.
  template <typename Row, typename Make>
  Row all_tiles(const Make& make, bool brings) const {
    return tiles_.all<Row>(
        make, [&](const auto& runs, const Phases& phases) { return keeps_rows(runs, phases); }, brings);
  }

  // Of the operands, in bits.
  std::uint64_t row_bits() const { return packed_bits(row_format_, row_shape_); }
  std::uint64_t column_bits() const { return packed_bits(column_format_, column_shape_); }
  bool fits_in_sram(std::uint64_t bits) const {
    return 3 * bits <= 8 * static_cast<std::uint64_t>(config_.global_sram_bytes);
  }

  Pass pass_;
  const ConvolutionShape& shape_;
  const ArrayConfig& config_;
  bool scaled_;
  bool has_exponents_ = false;
  bool taps_apart_ = false;
  std::int64_t outer_;
  std::int64_t rows_;        // of a conv group
  std::int64_t row_tiles_;   // likewise
  std::int64_t step_words_;  // that fit in half a buffer
  const Format& row_format_;
  const Format& column_format_;
  models::Shape row_shape_;
  models::Shape column_shape_;
  closed_form::Tiles tiles_;
  std::int64_t share_ = 0;       // the most elements that a group-scale unit serves in a tile
  bool rows_are_there_ = false;  // in the SRAM, before the pass
  bool columns_are_there_ = false;
  bool results_leave_ = true;  // for DRAM, in binary32
  // Of the SRAM, where its ports are taken into account.
  ByteRate read_port_;
  std::int64_t write_cycles_ = 0;  // in which the results of the largest tile pass
};

Steps Mapping::step(const Tile& tile, const Taps& taps) const {
  if (taps.taps == 0) return {};
  const auto fill = [&](std::int64_t lanes, const FeederConfig& feeder, const Format& format) {
    const std::int64_t bits = lanes * (taps.taps * element_bits(format) + taps.started_groups * scale_bits(format));
    return std::max(ceiling(lanes * taps.taps, feeder.fill_ports), cycles_of(read_port_, ceiling(bits, 8)));
  };
  const std::int64_t row_fill = tile.fills_rows ? fill(tile.rows, config_.row_feeder, row_format_) : 0;
  return closed_form::one_step(std::max(row_fill, fill(tile.columns, config_.column_feeder, column_format_)),
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
    const std::int64_t taps = group_taps(run, place.phases);
    const std::int64_t count = run.count * groups_of_run(place.phases);
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
    const std::int64_t taps = group_taps(run, place.phases);
    computes += run.count * groups_of_run(place.phases) * (words(taps) + stall(taps));
  }
  return std::max<std::int64_t>(write_cycles_ - computes, 0);
}

// What a tile brings from DRAM: of an operand that fits in the SRAM its share, the first time that it is used, else
// what docs/dataflow.md counts.
Moved Mapping::operands(const Place& place) const {
  const std::int64_t rows = rows_are_there_ ? 0 : row_bytes(place);
  const std::int64_t columns = columns_are_there_ ? 0 : column_bytes(place);
  return moved(rows, config_) + moved(columns, config_);
}

std::int64_t Mapping::row_bytes(const Place& place) const {
  const Tile& tile = place.tile;
  if (fits_in_sram(row_bits())) {
    if (!tile.first_of_panel) return 0;
    std::int64_t taps = 0;  // of all phases
    for_phases([&](const Phases& phases, std::int64_t count) { taps += count * phases.taps; });
    return bytes_of_share(row_bits(), tile.rows * place.phases.taps, shape_.groups * rows_ * taps);
  }
  if (!tile.fills_rows) return 0;
  std::int64_t groups = 0;
  for (const RunLength& run : place.runs) groups += run.count * groups_of_run(place.phases);
  const std::int64_t elements = outer_ * place.phases.taps * element_bits(row_format_);
  return ceiling(tile.rows * (elements + groups * scale_bits(row_format_)), 8);
}

std::int64_t Mapping::column_bytes(const Place& place) const {
  const Tile& tile = place.tile;
  const std::int64_t parts = shape_.groups * place.phases.columns;
  if (!fits_in_sram(column_bits())) {
    return bytes_of_share(packed_shares(column_format_, column_shape_, shape_.groups), tile.columns, parts);
  }
  return tile.first_of_group ? bytes_of_share(column_bits(), tile.columns, parts) : 0;
}

TileRow Mapping::tile_times(const Place& place) const {
  const Steps steps = tile_steps(place);
  const Moved brought = operands(place);
  TileTimes times;
  times.wait = steps.first_wait;
  times.first_fill = steps.first_fill;
  times.inside = steps.cycles;
  times.last_compute = steps.last_compute;
  times.has_operands = brought.bytes > 0;
  times.operands = sequence(brought, config_.sram_write_bytes_per_cycle, config_);
  if (results_leave_) {
    times.results = sequence(moved(4 * place.tile.rows * place.tile.columns, config_), read_port_, config_);
  }
  times.latency = config_.dram_latency_cycles;
  times.drain = drain();
  TileRow row;
  row.append(times);
  return row;
}

CycleCounts Mapping::cycles() const {
  CycleCounts cycles;
  const auto all = all_tiles<Steps>([&](const Place& place) { return tile_steps(place); }, false);
  cycles.array = static_cast<std::uint64_t>(array_cycles(all));
  if (all.count > 0) cycles.fill_stalls = static_cast<std::uint64_t>(all.first_fill + all.waits);
  for_phases([&](const Phases& phases, std::int64_t count) {
    const std::int64_t stalls =
        tiles_.total_of_runs([&](const RunLength& run) { return stall(group_taps(run, phases)); });
    cycles.scaler_stalls +=
        static_cast<std::uint64_t>(count * row_tiles_ * column_tiles(phases) * groups_of_run(phases) * stalls);
  });
  return cycles;
}

void Mapping::add_memory(CycleCounts& cycles) {
  read_port_ = config_.sram_read_bytes_per_cycle;
  write_cycles_ = cycles_of(config_.sram_write_bytes_per_cycle, 4 * tiles_.most_rows() * tiles_.most_columns());
  const auto all = all_tiles<Steps>([&](const Place& place) { return tile_steps(place); }, false);
  const auto with_ports = static_cast<std::uint64_t>(array_cycles(all));
  cycles.sram_stalls = with_ports - cycles.array;

  const auto untouched =
      models::element_count(shape_.result_shape(pass_)) - static_cast<std::int64_t>(computed_results());
  const std::int64_t rest = results_leave_ ? sequence(moved(4 * untouched, config_), read_port_, config_) : 0;
  const auto row = all_tiles<TileRow>([&](const Place& place) { return tile_times(place); }, true);
  // A pass without any tile has a cycle of reset.
  const std::int64_t end = row.empty() ? (rest > 0 ? rest + 1 : 0) : row.end(rest);
  check_time(pass_, end);
  cycles.array = static_cast<std::uint64_t>(end);
  (config_.ports_slow_the_channel() ? cycles.sram_stalls : cycles.dram_stalls) += cycles.array - with_ports;
}

std::uint64_t Mapping::computed_results() const {
  return total([&](const Phases& phases) { return rows_ * phases.columns; });
}

// To all accumulators, where one is of several products.
std::uint64_t Mapping::additions(std::uint64_t products) const {
  if (config_.taps_per_cycle == 1) return products;
  const models::AccumulatorAdditions additions(pass_, shape_, taps_apart_, config_.taps_per_cycle);
  std::map<std::int64_t, std::int64_t> known;  // by the length of a run
  const std::int64_t sum = tiles_.total_of_runs([&](const RunLength& run) {
    const auto [entry, is_new] = known.try_emplace(run.length);
    if (is_new) entry->second = static_cast<std::int64_t>(additions.of_run(run.length));
    return entry->second;
  });
  return static_cast<std::uint64_t>(sum);
}

models::OperationCounts Mapping::counts() const {
  models::OperationCounts counts;
  counts.mantissa_multiplies = shape_.multiply_adds(pass_);
  counts.integer_adds = additions(counts.mantissa_multiplies);
  counts.tree_adds = counts.mantissa_multiplies - counts.integer_adds;
  if (!scaled_) return counts;
  if (has_exponents_) {
    counts.exponent_adds = counts.mantissa_multiplies;
    counts.shifts = counts.mantissa_multiplies;
  }
  const std::uint64_t ended_groups = total_of_groups([&](const Phases& p) { return rows_ * p.columns; });
  counts.group_exponent_adds = ended_groups;
  counts.shift_adds = ended_groups;
  counts.conversions = ended_groups;
  counts.float_adds = ended_groups;
  counts.tensor_scale_multiplies = computed_results();
  return counts;
}

Traffic Mapping::traffic() const {
  const auto row_width = static_cast<std::uint64_t>(element_bits(row_format_));
  const auto column_width = static_cast<std::uint64_t>(element_bits(column_format_));
  const auto row_fills = [&](const std::vector<RunLength>& runs, const Phases& p) {
    return rows_ * outer_ * p.taps * row_panels(runs, p);
  };
  const auto row_reads = [&](const Phases& p) { return rows_ * outer_ * p.taps * column_tiles(p); };
  const auto row_scales = [&](const std::vector<RunLength>& runs, const Phases& p) {
    std::int64_t groups = 0;
    for (const RunLength& run : runs) groups += run.count * groups_of_run(p);
    return rows_ * groups * row_panels(runs, p);
  };
  const auto column_fills = [&](const Phases& p) { return p.columns * outer_ * p.taps * row_tiles_; };
  const auto column_scales = [&](const Phases& p) { return p.columns * row_tiles_; };
  Traffic traffic;
  traffic.row_buffer_writes = total_of_panels(row_fills) * row_width;
  traffic.row_buffer_reads = total(row_reads) * row_width;
  traffic.column_buffer_writes = total(column_fills) * column_width;
  traffic.column_buffer_reads = traffic.column_buffer_writes;
  traffic.sram_row_reads =
      traffic.row_buffer_writes + total_of_panels(row_scales) * static_cast<std::uint64_t>(scale_bits(row_format_));
  traffic.sram_column_reads = traffic.column_buffer_writes +
                              total_of_groups(column_scales) * static_cast<std::uint64_t>(scale_bits(column_format_));

  // DRAM: an operand that fits in its third of the SRAM is read once.
  traffic.dram_row_reads = fits_in_sram(row_bits()) ? row_bits() : traffic.sram_row_reads;
  std::int64_t panels = 0;  // of a convolution group
  for_phases([&](const Phases&, std::int64_t count) { panels += count * row_tiles_; });
  traffic.dram_column_reads =
      fits_in_sram(column_bits())
          ? column_bits()
          : static_cast<std::uint64_t>(panels) * packed_shares(column_format_, column_shape_, shape_.groups);
  if (rows_are_there_) traffic.dram_row_reads = 0;
  if (columns_are_there_) traffic.dram_column_reads = 0;
  traffic.sram_operand_writes = traffic.dram_row_reads + traffic.dram_column_reads;
  return traffic;
}

}  // namespace

PassPrediction predict_pass(Pass pass, const ConvolutionShape& shape, const Format& left, const Format& right,
                            const ArrayConfig& config, const Exchange& exchange) {
  if (is_scaled(left) != is_scaled(right)) {
    throw std::runtime_error(to_string(pass) + ": operands of " + to_string(left) + " and " + to_string(right) +
                             ", expected two block-scaled formats or two baseline formats");
  }
  Mapping mapping(pass, shape, left, right, config);
  mapping.set_exchange(exchange);
  PassPrediction prediction{mapping.counts(), mapping.cycles(), mapping.traffic()};
  if (config.waits_for_memory()) mapping.add_memory(prediction.cycles);
  closed_form::add_results(shape.result_shape(pass), mapping.computed_results(), exchange, config, prediction);
  check_time(pass, static_cast<std::int64_t>(prediction.cycles.quantizer_stalls));
  return prediction;
}

}  // namespace mlsim::sim
