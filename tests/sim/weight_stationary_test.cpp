// The closed form of the weight-stationary dataflow where it can be followed by hand, and against a walk over every
// fold and tile; stationary_machine_test compares it with the simulation.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <utility>
#include <vector>

#include "sim/output_stationary/analytic.h"
#include "sim/schedule.h"
#include "sim/weight_stationary/analytic.h"
#include "sim/weight_stationary/folds.h"
#include "sim/weight_stationary/operand_toggles.h"
#include "tests/sim/random_cases.h"
#include "tests/sim/random_pass.h"
#include "tests/sim/walked_memory.h"
#include "tests/support/repetitions.h"

namespace mlsim::sim::weight_stationary {
namespace {

using models::BaselineFormat;
using models::ConvolutionShape;
using models::Format;
using models::Pass;

const Format kE2m4 = models::parse_format("e2m4");

ArrayConfig stationary(ArrayConfig config = {}) {
  config.dataflow = DataflowKind::kWeightStationary;
  return config;
}

ConvolutionShape resnet20_layer() {
  return {.batch = 1,
          .in_channels = 16,
          .out_channels = 16,
          .in_size = {32, 32},
          .kernel = {3, 3},
          .stride = {1, 1},
          .padding = {1, 1},
          .groups = 1};
}

PassPrediction predict(Pass pass, const ConvolutionShape& shape, const char* name, const ArrayConfig& config) {
  const models::ScaledFormat format = models::parse_scaled_format(name);
  return weight_stationary::predict_pass(pass, shape, format.of(left_operand(pass), pass),
                                         format.of(right_operand(pass), pass), config, {});
}

// The worked example of docs/dataflow.md.
TEST(WeightStationary, WorkedExample) {
  // 16 groups of 9 taps, a fold each, for four tiles of 256 positions.
  const PassPrediction p = predict(Pass::kForward, resnet20_layer(), "e2m4", stationary());
  EXPECT_EQ(p.cycles.array, 144U + 64 * 256 + 15 + 1 + 6);
  EXPECT_EQ(p.cycles.fill_stalls, 144U);
  EXPECT_EQ(p.cycles.scaler_stalls, 0U);
  EXPECT_EQ(p.traffic.row_buffer_writes, 4U * 2304 * 7);
  EXPECT_EQ(p.traffic.column_buffer_writes, 1024U * 144 * 7);
  EXPECT_EQ(p.traffic.sram_sum_writes, 16384U * 15 * 32);
  EXPECT_EQ(p.traffic.sram_sum_reads, 16384U * 15 * 32);
  EXPECT_EQ(p.traffic.sram_result_writes, 0U + 16384 * 32);
  // One group of 144 taps: nine folds, eight of which leave integers.
  const PassPrediction merged = predict(Pass::kForward, resnet20_layer(), "e2m4/none", stationary());
  EXPECT_EQ(merged.cycles.array, 256U + 36 * 256 + 15 + 1 + 6);
  EXPECT_EQ(merged.traffic.sram_sum_writes, 16384U * 8 * 32);
  // 1024 taps are 64 folds of 144 positions, of which the last ends the group.
  const PassPrediction weight = predict(Pass::kBackwardWeight, resnet20_layer(), "e2m4", stationary());
  EXPECT_EQ(weight.cycles.array, 144U + 64 * 144 + 15 + 1 + 6);
}

TEST(WeightStationary, WorkedExamplesOfGroupsAndPorts) {
  ConvolutionShape pointwise = resnet20_layer();
  pointwise.kernel = {1, 1};
  pointwise.padding = {0, 0};
  // A tap a fold: a sixteenth of the array.
  EXPECT_EQ(predict(Pass::kForward, pointwise, "e2m4", stationary()).cycles.array, 16U + 64 * 256 + 22);
  // A group of 16 taps: the operand stays for all four tiles.
  const PassPrediction nvfp4 = predict(Pass::kForward, pointwise, "nvfp4", stationary());
  EXPECT_EQ(nvfp4.cycles.array, 256U + 4 * 256 + 22);
  EXPECT_EQ(nvfp4.traffic.row_buffer_writes, 256U * 4);
  EXPECT_EQ(nvfp4.traffic.sram_sum_writes, 0U);
  // A unit for all rows serves a position in 16 cycles.
  ArrayConfig shared = stationary();
  shared.elements_per_scaler = 256;
  const PassPrediction slow = predict(Pass::kForward, pointwise, "nvfp4", shared);
  EXPECT_EQ(slow.cycles.array, 256U + 4 * 4096 + 15 + 16 + 6);
  EXPECT_EQ(slow.cycles.scaler_stalls, 1024U * 15);
  // One position: each fold but the last of the group waits until its sums are back.
  const ConvolutionShape vector{.in_channels = 64, .out_channels = 16};
  const PassPrediction one = predict(Pass::kForward, vector, "e2m4/none", stationary());
  EXPECT_EQ(one.cycles.array, 16U + 3 * 18 + 1 + 22);
  EXPECT_EQ(one.cycles.scaler_stalls, 3U * 17);
  EXPECT_EQ(one.cycles.fill_stalls, 16U);
  // Ports of the partial sums: 256 positions × 16 rows of 4 bytes in and out, 16 bytes a cycle.
  ArrayConfig ports = stationary();
  ports.sram_write_bytes_per_cycle = {16000};
  const CycleCounts written = predict(Pass::kForward, resnet20_layer(), "e2m4", ports).cycles;
  EXPECT_EQ(written.array - written.sram_stalls, 144U + 64 * 256 + 22);
  EXPECT_GE(written.sram_stalls, 64U * 768);
}

// The same layer on elements of several multipliers, as docs/dataflow.md has it.
TEST(WeightStationary, WorkedExamplesOfSeveralMultipliers) {
  // Nine multipliers on 16 columns hold 144 taps: P = floor(4096 / 144) = 28, so 37 tiles, the last of 16 positions. A
  // group of 9 taps is one fold of one column.
  ArrayConfig dot = stationary();
  dot.taps_per_cycle = 9;
  const PassPrediction channels = predict(Pass::kForward, resnet20_layer(), "e2m4", dot);
  EXPECT_EQ(channels.cycles.array, 16U + 36 * 16 * 28 + 16 * 16 + 15 + 1 + 6);
  EXPECT_EQ(channels.cycles.scaler_stalls, 0U);
  EXPECT_EQ(channels.counts.integer_adds, 16384U * 16);
  EXPECT_EQ(channels.counts.tree_adds, 2262016U - 262144);
  // All 144 taps are one fold, which stays, and no partial sum is left behind; the fills take longer than the array.
  const PassPrediction whole = predict(Pass::kForward, resnet20_layer(), "e2m4/none", dot);
  EXPECT_EQ(whole.cycles.array, 252U + 35 * 252 + 144 + 16 + 22);
  EXPECT_EQ(whole.traffic.sram_sum_writes, 0U);
  EXPECT_EQ(whole.traffic.row_buffer_writes, 2304U * 7);
  // With 256 ports only the first fill is waited for: that of the rows.
  dot.column_feeder.fill_ports = 256;
  const PassPrediction wide = predict(Pass::kForward, resnet20_layer(), "e2m4/none", dot);
  EXPECT_EQ(wide.cycles.array, 144U + 1024 + 22);
  EXPECT_NEAR(utilization(wide.counts, wide.cycles, dot), 0.825, 0.0005);
  // A column of the array is filled at a time: here of two positions, 18 places.
  const ConvolutionShape two{.batch = 2, .in_channels = 144, .out_channels = 16};
  EXPECT_EQ(predict(Pass::kForward, two, "e2m4/none", dot).cycles.array, 144U + 2 + 22);
  dot.row_feeder.fill_ports = 256;
  EXPECT_EQ(predict(Pass::kForward, two, "e2m4/none", dot).cycles.array, 16U + 2 + 22);
}

// Of docs/dataflow.md: 96 channels, of which 16 stand side by side.
TEST(WeightStationary, WorkedExampleOfGroupsSideBySide) {
  const ConvolutionShape shape{
      .in_channels = 96, .out_channels = 96, .in_size = {16, 16}, .kernel = {3, 3}, .padding = {1, 1}, .groups = 96};
  const auto on = [&](Pass pass, DepthwiseMapping mapping, std::int64_t column_ports) {
    ArrayConfig config = stationary();
    config.depthwise = mapping;
    config.column_feeder.fill_ports = column_ports;
    return predict(pass, shape, "e2m4", config);
  };
  constexpr DepthwiseMapping kOff = DepthwiseMapping::kOff;
  constexpr DepthwiseMapping kRows = DepthwiseMapping::kRows;
  const PassPrediction off = on(Pass::kForward, kOff, 256);
  EXPECT_EQ(on(Pass::kForward, kOff, 16).cycles.array, 144U + 95 * 256 + 256 + 15 + 1 + 6);
  EXPECT_EQ(off.cycles.array, 9U + 95 * 256 + 256 + 15 + 1 + 6);
  EXPECT_EQ(on(Pass::kForward, kRows, 16).cycles.array, 144U + 95 * 144 + 16 + 15 + 1 + 6);
  EXPECT_EQ(on(Pass::kForward, kRows, 64).cycles.array, 36U + 95 * 36 + 16 + 15 + 1 + 6);
  const PassPrediction rows = on(Pass::kForward, kRows, 256);
  EXPECT_EQ(rows.cycles.array, 9U + 95 * 16 + 16 + 15 + 1 + 6);
  EXPECT_EQ(rows.traffic, off.traffic);
  EXPECT_EQ(rows.counts, off.counts);
  // A group of 256 taps is 16 folds of nine positions, of which all but the last wait for their sums.
  EXPECT_EQ(on(Pass::kBackwardWeight, kOff, 256).cycles.array, 16U + 96 * 15 * 18 + 95 * 16 + 9 + 15 + 1 + 6);
  EXPECT_EQ(on(Pass::kBackwardWeight, kRows, 16).cycles.array, 144U + 95 * 144 + 9 + 15 + 1 + 6);
  EXPECT_EQ(on(Pass::kBackwardWeight, kRows, 256).cycles.array, 16U + 6 * 15 * 18 + 5 * 16 + 9 + 15 + 1 + 6);
}

// Four folds of a tile do not stay for the next one: four groups of four rows have tiles of a quarter of the positions,
// for each of which the rows are filled anew.
TEST(WeightStationary, SmallerTilesFillRowsMoreOften) {
  const ConvolutionShape shape{
      .in_channels = 96, .out_channels = 96, .in_size = {16, 16}, .kernel = {3, 3}, .padding = {1, 1}, .groups = 24};
  ArrayConfig config = stationary();
  const Traffic off = predict(Pass::kForward, shape, "e2m4", config).traffic;
  config.depthwise = DepthwiseMapping::kRows;
  const Traffic rows = predict(Pass::kForward, shape, "e2m4", config).traffic;
  EXPECT_EQ(off.row_buffer_writes, 96U * 36 * 7);
  EXPECT_EQ(rows.row_buffer_writes, 4 * off.row_buffer_writes);
  EXPECT_EQ(rows.column_buffer_writes, off.column_buffer_writes);
  EXPECT_EQ(rows.sram_sum_reads, off.sram_sum_reads);
}

// Blocks of 4 channels end inside convolution groups of 6, which are cut in two ways.
TEST(WeightStationary, GroupsThatAreCutDifferentlyRunOneAfterTheOther) {
  const ConvolutionShape shape{
      .in_channels = 24, .out_channels = 8, .in_size = {5, 5}, .kernel = {3, 3}, .padding = {1, 1}, .groups = 4};
  const auto cycles = [&](const char* name, DepthwiseMapping mapping) {
    ArrayConfig config = stationary();
    config.depthwise = mapping;
    config.column_feeder.fill_ports = 256;
    return predict(Pass::kForward, shape, name, config).cycles.array;
  };
  EXPECT_EQ(cycles("mxfp4/k4", DepthwiseMapping::kRows), cycles("mxfp4/k4", DepthwiseMapping::kOff));
  EXPECT_LT(cycles("mxfp4/k3", DepthwiseMapping::kRows), cycles("mxfp4/k3", DepthwiseMapping::kOff));
}

TEST(WeightStationary, BaselinesNeedNoGroupScaler) {
  for (const Pass pass : models::kPasses) {
    const PassPrediction none = predict(pass, resnet20_layer(), "e2m4/none", stationary());
    const PassPrediction fp8 = weight_stationary::predict_pass(pass, resnet20_layer(), BaselineFormat::kFp8E4m3,
                                                               BaselineFormat::kFp8E4m3, stationary(), {});
    EXPECT_EQ(fp8.cycles.array + 1, none.cycles.array);
    EXPECT_EQ(fp8.counts.float_adds, 0U);
    EXPECT_EQ(fp8.traffic.row_buffer_reads * 7, none.traffic.row_buffer_reads * 8);
  }
}

TEST(WeightStationary, RefusesMixedKindsOfFormats) {
  EXPECT_THAT(
      [] {
        weight_stationary::predict_pass(Pass::kForward, resnet20_layer(), kE2m4, BaselineFormat::kInt8, stationary(),
                                        {});
      },
      testing::ThrowsMessage<std::runtime_error>(
          testing::HasSubstr("expected two block-scaled formats or two baseline")));
}

// Operations do not depend on the dataflow.
TEST(WeightStationary, CountsTheSameOperations) {
  RandomCases cases(3);
  for (int i = 0; i < 2000; ++i) {
    const ArrayConfig config = cases.random.any_array();
    const Case test = cases.next(i);
    EXPECT_EQ(
        weight_stationary::predict_pass(test.pass, test.shape, test.left, test.right, stationary(config), test.results)
            .counts,
        sim::output_stationary::predict_pass(test.pass, test.shape, test.left, test.right, config, test.results)
            .counts);
    if (testing::Test::HasFailure()) FAIL() << describe(i, test, config);
  }
}

// Extents of the schema's largest, within the 2^56 multiply-adds that a file may describe.
TEST(WeightStationary, LargestLayers) {
  constexpr std::int64_t kLargest = std::int64_t{1} << 20;
  const std::vector<ConvolutionShape> shapes{
      {.batch = kLargest, .in_channels = kLargest, .out_channels = 1 << 16},
      {.in_channels = kLargest, .out_channels = kLargest, .in_size = {8, 8}, .kernel = {3, 3}, .groups = kLargest},
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
      for (const ArrayConfig& config : {stationary(), stationary(largest), stationary(smallest)}) {
        for (const Pass pass : models::kPasses) {
          const PassPrediction p = predict(pass, shape, name, config);
          EXPECT_GT(p.cycles.array, 0U);
          EXPECT_LT(p.cycles.fill_stalls + p.cycles.scaler_stalls, p.cycles.array);
          EXPECT_LT(p.traffic.sram_sum_reads, std::uint64_t{1} << 62);
          ArrayConfig slow = config;
          slow.dram_bytes_per_cycle = {12800};
          slow.dram_latency_cycles = 100;
          const CycleCounts slower = predict(pass, shape, name, slow).cycles;
          EXPECT_EQ(slower.array, p.cycles.array + slower.dram_stalls);
          EXPECT_LE(utilization(p.counts, p.cycles, config), 1);
        }
      }
    }
  }
}

// A pass as docs/dataflow.md describes it, one fold after the other.
class FoldWalk {
 public:
  struct Fold {
    std::uint64_t fill = 0;
    std::uint64_t port_fill = 0;  // with the read port of the SRAM
    std::uint64_t compute = 0;
    std::uint64_t port_compute = 0;
  };
  struct Tile {
    std::uint64_t rows = 0;
    std::uint64_t columns = 0;
    std::uint64_t column_lanes = 0;
    WalkedPhase phase;
    std::uint64_t groups = 0;
    bool fills_rows = true;
    bool first_of_panel = true;
    bool in_first_panel = true;  // of its conv group
    std::vector<Fold> folds;
  };

