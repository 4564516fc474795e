#include "energy/pricing.h"

namespace mlsim::energy {

Range Breakdown::sum(Line line) const {
  Range total;
  for (const Operation operation : kOperations) {
    if (line_of(operation) == line) total += energy_pj[operation];
  }
  return total;
}

Breakdown& Breakdown::operator+=(const Breakdown& other) {
  counts += other.counts;
  energy_pj += other.energy_pj;
  return *this;
}

Breakdown price(const Counts& counts, const DatapathCost& cost) {
  Breakdown breakdown{counts, {}};
  for (const Operation operation : kOperations) {
    breakdown.energy_pj[operation] = cost.price_pj[operation] * static_cast<double>(counts[operation]);
  }
  return breakdown;
}

std::optional<Range> ratio(const Range& baseline, const Range& format) {
  if (!(format.low > 0)) return std::nullopt;
  return Range{baseline.low / format.high, baseline.value / format.value, baseline.high / format.low};
}

Comparison compare(const Breakdown& baseline, const Breakdown& format) {
  return {ratio(baseline.operations_only(), format.operations_only()), ratio(baseline.computing(), format.computing())};
}

}  // namespace mlsim::energy
