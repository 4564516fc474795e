#include "sim/systemc/tree_accumulator.h"

namespace mlsim::sim {

TreeAccumulator::TreeAccumulator(const sc_core::sc_module_name& name) : sc_core::sc_module(name) {
  SC_HAS_PROCESS(TreeAccumulator);
  SC_METHOD(tick);
  sensitive << clock.pos();
  dont_initialize();
}

void TreeAccumulator::tick() {
  if (reset.read()) {
    accumulator.write(0);
    return;
  }
  const ProductSum products = sum.read();
  const bool adds = products.products > 0;
  const bool hands_over = hand_over.read();
  if (!adds && !hands_over) return;
  // 1. Addition.
  std::int64_t value = accumulator.read();
  if (adds) value = adder_.added(value, products);
  // 2. Into the accumulator, or at the end of a group into the hand-over register.
  if (hands_over) {
    handed_over.write(value);
    accumulator.write(0);
  } else {
    accumulator.write(value);
  }
}

}  // namespace mlsim::sim
