#include "evaluation/pricing.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>

#include "evaluation/simulate.h"
#include "tests/support/laws.h"
#include "tests/support/run_layers.h"
#include "tests/support/temporary_folder.h"
#include "workloads/workload.h"

namespace mlsim::evaluation {
namespace {

using energy::Operation;
using models::Pass;
using test::laws;

// The layer of docs/energy-by-hand-nvfp4.md: 1×1, 40 to 16 channels of 4×4, 16 images.
Results results(const std::string& formats, const sim::ArrayConfig& array = {}) {
  const std::string workload = R"({
    "schema": "mlsim.workload/1", "name": "one layer", "seed": 1, "format": )" +
                               formats + R"(,
    "layers": [{ "name": "conv", "type": "conv2d", "batch": 16, "in_channels": 40, "out_channels": 16,
                 "in_size": [4, 4], "kernel": [1, 1] }]
  })";
  SimulationOptions options;
  options.engine = Engine::kAnalytic;
  options.array = array;
  return simulate(workloads::parse_workload(workload, "one layer", "."), options, [](const std::string&) {});
}

using ByPass = std::array<std::uint64_t, 3>;

ByPass counts_of(const Work& work, Operation operation) {
  ByPass counts{};
  for (std::size_t pass = 0; pass < counts.size(); ++pass) counts[pass] = work.layers[0][pass].own.counts[operation];
  return counts;
}

TEST(Pricing, CountsWhatBlocksOfNvfp4Do) {
  const Work work = work_of(results(R"("nvfp4")"));
  EXPECT_EQ(work.accumulator_bits, 13);
  EXPECT_EQ(counts_of(work, Operation::kMantissaMultiply), (ByPass{163840, 163840, 163840}));
  EXPECT_EQ(counts_of(work, Operation::kShiftAndAdd), (ByPass{12288, 10240, 10240}));
  EXPECT_EQ(counts_of(work, Operation::kTensorScale), (ByPass{4096, 10240, 640}));
  EXPECT_EQ(counts_of(work, Operation::kQuantize), (ByPass{8192, 20480, 1280}));
  EXPECT_EQ(counts_of(work, Operation::kGroupQuantize), (ByPass{512, 1408, 88}));
  EXPECT_EQ(counts_of(work, Operation::kRandomBits), (ByPass{0, 327680, 0}));
  // Both operands with their scales are read once.
  EXPECT_EQ(counts_of(work, Operation::kDramRead), (ByPass{47104 + 2944, 18432 + 2880, 18432 + 46080}));
  const Price price = evaluation::price(work, laws());
  EXPECT_NEAR(price.layers[0][0].energy.computing().value, 99559.4176, 1e-3);
  EXPECT_NEAR(price.layers[0][1].energy.computing().value, 184202.5040, 1e-3);
  EXPECT_NEAR(price.layers[0][2].energy.computing().value, 49226.4965, 1e-3);
}

// Only DRAM is priced in another way, on the machine and the baselines.
TEST(Pricing, DramIsThatOfTheArray) {
  Results run = results(R"("e2m4")");
  const Price any = price(work_of(run), laws());
  run.array.dram_technology = energy::DramTechnology::kHbm2;
  const Price hbm = price(work_of(run), laws());
  for (std::size_t pass = 0; pass < 3; ++pass) {
    for (const energy::Operation operation : energy::kOperations) {
      const double before = any.layers[0][pass].energy.energy_pj[operation].value;
      const bool is_dram = operation == energy::Operation::kDramRead || operation == energy::Operation::kDramWrite;
      EXPECT_NEAR(hbm.layers[0][pass].energy.energy_pj[operation].value, before * (is_dram ? 350.0 / 1950 : 1),
                  1e-9 * before);
    }
    const double dram = hbm.layers[0][pass].baselines[0].energy_pj[energy::Operation::kDramRead].value;
    EXPECT_NEAR(dram, any.layers[0][pass].baselines[0].energy_pj[energy::Operation::kDramRead].value * 350 / 1950,
                1e-9 * dram);
  }
}

