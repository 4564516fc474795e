#include "evaluation/pass_figures.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "evaluation/evaluation.h"
#include "tests/support/laws.h"
#include "tests/support/run_layers.h"

namespace mlsim::evaluation {
namespace {

using test::kLayer;
using test::kShape;
using test::run_layers;

sim::CycleCounts cycles(std::uint64_t array, std::uint64_t quantizer) {
  sim::CycleCounts counts;
  counts.array = array;
  counts.quantizer = quantizer;
  return counts;
}

TEST(CycleShares, AddUpToAllCycles) {
  sim::CycleCounts counts = cycles(800, 200);
  counts.fill_stalls = 100;
  counts.scaler_stalls = 50;
  counts.dram_stalls = 200;
  counts.sram_stalls = 30;
  counts.quantizer_stalls = 120;
  const CycleShares shares = cycle_shares(counts, {}).value();
  EXPECT_DOUBLE_EQ(shares.compute, 0.42);
  EXPECT_DOUBLE_EQ(shares.fill, 0.1);
  EXPECT_DOUBLE_EQ(shares.scaler, 0.05);
  EXPECT_DOUBLE_EQ(shares.dram, 0.32);
  EXPECT_DOUBLE_EQ(shares.sram, 0.03);
  EXPECT_DOUBLE_EQ(shares.quantizer, 0.08);
  EXPECT_EQ(bound_in_a_word(shares), "DRAM");
  sim::ArrayConfig narrow;
  narrow.sram_read_bytes_per_cycle.thousandths = 1000;
  EXPECT_DOUBLE_EQ(cycle_shares(counts, narrow)->sram, 0.15);
  EXPECT_EQ(cycle_shares({}, {}), std::nullopt);
  EXPECT_EQ(bound_in_a_word(std::nullopt), "-");
}

TEST(Bound, IsWhatTakesMostBesideTheArrayFromATenthOn) {
  const auto word = [](std::uint64_t sim::CycleCounts::*cause, std::uint64_t stalls) {
    sim::CycleCounts counts = cycles(1000, 0);
    counts.*cause = stalls;
    return bound_in_a_word(cycle_shares(counts, {}));
  };
  EXPECT_EQ(word(&sim::CycleCounts::fill_stalls, 99), "compute");
  EXPECT_EQ(word(&sim::CycleCounts::fill_stalls, 100), "fill");
  EXPECT_EQ(word(&sim::CycleCounts::scaler_stalls, 700), "scaler");
  EXPECT_EQ(word(&sim::CycleCounts::dram_stalls, 200), "DRAM");
  EXPECT_EQ(word(&sim::CycleCounts::sram_stalls, 200), "SRAM");
  EXPECT_EQ(bound_in_a_word(cycle_shares(cycles(850, 150), {})), "quantizer");
  EXPECT_EQ(bound_in_a_word(cycle_shares(cycles(950, 50), {})), "compute");
}

TEST(OwnBandwidth, IsThatOfTheArrayAndItsClock) {
  sim::ArrayConfig array;
  EXPECT_FALSE(own_bandwidth(array));
  array.dram_bytes_per_cycle.thousandths = 25600;
  array.clock_ghz = 0.5;
  EXPECT_DOUBLE_EQ(own_bandwidth(array)->gigabytes_per_second, 12.8);
  EXPECT_EQ(own_bandwidth(array)->name, "the machine's own DRAM");
  array.dram_technology = energy::DramTechnology::kLpddr4;
  EXPECT_EQ(own_bandwidth(array)->name, "the machine's own LPDDR4");
}

TEST(PassFigures, FollowFromCountsAndPrices) {
  const Evaluation evaluated({"r.json", run_layers(kLayer, Engine::kFunctional)}, test::laws());
  const std::vector<PassRecord>& records = evaluated.results().layers[0].passes;
  ASSERT_EQ(evaluated.passes().size(), 3U);
  double sum = 0;
  double shares = 0;
  for (std::size_t p = 0; p < 3; ++p) {
    const PassFigures& figures = evaluated.passes()[p];
    const PassRecord& record = records[p];
    EXPECT_EQ(figures.layer, 0U);
    EXPECT_EQ(figures.pass, p);
    const double bytes = static_cast<double>(record.traffic.dram_row_reads + record.traffic.dram_column_reads +
                                             record.traffic.dram_result_writes + record.traffic.dram_code_writes) /
                         8;
    const auto multiply_adds = static_cast<double>(record.multiply_adds);
    const double seconds = static_cast<double>(record.cycles.total()) * 1e-9;  // at 1 GHz
    EXPECT_EQ(figures.dram_bytes, bytes);
    EXPECT_DOUBLE_EQ(figures.operations_per_byte.value(), 2 * multiply_adds / bytes);
    EXPECT_DOUBLE_EQ(figures.tops.value(), 2e-12 * multiply_adds / seconds);
    EXPECT_DOUBLE_EQ(figures.needed_gigabytes_per_second.value(), 1e-9 * bytes / seconds);
    EXPECT_DOUBLE_EQ(figures.utilization.value(), record.utilization);
    EXPECT_DOUBLE_EQ(figures.stall_share.value(),
                     static_cast<double>(record.cycles.fill_stalls + record.cycles.scaler_stalls) /
                         static_cast<double>(record.cycles.array));
    EXPECT_EQ(figures.sqnr_db, record.sqnr_db);
    EXPECT_LE(figures.tops.value(), peak_tops(evaluated.results().array));
    sum += figures.all_pj;
    shares += figures.energy_share.value();
  }
  EXPECT_NEAR(sum, evaluated.machines().front().all_pj.value, 1e-9 * sum);
  EXPECT_NEAR(shares, 1, 1e-12);
}

// A machine that waits for its DRAM asks for what one asks for that never waits, not for what it gets.
TEST(PassFigures, NeedsOfDramAreThoseWithoutItsStalls) {
  sim::ArrayConfig array;
  const Evaluation unlimited({"r.json", run_layers(kShape, Engine::kAnalytic, "", array)}, test::laws());
  array.dram_bytes_per_cycle.thousandths = 500;
  const Evaluation slow({"r.json", run_layers(kShape, Engine::kAnalytic, "", array)}, test::laws());
  for (std::size_t p = 0; p < 3; ++p) {
    EXPECT_GT(slow.results().layers[0].passes[p].cycles.dram_stalls, 0U);
    const double needed = slow.passes()[p].needed_gigabytes_per_second.value();
    EXPECT_NEAR(needed, unlimited.passes()[p].needed_gigabytes_per_second.value(), 1e-9 * needed);
  }
  EXPECT_EQ(waiting_passes(slow.passes(), own_bandwidth(array).value()), 3U);
}

TEST(PassFigures, OfNoMultiplyAddsAreUndefined) {
  const char* const without_tap = R"([{ "name": "none", "type": "conv2d", "batch": 1, "in_channels": 1,
    "out_channels": 1, "in_size": [1, 1], "kernel": [1, 1], "padding": [5, 5], "stride": [3, 3] }])";
  const Evaluation evaluated({"r.json", run_layers(without_tap, Engine::kAnalytic)}, test::laws());
  const PassFigures& backward = evaluated.passes()[1];
  ASSERT_EQ(evaluated.results().layers[0].passes[1].cycles.array, 0U);
  EXPECT_FALSE(backward.utilization.has_value());
  EXPECT_FALSE(backward.stall_share.has_value());
  EXPECT_EQ(evaluated.passes()[0].utilization, 0);
  EXPECT_EQ(evaluated.passes()[0].tops, 0);
}

