#include "models/convolution/cpu/scale_kernels.h"

#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/convolution/cpu/scale_kernels.cpp"
#include "hwy/foreach_target.h"
// After foreach_target.h.
#include "hwy/highway.h"
#include "models/convolution/cpu/units-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mlsim::models::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

void units_of_scales(std::span<const TileScale> scales, int unit_exponent, float* units) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const auto count = static_cast<std::int64_t>(scales.size());
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) hn::StoreU(units_of(scales.data() + i, lanes, unit_exponent), d, units + i);
  if (i == count) return;
  HWY_ALIGN float last[HWY_MAX_BYTES / sizeof(float)];
  hn::Store(units_of(scales.data() + i, count - i, unit_exponent), d, last);
  std::copy_n(last, count - i, units + i);
}

ExponentRange range_of_exponents(std::span<const TileScale> scales) {
  const hn::ScalableTag<std::int32_t> d;
  const std::size_t lanes = hn::Lanes(d);
  auto smallest = hn::Set(d, std::numeric_limits<std::int16_t>::max());
  auto largest = hn::Set(d, std::numeric_limits<std::int16_t>::min());
  HWY_ALIGN std::int32_t words[HWY_MAX_BYTES / sizeof(float)];
  std::size_t i = 0;
  for (; i + lanes <= scales.size(); i += lanes) {
    std::memcpy(words, scales.data() + i, sizeof(TileScale) * lanes);
    const auto exponent = hn::ShiftRight<16>(hn::ShiftLeft<16>(hn::Load(d, words)));
    smallest = hn::Min(smallest, exponent);
    largest = hn::Max(largest, exponent);
  }
  HWY_ALIGN std::int32_t low[HWY_MAX_BYTES / sizeof(float)];
  HWY_ALIGN std::int32_t high[HWY_MAX_BYTES / sizeof(float)];
  hn::Store(smallest, d, low);
  hn::Store(largest, d, high);
  ExponentRange range{static_cast<std::int16_t>(*std::min_element(low, low + lanes)),
                      static_cast<std::int16_t>(*std::max_element(high, high + lanes))};
  for (; i < scales.size(); ++i) {
    range.smallest = std::min(range.smallest, scales[i].exponent);
    range.largest = std::max(range.largest, scales[i].exponent);
  }
  return range;
}

}  // namespace
}  // namespace mlsim::models::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mlsim::models {

HWY_EXPORT(units_of_scales);
HWY_EXPORT(range_of_exponents);

void fill_units(std::span<const TileScale> scales, int unit_exponent, float* units) {
  HWY_DYNAMIC_DISPATCH(units_of_scales)(scales, unit_exponent, units);
}

ExponentRange exponent_range(std::span<const TileScale> scales) {
  return HWY_DYNAMIC_DISPATCH(range_of_exponents)(scales);
}

}  // namespace mlsim::models
#endif
