// An element of a weight-stationary array whose elements multiply several pairs at once: its operands stay, a word of
// the column's passes by. It adds the exact sum of their products to the sum that comes from its left, in one addition,
// and hands the sum on to its right. Its test is stationary_machine_test.
// Tested in tests/sim/stationary_machine_test.cpp.
#pragma once

#include <cstdint>
#include <systemc>

#include "models/convolution/operation_counts.h"
#include "sim/systemc/dot_product.h"
#include "sim/systemc/element_adder.h"
#include "sim/systemc/weight_stationary_element.h"

namespace mlsim::sim {

// The adder behind the tree and the register of an element's sum.
class WeightStationaryTreeAdder : public sc_core::sc_module {
 public:
  sc_core::sc_in<bool> clock;
  sc_core::sc_in<bool> reset;
  sc_core::sc_in<bool> passes;  // a position is there: else the sum is held
  sc_core::sc_in<ProductSum> products;
  sc_core::sc_in<std::int64_t> sum_in;
  sc_core::sc_out<std::int64_t> sum;

  explicit WeightStationaryTreeAdder(const sc_core::sc_module_name& name);

  void load(const Job& job) { adder_.load(job); }
  const ElementAdder& adder() const { return adder_; }

 private:
  void tick();

  ElementAdder adder_;
};

class WeightStationaryDotElement : public sc_core::sc_module {
 public:
  sc_core::sc_in<bool> clock;
  sc_core::sc_in<bool> reset;
  sc_core::sc_in<bool> passes;
  sc_core::sc_in<std::int64_t> sum_in;

  // With its own operands, and those of its column: of both, as many lanes as it has multipliers, one after the other.
  WeightStationaryDotElement(const sc_core::sc_module_name& name, const ElementWires& own, std::size_t element,
                             const ElementWires& columns, std::size_t column, std::size_t multipliers);

  void load(const Job& job) { adder_.load(job); }
  void trace(sc_core::sc_trace_file* file) const override;

  const sc_core::sc_signal<std::int64_t>& sum() const { return sum_; }
  models::OperationCounts counts() const { return adder_.adder().counts(); }
  std::uint64_t zero_products() const { return adder_.adder().zero_products(); }

 private:
  DotProduct dot_product_;
  sc_core::sc_signal<std::int64_t> sum_;

  WeightStationaryTreeAdder adder_;
};

}  // namespace mlsim::sim
