#include "sim/systemc/shift_accumulator.h"

namespace mlsim::sim {

ShiftAccumulator::ShiftAccumulator(const sc_core::sc_module_name& name) : sc_core::sc_module(name) {
  SC_HAS_PROCESS(ShiftAccumulator);
  SC_METHOD(tick);
  sensitive << clock.pos();
  dont_initialize();
}

void ShiftAccumulator::tick() {
  if (reset.read()) {
    accumulator.write(0);
    return;
  }
  const bool adds = column_valid.read() && row_valid.read();
  const bool hands_over = hand_over.read();
  if (!adds && !hands_over) return;
  // 1. Shift, sign, addition.
  std::int64_t sum = accumulator.read();
  if (adds) sum = adder_.added(sum, product.read(), shift.read(), row_negative.read() != column_negative.read());
  // 2. Into the accumulator, or at the end of a group into the hand-over register.
  if (hands_over) {
    handed_over.write(sum);
    accumulator.write(0);
  } else {
    accumulator.write(sum);
  }
}

}  // namespace mlsim::sim
