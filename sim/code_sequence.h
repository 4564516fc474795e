// What registers of operands take one after the other, of which the bits that change are counted.
// Tested in tests/sim/operand_toggles_test.cpp.
#pragma once

#include <bit>
#include <cstdint>

namespace mlsim::sim {

inline std::uint64_t changed_bits(std::uint16_t a, std::uint16_t b) {
  return static_cast<std::uint64_t>(std::popcount(static_cast<std::uint16_t>(a ^ b)));
}

// Codes of which the ends are kept.
struct CodeSequence {
  bool empty = true;
  std::uint16_t first = 0;
  std::uint16_t last = 0;
  std::uint64_t changes = 0;  // between those that were added

  // A part of which the ends alone are looked at here.
  void add(std::uint16_t part_first, std::uint16_t part_last) {
    if (empty) {
      first = part_first;
      empty = false;
    } else {
      changes += changed_bits(last, part_first);
    }
    last = part_last;
  }
  void add(std::uint16_t code) { add(code, code); }

  // Bits that change in a register that takes all of it so many times, one after the other.
  std::uint64_t taken_by(std::uint16_t& reg, std::int64_t times) const {
    if (empty || times == 0) return 0;
    const auto count = static_cast<std::uint64_t>(times);
    const std::uint64_t bits = changed_bits(reg, first) + count * changes + (count - 1) * changed_bits(last, first);
    reg = last;
    return bits;
  }
};

}  // namespace mlsim::sim
