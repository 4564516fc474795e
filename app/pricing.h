// Introduces what was counted to what it costs.
#pragma once

#include <vector>

#include "app/results.h"
#include "energy/datapath_cost.h"
#include "energy/laws.h"
#include "energy/pricing.h"

namespace mlsim::app {

struct PassPrice {
  energy::Breakdown energy;
  std::vector<energy::Breakdown> baselines;  // of the same pass on each of baseline_machines()
};

struct Price {
  std::vector<std::vector<PassPrice>> layers;  // by layer and pass, as in the results
  int accumulator_bits = 0;                    // of the array: the widest of its passes
  energy::UnitArea area;                       // of the whole machine
  std::vector<energy::UnitArea> baseline_areas;

  // Sums over all layers, for one pass.
  PassPrice sum(const Results& results, models::Pass pass) const;
};

// Prices every pass of the results, and the same passes on the baselines' machines: the same dataflow and array with
// their own elements and no group-scale units. An array has one accumulator width, so every pass pays for the widest.
// Throws std::runtime_error where a datapath cannot be priced.
Price price(const Results& results, const energy::Laws& laws);

}  // namespace mlsim::app
