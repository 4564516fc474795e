// The closed form where it can be followed by hand, and against a walk over every step; simulate_test compares it with
// the simulation.
#include "sim/output_stationary/analytic.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "sim/array_config.h"
#include "tests/sim/random_cases.h"
#include "tests/sim/walked_memory.h"
#include "tests/support/repetitions.h"

namespace mlsim::sim {
namespace {

using models::BaselineFormat;
using models::ConvolutionShape;
using models::Format;
using models::Pass;

const Format kE2m4 = models::parse_format("e2m4");

ConvolutionShape resnet20_layer(std::int64_t batch) {
  return {.batch = batch,
          .in_channels = 16,
          .out_channels = 16,
          .in_size = {32, 32},
          .kernel = {3, 3},
          .stride = {1, 1},
          .padding = {1, 1},
          .groups = 1};
}

// The worked example of docs/dataflow.md.
TEST(Analytic, WorkedExampleForward) {
  const PassPrediction p =
      output_stationary::predict_pass(Pass::kForward, resnet20_layer(1), kE2m4, kE2m4, {}, {kE2m4});
  EXPECT_EQ(p.cycles.array, 144U + 63 * 144 + 144 + 8 + 6);
  EXPECT_EQ(p.cycles.quantizer, 16384U / 16 + 4);
  EXPECT_EQ(p.cycles.fill_stalls, 144U);
  EXPECT_EQ(p.cycles.scaler_stalls, 0U);
  EXPECT_EQ(p.counts.mantissa_multiplies, 16U * 16 * 94 * 94);
  EXPECT_EQ(p.counts.conversions, 16384U * 16);
  EXPECT_EQ(p.counts.tensor_scale_multiplies, 16384U);
  EXPECT_NEAR(utilization(p.counts, p.cycles, {}), 0.9426, 0.0001);

  const Traffic& t = p.traffic;
  EXPECT_EQ(t.dram_row_reads, 2304U * 7 + 256 * 9);
  EXPECT_EQ(t.dram_column_reads, 16384U * 7 + 16 * 9);
  EXPECT_EQ(t.dram_result_writes, 16384U * 32);
  EXPECT_EQ(t.dram_code_writes, 16384U * 7 + 16 * 9);
  EXPECT_EQ(t.row_buffer_writes, 2304U * 7);
  EXPECT_EQ(t.row_buffer_reads, 64U * 2304 * 7);
  EXPECT_EQ(t.column_buffer_writes, 1024U * 144 * 7);
  EXPECT_EQ(t.column_buffer_reads, 1024U * 144 * 7);
  EXPECT_EQ(t.sram_row_reads, 2304U * 7 + 256 * 9);
  EXPECT_EQ(t.sram_column_reads, 1024U * 144 * 7 + 1024 * 16 * 9);
  EXPECT_EQ(t.sram_result_reads, 2U * 16384 * 32);
}

TEST(Analytic, WorkedExampleBackwardWeight) {
  // 1024 taps of one image are cut into four chunks of 256; 144 columns are nine tiles.
  const PassPrediction p =
      output_stationary::predict_pass(Pass::kBackwardWeight, resnet20_layer(1), kE2m4, kE2m4, {}, {kE2m4});
  EXPECT_EQ(p.cycles.array, 256U + 35 * 256 + 256 + 8 + 6);
  EXPECT_EQ(p.cycles.quantizer, 2304U / 16 + 4);
  EXPECT_EQ(p.traffic.row_buffer_writes, 9U * 16384 * 7);
}

TEST(Analytic, PointwiseLayerWaitsForGroupScalers) {
  ConvolutionShape shape = resnet20_layer(1);
  shape.kernel = {1, 1};
  shape.padding = {0, 0};
  const PassPrediction p = output_stationary::predict_pass(Pass::kForward, shape, kE2m4, kE2m4, {}, {kE2m4});
  // 16 groups of one tap a tile, each of them 8 cycles.
  EXPECT_EQ(p.cycles.scaler_stalls, 64U * 16 * 7);
  EXPECT_EQ(p.cycles.array, 16U + 64 * 128 + 8 + 6);
  ArrayConfig unshared;
  unshared.elements_per_scaler = 1;
  const PassPrediction fast = output_stationary::predict_pass(Pass::kForward, shape, kE2m4, kE2m4, unshared, {kE2m4});
  EXPECT_EQ(fast.cycles.scaler_stalls, 0U);
  EXPECT_EQ(fast.cycles.array, 16U + 64 * 16 + 1 + 6);
}

TEST(Analytic, WorkedExamplesOfBlocks) {
  ConvolutionShape shape = resnet20_layer(1);
  const auto array_cycles = [&](const char* name) {
    const Format format = models::parse_format(name);  // forward, weights are tiled like activations
    return output_stationary::predict_pass(Pass::kForward, shape, format, format, {}, {}).cycles.array;
  };
  EXPECT_EQ(array_cycles("mxfp4/k8"), 9374U);
  EXPECT_EQ(array_cycles("mxfp4/k4"), 144U + 64 * 288 + 8 + 6);
  shape.kernel = {1, 1};
  shape.padding = {0, 0};
  EXPECT_EQ(array_cycles("nvfp4"), 1054U);
}

// The worked example of docs/memory.md.
TEST(Analytic, WorkedExampleOfMemory) {
  ArrayConfig config;
  config.dram_bytes_per_cycle = {8000};
  config.dram_latency_cycles = 100;
  config.dram_burst_bytes = 64;
  const PassPrediction p =
      output_stationary::predict_pass(Pass::kForward, resnet20_layer(1), kE2m4, kE2m4, config, {kE2m4});
  EXPECT_EQ(p.cycles.array, 10440U + 4 * 128);
  EXPECT_EQ(p.cycles.dram_stalls, 10952U - 9374);
  EXPECT_EQ(p.cycles.fill_stalls, 144U);
  EXPECT_EQ(p.cycles.quantizer, 4U + 1800);
  EXPECT_EQ(p.cycles.quantizer_stalls, 1804U - 1028);
  const PassPrediction unlimited =
      output_stationary::predict_pass(Pass::kForward, resnet20_layer(1), kE2m4, kE2m4, {}, {kE2m4});
  EXPECT_EQ(p.traffic, unlimited.traffic);
  EXPECT_EQ(p.counts, unlimited.counts);
}

TEST(Analytic, WorkedExampleOfSramPorts) {
  ArrayConfig config;
  config.sram_read_bytes_per_cycle = {8000};
  config.sram_write_bytes_per_cycle = {16000};
  const CycleCounts cycles =
      output_stationary::predict_pass(Pass::kForward, resnet20_layer(1), kE2m4, kE2m4, config, {kE2m4}).cycles;
  EXPECT_EQ(cycles.array, 18933U);
  EXPECT_EQ(cycles.sram_stalls, 18933U - 9374);
  EXPECT_EQ(cycles.dram_stalls, 0U);
  EXPECT_EQ(cycles.quantizer, 8196U);
  EXPECT_EQ(cycles.quantizer_stalls, 7168U);
}

TEST(Analytic, RefusesTimeBeyondItsIntegers) {
  ArrayConfig config;
  config.rows = config.columns = config.elements_per_scaler = 1;
  config.dram_bytes_per_cycle = {1};
  const ConvolutionShape shape{.batch = 1 << 20, .in_channels = 1, .out_channels = 1 << 20, .in_size = {128, 128}};
  EXPECT_THAT(
      [&] { output_stationary::predict_pass(Pass::kForward, shape, kE2m4, kE2m4, config, {}); },
      testing::ThrowsMessage<std::runtime_error>("forward: takes 2^62 cycles or more with the memory of the array"));
}

TEST(Analytic, BaselinesNeedNoGroupScaler) {
  const Format none = models::parse_format("e2m4/none");
  for (const Pass pass : models::kPasses) {
    for (const std::int64_t stride : {1, 2}) {
      ConvolutionShape shape = resnet20_layer(3);
      shape.stride = {stride, stride};
      const PassPrediction mls = output_stationary::predict_pass(pass, shape, none, none, {}, {none});
      const PassPrediction fp8 = output_stationary::predict_pass(
          pass, shape, BaselineFormat::kFp8E4m3, BaselineFormat::kFp8E4m3, {}, {BaselineFormat::kFp8E4m3});
      EXPECT_EQ(fp8.cycles.array + 8, mls.cycles.array);
      EXPECT_EQ(fp8.cycles.quantizer, mls.cycles.quantizer);
      EXPECT_EQ(fp8.cycles.scaler_stalls, 0U);
      EXPECT_EQ(fp8.counts.mantissa_multiplies, shape.multiply_adds(pass));
      EXPECT_EQ(fp8.counts.float_adds, 0U);
      EXPECT_EQ(fp8.traffic.row_buffer_reads * 7, mls.traffic.row_buffer_reads * 8);
    }
  }
}

TEST(Analytic, UnquantizedResults) {
  ArrayConfig config;
  const Format fp32 = BaselineFormat::kFp32;
  EXPECT_EQ(
      output_stationary::predict_pass(Pass::kForward, resnet20_layer(1), fp32, fp32, config, {fp32}).cycles.quantizer,
      0U);
  EXPECT_EQ(
      output_stationary::predict_pass(Pass::kForward, resnet20_layer(1), kE2m4, kE2m4, config, {}).cycles.quantizer,
      0U);
  config.results = ResultForm::kBinary32;
  EXPECT_EQ(output_stationary::predict_pass(Pass::kForward, resnet20_layer(1), kE2m4, kE2m4, config, {kE2m4})
                .cycles.quantizer,
            0U);
}

// The layer of docs/memory.md, whose 65536 bytes of results fit in a third of the SRAM.
TEST(Analytic, CodesAloneLeaveTheChip) {
  ArrayConfig config;
  config.dram_bytes_per_cycle.thousandths = 8000;
  config.dram_latency_cycles = 100;
  config.dram_burst_bytes = 64;
  config.results = ResultForm::kCodes;
  const PassPrediction p =
      output_stationary::predict_pass(Pass::kForward, resnet20_layer(1), kE2m4, kE2m4, config, {kE2m4});
  EXPECT_EQ(p.traffic.dram_result_writes, 0U);
  EXPECT_EQ(p.traffic.dram_result_reads, 0U);
  EXPECT_EQ(p.traffic.dram_code_writes, 114832U);
  EXPECT_EQ(p.traffic.sram_result_writes, 32 * 16384U);
  EXPECT_EQ(p.traffic.sram_result_reads, 32 * 16384U);
  // Operands are there before each tile but the first, which begins at 420: 420 + 144 + 64 * 144 + 14.
  EXPECT_EQ(p.cycles.array, 9794U);
  EXPECT_EQ(p.cycles.dram_stalls, 420U);
  EXPECT_EQ(p.cycles.quantizer, 1804U);
}

TEST(Analytic, ResultsThatDoNotFitLeaveAndComeBack) {
  ArrayConfig config;
  config.global_sram_bytes = 3 * 65536 - 1;
  config.results = ResultForm::kCodes;
  const auto predict = [&] {
    return output_stationary::predict_pass(Pass::kForward, resnet20_layer(1), kE2m4, kE2m4, config, {kE2m4});
  };
  const PassPrediction p = predict();
  EXPECT_EQ(p.traffic.dram_result_writes, 32 * 16384U);
  EXPECT_EQ(p.traffic.dram_result_reads, 32 * 16384U);
  EXPECT_EQ(p.traffic.sram_result_writes, 2 * 32 * 16384U);
  EXPECT_EQ(p.traffic.sram_result_reads, 2 * 32 * 16384U);
  EXPECT_EQ(p.cycles.quantizer, 1028U);
  // With 8 bytes a cycle: 100 until they come, 8192 for the results, 1800 for the codes.
  config.dram_bytes_per_cycle.thousandths = 8000;
  config.dram_latency_cycles = 100;
  config.dram_burst_bytes = 64;
  EXPECT_EQ(predict().cycles.quantizer, 4 + 100 + 8192 + 1800U);
  config.global_sram_bytes = 3 * 65536;
  EXPECT_EQ(predict().cycles.quantizer, 1804U);
}

TEST(Analytic, WhatStaysDoesNotCrossTheChannel) {
  ArrayConfig config;
  config.keep_between_layers = true;
  Exchange exchange{kE2m4};
  exchange.residence = {false, true, {{false, true}}};
  const PassPrediction p =
      output_stationary::predict_pass(Pass::kForward, resnet20_layer(1), kE2m4, kE2m4, config, exchange);
  EXPECT_EQ(p.traffic.dram_row_reads, 18432U);
  EXPECT_EQ(p.traffic.dram_column_reads, 0U);
  EXPECT_EQ(p.traffic.sram_operand_writes, 18432U);
  EXPECT_EQ(p.traffic.dram_code_writes, 0U);
  EXPECT_EQ(p.traffic.sram_result_writes, 32 * 16384U + 114832U);
  EXPECT_EQ(p.traffic.dram_result_writes, 32 * 16384U);
  // Codes that stay pass a port of the SRAM: 14354 bytes at 4 a cycle.
  config.sram_write_bytes_per_cycle.thousandths = 4000;
  EXPECT_EQ(output_stationary::predict_pass(Pass::kForward, resnet20_layer(1), kE2m4, kE2m4, config, exchange)
                .cycles.quantizer,
            4 + 3589U);
}

// The codes of fp32 are its results.
TEST(Analytic, ResultsOfFp32AreTheirOwnCodes) {
  const Format fp32 = BaselineFormat::kFp32;
  ArrayConfig config;
  Exchange exchange{fp32};
  const auto writes = [&] {
    return output_stationary::predict_pass(Pass::kForward, resnet20_layer(1), fp32, fp32, config, exchange)
        .traffic.dram_result_writes;
  };
  EXPECT_EQ(writes(), 32 * 16384U);
  config.results = ResultForm::kCodes;
  EXPECT_EQ(writes(), 32 * 16384U);
  exchange.residence.codes = {{false, true}};
  EXPECT_EQ(writes(), 0U);
  config.results = ResultForm::kBoth;
  EXPECT_EQ(writes(), 32 * 16384U);
}

TEST(Analytic, RefusesMixedKindsOfFormats) {
  EXPECT_THAT(
      [] { output_stationary::predict_pass(Pass::kForward, resnet20_layer(1), kE2m4, BaselineFormat::kInt8, {}, {}); },
      testing::ThrowsMessage<std::runtime_error>(
          testing::HasSubstr("expected two block-scaled formats or two baseline")));
}

// A pass as docs/dataflow.md describes it, one tile, reduction group and step after the other.
class Walk {
 public:
  using Phase = WalkedPhase;

