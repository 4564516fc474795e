// The adder and the registers of an element behind an adder tree: its accumulator, which takes the products of a cycle
// as one addition, and the hand-over register.
// Tested in tests/sim/simulate_test.cpp.
#pragma once

#include <cstdint>
#include <systemc>

#include "sim/systemc/adder_tree.h"
#include "sim/systemc/element_adder.h"
#include "sim/systemc/job.h"

namespace mlsim::sim {

class TreeAccumulator : public sc_core::sc_module {
 public:
  sc_core::sc_in<bool> clock;
  sc_core::sc_in<bool> reset;
  sc_core::sc_in<ProductSum> sum;
  sc_core::sc_in<bool> hand_over;
  sc_core::sc_out<std::int64_t> accumulator;
  sc_core::sc_out<std::int64_t> handed_over;

  explicit TreeAccumulator(const sc_core::sc_module_name& name);

  void load(const Job& job) { adder_.load(job); }
  const ElementAdder& adder() const { return adder_; }

 private:
  void tick();

  ElementAdder adder_;
};

}  // namespace mlsim::sim
