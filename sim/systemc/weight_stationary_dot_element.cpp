#include "sim/systemc/weight_stationary_dot_element.h"

namespace mlsim::sim {

WeightStationaryTreeAdder::WeightStationaryTreeAdder(const sc_core::sc_module_name& name) : sc_core::sc_module(name) {
  SC_HAS_PROCESS(WeightStationaryTreeAdder);
  SC_METHOD(tick);
  sensitive << clock.pos();
  dont_initialize();
}

void WeightStationaryTreeAdder::tick() {
  if (reset.read() || !passes.read()) return;
  // Where all of a word is padding, or not in use, the sum passes.
  const ProductSum word = products.read();
  sum.write(word.products > 0 ? adder_.added(sum_in.read(), word) : sum_in.read());
}

WeightStationaryDotElement::WeightStationaryDotElement(const sc_core::sc_module_name& name, const ElementWires& own,
                                                       std::size_t element, const ElementWires& columns,
                                                       std::size_t column, std::size_t multipliers)
    : sc_core::sc_module(name), dot_product_(multipliers), sum_("sum"), adder_("adder") {
  for (std::size_t i = 0; i < multipliers; ++i) {
    dot_product_.connect(i, own, element * multipliers + i, columns, column * multipliers + i);
  }

  adder_.clock(clock);
  adder_.reset(reset);
  adder_.passes(passes);
  adder_.products(dot_product_.sum());
  adder_.sum_in(sum_in);
  adder_.sum(sum_);
}

void WeightStationaryDotElement::trace(sc_core::sc_trace_file* file) const {
  dot_product_.trace(file);
  sc_core::sc_trace(file, sum_, sum_.name());
}

}  // namespace mlsim::sim