  Walk(const Case& test, const ArrayConfig& config)
      : config_(config),
        rows_((test.pass == Pass::kBackwardData ? test.shape.in_channels : test.shape.out_channels) /
              test.shape.groups),
        word_(config.taps_per_cycle),
        at_once_(walked_groups_at_once(test, config)),
        step_words_(std::min(config.row_feeder.buffer_elements / (2 * config.rows * word_),
                             config.column_feeder.buffer_elements / (2 * config.columns * at_once_ * word_))) {
    phases_ = walked_phases(test.pass, test.shape);
    if (const auto* left = std::get_if<models::ScaledFormat>(&test.left)) {
      share_ = most_shared();
      taps_apart_ = !left->layout.constant_over_planes() ||
                    !std::get<models::ScaledFormat>(test.right).layout.constant_over_planes();
    }
    for (std::int64_t conv_group = 0; conv_group < test.shape.groups; conv_group += at_once_) {
      runs_ = walked_runs(test, conv_group);
      groups_ = std::min(at_once_, test.shape.groups - conv_group);
      for (std::int64_t row = 0; row < rows_; row += config.rows) {
        for (const Phase& phase : phases_) {
          first_panel_ = row == 0 && &phase == phases_.data();
          run_phase(phase, groups_ * std::min<std::int64_t>(config.rows, rows_ - row));
        }
      }
    }
    if (steps_.empty()) return;
    cycles.array = steps_.front().fill + steps_.back().compute + unsigned_of(share_ + 6);
    cycles.fill_stalls = steps_.front().fill;
    for (std::size_t i = 0; i + 1 < steps_.size(); ++i) {
      cycles.array += std::max(steps_[i].compute, steps_[i + 1].fill);
      cycles.fill_stalls += std::max(steps_[i].compute, steps_[i + 1].fill) - steps_[i].compute;
    }
  }

