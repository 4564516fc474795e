#include "models/quantizer/quantizer_kernels.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "base/philox.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/quantizer/quantizer_kernels.cpp"
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

void largest_magnitudes(const float* input, std::size_t pairs, std::size_t inner, std::uint32_t* magnitudes) {
  const IntTag d;
  const auto* bits = reinterpret_cast<const std::int32_t*>(input);
  const auto magnitude_bits = hn::Set(d, 0x7FFFFFFF);
  const std::size_t lanes = hn::Lanes(d);
  if (inner == 1) {
    std::size_t i = 0;
    for (; i + lanes <= pairs; i += lanes) {
      const auto magnitude = hn::And(hn::LoadU(d, bits + i), magnitude_bits);
      hn::StoreU(hn::BitCast(WordTag(), magnitude), WordTag(), magnitudes + i);
    }
    for (; i < pairs; ++i) magnitudes[i] = static_cast<std::uint32_t>(bits[i] & 0x7FFFFFFF);
    return;
  }
  for (std::size_t pair = 0; pair < pairs; ++pair, bits += inner) {
    std::int32_t largest = 0;
    if (inner < lanes) {
      for (std::size_t i = 0; i < inner; ++i) largest = std::max(largest, bits[i] & 0x7FFFFFFF);
    } else {
      // The last vector overlaps the one before it.
      auto maximum = hn::And(hn::LoadU(d, bits + inner - lanes), magnitude_bits);
      for (std::size_t i = 0; i + lanes < inner; i += lanes) {
        maximum = hn::Max(maximum, hn::And(hn::LoadU(d, bits + i), magnitude_bits));
      }
      largest = hn::GetLane(hn::MaxOfLanes(d, maximum));
    }
    magnitudes[pair] = static_cast<std::uint32_t>(largest);
  }
}

void raise_magnitudes(const float* input, std::size_t count, std::uint32_t* maxima) {
  const IntTag d;
  const WordTag du;
  const auto* bits = reinterpret_cast<const std::int32_t*>(input);
  const auto magnitude_bits = hn::Set(d, 0x7FFFFFFF);
  const std::size_t lanes = hn::Lanes(d);
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto magnitude = hn::And(hn::LoadU(d, bits + i), magnitude_bits);
    const auto maximum = hn::Max(hn::BitCast(d, hn::LoadU(du, maxima + i)), magnitude);
    hn::StoreU(hn::BitCast(du, maximum), du, maxima + i);
  }
  for (; i < count; ++i) maxima[i] = std::max(maxima[i], static_cast<std::uint32_t>(bits[i] & 0x7FFFFFFF));
}

void find_group_scales(const MlsScaling& scaling, const std::uint32_t* magnitudes, std::size_t count, TileScale* tiles,
                       float* scales) {
  const ScaleFormat& format = scaling.format;
  const FloatTag df;
  const IntTag di;
  const WordTag du;
  constexpr std::size_t kLanes = HWY_MAX_BYTES / sizeof(float);
  const std::size_t lanes = hn::Lanes(df);
  const int mg = format.fraction_bits;
  const int place = 23 - mg;
  const auto up = hn::Set(du, (1U << place) - 1);
  const auto fraction_bits = hn::Set(di, (1 << mg) - 1);
  const auto bias = hn::Set(di, 127);
  const auto smallest = hn::Set(di, format.max_exponent());
  HWY_ALIGN std::int32_t exponents[kLanes];
  HWY_ALIGN std::int32_t fractions[kLanes];
  const auto find = [&](const std::uint32_t* magnitude, std::size_t used, TileScale* tile, float* scale) HWY_ATTR {
    const auto to_tensor = hn::Div(hn::BitCast(df, hn::LoadU(du, magnitude)), hn::Set(df, scaling.tensor_scale));
    const auto ratio = hn::Min(hn::Div(to_tensor, hn::Set(df, scaling.largest_element)), hn::Set(df, 1.0F));
    // Exponent and fraction in one number: rounding the fraction up carries into the exponent. Zeros and subnormal
    // numbers have exponent field 0 or, rounded up, 1: not above the smallest scale.
    const auto rounded_up = hn::BitCast(di, hn::ShiftRightSame(hn::Add(hn::BitCast(du, ratio), up), place));
    const auto exponent = hn::Sub(bias, hn::ShiftRightSame(rounded_up, mg));
    const auto kept = hn::Lt(exponent, hn::Set(di, format.max_exponent() + 1));
    const auto fraction = hn::IfThenElseZero(kept, hn::And(rounded_up, fraction_bits));
    const auto clamped = hn::Min(exponent, smallest);
    const auto bits = hn::Or(hn::ShiftLeft<23>(hn::Sub(bias, clamped)), hn::ShiftLeftSame(fraction, place));
    hn::StoreU(hn::BitCast(df, bits), df, scale);
    hn::Store(clamped, di, exponents);
    hn::Store(fraction, di, fractions);
    for (std::size_t i = 0; i < used; ++i) {
      tile[i] = {static_cast<std::int16_t>(-exponents[i] - mg), static_cast<std::uint8_t>((1 << mg) + fractions[i])};
    }
  };
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) find(magnitudes + i, lanes, tiles + i, scales + i);
  if (i == count) return;
  HWY_ALIGN std::uint32_t last_magnitudes[kLanes] = {};
  HWY_ALIGN float last_scales[kLanes];
  std::copy(magnitudes + i, magnitudes + count, last_magnitudes);
  find(last_magnitudes, count - i, tiles + i, last_scales);
  std::copy_n(last_scales, count - i, scales + i);
}

