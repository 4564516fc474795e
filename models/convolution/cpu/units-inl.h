// A vector of scales' numbers, for each instruction set that a file of kernels is compiled for.
// Tested in tests/models/functional_convolution_test.cpp.

// Included once for each of them.
#if defined(MLSIM_MODELS_CONVOLUTION_CPU_UNITS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef MLSIM_MODELS_CONVOLUTION_CPU_UNITS_INL_H_
#undef MLSIM_MODELS_CONVOLUTION_CPU_UNITS_INL_H_
#else
#define MLSIM_MODELS_CONVOLUTION_CPU_UNITS_INL_H_
#endif

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "hwy/highway.h"
#include "models/formats/scaled_tensor.h"

HWY_BEFORE_NAMESPACE();
namespace mlsim::models::HWY_NAMESPACE {

// g · 2^(s - unit_exponent) of `count` scales, at most a vector of them. Exact where binary32 has it.
HWY_INLINE hwy::HWY_NAMESPACE::Vec<hwy::HWY_NAMESPACE::ScalableTag<float>> units_of(const TileScale* scales,
                                                                                    std::int64_t count,
                                                                                    int unit_exponent) {
  namespace hn = hwy::HWY_NAMESPACE;
  static_assert(sizeof(TileScale) == sizeof(std::int32_t) && offsetof(TileScale, exponent) == 0 &&
                offsetof(TileScale, significand) == 2 && std::endian::native == std::endian::little);
  const hn::ScalableTag<float> df;
  const hn::RebindToSigned<decltype(df)> di;
  HWY_ALIGN std::int32_t words[HWY_MAX_BYTES / sizeof(float)];
  if (count >= static_cast<std::int64_t>(hn::Lanes(df))) {
    std::memcpy(words, scales, sizeof(TileScale) * hn::Lanes(df));
  } else {
    std::memset(words, 0, sizeof(words));
    std::memcpy(words, scales, sizeof(TileScale) * static_cast<std::size_t>(count));
  }
  const auto scale = hn::Load(di, words);
  const auto significand = hn::ConvertTo(df, hn::And(hn::ShiftRight<16>(scale), hn::Set(di, 0xFF)));
  // A power below the normal numbers is the smallest of them times another one, which no power with values makes too
  // small.
  constexpr int kBias = 127;
  const auto biased = hn::Add(hn::ShiftRight<16>(hn::ShiftLeft<16>(scale)), hn::Set(di, kBias - unit_exponent));
  const auto normal = hn::Max(biased, hn::Set(di, 1));
  const auto below = hn::Max(hn::Sub(biased, normal), hn::Set(di, 1 - kBias));
  const auto power = [&](auto exponent) HWY_ATTR { return hn::BitCast(df, hn::ShiftLeft<23>(exponent)); };
  return hn::Mul(hn::Mul(significand, power(normal)), power(hn::Add(below, hn::Set(di, kBias))));
}

}  // namespace mlsim::models::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
