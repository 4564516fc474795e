// Figures of the default cost table (horowitz-45nm) in pJ, written again from docs/energy.md, for sums by hand.
#pragma once

namespace mlsim::test {

// An adder of so many bits.
inline double adder(int bits) {
  if (bits <= 8) return 0.03 * bits / 8;
  if (bits <= 16) return 0.03 + 0.02 * (bits - 8) / 8;
  return bits <= 32 ? 0.05 + 0.05 * (bits - 16) / 16 : 0.1 * bits / 32;
}

// A bit of a register that is clocked and takes new data.
inline constexpr double kRegister = 0.0032 + 0.0019;

}  // namespace mlsim::test
