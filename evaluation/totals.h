// What passes have in common: counts, cycles, prices and errors, summed over layers.
// Tested in tests/evaluation/evaluation_test.cpp.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "energy/wide_count.h"
#include "evaluation/mean_decibels.h"
#include "evaluation/pricing.h"
#include "evaluation/results.h"

namespace mlsim::evaluation {

struct Total {
  std::string name;  // a pass's, all, or of which 1x1
  int passes = 0;
  energy::WideCount multiply_adds;
  energy::WideCount overflows;
  bool overflows_are_counted = true;  // in all passes
  CycleTotals cycles;
  double milliseconds = 0;
  std::optional<double> utilization;  // none without a cycle of the array
  PassPrice price;
  PassDecibels sqnr;
  std::vector<PassDecibels> baseline_sqnr = std::vector<PassDecibels>(baseline_machines().size());
  // Of the multiply-adds, those of a zero operand; whether all of them were counted.
  energy::WideCount zero_products;
  bool zeros_are_counted = true;
  std::vector<energy::WideCount> baseline_zero_products = std::vector<energy::WideCount>(baseline_machines().size());
  // Of the passes whose toggled bits were counted.
  ToggleTotals toggles;

  // None where there is no multiply-add.
  std::optional<double> each(double pj) const;
  std::optional<double> share(const energy::WideCount& products) const;
};

// Each pass, all of them, and the 1×1 layers apart where there are both kinds.
std::vector<Total> totals_of(const Results& results, const Price& price);
const Total& all_of(const std::vector<Total>& totals);

// The energy-delay product of so many pJ in so many seconds, in J·s.
inline double energy_delay_js(double pj, double seconds) {
  return pj * 1e-12 * seconds;
}

double milliseconds_of(const CycleTotals& cycles, const sim::ArrayConfig& array);

// Multiply-adds for each element and array cycle of a pass; none without a cycle of the array.
std::optional<double> utilization_of(const PassRecord& record);

// What a baseline's error was measured as in a pass, if it was.
std::optional<double> baseline_sqnr(const PassRecord& record, const BaselineMachine& machine);

}  // namespace mlsim::evaluation
