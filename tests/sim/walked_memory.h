// The memory of docs/memory.md as walks over a pass see it, tile by tile and sequence of bursts by sequence of bursts,
// with nothing of what it is held against.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <variant>
#include <vector>

#include "sim/array_config.h"
#include "sim/statistics.h"
#include "tests/sim/random_cases.h"

namespace mlsim::sim {

// Results of a phase, and its taps of one outer index.
struct WalkedPhase {
  std::int64_t columns = 0;
  std::int64_t taps = 0;
};

// Those that have any of both, in order.
inline std::vector<WalkedPhase> walked_phases(models::Pass pass, const models::ConvolutionShape& shape) {
  const std::int64_t kernel = shape.kernel[0] * shape.kernel[1];
  const std::int64_t outputs = shape.out_size()[0] * shape.out_size()[1];
  if (pass == models::Pass::kForward) return {{shape.batch * outputs, kernel}};
  if (pass == models::Pass::kBackwardWeight) return {{shape.in_channels / shape.groups * kernel, outputs}};
  const auto alike = [&](std::size_t axis, std::int64_t place) {
    WalkedPhase phase;
    for (std::int64_t y = place; y < shape.in_size[axis]; y += shape.stride[axis]) ++phase.columns;
    for (std::int64_t k = 0; k < shape.kernel[axis]; ++k) {
      const std::int64_t distance = place + shape.padding[axis].begin - k * shape.dilation[axis];
      phase.taps += distance % shape.stride[axis] == 0 ? 1 : 0;
    }
    return phase;
  };
  std::vector<WalkedPhase> phases;
  for (std::int64_t y = 0; y < shape.stride[0]; ++y) {
    for (std::int64_t x = 0; x < shape.stride[1]; ++x) {
      const WalkedPhase down = alike(0, y);
      const WalkedPhase across = alike(1, x);
      const WalkedPhase phase{shape.batch * down.columns * across.columns, down.taps * across.taps};
      if (phase.columns > 0 && phase.taps > 0) phases.push_back(phase);
    }
  }
  return phases;
}

// Lengths of the runs of outer indices of a convolution group whose tiles are alike on both sides.
inline std::vector<std::int64_t> walked_runs(const Case& test, std::int64_t conv_group) {
  const std::int64_t outer_count = test.shape.outer_count(test.pass);
  const auto* left = std::get_if<models::ScaledFormat>(&test.left);
  const auto* right = std::get_if<models::ScaledFormat>(&test.right);
  if (left == nullptr) return {outer_count};
  const auto tiles = [&](std::int64_t outer) {
    const std::int64_t counted = conv_group * outer_count + outer;
    const auto tile = [&](const models::ScaledFormat* format, std::size_t dimension, std::int64_t index) {
      return format->layout.tile_of(dimension, index);
    };
    if (test.pass == models::Pass::kForward) return std::pair(tile(left, 1, counted), tile(right, 1, outer));
    if (test.pass == models::Pass::kBackwardData) return std::pair(tile(left, 1, counted), tile(right, 0, counted));
    return std::pair(tile(left, 0, outer), tile(right, 0, outer));
  };
  std::vector<std::int64_t> runs{1};
  for (std::int64_t outer = 1; outer < outer_count; ++outer) {
    if (tiles(outer) != tiles(outer - 1)) runs.push_back(0);
    ++runs.back();
  }
  return runs;
}

// Lengths of the reduction groups of a phase, in order.
inline std::vector<std::int64_t> walked_groups(const std::vector<std::int64_t>& runs, std::int64_t taps, bool apart) {
  std::vector<std::int64_t> groups;
  for (const std::int64_t run : runs) {
    groups.insert(groups.end(), apart ? static_cast<std::size_t>(taps) : 1, apart ? run : run * taps);
  }
  return groups;
}

// Convolution groups side by side: more, as long as the array has rows and the buffer words for them.
inline std::int64_t walked_groups_at_once(const Case& test, const ArrayConfig& config) {
  if (config.depthwise == DepthwiseMapping::kOff) return 1;
  for (std::int64_t group = 1; group < test.shape.groups; ++group) {
    if (walked_runs(test, group) != walked_runs(test, 0)) return 1;
  }
  const bool of_input = test.pass == models::Pass::kBackwardData;
  const std::int64_t rows = (of_input ? test.shape.in_channels : test.shape.out_channels) / test.shape.groups;
  const std::int64_t words = config.column_feeder.buffer_elements / (2 * config.taps_per_cycle);
  std::int64_t groups = 1;
  while (groups < test.shape.groups && (groups + 1) * rows <= config.rows && (groups + 1) * config.columns <= words) {
    ++groups;
  }
  return groups;
}

class WalkedMemory {
 public:
  struct Operand {
    std::uint64_t element_bits = 0;
    std::uint64_t scale_bits = 0;
    std::uint64_t packed = 0;
    std::uint64_t shares = 0;  // of all conv groups
    bool fits = false;
  };
  // What of a tile its operands' bytes depend on.
  struct Tile {
    std::uint64_t rows = 0;
    std::uint64_t columns = 0;  // lanes of their operand
    WalkedPhase phase;
    std::uint64_t groups = 0;
    bool fills_rows = true;
    bool first_of_panel = true;
    bool in_first_panel = true;  // of its conv group
  };

