#include "sim/weight_stationary/analytic.h"

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "sim/closed_form/closed_forms.h"
#include "sim/closed_form/tile_row.h"
#include "sim/closed_form/tiles.h"
#include "sim/closed_form/traffic.h"
#include "sim/weight_stationary/folds.h"

namespace mlsim::sim::weight_stationary {
namespace {

using closed_form::Moved;
using closed_form::Phases;
using closed_form::Place;
using closed_form::Steps;
using closed_form::Tile;
using models::ConvolutionShape;
using models::Format;
using models::Pass;
using models::ScaledFormat;

constexpr std::int64_t kFloatBytes = 4;

std::int64_t ceiling(std::int64_t value, std::int64_t divisor) {
  return (value + divisor - 1) / divisor;
}

// A fold of a tile.
struct Fold {
  std::int64_t taps = 0;
  bool begins = true;       // its reduction group,
  bool ends = true;         // and ends it
  bool first_group = true;  // of its tile
};

class Mapping {
 public:
  Mapping(Pass pass, const ConvolutionShape& shape, const Format& left, const Format& right, const ArrayConfig& config)
      : pass_(pass),
        shape_(shape),
        config_(config),
        scaled_(closed_form::is_scaled(left)),
        outer_(shape.outer_count(pass)),
        row_format_(pass == Pass::kBackwardWeight ? left : right),
        column_format_(pass == Pass::kBackwardWeight ? right : left),
        row_shape_(shape.shape_of(pass == Pass::kBackwardWeight ? left_operand(pass) : right_operand(pass))),
        column_shape_(shape.shape_of(pass == Pass::kBackwardWeight ? right_operand(pass) : left_operand(pass))) {
    tiles_.rows = (pass == Pass::kBackwardData ? shape.in_channels : shape.out_channels) / shape.groups;
    tiles_.tile_rows = config.rows;
    tiles_.tile_columns = tile_positions(config);
    tiles_.groups = shape.groups;
    tiles_.phases = closed_form::phases_of(pass, shape);
    tiles_.conv_groups = {{{{outer_, 1}}, 1}};
    if (!scaled_) return;
    const auto& l = std::get<ScaledFormat>(left);
    const auto& r = std::get<ScaledFormat>(right);
    const models::Reduction reduction(pass, shape, l.layout, r.layout);
    has_exponents_ = l.element.exponent_bits > 0 || r.element.exponent_bits > 0;
    taps_apart_ = reduction.taps_apart();
    tiles_.conv_groups = conv_groups(pass, shape, l.layout, r.layout);
    share_ = std::min<std::int64_t>(tiles_.most_rows(), rows_of_scaler(config));
    word_bits_ = sum_word_bits(full_accumulator_bits(l.element, r.element, reduction.taps()));
  }

  // What of the operands and the results does not pass through DRAM.
  void set_exchange(const Exchange& exchange) {
    rows_are_there_ = exchange.residence.rows;
    columns_are_there_ = exchange.residence.columns;
    results_leave_ = closed_form::path_of(exchange, models::element_count(shape_.result_shape(pass_)), config_).leave;
  }
  CycleCounts cycles() const;
  // What the memory adds to them; from here on this mapping waits for the ports of the SRAM.
  void add_memory(CycleCounts& cycles);
  // All but the traffic of results.
  Traffic traffic() const;
  models::OperationCounts counts() const;
  // Results that are computed: those of the phases.
  std::uint64_t computed_results() const {
    return total([&](const auto& /*runs*/, const Phases& p) { return tiles_.rows * p.columns; });
  }

 private:
  template <typename Function>
  std::uint64_t total(const Function& f) const {
    return static_cast<std::uint64_t>(tiles_.total(f));
  }

  std::int64_t groups_of_run(const Phases& p) const { return taps_apart_ ? p.taps : 1; }
  std::int64_t group_taps(const RunLength& run, const Phases& p) const {
    return run.length * (taps_apart_ ? 1 : p.taps);
  }
  // Of a result.
  std::int64_t groups(const std::vector<RunLength>& runs, const Phases& p) const {
    std::int64_t sum = 0;
    for (const RunLength& run : runs) sum += run.count * groups_of_run(p);
    return sum;
  }
  // Folds that do not end their group.
  std::int64_t open_folds(const std::vector<RunLength>& runs, const Phases& p) const {
    std::int64_t sum = 0;
    for (const RunLength& run : runs) {
      sum += run.count * groups_of_run(p) * ((group_taps(run, p) - 1) / config_.columns);
    }
    return sum;
  }
  // Whether a tile is one fold, so that its operand stays for the tiles that follow.
  bool keeps_rows(const std::vector<RunLength>& runs, const Phases& p) const {
    return groups(runs, p) == 1 && open_folds(runs, p) == 0;
  }
  std::int64_t row_panels(const std::vector<RunLength>& runs, const Phases& p) const {
    return keeps_rows(runs, p) ? 1 : tiles_.column_tiles(p);
  }

