// What a machine takes because time passes: the clock of idle elements' registers, and leakage. Only where a cost table
// has figures of it.
#pragma once

#include "energy/cost_table.h"
#include "energy/datapath_cost.h"
#include "energy/pricing.h"
#include "energy/wide_count.h"

namespace mlsim::energy {

// How long a machine is on, and how much of that its elements work.
struct Duty {
  WideCount cycles;
  WideCount busy;  // cycles of elements that take products, summed over the elements
  double clock_ghz = 1;
  std::int64_t elements = 0;
};

// Adds to a breakdown the clock of elements that take no products.
void add_idle_clocking(const CostTable& table, const DatapathCost& cost, const Duty& duty, Breakdown& breakdown);
// The same of what the machine leaks, by its area, memories apart. All of it leaks, in use or not.
void add_leakage(const CostTable& table, const UnitArea& area, const Duty& duty, Breakdown& breakdown);

}  // namespace mlsim::energy
