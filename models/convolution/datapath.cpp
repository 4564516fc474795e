#include "models/convolution/datapath.h"

#include <bit>
#include <cmath>

#include "base/integers.h"

namespace mlsim::models {
namespace {

int bit_length(base::Int128 magnitude) {
  const auto high = static_cast<std::uint64_t>(magnitude >> 64);
  return high != 0 ? 64 + std::bit_width(high) : std::bit_width(static_cast<std::uint64_t>(magnitude));
}

}  // namespace

Fields split_fields(const ElementFormat& format, std::uint16_t code) {
  if (format.twos_complement()) {
    const std::int64_t k = decode_element(format, code);
    return {k < 0, static_cast<std::uint16_t>(k < 0 ? -k : k), 0};
  }
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

Accumulation accumulate_sum(std::int64_t accumulator, base::Int128 products, int bits, Overflow overflow) {
  const base::Int128 sum = accumulator + products;
  const int unused = 64 - bits;
  const auto wrapped = static_cast<std::int64_t>(static_cast<std::uint64_t>(sum) << unused) >> unused;
  if (wrapped == sum) return {wrapped, false};
  if (overflow == Overflow::kWrap) return {wrapped, true};
  const std::int64_t highest = INT64_MAX >> unused;
  return {sum < 0 ? -highest - 1 : highest, true};
}

float round_scaled(base::Int128 q, int shift) {
  const base::Int128 magnitude = q < 0 ? -q : q;
  // Binary64 holds 53 bits: beyond that, what is cut off is kept as one sticky bit, far below the place where binary32
  // rounds.
  const int cut = bit_length(magnitude) - 52;
  if (cut <= 1) return static_cast<float>(std::ldexp(static_cast<double>(static_cast<std::int64_t>(q)), -shift));
  const auto kept = static_cast<std::int64_t>(magnitude >> cut);
  const bool sticky = (magnitude & ((base::Int128{1} << cut) - 1)) != 0;
  const double value = std::ldexp(static_cast<double>(2 * kept + (sticky ? 1 : 0)), cut - 1 - shift);
  return static_cast<float>(q < 0 ? -value : value);
}

GroupScaler::GroupScaler(const ElementFormat& left, const ElementFormat& right)
    : unit_exponent(left.unit_exponent() + right.unit_exponent()) {}

base::Int128 GroupScaler::scale_sum(base::Int128 sum, TileScale left, TileScale right) {
  return sum * (left.significand * right.significand);
}

float GroupScaler::scale(base::Int128 sum, TileScale left, TileScale right) const {
  return round_scaled(scale_sum(sum, left, right), unit_exponent - left.exponent - right.exponent);
}

}  // namespace mlsim::models
