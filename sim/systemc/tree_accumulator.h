// The adder and the registers of an element behind an adder tree: its accumulator, which takes the products of a cycle
// as one addition, and the hand-over register.
#pragma once

#include <cstdint>
#include <systemc>

#include "sim/systemc/adder_tree.h"
#include "sim/systemc/job.h"

namespace mlsim::sim {

class TreeAccumulator : public sc_core::sc_module {
 public:
  sc_core::sc_in<bool> clock;
  sc_core::sc_in<bool> reset;
  sc_core::sc_in<ProductSum> sum;
  sc_core::sc_in<bool> hand_over;
  sc_core::sc_out<std::int64_t> accumulator;
  sc_core::sc_out<std::int64_t> handed_over;

  explicit TreeAccumulator(const sc_core::sc_module_name& name);

  void load(const Job& job);
  std::uint64_t additions() const { return additions_; }
  std::uint64_t products() const { return products_; }
  std::uint64_t overflows() const { return overflows_; }
  // Of the products, those that are zero.
  std::uint64_t zero_products() const { return zero_products_; }

 private:
  void tick();

  int bits_ = 64;
  models::Overflow overflow_ = models::Overflow::kSaturate;
  std::uint64_t additions_ = 0;
  std::uint64_t products_ = 0;
  std::uint64_t overflows_ = 0;
  std::uint64_t zero_products_ = 0;
};

}  // namespace mlsim::sim
