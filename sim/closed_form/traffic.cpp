#include "sim/closed_form/traffic.h"

#include <algorithm>
#include <stdexcept>
#include <variant>

#include "sim/output_stationary/closed_forms.h"
#include "sim/output_stationary/tile_row.h"

namespace mlsim::sim::closed_form {
namespace {

using models::Format;
using models::Pass;
using models::ScaledFormat;

std::int64_t ceiling(std::int64_t value, std::int64_t divisor) {
  return (value + divisor - 1) / divisor;
}

}  // namespace

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

std::uint64_t packed_shares(const Format& format, const models::Shape& shape, std::int64_t conv_groups) {
  std::int64_t scales = 0;
  if (const auto* scaled = std::get_if<ScaledFormat>(&format)) {
    const auto grid = scaled->layout.grid(shape);
    scales = grid[0] * grid[2] * grid[3] * touched_blocks(scaled->layout, 1, shape[1], conv_groups);
  }
  return static_cast<std::uint64_t>(models::element_count(shape) * models::element_bits(format) +
                                    scales * scale_bits(format));
}

std::int64_t cycles_of(const ByteRate& rate, models::Int128 bytes) {
  if (!rate.limited()) return 0;
  const models::Int128 cycles = (bytes * 1000 + rate.thousandths - 1) / rate.thousandths;
  return static_cast<std::int64_t>(std::min<models::Int128>(cycles, TileRow::kForever));
}

Moved operator+(const Moved& a, const Moved& b) {
  return {a.bytes + b.bytes, a.in_bursts + b.in_bursts};
}

Moved moved(std::int64_t bytes, const ArrayConfig& config) {
  return {bytes, static_cast<models::Int128>(ceiling(bytes, config.dram_burst_bytes)) * config.dram_burst_bytes};
}

std::int64_t sequence(const Moved& moved, const ByteRate& port, const ArrayConfig& config) {
  return std::max(cycles_of(config.dram_bytes_per_cycle, moved.in_bursts), cycles_of(port, moved.bytes));
}

void check_time(Pass pass, std::int64_t cycles) {
  if (cycles < TileRow::kForever) return;
  throw std::runtime_error(to_string(pass) + ": takes 2^62 cycles or more with the memory of the array");
}

std::int64_t bytes_of_share(std::uint64_t bits, std::int64_t share, std::int64_t parts) {
  if (parts <= 0) return 0;
  const models::Int128 bits_of_all = static_cast<models::Int128>(parts) * 8;
  return static_cast<std::int64_t>((static_cast<models::Int128>(bits) * share + bits_of_all - 1) / bits_of_all);
}

void add_results(const models::Shape& shape, std::uint64_t computed, const std::vector<Format>& formats,
                 const ArrayConfig& config, PassPrediction& prediction) {
  const auto results = static_cast<std::uint64_t>(models::element_count(shape));
  Traffic& traffic = prediction.traffic;
  traffic.dram_result_writes = 32 * results;
  traffic.sram_result_writes = 32 * computed;
  traffic.sram_result_reads = 32 * results;
  if (!config.quantize_results) return;
  for (const Format& format : formats) {
    if (format == Format{models::BaselineFormat::kFp32}) continue;
    const std::uint64_t code_bits = packed_bits(format, shape);
    const std::int64_t batches = ceiling(static_cast<std::int64_t>(results), config.quantizer_lanes);
    const std::int64_t read = cycles_of(config.sram_read_bytes_per_cycle, 4 * static_cast<models::Int128>(results));
    const Moved codes = moved(ceiling(static_cast<std::int64_t>(code_bits), 8), config);
    const std::int64_t leaving = std::max(read, cycles_of(config.dram_bytes_per_cycle, codes.in_bursts));
    const std::int64_t stalls = std::max<std::int64_t>(leaving - batches, 0);
    prediction.cycles.quantizer += static_cast<std::uint64_t>(batches + stalls + kQuantizerPipeline);
    prediction.cycles.quantizer_stalls += static_cast<std::uint64_t>(stalls);
    traffic.sram_result_reads += 32 * results;
    traffic.dram_code_writes += code_bits;
  }
}

}  // namespace mlsim::sim::closed_form
