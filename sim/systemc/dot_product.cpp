#include "sim/systemc/dot_product.h"

#include "models/convolution/datapath.h"

namespace mlsim::sim {

DotProduct::DotProduct(std::size_t multipliers)
    : product_("product", multipliers),
      shift_("shift", multipliers),
      tree_sum_("tree_sum"),
      multiplier_("multiplier", multipliers),
      exponent_adder_("exponent_adder", multipliers),
      adder_tree_("adder_tree", multipliers) {
  adder_tree_.sum(tree_sum_);
}

void DotProduct::trace(sc_core::sc_trace_file* file) const {
  for (std::size_t i = 0; i < product_.size(); ++i) {
    sc_core::sc_trace(file, product_[i], product_[i].name());
    sc_core::sc_trace(file, shift_[i], shift_[i].name());
  }
  sc_core::sc_trace(file, tree_sum_, tree_sum_.name());
}

void WordAdder::load(const Job& job) {
  bits_ = job.accumulator_bits;
  overflow_ = job.overflow;
  has_exponents_ = job.has_exponents;
  additions_ = products_ = overflows_ = zero_products_ = 0;
}

std::int64_t WordAdder::added(std::int64_t sum, const ProductSum& word) {
  const models::Accumulation next = models::accumulate_sum(sum, word.value(), bits_, overflow_);
  ++additions_;
  products_ += word.products;
  overflows_ += next.overflow ? 1 : 0;
  zero_products_ += word.zeros;
  return next.value;
}

models::OperationCounts WordAdder::counts() const {
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