  FoldWalk(const Case& test, const ArrayConfig& config)
      : test_(test),
        config_(config),
        word_(config.taps_per_cycle),
        at_once_(walked_groups_at_once(test, config)),
        positions_(config.column_feeder.buffer_elements / 2 / (config.columns * word_ * at_once_)) {
    const ConvolutionShape& shape = test.shape;
    rows_ = (test.pass == Pass::kBackwardData ? shape.in_channels : shape.out_channels) / shape.groups;
    if (const auto* left = std::get_if<models::ScaledFormat>(&test.left)) {
      const auto& right = std::get<models::ScaledFormat>(test.right);
      share = std::max(1, config.elements_per_scaler / config.columns);
      share = std::min<std::int64_t>({share, config.rows, rows_ * at_once_});
      apart_ = left->layout.tile[2] == 1 || left->layout.tile[3] == 1 || right.layout.tile[2] == 1 ||
               right.layout.tile[3] == 1;
    }
    const std::vector<WalkedPhase> phases = walked_phases(test.pass, shape);
    for (std::int64_t group = 0; group < shape.groups; group += at_once_) {
      runs_ = walked_runs(test, group);
      groups_ = std::min(at_once_, shape.groups - group);
      for (std::int64_t row = 0; row < rows_; row += config.rows) {
        for (const WalkedPhase& phase : phases) {
          panel(groups_ * std::min<std::int64_t>(config.rows, rows_ - row), phase, row == 0 && &phase == phases.data());
        }
      }
    }
  }