  CycleCounts cycles;
  std::uint64_t results = 0;
  std::uint64_t ended_groups = 0;
  std::uint64_t row_fills = 0;  // elements into the feeder's buffer
  std::uint64_t row_scales = 0;
  std::uint64_t row_reads = 0;  // elements out of it
  std::uint64_t column_fills = 0;
  std::uint64_t column_scales = 0;
  std::uint64_t row_tile_phases = 0;

  struct Step {
    std::uint64_t fill = 0;
    std::uint64_t compute = 0;
    std::int64_t taps = 0;
    std::int64_t started_groups = 0;
    bool fills_rows = true;
  };
  struct Tile {
    Phase phase;
    std::int64_t rows = 0;
    std::int64_t columns = 0;
    std::int64_t column_lanes = 0;
    std::int64_t groups = 0;
    bool fills_rows = true;
    bool first_of_panel = true;
    bool in_first_panel = true;  // of its conv group
    std::size_t first_step = 0;
    std::size_t end_step = 0;
  };
  const std::vector<Tile>& tiles() const { return tiles_; }
  const std::vector<Step>& steps() const { return steps_; }
  std::int64_t share() const { return share_; }

 private:
  std::vector<std::int64_t> groups_of(const Phase& phase) const {
    return walked_groups(runs_, phase.taps, taps_apart_);
  }

