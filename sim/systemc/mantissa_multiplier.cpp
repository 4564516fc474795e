#include "sim/systemc/mantissa_multiplier.h"

#include "models/convolution/datapath.h"

namespace mlsim::sim {

MantissaMultiplier::MantissaMultiplier(const sc_core::sc_module_name& name) : sc_core::sc_module(name) {
  SC_HAS_PROCESS(MantissaMultiplier);
  SC_METHOD(multiply);
  sensitive << left << right;
}

void MantissaMultiplier::multiply() {
  product.write(models::multiply_mantissas(left.read(), right.read()));
}

}  // namespace mlsim::sim