void find_nvfp4_tiles(const Nvfp4Scaling& scaling, const std::uint32_t* magnitudes, std::size_t count, TileScale* tiles,
                      float* factors, float* units) {
  const FloatTag df;
  const IntTag di;
  const WordTag du;
  constexpr std::size_t kLanes = HWY_MAX_BYTES / sizeof(float);
  constexpr float kFirstNormal = 0x1p-6F;
  const std::size_t lanes = hn::Lanes(df);
  const auto encode_scale = hn::Set(df, scaling.encode_scale);
  const auto tensor_scale = hn::Set(df, scaling.tensor_scale);
  const auto unit = hn::Set(df, std::ldexp(1.0F, -scaling.unit_exponent));
  const auto first_normal = hn::Set(df, kFirstNormal);
  const auto largest = hn::Set(df, std::numeric_limits<float>::max());
  HWY_ALIGN std::int32_t exponents[kLanes];
  HWY_ALIGN std::int32_t significands[kLanes];
  const auto find = [&](const std::uint32_t* magnitude, std::size_t used, TileScale* tile, float* factor,
                        float* own) HWY_ATTR {
    const auto maximum = hn::BitCast(df, hn::LoadU(du, magnitude));
    const auto scale = hn::Min(hn::Mul(maximum, encode_scale), hn::Set(df, 448.0F));
    // 2^20 times the binade, at least the first normal one, plus the scale is rounded by the adder to an eighth of it.
    const auto binade = hn::And(hn::BitCast(du, hn::Max(scale, first_normal)), hn::Set(du, 0x7F800000U));
    const auto magic = hn::BitCast(df, hn::Add(binade, hn::Set(du, 20U << 23)));
    const auto rounded = hn::Sub(hn::Add(scale, magic), magic);
    hn::StoreU(hn::Min(hn::Div(hn::Set(df, 1.0F), hn::Mul(rounded, tensor_scale)), largest), df, factor);
    hn::StoreU(hn::Mul(rounded, unit), df, own);
    const auto normal = hn::RebindMask(di, hn::Ge(rounded, first_normal));
    const auto bits = hn::BitCast(di, rounded);
    const auto eighths = hn::Or(hn::And(hn::ShiftRight<20>(bits), hn::Set(di, 7)), hn::Set(di, 8));
    const auto subnormal = hn::ConvertTo(di, hn::Mul(rounded, hn::Set(df, 0x1p9F)));
    hn::Store(hn::IfThenElse(normal, eighths, subnormal), di, significands);
    hn::Store(hn::IfThenElse(normal, hn::Sub(hn::ShiftRight<23>(bits), hn::Set(di, 130)), hn::Set(di, -9)), di,
              exponents);
    for (std::size_t i = 0; i < used; ++i) {
      tile[i] = {static_cast<std::int16_t>(exponents[i]), static_cast<std::uint8_t>(significands[i])};
    }
  };
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) find(magnitudes + i, lanes, tiles + i, factors + i, units + i);
  if (i == count) return;
  HWY_ALIGN std::uint32_t last_magnitudes[kLanes] = {};
  HWY_ALIGN float last_factors[kLanes];
  HWY_ALIGN float last_units[kLanes];
  std::copy(magnitudes + i, magnitudes + count, last_magnitudes);
  find(last_magnitudes, count - i, tiles + i, last_factors, last_units);
  std::copy_n(last_factors, count - i, factors + i);
  std::copy_n(last_units, count - i, units + i);
}

