#include "energy/standing.h"

#include <gtest/gtest.h>

#include "energy/laws.h"

namespace mlsim::energy {
namespace {

constexpr Duty kDuty{1000, 200'000, 0.5, 256};
constexpr Units kUnits{256, 32, 16, 2, 1};

Breakdown standing(const CostTable& table, const Surroundings& surroundings = {}) {
  const DatapathCost cost = price_datapath(Laws(table), ScaledDatapath{}, surroundings);
  Breakdown breakdown;
  add_idle_clocking(table, cost, kDuty, breakdown);
  add_leakage(table, machine_area(cost, kUnits), kDuty, breakdown);
  return breakdown;
}

TEST(Standing, IsNothingUnlessTheTableSaysSo) {
  const Breakdown breakdown = standing(find_cost_table());
  EXPECT_EQ(breakdown.with_memory(), Range{});
  for (const Operation operation : kOperations) EXPECT_EQ(breakdown.counts[operation], WideCount());
}

// <2,4>, 19 bits: 19 of the accumulator and 7 of each operand are clocked; 256000 - 200000 element cycles are idle.
TEST(Standing, ClocksIdleElements) {
  const Breakdown breakdown = standing(find_cost_table("horowitz-45nm-leakage"));
  EXPECT_EQ(breakdown.counts[Operation::kIdleClocking], WideCount(56'000));
  EXPECT_NEAR(breakdown.energy_pj[Operation::kIdleClocking].value, 56'000 * 33 * 0.0032, 1e-9);
  EXPECT_NEAR(breakdown.energy_pj[Operation::kIdleClocking].high, 1.2 * 56'000 * 33 * 0.0032, 1e-9);
  Surroundings shared;
  shared.left_fanout = shared.right_fanout = 16;
  EXPECT_NEAR(standing(find_cost_table("horowitz-45nm-leakage"), shared).energy_pj[Operation::kIdleClocking].value,
              56'000 * (19 + 14.0 / 16) * 0.0032, 1e-9);
  Surroundings gated;
  gated.zero_gating = true;
  EXPECT_EQ(standing(find_cost_table("horowitz-45nm-leakage"), gated).energy_pj[Operation::kIdleClocking].value, 0);
}

// A cycle of 2 ns: 22 mW are 44 pJ.
TEST(Standing, LeaksByAreaAndTime) {
  const CostTable table = find_cost_table("horowitz-45nm-leakage");
  const Breakdown breakdown = standing(table);
  double memory = 0;
  const UnitArea area = machine_area(price_datapath(Laws(table), ScaledDatapath{}), kUnits);
  for (const AreaBlock& block : area.blocks) {
    if (block.name == "operand_buffers" || block.name == "srams") memory += block.area_um2 / 1e6;
  }
  const double computing = area.total() / 1e6 - memory;
  EXPECT_EQ(breakdown.counts[Operation::kLeakage], WideCount(1000));
  EXPECT_NEAR(breakdown.energy_pj[Operation::kLeakage].value, 44e3 * computing, 1e-6);
  EXPECT_NEAR(breakdown.energy_pj[Operation::kLeakage].low, 34e3 * computing, 1e-6);
  EXPECT_NEAR(breakdown.energy_pj[Operation::kMemoryLeakage].value, 44e3 * memory, 1e-6);
  EXPECT_EQ(breakdown.memory(), breakdown.energy_pj[Operation::kMemoryLeakage]);
}

TEST(Standing, BusyElementsAreNeverIdle) {
  const CostTable table = find_cost_table("horowitz-45nm-leakage");
  Breakdown breakdown;
  Duty duty = kDuty;
  duty.busy = 300'000;
  add_idle_clocking(table, price_datapath(Laws(table), ScaledDatapath{}), duty, breakdown);
  EXPECT_EQ(breakdown.counts[Operation::kIdleClocking], WideCount());
}

}  // namespace
}  // namespace mlsim::energy