TEST(PeakTops, AreTwoForEachElementAndCycle) {
  sim::ArrayConfig array;
  array.rows = 8;
  array.columns = 32;
  array.clock_ghz = 0.5;
  EXPECT_DOUBLE_EQ(peak_tops(array), 0.256);
}

PassFigures figures(double share, double utilization, double stalls, std::optional<double> sqnr) {
  PassFigures figures;
  figures.energy_share = share;
  figures.utilization = utilization;
  figures.stall_share = stalls;
  figures.sqnr_db = sqnr;
  return figures;
}

TEST(HotSpots, AreTheExtremes) {
  constexpr double kExact = std::numeric_limits<double>::infinity();
  const double undefined = std::nan("");
  const HotSpots spots = hot_spots({figures(0.2, 0.9, 0, undefined), figures(0.5, 0.7, 0.1, kExact),
                                    figures(0.3, 0.7, 0.4, 30), figures(0, 0.8, 0.4, 20)});
  EXPECT_EQ(spots.most_energy, 1U);
  EXPECT_EQ(spots.least_utilization, 1U) << "the first of equal ones";
  EXPECT_EQ(spots.most_stalls, 2U);
  EXPECT_EQ(spots.largest_error, 3U);
}

TEST(HotSpots, AreNoneWhereNothingStandsOut) {
  constexpr double kExact = std::numeric_limits<double>::infinity();
  const HotSpots exact = hot_spots({figures(1, 1, 0, kExact)});
  EXPECT_FALSE(exact.most_stalls.has_value());
  EXPECT_FALSE(exact.largest_error.has_value());
  EXPECT_FALSE(hot_spots({figures(1, 1, 0, {})}).largest_error.has_value());
  EXPECT_FALSE(hot_spots({}).most_energy.has_value());
}

TEST(ExampleBandwidths, AreThoseOfTheirStandards) {
  ASSERT_EQ(example_bandwidths().size(), 2U);
  EXPECT_DOUBLE_EQ(example_bandwidths()[0].gigabytes_per_second, 3200e6 * 64 / 8 / 1e9);
  EXPECT_DOUBLE_EQ(example_bandwidths()[1].gigabytes_per_second, 2000e6 * 1024 / 8 / 1e9);
  for (const Bandwidth& bandwidth : example_bandwidths()) EXPECT_FALSE(bandwidth.source.empty());
}

TEST(WaitingPasses, NeedMoreThanAMemoryGives) {
  std::vector<PassFigures> passes(3);
  passes[0].needed_gigabytes_per_second = 25.6;
  passes[1].needed_gigabytes_per_second = 25.7;
  EXPECT_EQ(waiting_passes(passes, example_bandwidths()[0]), 1U);
  EXPECT_EQ(waiting_passes(passes, example_bandwidths()[1]), 0U);
}

}  // namespace
}  // namespace mlsim::evaluation
