#include "sim/closed_form/traffic.h"

#include <algorithm>
#include <stdexcept>
#include <variant>

#include "base/integers.h"
#include "sim/closed_form/closed_forms.h"
#include "sim/closed_form/tile_row.h"

namespace mlsim::sim::closed_form {
namespace {

using models::Format;
using models::Pass;
using models::ScaledFormat;

bool is_quantized(const Format& format) {
  return format != Format{models::BaselineFormat::kFp32};
}

// Cycles in which all that a run of the quantizer moves has passed: results out of the SRAM, and back from DRAM before;
// codes to DRAM, one sequence after the other, and into the SRAM.
std::int64_t quantizer_moves(std::int64_t results, const Moved& codes, const CodePath& path, bool results_return,
                             const ArrayConfig& config) {
  const base::Int128 bytes = kFloatBytes * static_cast<base::Int128>(results);
  base::Int128 channel = path.to_dram ? cycles_of(config.dram_bytes_per_cycle, codes.in_bursts) : 0;
  if (results_return) {
    channel += config.dram_latency_cycles;
    channel += sequence(moved(kFloatBytes * results, config), config.sram_write_bytes_per_cycle, config);
  }
  const std::int64_t stay = path.stay ? cycles_of(config.sram_write_bytes_per_cycle, codes.bytes) : 0;
  return std::max({cycles_of(config.sram_read_bytes_per_cycle, bytes), stay,
                   static_cast<std::int64_t>(std::min<base::Int128>(channel, TileRow::kForever))});
}

}  // namespace

std::uint64_t packed_shares(const Format& format, const models::Shape& shape, std::int64_t conv_groups) {
  std::int64_t scales = 0;
  if (const auto* scaled = std::get_if<ScaledFormat>(&format)) {
    const auto grid = scaled->layout.grid(shape);
    scales = grid[0] * grid[2] * grid[3] * touched_blocks(scaled->layout, 1, shape[1], conv_groups);
  }
  return static_cast<std::uint64_t>(models::packed_bits(format, models::element_count(shape), scales));
}

std::int64_t cycles_of(const ByteRate& rate, base::Int128 bytes) {
  if (!rate.limited()) return 0;
  const base::Int128 cycles = base::ceiling(bytes * 1000, rate.thousandths);
  return static_cast<std::int64_t>(std::min<base::Int128>(cycles, TileRow::kForever));
}

Moved operator+(const Moved& a, const Moved& b) {
  return {a.bytes + b.bytes, a.in_bursts + b.in_bursts};
}

Moved moved(std::int64_t bytes, const ArrayConfig& config) {
  return {bytes, static_cast<base::Int128>(base::ceiling(bytes, config.dram_burst_bytes)) * config.dram_burst_bytes};
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
  const base::Int128 bits_of_all = static_cast<base::Int128>(parts) * 8;
  return static_cast<std::int64_t>(base::ceiling(static_cast<base::Int128>(bits) * share, bits_of_all));
}

ResultPath path_of(const Exchange& exchange, std::int64_t count, const ArrayConfig& config) {
  if (!config.quantizes_results()) return result_path(config, count, false);
  for (const Format& format : exchange.results) {
    if (is_quantized(format)) return result_path(config, count, true);
  }
  return result_path(config, count, false, exchange.residence.path(0).to_dram);
}

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
    const auto code_bits = static_cast<std::uint64_t>(models::packed_bits(exchange.results[i], shape));
    const Moved codes = moved(base::ceiling(static_cast<std::int64_t>(code_bits), 8), config);
    const std::int64_t batches = base::ceiling(count, config.quantizer_lanes);
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

}  // namespace mlsim::sim::closed_form
