// The exponent adder of an element: how far the product is shifted. Combinational.
// Tested in tests/sim/simulate_test.cpp.
#pragma once

#include <cstdint>
#include <systemc>

namespace mlsim::sim {

class ExponentAdder : public sc_core::sc_module {
 public:
  sc_core::sc_in<std::uint8_t> left;
  sc_core::sc_in<std::uint8_t> right;
  sc_core::sc_out<std::uint8_t> shift;

  explicit ExponentAdder(const sc_core::sc_module_name& name);

 private:
  void add();
};

}  // namespace mlsim::sim
