#include "sim/systemc/dot_product.h"

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

}  // namespace mlsim::sim