  std::vector<Tile> tiles;
  std::int64_t share = 0;
  std::uint64_t row_fills = 0;
  std::uint64_t row_scales = 0;
  std::uint64_t column_fills = 0;
  std::uint64_t column_scales = 0;
  std::uint64_t sum_bits_read = 0;
  std::uint64_t sum_bits_written = 0;
  std::uint64_t stalls = 0;

 private:
  void panel(std::int64_t live_rows, const WalkedPhase& phase, bool first_panel) {
    const std::vector<std::int64_t> groups = walked_groups(runs_, phase.taps, apart_);
    bool fills_rows = true;
    for (std::int64_t at = 0; at < phase.columns; at += positions_) {
      Tile& tile = tiles.emplace_back();
      tile.rows = unsigned_of(live_rows);
      tile.columns = unsigned_of(std::min(positions_, phase.columns - at));
      tile.column_lanes = unsigned_of(groups_) * tile.columns;
      tile.phase = phase;
      tile.groups = groups.size();
      tile.fills_rows = fills_rows;
      tile.first_of_panel = at == 0;
      tile.in_first_panel = first_panel;
      for (std::size_t g = 0; g < groups.size(); ++g) {
        for (std::int64_t tap = 0; tap < groups[g]; tap += config_.columns * word_) {
          fold(tile, g, tap, groups[g]);
        }
      }
      if (tile.folds.size() == 1) fills_rows = false;
    }
  }

