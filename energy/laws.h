// Energy and area of hardware blocks of any width: laws through every figure of a cost table.
//
// Energies are per use, in pJ; areas in µm². Every law returns a table's figure exactly at that figure's width and
// falls nowhere as a width grows. docs/energy.md has the formulas, their sources and their errors.
#pragma once

#include <cstddef>
#include <optional>

#include "energy/cost_table.h"

namespace mlsim::energy {

// Of binary32.
inline constexpr int kFloatBits = 32;
inline constexpr int kFloatExponent = 8;

class Laws {
 public:
  explicit Laws(CostTable table);

  const CostTable& table() const { return table_; }

  // Integer multiplier of n by m bits; n, m >= 1. With f = n·m - (n+m)/2: proportional to f up to the table's smallest
  // square multiplier, a power of f between two figures and beyond the last; proportional to f where there is one
  // figure. A single-bit operand makes a row of gates.
  Cost multiplier(int n, int m) const;

  // Adder of n >= 0 bits (0: nothing): linear between the figures, proportional to n outside them.
  Cost adder(int n) const;

  // Left or right shifter of n input bits with so many stages (0: nothing).
  Cost shifter(int n, int stages) const;

  // A register that is clocked and takes new data, a use. `activity` is how many of its bits change, relative to random
  // data, which change half of them.
  Cost registers(int bits, double activity = 1) const;

  // Sign inversion and clearing of an accumulator, also what a leading-zero count is priced as.
  Cost sign_and_clear(int bits) const;

  // Figures of the formats, of which int8 is none.
  Cost float_multiplier(models::BaselineFormat format) const;
  Cost float_adder(models::BaselineFormat format) const;

  // Floating-point blocks of any mantissa width (bits stored, >= 1) through the fp16 and fp32 figures: energy a power
  // of M+1 (multiplier) or M+4 (adder); the multiplier's area is linear in f(M+1, M+1) and in the bits of the number.
  Cost float_multiplier(int mantissa_bits, int total_bits) const;
  Cost float_adder(int mantissa_bits) const;

  // The multiplier of two formats: the geometric mean of their own multipliers, close to what f(n, m) of unequal
  // significands gives.
  Cost float_multiplier(models::BaselineFormat left, models::BaselineFormat right) const;

  // Digit-recurrence divider: a quotient bit takes a subtraction of divisor_bits + 1 bits and clocks the remainder and
  // the quotient. The area is that of a pipeline, a stage for every quotient bit.
  Cost divider(int quotient_bits, int divisor_bits) const;

  // n-bit two's complement integer to binary32: negation, leading-zero count, shifter of ceil(log2 n) stages, exponent
  // adder, and beyond 24 bits a rounding adder.
  Cost integer_to_float(int n) const;

  // Reading or writing so many bits of an SRAM of that capacity in bytes. Energy a power of the capacity between two
  // figures and, with the nearest segment's power, outside; proportional to the bits; a bit never costs less than a
  // register's. Writing is priced as reading: no figure of it is published.
  double sram_access_pj(double capacity_bytes, double bits) const;
  // Cells and their share of the macro: an estimate.
  double sram_area_um2(double capacity_bytes) const;

  // Reading or writing so many bits, of a technology or as the table has it where none is named.
  Range dram_access_pj(double bits, const std::optional<DramTechnology>& technology = {}) const {
    return (technology ? table_.dram_technology_bit_pj[static_cast<std::size_t>(*technology)] : table_.dram_bit_pj) *
           bits;
  }

  // A whole multiply-add of block-scaled formats with its accumulator register: significands of wa and wb bits, shifter
  // stages (0: no shifter), bits of the product and of the accumulator.
  double processing_element_pj(int wa, int wb, int shifter_stages, int product_bits, int accumulator_bits) const;

 private:
  CostTable table_;
};

}  // namespace mlsim::energy
