// The shifter, the sign, the adder and the registers of an element: its accumulator, and the hand-over register that
// keeps a group's sum for the group-scale unit while the next group is added up.
// Tested in tests/sim/simulate_test.cpp.
#pragma once

#include <cstdint>
#include <systemc>

#include "sim/systemc/element_adder.h"
#include "sim/systemc/job.h"

namespace mlsim::sim {

class ShiftAccumulator : public sc_core::sc_module {
 public:
  sc_core::sc_in<bool> clock;
  sc_core::sc_in<bool> reset;
  sc_core::sc_in<std::uint32_t> product;
  sc_core::sc_in<std::uint8_t> shift;
  sc_core::sc_in<bool> row_valid;
  sc_core::sc_in<bool> column_valid;
  sc_core::sc_in<bool> row_negative;
  sc_core::sc_in<bool> column_negative;
  sc_core::sc_in<bool> hand_over;
  sc_core::sc_out<std::int64_t> accumulator;
  sc_core::sc_out<std::int64_t> handed_over;

  explicit ShiftAccumulator(const sc_core::sc_module_name& name);

  void load(const Job& job) { adder_.load(job); }
  const ElementAdder& adder() const { return adder_; }

 private:
  void tick();

  ElementAdder adder_;
};

}  // namespace mlsim::sim
