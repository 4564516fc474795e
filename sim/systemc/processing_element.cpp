#include "sim/systemc/processing_element.h"

namespace mlsim::sim {

ProcessingElement::ProcessingElement(const sc_core::sc_module_name& name, const OperandWires& rows,
                                     const OperandWires& columns, std::size_t row, std::size_t array_column)
    : sc_core::sc_module(name),
      product_("product"),
      shift_("shift"),
      accumulator_("accumulator"),
      handed_over_("handed_over"),
      multiplier_("multiplier"),
      exponent_adder_("exponent_adder"),
      shift_accumulator_("shift_accumulator") {
  const std::size_t column = columns.lane_of(row, array_column);
  multiplier_.left(rows.significand[row]);
  multiplier_.right(columns.significand[column]);
  multiplier_.product(product_);

  exponent_adder_.left(rows.exponent[row]);
  exponent_adder_.right(columns.exponent[column]);
  exponent_adder_.shift(shift_);

  shift_accumulator_.clock(clock);
  shift_accumulator_.reset(reset);
  shift_accumulator_.product(product_);
  shift_accumulator_.shift(shift_);
  shift_accumulator_.row_valid(rows.valid[row]);
  shift_accumulator_.column_valid(columns.valid[column]);
  shift_accumulator_.row_negative(rows.negative[row]);
  shift_accumulator_.column_negative(columns.negative[column]);
  shift_accumulator_.hand_over(hand_over);
  shift_accumulator_.accumulator(accumulator_);
  shift_accumulator_.handed_over(handed_over_);
}

void ProcessingElement::load(const Job& job) {
  has_exponents_ = job.has_exponents;
  shift_accumulator_.load(job);
}

models::OperationCounts ProcessingElement::counts() const {
  // Every addition is of a product that was multiplied and, where the formats have exponents, shifted for it.
  models::OperationCounts counts;
  counts.integer_adds = shift_accumulator_.additions();
  counts.mantissa_multiplies = counts.integer_adds;
  counts.exponent_adds = has_exponents_ ? counts.integer_adds : 0;
  counts.shifts = counts.exponent_adds;
  counts.overflows = shift_accumulator_.overflows();
  return counts;
}

void ProcessingElement::trace(sc_core::sc_trace_file* file) const {
  sc_core::sc_trace(file, product_, product_.name());
  sc_core::sc_trace(file, shift_, shift_.name());
  sc_core::sc_trace(file, accumulator_, accumulator_.name());
  sc_core::sc_trace(file, handed_over_, handed_over_.name());
}

}  // namespace mlsim::sim
