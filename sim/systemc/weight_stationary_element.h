// An element of a weight-stationary array: its operand stays, that of the column passes by. It adds their product to
// the sum that comes from its left, and hands the sum on to its right.
// Tested in tests/sim/stationary_machine_test.cpp.
#pragma once

#include <cstdint>
#include <systemc>

#include "models/convolution/operation_counts.h"
#include "sim/systemc/element_adder.h"
#include "sim/systemc/job.h"
#include "sim/systemc/product.h"

namespace mlsim::sim {

// Registered wires of operands, one of each a lane and tap that an element multiplies at once, lane by lane, for each
// of `rows` rows that have some of their own.
struct ElementWires {
  ElementWires(const char* prefix, std::size_t rows, std::size_t lanes, std::size_t taps_per_cycle);
  void write(std::size_t wire, const models::Fields& fields);
  void trace(sc_core::sc_trace_file* file) const;

  sc_core::sc_vector<sc_core::sc_signal<std::uint16_t>> significand;
  sc_core::sc_vector<sc_core::sc_signal<std::uint8_t>> exponent;
  sc_core::sc_vector<sc_core::sc_signal<bool>> negative;
  sc_core::sc_vector<sc_core::sc_signal<bool>> valid;
};

// The shifter, the sign, the adder and the register of an element's sum.
class WeightStationaryAdder : public sc_core::sc_module {
 public:
  sc_core::sc_in<bool> clock;
  sc_core::sc_in<bool> reset;
  sc_core::sc_in<bool> passes;  // a position is there: else the sum is held
  sc_core::sc_in<std::uint32_t> product;
  sc_core::sc_in<std::uint8_t> shift;
  sc_core::sc_in<bool> row_valid;
  sc_core::sc_in<bool> column_valid;
  sc_core::sc_in<bool> row_negative;
  sc_core::sc_in<bool> column_negative;
  sc_core::sc_in<std::int64_t> sum_in;
  sc_core::sc_out<std::int64_t> sum;

  explicit WeightStationaryAdder(const sc_core::sc_module_name& name);

  void load(const Job& job) { adder_.load(job); }
  const ElementAdder& adder() const { return adder_; }

 private:
  void tick();

  ElementAdder adder_;
};

class WeightStationaryElement : public sc_core::sc_module {
 public:
  sc_core::sc_in<bool> clock;
  sc_core::sc_in<bool> reset;
  sc_core::sc_in<bool> passes;
  sc_core::sc_in<std::int64_t> sum_in;

  // With its own operand, and that of its column.
  WeightStationaryElement(const sc_core::sc_module_name& name, const ElementWires& own, std::size_t element,
                          const ElementWires& columns, std::size_t column);

  void load(const Job& job) { adder_.load(job); }
  void trace(sc_core::sc_trace_file* file) const override;

  const sc_core::sc_signal<std::int64_t>& sum() const { return sum_; }
  models::OperationCounts counts() const { return adder_.adder().counts(); }
  std::uint64_t zero_products() const { return adder_.adder().zero_products(); }

 private:
  Product product_;
  sc_core::sc_signal<std::int64_t> sum_;
  WeightStationaryAdder adder_;
};

}  // namespace mlsim::sim
