// The arithmetic of one processing element and of the group-scale unit, block by block, as the hardware does it.
#pragma once

#include <cstdint>

#include "base/integers.h"
#include "models/convolution/convolution.h"
#include "models/formats/format.h"
#include "models/formats/scaled_tensor.h"

namespace mlsim::models {

// An element as a multiplier sees it: ± significand · 2^exponent, in units of 2^-U.
struct Fields {
  bool negative = false;
  std::uint16_t significand = 0;  // significand_bits() wide, hidden bit included; of int8 its magnitude
  std::uint8_t exponent = 0;      // max(e, 1) - 1
};
Fields split_fields(const ElementFormat& format, std::uint16_t code);

// Mantissa multiplier: the unsigned product of two significands, at most 22 bits.
constexpr std::uint32_t multiply_mantissas(std::uint16_t left, std::uint16_t right) {
  return std::uint32_t{left} * right;
}

// Exponent adder: how far the product is shifted left.
constexpr int add_exponents(std::uint8_t left, std::uint8_t right) {
  return int{left} + right;
}

// Shifter: the product in units of 2^-(U_left + U_right), with its sign.
constexpr std::int64_t shift_product(std::uint32_t product, int shift, bool negative) {
  const auto magnitude = static_cast<std::int64_t>(std::uint64_t{product} << shift);
  return negative ? -magnitude : magnitude;
}

struct Accumulation {
  std::int64_t value = 0;
  bool overflow = false;
};

// Accumulator of `bits` bits (2..64), two's complement: register plus product, formed exactly, then saturated or
// wrapped.
Accumulation accumulate(std::int64_t accumulator, std::int64_t product, int bits, Overflow overflow);
// The same with the exact sum of several products, of less than 126 bits.
Accumulation accumulate_sum(std::int64_t accumulator, base::Int128 products, int bits, Overflow overflow);

// Rounds q · 2^-shift once to binary32, to nearest even, subnormal results included.
float round_scaled(base::Int128 q, int shift);

// The constant of a group-scale unit, from the formats of its two operands.
struct GroupScaler {
  int unit_exponent = 0;  // U_left + U_right

  GroupScaler() = default;
  GroupScaler(const ElementFormat& left, const ElementFormat& right);

  // Q = P · g_left · g_right; each a shift-and-add of at most four terms.
  static base::Int128 scale_sum(base::Int128 sum, TileScale left, TileScale right);
  // The group's contribution q in binary32.
  float scale(base::Int128 sum, TileScale left, TileScale right) const;
};

}  // namespace mlsim::models
