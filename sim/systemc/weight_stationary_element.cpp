#include "sim/systemc/weight_stationary_element.h"

#include <string>

#include "sim/systemc/lane_wires.h"

namespace mlsim::sim {

ElementWires::ElementWires(const char* prefix, std::size_t rows, std::size_t lanes, std::size_t taps_per_cycle)
    : significand((std::string(prefix) + "significand").c_str()),
      exponent((std::string(prefix) + "exponent").c_str()),
      negative((std::string(prefix) + "negative").c_str()),
      valid((std::string(prefix) + "valid").c_str()) {
  init_lane_wires(significand, rows, lanes, taps_per_cycle);
  init_lane_wires(exponent, rows, lanes, taps_per_cycle);
  init_lane_wires(negative, rows, lanes, taps_per_cycle);
  init_lane_wires(valid, rows, lanes, taps_per_cycle);
}

void ElementWires::write(std::size_t wire, const models::Fields& fields) {
  significand[wire].write(fields.significand);
  exponent[wire].write(fields.exponent);
  negative[wire].write(fields.negative);
}

void ElementWires::trace(sc_core::sc_trace_file* file) const {
  for (std::size_t wire = 0; wire < valid.size(); ++wire) {
    sc_core::sc_trace(file, significand[wire].read(), significand[wire].name());
    sc_core::sc_trace(file, exponent[wire].read(), exponent[wire].name());
    sc_core::sc_trace(file, negative[wire].read(), negative[wire].name());
    sc_core::sc_trace(file, valid[wire].read(), valid[wire].name());
  }
}

WeightStationaryAdder::WeightStationaryAdder(const sc_core::sc_module_name& name) : sc_core::sc_module(name) {
  SC_HAS_PROCESS(WeightStationaryAdder);
  SC_METHOD(tick);
  sensitive << clock.pos();
  dont_initialize();
}

void WeightStationaryAdder::tick() {
  if (reset.read() || !passes.read()) return;
  // Padding, and a row or column that is not in use, let the sum pass.
  const bool adds = row_valid.read() && column_valid.read();
  const bool negative = row_negative.read() != column_negative.read();
  sum.write(adds ? adder_.added(sum_in.read(), product.read(), shift.read(), negative) : sum_in.read());
}

WeightStationaryElement::WeightStationaryElement(const sc_core::sc_module_name& name, const ElementWires& own,
                                                 std::size_t element, const ElementWires& columns, std::size_t column)
    : sc_core::sc_module(name), sum_("sum"), adder_("adder") {
  product_.connect(own, element, columns, column, adder_);

  adder_.clock(clock);
  adder_.reset(reset);
  adder_.passes(passes);
  adder_.sum_in(sum_in);
  adder_.sum(sum_);
}

void WeightStationaryElement::trace(sc_core::sc_trace_file* file) const {
  product_.trace(file);
  sc_core::sc_trace(file, sum_, sum_.name());
}

}  // namespace mlsim::sim
