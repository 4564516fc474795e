#include "energy/standing.h"

namespace mlsim::energy {
namespace {

void add(Operation operation, const WideCount& count, const Range& each, Breakdown& breakdown) {
  breakdown.counts[operation] += count;
  breakdown.energy_pj[operation] += each * static_cast<double>(count);
}

}  // namespace

void add_idle_clocking(const CostTable& table, const DatapathCost& cost, const Duty& duty, Breakdown& breakdown) {
  if (!table.idle_clocked_share) return;
  const WideCount all = duty.cycles * static_cast<std::uint64_t>(duty.elements);
  const double clock = *table.idle_clocked_share * cost.idle_register_bits * table.laws.register_clock_pj;
  add(Operation::kIdleClocking, all.without(duty.busy), table.error_bars.around_integer(clock), breakdown);
}

void add_leakage(const CostTable& table, const UnitArea& area, const Duty& duty, Breakdown& breakdown) {
  if (!table.leakage) return;
  double computing = 0;  // mm²
  double memory = 0;
  for (const AreaBlock& block : area.blocks) {
    (is_memory(block) ? memory : computing) += block.area_um2 / 1e6;
  }
  // A mW for a ns is a pJ.
  add(Operation::kLeakage, duty.cycles, table.leakage->logic_mw_mm2 * (computing / duty.clock_ghz), breakdown);
  add(Operation::kMemoryLeakage, duty.cycles, table.leakage->memory_mw_mm2 * (memory / duty.clock_ghz), breakdown);
}

}  // namespace mlsim::energy
