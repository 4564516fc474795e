#include "energy/pricing.h"

#include <algorithm>

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

Breakdown price(const Counts& counts, const DatapathCost& cost, std::uint64_t zero_products) {
  Breakdown breakdown{counts, {}};
  for (const Operation operation : kOperations) {
    const std::uint64_t zeros = is_of_multiply_add(operation) ? std::min(zero_products, counts[operation]) : 0;
    breakdown.energy_pj[operation] = cost.price_pj[operation] * static_cast<double>(counts[operation] - zeros);
    if (zeros > 0) breakdown.energy_pj[operation] += cost.zero_price_pj[operation] * static_cast<double>(zeros);
  }
  return breakdown;
}

std::optional<Range> ratio(const Range& baseline, const Range& format) {
  if (!(format.low > 0)) return std::nullopt;
  return Range{baseline.low / format.high, baseline.value / format.value, baseline.high / format.low};
}

Comparison compare(const Breakdown& baseline, const Breakdown& format) {
  return {ratio(baseline.operations_only(), format.operations_only()), ratio(baseline.computing(), format.computing()),
          ratio(baseline.memory(), format.memory())};
}

}  // namespace mlsim::energy