#if HWY_TARGET == HWY_SCALAR

void random_words(std::uint64_t seed, std::uint64_t stream, std::uint64_t first, std::size_t count,
                  std::uint32_t* words) {
  for (std::size_t i = 0; i < count; ++i) words[i] = base::random_word(seed, stream, first + i);
}

#else

// Philox4x32-10 on one block in each 64-bit lane: every state word lies in the lower half of a lane, and what the upper
// half holds is never read.
void random_words(std::uint64_t seed, std::uint64_t stream, std::uint64_t first, std::size_t count,
                  std::uint32_t* words) {
  const hn::ScalableTag<std::uint64_t> d;
  const hn::RepartitionToNarrow<decltype(d)> d32;
  const std::size_t lanes = hn::Lanes(d);
  const auto multiplier0 = hn::Set(d, 0xD2511F53);
  const auto multiplier1 = hn::Set(d, 0xCD9E8D57);
  const auto multiply = [&](auto a, auto b) HWY_ATTR { return hn::MulEven(hn::BitCast(d32, a), hn::BitCast(d32, b)); };
  const std::uint64_t first_block = first / 4;
  const std::size_t blocks = count / 4;
  HWY_ALIGN std::uint64_t last[2 * HWY_MAX_BYTES / sizeof(std::uint64_t)];
  for (std::size_t block = 0; block < blocks; block += lanes) {
    const auto index = hn::Add(hn::Set(d, first_block + block), hn::Iota(d, 0));
    auto c0 = index;
    auto c1 = hn::ShiftRight<32>(index);
    auto c2 = hn::Set(d, stream);
    auto c3 = hn::Set(d, stream >> 32);
    auto key0 = static_cast<std::uint32_t>(seed);
    auto key1 = static_cast<std::uint32_t>(seed >> 32);
    for (int round = 0; round < 10; ++round) {
      const auto product0 = multiply(c0, multiplier0);
      const auto product1 = multiply(c2, multiplier1);
      c0 = hn::Xor(hn::Xor(hn::ShiftRight<32>(product1), c1), hn::Set(d, key0));
      c1 = product1;
      c2 = hn::Xor(hn::Xor(hn::ShiftRight<32>(product0), c3), hn::Set(d, key1));
      c3 = product0;
      key0 += 0x9E3779B9U;
      key1 += 0xBB67AE85U;
    }
    const auto lower_half = hn::Set(d, 0xFFFFFFFFU);
    const auto words01 = hn::Or(hn::And(c0, lower_half), hn::ShiftLeft<32>(c1));
    const auto words23 = hn::Or(hn::And(c2, lower_half), hn::ShiftLeft<32>(c3));
    auto* target = reinterpret_cast<std::uint64_t*>(words + 4 * block);
    if (block + lanes <= blocks) {
      hn::StoreInterleaved2(words01, words23, d, target);
    } else {
      hn::StoreInterleaved2(words01, words23, d, last);
      std::copy_n(last, 2 * (blocks - block), target);
    }
  }
}

#endif  // HWY_TARGET == HWY_SCALAR

float power_of_two(int exponent) {
  return std::ldexp(1.0F, exponent);
}

// Whether a multiply-subtract rounds once.
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2
constexpr bool kFused = true;
#else
constexpr bool kFused = false;
#endif

