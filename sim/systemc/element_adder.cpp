#include "sim/systemc/element_adder.h"

namespace mlsim::sim {

void ElementAdder::load(const Job& job) {
  bits_ = job.accumulator_bits;
  overflow_ = job.overflow;
  has_exponents_ = job.has_exponents;
  additions_ = products_ = overflows_ = zero_products_ = 0;
}

models::OperationCounts ElementAdder::counts() const {
  models::OperationCounts counts;
  counts.mantissa_multiplies = products_;
  counts.exponent_adds = has_exponents_ ? products_ : 0;
  counts.shifts = counts.exponent_adds;
  counts.integer_adds = additions_;
  counts.tree_adds = products_ - additions_;
  counts.overflows = overflows_;
  return counts;
}

}  // namespace mlsim::sim
