#include "sim/systemc/output_stationary_dot_element.h"

namespace mlsim::sim {

OutputStationaryDotElement::OutputStationaryDotElement(const sc_core::sc_module_name& name,
                                                       const OperandWires& row_wires, const OperandWires& column_wires,
                                                       std::size_t element, std::size_t columns,
                                                       std::size_t multipliers)
    : sc_core::sc_module(name),
      dot_product_(multipliers),
      accumulator_("accumulator"),
      handed_over_("handed_over"),
      tree_accumulator_("tree_accumulator") {
  for (std::size_t i = 0; i < multipliers; ++i) {
    const std::size_t row = element / columns * multipliers + i;
    const std::size_t column = column_wires.lane_of(element / columns, element % columns) * multipliers + i;
    dot_product_.connect(i, row_wires, row, column_wires, column);
  }

  tree_accumulator_.clock(clock);
  tree_accumulator_.reset(reset);
  tree_accumulator_.sum(dot_product_.sum());
  tree_accumulator_.hand_over(hand_over);
  tree_accumulator_.accumulator(accumulator_);
  tree_accumulator_.handed_over(handed_over_);
}

void OutputStationaryDotElement::trace(sc_core::sc_trace_file* file) const {
  dot_product_.trace(file);
  sc_core::sc_trace(file, accumulator_, accumulator_.name());
  sc_core::sc_trace(file, handed_over_, handed_over_.name());
}

}  // namespace mlsim::sim
