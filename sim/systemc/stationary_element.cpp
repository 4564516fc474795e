#include "sim/systemc/stationary_element.h"

#include <string>

#include "models/convolution/datapath.h"
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

StationaryAdder::StationaryAdder(const sc_core::sc_module_name& name) : sc_core::sc_module(name) {
  SC_HAS_PROCESS(StationaryAdder);
  SC_METHOD(tick);
  sensitive << clock.pos();
  dont_initialize();
}

void StationaryAdder::load(const Job& job) {
  bits_ = job.accumulator_bits;
  overflow_ = job.overflow;
  additions_ = 0;
  overflows_ = 0;
  zero_products_ = 0;
}

void StationaryAdder::tick() {
  if (reset.read() || !passes.read()) return;
  std::int64_t next = sum_in.read();
  // Shift, sign, addition; padding, and a row or column that is not in use, let the sum pass.
  if (row_valid.read() && column_valid.read()) {
    const bool negative = row_negative.read() != column_negative.read();
    const std::int64_t shifted = models::shift_product(product.read(), shift.read(), negative);
    const models::Accumulation added = models::accumulate(next, shifted, bits_, overflow_);
    next = added.value;
    ++additions_;
    overflows_ += added.overflow ? 1 : 0;
    zero_products_ += product.read() == 0 ? 1 : 0;
  }
  sum.write(next);
}

StationaryElement::StationaryElement(const sc_core::sc_module_name& name, const ElementWires& own, std::size_t element,
                                     const ElementWires& columns, std::size_t column)
    : sc_core::sc_module(name),
      product_("product"),
      shift_("shift"),
      sum_("sum"),
      multiplier_("multiplier"),
      exponent_adder_("exponent_adder"),
      adder_("adder") {
  multiplier_.left(own.significand[element]);
  multiplier_.right(columns.significand[column]);
  multiplier_.product(product_);

  exponent_adder_.left(own.exponent[element]);
  exponent_adder_.right(columns.exponent[column]);
  exponent_adder_.shift(shift_);

  adder_.clock(clock);
  adder_.reset(reset);
  adder_.passes(passes);
  adder_.product(product_);
  adder_.shift(shift_);
  adder_.row_valid(own.valid[element]);
  adder_.column_valid(columns.valid[column]);
  adder_.row_negative(own.negative[element]);
  adder_.column_negative(columns.negative[column]);
  adder_.sum_in(sum_in);
  adder_.sum(sum_);
}

void StationaryElement::load(const Job& job) {
  has_exponents_ = job.has_exponents;
  adder_.load(job);
}

models::OperationCounts StationaryElement::counts() const {
  // Every addition is of a product that was multiplied and, where the formats have exponents, shifted for it.
  models::OperationCounts counts;
  counts.integer_adds = adder_.additions();
  counts.mantissa_multiplies = counts.integer_adds;
  counts.exponent_adds = has_exponents_ ? counts.integer_adds : 0;
  counts.shifts = counts.exponent_adds;
  counts.overflows = adder_.overflows();
  return counts;
}

void StationaryElement::trace(sc_core::sc_trace_file* file) const {
  sc_core::sc_trace(file, product_, product_.name());
  sc_core::sc_trace(file, shift_, shift_.name());
  sc_core::sc_trace(file, sum_, sum_.name());
}

}  // namespace mlsim::sim
