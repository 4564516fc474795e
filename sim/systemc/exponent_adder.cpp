#include "sim/systemc/exponent_adder.h"

#include "models/convolution/datapath.h"

namespace mlsim::sim {

ExponentAdder::ExponentAdder(const sc_core::sc_module_name& name) : sc_core::sc_module(name) {
  SC_HAS_PROCESS(ExponentAdder);
  SC_METHOD(add);
  sensitive << left << right;
}

void ExponentAdder::add() {
  shift.write(static_cast<std::uint8_t>(models::add_exponents(left.read(), right.read())));
}

}  // namespace mlsim::sim