  void fold(Tile& tile, std::size_t group, std::int64_t first_tap, std::int64_t group_taps) {
    const bool begins = first_tap == 0;
    const std::int64_t most = config_.columns * word_;
    const bool ends = first_tap + most >= group_taps;
    const std::uint64_t taps = unsigned_of(std::min(most, group_taps - first_tap));
    const bool left_in_rows = test_.pass == Pass::kBackwardWeight;
    const std::uint64_t scales = begins ? 1 : 0;
    // Words go in column by column, as many of their taps at once as there are ports.
    const auto filled = [&](std::uint64_t lanes, const FeederConfig& feeder) {
      const std::uint64_t at_once = std::min(lanes * unsigned_of(word_), unsigned_of(feeder.fill_ports));
      return (lanes * taps + at_once - 1) / at_once;
    };
    const auto passed = [&](std::uint64_t lanes, const Format& format) {
      const std::uint64_t bits =
          lanes * (taps * unsigned_of(models::element_bits(format)) + scales * stored_scale_bits(format));
      return WalkedMemory::time((bits + 7) / 8, config_.sram_read_bytes_per_cycle);
    };
    Fold fold;
    fold.fill = std::max(filled(tile.column_lanes, config_.column_feeder),
                         tile.fills_rows ? filled(tile.rows, config_.row_feeder) : 0);
    fold.port_fill = std::max({fold.fill, passed(tile.column_lanes, left_in_rows ? test_.right : test_.left),
                               tile.fills_rows ? passed(tile.rows, left_in_rows ? test_.left : test_.right) : 0});
    if (tile.fills_rows) row_fills += tile.rows * taps;
    if (tile.fills_rows) row_scales += tile.rows * scales;
    column_fills += tile.column_lanes * taps;
    column_scales += tile.column_lanes * scales;

    // A position a cycle, or as a group-scale unit serves them; the sums of the first one must be back.
    std::uint64_t computes = 0;
    for (std::uint64_t i = 0; i < tile.columns; ++i) computes += ends && share > 1 ? unsigned_of(share) : 1;
    if (!ends) computes = std::max(computes, unsigned_of(config_.columns) + 2);
    stalls += computes - tile.columns;
    fold.compute = computes;
    const std::uint64_t sums = tile.rows * tile.columns;
    std::uint64_t read = 0;
    std::uint64_t written = 0;
    if (!begins) read += sums * word_bits();
    if (!ends) written += sums * word_bits();
    if (ends && group > 0) read += sums * 32;
    const bool results = ends && group + 1 == tile.groups;
    if (ends) written += sums * 32;
    sum_bits_read += read;
    sum_bits_written += results ? 0 : written;
    fold.port_compute = std::max({computes, WalkedMemory::time(read / 8, config_.sram_read_bytes_per_cycle),
                                  WalkedMemory::time(written / 8, config_.sram_write_bytes_per_cycle)});
    tile.folds.push_back(fold);
  }

