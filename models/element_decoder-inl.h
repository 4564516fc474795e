// Code words to numbers, a vector at a time. Included once for each instruction set.
#include <cstdint>

#include "hwy/highway.h"
#include "models/format.h"

#if defined(MLSIM_MODELS_ELEMENT_DECODER_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef MLSIM_MODELS_ELEMENT_DECODER_INL_H
#undef MLSIM_MODELS_ELEMENT_DECODER_INL_H
#else
#define MLSIM_MODELS_ELEMENT_DECODER_INL_H
#endif

HWY_BEFORE_NAMESPACE();
namespace mlsim::models::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// k of a vector of codes, as binary32: a code word without its sign is a float with the bias moved, except below the
// first binade with a hidden bit.
struct Decoder {
  explicit Decoder(const ElementFormat& format)
      : mantissa_bits(format.mantissa_bits), sign_position(format.code_bits() - 1) {}

  hn::Vec<hn::ScalableTag<float>> operator()(const std::uint16_t* codes) const {
    const hn::ScalableTag<float> df;
    const hn::RebindToUnsigned<hn::ScalableTag<float>> du;
    const hn::RebindToSigned<hn::ScalableTag<float>> di;
    const hn::Rebind<std::uint16_t, hn::ScalableTag<float>> d16;
    const auto code = hn::PromoteTo(du, hn::LoadU(d16, codes));
    const auto sign = hn::ShiftRightSame(code, sign_position);
    const auto magnitude = hn::Sub(code, hn::ShiftLeftSame(sign, sign_position));
    const auto normal = hn::Add(hn::ShiftLeftSame(magnitude, 23 - mantissa_bits),
                                hn::Set(du, static_cast<std::uint32_t>(126 + mantissa_bits) << 23));
    const auto magnitude_int = hn::BitCast(di, magnitude);
    const auto subnormal = hn::ConvertTo(df, magnitude_int);
    const auto is_subnormal = hn::RebindMask(df, hn::Lt(magnitude_int, hn::Set(di, std::int32_t{1} << mantissa_bits)));
    const auto k = hn::IfThenElse(is_subnormal, subnormal, hn::BitCast(df, normal));
    return hn::Or(k, hn::BitCast(df, hn::ShiftLeft<31>(sign)));
  }

  int mantissa_bits;
  int sign_position;
};

}  // namespace
}  // namespace mlsim::models::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