// Elements of a vector with w = k whose value is the input's, given the scales of each.
std::size_t count_exact(hn::Vec<FloatTag> magnitude, hn::Vec<FloatTag> w, hn::Vec<FloatTag> k, const float* units,
                        double tensor_unit) {
  const FloatTag df;
  const hn::ScalableTag<double> dd;
  const hn::Rebind<float, decltype(dd)> half;
  HWY_ALIGN float magnitudes[HWY_MAX_BYTES / sizeof(float)];
  HWY_ALIGN float ks[HWY_MAX_BYTES / sizeof(float)];
  hn::Store(magnitude, df, magnitudes);
  // No value is below 0.
  hn::Store(hn::IfThenElse(hn::Eq(w, k), k, hn::Set(df, -1.0F)), df, ks);
  std::size_t exact = 0;
  for (std::size_t i = 0; i < hn::Lanes(df); i += hn::Lanes(dd)) {
    // Exact: 24 + 4 + 11 significant bits.
    const auto integer = hn::PromoteTo(dd, hn::Load(half, ks + i));
    const auto unit = hn::Mul(hn::Set(dd, tensor_unit), hn::PromoteTo(dd, hn::LoadU(half, units + i)));
    const auto same = hn::Eq(hn::PromoteTo(dd, hn::Load(half, magnitudes + i)), hn::Mul(unit, integer));
    exact += hn::CountTrue(dd, hn::And(same, hn::Ge(integer, hn::Zero(dd))));
  }
  return exact;
}

// Rounds whole vectors; the constants stay in registers.
template <ScaleKind kScale, bool kStochastic, typename Output>
class Rounder {
 public:
  explicit Rounder(const ElementRounding& rounding)
      : mantissa_bits_(rounding.format.mantissa_bits),
        sign_position_(rounding.format.code_bits() - 1),
        random_shift_(32 - rounding.random_bits),
        random_range_(std::int32_t{1} << rounding.random_bits),
        random_unit_(power_of_two(-rounding.random_bits)),
        tensor_scale_(rounding.tensor_scale),
        unit_(power_of_two(rounding.format.unit_exponent())),
        first_normal_(power_of_two(rounding.format.mantissa_bits)),
        largest_(static_cast<float>(rounding.format.max_integer())),
        twos_complement_(rounding.format.twos_complement()) {}

