#include "models/quantizer/quantizer_datapath.h"

#include <algorithm>
#include <bit>
#include <cassert>

namespace mlsim::models {
namespace {

// A positive binary32 as significand · 2^exponent with 2^23 <= significand < 2^24.
struct Float {
  std::uint32_t significand;
  int exponent;
};

Float normalized(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto field = static_cast<int>((bits >> 23) & 0xff);
  const std::uint32_t fraction = bits & 0x7fffff;
  if (field != 0) return {fraction | 0x800000, field - 150};
  const int shift = 24 - static_cast<int>(std::bit_width(fraction));
  return {fraction << shift, -149 - shift};
}

}  // namespace

ScaleCode encode_scale(const ScaleFormat& format, float ratio) {
  assert(ratio >= 0 && ratio <= 1);
  const ScaleCode smallest{static_cast<std::uint8_t>(format.max_exponent()), 0};
  if (ratio == 0) return smallest;
  const auto [significand, exponent] = normalized(ratio);
  const int dropped = 23 - format.fraction_bits;
  // The bits below the fraction round it up; a carry out of it goes into the exponent.
  const std::uint32_t scaled = (significand + (1U << dropped) - 1) >> dropped;
  const bool carry = scaled >> (format.fraction_bits + 1) != 0;
  const int h = -(exponent + 23) - (carry ? 1 : 0);
  if (h > format.max_exponent()) return smallest;
  const std::uint32_t fraction = carry ? 0 : scaled - (1U << format.fraction_bits);
  return {static_cast<std::uint8_t>(h), static_cast<std::uint8_t>(fraction)};
}

float scale_value(const ScaleFormat& format, ScaleCode code) {
  const std::uint32_t field = 127U - code.exponent;
  return std::bit_cast<float>((field << 23) | (std::uint32_t{code.fraction} << (23 - format.fraction_bits)));
}

std::uint16_t round_to_code(const ElementFormat& format, float v, bool negative, Rounding rounding, int random_bits,
                            std::uint32_t random) {
  assert(v >= 0 && v <= 1);
  if (v == 0) return 0;
  const auto [significand, exponent] = normalized(v);
  // w = significand · 2^binary_point; its leading bit has weight 2^(binary_point + 23).
  const int binary_point = exponent + format.unit_exponent();
  const int d = format.exponent_bits == 0 ? 0 : std::max(binary_point + 23 - format.mantissa_bits, 0);
  const int dropped = d - binary_point;
  // So far down, no random number rounds up: the fraction is below 2^-24.
  if (dropped >= 48) return 0;
  assert(dropped > 0);
  const std::uint64_t whole = std::uint64_t{significand} >> dropped;
  const std::uint64_t rest = significand - (whole << dropped);
  bool up = false;
  if (rounding == Rounding::kNearest) {
    const std::uint64_t half = std::uint64_t{1} << (dropped - 1);
    up = rest > half || (rest == half && (whole & 1) != 0);
  } else {
    // rest · 2^-dropped >= 1 - random · 2^-R, where 2^(R + dropped) may take 72 bits.
    __extension__ using Wide = unsigned __int128;
    up = (Wide{rest} << random_bits) >= (Wide{(std::uint64_t{1} << random_bits) - random} << dropped);
  }
  const std::uint64_t k = std::min((whole + (up ? 1 : 0)) << d, static_cast<std::uint64_t>(format.max_integer()));
  if (k == 0) return 0;

  auto fields = static_cast<std::uint32_t>(k);
  if (format.exponent_bits != 0 && (k >> format.mantissa_bits) != 0) {
    const int shift = static_cast<int>(std::bit_width(k)) - 1 - format.mantissa_bits;
    fields = (static_cast<std::uint32_t>(shift + 1) << format.mantissa_bits) |
             (static_cast<std::uint32_t>(k >> shift) & ((1U << format.mantissa_bits) - 1));
  }
  const std::uint32_t sign = (negative ? 1U : 0U) << (format.code_bits() - 1);
  return static_cast<std::uint16_t>(sign | fields);
}

}  // namespace mlsim::models