TEST(Pricing, TimeCostsWhereATableSaysSo) {
  const Work work = work_of(results(R"("e2m4")"));
  const energy::Laws leaking{energy::find_cost_table("horowitz-45nm-leakage")};
  const Price without = price(work, laws());
  const Price with = price(work, leaking);
  const auto& pass = with.layers[0][0];
  const sim::CycleCounts& cycles = work.layers[0][0].own.cycles;
  EXPECT_EQ(pass.energy.counts[energy::Operation::kLeakage], energy::WideCount(cycles.total()));
  EXPECT_EQ(pass.energy.counts[energy::Operation::kIdleClocking],
            energy::WideCount(256 * cycles.total() - work.layers[0][0].own.counts[energy::Operation::kRegister]));
  for (const energy::Operation operation : energy::kOperations) {
    if (is_standing(operation)) {
      EXPECT_GT(pass.energy.energy_pj[operation].value, 0);
      EXPECT_EQ(without.layers[0][0].energy.energy_pj[operation].value, 0);
      EXPECT_EQ(without.layers[0][0].energy.counts[operation], energy::WideCount());
    } else {
      EXPECT_EQ(pass.energy.energy_pj[operation], without.layers[0][0].energy.energy_pj[operation]);
    }
  }
  // Elements of fp32 are larger.
  const auto leaks = [](const energy::Breakdown& energy) {
    return energy.energy_pj[energy::Operation::kLeakage].value /
           static_cast<double>(energy.counts[energy::Operation::kLeakage]);
  };
  EXPECT_GT(leaks(pass.baselines[0]), 2 * leaks(pass.energy));
  // Passes that round to the nearest leak the generators of random bits that another one uses.
  const auto computing = [](const energy::UnitArea& area) {
    double um2 = 0;
    for (const energy::AreaBlock& block : area.blocks) um2 += energy::is_memory(block) ? 0 : block.area_um2;
    return um2;
  };
  for (const PassPrice& any : with.layers[0]) {
    EXPECT_NEAR(leaks(any.energy), 22e-6 * computing(with.area), 1e-9 * leaks(any.energy));
    EXPECT_NEAR(leaks(any.baselines[1]), 22e-6 * computing(with.baseline_areas[1]), 1e-9 * leaks(any.baselines[1]));
  }
}

// Each element has its own register of the columns' operand where rows may be of several convolution groups.
TEST(Pricing, GroupsSideBySideTakeARegisterAnElement) {
  sim::ArrayConfig array;
  array.depthwise = sim::DepthwiseMapping::kRows;
  const Work off = work_of(results(R"("e2m4")"));
  const Work rows = work_of(results(R"("e2m4")", array));
  for (std::size_t pass = 0; pass < 3; ++pass) {
    // Those of the rows, which errors in backward weight are, are shared as ever.
    const energy::Surroundings& of = rows.layers[0][pass].own.surroundings;
    EXPECT_EQ(of.left_fanout, pass == 2 ? 16 : 1);
    EXPECT_EQ(of.right_fanout, pass == 2 ? 1 : 16);
    EXPECT_EQ(off.layers[0][pass].own.surroundings.left_fanout, 16);
    EXPECT_EQ(off.layers[0][pass].own.surroundings.right_fanout, 16);
  }
  const Price cheap = price(off, laws());
  const Price dear = price(rows, laws());
  EXPECT_GT(dear.area.total(), cheap.area.total());
  for (const Operation operation : energy::kOperations) {
    const double before = cheap.layers[0][0].energy.energy_pj[operation].value;
    const double after = dear.layers[0][0].energy.energy_pj[operation].value;
    if (operation == Operation::kRegister) {
      EXPECT_GT(after, before);
    } else {
      EXPECT_EQ(after, before) << energy::name(operation);
    }
  }
}

// An element that adds 32 products in a cycle is busy for one.
TEST(Pricing, ElementsOfSeveralMultipliersIdleByTheCycle) {
  sim::ArrayConfig array;
  array.taps_per_cycle = 32;
  const Work work = work_of(results(R"("e2m1/b32")", array));
  const PassWork& own = work.layers[0][0].own;
  const auto additions = own.counts[energy::Operation::kAccumulatorRegister];
  EXPECT_EQ(additions, energy::WideCount(2 * 16 * 4 * 4 * 16));  // of 32 and of 8 products
  const Price price = evaluation::price(work, energy::Laws{energy::find_cost_table("horowitz-45nm-leakage")});
  EXPECT_EQ(price.layers[0][0].energy.counts[energy::Operation::kIdleClocking],
            energy::WideCount(256 * own.cycles.total()).without(additions));
}

