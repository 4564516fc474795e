// The mantissa multiplier of an element: combinational.
// Tested in tests/sim/simulate_test.cpp.
#pragma once

#include <cstdint>
#include <systemc>

namespace mlsim::sim {

class MantissaMultiplier : public sc_core::sc_module {
 public:
  sc_core::sc_in<std::uint16_t> left;
  sc_core::sc_in<std::uint16_t> right;
  sc_core::sc_out<std::uint32_t> product;

  explicit MantissaMultiplier(const sc_core::sc_module_name& name);

 private:
  void multiply();
};

}  // namespace mlsim::sim
