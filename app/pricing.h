// Introduces what was counted to what it costs.
#pragma once

#include <map>
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

// Prices of the format's machine that stand in the place of the table's, in pJ.
using OwnPrices = std::map<energy::Operation, double>;

// Prices every pass of the results, and the same passes on the baselines' machines: the same dataflow and array with
// their own elements and no group-scale units. An array has one accumulator width, so every pass pays for the widest.
// `own` has prices of the results' machine that are known from elsewhere, without error bars; the baselines' are the
// table's. Throws std::runtime_error where a datapath cannot be priced.
Price price(const Results& results, const energy::Laws& laws, const OwnPrices& own = {});

// What the results' machine pays for each operation, and how many units it has.
struct Machine {
  energy::DatapathCost cost;
  energy::Units units;
};

// The machine of results whose layers and operands all have the format of the first layer's activations.
Machine machine_of(const Results& results, const energy::Laws& laws);

}  // namespace mlsim::app
