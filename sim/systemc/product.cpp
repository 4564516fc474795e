#include "sim/systemc/product.h"

namespace mlsim::sim {

Product::Product()
    : product_("product"), shift_("shift"), multiplier_("multiplier"), exponent_adder_("exponent_adder") {}

void Product::trace(sc_core::sc_trace_file* file) const {
  sc_core::sc_trace(file, product_, product_.name());
  sc_core::sc_trace(file, shift_, shift_.name());
}

void ProductAdder::load(const Job& job) {
  bits_ = job.accumulator_bits;
  overflow_ = job.overflow;
  has_exponents_ = job.has_exponents;
  additions_ = overflows_ = zero_products_ = 0;
}

models::OperationCounts ProductAdder::counts() const {
  models::OperationCounts counts;
  counts.integer_adds = additions_;
  counts.mantissa_multiplies = additions_;
  counts.exponent_adds = has_exponents_ ? additions_ : 0;
  counts.shifts = counts.exponent_adds;
  counts.overflows = overflows_;
  return counts;
}

}  // namespace mlsim::sim
