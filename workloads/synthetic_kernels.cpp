#include "workloads/synthetic_kernels.h"

#include <algorithm>
#include <numbers>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "workloads/synthetic_kernels.cpp"
#include "hwy/foreach_target.h"
// After foreach_target.h.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace mlsim::workloads::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

using DoubleTag = hn::ScalableTag<double>;
using BitsTag = hn::RebindToUnsigned<DoubleTag>;
using Doubles = hn::Vec<DoubleTag>;
using Bits = hn::Vec<BitsTag>;

HWY_INLINE Doubles constant(double value) {
  return hn::Set(DoubleTag(), value);
}

// Exact, of integers below 2^52: as fraction bits of 2^52.
HWY_INLINE Doubles to_double(Bits integer) {
  const auto bits = hn::Or(integer, hn::Set(BitsTag(), 0x4330000000000000));
  return hn::Sub(hn::BitCast(DoubleTag(), bits), constant(0x1p52));
}

// ln u of normal numbers, from u = m · 2^e with m in [sqrt(1/2), sqrt(2)) and ln m = 2 artanh((m - 1) / (m + 1)).
HWY_INLINE Doubles natural_log(Doubles u) {
  const DoubleTag d;
  const BitsTag bits;
  const auto word = hn::BitCast(bits, u);
  const auto fraction = hn::And(word, hn::Set(bits, 0x000FFFFFFFFFFFFF));
  auto m = hn::BitCast(d, hn::Or(fraction, hn::Set(bits, 0x3FE0000000000000)));
  auto exponent = hn::Sub(to_double(hn::ShiftRight<52>(word)), constant(1022));
  const auto low = hn::Lt(m, constant(std::numbers::sqrt2 / 2));
  m = hn::IfThenElse(low, hn::Add(m, m), m);
  exponent = hn::Sub(exponent, hn::IfThenElseZero(low, constant(1)));
  const auto s = hn::Div(hn::Sub(m, constant(1)), hn::Add(m, constant(1)));
  const auto square = hn::Mul(s, s);
  auto sum = hn::Zero(d);
  for (int power = 23; power >= 1; power -= 2) sum = hn::Add(hn::Mul(sum, square), constant(1.0 / power));
  return hn::Add(hn::Mul(exponent, constant(std::numbers::ln2)), hn::Mul(hn::Add(s, s), sum));
}

// cos(2π w · 2^-32) of integers w below 2^32, from the Taylor series of cosine or sine on at most a quarter of π.
HWY_INLINE Doubles cosine_of_turns(Bits w) {
  const DoubleTag d;
  const BitsTag bits;
  const auto quadrant = hn::ShiftRight<1>(hn::Add(hn::ShiftRight<29>(w), hn::Set(bits, 1)));  // the nearest one
  const auto offset = hn::Sub(hn::Mul(to_double(w), constant(0x1p-32)), hn::Mul(to_double(quadrant), constant(0.25)));
  const auto angle = hn::Mul(constant(2 * std::numbers::pi), offset);
  const auto minus_square = hn::Neg(hn::Mul(angle, angle));
  const auto is_sine = hn::MaskFromVec(
      hn::BitCast(d, hn::Neg(hn::BitCast(hn::RebindToSigned<BitsTag>(), hn::And(quadrant, hn::Set(bits, 1))))));
  auto sum = hn::Zero(d);
  for (int n = 18; n >= 2; n -= 2) {
    const auto divisor = hn::IfThenElse(is_sine, constant(n * (n + 1)), constant(n * (n - 1)));
    sum = hn::Mul(hn::Add(constant(1), sum), hn::Div(minus_square, divisor));
  }
  const auto value = hn::IfThenElse(is_sine, hn::Add(angle, hn::Mul(angle, sum)), hn::Add(constant(1), sum));
  // Negative in the quadrants 1 and 2: bit 1 of the quadrant plus 1.
  const auto sign = hn::ShiftLeft<62>(hn::And(hn::Add(quadrant, hn::Set(bits, 1)), hn::Set(bits, 2)));
  return hn::Xor(value, hn::BitCast(d, sign));
}

template <Distribution kDistribution>
HWY_INLINE Doubles value_of(Bits words) {
  const DoubleTag d;
  const BitsTag bits;
  const auto word0 = hn::And(words, hn::Set(bits, 0xFFFFFFFF));
  const auto word1 = hn::ShiftRight<32>(words);
  const auto u = hn::Mul(hn::Add(to_double(word0), constant(0.5)), constant(0x1p-32));
  if constexpr (kDistribution == Distribution::kUniform) {
    return hn::Sub(hn::Add(u, u), constant(1));
  } else if constexpr (kDistribution == Distribution::kLaplace) {
    const auto sign = hn::ShiftLeft<63>(hn::ShiftRight<31>(word1));
    return hn::Xor(natural_log(u), hn::BitCast(d, sign));
  } else {
    const auto normal = hn::Mul(hn::Sqrt(hn::Mul(constant(-2), natural_log(u))), cosine_of_turns(word1));
    if constexpr (kDistribution == Distribution::kNormal) return normal;
    return hn::IfThenElseZero(hn::Gt(normal, hn::Zero(d)), normal);
  }
}

template <Distribution kDistribution>
void fill(double scale, const std::uint32_t* HWY_RESTRICT words, std::size_t count, float* HWY_RESTRICT values) {
  const DoubleTag d;
  const BitsTag bits;
  const hn::Rebind<float, DoubleTag> df;
  const std::size_t lanes = hn::Lanes(d);
  const auto evaluate = [&](const std::uint32_t* from, float* to) HWY_ATTR {
    // The first word of an element lies in the lower half of its lane.
    const auto pair = hn::LoadU(bits, reinterpret_cast<const std::uint64_t*>(from));
    hn::StoreU(hn::DemoteTo(df, hn::Mul(hn::Set(d, scale), value_of<kDistribution>(pair))), df, to);
  };
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) evaluate(words + 2 * i, values + i);
  if (i == count) return;
  constexpr std::size_t kLanes = HWY_MAX_BYTES / sizeof(double);
  HWY_ALIGN std::uint32_t last_words[2 * kLanes] = {};
  HWY_ALIGN float last_values[kLanes];
  std::copy(words + 2 * i, words + 2 * count, last_words);
  evaluate(last_words, last_values);
  std::copy_n(last_values, count - i, values + i);
}

void synthetic_values(Distribution distribution, double scale, const std::uint32_t* words, std::size_t count,
                      float* values) {
  switch (distribution) {
    case Distribution::kNormal:
      return fill<Distribution::kNormal>(scale, words, count, values);
    case Distribution::kReluNormal:
      return fill<Distribution::kReluNormal>(scale, words, count, values);
    case Distribution::kUniform:
      return fill<Distribution::kUniform>(scale, words, count, values);
    case Distribution::kLaplace:
      return fill<Distribution::kLaplace>(scale, words, count, values);
  }
}

}  // namespace
}  // namespace mlsim::workloads::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mlsim::workloads {

HWY_EXPORT(synthetic_values);

void synthetic_values(Distribution distribution, double scale, const std::uint32_t* words, std::size_t count,
                      float* values) {
  HWY_DYNAMIC_DISPATCH(synthetic_values)(distribution, scale, words, count, values);
}

}  // namespace mlsim::workloads
#endif
