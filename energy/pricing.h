// Counts times prices, and the comparison of two machines.
#pragma once

#include <optional>

#include "energy/datapath_cost.h"
#include "energy/operations.h"
#include "energy/range.h"

namespace mlsim::energy {

// Energies in pJ.
struct Breakdown {
  WideCounts counts;
  PerOperation<Range> energy_pj;

  // Sum over the operations of a line.
  Range sum(Line line) const;

  // What publications quote: multiplications and additions alone.
  Range operations_only() const { return sum(Line::kOperation); }
  // With registers, group scaling, conversion and quantization: all of computing.
  Range computing() const { return sum(Line::kOperation) + sum(Line::kOverhead); }
  Range memory() const { return sum(Line::kMemory); }
  Range with_memory() const { return computing() + memory(); }

  Breakdown& operator+=(const Breakdown& other);
  friend Breakdown operator+(Breakdown left, const Breakdown& right) { return left += right; }
};

// `zero_products` of the multiply-adds have a zero operand.
Breakdown price(const Counts& counts, const DatapathCost& cost, std::uint64_t zero_products = 0);

// baseline / format. The low end takes the baseline's low end against the format's high end. Nothing where the format's
// energy is 0.
std::optional<Range> ratio(const Range& baseline, const Range& format);

// The lines of a comparison.
struct Comparison {
  std::optional<Range> operations_only;
  std::optional<Range> computing;
  std::optional<Range> memory;
};
Comparison compare(const Breakdown& baseline, const Breakdown& format);

}  // namespace mlsim::energy
