#include "sim/systemc/product.h"

namespace mlsim::sim {

Product::Product()
    : product_("product"), shift_("shift"), multiplier_("multiplier"), exponent_adder_("exponent_adder") {}

void Product::trace(sc_core::sc_trace_file* file) const {
  sc_core::sc_trace(file, product_, product_.name());
  sc_core::sc_trace(file, shift_, shift_.name());
}

}  // namespace mlsim::sim