TEST(Pricing, MovesWhatTheDocumentSays) {
  std::ifstream stream(MLSIM_SOURCE_DIR "/docs/energy-by-hand-nvfp4.md");
  const std::string document{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  const Price price = evaluation::price(work_of(results(R"("nvfp4")")), laws());
  std::string sums = "| **memory** |";
  for (const PassPrice& pass : price.layers[0]) sums += fmt::format(" {:.4f} |", pass.energy.memory().value);
  EXPECT_THAT(document, testing::HasSubstr(sums + "\n"));
  for (const Operation operation : energy::kOperations) {
    if (line_of(operation) != energy::Line::kMemory || is_standing(operation)) continue;
    std::string row = fmt::format("| {} |", energy::name(operation));
    for (const PassPrice& pass : price.layers[0]) {
      row +=
          fmt::format(" {}: {:.4f} |", pass.energy.counts[operation].digits(), pass.energy.energy_pj[operation].value);
    }
    EXPECT_THAT(document, testing::HasSubstr(row + "\n"));
  }
}

TEST(Pricing, QuantizesOnceWherePassesTileAlike) {
  const Work work = work_of(results(R"("e2m1/b16")"));
  EXPECT_EQ(counts_of(work, Operation::kQuantize), (ByPass{4096, 10240, 640}));
  // Whole planes of 16 channels: activations 16 × 1, errors 16 × 3, weights 1 × 3.
  EXPECT_EQ(counts_of(work, Operation::kGroupQuantize), (ByPass{16, 48, 3}));
  EXPECT_EQ(counts_of(work, Operation::kRandomBits), (ByPass{0, 163840, 0}));
}

TEST(Pricing, ScalesOfPowersOfTwoTakeNeitherShiftAndAddNorTensorScale) {
  const Price price = evaluation::price(work_of(results(R"("mxfp4/k16")")), laws());
  const Price nvfp4 = evaluation::price(work_of(results(R"("nvfp4")")), laws());
  for (std::size_t pass = 0; pass < 3; ++pass) {
    const energy::Breakdown& energy = price.layers[0][pass].energy;
    EXPECT_EQ(energy.energy_pj[Operation::kShiftAndAdd].value, 0);
    EXPECT_EQ(energy.energy_pj[Operation::kTensorScale].value, 0);
    EXPECT_EQ(energy.operations_only(), nvfp4.layers[0][pass].energy.operations_only());
    EXPECT_LT(energy.computing().value, nvfp4.layers[0][pass].energy.computing().value);
  }
}

TEST(Pricing, MixedSystemsQuantizeAsTheirResultsAsk) {
  const Price mixed = evaluation::price(
      work_of(results(R"({ "activation": "nvfp4", "weight": "e2m4/nc", "error": "mxfp8-e5m2" })")), laws());
  const auto each = [&](Pass pass) {
    const energy::Breakdown& energy = mixed.layers[0][static_cast<std::size_t>(pass)].energy;
    return energy.energy_pj[Operation::kQuantize].value / static_cast<double>(energy.counts[Operation::kQuantize]);
  };
  EXPECT_NEAR(each(Pass::kForward), 4.070475, 1e-6);
  EXPECT_NEAR(each(Pass::kBackwardData), 0.404225, 1e-6) << "an error";
  EXPECT_NEAR(each(Pass::kBackwardWeight), 13.577475, 1e-6);
}

TEST(Activity, PricesTheBitsThatChangeInTheOperandRegisters) {
  // One output channel, one column: the registers of both operands serve one element.
  sim::ArrayConfig array;
  array.rows = array.columns = array.elements_per_scaler = 1;
  const Results results = test::run_layers(test::kLayer, Engine::kFunctional, "", array);
  Results still = results;
  for (PassRecord& record : still.layers[0].passes) record.toggles = sim::OperandToggles{};
  const auto registers = [&](const Results& of) {
    return price(work_of(of), laws(), {{}, Activity::kZeros})
        .sum(of, Pass::kForward)
        .energy.energy_pj[energy::Operation::kRegister]
        .value;
  };
  const PassRecord& record = results.layers[0].passes[0];
  const std::optional<ToggleShare> share = toggle_share(*record.toggles, record.traffic);
  ASSERT_TRUE(share);
  // Seven bits an operand, 0.0019 pJ where half of them change.
  EXPECT_NEAR(registers(results) - registers(still),
              static_cast<double>(record.multiply_adds) * 7 * 0.0019 * 2 * (share->rows + share->columns), 1e-6);
  EXPECT_GT(share->rows, 0.1);
  EXPECT_LT(share->rows, 0.6);
}

TEST(Activity, IsReadByName) {
  for (const Activity activity : kActivities) EXPECT_EQ(parse_activity(to_string(activity)), activity);
  EXPECT_EQ(test::error_of([] { parse_activity("idle"); }), "activity 'idle' is none of dense, zeros, gated");
}

}  // namespace
}  // namespace mlsim::evaluation
