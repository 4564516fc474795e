#include "models/convolution/cpu/plane_kernels.h"

#include <algorithm>
#include <cstring>

#include "models/formats/scaled_tensor.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/convolution/cpu/plane_kernels.cpp"
#include "hwy/foreach_target.h"
// After foreach_target.h.
#include "hwy/highway.h"

#if HWY_TARGET == HWY_AVX3_DL
// In place of HWY_BEFORE_NAMESPACE: clang takes the first list of features that is pushed, and no further one.
HWY_PUSH_ATTRIBUTES(HWY_TARGET_STR ",avx512vnni")
#else
HWY_BEFORE_NAMESPACE();
#endif
namespace mlsim::models::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_AVX3_DL

// Up to 64 codes as bytes; those that are not there as code 0.
class ByteReader {
 public:
  explicit ByteReader(const ByteTable& table) {
    for (std::size_t i = 0; i < 4; ++i) table_[i] = _mm512_loadu_si512(table.data() + 64 * i);
    const hn::ScalableTag<std::uint8_t> d;
    even_ = hn::Add(hn::Iota(d, 0), hn::Iota(d, 0)).raw;
  }

  __m512i operator()(const std::uint16_t* codes, std::int64_t count) const {
    const std::uint64_t used = count >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1;
    const __m512i low_codes = _mm512_maskz_loadu_epi16(static_cast<__mmask32>(used), codes);
    const __m512i high_codes = _mm512_maskz_loadu_epi16(static_cast<__mmask32>(used >> 32), codes + 32);
    const __m512i code = _mm512_permutex2var_epi8(low_codes, even_, high_codes);
    const __m512i low = _mm512_permutex2var_epi8(table_[0], code, table_[1]);
    const __m512i high = _mm512_permutex2var_epi8(table_[2], code, table_[3]);
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(code), low, high);
  }

 private:
  __m512i table_[4];
  __m512i even_;
};

void fill_bytes(const BytePlane& plane, const ByteTable& table, const std::uint16_t* codes, std::uint8_t* bytes) {
  const ByteReader reader(table);
  if (plane.steps == std::array<std::int64_t, 2>{1, 1} && plane.pitch == plane.columns) {
    // Rows without gaps are one.
    const std::int64_t count = plane.rows * plane.columns;
    std::uint8_t* target = bytes + plane.places[0][0];
    for (std::int64_t i = 0; i < count; i += 64) _mm512_storeu_si512(target + i, reader(codes + i, count - i));
    return;
  }
  const hn::ScalableTag<std::uint8_t> d;
  const __m512i even = hn::Add(hn::Iota(d, 0), hn::Iota(d, 0)).raw;
  const __m512i odd = hn::Add(hn::Add(hn::Iota(d, 0), hn::Iota(d, 0)), hn::Set(d, 1)).raw;
  for (std::int64_t row = 0; row < plane.rows; ++row, codes += plane.columns) {
    const auto& places = plane.places[static_cast<std::size_t>(row % plane.steps[0])];
    const std::int64_t place = row / plane.steps[0] * plane.pitch;
    for (std::int64_t x = 0; x < plane.columns; x += 64) {
      const __m512i read = reader(codes + x, plane.columns - x);
      if (plane.steps[1] == 1) {
        _mm512_storeu_si512(bytes + places[0] + place + x, read);
      } else {
        const auto half = [&](__m512i picks)
                              HWY_ATTR { return _mm512_castsi512_si256(_mm512_permutexvar_epi8(picks, read)); };
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(bytes + places[0] + place + x / 2), half(even));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(bytes + places[1] + place + x / 2), half(odd));
      }
    }
  }
}

template <int kQuads, bool kBoth>
void correlate_quads(const PlanePhase& phase, const std::uint8_t* bytes, const PlaneWeights& weights, float* y) {
  const auto quads = kQuads == 0 ? static_cast<std::int64_t>(phase.quads.size()) : std::int64_t{kQuads};
  const __m512i zeros = _mm512_set1_epi8(static_cast<char>(kDotOffset));
  const __m512 unit = _mm512_set1_ps(weights.unit);
  const __m512 scale = _mm512_set1_ps(weights.tensor_scale);
  for (std::int64_t p = 0; p < phase.results; p += kPlaneLanes) {
    const __mmask64 mask = phase.masks[p / kPlaneLanes];
    __m512i sum = _mm512_set1_epi32(weights.correction);
#pragma GCC unroll 4
    for (std::int64_t q = 0; q < quads; ++q) {
      const PlaneQuad& quad = phase.quads[static_cast<std::size_t>(q)];
      const __m512i picks = _mm512_load_si512(quad.picks.data());
      const __m512i first = _mm512_loadu_si512(bytes + quad.first + p);
      __m512i taps;
      if constexpr (kBoth) {
        const __m512i second = _mm512_loadu_si512(bytes + quad.second + p);
        taps = _mm512_mask_blend_epi8(mask, zeros, _mm512_permutex2var_epi8(first, picks, second));
      } else {
        taps = _mm512_mask_permutexvar_epi8(zeros, mask, picks, first);
      }
      sum = _mm512_dpbusd_epi32(sum, taps, _mm512_set1_epi32(weights.quads[q * weights.step]));
    }
    const __m512 result = _mm512_mul_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(sum), unit), scale);
    const std::int64_t left = phase.results - p;
    if (left >= kPlaneLanes) {
      _mm512_storeu_ps(y + p, result);
    } else {
      _mm512_mask_storeu_ps(y + p, static_cast<__mmask16>((1U << left) - 1), result);
    }
  }
}