  // As long as it is so that its constants stay in registers over the whole loop.
  QuantizationCounts run(const float* HWY_RESTRICT input, const ElementScales& scales,
                         const std::uint32_t* HWY_RESTRICT words, std::size_t count, Output* output) const {
    const FloatTag df;
    const IntTag di;
    const WordTag du;
    const hn::Rebind<std::uint16_t, FloatTag> d16;
    const std::size_t lanes = hn::Lanes(df);
    const auto zero = hn::Zero(df);
    const auto tensor_scale = hn::Set(df, tensor_scale_);
    const auto unit = hn::Set(df, unit_);
    const auto inverse_unit = hn::Set(df, 1 / unit_);
    const auto first_normal = hn::Set(df, first_normal_);
    const auto largest = hn::Set(df, largest_);
    const auto exponent_field = hn::Set(du, 0x7F800000U);
    // What `unit` of an element, or its S_g, is multiplied with to become its value.
    const double tensor_unit = kScale == ScaleKind::kMls ? double{tensor_scale_} / unit_ : double{tensor_scale_};
    const float* const units = kScale == ScaleKind::kMls ? scales.factor : scales.unit;
    auto saturated = hn::Zero(di);
    auto flushed = hn::Zero(di);
    auto inexact = hn::Zero(di);
    std::size_t unlike = 0;  // more inexact ones, found in binary64

    for (std::size_t i = 0; i < count; i += lanes) {
      const auto x = hn::LoadU(df, input + i);
      const auto factor = hn::LoadU(df, scales.factor + i);
      const auto magnitude = hn::Abs(x);
      auto w = magnitude;
      auto beyond = hn::Gt(zero, zero);
      if constexpr (kScale == ScaleKind::kMls) {
        w = hn::Mul(hn::Div(hn::Div(magnitude, tensor_scale), factor), unit);
      } else if constexpr (kScale == ScaleKind::kE8m0) {
        w = hn::Mul(magnitude, factor);
      } else {
        const auto scaled = hn::Mul(magnitude, factor);
        beyond = hn::Gt(scaled, hn::Set(df, 6.0F));
        w = hn::Mul(hn::Min(scaled, hn::Set(df, 6.0F)), unit);
      }

      // 2^(Mx + d): the binade of w, but not below the first one with a hidden bit. Without exponent bits w <= 2^Mx, so
      // d is 0 there too.
      const auto binade = hn::And(hn::BitCast(du, hn::Max(w, first_normal)), exponent_field);
      auto rounded = w;
      if constexpr (kStochastic) {
        const auto step = hn::BitCast(df, hn::Sub(binade, exponent_bits(du, mantissa_bits_)));
        const auto inverse_step = hn::BitCast(df, hn::Sub(exponent_bits(du, 254 + mantissa_bits_), binade));
        const auto n = hn::Mul(w, inverse_step);
        const auto floor = hn::Floor(n);
        const auto rho = hn::BitCast(di, hn::ShiftRightSame(hn::LoadU(du, words + i), random_shift_));
        const auto threshold =
            hn::Mul(hn::ConvertTo(df, hn::Sub(hn::Set(di, random_range_), rho)), hn::Set(df, random_unit_));
        const auto up = hn::Ge(hn::Sub(n, floor), threshold);
        rounded = hn::Mul(hn::Add(floor, hn::IfThenElseZero(up, hn::Set(df, 1.0F))), step);
      } else {
        // 2^(23 + d) + w is rounded by the adder to a multiple of 2^d, ties to even.
        const auto magic = hn::BitCast(df, hn::Add(binade, exponent_bits(du, 23 - mantissa_bits_)));
        rounded = hn::Sub(hn::Add(w, magic), magic);
      }
      const auto k = hn::Min(rounded, largest);
      const auto nonzero = hn::Ne(k, zero);
      const auto input_nonzero = hn::Ne(x, zero);

      saturated = count_if(saturated, hn::Or(beyond, hn::Gt(rounded, largest)));
      if constexpr (kScale == ScaleKind::kE4m3) {
        // Neither is w = k where the value is the input's, since c is rounded, nor is the value 0 where k is, since the
        // scale may be.
        const auto own = hn::Mul(hn::LoadU(df, units + i), k);
        flushed = count_if(flushed, hn::AndNot(hn::Ne(own, zero), input_nonzero));
        const auto product = hn::Mul(tensor_scale, own);
        auto exact = hn::Eq(product, magnitude);
        auto in_doubles = hn::And(exact, input_nonzero);
        if constexpr (kFused) {
          // S_t times at most 8 bits: the product and what its rounding leaves, which must not underflow.
          exact = hn::And(exact, hn::Eq(hn::MulSub(tensor_scale, own, product), zero));
          in_doubles = hn::And(in_doubles, hn::Lt(magnitude, hn::Set(df, 0x1p-100F)));
        }
        if (hn::AllFalse(df, in_doubles)) {
          inexact = count_if(inexact, hn::Not(exact));
        } else {
          unlike += lanes - count_exact(magnitude, k, k, units + i, tensor_unit);
        }
      } else {
        const auto becomes_zero = hn::AndNot(nonzero, input_nonzero);
        const auto equal = hn::Eq(w, k);
        flushed = count_if(flushed, becomes_zero);
        // A product with a power of two rounds where it underflows alone.
        inexact = count_if(inexact, kScale == ScaleKind::kE8m0 ? hn::Or(hn::Ne(w, k), becomes_zero) : hn::Ne(w, k));
        if (kScale == ScaleKind::kMls && !hn::AllFalse(df, hn::And(input_nonzero, equal))) {
          unlike += hn::CountTrue(df, equal) - count_exact(magnitude, w, k, units + i, tensor_unit);
        }
      }

      if constexpr (std::is_same_v<Output, float>) {
        const auto value =
            hn::Mul(k, kScale == ScaleKind::kMls ? hn::Mul(factor, inverse_unit) : hn::LoadU(df, scales.unit + i));
        hn::StoreU(hn::IfThenElseZero(hn::Ne(value, zero), hn::CopySignToAbs(value, x)), df, output + i);
      } else {
        const auto k_bits = hn::BitCast(du, k);
        // Exponent 1 belongs to the first binade with a hidden bit.
        const auto normal = hn::Sub(hn::ShiftRightSame(k_bits, 23 - mantissa_bits_),
                                    hn::Set(du, static_cast<std::uint32_t>(126 + mantissa_bits_) << mantissa_bits_));
        const auto subnormal = hn::BitCast(du, hn::ConvertTo(di, k));
        const auto code = hn::IfThenElse(hn::RebindMask(du, hn::Lt(k, first_normal)), subnormal, normal);
        const auto negative = hn::ShiftRight<31>(hn::BitCast(du, x));
        auto word =
            hn::Or(code, hn::IfThenElseZero(hn::RebindMask(du, nonzero), hn::ShiftLeftSame(negative, sign_position_)));
        if (twos_complement_) {
          const auto all = hn::Set(du, (2U << sign_position_) - 1);
          word = hn::And(hn::IfThenElse(hn::Eq(negative, hn::Zero(du)), code, hn::Sub(hn::Zero(du), code)), all);
        }
        hn::StoreU(hn::DemoteTo(d16, hn::BitCast(di, word)), d16, output + i);
      }
    }
    return {.saturated = total(saturated), .flushed_to_zero = total(flushed), .exact = count - total(inexact) - unlike};
  }

