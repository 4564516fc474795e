#include "models/quantizer/quantizer_datapath.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <limits>

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

// Of a positive number.
int floor_log2(float value) {
  return normalized(value).exponent + 23;
}

bool is_power_of_two(float value) {
  return normalized(value).significand == 1U << 23;
}

}  // namespace

TileScale encode_scale(const ScaleFormat& format, float ratio) {
  assert(ratio >= 0 && ratio <= 1);
  const int mg = format.fraction_bits;
  if (ratio == 0) return smallest_scale(format);
  const auto [significand, exponent] = normalized(ratio);
  const int dropped = 23 - mg;
  // The bits below the fraction round it up; a carry out of it goes into the exponent.
  const std::uint32_t scaled = (significand + (1U << dropped) - 1) >> dropped;
  const bool carry = scaled >> (mg + 1) != 0;
  const int h = -(exponent + 23) - (carry ? 1 : 0);
  if (h > format.max_exponent()) return smallest_scale(format);
  return {static_cast<std::int16_t>(-h - mg), static_cast<std::uint8_t>(carry ? 1U << mg : scaled)};
}

int mx_scale_exponent(const ScaledFormat& format, float maximum) {
  const float largest = format.element.largest();
  const int emax = floor_log2(largest);
  int exponent = -127;
  if (maximum != 0) {
    switch (format.rule) {
      case ScaleRule::kCeil:
        exponent = floor_log2(maximum) + (is_power_of_two(maximum) ? 0 : 1) - emax;
        break;
      case ScaleRule::kEven: {
        const int mx = format.element.exponent_bits == 0 ? 6 : format.element.mantissa_bits;
        // Rounding the significand up carries into the exponent; beyond the finite numbers it is that of infinity.
        const auto rounded = std::bit_cast<float>(std::bit_cast<std::uint32_t>(maximum) + (1U << (22 - mx)));
        exponent = floor_log2(rounded) - emax;
        break;
      }
      case ScaleRule::kRceil: {
        const float ratio = maximum * (1 / largest);
        if (ratio != 0) exponent = floor_log2(ratio) + (is_power_of_two(ratio) ? 0 : 1);
        break;
      }
      default:
        exponent = floor_log2(maximum) - emax;
        break;
    }
  }
  return std::clamp(exponent, -127, 127);
}

Nvfp4Scaler::Nvfp4Scaler(float maximum)
    : encode_scale_(maximum == 0 ? 1 : std::min(2688 / maximum, kLargestFloat)), tensor_scale_(1 / encode_scale_) {}

TileScale Nvfp4Scaler::scale_of(float maximum) const {
  const float scale = encode_scale_ * (1.0F / 6.0F);
  const float clamped = std::min(maximum * scale, 448.0F);
  if (clamped == 0) return {-9, 0};
  const auto [significand, exponent] = normalized(clamped);
  // In units of the binade's last place, or of the subnormal numbers', to nearest even.
  const int last_place = std::max(exponent + 20, -9);
  const int dropped = last_place - exponent;
  if (dropped > 24) return {-9, 0};
  const std::uint32_t whole = significand >> dropped;
  const std::uint32_t rest = significand - (whole << dropped);
  const std::uint32_t half = 1U << (dropped - 1);
  const std::uint32_t rounded = whole + (rest > half || (rest == half && whole % 2 == 1) ? 1 : 0);
  if (rounded == 16) return {static_cast<std::int16_t>(last_place + 1), 8};
  return {static_cast<std::int16_t>(last_place), static_cast<std::uint8_t>(rounded)};
}

float Nvfp4Scaler::factor_of(TileScale scale) const {
  const float product = scale_value(scale) * tensor_scale_;
  return std::min(1 / product, kLargestFloat);
}

float scale_value(TileScale scale) {
  return std::ldexp(static_cast<float>(scale.significand), scale.exponent);
}

std::uint16_t round_to_code(const ElementFormat& format, float magnitude, int exponent, bool negative,
                            const RoundingMode& mode, std::uint32_t random) {
  if (magnitude == 0) return 0;
  const auto [significand, own_exponent] = normalized(magnitude);
  // w = significand · 2^binary_point; its leading bit has weight 2^(binary_point + 23).
  const int binary_point = own_exponent + exponent;
  const int d = format.exponent_bits == 0 ? 0 : std::max(binary_point + 23 - format.mantissa_bits, 0);
  const int dropped = d - binary_point;
  // So far down, no random number rounds up: the fraction is below 2^-24.
  if (dropped >= 48) return 0;
  assert(dropped > 0);
  const std::uint64_t whole = std::uint64_t{significand} >> dropped;
  const std::uint64_t rest = significand - (whole << dropped);
  bool up = false;
  if (mode.rounding == Rounding::kNearest) {
    const std::uint64_t half = std::uint64_t{1} << (dropped - 1);
    up = rest > half || (rest == half && (whole & 1) != 0);
  } else {
    // rest · 2^-dropped >= 1 - random · 2^-R, where 2^(R + dropped) may take 72 bits.
    __extension__ using Wide = unsigned __int128;
    up = (Wide{rest} << mode.random_bits) >= (Wide{(std::uint64_t{1} << mode.random_bits) - random} << dropped);
  }
  const auto k = std::min(static_cast<std::int64_t>((whole + (up ? 1 : 0)) << d), format.max_integer());
  return encode_element(format, negative ? -k : k);
}

QuantizerUnit::QuantizerUnit(const ScaledFormat& format, float maximum)
    : format_(format),
      nvfp4_(maximum),
      largest_element_(format.rule == ScaleRule::kFit ? format.element.largest() : 1.0F),
      tensor_scale_(format.scale.kind == ScaleKind::kE8m0   ? 1.0F
                    : format.scale.kind == ScaleKind::kE4m3 ? nvfp4_.tensor_scale()
                                                            : std::min(maximum / largest_element_, kLargestFloat)) {}

TileScale QuantizerUnit::scale_of(float maximum) const {
  switch (format_.scale.kind) {
    case ScaleKind::kE8m0:
      return {static_cast<std::int16_t>(mx_scale_exponent(format_, maximum)), 1};
    case ScaleKind::kE4m3:
      return nvfp4_.scale_of(maximum);
    case ScaleKind::kMls:
      break;
  }
  const float ratio = maximum / tensor_scale_;
  return encode_scale(format_.scale, std::min(ratio / largest_element_, 1.0F));
}

std::uint16_t QuantizerUnit::code_of(float x, TileScale scale, const RoundingMode& mode, std::uint32_t random) const {
  const float magnitude = std::fabs(x);
  const int unit = format_.element.unit_exponent();
  const bool negative = std::signbit(x);
  switch (format_.scale.kind) {
    case ScaleKind::kE8m0:
      return round_to_code(format_.element, magnitude, unit - scale.exponent, negative, mode, random);
    case ScaleKind::kE4m3:
      return round_to_code(format_.element, std::min(magnitude * nvfp4_.factor_of(scale), 6.0F), unit, negative, mode,
                           random);
    case ScaleKind::kMls:
      break;
  }
  const float ratio = magnitude / tensor_scale_;
  return round_to_code(format_.element, ratio / scale_value(scale), unit, negative, mode, random);
}

}  // namespace mlsim::models