  std::uint64_t word_bits() const {
    const auto* left = std::get_if<models::ScaledFormat>(&test_.left);
    if (left == nullptr) return 32;
    const auto& right = std::get<models::ScaledFormat>(test_.right);
    std::int64_t inner = test_.shape.kernel[0] * test_.shape.kernel[1];
    if (test_.pass == Pass::kBackwardWeight) inner = test_.shape.out_size()[0] * test_.shape.out_size()[1];
    std::int64_t longest = 0;
    const models::Reduction reduction(test_.pass, test_.shape, left->layout, right.layout);
    longest = reduction.longest_run() * (apart_ ? 1 : inner);
    const int bits = full_accumulator_bits(left->element, right.element, longest);
    return bits <= 32 ? 32 : bits <= 64 ? 64 : 96;
  }

  const Case& test_;
  const ArrayConfig& config_;
  const std::int64_t word_;
  const std::int64_t at_once_;    // convolution groups side by side, at most
  const std::int64_t positions_;  // of a tile
  std::int64_t groups_ = 1;       // side by side, in the row of tiles at hand
  std::int64_t rows_ = 1;
  bool apart_ = false;
  std::vector<std::int64_t> runs_;
};

// The cycles of a walk, with or without the memory of docs/memory.md, one fold and sequence of bursts after the other.
class CycleWalk {
 public:
  CycleWalk(const Case& test, const ArrayConfig& config) : config_(config), walk_(test, config), memory_(test, config) {
    cycles.scaler_stalls = walk_.stalls;
    run(unsigned_of(models::element_count(test.shape.result_shape(test.pass))));
  }

