// An element of an array whose elements multiply several pairs a cycle: a dot product and one accumulator.
// Tested in tests/sim/simulate_test.cpp.
#pragma once

#include <cstdint>
#include <systemc>

#include "models/convolution/operation_counts.h"
#include "sim/systemc/dot_product.h"
#include "sim/systemc/operand_feeder.h"
#include "sim/systemc/tree_accumulator.h"

namespace mlsim::sim {

class OutputStationaryDotElement : public sc_core::sc_module {
 public:
  sc_core::sc_in<bool> clock;
  sc_core::sc_in<bool> reset;
  sc_core::sc_in<bool> hand_over;

  // Of an array of `columns` columns, the element of that number in row-major order, with so many multipliers.
  OutputStationaryDotElement(const sc_core::sc_module_name& name, const OperandWires& row_wires,
                             const OperandWires& column_wires, std::size_t element, std::size_t columns,
                             std::size_t multipliers);

  void load(const Job& job) { tree_accumulator_.load(job); }
  void trace(sc_core::sc_trace_file* file) const override;

  const sc_core::sc_signal<std::int64_t>& handed_over() const { return handed_over_; }
  models::OperationCounts counts() const { return tree_accumulator_.adder().counts(); }
  std::uint64_t zero_products() const { return tree_accumulator_.adder().zero_products(); }

 private:
  DotProduct dot_product_;
  sc_core::sc_signal<std::int64_t> accumulator_;
  sc_core::sc_signal<std::int64_t> handed_over_;
  TreeAccumulator tree_accumulator_;
};

}  // namespace mlsim::sim
