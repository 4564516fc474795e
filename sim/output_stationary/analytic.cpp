#include "sim/output_stationary/analytic.h"

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "models/convolution/datapath.h"
#include "sim/output_stationary/closed_forms.h"
#include "sim/output_stationary/tile_row.h"

namespace mlsim::sim {
namespace {

using models::ConvolutionShape;
using models::Format;
using models::Pass;
using models::ScaledFormat;

std::int64_t ceiling(std::int64_t value, std::int64_t divisor) {
  return (value + divisor - 1) / divisor;
}

// A row of steps: what happens inside it, and its ends, which overlap with what comes before and after.
struct Steps {
  std::int64_t first_wait = 0;    // from the computation of the step before to that of the first step, at least
  std::int64_t first_fill = 0;    // L of the first step
  std::int64_t last_compute = 0;  // C of the last step
  std::int64_t cycles = 0;        // Σ max(C_i, L_(i+1)) over the neighbours inside
  std::int64_t waits = 0;         // the same without C_i
  std::int64_t count = 0;
};

Steps one_step(std::int64_t fill, std::int64_t compute) {
  return {0, fill, compute, 0, 0, 1};
}

Steps joined(const Steps& a, const Steps& b) {
  if (a.count == 0) return b;
  if (b.count == 0) return a;
  const std::int64_t between = std::max(a.last_compute + b.first_wait, b.first_fill);
  return {a.first_wait,
          a.first_fill,
          b.last_compute,
          a.cycles + b.cycles + between,
          a.waits + b.waits + between - a.last_compute,
          a.count + b.count};
}

Steps repeated(const Steps& a, std::int64_t times) {
  if (times == 0 || a.count == 0) return {};
  const std::int64_t between = std::max(a.last_compute + a.first_wait, a.first_fill);
  return {a.first_wait,
          a.first_fill,
          a.last_compute,
          times * a.cycles + (times - 1) * between,
          times * a.waits + (times - 1) * (between - a.last_compute),
          times * a.count};
}

TileRow joined(TileRow a, const TileRow& b) {
  a.append(b);
  return a;
}

TileRow repeated(const TileRow& a, std::int64_t times) {
  return a.repeated(times);
}

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

std::vector<PhaseRow> phases_of(Pass pass, const ConvolutionShape& shape) {
  const auto [oh, ow] = shape.out_size();
  const std::int64_t kernel = shape.kernel[0] * shape.kernel[1];
  if (pass == Pass::kForward) return {PhaseRow{{Phases{shape.batch * oh * ow, kernel}}}};
  if (pass == Pass::kBackwardWeight) {
    return {PhaseRow{{Phases{shape.in_channels / shape.groups * kernel, oh * ow}}}};
  }
  const auto runs = [&](std::size_t axis) {
    return phase_runs(
        {shape.in_size[axis], shape.kernel[axis], shape.stride[axis], shape.padding[axis].begin, shape.dilation[axis]});
  };
  const std::vector<PhaseRun> across = runs(1);
  std::vector<PhaseRow> rows;
  for (const PhaseRun& y : runs(0)) {
    PhaseRow& row = rows.emplace_back(PhaseRow{{}, y.count});
    for (const PhaseRun& x : across) {
      row.phases.push_back({shape.batch * y.results * x.results, y.taps * x.taps, x.count});
    }
  }
  return rows;
}

bool is_scaled(const Format& format) {
  return std::holds_alternative<ScaledFormat>(format);
}

std::int64_t scale_bits(const Format& format) {
  const auto* scaled = std::get_if<ScaledFormat>(&format);
  return scaled == nullptr ? 0 : scaled->scale.stored_bits();
}

std::uint64_t packed_bits(const Format& format, const models::Shape& shape) {
  const auto* scaled = std::get_if<ScaledFormat>(&format);
  const std::int64_t scales = scaled == nullptr ? 0 : scaled->layout.count(shape);
  return static_cast<std::uint64_t>(models::element_count(shape) * models::element_bits(format) +
                                    scales * scale_bits(format));
}

// Bits of the shares of all convolution groups, each a part of the channels, packed with the scales that it needs.
std::uint64_t packed_shares(const Format& format, const models::Shape& shape, std::int64_t conv_groups) {
  std::int64_t scales = 0;
  if (const auto* scaled = std::get_if<ScaledFormat>(&format)) {
    const auto grid = scaled->layout.grid(shape);
    scales = grid[0] * grid[2] * grid[3] * touched_blocks(scaled->layout, 1, shape[1], conv_groups);
  }
  return static_cast<std::uint64_t>(models::element_count(shape) * models::element_bits(format) +
                                    scales * scale_bits(format));
}

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

// Cycles in which so many bytes pass.
std::int64_t cycles_of(const ByteRate& rate, models::Int128 bytes) {
  if (!rate.limited()) return 0;
  const models::Int128 cycles = (bytes * 1000 + rate.thousandths - 1) / rate.thousandths;
  return static_cast<std::int64_t>(std::min<models::Int128>(cycles, TileRow::kForever));
}

// Bytes of a sequence of the channel, and with what its bursts carry beyond them.
struct Moved {
  std::int64_t bytes = 0;
  models::Int128 in_bursts = 0;
};

Moved operator+(const Moved& a, const Moved& b) {
  return {a.bytes + b.bytes, a.in_bursts + b.in_bursts};
}

Moved moved(std::int64_t bytes, const ArrayConfig& config) {
  return {bytes, static_cast<models::Int128>(ceiling(bytes, config.dram_burst_bytes)) * config.dram_burst_bytes};
}

// Cycles of a sequence that goes through a port of the SRAM, too.
std::int64_t sequence(const Moved& moved, const ByteRate& port, const ArrayConfig& config) {
  return std::max(cycles_of(config.dram_bytes_per_cycle, moved.in_bursts), cycles_of(port, moved.bytes));
}

void check_time(Pass pass, std::int64_t cycles) {
  if (cycles < TileRow::kForever) return;
  throw std::runtime_error(to_string(pass) + ": takes 2^62 cycles or more with the memory of the array");
}

// Of bits that are spread evenly over `parts`, the bytes of so many of them; none where there is no part.
std::int64_t bytes_of_share(std::uint64_t bits, std::int64_t share, std::int64_t parts) {
  if (parts <= 0) return 0;
  const models::Int128 bits_of_all = static_cast<models::Int128>(parts) * 8;
  return static_cast<std::int64_t>((static_cast<models::Int128>(bits) * share + bits_of_all - 1) / bits_of_all);
}

bool is_quantized(const Format& format) {
  return format != Format{models::BaselineFormat::kFp32};
}

// Of a pass whose results are `count`.
ResultPath path_of(const Exchange& exchange, std::int64_t count, const ArrayConfig& config) {
  if (!config.quantizes_results()) return result_path(config, count, false);
  for (const Format& format : exchange.results) {
    if (is_quantized(format)) return result_path(config, count, true);
  }
  return result_path(config, count, false, exchange.residence.path(0).to_dram);
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
        step_taps_(std::min(config.row_feeder.buffer_elements / 2 / config.rows,
                            config.column_feeder.buffer_elements / 2 / config.columns)),
        row_format_(pass == Pass::kBackwardWeight ? left : right),
        column_format_(pass == Pass::kBackwardWeight ? right : left),
        row_shape_(shape.shape_of(pass == Pass::kBackwardWeight ? left_operand(pass) : right_operand(pass))),
        column_shape_(shape.shape_of(pass == Pass::kBackwardWeight ? right_operand(pass) : left_operand(pass))),
        phases_(phases_of(pass, shape)),
        conv_groups_{{{{outer_, 1}}, 1}} {
    if (!scaled_) return;
    const auto& left_format = std::get<ScaledFormat>(left);
    const auto& right_format = std::get<ScaledFormat>(right);
    has_exponents_ = left_format.element.exponent_bits > 0 || right_format.element.exponent_bits > 0;
    taps_apart_ = models::Reduction(pass, shape, left_format.layout, right_format.layout).taps_apart();
    conv_groups_ = conv_groups(pass, shape, left_format.layout, right_format.layout);
    std::int64_t most_columns = 0;
    for_phases([&](const Phases& phases, std::int64_t) { most_columns = std::max(most_columns, phases.columns); });
    share_ = most_shared(config, std::min<std::int64_t>(config.rows, rows_),
                         std::min<std::int64_t>(config.columns, most_columns));
  }

  // What of the operands and the results does not pass through DRAM.
  void set_exchange(const Exchange& exchange) {
    rows_are_there_ = exchange.residence.rows;
    columns_are_there_ = exchange.residence.columns;
    results_leave_ = path_of(exchange, models::element_count(shape_.result_shape(pass_)), config_).leave;
  }
  // Array cycles and their stalls.
  CycleCounts cycles() const;
  // What the memory adds to them; from here on this mapping waits for the ports of the SRAM.
  void add_memory(CycleCounts& cycles);
  // All but the traffic of results.
  Traffic traffic() const;
  models::OperationCounts counts() const;
  // Results that are computed: those of the phases.
  std::uint64_t computed_results() const;

 private:
  // f(phases, how many of them there are in a row tile), for each kind.
  template <typename Function>
  void for_phases(const Function& f) const {
    for (const PhaseRow& row : phases_) {
      for (const Phases& phases : row.phases) f(phases, row.count * phases.count);
    }
  }

  // Σ f(phases) over all phases of a conv group, times the conv groups.
  template <typename Function>
  std::uint64_t total(const Function& f) const {
    std::int64_t sum = 0;
    for_phases([&](const Phases& phases, std::int64_t count) { sum += count * f(phases); });
    return static_cast<std::uint64_t>(shape_.groups * sum);
  }

  // f(runs, how many convolution groups are cut into them), for the first `limit` convolution groups, in order.
  template <typename Function>
  void for_conv_groups(std::int64_t limit, const Function& f) const {
    for (const ConvGroups& groups : conv_groups_) {
      const std::int64_t count = std::min(groups.count, limit);
      if (count > 0) f(groups.runs, count);
      limit -= count;
    }
  }
  // Convolution groups until their cuts repeat.
  std::int64_t period() const {
    std::int64_t sum = 0;
    for (const ConvGroups& groups : conv_groups_) sum += groups.count;
    return sum;
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
    return shape_.groups / period() * sum_of(period()) + sum_of(shape_.groups % period());
  }
  // Σ f(phases) over the reduction groups of all phases and convolution groups.
  template <typename Function>
  std::uint64_t total_of_groups(const Function& f) const {
    const std::int64_t runs = total_of_runs([](const RunLength&) { return 1; });
    std::int64_t sum = 0;
    for_phases([&](const Phases& phases, std::int64_t count) { sum += count * groups_of_run(phases) * f(phases); });
    return static_cast<std::uint64_t>(runs * sum);
  }
  std::int64_t groups_of_run(const Phases& phases) const { return taps_apart_ ? phases.taps : 1; }
  std::int64_t group_taps(const RunLength& run, const Phases& phases) const {
    return run.length * (taps_apart_ ? 1 : phases.taps);
  }
  std::int64_t stall(std::int64_t taps) const { return std::max<std::int64_t>(share_ - taps, 0); }
  std::int64_t column_tiles(const Phases& phases) const { return ceiling(phases.columns, config_.columns); }
  // Whether a tile is one step, so that the row panel is filled once.
  bool keeps_rows(const Phases& phases) const { return phases.taps <= step_taps_ / outer_; }
  std::int64_t row_panels(const Phases& phases) const { return keeps_rows(phases) ? 1 : column_tiles(phases); }

  // Taps of a tile that are filled and used together.
  struct Taps {
    std::int64_t taps = 0;
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
  Row all_tiles(const Make& make, bool brings) const;
  template <typename Row, typename Make>
  Row conv_group(const std::vector<RunLength>& runs, const Make& make, bool brings) const;
  template <typename Row, typename Make>
  Row row_tile(const std::vector<RunLength>& runs, const Make& make, std::int64_t live_rows, bool brings) const;
  template <typename Row, typename Make>
  Row row_of_phases(const Place& panel, const PhaseRow& row, const Make& make) const;
  template <typename Row, typename Make>
  Row panel(const Place& panel, const Make& make) const;

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
  std::int64_t rows_;       // of a conv group
  std::int64_t row_tiles_;  // likewise
  std::int64_t step_taps_;  // that fit in half a buffer
  const Format& row_format_;
  const Format& column_format_;
  models::Shape row_shape_;
  models::Shape column_shape_;
  std::vector<PhaseRow> phases_;
  std::vector<ConvGroups> conv_groups_;  // until their cuts repeat
  std::int64_t share_ = 0;               // the most elements that a group-scale unit serves in a tile
  bool rows_are_there_ = false;          // in the SRAM, before the pass
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
  return one_step(std::max(row_fill, fill(tile.columns, config_.column_feeder, column_format_)),
                  taps.taps + taps.stalls);
}

// A reduction group that is larger than a step.
Steps Mapping::cut_group(const Tile& tile, std::int64_t taps) const {
  const std::int64_t full = (taps - 1) / step_taps_;
  const Steps first = step(tile, {step_taps_, 0, 1});
  return joined(joined(first, repeated(step(tile, {step_taps_, 0, 0}), full - 1)),
                step(tile, {taps - full * step_taps_, stall(taps), 0}));
}

// The steps of a tile: whole groups, as many as fit.
Steps Mapping::tile_steps(const Place& place) const {
  const Tile& tile = place.tile;
  Steps all;
  Taps open;  // of the step that may take more
  const auto put = [&](std::int64_t count, std::int64_t taps) {
    open = {open.taps + count * taps, open.stalls + count * stall(taps), open.started_groups + count};
  };
  const auto close = [&] {
    all = joined(all, step(tile, open));
    open = {};
  };
  for (const RunLength& run : place.runs) {
    const std::int64_t taps = group_taps(run, place.phases);
    const std::int64_t count = run.count * groups_of_run(place.phases);
    if (taps > step_taps_) {
      close();
      all = joined(all, repeated(cut_group(tile, taps), count));
      continue;
    }
    const std::int64_t fits = std::min(count, (step_taps_ - open.taps) / taps);
    put(fits, taps);
    if (fits == count) continue;
    close();
    const std::int64_t whole = step_taps_ / taps;  // groups of a step
    const std::int64_t full = (count - fits - 1) / whole;
    all = joined(all, repeated(step(tile, {whole * taps, whole * stall(taps), whole}), full));
    put(count - fits - full * whole, taps);
  }
  close();
  all.first_wait = tile_wait(place);
  return all;
}

// So that the results of a tile have passed before those of the next come: a tile computes for no less.
std::int64_t Mapping::tile_wait(const Place& place) const {
  if (write_cycles_ == 0) return 0;
  std::int64_t computes = outer_ * place.phases.taps;
  for (const RunLength& run : place.runs) {
    computes += run.count * groups_of_run(place.phases) * stall(group_taps(run, place.phases));
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

// The column tiles of one phase.
template <typename Row, typename Make>
Row Mapping::panel(const Place& panel, const Make& make) const {
  const std::int64_t whole = panel.phases.columns / config_.columns;
  const std::int64_t rest = panel.phases.columns % config_.columns;
  const bool keeps = keeps_rows(panel.phases);
  const auto row_of = [&](std::int64_t columns, bool first) {
    return make(Place{panel.runs, panel.phases,
                      Tile{panel.tile.rows, columns, first || !keeps, first, panel.tile.first_of_group}});
  };
  Row all;
  if (whole > 0) all = joined(row_of(config_.columns, true), repeated(row_of(config_.columns, false), whole - 1));
  if (rest > 0) all = joined(all, row_of(rest, whole == 0));
  return all;
}

template <typename Row, typename Make>
Row Mapping::row_of_phases(const Place& first, const PhaseRow& row, const Make& make) const {
  Row all;
  bool brings = first.tile.first_of_group;
  for (const Phases& phases : row.phases) {
    Place place{first.runs, phases, first.tile};
    std::int64_t left = phases.count;
    if (brings) {
      all = panel<Row>(place, make);
      --left;
    }
    brings = place.tile.first_of_group = false;
    if (left > 0) all = joined(all, repeated(panel<Row>(place, make), left));
  }
  return all;
}

template <typename Row, typename Make>
Row Mapping::row_tile(const std::vector<RunLength>& runs, const Make& make, std::int64_t live_rows, bool brings) const {
  Row all;
  for (const PhaseRow& row : phases_) {
    if (row.phases.empty()) continue;
    Place place{runs, row.phases.front(), Tile{live_rows}};
    std::int64_t left = row.count;
    if (brings) {
      all = row_of_phases<Row>(place, row, make);
      --left;
    }
    brings = place.tile.first_of_group = false;
    if (left > 0) all = joined(all, repeated(row_of_phases<Row>(place, row, make), left));
  }
  return all;
}

template <typename Row, typename Make>
Row Mapping::conv_group(const std::vector<RunLength>& runs, const Make& make, bool brings) const {
  std::int64_t whole = rows_ / config_.rows;
  std::int64_t rest = rows_ % config_.rows;
  Row all;
  if (brings) {
    all = row_tile<Row>(runs, make, whole > 0 ? config_.rows : rest, true);
    (whole > 0 ? --whole : rest = 0);
  }
  if (whole > 0) all = joined(all, repeated(row_tile<Row>(runs, make, config_.rows, false), whole));
  if (rest > 0) all = joined(all, row_tile<Row>(runs, make, rest, false));
  return all;
}

template <typename Row, typename Make>
Row Mapping::all_tiles(const Make& make, bool brings) const {
  const auto row_of = [&](std::int64_t limit) {
    Row all;
    for_conv_groups(limit, [&](const std::vector<RunLength>& runs, std::int64_t count) {
      all = joined(all, repeated(conv_group<Row>(runs, make, brings), count));
    });
    return all;
  };
  return joined(repeated(row_of(period()), shape_.groups / period()), row_of(shape_.groups % period()));
}

CycleCounts Mapping::cycles() const {
  CycleCounts cycles;
  const auto all = all_tiles<Steps>([&](const Place& place) { return tile_steps(place); }, false);
  cycles.array = static_cast<std::uint64_t>(array_cycles(all));
  if (all.count > 0) cycles.fill_stalls = static_cast<std::uint64_t>(all.first_fill + all.waits);
  for_phases([&](const Phases& phases, std::int64_t count) {
    const std::int64_t stalls = total_of_runs([&](const RunLength& run) { return stall(group_taps(run, phases)); });
    cycles.scaler_stalls +=
        static_cast<std::uint64_t>(count * row_tiles_ * column_tiles(phases) * groups_of_run(phases) * stalls);
  });
  return cycles;
}

void Mapping::add_memory(CycleCounts& cycles) {
  read_port_ = config_.sram_read_bytes_per_cycle;
  std::int64_t most_columns = 0;
  for_phases([&](const Phases& phases, std::int64_t) { most_columns = std::max(most_columns, phases.columns); });
  write_cycles_ =
      cycles_of(config_.sram_write_bytes_per_cycle, 4 * std::min<std::int64_t>(config_.rows, rows_) *
                                                        std::min<std::int64_t>(config_.columns, most_columns));
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

models::OperationCounts Mapping::counts() const {
  models::OperationCounts counts;
  counts.mantissa_multiplies = shape_.multiply_adds(pass_);
  counts.integer_adds = counts.mantissa_multiplies;
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
  const auto row_fills = [&](const Phases& p) { return rows_ * outer_ * p.taps * row_panels(p); };
  const auto row_reads = [&](const Phases& p) { return rows_ * outer_ * p.taps * column_tiles(p); };
  const auto row_scales = [&](const Phases& p) { return rows_ * row_panels(p); };
  const auto column_fills = [&](const Phases& p) { return p.columns * outer_ * p.taps * row_tiles_; };
  const auto column_scales = [&](const Phases& p) { return p.columns * row_tiles_; };
  Traffic traffic;
  traffic.row_buffer_writes = total(row_fills) * row_width;
  traffic.row_buffer_reads = total(row_reads) * row_width;
  traffic.column_buffer_writes = total(column_fills) * column_width;
  traffic.column_buffer_reads = traffic.column_buffer_writes;
  traffic.sram_row_reads =
      traffic.row_buffer_writes + total_of_groups(row_scales) * static_cast<std::uint64_t>(scale_bits(row_format_));
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

// Cycles in which all that a run of the quantizer moves has passed: results out of the SRAM, and back from DRAM before;
// codes to DRAM, one sequence after the other, and into the SRAM.
std::int64_t quantizer_moves(std::int64_t results, const Moved& codes, const CodePath& path, bool results_return,
                             const ArrayConfig& config) {
  const models::Int128 bytes = 4 * static_cast<models::Int128>(results);
  models::Int128 channel = path.to_dram ? cycles_of(config.dram_bytes_per_cycle, codes.in_bursts) : 0;
  if (results_return) {
    channel += config.dram_latency_cycles;
    channel += sequence(moved(4 * results, config), config.sram_write_bytes_per_cycle, config);
  }
  const std::int64_t stay = path.stay ? cycles_of(config.sram_write_bytes_per_cycle, codes.bytes) : 0;
  return std::max({cycles_of(config.sram_read_bytes_per_cycle, bytes), stay,
                   static_cast<std::int64_t>(std::min<models::Int128>(channel, TileRow::kForever))});
}

// What is moved of the results, and the quantizer's cycles.
void add_results(const models::Shape& shape, std::uint64_t computed, const Exchange& exchange,
                 const ArrayConfig& config, PassPrediction& prediction) {
  const std::int64_t count = models::element_count(shape);
  const auto bits = 32 * static_cast<std::uint64_t>(count);
  const ResultPath way = path_of(exchange, count, config);
  Traffic& traffic = prediction.traffic;
  traffic.sram_result_writes = 32 * computed;
  if (way.leave) {
    traffic.dram_result_writes = bits;
    traffic.sram_result_reads = bits;
  }
  if (!config.quantizes_results()) return;
  for (std::size_t i = 0; i < exchange.results.size(); ++i) {
    if (!is_quantized(exchange.results[i])) continue;
    const CodePath path = exchange.residence.path(i);
    const std::uint64_t code_bits = packed_bits(exchange.results[i], shape);
    const Moved codes = moved(ceiling(static_cast<std::int64_t>(code_bits), 8), config);
    const std::int64_t batches = ceiling(count, config.quantizer_lanes);
    const std::int64_t stalls =
        std::max<std::int64_t>(quantizer_moves(count, codes, path, way.come_back, config) - batches, 0);
    prediction.cycles.quantizer += static_cast<std::uint64_t>(batches + stalls + kQuantizerPipeline);
    prediction.cycles.quantizer_stalls += static_cast<std::uint64_t>(stalls);
    traffic.sram_result_reads += bits;
    if (way.come_back) {
      traffic.dram_result_reads += bits;
      traffic.sram_result_writes += bits;
    }
    if (path.to_dram) traffic.dram_code_writes += code_bits;
    if (path.stay) traffic.sram_result_writes += code_bits;
  }
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
  add_results(shape.result_shape(pass), mapping.computed_results(), exchange, config, prediction);
  check_time(pass, static_cast<std::int64_t>(prediction.cycles.quantizer_stalls));
  return prediction;
}

}  // namespace mlsim::sim