  CycleCounts cycles;
  const FoldWalk& walk() const { return walk_; }

 private:
  void run(std::uint64_t results) {
    const std::vector<FoldWalk::Tile>& tiles = walk_.tiles;
    const std::uint64_t drain = unsigned_of(config_.columns) - 1 + unsigned_of(walk_.share) + 6;
    std::vector<std::uint64_t> done;  // when the results of a tile are in their banks
    const auto write_tile = [&](std::size_t t) { memory_.write(done[t], 4 * tiles[t].rows * tiles[t].columns); };
    std::uint64_t start = 0;         // of the last fold,
    std::uint64_t compute = 0;       // its cycles,
    std::uint64_t port_compute = 0;  // and with those of its ports
    std::uint64_t asked = 0;
    std::uint64_t channel_stalls = 0;
    std::uint64_t computed = 0;
    for (std::size_t t = 0; t < tiles.size(); ++t) {
      const FoldWalk::Tile& tile = tiles[t];
      std::uint64_t begin = memory_.fetch({tile.rows, tile.column_lanes, tile.phase, tile.groups, tile.fills_rows,
                                           tile.first_of_panel, tile.in_first_panel},
                                          asked, start);
      if (t >= 3) write_tile(t - 3);
      asked = begin;
      for (const FoldWalk::Fold& fold : tile.folds) {
        const std::uint64_t unhindered = start + std::max(compute, fold.fill);
        const std::uint64_t from_sram = start + std::max(port_compute, fold.port_fill);
        cycles.fill_stalls += unhindered - start - compute;
        start = std::max(start + port_compute, begin + fold.port_fill);
        cycles.sram_stalls += from_sram - unhindered;
        channel_stalls += start - from_sram;
        compute = fold.compute;
        port_compute = fold.port_compute;
        begin = start;
      }
      done.push_back(start + port_compute + drain);
      computed += tile.rows * tile.columns;
    }
    cycles.sram_stalls += port_compute - compute;
    for (std::size_t t = tiles.size() > 3 ? tiles.size() - 3 : 0; t < tiles.size(); ++t) write_tile(t);
    memory_.end(tiles.empty() ? 0 : done.back(), 4 * (results - computed), channel_stalls, cycles);
  }

