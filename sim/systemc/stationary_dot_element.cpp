#include "sim/systemc/stationary_dot_element.h"

#include "models/convolution/datapath.h"

namespace mlsim::sim {

StationaryTreeAdder::StationaryTreeAdder(const sc_core::sc_module_name& name) : sc_core::sc_module(name) {
  SC_HAS_PROCESS(StationaryTreeAdder);
  SC_METHOD(tick);
  sensitive << clock.pos();
  dont_initialize();
}

void StationaryTreeAdder::load(const Job& job) {
  bits_ = job.accumulator_bits;
  overflow_ = job.overflow;
  additions_ = added_products_ = overflows_ = zero_products_ = 0;
}

void StationaryTreeAdder::tick() {
  if (reset.read() || !passes.read()) return;
  std::int64_t next = sum_in.read();
  // Where all of a word is padding, or not in use, the sum passes.
  const ProductSum word = products.read();
  if (word.products > 0) {
    const models::Accumulation added = models::accumulate_sum(next, word.value(), bits_, overflow_);
    next = added.value;
    ++additions_;
    added_products_ += word.products;
    overflows_ += added.overflow ? 1 : 0;
    zero_products_ += word.zeros;
  }
  sum.write(next);
}

StationaryDotElement::StationaryDotElement(const sc_core::sc_module_name& name, const ElementWires& own,
                                           std::size_t element, const ElementWires& columns, std::size_t column,
                                           std::size_t multipliers)
    : sc_core::sc_module(name),
      product_("product", multipliers),
      shift_("shift", multipliers),
      tree_sum_("tree_sum"),
      sum_("sum"),
      multiplier_("multiplier", multipliers),
      exponent_adder_("exponent_adder", multipliers),
      adder_tree_("adder_tree", multipliers),
      adder_("adder") {
  for (std::size_t i = 0; i < multipliers; ++i) {
    const std::size_t stays = element * multipliers + i;
    const std::size_t comes = column * multipliers + i;
    multiplier_[i].left(own.significand[stays]);
    multiplier_[i].right(columns.significand[comes]);
    multiplier_[i].product(product_[i]);

    exponent_adder_[i].left(own.exponent[stays]);
    exponent_adder_[i].right(columns.exponent[comes]);
    exponent_adder_[i].shift(shift_[i]);

    adder_tree_.product[i](product_[i]);
    adder_tree_.shift[i](shift_[i]);
    adder_tree_.row_valid[i](own.valid[stays]);
    adder_tree_.column_valid[i](columns.valid[comes]);
    adder_tree_.row_negative[i](own.negative[stays]);
    adder_tree_.column_negative[i](columns.negative[comes]);
  }
  adder_tree_.sum(tree_sum_);

  adder_.clock(clock);
  adder_.reset(reset);
  adder_.passes(passes);
  adder_.products(tree_sum_);
  adder_.sum_in(sum_in);
  adder_.sum(sum_);
}

void StationaryDotElement::load(const Job& job) {
  has_exponents_ = job.has_exponents;
  adder_.load(job);
}

models::OperationCounts StationaryDotElement::counts() const {
  // Of the products of an addition, the tree adds all but one.
  models::OperationCounts counts;
  counts.mantissa_multiplies = adder_.added_products();
  counts.exponent_adds = has_exponents_ ? counts.mantissa_multiplies : 0;
  counts.shifts = counts.exponent_adds;
  counts.integer_adds = adder_.additions();
  counts.tree_adds = counts.mantissa_multiplies - counts.integer_adds;
  counts.overflows = adder_.overflows();
  return counts;
}

void StationaryDotElement::trace(sc_core::sc_trace_file* file) const {
  for (std::size_t i = 0; i < product_.size(); ++i) {
    sc_core::sc_trace(file, product_[i], product_[i].name());
    sc_core::sc_trace(file, shift_[i], shift_[i].name());
  }
  sc_core::sc_trace(file, tree_sum_, tree_sum_.name());
  sc_core::sc_trace(file, sum_, sum_.name());
}

}  // namespace mlsim::sim