 private:
  static hn::Vec<WordTag> exponent_bits(WordTag du, int exponent) {
    return hn::Set(du, static_cast<std::uint32_t>(exponent) << 23);
  }
  static hn::Vec<IntTag> count_if(hn::Vec<IntTag> counts, hn::Mask<FloatTag> mask) {
    const IntTag di;
    return hn::Sub(counts, hn::VecFromMask(di, hn::RebindMask(di, mask)));
  }
  static std::uint64_t total(hn::Vec<IntTag> counts) {
    return static_cast<std::uint64_t>(hn::GetLane(hn::SumOfLanes(IntTag(), counts)));
  }

  int mantissa_bits_;
  int sign_position_;
  int random_shift_;
  std::int32_t random_range_;
  float random_unit_;
  float tensor_scale_;
  float unit_;
  float first_normal_;
  float largest_;
  bool twos_complement_;
};

template <ScaleKind kScale, bool kStochastic, typename Output>
QuantizationCounts round_elements(const ElementRounding& rounding, const float* input, const ElementScales& scales,
                                  const std::uint32_t* words, std::size_t count, Output* output) {
  const Rounder<kScale, kStochastic, Output> rounder(rounding);
  const std::size_t lanes = hn::Lanes(FloatTag());
  const std::size_t whole = count - count % lanes;
  QuantizationCounts counts = rounder.run(input, scales, words, whole, output);
  if (whole == count) return counts;

  // The rest fills a vector up with zeros, which count as exact alone.
  constexpr std::size_t kLanes = HWY_MAX_BYTES / sizeof(float);
  HWY_ALIGN float last_input[kLanes] = {};
  HWY_ALIGN float last_factors[kLanes];
  HWY_ALIGN float last_units[kLanes];
  HWY_ALIGN std::uint32_t last_words[kLanes] = {};
  HWY_ALIGN Output last_output[kLanes];
  const std::size_t rest = count - whole;
  std::copy_n(input + whole, rest, last_input);
  std::fill_n(std::copy_n(scales.factor + whole, rest, last_factors), kLanes - rest, 1.0F);
  if (kScale != ScaleKind::kMls) std::fill_n(std::copy_n(scales.unit + whole, rest, last_units), kLanes - rest, 1.0F);
  if (kStochastic) std::copy_n(words + whole, rest, last_words);
  const QuantizationCounts last = rounder.run(last_input, {last_factors, last_units}, last_words, lanes, last_output);
  std::copy_n(last_output, rest, output + whole);
  counts.saturated += last.saturated;
  counts.flushed_to_zero += last.flushed_to_zero;
  counts.exact += last.exact - (lanes - rest);
  return counts;
}