  const ArrayConfig& config_;
  const FoldWalk walk_;
  WalkedMemory memory_;
};

PassPrediction prediction_of(const Case& test, const ArrayConfig& config) {
  return weight_stationary::predict_pass(test.pass, test.shape, test.left, test.right, config, test.exchange());
}

void compare_cycles(const CycleCounts& predicted, const CycleCounts& walked) {
  EXPECT_EQ(predicted.array, walked.array);
  EXPECT_EQ(predicted.fill_stalls, walked.fill_stalls);
  EXPECT_EQ(predicted.scaler_stalls, walked.scaler_stalls);
  EXPECT_EQ(predicted.dram_stalls, walked.dram_stalls);
  EXPECT_EQ(predicted.sram_stalls, walked.sram_stalls);
}

TEST(WeightStationary, AgreesWithAWalkOverEveryFold) {
  RandomCases cases(17);
  for (int i = 0; i < test::repetitions(8000); ++i) {
    const ArrayConfig config = stationary(cases.random.any_array());
    const Case test = cases.next(i);
    const CycleWalk cycle_walk(test, config);
    const FoldWalk& walk = cycle_walk.walk();
    const PassPrediction p = prediction_of(test, config);
    compare_cycles(p.cycles, cycle_walk.cycles);
    const bool left_in_rows = test.pass == Pass::kBackwardWeight;
    const Format& row_format = left_in_rows ? test.left : test.right;
    const Format& column_format = left_in_rows ? test.right : test.left;
    const auto row_bits = unsigned_of(models::element_bits(row_format));
    const auto column_bits = unsigned_of(models::element_bits(column_format));
    const Traffic& t = p.traffic;
    EXPECT_EQ(t.row_buffer_writes, walk.row_fills * row_bits);
    EXPECT_EQ(t.row_buffer_reads, walk.row_fills * row_bits);
    EXPECT_EQ(t.column_buffer_writes, walk.column_fills * column_bits);
    EXPECT_EQ(t.column_buffer_reads, walk.column_fills * column_bits);
    EXPECT_EQ(t.sram_row_reads, walk.row_fills * row_bits + walk.row_scales * stored_scale_bits(row_format));
    EXPECT_EQ(t.sram_column_reads,
              walk.column_fills * column_bits + walk.column_scales * stored_scale_bits(column_format));
    EXPECT_EQ(t.sram_sum_reads, walk.sum_bits_read);
    EXPECT_EQ(t.sram_sum_writes, walk.sum_bits_written);
    if (HasFailure()) FAIL() << describe(i, test, config);
  }
}

TEST(WeightStationary, MemoryAgreesWithAWalkOverEveryTile) {
  RandomCases cases(19);
  for (int i = 0; i < test::repetitions(8000); ++i) {
    const ArrayConfig config = stationary(cases.random.any_array_with_memory());
    Case test = cases.next(i);
    test.residence = cases.random.residence(test.results.size());
    compare_cycles(prediction_of(test, config).cycles, CycleWalk(test, config).cycles);
    if (HasFailure()) FAIL() << describe(i, test, config);
  }
}

TEST(WeightStationary, FasterMemoryNeverCostsCycles) {
  RandomCases cases(23);
  for (int i = 0; i < test::repetitions(4000); ++i) {
    const ArrayConfig config = stationary(cases.random.any_array_with_memory());
    const Case test = cases.next(i);
    expect_that_faster_memory_costs_nothing(
        cases, test, config, [](const Case& of, const ArrayConfig& array) { return prediction_of(of, array).cycles; });
    if (HasFailure()) FAIL() << describe(i, test, config);
  }
}

// Registers that take one code after the other, in the order in which the machine walks the schedule.
OperandToggles walk_registers(const RandomPass& pass, const ArrayConfig& config) {
  const Schedule schedule(pass.pass, pass.shape, pass.left.format.layout, pass.right.format.layout, config);
  const bool left_in_rows = pass.pass == Pass::kBackwardWeight;
  const std::vector<std::uint16_t> rows = models::gated_codes(left_in_rows ? pass.left : pass.right);
  const std::vector<std::uint16_t> columns = models::gated_codes(left_in_rows ? pass.right : pass.left);
  // Of each element, and of each column for each convolution group side by side, one for every multiplier: tap n of a
  // fold is that of number n % L in column n / L.
  const int multipliers = config.taps_per_cycle;
  std::vector<std::uint16_t> elements(static_cast<std::size_t>(config.rows * config.columns * multipliers));
  const int fold = config.columns * multipliers;
  std::vector<std::uint16_t> passing(static_cast<std::size_t>(config.rows * fold));
  OperandToggles toggles;
  const auto take = [](std::uint16_t code, std::uint16_t& reg, std::uint64_t& bits) {
    bits += static_cast<std::uint64_t>(std::popcount(static_cast<unsigned>(code ^ reg)));
    reg = code;
  };
  for (StepWalk steps(schedule); !steps.done(); steps.advance()) {
    const Step& step = steps.step();
    const std::vector<Tap>& taps = schedule.phases()[step.phase].taps;
    const bool apart = schedule.reduction().taps_apart();
    const auto inner = static_cast<std::int64_t>(taps.size());
    for (std::int64_t t = 0; t < step.taps; ++t) {
      const std::int64_t place = step.first_tap + t;
      const std::int64_t outer = step.first_group.begin + (apart ? place : place / inner);
      const Tap& tap = taps[static_cast<std::size_t>(apart ? step.first_group.tap : place % inner)];
      for (int row = 0; step.fills_rows && row < step.live_rows; ++row) {
        const Lane lane = schedule.row_lane(step, row);
        const std::int64_t element = lane.element + outer * schedule.row_outer_elements() + tap.row;
        take(rows[static_cast<std::size_t>(element)], elements[static_cast<std::size_t>(row * fold + t)],
             toggles.row_bits);
      }
      for (int at = 0; at < step.column_lanes(); ++at) {
        const Lane lane = schedule.column_lane(step, at);
        const std::int64_t y = lane.y + tap.y;
        const std::int64_t x = lane.x + tap.x;
        if (y < 0 || y >= schedule.plane()[0] || x < 0 || x >= schedule.plane()[1]) continue;
        const std::int64_t element = lane.element + outer * schedule.column_outer_elements() + tap.column;
        take(columns[static_cast<std::size_t>(element)],
             passing[static_cast<std::size_t>(at / step.live_columns * fold + t)], toggles.column_bits);
      }
    }
  }
  return toggles;
}

TEST(WeightStationary, TogglesOfRandomPassesOnRandomArrays) {
  for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
    const bool blocks = seed % 3 > 0;
    const bool grouped = seed > 600;
    RandomPasses random(seed, grouped);
    const RandomPass pass = blocks ? random.next_of_blocks() : random.next();
    SCOPED_TRACE("RandomPasses(" + std::to_string(seed) + (grouped ? ", true)." : ").") +
                 (blocks ? "next_of_blocks" : "next") + "(): " + pass.describe());
    ArrayConfig config = stationary();
    config.rows = random.pick(1, 20);
    config.columns = random.pick(1, 20);
    if (seed % 2 == 0) config.taps_per_cycle = random.pick(2, 40);
    if (grouped) config.depthwise = DepthwiseMapping::kRows;
    config.column_feeder.buffer_elements =
        std::int64_t{2} * config.columns * config.taps_per_cycle * random.pick(1, 40);
    EXPECT_EQ(weight_stationary::count_operand_toggles(pass.pass, pass.shape, pass.left, pass.right, config),
              walk_registers(pass, config));
    if (HasFailure()) break;
  }
}