  std::int64_t most_shared() const {
    std::int64_t most_columns = 0;
    for (const Phase& phase : phases_) most_columns = std::max(most_columns, phase.columns);
    std::vector<std::int64_t> live(static_cast<std::size_t>(config_.rows) * static_cast<std::size_t>(config_.columns));
    for (std::int64_t row = 0; row < std::min<std::int64_t>(config_.rows, rows_ * at_once_); ++row) {
      for (std::int64_t column = 0; column < std::min<std::int64_t>(config_.columns, most_columns); ++column) {
        ++live[static_cast<std::size_t>((row * config_.columns + column) / config_.elements_per_scaler)];
      }
    }
    return *std::max_element(live.begin(), live.end());
  }

  void run_phase(const Phase& phase, std::int64_t live_rows) {
    row_tile_phases += unsigned_of(groups_);
    bool fills_rows = true;
    for (std::int64_t column = 0; column < phase.columns; column += config_.columns) {
      const std::size_t first = steps_.size();
      const std::int64_t live_columns = std::min<std::int64_t>(config_.columns, phase.columns - column);
      tiles_.push_back({phase, live_rows, live_columns, live_columns * groups_,
                        static_cast<std::int64_t>(groups_of(phase).size()), fills_rows, column == 0, first_panel_,
                        first, first});
      run_tile(phase, live_rows, live_columns, fills_rows);
      tiles_.back().end_step = steps_.size();
      if (steps_.size() == first + 1) fills_rows = false;  // the row panel stays in its half
    }
  }

  void run_tile(const Phase& phase, std::int64_t live_rows, std::int64_t live_columns, bool fills_rows) {
    const std::int64_t column_lanes = live_columns * groups_;
    const std::vector<std::int64_t> groups = groups_of(phase);
    std::int64_t taps = 0;  // of the step
    std::int64_t words = 0;
    std::int64_t stalls = 0;
    std::int64_t started = 0;  // groups
    const auto end_step = [&] {
      if (taps == 0) return;
      const auto fill = [&](std::int64_t lanes, std::int64_t ports) {
        return unsigned_of((lanes * taps + ports - 1) / ports);
      };
      const std::uint64_t row_fill = fills_rows ? fill(live_rows, config_.row_feeder.fill_ports) : 0;
      steps_.push_back({std::max(row_fill, fill(column_lanes, config_.column_feeder.fill_ports)),
                        unsigned_of(words + stalls), taps, started, fills_rows});
      if (fills_rows) row_fills += unsigned_of(live_rows * taps);
      row_reads += unsigned_of(live_rows * taps);
      column_fills += unsigned_of(column_lanes * taps);
      taps = words = stalls = started = 0;
    };
    for (const std::int64_t group_taps : groups) {
      const std::int64_t group_words = (group_taps + word_ - 1) / word_;
      if (words + group_words > step_words_) end_step();
      for (std::int64_t tap = 0; tap < group_taps; ++tap) {
        // A word begins with each group.
        if (tap % word_ == 0) {
          if (words == step_words_) end_step();
          ++words;
        }
        if (tap == 0) ++started;
        ++taps;
      }
      const std::int64_t stall = std::max<std::int64_t>(share_ - group_words, 0);
      stalls += stall;
      if (group_words > step_words_) end_step();
      cycles.scaler_stalls += unsigned_of(stall);
    }
    end_step();
    results += unsigned_of(live_rows * live_columns);
    const auto count = static_cast<std::int64_t>(groups.size());
    ended_groups += unsigned_of(live_rows * live_columns * count);
    if (fills_rows) row_scales += unsigned_of(live_rows * count);
    column_scales += unsigned_of(column_lanes * count);
  }

  const ArrayConfig& config_;
  std::int64_t rows_;
  std::int64_t word_;        // taps of it
  std::int64_t at_once_;     // convolution groups side by side, at most
  std::int64_t groups_ = 1;  // and of the row of tiles at hand
  std::int64_t step_words_;
  std::int64_t share_ = 0;
  bool taps_apart_ = false;
  std::vector<std::int64_t> runs_;  // of the convolution group
  std::vector<Phase> phases_;
  std::vector<Step> steps_;
  std::vector<Tile> tiles_;
  bool first_panel_ = true;
};

// The memory of docs/memory.md, one tile, step and sequence of bursts after the other.
class MemoryWalk {
 public:
  MemoryWalk(const Case& test, const ArrayConfig& config)
      : config_(config), walk_(test, config), memory_(test, config), cycles(walk_.cycles) {
    const models::Shape shape = test.shape.result_shape(test.pass);
    run(4 * (unsigned_of(models::element_count(shape)) - walk_.results));
    if (config.results == ResultForm::kBinary32) return;
    for (std::size_t i = 0; i < test.results.size(); ++i) quantize(test.results[i], test.residence.path(i), shape);
  }

 private:
  std::uint64_t port_fill(const Walk::Tile& tile, const Walk::Step& step) const {
    const auto passes = [&](std::int64_t lanes, const WalkedMemory::Operand& operand) {
      return memory_.port_fill(unsigned_of(lanes), unsigned_of(step.taps), unsigned_of(step.started_groups), operand);
    };
    return std::max(
        {step.fill, step.fills_rows ? passes(tile.rows, memory_.rows) : 0, passes(tile.column_lanes, memory_.columns)});
  }