template <ScaleKind kScale, typename Output>
QuantizationCounts round_in_mode(const ElementRounding& rounding, const float* input, const ElementScales& scales,
                                 const std::uint32_t* words, std::size_t count, Output* output) {
  return rounding.rounding == Rounding::kStochastic
             ? round_elements<kScale, true>(rounding, input, scales, words, count, output)
             : round_elements<kScale, false>(rounding, input, scales, words, count, output);
}

template <typename Output>
QuantizationCounts round_all(const ElementRounding& rounding, const float* input, const ElementScales& scales,
                             const std::uint32_t* words, std::size_t count, Output* output) {
  switch (rounding.scale) {
    case ScaleKind::kE8m0:
      return round_in_mode<ScaleKind::kE8m0>(rounding, input, scales, words, count, output);
    case ScaleKind::kE4m3:
      return round_in_mode<ScaleKind::kE4m3>(rounding, input, scales, words, count, output);
    case ScaleKind::kMls:
      break;
  }
  return round_in_mode<ScaleKind::kMls>(rounding, input, scales, words, count, output);
}

QuantizationCounts round_to_codes(const ElementRounding& rounding, const float* input, const ElementScales& scales,
                                  const std::uint32_t* words, std::size_t count, std::uint16_t* codes) {
  return round_all(rounding, input, scales, words, count, codes);
}

QuantizationCounts round_to_values(const ElementRounding& rounding, const float* input, const ElementScales& scales,
                                   const std::uint32_t* words, std::size_t count, float* values) {
  return round_all(rounding, input, scales, words, count, values);
}

}  // namespace
}  // namespace mlsim::models::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mlsim::models {

HWY_EXPORT(largest_magnitudes);
HWY_EXPORT(raise_magnitudes);
HWY_EXPORT(find_group_scales);
HWY_EXPORT(find_nvfp4_tiles);
HWY_EXPORT(random_words);
HWY_EXPORT(round_to_codes);
HWY_EXPORT(round_to_values);

void largest_magnitudes(const float* input, std::size_t pairs, std::size_t inner, std::uint32_t* magnitudes) {
  HWY_DYNAMIC_DISPATCH(largest_magnitudes)(input, pairs, inner, magnitudes);
}

void raise_magnitudes(const float* input, std::size_t count, std::uint32_t* maxima) {
  HWY_DYNAMIC_DISPATCH(raise_magnitudes)(input, count, maxima);
}

void find_group_scales(const MlsScaling& scaling, const std::uint32_t* magnitudes, std::size_t count, TileScale* tiles,
                       float* scales) {
  HWY_DYNAMIC_DISPATCH(find_group_scales)(scaling, magnitudes, count, tiles, scales);
}

void find_nvfp4_tiles(const Nvfp4Scaling& scaling, const std::uint32_t* magnitudes, std::size_t count, TileScale* tiles,
                      float* factors, float* units) {
  HWY_DYNAMIC_DISPATCH(find_nvfp4_tiles)(scaling, magnitudes, count, tiles, factors, units);
}

void random_words(std::uint64_t seed, std::uint64_t stream, std::uint64_t first, std::size_t count,
                  std::uint32_t* words) {
  HWY_DYNAMIC_DISPATCH(random_words)(seed, stream, first, count, words);
}

const std::uint32_t* random_words(const QuantizerOptions& options, std::size_t first, std::size_t count,
                                  std::uint32_t* room) {
  const std::uint64_t element = first_element(options) + first;
  const std::uint64_t skipped = element % 4;  // of the block of words that the first element's is in
  random_words(options.seed, options.stream, element - skipped, (skipped + count + 3) / 4 * 4, room);
  return room + skipped;
}

QuantizationCounts round_to_codes(const ElementRounding& rounding, const float* input, const ElementScales& scales,
                                  const std::uint32_t* words, std::size_t count, std::uint16_t* codes) {
  return HWY_DYNAMIC_DISPATCH(round_to_codes)(rounding, input, scales, words, count, codes);
}

QuantizationCounts round_to_values(const ElementRounding& rounding, const float* input, const ElementScales& scales,
                                   const std::uint32_t* words, std::size_t count, float* values) {
  return HWY_DYNAMIC_DISPATCH(round_to_values)(rounding, input, scales, words, count, values);
}

}  // namespace mlsim::models
#endif