// One row and two columns, followed by hand: a kernel of two taps stays, four positions pass by.
TEST(WeightStationary, TogglesOfOneRowByHand) {
  const models::ScaledFormat format = models::parse_scaled_format("e0m3/g0m0/none");
  const ConvolutionShape shape{.batch = 1,
                               .in_channels = 1,
                               .out_channels = 1,
                               .in_size = {1, 3},
                               .kernel = {1, 2},
                               .stride = {1, 1},
                               .padding = {0, 1},
                               .groups = 1};
  const models::ScaledTensor activation{format, {1, 1, 1, 3}, 1, {{}}, {0b0111, 0b1001, 0b0000}};
  const models::ScaledTensor weight{format, {1, 1, 1, 2}, 1, {{}}, {0b0001, 0b0011}};
  ArrayConfig config = stationary();
  config.rows = 1;
  config.columns = 2;
  // Weights are loaded once: 1 and 2 bits. The first column takes 0111 1001 0000 behind a padding, the second the same
  // before one: 3 + 3 + 2 each.
  EXPECT_EQ(weight_stationary::count_operand_toggles(Pass::kForward, shape, activation, weight, config),
            (OperandToggles{1 + 2, 16}));
}

}  // namespace
}  // namespace mlsim::sim::weight_stationary