  WalkedMemory(const Case& test, const ArrayConfig& config) : test_(test), config_(config) {
    const bool left_in_rows = test.pass == models::Pass::kBackwardWeight;
    const Operand left = operand(test.left, left_operand(test.pass));
    const Operand right = operand(test.right, right_operand(test.pass));
    rows = left_in_rows ? left : right;
    columns = left_in_rows ? right : left;
    row_count_ = (test.pass == models::Pass::kBackwardData ? test.shape.in_channels : test.shape.out_channels) /
                 test.shape.groups;
    for (const WalkedPhase& phase : walked_phases(test.pass, test.shape)) all_taps_ += unsigned_of(phase.taps);
    // Codes alone leave, where the results can wait for the quantizer.
    const std::uint64_t results = unsigned_of(models::element_count(test.shape.result_shape(test.pass)));
    const bool fit = 3 * 32 * results <= 8 * unsigned_of(config.global_sram_bytes);
    const bool codes_alone = config.results == ResultForm::kCodes && !test.results.empty();
    results_leave = !codes_alone || !fit;
    results_come_back = codes_alone && !fit;
  }

  Operand rows;
  Operand columns;
  bool results_leave = true;  // for DRAM in binary32
  bool results_come_back = false;

  static std::uint64_t time(std::uint64_t bytes, const ByteRate& rate) {
    const std::uint64_t thousandths = unsigned_of(rate.thousandths);
    return thousandths == 0 ? 0 : (bytes * 1000 + thousandths - 1) / thousandths;
  }
  // Of a sequence: bytes, each part of it in bursts of its own.
  std::uint64_t sequence(const std::vector<std::uint64_t>& parts, const ByteRate& port) const {
    const std::uint64_t burst = unsigned_of(config_.dram_burst_bytes);
    std::uint64_t bytes = 0;
    std::uint64_t in_bursts = 0;
    for (const std::uint64_t part : parts) {
      bytes += part;
      in_bursts += (part + burst - 1) / burst * burst;
    }
    return std::max(time(in_bursts, config_.dram_bytes_per_cycle), time(bytes, port));
  }

  // Bytes of the rows and of the columns.
  std::vector<std::uint64_t> operands_of(const Tile& tile) const {
    const auto bytes = [](std::uint64_t bits, std::uint64_t parts) { return (bits + 8 * parts - 1) / (8 * parts); };
    const std::uint64_t groups = unsigned_of(test_.shape.groups);
    const std::uint64_t outer = unsigned_of(test_.shape.outer_count(test_.pass));
    const std::uint64_t taps = unsigned_of(tile.phase.taps);
    std::uint64_t row_bytes = 0;
    if (test_.residence.rows) {
      row_bytes = 0;
    } else if (rows.fits && tile.first_of_panel) {
      row_bytes = bytes(rows.packed * tile.rows * taps, groups * unsigned_of(row_count_) * all_taps_);
    } else if (!rows.fits && tile.fills_rows) {
      row_bytes = bytes(tile.rows * (taps * outer * rows.element_bits + tile.groups * rows.scale_bits), 1);
    }
    std::uint64_t column_bytes = 0;
    if (!test_.residence.columns && (!columns.fits || tile.in_first_panel)) {
      column_bytes = bytes((columns.fits ? columns.packed : columns.shares) * tile.columns,
                           groups * unsigned_of(tile.phase.columns));
    }
    return {row_bytes, column_bytes};
  }

  // Through a port into a feeder.
  std::uint64_t port_fill(std::uint64_t lanes, std::uint64_t taps, std::uint64_t scales, const Operand& operand) const {
    const std::uint64_t bits = lanes * (taps * operand.element_bits + scales * operand.scale_bits);
    return time((bits + 7) / 8, config_.sram_read_bytes_per_cycle);
  }

  // Operands whose request was heard at `asked` are there at, from `start` on.
  std::uint64_t fetch(const Tile& tile, std::uint64_t asked, std::uint64_t start) {
    const std::vector<std::uint64_t> operands = operands_of(tile);
    if (operands[0] + operands[1] == 0) return start;
    bus_ = std::max(bus_, asked + unsigned_of(config_.dram_latency_cycles)) +
           sequence(operands, config_.sram_write_bytes_per_cycle);
    return std::max(start, bus_);
  }
  // Results that are in their banks at `there`.
  void write(std::uint64_t there, std::uint64_t bytes) {
    const std::uint64_t takes = sequence({bytes}, config_.sram_read_bytes_per_cycle);
    if (takes > 0 && results_leave) bus_ = std::max(bus_, there) + takes;
  }

