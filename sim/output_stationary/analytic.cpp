#include "sim/output_stationary/analytic.h"

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "sim/output_stationary/closed_forms.h"

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
  std::int64_t first_fill = 0;    // L of the first step
  std::int64_t last_compute = 0;  // C of the last step
  std::int64_t cycles = 0;        // Σ max(C_i, L_(i+1)) over the neighbours inside
  std::int64_t waits = 0;         // Σ max(L_(i+1) - C_i, 0) over the same
  std::int64_t count = 0;
};

Steps one_step(std::int64_t fill, std::int64_t compute) {
  return {fill, compute, 0, 0, 1};
}

Steps joined(const Steps& a, const Steps& b) {
  if (a.count == 0) return b;
  if (b.count == 0) return a;
  return {a.first_fill, b.last_compute, a.cycles + b.cycles + std::max(a.last_compute, b.first_fill),
          a.waits + b.waits + std::max<std::int64_t>(b.first_fill - a.last_compute, 0), a.count + b.count};
}

Steps repeated(const Steps& a, std::int64_t times) {
  if (times == 0 || a.count == 0) return {};
  return {a.first_fill, a.last_compute, times * a.cycles + (times - 1) * std::max(a.last_compute, a.first_fill),
          times * a.waits + (times - 1) * std::max<std::int64_t>(a.first_fill - a.last_compute, 0), times * a.count};
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
    return phase_runs(shape.in_size[axis], shape.kernel[axis], shape.stride[axis], shape.padding[axis]);
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

bool is_mls(const Format& format) {
  return std::holds_alternative<ScaledFormat>(format);
}

int scale_bits(const Format& format) {
  const auto* mls = std::get_if<ScaledFormat>(&format);
  return mls == nullptr ? 0 : mls->scale.exponent_bits + mls->scale.fraction_bits;
}

// Bits of a packed tensor with `elements` elements and extents d0 and d1.
std::uint64_t packed_bits(const Format& format, std::int64_t elements, std::int64_t d0, std::int64_t d1) {
  std::int64_t scales = 0;
  if (const auto* mls = std::get_if<ScaledFormat>(&format)) {
    scales = mls->layout.count(d0, d1);
  }
  return static_cast<std::uint64_t>(elements * models::element_bits(format) + scales * scale_bits(format));
}

std::uint64_t packed_bits(const Format& format, const models::Shape& shape) {
  return packed_bits(format, models::element_count(shape), shape[0], shape[1]);
}

// A pass on the array: what stands in its rows and columns, and how its tiles are cut into steps.
class Mapping {
 public:
  Mapping(Pass pass, const ConvolutionShape& shape, const Format& left, const Format& right, const ArrayConfig& config)
      : pass_(pass),
        shape_(shape),
        config_(config),
        mls_(is_mls(left)),
        has_exponents_(mls_ && (std::get<ScaledFormat>(left).element.exponent_bits > 0 ||
                                std::get<ScaledFormat>(right).element.exponent_bits > 0)),
        merged_(!mls_ || models::reduction_of(pass, shape, std::get<ScaledFormat>(left).layout,
                                              std::get<ScaledFormat>(right).layout)
                             .merged),
        outer_(shape.outer_count(pass)),
        groups_(merged_ ? 1 : outer_),
        rows_((pass == Pass::kBackwardData ? shape.in_channels : shape.out_channels) / shape.groups),
        row_tiles_(ceiling(rows_, config.rows)),
        step_taps_(std::min(config.row_feeder.buffer_elements / 2 / config.rows,
                            config.column_feeder.buffer_elements / 2 / config.columns)),
        row_format_(pass == Pass::kBackwardWeight ? left : right),
        column_format_(pass == Pass::kBackwardWeight ? right : left),
        phases_(phases_of(pass, shape)) {
    if (!mls_) return;
    std::int64_t most_columns = 0;
    for_phases([&](const Phases& phases, std::int64_t) { most_columns = std::max(most_columns, phases.columns); });
    share_ = most_shared(config, std::min<std::int64_t>(config.rows, rows_),
                         std::min<std::int64_t>(config.columns, most_columns));
  }

  // Array cycles and both kinds of stalls.
  CycleCounts cycles() const;
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

  std::int64_t group_taps(const Phases& phases) const { return merged_ ? outer_ * phases.taps : phases.taps; }
  std::int64_t stall(const Phases& phases) const { return std::max<std::int64_t>(share_ - group_taps(phases), 0); }
  std::int64_t column_tiles(const Phases& phases) const { return ceiling(phases.columns, config_.columns); }
  // Whether a tile is one step, so that the row panel is filled once.
  bool keeps_rows(const Phases& phases) const {
    const std::int64_t taps = group_taps(phases);
    return taps <= step_taps_ && groups_ <= step_taps_ / taps;
  }
  std::int64_t row_panels(const Phases& phases) const { return keeps_rows(phases) ? 1 : column_tiles(phases); }

  Steps tile(const Phases& phases, std::int64_t live_rows, std::int64_t live_columns, bool fills_rows) const;
  Steps phase(const Phases& phases, std::int64_t live_rows) const;
  Steps row_tile(std::int64_t live_rows) const;

  Pass pass_;
  const ConvolutionShape& shape_;
  const ArrayConfig& config_;
  bool mls_;
  bool has_exponents_;
  bool merged_;
  std::int64_t outer_;
  std::int64_t groups_;     // reduction groups of a result
  std::int64_t rows_;       // of a conv group
  std::int64_t row_tiles_;  // likewise
  std::int64_t step_taps_;  // that fit in half a buffer
  const Format& row_format_;
  const Format& column_format_;
  std::vector<PhaseRow> phases_;
  std::int64_t share_ = 0;  // the most elements that a group-scale unit serves in a tile
};

Steps Mapping::tile(const Phases& phases, std::int64_t live_rows, std::int64_t live_columns, bool fills_rows) const {
  const std::int64_t taps = group_taps(phases);
  const auto step = [&](std::int64_t step_length, std::int64_t ended_groups) {
    const std::int64_t row_fill = fills_rows ? ceiling(live_rows * step_length, config_.row_feeder.fill_ports) : 0;
    const std::int64_t column_fill = ceiling(live_columns * step_length, config_.column_feeder.fill_ports);
    return step_length == 0 ? Steps{}
                            : one_step(std::max(row_fill, column_fill), step_length + ended_groups * stall(phases));
  };
  if (taps <= step_taps_) {
    const std::int64_t whole = step_taps_ / taps;  // groups of a step
    return joined(repeated(step(whole * taps, whole), groups_ / whole), step(groups_ % whole * taps, groups_ % whole));
  }
  const std::int64_t rest = taps % step_taps_;
  const Steps group = rest == 0 ? joined(repeated(step(step_taps_, 0), taps / step_taps_ - 1), step(step_taps_, 1))
                                : joined(repeated(step(step_taps_, 0), taps / step_taps_), step(rest, 1));
  return repeated(group, groups_);
}

// The column tiles of one phase.
Steps Mapping::phase(const Phases& phases, std::int64_t live_rows) const {
  const std::int64_t whole = phases.columns / config_.columns;
  const std::int64_t rest = phases.columns % config_.columns;
  const bool keeps = keeps_rows(phases);
  Steps all;
  if (whole > 0) {
    all = joined(tile(phases, live_rows, config_.columns, true),
                 repeated(tile(phases, live_rows, config_.columns, !keeps), whole - 1));
  }
  if (rest > 0) all = joined(all, tile(phases, live_rows, rest, whole == 0 || !keeps));
  return all;
}

Steps Mapping::row_tile(std::int64_t live_rows) const {
  Steps all;
  for (const PhaseRow& row : phases_) {
    Steps across;
    for (const Phases& phases : row.phases) across = joined(across, repeated(phase(phases, live_rows), phases.count));
    all = joined(all, repeated(across, row.count));
  }
  return all;
}

CycleCounts Mapping::cycles() const {
  const std::int64_t whole = rows_ / config_.rows;
  const std::int64_t rest = rows_ % config_.rows;
  Steps conv_group;
  if (whole > 0) conv_group = repeated(row_tile(config_.rows), whole);
  if (rest > 0) conv_group = joined(conv_group, row_tile(rest));
  const Steps all = repeated(conv_group, shape_.groups);
  CycleCounts cycles;
  if (all.count > 0) {
    cycles.array = static_cast<std::uint64_t>(all.first_fill + all.cycles + all.last_compute + share_ + kArrayPipeline);
    cycles.fill_stalls = static_cast<std::uint64_t>(all.first_fill + all.waits);
  }
  cycles.scaler_stalls =
      total([&](const Phases& phases) { return row_tiles_ * column_tiles(phases) * groups_ * stall(phases); });
  return cycles;
}

std::uint64_t Mapping::computed_results() const {
  return total([&](const Phases& phases) { return rows_ * phases.columns; });
}

models::OperationCounts Mapping::counts() const {
  models::OperationCounts counts;
  counts.mantissa_multiplies = shape_.multiply_adds(pass_);
  counts.integer_adds = counts.mantissa_multiplies;
  if (!mls_) return counts;
  if (has_exponents_) {
    counts.exponent_adds = counts.mantissa_multiplies;
    counts.shifts = counts.mantissa_multiplies;
  }
  const std::uint64_t ended_groups = total([&](const Phases& phases) { return rows_ * phases.columns * groups_; });
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
  const auto row_scales = [&](const Phases& p) { return rows_ * groups_ * row_panels(p); };
  const auto column_fills = [&](const Phases& p) { return p.columns * outer_ * p.taps * row_tiles_; };
  const auto column_scales = [&](const Phases& p) { return p.columns * groups_ * row_tiles_; };
  Traffic traffic;
  traffic.row_buffer_writes = total(row_fills) * row_width;
  traffic.row_buffer_reads = total(row_reads) * row_width;
  traffic.column_buffer_writes = total(column_fills) * column_width;
  traffic.column_buffer_reads = traffic.column_buffer_writes;
  traffic.sram_row_reads =
      traffic.row_buffer_writes + total(row_scales) * static_cast<std::uint64_t>(scale_bits(row_format_));
  traffic.sram_column_reads =
      traffic.column_buffer_writes + total(column_scales) * static_cast<std::uint64_t>(scale_bits(column_format_));

  // DRAM: an operand that fits in its third of the SRAM is read once.
  const auto fits = [&](std::uint64_t bits) {
    return 3 * bits <= 8 * static_cast<std::uint64_t>(config_.global_sram_bytes);
  };
  const bool left_in_rows = pass_ == Pass::kBackwardWeight;
  const models::Shape row_shape = shape_.shape_of(left_in_rows ? left_operand(pass_) : right_operand(pass_));
  const std::uint64_t row_bits = packed_bits(row_format_, row_shape);
  traffic.dram_row_reads = fits(row_bits) ? row_bits : traffic.sram_row_reads;
  const models::Shape column_shape = shape_.shape_of(left_in_rows ? right_operand(pass_) : left_operand(pass_));
  const std::uint64_t column_bits = packed_bits(column_format_, column_shape);
  const std::uint64_t column_share = packed_bits(column_format_, models::element_count(column_shape) / shape_.groups,
                                                 column_shape[0], column_shape[1] / shape_.groups);
  const std::uint64_t column_passes = total([&](const Phases&) { return row_tiles_; });
  traffic.dram_column_reads = fits(column_bits) ? column_bits : column_passes * column_share;
  traffic.sram_operand_writes = traffic.dram_row_reads + traffic.dram_column_reads;
  return traffic;
}

// What is moved of the results, and the quantizer's cycles.
void add_results(const models::Shape& shape, std::uint64_t computed, const std::optional<Format>& format,
                 const ArrayConfig& config, PassPrediction& prediction) {
  const auto results = static_cast<std::uint64_t>(models::element_count(shape));
  Traffic& traffic = prediction.traffic;
  traffic.dram_result_writes = 32 * results;
  traffic.sram_result_writes = 32 * computed;
  traffic.sram_result_reads = 32 * results;
  if (!format || !config.quantize_results || *format == Format{models::BaselineFormat::kFp32}) return;
  prediction.cycles.quantizer = static_cast<std::uint64_t>(
      ceiling(static_cast<std::int64_t>(results), config.quantizer_lanes) + kQuantizerPipeline);
  traffic.sram_result_reads += 32 * results;
  traffic.dram_code_writes = packed_bits(*format, shape);
}

}  // namespace

PassPrediction predict_pass(Pass pass, const ConvolutionShape& shape, const Format& left, const Format& right,
                            const ArrayConfig& config, const std::optional<Format>& result) {
  if (is_mls(left) != is_mls(right)) {
    throw std::runtime_error(to_string(pass) + ": operands of " + to_string(left) + " and " + to_string(right) +
                             ", expected two MLS formats or two baseline formats");
  }
  const Mapping mapping(pass, shape, left, right, config);
  PassPrediction prediction{mapping.counts(), mapping.cycles(), mapping.traffic()};
  add_results(shape.result_shape(pass), mapping.computed_results(), result, config, prediction);
  return prediction;
}

double utilization(const models::OperationCounts& counts, const CycleCounts& cycles, const ArrayConfig& config) {
  if (cycles.array == 0) return 0;
  return static_cast<double>(counts.mantissa_multiplies) /
         (static_cast<double>(cycles.array) * config.rows * config.columns);
}

double utilization(const PassPrediction& prediction, const ArrayConfig& config) {
  return utilization(prediction.counts, prediction.cycles, config);
}

}  // namespace mlsim::sim
