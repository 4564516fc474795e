#include "models/convolution/datapath.h"

#include <bit>
#include <cmath>

namespace mlsim::models {
namespace {

int bit_length(Int128 magnitude) {
  const auto high = static_cast<std::uint64_t>(magnitude >> 64);
  return high != 0 ? 64 + std::bit_width(high) : std::bit_width(static_cast<std::uint64_t>(magnitude));
}

}  // namespace

Fields split_fields(const ElementFormat& format, std::uint16_t code) {
  const int mx = format.mantissa_bits;
  const int exponent = (code >> mx) & ((1 << format.exponent_bits) - 1);
  const int mantissa = code & ((1 << mx) - 1);
  return {((code >> (format.code_bits() - 1)) & 1) != 0,
          static_cast<std::uint16_t>(exponent == 0 ? mantissa : mantissa | (1 << mx)),
          static_cast<std::uint8_t>(exponent == 0 ? 0 : exponent - 1)};
}

Accumulation accumulate(std::int64_t accumulator, std::int64_t product, int bits, Overflow overflow) {
  std::int64_t sum = 0;
  const bool beyond_64 = __builtin_add_overflow(accumulator, product, &sum);
  const int unused = 64 - bits;
  const auto wrapped = static_cast<std::int64_t>(static_cast<std::uint64_t>(sum) << unused) >> unused;
  if (!beyond_64 && wrapped == sum) return {sum, false};
  if (overflow == Overflow::kWrap) return {wrapped, true};
  // The accumulator is in range, so the sum leaves it on the product's side.
  const std::int64_t highest = INT64_MAX >> unused;
  return {product < 0 ? -highest - 1 : highest, true};
}

float round_scaled(Int128 q, int shift) {
  const Int128 magnitude = q < 0 ? -q : q;
  // Binary64 holds 53 bits: beyond that, what is cut off is kept as one sticky bit, far below the place where binary32
  // rounds.
  const int cut = bit_length(magnitude) - 52;
  if (cut <= 1) return static_cast<float>(std::ldexp(static_cast<double>(static_cast<std::int64_t>(q)), -shift));
  const auto kept = static_cast<std::int64_t>(magnitude >> cut);
  const bool sticky = (magnitude & ((Int128{1} << cut) - 1)) != 0;
  const double value = std::ldexp(static_cast<double>(2 * kept + (sticky ? 1 : 0)), cut - 1 - shift);
  return static_cast<float>(q < 0 ? -value : value);
}

GroupScaler::GroupScaler(const MlsFormat& left, const MlsFormat& right)
    : left_fraction_bits(left.scale.fraction_bits),
      right_fraction_bits(right.scale.fraction_bits),
      unit_exponent(left.element.unit_exponent() + right.element.unit_exponent()) {}

Int128 GroupScaler::scale_fractions(std::int64_t sum, int left_fraction, int right_fraction) const {
  Int128 q = sum;
  q = (q << left_fraction_bits) + q * left_fraction;
  return (q << right_fraction_bits) + q * right_fraction;
}

float GroupScaler::scale(std::int64_t sum, int left_exponent, int left_fraction, int right_exponent,
                         int right_fraction) const {
  return round_scaled(scale_fractions(sum, left_fraction, right_fraction),
                      left_fraction_bits + right_fraction_bits + left_exponent + right_exponent + unit_exponent);
}

}  // namespace mlsim::models