  // The end of a pass whose last tile is done at `end`, 0 for none, but for results that no tap meets; what the channel
  // was waited for goes to whose fault it is that it is not faster.
  void end(std::uint64_t end, std::uint64_t untouched, std::uint64_t channel_stalls, CycleCounts& cycles) {
    const std::uint64_t rest = results_leave ? sequence({untouched}, config_.sram_read_bytes_per_cycle) : 0;
    if (end == 0 && rest > 0) bus_ = 1;
    bus_ += rest;
    channel_stalls += std::max(bus_, end) - end;
    cycles.array = std::max(bus_, end);
    const auto narrow = [&](const ByteRate& port) {
      const ByteRate& dram = config_.dram_bytes_per_cycle;
      return port.limited() && (!dram.limited() || port.bytes() < dram.bytes());
    };
    const bool ports = narrow(config_.sram_read_bytes_per_cycle) || narrow(config_.sram_write_bytes_per_cycle);
    (ports ? cycles.sram_stalls : cycles.dram_stalls) += channel_stalls;
  }

 private:
  Operand operand(const models::Format& format, models::Operand which) const {
    const models::Shape shape = test_.shape.shape_of(which);
    Operand operand;
    operand.element_bits = unsigned_of(models::element_bits(format));
    operand.scale_bits = stored_scale_bits(format);
    const std::uint64_t elements = unsigned_of(models::element_count(shape)) * operand.element_bits;
    const auto* scaled = std::get_if<models::ScaledFormat>(&format);
    const std::uint64_t scales = scaled == nullptr ? 0 : unsigned_of(scaled->layout.count(shape));
    operand.packed = elements + scales * operand.scale_bits;
    // Weights, whose second dimension is that of one conv group, never stand in columns.
    if (which != models::Operand::kWeight) {
      operand.shares = elements + scales_of_shares(format, shape, test_.shape.groups) * operand.scale_bits;
    }
    operand.fits = 3 * operand.packed <= 8 * unsigned_of(config_.global_sram_bytes);
    return operand;
  }

  const Case& test_;
  const ArrayConfig& config_;
  std::int64_t row_count_ = 1;
  std::uint64_t all_taps_ = 0;
  std::uint64_t bus_ = 0;
};

// Stalls by cause are what a memory costs, and more of it never costs anything, for `cycles_of(case, array)`.
template <typename CyclesOf>
void expect_that_faster_memory_costs_nothing(RandomCases& cases, const Case& test, const ArrayConfig& config,
                                             const CyclesOf& cycles_of) {
  const CycleCounts cycles = cycles_of(test, config);
  ArrayConfig unlimited = config;
  unlimited.dram_bytes_per_cycle = unlimited.sram_read_bytes_per_cycle = unlimited.sram_write_bytes_per_cycle = {};
  unlimited.dram_latency_cycles = 0;
  const CycleCounts least = cycles_of(test, unlimited);
  EXPECT_EQ(least.dram_stalls + least.sram_stalls + least.quantizer_stalls, 0U);
  EXPECT_EQ(cycles.array - least.array, cycles.dram_stalls + cycles.sram_stalls);
  EXPECT_EQ(cycles.quantizer - least.quantizer, cycles.quantizer_stalls);
  EXPECT_EQ(cycles.fill_stalls, least.fill_stalls);
  EXPECT_EQ(cycles.scaler_stalls, least.scaler_stalls);
  ArrayConfig no_ports = config;
  no_ports.sram_read_bytes_per_cycle = no_ports.sram_write_bytes_per_cycle = {};
  EXPECT_EQ(cycles_of(test, no_ports).sram_stalls, 0U);

  ArrayConfig faster = config;
  for (ByteRate* rate :
       {&faster.dram_bytes_per_cycle, &faster.sram_read_bytes_per_cycle, &faster.sram_write_bytes_per_cycle}) {
    if (rate->limited()) rate->thousandths += cases.random.pick(0, 1) * cases.random.pick(1, 5000);
    if (cases.random.pick(0, 7) == 0) *rate = {};
  }
  faster.dram_latency_cycles = cases.random.pick(0, config.dram_latency_cycles);
  faster.row_feeder.fill_ports += cases.random.pick(0, 3);
  faster.column_feeder.fill_ports += cases.random.pick(0, 3);
  faster.quantizer_lanes += static_cast<int>(cases.random.pick(0, 2));
  const CycleCounts fewer = cycles_of(test, faster);
  EXPECT_LE(fewer.array, cycles.array);
  EXPECT_LE(fewer.quantizer, cycles.quantizer);
}

}  // namespace mlsim::sim
