// An element of the array: mantissa multiplier, exponent adder and shift accumulator.
// Tested in tests/sim/simulate_test.cpp.
#pragma once

#include <cstdint>
#include <systemc>

#include "models/convolution/operation_counts.h"
#include "sim/systemc/job.h"
#include "sim/systemc/operand_feeder.h"
#include "sim/systemc/product.h"
#include "sim/systemc/shift_accumulator.h"

namespace mlsim::sim {

class OutputStationaryElement : public sc_core::sc_module {
 public:
  sc_core::sc_in<bool> clock;
  sc_core::sc_in<bool> reset;
  sc_core::sc_in<bool> hand_over;

  // An element at the crossing of a row's and a column's wires.
  OutputStationaryElement(const sc_core::sc_module_name& name, const OperandWires& rows, const OperandWires& columns,
                          std::size_t row, std::size_t column);

  void load(const Job& job) { shift_accumulator_.load(job); }
  void trace(sc_core::sc_trace_file* file) const override;

  const sc_core::sc_signal<std::int64_t>& handed_over() const { return handed_over_; }
  models::OperationCounts counts() const { return shift_accumulator_.adder().counts(); }
  std::uint64_t zero_products() const { return shift_accumulator_.adder().zero_products(); }

 private:
  Product product_;
  sc_core::sc_signal<std::int64_t> accumulator_;
  sc_core::sc_signal<std::int64_t> handed_over_;
  ShiftAccumulator shift_accumulator_;
};

}  // namespace mlsim::sim
