#include "sim/analytic.h"

#include <algorithm>
#include <stdexcept>
#include <vector>

namespace mlsim::sim {
namespace {

using models::ConvolutionShape;
using models::Format;
using models::Grouping;
using models::MlsFormat;
using models::Pass;

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

// A phase: results with the same taps.
struct PhaseKind {
  std::int64_t columns;  // of results
  std::int64_t taps;     // of one outer index
};

// Along one axis of backward data: how many results lie at each place within the stride, and how many kernel positions
// meet them.
std::vector<PhaseKind> axis_phases(std::int64_t in, std::int64_t kernel, std::int64_t stride, std::int64_t padding) {
  std::vector<PhaseKind> phases;
  for (std::int64_t place = 0; place < std::min(stride, in); ++place) {
    const std::int64_t first = (place + padding) % stride;
    if (first < kernel) phases.push_back({ceiling(in - place, stride), ceiling(kernel - first, stride)});
  }
  return phases;
}

std::vector<PhaseKind> phases_of(Pass pass, const ConvolutionShape& shape) {
  const auto [oh, ow] = shape.out_size();
  const std::int64_t kernel = shape.kernel[0] * shape.kernel[1];
  switch (pass) {
    case Pass::kForward:
      return {{shape.batch * oh * ow, kernel}};
    case Pass::kBackwardData: {
      std::vector<PhaseKind> phases;
      for (const PhaseKind& y : axis_phases(shape.in_size[0], shape.kernel[0], shape.stride[0], shape.padding[0])) {
        for (const PhaseKind& x : axis_phases(shape.in_size[1], shape.kernel[1], shape.stride[1], shape.padding[1])) {
          phases.push_back({shape.batch * y.columns * x.columns, y.taps * x.taps});
        }
      }
      return phases;
    }
    case Pass::kBackwardWeight:
      break;
  }
  return {{shape.in_channels / shape.groups * kernel, oh * ow}};
}

// Elements of the first `count` of the array, in row-major order, that lie in its live corner.
std::int64_t live_before(std::int64_t count, std::int64_t columns, std::int64_t live_rows, std::int64_t live_columns) {
  const std::int64_t row = count / columns;
  if (row >= live_rows) return live_rows * live_columns;
  return row * live_columns + std::min(count % columns, live_columns);
}

std::int64_t most_shared(const ArrayConfig& config, std::int64_t live_rows, std::int64_t live_columns) {
  const std::int64_t elements = std::int64_t{config.rows} * config.columns;
  std::int64_t most = 0;
  for (std::int64_t first = 0; first < elements; first += config.elements_per_scaler) {
    const std::int64_t end = std::min(first + config.elements_per_scaler, elements);
    most = std::max(most, live_before(end, config.columns, live_rows, live_columns) -
                              live_before(first, config.columns, live_rows, live_columns));
  }
  return most;
}

int scale_bits(const Format& format) {
  const auto* mls = std::get_if<MlsFormat>(&format);
  return mls == nullptr ? 0 : mls->scale.exponent_bits + mls->scale.fraction_bits;
}

// Bits of a packed tensor with `elements` elements and extents d0 and d1.
std::uint64_t packed_bits(const Format& format, std::int64_t elements, std::int64_t d0, std::int64_t d1) {
  std::int64_t scales = 0;
  if (const auto* mls = std::get_if<MlsFormat>(&format)) {
    scales = mls->grouping == Grouping::kNc  ? d0 * d1
             : mls->grouping == Grouping::kN ? d0
             : mls->grouping == Grouping::kC ? d1
                                             : 1;
  }
  return static_cast<std::uint64_t>(elements * models::element_bits(format) + scales * scale_bits(format));
}

std::uint64_t packed_bits(const Format& format, const models::Shape& shape) {
  return packed_bits(format, models::element_count(shape), shape[0], shape[1]);
}

}  // namespace

PassPrediction predict_pass(Pass pass, const ConvolutionShape& shape, const Format& left, const Format& right,
                            const ArrayConfig& config, const std::optional<Format>& result) {
  const auto* left_mls = std::get_if<MlsFormat>(&left);
  const auto* right_mls = std::get_if<MlsFormat>(&right);
  if ((left_mls == nullptr) != (right_mls == nullptr)) {
    throw std::runtime_error(to_string(pass) + ": operands of " + to_string(left) + " and " + to_string(right) +
                             ", expected two MLS formats or two baseline formats");
  }
  const bool mls = left_mls != nullptr;
  const std::int64_t outer = shape.outer_count(pass);
  const bool merged = !mls || models::reduction_of(pass, shape, left_mls->grouping, right_mls->grouping).merged;
  const std::int64_t groups = merged ? 1 : outer;
  const std::int64_t rows = (pass == Pass::kBackwardData ? shape.in_channels : shape.out_channels) / shape.groups;
  const std::vector<PhaseKind> phases = phases_of(pass, shape);
  const bool left_in_rows = pass == Pass::kBackwardWeight;
  const Format& row_format = left_in_rows ? left : right;
  const Format& column_format = left_in_rows ? right : left;
  const models::Operand row_operand = left_in_rows ? left_operand(pass) : right_operand(pass);
  const models::Operand column_operand = left_in_rows ? right_operand(pass) : left_operand(pass);

  std::int64_t most_columns = 0;
  for (const PhaseKind& phase : phases) most_columns = std::max(most_columns, phase.columns);
  const std::int64_t share = mls ? most_shared(config, std::min<std::int64_t>(config.rows, rows),
                                               std::min<std::int64_t>(config.columns, most_columns))
                                 : 0;
  const std::int64_t step_taps = std::min(config.row_feeder.buffer_elements / 2 / config.rows,
                                          config.column_feeder.buffer_elements / 2 / config.columns);

  // The steps of a tile.
  const auto tile = [&](const PhaseKind& phase, std::int64_t live_rows, std::int64_t live_columns, bool fills_rows) {
    const std::int64_t taps = merged ? outer * phase.taps : phase.taps;
    const std::int64_t stall = std::max<std::int64_t>(share - taps, 0);
    const auto step = [&](std::int64_t step_length, std::int64_t ended_groups) {
      const std::int64_t row_fill = fills_rows ? ceiling(live_rows * step_length, config.row_feeder.fill_ports) : 0;
      const std::int64_t column_fill = ceiling(live_columns * step_length, config.column_feeder.fill_ports);
      return step_length == 0 ? Steps{} : one_step(std::max(row_fill, column_fill), step_length + ended_groups * stall);
    };
    if (taps <= step_taps) {
      const std::int64_t whole = step_taps / taps;  // groups of a step
      return joined(repeated(step(whole * taps, whole), groups / whole), step(groups % whole * taps, groups % whole));
    }
    const std::int64_t rest = taps % step_taps;
    const Steps group = rest == 0 ? joined(repeated(step(step_taps, 0), taps / step_taps - 1), step(step_taps, 1))
                                  : joined(repeated(step(step_taps, 0), taps / step_taps), step(rest, 1));
    return repeated(group, groups);
  };
  const auto keeps_rows = [&](const PhaseKind& phase) {
    const std::int64_t taps = merged ? outer * phase.taps : phase.taps;
    return taps <= step_taps && groups <= step_taps / taps;
  };
  // The column tiles of a panel of rows, over all phases.
  const auto panel = [&](std::int64_t live_rows) {
    Steps all;
    for (const PhaseKind& phase : phases) {
      const std::int64_t whole = phase.columns / config.columns;
      const std::int64_t rest = phase.columns % config.columns;
      const bool keeps = keeps_rows(phase);
      if (whole > 0) {
        all = joined(all, tile(phase, live_rows, config.columns, true));
        all = joined(all, repeated(tile(phase, live_rows, config.columns, !keeps), whole - 1));
      }
      if (rest > 0) all = joined(all, tile(phase, live_rows, rest, whole == 0 || !keeps));
    }
    return all;
  };
  Steps conv_group = repeated(panel(config.rows), rows / config.rows);
  if (rows % config.rows != 0) conv_group = joined(conv_group, panel(rows % config.rows));
  const Steps all = repeated(conv_group, shape.groups);

  PassPrediction prediction;
  models::OperationCounts& counts = prediction.counts;
  CycleCounts& cycles = prediction.cycles;
  Traffic& traffic = prediction.traffic;

  if (all.count > 0) {
    cycles.array = static_cast<std::uint64_t>(all.first_fill + all.cycles + all.last_compute + share + kArrayPipeline);
    cycles.fill_stalls = static_cast<std::uint64_t>(all.first_fill + all.waits);
  }

  // Operations and what crosses the feeders: the same for each conv group.
  const std::int64_t row_tiles = ceiling(rows, config.rows);
  std::int64_t results = 0;
  std::int64_t ended_groups = 0;
  std::int64_t row_fills = 0;
  std::int64_t row_scales = 0;
  std::int64_t column_fills = 0;
  std::int64_t column_scales = 0;
  std::int64_t row_reads = 0;
  for (const PhaseKind& phase : phases) {
    const std::int64_t column_tiles = ceiling(phase.columns, config.columns);
    const std::int64_t row_panels = keeps_rows(phase) ? 1 : column_tiles;
    const std::int64_t taps = outer * phase.taps;
    results += rows * phase.columns;
    ended_groups += rows * phase.columns * groups;
    row_fills += rows * taps * row_panels;
    row_scales += rows * groups * row_panels;
    row_reads += rows * taps * column_tiles;
    column_fills += phase.columns * taps * row_tiles;
    column_scales += phase.columns * groups * row_tiles;
    cycles.scaler_stalls += static_cast<std::uint64_t>(shape.groups * row_tiles * column_tiles * groups *
                                                       std::max<std::int64_t>(share - (merged ? taps : phase.taps), 0));
  }
  const auto total = [&](std::int64_t per_conv_group) {
    return static_cast<std::uint64_t>(shape.groups * per_conv_group);
  };
  const auto element_width = [](const Format& format) { return static_cast<std::uint64_t>(element_bits(format)); };
  const auto scale_width = [](const Format& format) { return static_cast<std::uint64_t>(scale_bits(format)); };

  counts.mantissa_multiplies = shape.multiply_adds(pass);
  counts.integer_adds = counts.mantissa_multiplies;
  if (mls) {
    if (left_mls->element.exponent_bits > 0 || right_mls->element.exponent_bits > 0) {
      counts.exponent_adds = counts.mantissa_multiplies;
      counts.shifts = counts.mantissa_multiplies;
    }
    counts.group_exponent_adds = total(ended_groups);
    counts.shift_adds = total(ended_groups);
    counts.conversions = total(ended_groups);
    counts.float_adds = total(ended_groups);
    counts.tensor_scale_multiplies = total(results);
  }

  traffic.row_buffer_writes = total(row_fills) * element_width(row_format);
  traffic.row_buffer_reads = total(row_reads) * element_width(row_format);
  traffic.column_buffer_writes = total(column_fills) * element_width(column_format);
  traffic.column_buffer_reads = traffic.column_buffer_writes;
  traffic.sram_row_reads = traffic.row_buffer_writes + total(row_scales) * scale_width(row_format);
  traffic.sram_column_reads = traffic.column_buffer_writes + total(column_scales) * scale_width(column_format);

  // DRAM: an operand that fits in its third of the SRAM is read once.
  const auto fits = [&](std::uint64_t bits) {
    return 3 * bits <= 8 * static_cast<std::uint64_t>(config.global_sram_bytes);
  };
  const std::uint64_t row_bits = packed_bits(row_format, shape.shape_of(row_operand));
  traffic.dram_row_reads = fits(row_bits) ? row_bits : traffic.sram_row_reads;
  const models::Shape column_shape = shape.shape_of(column_operand);
  const std::uint64_t column_bits = packed_bits(column_format, column_shape);
  const std::uint64_t column_share = packed_bits(column_format, models::element_count(column_shape) / shape.groups,
                                                 column_shape[0], column_shape[1] / shape.groups);
  traffic.dram_column_reads =
      fits(column_bits) ? column_bits : total(row_tiles) * static_cast<std::uint64_t>(phases.size()) * column_share;
  traffic.sram_operand_writes = traffic.dram_row_reads + traffic.dram_column_reads;

  const models::Shape result_shape = shape.result_shape(pass);
  const auto result_count = static_cast<std::uint64_t>(models::element_count(result_shape));
  traffic.dram_result_writes = 32 * result_count;
  traffic.sram_result_writes = 32 * total(results);
  traffic.sram_result_reads = 32 * result_count;
  if (result && config.quantize_results && *result != Format{models::BaselineFormat::kFp32}) {
    cycles.quantizer = static_cast<std::uint64_t>(
        ceiling(static_cast<std::int64_t>(result_count), config.quantizer_lanes) + kQuantizerPipeline);
    traffic.sram_result_reads += 32 * result_count;
    traffic.dram_code_writes = packed_bits(*result, result_shape);
  }
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