  void run(std::uint64_t untouched) {
    const std::vector<Walk::Tile>& tiles = walk_.tiles();
    std::uint64_t most = 0;  // results of a tile
    for (const Walk::Tile& tile : tiles) most = std::max(most, unsigned_of(tile.rows * tile.columns));
    const std::uint64_t pass_in = WalkedMemory::time(4 * most, config_.sram_write_bytes_per_cycle);
    const std::uint64_t drain = std::max(unsigned_of(walk_.share()), pass_in) + 6;
    std::uint64_t channel_stalls = 0;
    std::vector<std::uint64_t> done;  // when the results of a tile are in their banks
    const auto write_tile = [&](std::size_t t) {
      memory_.write(done[t], 4 * unsigned_of(tiles[t].rows * tiles[t].columns));
    };
    std::uint64_t start = 0;  // of the last step
    std::uint64_t compute = 0;
    std::uint64_t asked = 0;
    for (std::size_t t = 0; t < tiles.size(); ++t) {
      const Walk::Tile& tile = tiles[t];
      std::uint64_t begin =
          memory_.fetch({unsigned_of(tile.rows), unsigned_of(tile.column_lanes), tile.phase, unsigned_of(tile.groups),
                         tile.fills_rows, tile.first_of_panel, tile.in_first_panel},
                        asked, start);
      if (t >= 3) write_tile(t - 3);
      asked = begin;
      std::uint64_t computes = 0;
      for (std::size_t s = tile.first_step; s < tile.end_step; ++s) computes += walk_.steps()[s].compute;
      std::uint64_t wait = t > 0 && pass_in > computes ? pass_in - computes : 0;
      for (std::size_t s = tile.first_step; s < tile.end_step; ++s) {
        const Walk::Step& step = walk_.steps()[s];
        const std::uint64_t fill = port_fill(tile, step);
        const std::uint64_t unhindered = start + std::max(compute, step.fill);
        const std::uint64_t from_sram = start + std::max(compute + wait, fill);
        start = std::max(start + compute + wait, begin + fill);
        cycles.sram_stalls += from_sram - unhindered;
        channel_stalls += start - from_sram;
        compute = step.compute;
        begin = start;
        wait = 0;
      }
      done.push_back(start + compute + drain);
    }
    for (std::size_t t = tiles.size() > 3 ? tiles.size() - 3 : 0; t < tiles.size(); ++t) write_tile(t);
    if (!tiles.empty()) cycles.sram_stalls += drain - unsigned_of(walk_.share()) - 6;
    memory_.end(tiles.empty() ? 0 : done.back(), untouched, channel_stalls, cycles);
  }

  // Results that come back and codes that leave share the channel.
  void quantize(const Format& format, const CodePath& path, const models::Shape& shape) {
    const std::uint64_t results = unsigned_of(models::element_count(shape));
    const auto* scaled = std::get_if<models::ScaledFormat>(&format);
    const std::uint64_t scales = scaled == nullptr ? 0 : unsigned_of(scaled->layout.count(shape));
    const std::uint64_t bits = results * unsigned_of(models::element_bits(format)) + scales * stored_scale_bits(format);
    const std::uint64_t lanes = unsigned_of(config_.quantizer_lanes);
    const std::uint64_t batches = (results + lanes - 1) / lanes;
    std::uint64_t channel = path.to_dram ? memory_.sequence({(bits + 7) / 8}, ByteRate{}) : 0;
    if (memory_.results_come_back) {
      channel += unsigned_of(config_.dram_latency_cycles) +
                 memory_.sequence({4 * results}, config_.sram_write_bytes_per_cycle);
    }
    const auto passed = [](std::uint64_t bytes, const ByteRate& port) { return WalkedMemory::time(bytes, port); };
    const std::uint64_t keeping = path.stay ? passed((bits + 7) / 8, config_.sram_write_bytes_per_cycle) : 0;
    const std::uint64_t leaving =
        std::max({batches, passed(4 * results, config_.sram_read_bytes_per_cycle), channel, keeping});
    cycles.quantizer += leaving + 4;
    cycles.quantizer_stalls += leaving - batches;
  }

  const ArrayConfig& config_;
  const Walk walk_;
  WalkedMemory memory_;

