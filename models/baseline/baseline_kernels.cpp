#include "models/baseline/baseline_kernels.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/baseline/baseline_kernels.cpp"
#include "hwy/foreach_target.h"
// After foreach_target.h.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace mlsim::models::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

using FloatTag = hn::ScalableTag<float>;
using IntTag = hn::RebindToSigned<FloatTag>;
using WordTag = hn::RebindToUnsigned<FloatTag>;

float power_of_two(int exponent) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(127 + exponent) << 23);
}

template <bool kStochastic>
void round_vectors(const GridRounding& rounding, const float* input, const std::uint32_t* words, std::size_t count,
                   float* output) {
  const BaselineGrid& grid = rounding.grid;
  const int random_bits = rounding.random_bits;
  const FloatTag df;
  const IntTag di;
  const WordTag du;
  const std::size_t lanes = hn::Lanes(df);
  // Of normal numbers the low bits of the encoding go; a carry into the exponent is right by itself.
  const int dropped = 23 - grid.mantissa_bits;
  const auto divisor = hn::Set(df, rounding.scale);
  // Magnitudes as integers order as the numbers do.
  const auto smallest_normal = hn::Set(di, static_cast<std::int32_t>(grid.smallest_normal));
  const auto largest = hn::Set(di, static_cast<std::int32_t>(grid.largest));
  const auto step = hn::Set(df, grid.step);
  const auto inverse_step = hn::Set(df, grid.inverse_step);
  const auto rest_bits = hn::Set(di, static_cast<std::int32_t>((1U << dropped) - 1));
  const auto random_range = hn::Set(di, std::int32_t{1} << random_bits);
  // Of a step; of the last bits of an encoding.
  const auto random_unit = hn::Set(df, power_of_two(-random_bits));
  const auto random_bits_unit = hn::Set(df, power_of_two(dropped - random_bits));
  const auto sign_of_zero = hn::Set(di, grid.negative_zero ? -1 : 0);

  for (std::size_t i = 0; i < count; i += lanes) {
    const auto y = hn::Div(hn::LoadU(df, input + i), divisor);
    const auto magnitude = hn::Abs(y);
    const auto bits = hn::BitCast(di, magnitude);
    const auto n = hn::Mul(magnitude, inverse_step);
    auto places = n;
    auto normal = bits;
    if constexpr (kStochastic) {
      const auto rho = hn::BitCast(di, hn::ShiftRightSame(hn::LoadU(du, words + i), 32 - random_bits));
      const auto threshold = hn::ConvertTo(df, hn::Sub(random_range, rho));
      const auto floor = hn::Floor(n);
      const auto up = hn::Ge(hn::Sub(n, floor), hn::Mul(threshold, random_unit));
      places = hn::Add(floor, hn::IfThenElseZero(up, hn::Set(df, 1.0F)));
      const auto rest = hn::ConvertTo(df, hn::And(bits, rest_bits));
      const auto normal_up = hn::RebindMask(di, hn::Ge(rest, hn::Mul(threshold, random_bits_unit)));
      normal = hn::Add(bits, hn::IfThenElseZero(normal_up, hn::Set(di, std::int32_t{1} << dropped)));
    } else {
      places = hn::Round(n);  // ties to even
      const auto odd = hn::And(hn::ShiftRightSame(bits, dropped), hn::Set(di, 1));
      normal = hn::Add(bits, hn::Add(hn::Set(di, (std::int32_t{1} << (dropped - 1)) - 1), odd));
    }
    normal = hn::AndNot(rest_bits, normal);
    const auto subnormal = hn::BitCast(di, hn::Mul(places, step));
    const auto rounded = hn::Min(hn::IfThenElse(hn::Lt(bits, smallest_normal), subnormal, normal), largest);
    const auto signs = hn::And(hn::BitCast(di, y), hn::Set(di, std::numeric_limits<std::int32_t>::min()));
    const auto nonzero = hn::VecFromMask(di, hn::Ne(rounded, hn::Zero(di)));
    const auto sign = hn::And(signs, hn::Or(nonzero, sign_of_zero));
    hn::StoreU(hn::BitCast(df, hn::Or(rounded, sign)), df, output + i);
  }
}

template <bool kStochastic>
void round_any(const GridRounding& rounding, const float* input, const std::uint32_t* words, std::size_t count,
               float* output) {
  const std::size_t lanes = hn::Lanes(FloatTag());
  const std::size_t whole = count - count % lanes;
  round_vectors<kStochastic>(rounding, input, words, whole, output);
  if (whole == count) return;
  constexpr std::size_t kLanes = HWY_MAX_BYTES / sizeof(float);
  HWY_ALIGN float last_input[kLanes] = {};
  HWY_ALIGN std::uint32_t last_words[kLanes] = {};
  HWY_ALIGN float last_output[kLanes];
  std::copy(input + whole, input + count, last_input);
  if (kStochastic) std::copy(words + whole, words + count, last_words);
  round_vectors<kStochastic>(rounding, last_input, last_words, lanes, last_output);
  std::copy_n(last_output, count - whole, output + whole);
}

void round_to_grid(const GridRounding& rounding, const float* input, const std::uint32_t* words, std::size_t count,
                   float* output) {
  if (rounding.rounding == Rounding::kStochastic) {
    round_any<true>(rounding, input, words, count, output);
  } else {
    round_any<false>(rounding, input, words, count, output);
  }
}

QuantizationCounts count_rounded(float scale, const float* input, const float* values, std::size_t count) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const hn::ScalableTag<double> dd;
  const hn::Rebind<float, decltype(dd)> df;
  const std::size_t lanes = hn::Lanes(dd);
  const auto factor = hn::Set(dd, static_cast<double>(scale));
  QuantizationCounts counts;
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto x = hn::LoadU(df, input + i);
    const auto value = hn::LoadU(df, values + i);
    const auto zero = hn::Zero(df);
    counts.saturated += hn::CountTrue(df, hn::Eq(hn::Abs(value), hn::Set(df, kInfinity)));
    counts.flushed_to_zero += hn::CountTrue(df, hn::And(hn::Ne(x, zero), hn::Eq(value, zero)));
    counts.exact += hn::CountTrue(dd, hn::Eq(hn::Mul(factor, hn::PromoteTo(dd, value)), hn::PromoteTo(dd, x)));
  }
  for (; i < count; ++i) {
    if (std::fabs(values[i]) == kInfinity) ++counts.saturated;
    if (input[i] != 0 && values[i] == 0) ++counts.flushed_to_zero;
    if (static_cast<double>(scale) * static_cast<double>(values[i]) == static_cast<double>(input[i])) ++counts.exact;
  }
  return counts;
}

}  // namespace
}  // namespace mlsim::models::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mlsim::models {

HWY_EXPORT(round_to_grid);
HWY_EXPORT(count_rounded);

void round_to_grid(const GridRounding& rounding, const float* input, const std::uint32_t* words, std::size_t count,
                   float* output) {
  HWY_DYNAMIC_DISPATCH(round_to_grid)(rounding, input, words, count, output);
}

QuantizationCounts count_rounded(float scale, const float* input, const float* values, std::size_t count) {
  return HWY_DYNAMIC_DISPATCH(count_rounded)(scale, input, values, count);
}

}  // namespace mlsim::models
#endif
