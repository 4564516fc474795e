#include "sim/systemc/output_stationary_element.h"

namespace mlsim::sim {

OutputStationaryElement::OutputStationaryElement(const sc_core::sc_module_name& name, const OperandWires& rows,
                                                 const OperandWires& columns, std::size_t row, std::size_t array_column)
    : sc_core::sc_module(name),
      accumulator_("accumulator"),
      handed_over_("handed_over"),
      shift_accumulator_("shift_accumulator") {
  product_.connect(rows, row, columns, columns.lane_of(row, array_column), shift_accumulator_);

  shift_accumulator_.clock(clock);
  shift_accumulator_.reset(reset);
  shift_accumulator_.hand_over(hand_over);
  shift_accumulator_.accumulator(accumulator_);
  shift_accumulator_.handed_over(handed_over_);
}

void OutputStationaryElement::trace(sc_core::sc_trace_file* file) const {
  product_.trace(file);
  sc_core::sc_trace(file, accumulator_, accumulator_.name());
  sc_core::sc_trace(file, handed_over_, handed_over_.name());
}

}  // namespace mlsim::sim
