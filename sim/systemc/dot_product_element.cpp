#include "sim/systemc/dot_product_element.h"

namespace mlsim::sim {

DotProductElement::DotProductElement(const sc_core::sc_module_name& name, const OperandWires& row_wires,
                                     const OperandWires& column_wires, std::size_t element, std::size_t columns,
                                     std::size_t multipliers)
    : sc_core::sc_module(name),
      product_("product", multipliers),
      shift_("shift", multipliers),
      tree_sum_("tree_sum"),
      accumulator_("accumulator"),
      handed_over_("handed_over"),
      multiplier_("multiplier", multipliers),
      exponent_adder_("exponent_adder", multipliers),
      adder_tree_("adder_tree", multipliers),
      tree_accumulator_("tree_accumulator") {
  for (std::size_t i = 0; i < multipliers; ++i) {
    const std::size_t row = element / columns * multipliers + i;
    const std::size_t column = column_wires.lane_of(element / columns, element % columns) * multipliers + i;
    multiplier_[i].left(row_wires.significand[row]);
    multiplier_[i].right(column_wires.significand[column]);
    multiplier_[i].product(product_[i]);

    exponent_adder_[i].left(row_wires.exponent[row]);
    exponent_adder_[i].right(column_wires.exponent[column]);
    exponent_adder_[i].shift(shift_[i]);

    adder_tree_.product[i](product_[i]);
    adder_tree_.shift[i](shift_[i]);
    adder_tree_.row_valid[i](row_wires.valid[row]);
    adder_tree_.column_valid[i](column_wires.valid[column]);
    adder_tree_.row_negative[i](row_wires.negative[row]);
    adder_tree_.column_negative[i](column_wires.negative[column]);
  }
  adder_tree_.sum(tree_sum_);

  tree_accumulator_.clock(clock);
  tree_accumulator_.reset(reset);
  tree_accumulator_.sum(tree_sum_);
  tree_accumulator_.hand_over(hand_over);
  tree_accumulator_.accumulator(accumulator_);
  tree_accumulator_.handed_over(handed_over_);
}

void DotProductElement::load(const Job& job) {
  has_exponents_ = job.has_exponents;
  tree_accumulator_.load(job);
}

models::OperationCounts DotProductElement::counts() const {
  // Of the products of an addition, the tree adds all but one.
  models::OperationCounts counts;
  counts.mantissa_multiplies = tree_accumulator_.products();
  counts.exponent_adds = has_exponents_ ? counts.mantissa_multiplies : 0;
  counts.shifts = counts.exponent_adds;
  counts.integer_adds = tree_accumulator_.additions();
  counts.tree_adds = counts.mantissa_multiplies - counts.integer_adds;
  counts.overflows = tree_accumulator_.overflows();
  return counts;
}

void DotProductElement::trace(sc_core::sc_trace_file* file) const {
  for (std::size_t i = 0; i < product_.size(); ++i) {
    sc_core::sc_trace(file, product_[i], product_[i].name());
    sc_core::sc_trace(file, shift_[i], shift_[i].name());
  }
  sc_core::sc_trace(file, tree_sum_, tree_sum_.name());
  sc_core::sc_trace(file, accumulator_, accumulator_.name());
  sc_core::sc_trace(file, handed_over_, handed_over_.name());
}

}  // namespace mlsim::sim
