#include "sim/output_stationary/toggle_kernels.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "sim/output_stationary/toggle_kernels.cpp"
#include "hwy/foreach_target.h"
// After foreach_target.h.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace mlsim::sim::output_stationary::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

std::uint64_t weighted_changes(const std::int16_t* HWY_RESTRICT weights, std::int16_t largest_weight,
                               const std::uint16_t* HWY_RESTRICT a, const std::uint16_t* HWY_RESTRICT b,
                               std::size_t count, std::size_t readable) {
  const hn::CappedTag<std::uint16_t, kMostToggleLanes> d;
  const hn::RebindToSigned<decltype(d)> d16;
#if HWY_TARGET == HWY_SCALAR
  const hn::Rebind<std::int32_t, decltype(d)> d32;
#else
  const hn::RepartitionToWide<decltype(d16)> d32;
#endif
  const std::size_t lanes = hn::Lanes(d);
  // Vectors whose 32-bit sums cannot overflow, nor can the sum of their lanes.
  const std::size_t safe = (std::size_t{1} << 31) / (2 * 16 * lanes * static_cast<std::size_t>(largest_weight));

  std::uint64_t total = 0;
  auto sum = hn::Zero(d32);
  auto other_sum = hn::Zero(d32);
  const auto add = [&](auto weight, const std::uint16_t* x, const std::uint16_t* y) HWY_ATTR {
    const auto bits = hn::PopulationCount(hn::Xor(hn::LoadU(d, x), hn::LoadU(d, y)));
    sum = hn::ReorderWidenMulAccumulate(d32, weight, hn::BitCast(d16, bits), sum, other_sum);
  };
  const auto flush = [&]() HWY_ATTR {
    total += static_cast<std::uint32_t>(hn::GetLane(hn::SumOfLanes(d32, hn::Add(sum, other_sum))));
    sum = hn::Zero(d32);
    other_sum = hn::Zero(d32);
  };
  std::size_t i = 0;
  std::size_t left = safe;
  for (; i + lanes <= count; i += lanes) {
    add(hn::LoadU(d16, weights + i), a + i, b + i);
    if (--left > 1) continue;
    flush();
    left = safe;
  }
  if (i < count) {
    const auto weight = hn::IfThenElseZero(hn::FirstN(d16, count - i), hn::LoadU(d16, weights + i));
    if (i + lanes <= readable) {
      add(weight, a + i, b + i);
    } else {
      HWY_ALIGN std::uint16_t last_a[kMostToggleLanes] = {};
      HWY_ALIGN std::uint16_t last_b[kMostToggleLanes] = {};
      std::copy(a + i, a + count, last_a);
      std::copy(b + i, b + count, last_b);
      add(weight, last_a, last_b);
    }
  }
  flush();
  return total;
}

}  // namespace
}  // namespace mlsim::sim::output_stationary::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mlsim::sim::output_stationary {

HWY_EXPORT(weighted_changes);

std::uint64_t weighted_changes(const std::int16_t* weights, std::int16_t largest_weight, const std::uint16_t* a,
                               const std::uint16_t* b, std::size_t count, std::size_t readable) {
  return HWY_DYNAMIC_DISPATCH(weighted_changes)(weights, largest_weight, a, b, count, readable);
}

}  // namespace mlsim::sim::output_stationary
#endif