 public:
  CycleCounts cycles;
};

void compare_results(const Case& test, const PassPrediction& p, const ArrayConfig& config) {
  const models::Shape shape = test.shape.result_shape(test.pass);
  const std::uint64_t results = unsigned_of(models::element_count(shape));
  std::uint64_t codes = 0;
  for (const Format& format : test.results) {
    codes += results * unsigned_of(models::element_bits(format));
    const auto* scaled = std::get_if<models::ScaledFormat>(&format);
    if (scaled != nullptr) codes += unsigned_of(scaled->layout.count(shape)) * stored_scale_bits(format);
  }
  const std::uint64_t lanes = unsigned_of(config.quantizer_lanes);
  EXPECT_EQ(p.cycles.quantizer, test.results.size() * ((results + lanes - 1) / lanes + 4));
  EXPECT_EQ(p.traffic.dram_code_writes, codes);
  EXPECT_EQ(p.traffic.dram_result_writes, results * 32);
  EXPECT_EQ(p.traffic.sram_result_reads, results * 32 * (1 + test.results.size()));
}

void compare_with_walk(const Case& test, const ArrayConfig& config) {
  const auto& [pass, shape, left, right, formats, residence] = test;
  const Walk walk(test, config);
  const PassPrediction p = output_stationary::predict_pass(pass, shape, left, right, config, formats);
  const bool scaled = std::holds_alternative<models::ScaledFormat>(left);
  EXPECT_EQ(p.cycles.array, walk.cycles.array);
  EXPECT_EQ(p.cycles.fill_stalls, walk.cycles.fill_stalls);
  EXPECT_EQ(p.cycles.scaler_stalls, walk.cycles.scaler_stalls);
  EXPECT_EQ(p.counts.float_adds, scaled ? walk.ended_groups : 0);
  EXPECT_EQ(p.counts.tensor_scale_multiplies, scaled ? walk.results : 0);
  const bool left_in_rows = pass == Pass::kBackwardWeight;
  const Format& row_format = left_in_rows ? left : right;
  const Format& column_format = left_in_rows ? right : left;
  const auto row_bits = unsigned_of(models::element_bits(row_format));
  const auto column_bits = unsigned_of(models::element_bits(column_format));
  const Traffic& t = p.traffic;
  EXPECT_EQ(t.row_buffer_writes, walk.row_fills * row_bits);
  EXPECT_EQ(t.row_buffer_reads, walk.row_reads * row_bits);
  EXPECT_EQ(t.column_buffer_writes, walk.column_fills * column_bits);
  EXPECT_EQ(t.column_buffer_reads, walk.column_fills * column_bits);
  EXPECT_EQ(t.sram_row_reads, walk.row_fills * row_bits + walk.row_scales * stored_scale_bits(row_format));
  EXPECT_EQ(t.sram_column_reads,
            walk.column_fills * column_bits + walk.column_scales * stored_scale_bits(column_format));
  EXPECT_EQ(t.sram_result_writes, walk.results * 32);
  compare_results(test, p, config);
  // An operand of 8 bits fits; of others, a conv group's share goes to each row tile and phase.
  const models::Shape columns = shape.shape_of(left_in_rows ? right_operand(pass) : left_operand(pass));
  const auto elements = unsigned_of(models::element_count(columns));
  if (elements > 8) {
    EXPECT_EQ(t.dram_column_reads * unsigned_of(shape.groups),
              walk.row_tile_phases * (elements * column_bits + scales_of_shares(column_format, columns, shape.groups) *
                                                                   stored_scale_bits(column_format)));
  }
}

TEST(Analytic, AgreesWithAWalkOverEveryStep) {
  RandomCases cases(7);
  for (int i = 0; i < test::repetitions(12000); ++i) {
    const ArrayConfig config = cases.random.any_array();
    const Case test = cases.next(i);
    compare_with_walk(test, config);
    if (HasFailure()) FAIL() << describe(i, test, config);
  }
}

CycleCounts cycles_of(const Case& test, const ArrayConfig& config) {
  return output_stationary::predict_pass(test.pass, test.shape, test.left, test.right, config, test.exchange()).cycles;
}

TEST(Analytic, MemoryAgreesWithAWalkOverEveryTile) {
  RandomCases cases(11);
  for (int i = 0; i < test::repetitions(12000); ++i) {
    const ArrayConfig config = cases.random.any_array_with_memory();
    Case test = cases.next(i);
    test.residence = cases.random.residence(test.results.size());
    const CycleCounts walked = MemoryWalk(test, config).cycles;
    const CycleCounts predicted = cycles_of(test, config);
    EXPECT_EQ(predicted.array, walked.array);
    EXPECT_EQ(predicted.fill_stalls, walked.fill_stalls);
    EXPECT_EQ(predicted.scaler_stalls, walked.scaler_stalls);
    EXPECT_EQ(predicted.dram_stalls, walked.dram_stalls);
    EXPECT_EQ(predicted.sram_stalls, walked.sram_stalls);
    EXPECT_EQ(predicted.quantizer, walked.quantizer);
    EXPECT_EQ(predicted.quantizer_stalls, walked.quantizer_stalls);
    if (HasFailure()) FAIL() << describe(i, test, config);
  }
}

TEST(Analytic, FasterMemoryNeverCostsCycles) {
  RandomCases cases(13);
  for (int i = 0; i < 4000; ++i) {
    const ArrayConfig config = cases.random.any_array_with_memory();
    const Case test = cases.next(i);
    expect_that_faster_memory_costs_nothing(cases, test, config, cycles_of);
    if (HasFailure()) FAIL() << describe(i, test, config);
  }
}

// Where every tile is one step however many multipliers there are: nothing is filled more often, and all is computed in
// fewer cycles.
TEST(Analytic, MoreMultipliersNeverCostCyclesWhereTilesAreOneStep) {
  RandomCases cases(17);
  for (int i = 0; i < 3000; ++i) {
    ArrayConfig config = i % 2 == 0 ? cases.random.array() : cases.random.array_with_memory();
    config.row_feeder.buffer_elements = config.column_feeder.buffer_elements = std::int64_t{1} << 26;
    const Case test = cases.next(i);
    CycleCounts before = cycles_of(test, config);
    for (int multipliers = 2; multipliers <= 64; multipliers += static_cast<int>(cases.random.pick(1, 9))) {
      config.taps_per_cycle = multipliers;
      const CycleCounts cycles = cycles_of(test, config);
      EXPECT_LE(cycles.array, before.array) << multipliers;
      EXPECT_EQ(cycles.quantizer, before.quantizer);
      before = cycles;
    }
    if (HasFailure()) FAIL() << describe(i, test, config);
  }
}

// The worked example of docs/dataflow.md.
TEST(Analytic, WorkedExampleOfSeveralMultipliers) {
  ArrayConfig config;
  config.taps_per_cycle = 9;
  const PassPrediction waiting =
      output_stationary::predict_pass(Pass::kForward, resnet20_layer(1), kE2m4, kE2m4, config, {});
  // 16 groups of a word each, which wait 7 cycles; 28 words fit in half a buffer.
  EXPECT_EQ(waiting.cycles.array, 144U + 63 * 144 + 128 + 8 + 6);
  EXPECT_EQ(waiting.cycles.scaler_stalls, 64U * 16 * 7);
  EXPECT_EQ(waiting.cycles.fill_stalls, 144U + 63 * 16);
  config.elements_per_scaler = 1;
  config.row_feeder.fill_ports = config.column_feeder.fill_ports = 144;
  const PassPrediction p = output_stationary::predict_pass(Pass::kForward, resnet20_layer(1), kE2m4, kE2m4, config, {});
  EXPECT_EQ(p.cycles.array, 16U + 63 * 16 + 16 + 1 + 6);
  EXPECT_NEAR(utilization(p.counts, p.cycles, config), 0.9377, 0.0001);
  // Every group of every result has a tap that is no padding.
  EXPECT_EQ(p.counts.integer_adds, 16384U * 16);
  EXPECT_EQ(p.counts.tree_adds, 16U * 16 * 94 * 94 - 16384 * 16);
  // Backward weight: 1024 output positions are four steps of 28 words and one of two, in which the next tile has to
  // fill.
  const PassPrediction weight =
      output_stationary::predict_pass(Pass::kBackwardWeight, resnet20_layer(1), kE2m4, kE2m4, config, {});
  EXPECT_EQ(weight.cycles.array, 28U + 9 * 4 * 28 + 8 * 28 + 2 + 1 + 6);
}

// The worked example of docs/dataflow.md.
TEST(Analytic, WorkedExampleOfGroupsSideBySide) {
  const ConvolutionShape shape{
      .in_channels = 96, .out_channels = 96, .in_size = {16, 16}, .kernel = {3, 3}, .padding = {1, 1}, .groups = 96};
  const auto predict = [&](Pass pass, DepthwiseMapping mapping, std::int64_t column_ports) {
    ArrayConfig config;
    config.depthwise = mapping;
    config.column_feeder.fill_ports = column_ports;
    return output_stationary::predict_pass(pass, shape, kE2m4, kE2m4, config, {kE2m4});
  };
  constexpr DepthwiseMapping kRows = DepthwiseMapping::kRows;
  const PassPrediction off = predict(Pass::kForward, DepthwiseMapping::kOff, 16);
  EXPECT_EQ(off.cycles.array, 9U + 1535 * 9 + 9 + 8 + 6);
  EXPECT_EQ(predict(Pass::kForward, DepthwiseMapping::kOff, 256).cycles.array, 1U + 1535 * 9 + 9 + 8 + 6);
  EXPECT_EQ(predict(Pass::kForward, kRows, 16).cycles.array, 144U + 95 * 144 + 9 + 8 + 6);
  EXPECT_EQ(predict(Pass::kForward, kRows, 64).cycles.array, 36U + 95 * 36 + 9 + 8 + 6);
  const PassPrediction rows = predict(Pass::kForward, kRows, 256);
  EXPECT_EQ(rows.cycles.array, 9U + 95 * 9 + 9 + 8 + 6);
  EXPECT_EQ(rows.traffic, off.traffic);
  EXPECT_EQ(rows.counts, off.counts);

  const PassPrediction weight = predict(Pass::kBackwardWeight, DepthwiseMapping::kOff, 256);
  EXPECT_EQ(weight.cycles.array, 16U + 95 * 256 + 256 + 8 + 6);
  EXPECT_EQ(predict(Pass::kBackwardWeight, kRows, 16).cycles.array, 144U + 95 * 144 + 16 + 8 + 6);
  EXPECT_EQ(predict(Pass::kBackwardWeight, kRows, 256).cycles.array, 16U + 95 * 16 + 16 + 8 + 6);
}

// Blocks of 4 channels end inside convolution groups of 6, which are cut in two ways.
TEST(Analytic, GroupsThatAreCutDifferentlyRunOneAfterTheOther) {
  const ConvolutionShape shape{
      .in_channels = 24, .out_channels = 8, .in_size = {5, 5}, .kernel = {3, 3}, .padding = {1, 1}, .groups = 4};
  ArrayConfig config;
  const auto cycles = [&](const char* name, DepthwiseMapping mapping) {
    config.depthwise = mapping;
    config.column_feeder.fill_ports = 256;
    const Format format = models::parse_format(name);
    return output_stationary::predict_pass(Pass::kForward, shape, format, format, config, {}).cycles.array;
  };
  EXPECT_EQ(cycles("mxfp4/k4", DepthwiseMapping::kRows), cycles("mxfp4/k4", DepthwiseMapping::kOff));
  EXPECT_LT(cycles("mxfp4/k3", DepthwiseMapping::kRows), cycles("mxfp4/k3", DepthwiseMapping::kOff));
}

// As many phases as inputs, each of one result and one tap.
TEST(Analytic, AsManyPhasesAsInputs) {
  for (const std::int64_t side : {std::int64_t{8192}, std::int64_t{1} << 20}) {
    const ConvolutionShape shape{.in_size = {side, side}, .kernel = {side, side}, .stride = {side, side}};
    const std::uint64_t inputs = unsigned_of(side * side);
    const PassPrediction data = output_stationary::predict_pass(Pass::kBackwardData, shape, kE2m4, kE2m4, {}, {kE2m4});
    EXPECT_EQ(data.cycles.array, 1 + (inputs - 1) + 1 + 1 + 6);
    EXPECT_EQ(data.cycles.fill_stalls, 1U);
    EXPECT_EQ(data.counts.mantissa_multiplies, inputs);
    EXPECT_EQ(data.counts.conversions, inputs);
    EXPECT_EQ(data.traffic.row_buffer_writes, inputs * 7);
    // One result of so many taps, in steps of 256 that fill in 16 cycles.
    const PassPrediction forward = output_stationary::predict_pass(Pass::kForward, shape, kE2m4, kE2m4, {}, {kE2m4});
    EXPECT_EQ(forward.cycles.array, 16 + inputs + 1 + 6);
    EXPECT_EQ(forward.counts.conversions, 1U);
    // Each weight is a column of its own: tiles of 16.
    const PassPrediction weight =
        output_stationary::predict_pass(Pass::kBackwardWeight, shape, kE2m4, kE2m4, {}, {kE2m4});
    EXPECT_EQ(weight.cycles.scaler_stalls, inputs / 16 * 7);
    EXPECT_EQ(weight.cycles.array, 1 + inputs / 16 * 8 + 8 + 6);
  }
}

TEST(Analytic, LargestArray) {
  ArrayConfig config;
  config.rows = config.columns = 1024;
  for (int i = 0; i < 1000; ++i) {
    const ConvolutionShape shape = resnet20_layer(1 + i);
    for (const Pass pass : models::kPasses) {
      config.elements_per_scaler = 1;
      EXPECT_EQ(output_stationary::predict_pass(pass, shape, kE2m4, kE2m4, config, {kE2m4}).cycles.scaler_stalls, 0U);
      // One unit for all: 16 rows of 1024 columns wait for it, or of 144.
      config.elements_per_scaler = 1024 * 1024;
      const std::uint64_t groups = pass == Pass::kBackwardWeight ? unsigned_of(1 + i) : unsigned_of(1 + i) * 16;
      const std::uint64_t wait = pass == Pass::kBackwardWeight ? 16U * 144 - 1024 : 16U * 1024 - 9;
      EXPECT_EQ(output_stationary::predict_pass(pass, shape, kE2m4, kE2m4, config, {kE2m4}).cycles.scaler_stalls,
                groups * wait);
    }
  }
}

// Extents of the schema's largest, within the 2^56 multiply-adds that a file may describe.
TEST(Analytic, LargestLayers) {
  constexpr std::int64_t kLargest = std::int64_t{1} << 20;
  const std::vector<ConvolutionShape> shapes{
      {.batch = kLargest, .in_channels = kLargest, .out_channels = 1 << 16},
      {.in_channels = kLargest, .out_channels = kLargest, .in_size = {8, 8}, .kernel = {3, 3}, .groups = kLargest},
      {.in_channels = 1 << 8,
       .out_channels = 1 << 8,
       .in_size = {kLargest, 1},
       .kernel = {kLargest, 1},
       .stride = {kLargest - 7, 1}},
      {.in_size = {1, kLargest}, .kernel = {1, kLargest}, .stride = {1, kLargest}, .padding = {0, kLargest}},
      {.in_size = {kLargest, 256}, .kernel = {kLargest - 1, 251}, .stride = {kLargest - 2, 250}, .padding = {1, 2}},
      {.out_channels = 1 << 16, .in_size = {kLargest, kLargest}, .stride = {kLargest, kLargest}}};
  ArrayConfig largest;
  largest.rows = largest.columns = 1024;
  largest.row_feeder = largest.column_feeder = {std::int64_t{1} << 26, 1};
  ArrayConfig smallest;
  smallest.rows = smallest.columns = smallest.elements_per_scaler = 1;
  smallest.row_feeder = smallest.column_feeder = {2, 1};
  for (const char* name : {"e2m4", "mxfp4/k32", "nvfp4/b16", "nvfp4/t3x5x1x*"}) {
    for (const ConvolutionShape& shape : shapes) {
      for (const ArrayConfig& config : {ArrayConfig{}, largest, smallest}) {
        for (const Pass pass : models::kPasses) {
          const models::ScaledFormat format = models::parse_scaled_format(name);
          const Format left = format.of(left_operand(pass), pass);
          const Format right = format.of(right_operand(pass), pass);
          const PassPrediction p =
              output_stationary::predict_pass(pass, shape, left, right, config, models::next_formats(format, pass));
          EXPECT_GT(p.cycles.array, 0U);
          EXPECT_LT(p.cycles.fill_stalls + p.cycles.scaler_stalls, p.cycles.array);
          ArrayConfig slow = config;
          slow.dram_bytes_per_cycle = {12800};
          slow.dram_latency_cycles = 100;
          const CycleCounts slower = output_stationary::predict_pass(pass, shape, left, right, slow, {}).cycles;
          EXPECT_GT(slower.dram_stalls, 0U);
          EXPECT_EQ(slower.array, p.cycles.array + slower.dram_stalls);
          EXPECT_LE(utilization(p.counts, p.cycles, config), 1);
        }
      }
    }
  }
}

// A matrix product of 8192 rows, inputs and outputs on the largest array, followed by hand.
TEST(Analytic, BlocksOfALargeLinearLayer) {
  constexpr std::int64_t kSide = 8192;
  const ConvolutionShape shape{.batch = kSide, .in_channels = kSide, .out_channels = kSide};
  ArrayConfig config;
  config.rows = config.columns = 1024;
  config.elements_per_scaler = 16;
  config.row_feeder = config.column_feeder = {std::int64_t{2} * 1024 * 256, 1024};
  for (const Pass pass : models::kPasses) {
    const models::ScaledFormat mxfp4 = models::parse_scaled_format("mxfp4");
    const Format left = mxfp4.of(left_operand(pass), pass);
    const Format right = mxfp4.of(right_operand(pass), pass);
    const PassPrediction p =
        output_stationary::predict_pass(pass, shape, left, right, config, models::next_formats(mxfp4, pass));
    // Steps of 8 groups of 32 taps, none of which waits for 16 elements of a unit: 64 tiles of 32 steps.
    EXPECT_EQ(p.cycles.array, 256U + 64 * 32 * 256 + 16 + 6);
    EXPECT_EQ(p.cycles.scaler_stalls, 0U);
    EXPECT_EQ(p.counts.float_adds, unsigned_of(kSide * kSide * (kSide / 32)));
    EXPECT_EQ(p.traffic.sram_row_reads, p.traffic.sram_column_reads);
    EXPECT_EQ(p.traffic.sram_row_reads, unsigned_of(8 * kSide * (kSide * 4 + kSide / 32 * 8)));
    // Quantized once for each of the two passes that take them along different dimensions.
    EXPECT_EQ(p.cycles.quantizer, 2U * (unsigned_of(kSide * kSide / 16) + 4));
    EXPECT_EQ(p.traffic.dram_code_writes, 2U * unsigned_of(kSide * kSide * 4 + kSide * kSide / 32 * 8));
  }
  // Blocks of 16 wait for the 32 elements of a unit.
  config.elements_per_scaler = 32;
  const Format nvfp4 = models::parse_format("nvfp4");
  const PassPrediction p = output_stationary::predict_pass(Pass::kForward, shape, nvfp4, nvfp4, config, {});
  EXPECT_EQ(p.cycles.scaler_stalls, 64U * unsigned_of(kSide / 16) * 16);
  EXPECT_EQ(p.cycles.array, 256U + 64 * unsigned_of(kSide / 16) * 32 + 32 + 6);
}

}  // namespace
}  // namespace mlsim::sim