template <bool kBoth>
void correlate_phase(const PlanePhase& phase, const std::uint8_t* bytes, const PlaneWeights& weights, float* y) {
  switch (phase.quads.size()) {
    case 1:
      return correlate_quads<1, kBoth>(phase, bytes, weights, y);
    case 3:
      return correlate_quads<3, kBoth>(phase, bytes, weights, y);
    default:
      return correlate_quads<0, kBoth>(phase, bytes, weights, y);
  }
}

void correlate_any(const PlanePhase& phase, const std::uint8_t* bytes, const PlaneWeights& weights, float* y) {
  phase.both ? correlate_phase<true>(phase, bytes, weights, y) : correlate_phase<false>(phase, bytes, weights, y);
}

#else

void fill_bytes(const BytePlane& plane, const ByteTable& table, const std::uint16_t* codes, std::uint8_t* bytes) {
  for (std::int64_t row = 0; row < plane.rows; ++row) {
    for (std::int64_t x = 0; x < plane.columns; ++x) {
      const auto& places = plane.places[static_cast<std::size_t>(row % plane.steps[0])];
      bytes[places[static_cast<std::size_t>(x % plane.steps[1])] + row / plane.steps[0] * plane.pitch +
            x / plane.steps[1]] = table[*codes++];
    }
  }
}

void correlate_any(const PlanePhase& phase, const std::uint8_t* bytes, const PlaneWeights& weights, float* y) {
  for (std::int64_t p = 0; p < phase.results; ++p) {
    std::int32_t sum = weights.correction;
    for (std::size_t q = 0; q < phase.quads.size(); ++q) {
      const PlaneQuad& quad = phase.quads[q];
      const std::int64_t vector = p / kPlaneLanes * kPlaneLanes;
      const auto weight = static_cast<std::uint32_t>(weights.quads[static_cast<std::int64_t>(q) * weights.step]);
      for (std::int64_t t = 0; t < 4; ++t) {
        const std::int64_t place = 4 * (p - vector) + t;
        const std::int64_t pick = quad.picks[static_cast<std::size_t>(place)];
        const bool exists = (phase.masks[p / kPlaneLanes] >> place & 1) != 0;
        const int tap = !exists              ? kDotOffset
                        : pick < kPlaneBytes ? bytes[quad.first + vector + pick]
                                             : bytes[quad.second + vector + pick - kPlaneBytes];
        sum += tap * static_cast<std::int8_t>(weight >> (8 * t));
      }
    }
    y[p] = static_cast<float>(sum) * weights.unit * weights.tensor_scale;
  }
}

#endif

void interleave(const float* even, const float* odd, std::int64_t columns, float* target) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t i = 0;
  for (; i + lanes <= columns; i += lanes) {
    hn::StoreInterleaved2(hn::LoadU(d, even + i), hn::LoadU(d, odd + i), d, target + 2 * i);
  }
  for (; i < columns; ++i) {
    target[2 * i] = even[i];
    target[2 * i + 1] = odd[i];
  }
}

}  // namespace
}  // namespace mlsim::models::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mlsim::models {

HWY_EXPORT(fill_bytes);
HWY_EXPORT(correlate_any);
HWY_EXPORT(interleave);

ByteTable byte_table(const ElementFormat& format) {
  ByteTable table{};
  for (std::size_t code = 0; code < std::size_t{1} << format.code_bits(); ++code) {
    table[code] = static_cast<std::uint8_t>(decode_element(format, static_cast<std::uint16_t>(code)) + kDotOffset);
  }
  return table;
}

void fill_byte_plane(const BytePlane& plane, const ByteTable& table, const std::uint16_t* codes, std::uint8_t* bytes) {
  HWY_DYNAMIC_DISPATCH(fill_bytes)(plane, table, codes, bytes);
}

void correlate_plane(const PlanePhase& phase, const std::uint8_t* bytes, const PlaneWeights& weights, float* y) {
  HWY_DYNAMIC_DISPATCH(correlate_any)(phase, bytes, weights, y);
}

void interleave_results(const float* even, const float* odd, std::int64_t columns, float* target) {
  HWY_DYNAMIC_DISPATCH(interleave)(even, odd, columns, target);
}

}  // namespace mlsim::models
#endif