  std::int64_t fill(std::int64_t lanes, const Fold& fold, const FeederConfig& feeder, const Format& format) const;
  std::int64_t sum_cycles(const Tile& tile, const Fold& fold) const;
  Steps one_fold(const Tile& tile, const Fold& fold) const;
  Steps group(const Tile& tile, std::int64_t taps, bool first) const;
  Steps tile_steps(const Place& place) const;
  Moved operands(const Place& place) const;
  std::int64_t row_bytes(const Place& place) const;
  std::int64_t column_bytes(const Place& place) const;
  TileRow tile_times(const Place& place) const;

  // From the end of a tile's computation to its last result in its bank: along a row, and from there as everywhere.
  std::int64_t drain() const { return config_.columns - 1 + share_ + kArrayPipeline; }
  std::int64_t array_cycles(const Steps& all) const {
    return all.count == 0 ? 0 : all.first_fill + all.cycles + all.last_compute + drain();
  }
  Steps all_steps() const {
    return tiles_.all<Steps>([&](const Place& place) { return tile_steps(place); },
                             [&](const auto& runs, const Phases& p) { return keeps_rows(runs, p); }, false);
  }

  std::uint64_t row_bits() const { return closed_form::packed_bits(row_format_, row_shape_); }
  std::uint64_t column_bits() const { return closed_form::packed_bits(column_format_, column_shape_); }
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
  const Format& row_format_;
  const Format& column_format_;
  models::Shape row_shape_;
  models::Shape column_shape_;
  closed_form::Tiles tiles_;
  std::int64_t share_ = 0;       // the most rows that a group-scale unit serves
  std::int64_t word_bits_ = 32;  // of a partial sum inside a group
  bool rows_are_there_ = false;  // in the SRAM, before the pass
  bool columns_are_there_ = false;
  bool results_leave_ = true;  // for DRAM, in binary32
  // Of the SRAM, where its ports are taken into account.
  ByteRate read_port_;
  ByteRate write_port_;
};

std::int64_t Mapping::fill(std::int64_t lanes, const Fold& fold, const FeederConfig& feeder,
                           const Format& format) const {
  const std::int64_t scales = fold.begins ? closed_form::scale_bits(format) : 0;
  const std::int64_t bits = lanes * (fold.taps * models::element_bits(format) + scales);
  return std::max(ceiling(lanes * fold.taps, std::min(feeder.fill_ports, lanes)),
                  closed_form::cycles_of(read_port_, ceiling(bits, 8)));
}

// In which partial sums and results pass through the ports of their memory.
std::int64_t Mapping::sum_cycles(const Tile& tile, const Fold& fold) const {
  const std::int64_t sums = tile.rows * tile.columns;
  const std::int64_t word = word_bits_ / 8;
  const std::int64_t reads = (fold.begins ? 0 : word) + (fold.ends && !fold.first_group ? kFloatBytes : 0);
  return std::max(closed_form::cycles_of(read_port_, models::Int128{sums} * reads),
                  closed_form::cycles_of(write_port_, models::Int128{sums} * (fold.ends ? kFloatBytes : word)));
}

Steps Mapping::one_fold(const Tile& tile, const Fold& fold) const {
  const std::int64_t rows = tile.fills_rows ? fill(tile.rows, fold, config_.row_feeder, row_format_) : 0;
  const std::int64_t computes = tile.columns + fold_stalls(fold.ends, tile.columns, share_, config_.columns);
  return closed_form::one_step(std::max(rows, fill(tile.columns, fold, config_.column_feeder, column_format_)),
                               std::max(computes, sum_cycles(tile, fold)));
}

Steps Mapping::group(const Tile& tile, std::int64_t taps, bool first) const {
  const std::int64_t columns = config_.columns;
  const std::int64_t open = (taps - 1) / columns;
  if (open == 0) return one_fold(tile, {taps, true, true, first});
  return joined(joined(one_fold(tile, {columns, true, false, first}),
                       repeated(one_fold(tile, {columns, false, false, first}), open - 1)),
                one_fold(tile, {taps - open * columns, false, true, first}));
}

Steps Mapping::tile_steps(const Place& place) const {
  Steps all;
  for (const RunLength& run : place.runs) {
    const std::int64_t taps = group_taps(run, place.phases);
    std::int64_t count = run.count * groups_of_run(place.phases);
    if (all.count == 0) {
      all = group(place.tile, taps, true);
      --count;
    }
    all = joined(all, repeated(group(place.tile, taps, false), count));
  }
  return all;
}

// What a tile brings from DRAM: of an operand that fits in the SRAM its share, the first time that it is used, else
// what docs/dataflow.md counts.
Moved Mapping::operands(const Place& place) const {
  const std::int64_t rows = rows_are_there_ ? 0 : row_bytes(place);
  const std::int64_t columns = columns_are_there_ ? 0 : column_bytes(place);
  return closed_form::moved(rows, config_) + closed_form::moved(columns, config_);
}

std::int64_t Mapping::row_bytes(const Place& place) const {
  const Tile& tile = place.tile;
  if (fits_in_sram(row_bits())) {
    if (!tile.first_of_panel) return 0;
    std::int64_t taps = 0;  // of all phases
    tiles_.for_phases([&](const Phases& p, std::int64_t count) { taps += count * p.taps; });
    return closed_form::bytes_of_share(row_bits(), tile.rows * place.phases.taps, shape_.groups * tiles_.rows * taps);
  }
  if (!tile.fills_rows) return 0;
  const std::int64_t elements = outer_ * place.phases.taps * models::element_bits(row_format_);
  const std::int64_t scales = groups(place.runs, place.phases) * closed_form::scale_bits(row_format_);
  return ceiling(tile.rows * (elements + scales), 8);
}

std::int64_t Mapping::column_bytes(const Place& place) const {
  const Tile& tile = place.tile;
  const std::int64_t parts = shape_.groups * place.phases.columns;
  if (!fits_in_sram(column_bits())) {
    const std::uint64_t shares = closed_form::packed_shares(column_format_, column_shape_, shape_.groups);
    return closed_form::bytes_of_share(shares, tile.columns, parts);
  }
  return tile.first_of_group ? closed_form::bytes_of_share(column_bits(), tile.columns, parts) : 0;
}

TileRow Mapping::tile_times(const Place& place) const {
  const Steps steps = tile_steps(place);
  const Moved brought = operands(place);
  const Moved results = closed_form::moved(kFloatBytes * place.tile.rows * place.tile.columns, config_);
  TileTimes times;
  times.first_fill = steps.first_fill;
  times.inside = steps.cycles;
  times.last_compute = steps.last_compute;
  times.has_operands = brought.bytes > 0;
  times.operands = closed_form::sequence(brought, config_.sram_write_bytes_per_cycle, config_);
  if (results_leave_) times.results = closed_form::sequence(results, read_port_, config_);
  times.latency = config_.dram_latency_cycles;
  times.drain = drain();
  TileRow row;
  row.append(times);
  return row;
}

CycleCounts Mapping::cycles() const {
  CycleCounts cycles;
  const Steps all = all_steps();
  cycles.array = static_cast<std::uint64_t>(array_cycles(all));
  if (all.count > 0) cycles.fill_stalls = static_cast<std::uint64_t>(all.first_fill + all.waits);
  cycles.scaler_stalls = total([&](const std::vector<RunLength>& runs, const Phases& p) {
    const auto stalls = [&](bool ends, std::int64_t positions) {
      return positions == 0 ? 0 : fold_stalls(ends, positions, share_, config_.columns);
    };
    const auto of_folds = [&](bool ends) {
      return p.columns / tiles_.tile_columns * stalls(ends, tiles_.tile_columns) +
             stalls(ends, p.columns % tiles_.tile_columns);
    };
    return tiles_.row_tiles() * (groups(runs, p) * of_folds(true) + open_folds(runs, p) * of_folds(false));
  });
  return cycles;
}

void Mapping::add_memory(CycleCounts& cycles) {
  read_port_ = config_.sram_read_bytes_per_cycle;
  write_port_ = config_.sram_write_bytes_per_cycle;
  const auto with_ports = static_cast<std::uint64_t>(array_cycles(all_steps()));
  cycles.sram_stalls = with_ports - cycles.array;

  const auto untouched =
      models::element_count(shape_.result_shape(pass_)) - static_cast<std::int64_t>(computed_results());
  const Moved left = closed_form::moved(kFloatBytes * untouched, config_);
  const std::int64_t rest = results_leave_ ? closed_form::sequence(left, read_port_, config_) : 0;
  const auto row = tiles_.all<TileRow>([&](const Place& place) { return tile_times(place); },
                                       [&](const auto& runs, const Phases& p) { return keeps_rows(runs, p); }, true);
  // A pass without any tile has a cycle of reset.
  const std::int64_t end = row.empty() ? (rest > 0 ? rest + 1 : 0) : row.end(rest);
  closed_form::check_time(pass_, end);
  cycles.array = static_cast<std::uint64_t>(end);
  (config_.ports_slow_the_channel() ? cycles.sram_stalls : cycles.dram_stalls) += cycles.array - with_ports;
}

models::OperationCounts Mapping::counts() const {
  models::OperationCounts counts;
  counts.mantissa_multiplies = shape_.multiply_adds(pass_);
  counts.integer_adds = counts.mantissa_multiplies;
  if (!scaled_) return counts;
  if (has_exponents_) {
    counts.exponent_adds = counts.mantissa_multiplies;
    counts.shifts = counts.mantissa_multiplies;
  }
  const std::uint64_t ended_groups =
      total([&](const auto& runs, const Phases& p) { return groups(runs, p) * tiles_.rows * p.columns; });
  counts.group_exponent_adds = ended_groups;
  counts.shift_adds = ended_groups;
  counts.conversions = ended_groups;
  counts.float_adds = ended_groups;
  counts.tensor_scale_multiplies = computed_results();
  return counts;
}

Traffic Mapping::traffic() const {
  const auto row_width = static_cast<std::uint64_t>(models::element_bits(row_format_));
  const auto column_width = static_cast<std::uint64_t>(models::element_bits(column_format_));
  const std::int64_t rows = tiles_.rows;
  Traffic traffic;
  traffic.row_buffer_writes = row_width * total([&](const auto& runs, const Phases& p) {
                                return rows * outer_ * p.taps * row_panels(runs, p);
                              });
  traffic.row_buffer_reads = traffic.row_buffer_writes;
  traffic.column_buffer_writes = column_width * total([&](const auto& /*runs*/, const Phases& p) {
                                   return p.columns * outer_ * p.taps * tiles_.row_tiles();
                                 });
  traffic.column_buffer_reads = traffic.column_buffer_writes;
  traffic.sram_row_reads =
      traffic.row_buffer_writes +
      static_cast<std::uint64_t>(closed_form::scale_bits(row_format_)) *
          total([&](const auto& runs, const Phases& p) { return rows * groups(runs, p) * row_panels(runs, p); });
  traffic.sram_column_reads =
      traffic.column_buffer_writes +
      static_cast<std::uint64_t>(closed_form::scale_bits(column_format_)) *
          total([&](const auto& runs, const Phases& p) { return p.columns * groups(runs, p) * tiles_.row_tiles(); });
  traffic.sram_sum_writes = total([&](const auto& runs, const Phases& p) {
    return rows * p.columns * (open_folds(runs, p) * word_bits_ + (groups(runs, p) - 1) * 8 * kFloatBytes);
  });
  traffic.sram_sum_reads = traffic.sram_sum_writes;

  // DRAM: an operand that fits in its third of the SRAM is read once.
  traffic.dram_row_reads = fits_in_sram(row_bits()) ? row_bits() : traffic.sram_row_reads;
  std::int64_t panels = 0;  // of a convolution group
  tiles_.for_phases([&](const Phases&, std::int64_t count) { panels += count * tiles_.row_tiles(); });
  traffic.dram_column_reads = fits_in_sram(column_bits())
                                  ? column_bits()
                                  : static_cast<std::uint64_t>(panels) *
                                        closed_form::packed_shares(column_format_, column_shape_, shape_.groups);
  if (rows_are_there_) traffic.dram_row_reads = 0;
  if (columns_are_there_) traffic.dram_column_reads = 0;
  traffic.sram_operand_writes = traffic.dram_row_reads + traffic.dram_column_reads;
  return traffic;
}

}  // namespace

PassPrediction predict_pass(Pass pass, const ConvolutionShape& shape, const Format& left, const Format& right,
                            const ArrayConfig& config, const Exchange& exchange) {
  if (closed_form::is_scaled(left) != closed_form::is_scaled(right)) {
    throw std::runtime_error(to_string(pass) + ": operands of " + to_string(left) + " and " + to_string(right) +
                             ", expected two block-scaled formats or two baseline formats");
  }
  Mapping mapping(pass, shape, left, right, config);
  mapping.set_exchange(exchange);
  PassPrediction prediction{mapping.counts(), mapping.cycles(), mapping.traffic()};
  if (config.waits_for_memory()) mapping.add_memory(prediction.cycles);
  closed_form::add_results(shape.result_shape(pass), mapping.computed_results(), exchange, config, prediction);
  closed_form::check_time(pass, static_cast<std::int64_t>(prediction.cycles.quantizer_stalls));
  return prediction;
}

}  // namespace mlsim::sim::weight_stationary
