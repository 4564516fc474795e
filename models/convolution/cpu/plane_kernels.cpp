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

#if HWY_TARGET == HWY_AVX3_DL

namespace hn = hwy::HWY_NAMESPACE;

// Up to 64 codes as bytes; those that are not there as code 0.
class ByteReader {
 public:
  explicit ByteReader(const ByteTable& table) : is_short_(table.is_short) {
    for (std::size_t i = 0; i < 4; ++i) table_[i] = _mm512_loadu_si512(table.bytes.data() + 64 * i);
    const hn::ScalableTag<std::uint8_t> d;
    even_ = hn::Add(hn::Iota(d, 0), hn::Iota(d, 0)).raw;
  }

  __m512i operator()(const std::uint16_t* codes, std::int64_t count) const {
    const std::uint64_t used = count >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1;
    const __m512i low_codes = _mm512_maskz_loadu_epi16(static_cast<__mmask32>(used), codes);
    const __m512i high_codes = _mm512_maskz_loadu_epi16(static_cast<__mmask32>(used >> 32), codes + 32);
    return read(low_codes, high_codes);
  }

  // All 64 are there.
  __m512i whole(const std::uint16_t* codes) const {
    return read(_mm512_loadu_si512(codes), _mm512_loadu_si512(codes + 32));
  }

 private:
  __m512i read(__m512i low_codes, __m512i high_codes) const {
    const __m512i code = _mm512_permutex2var_epi8(low_codes, even_, high_codes);
    const __m512i low = _mm512_permutex2var_epi8(table_[0], code, table_[1]);
    if (is_short_) return low;
    const __m512i high = _mm512_permutex2var_epi8(table_[2], code, table_[3]);
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(code), low, high);
  }

  __m512i table_[4];
  __m512i even_;
  bool is_short_;
};

// Rows without gaps are one.
void fill_whole(const BytePlane& plane, const ByteReader& reader, const std::uint16_t* codes, std::uint8_t* bytes) {
  const std::int64_t count = plane.rows * plane.columns;
  for (std::int64_t i = 0; i < count; i += 64) _mm512_storeu_si512(bytes + i, reader(codes + i, count - i));
}

// Rows apart, their columns in one phase or two.
void fill_rows(const BytePlane& plane, const ByteReader& reader, const std::uint16_t* codes, std::uint8_t* bytes) {
  const hn::ScalableTag<std::uint8_t> d;
  const __m512i even = hn::Add(hn::Iota(d, 0), hn::Iota(d, 0)).raw;
  const __m512i odd = hn::Add(hn::Add(hn::Iota(d, 0), hn::Iota(d, 0)), hn::Set(d, 1)).raw;
  const auto half = [](__m512i picks, __m512i read, std::uint8_t* target) HWY_ATTR {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(target),
                        _mm512_castsi512_si256(_mm512_permutexvar_epi8(picks, read)));
  };
  const std::int64_t rows = plane.rows;
  const std::int64_t columns = plane.columns;
  const std::int64_t pitch = plane.pitch;
  const bool row_phases = plane.steps[0] == 2;
  const bool column_phases = plane.steps[1] == 2;
  const auto places = plane.places;
  for (std::int64_t row = 0; row < rows; ++row, codes += columns) {
    const auto& phases = places[row_phases ? static_cast<std::size_t>(row % 2) : 0];
    const std::int64_t place = (row_phases ? row / 2 : row) * pitch;
    for (std::int64_t x = 0; x < columns; x += 64) {
      const __m512i read = reader(codes + x, columns - x);
      if (column_phases) {
        half(even, read, bytes + phases[0] + place + x / 2);
        half(odd, read, bytes + phases[1] + place + x / 2);
      } else {
        _mm512_storeu_si512(bytes + phases[0] + place + x, read);
      }
    }
  }
}

// Some rows at once, in four phases.
void fill_phases(const BytePlane& plane, const ByteReader& reader, const std::uint16_t* codes, std::uint8_t* bytes) {
  const __m512i zeros = _mm512_set1_epi8(static_cast<char>(kDotOffset));
  const std::int64_t step = plane.rows_at_once * plane.columns;
  const std::int64_t target_step = plane.rows_at_once / 2 * plane.pitch;
  const bool short_steps = target_step <= 16;
  std::uint8_t* targets[4];
  __m512i picks[4];
  __mmask64 masks[4];
  for (std::size_t i = 0; i < 4; ++i) {
    targets[i] = bytes + plane.places[i / 2][i % 2];
    picks[i] = _mm512_load_si512(plane.picks[i / 2][i % 2].from.data());
    masks[i] = plane.picks[i / 2][i % 2].mask;
  }
  for (std::int64_t left = plane.rows * plane.columns; left > 0; left -= step, codes += step) {
    // What is read of later rows is not picked.
    const __m512i read = left >= 64 + step ? reader.whole(codes) : reader(codes, std::min(left, step));
#pragma GCC unroll 4
    for (std::size_t i = 0; i < 4; ++i) {
      const __m512i picked = _mm512_mask_permutexvar_epi8(zeros, masks[i], picks[i], read);
      if (short_steps) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(targets[i]), _mm512_castsi512_si128(picked));
      } else {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(targets[i]), _mm512_castsi512_si256(picked));
      }
      targets[i] += target_step;
    }
  }
}

void fill_bytes(const BytePlane& plane, const ByteTable& table, const std::uint16_t* codes, std::int64_t count,
                std::uint8_t* bytes) {
  const ByteReader reader(table);
  const bool whole = plane.steps[0] == 1 && plane.steps[1] == 1 && plane.pitch == plane.columns;
  const std::int64_t size = plane.rows * plane.columns;
  for (std::int64_t i = 0; i < count; ++i, codes += size, bytes += plane.size) {
    if (whole) {
      fill_whole(plane, reader, codes, bytes + plane.places[0][0]);
    } else if (plane.rows_at_once > 0) {
      fill_phases(plane, reader, codes, bytes);
    } else {
      fill_rows(plane, reader, codes, bytes);
    }
  }
}

// The quads of weights of a run's plane, each in all lanes.
template <std::int64_t kQuads>
HWY_INLINE void spread_weights(const PlaneRun& run, std::int64_t plane, __m512i (&factors)[kQuads]) {
  const std::int64_t channel = run.channel + plane;
  const std::int64_t lane = channel % kDotChannels;
  const std::int32_t* weights = run.weights + (channel - lane) * kQuads + lane;
#pragma GCC unroll 4
  for (std::int64_t q = 0; q < kQuads; ++q) factors[q] = _mm512_set1_epi32(weights[q * kDotChannels]);
}

// The first results of a vector, at most all of them.
HWY_INLINE void write_scaled(__m512i sums, __m512 unit, __m512 scale, std::int64_t count, float* results) {
  const __m512 scaled = _mm512_mul_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(sums), unit), scale);
  if (count >= kPlaneLanes) {
    _mm512_storeu_ps(results, scaled);
  } else {
    _mm512_mask_storeu_ps(results, static_cast<__mmask16>((1U << count) - 1), scaled);
  }
}

// kQuads of them.
template <std::int64_t kQuads, bool kBoth>
void correlate_quads(const PlanePhase& phase, const PlaneRun& run, float* y, std::int64_t y_step) {
  const __m512i zeros = _mm512_set1_epi8(static_cast<char>(kDotOffset));
  const __m512 scale = _mm512_set1_ps(run.tensor_scale);
  __m512i picks[kQuads];
  std::int64_t first[kQuads];
  std::int64_t second[kQuads];
#pragma GCC unroll 4
  for (std::int64_t q = 0; q < kQuads; ++q) {
    const PlaneQuad& quad = phase.quads[static_cast<std::size_t>(q)];
    picks[q] = _mm512_load_si512(quad.picks.data());
    first[q] = quad.first;
    second[q] = quad.second;
  }
  const auto window = [](const std::uint8_t* from)
                          HWY_ATTR { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)); };
  const std::uint64_t* masks = phase.masks.data();
  const std::size_t repeat = phase.masks.size();
  const std::int64_t results = phase.results;
  const std::uint8_t* bytes = run.bytes;
  for (std::int64_t plane = 0; plane < run.count; ++plane, bytes += run.bytes_step, y += y_step) {
    const __m512i correction = _mm512_set1_epi32(run.corrections[run.channel + plane]);
    const __m512 unit = _mm512_set1_ps(run.units[plane]);
    __m512i factors[kQuads];
    spread_weights(run, plane, factors);
    std::size_t m = 0;
    for (std::int64_t p = 0; p < results; p += kPlaneLanes) {
      const __mmask64 mask = masks[m];
      m = m + 1 == repeat ? 0 : m + 1;
      __m512i sum = correction;
#pragma GCC unroll 4
      for (std::int64_t q = 0; q < kQuads; ++q) {
        __m512i windows = _mm512_castsi256_si512(window(bytes + first[q] + p));
        if constexpr (kBoth) windows = _mm512_inserti64x4(windows, window(bytes + second[q] + p), 1);
        const __m512i taps = _mm512_mask_permutexvar_epi8(zeros, mask, picks[q], windows);
        sum = _mm512_dpbusd_epi32(sum, taps, factors[q]);
      }
      write_scaled(sum, unit, scale, results - p, y + p);
    }
  }
}

template <bool kBoth>
void correlate_phase(const PlanePhase& phase, const PlaneRun& run, float* y, std::int64_t y_step) {
  switch (phase.quads.size()) {
    case 1:
      return correlate_quads<1, kBoth>(phase, run, y, y_step);
    case 2:
      return correlate_quads<2, kBoth>(phase, run, y, y_step);
    case 3:
      return correlate_quads<3, kBoth>(phase, run, y, y_step);
    default:
      return correlate_quads<kMostPlaneQuads, kBoth>(phase, run, y, y_step);
  }
}

void correlate_any(const PlanePhase& phase, const PlaneRun& run, float* y, std::int64_t y_step) {
  phase.both ? correlate_phase<true>(phase, run, y, y_step) : correlate_phase<false>(phase, run, y, y_step);
}

template <std::int64_t kQuads>
void correlate_small_quads(const SmallPlanes& planes, const ByteReader& reader, const std::uint16_t* codes,
                           const PlaneRun& run, float* y) {
  const __m512i zeros = _mm512_set1_epi8(static_cast<char>(kDotOffset));
  const __m512 scale = _mm512_set1_ps(run.tensor_scale);
  const std::int64_t results = planes.results;
  for (std::int64_t plane = 0; plane < run.count; ++plane, codes += planes.elements, y += results) {
    const __m512i bytes = reader(codes, planes.elements);
    const __m512i correction = _mm512_set1_epi32(run.corrections[run.channel + plane]);
    const __m512 unit = _mm512_set1_ps(run.units[plane]);
    __m512i factors[kQuads];
    spread_weights(run, plane, factors);
    const PlaneQuad* picks = planes.picks.data();
    const std::uint64_t* masks = planes.masks.data();
    for (std::int64_t p = 0; p < results; p += kPlaneLanes, picks += kQuads, masks += kQuads) {
      __m512i sum = correction;
#pragma GCC unroll 4
      for (std::int64_t q = 0; q < kQuads; ++q) {
        const __m512i taps =
            _mm512_mask_permutexvar_epi8(zeros, masks[q], _mm512_load_si512(picks[q].picks.data()), bytes);
        sum = _mm512_dpbusd_epi32(sum, taps, factors[q]);
      }
      write_scaled(sum, unit, scale, results - p, y + p);
    }
  }
}

void correlate_small(const SmallPlanes& planes, const ByteTable& table, const std::uint16_t* codes, const PlaneRun& run,
                     float* y) {
  const ByteReader reader(table);
  switch (planes.quads) {
    case 1:
      return correlate_small_quads<1>(planes, reader, codes, run, y);
    case 2:
      return correlate_small_quads<2>(planes, reader, codes, run, y);
    case 3:
      return correlate_small_quads<3>(planes, reader, codes, run, y);
    default:
      return correlate_small_quads<kMostPlaneQuads>(planes, reader, codes, run, y);
  }
}

// In each group of four lanes, the sums of a, b, c and d in that group.
__m512i sum_in_groups(__m512i a, __m512i b, __m512i c, __m512i d) {
  const __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
  const __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
  return _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
}

// The sum over the groups of four lanes of a, b and c, behind each other.
__m512i sum_of_groups(__m512i a, __m512i b, __m512i c) {
  const __m512i none = _mm512_setzero_si512();
  const __m512i ab = _mm512_add_epi32(_mm512_shuffle_i32x4(a, b, 0x44), _mm512_shuffle_i32x4(a, b, 0xEE));
  const __m512i c0 = _mm512_add_epi32(_mm512_shuffle_i32x4(c, none, 0x44), _mm512_shuffle_i32x4(c, none, 0xEE));
  return _mm512_add_epi32(_mm512_shuffle_i32x4(ab, c0, 0x88), _mm512_shuffle_i32x4(ab, c0, 0xDD));
}

// Lane i: the sum of errors times k for tap i.
__m512i gradient_sums(const GradientTaps& taps, const std::uint8_t* activation, const std::uint8_t* errors) {
  const __m512i ones = _mm512_set1_epi8(1);
  const __m512i none = _mm512_setzero_si512();
  __m512i sums[kGradientTaps];
  __m512i corrections[kGradientSide];
#pragma GCC unroll 9
  for (__m512i& sum : sums) sum = none;
#pragma GCC unroll 3
  for (__m512i& correction : corrections) correction = none;
  const std::uint8_t* at[kGradientTaps];
  for (std::size_t t = 0; t < kGradientTaps; ++t) at[t] = activation + taps.places[t];
  const std::uint64_t* masks = taps.masks.front().data();
  const auto repeat = static_cast<std::int64_t>(taps.masks.size());
  std::int64_t m = 0;
  for (std::int64_t v = 0; v < taps.vectors; ++v, m = m + 1 == repeat ? 0 : m + 1) {
    const __m512i all = _mm512_loadu_si512(errors + v * kPlaneBytes);
#pragma GCC unroll 3
    for (std::int64_t j = 0; j < kGradientSide; ++j) {
      const __m512i error = _mm512_maskz_mov_epi8(masks[m * kGradientSide + j], all);
      corrections[j] = _mm512_dpbusd_epi32(corrections[j], ones, error);
#pragma GCC unroll 3
      for (std::int64_t i = 0; i < kGradientSide; ++i) {
        const std::int64_t t = i * kGradientSide + j;
        sums[t] = _mm512_dpbusd_epi32(sums[t], _mm512_loadu_si512(at[t] + v * kPlaneBytes), error);
      }
    }
  }
  static_assert(kDotOffset == 128);
#pragma GCC unroll 9
  for (std::int64_t t = 0; t < kGradientTaps; ++t) {
    sums[t] = _mm512_sub_epi32(sums[t], _mm512_slli_epi32(corrections[t % kGradientSide], 7));
  }
  return sum_of_groups(sum_in_groups(sums[0], sums[1], sums[2], sums[3]),
                       sum_in_groups(sums[4], sums[5], sums[6], sums[7]), sum_in_groups(sums[8], none, none, none));
}

void add_gradient_planes(const GradientTaps& taps, const GradientRun& run, float* sums) {
  for (std::int64_t plane = 0; plane < run.count; ++plane, sums += kGradientLanes) {
    const __m512i sum =
        gradient_sums(taps, run.activations + plane * run.activations_step, run.errors + plane * run.errors_step);
    if (taps.exact) {
      const __m512 unit = _mm512_set1_ps(run.error_units[plane] * run.activation_units[plane]);
      _mm512_storeu_ps(sums, _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), unit, _mm512_loadu_ps(sums)));
      continue;
    }
    const __m512d unit = _mm512_set1_pd(double{run.error_units[plane]} * double{run.activation_units[plane]});
    const auto rounded = [&](__m256i half)
                             HWY_ATTR { return _mm512_cvtpd_ps(_mm512_mul_pd(_mm512_cvtepi32_pd(half), unit)); };
    const __m256 low = rounded(_mm512_castsi512_si256(sum));
    const __m256 high = rounded(_mm512_extracti64x4_epi64(sum, 1));
    const __m512 both = _mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1);
    _mm512_storeu_ps(sums, _mm512_add_ps(_mm512_loadu_ps(sums), both));
  }
}

#else

void fill_bytes(const BytePlane& plane, const ByteTable& table, const std::uint16_t* codes, std::int64_t count,
                std::uint8_t* bytes) {
  for (std::int64_t i = 0; i < count; ++i, bytes += plane.size) {
    for (std::int64_t y = 0; y < plane.rows; ++y) {
      for (std::int64_t x = 0; x < plane.columns; ++x) {
        const auto& places = plane.places[static_cast<std::size_t>(y % plane.steps[0])];
        bytes[places[static_cast<std::size_t>(x % plane.steps[1])] + y / plane.steps[0] * plane.pitch +
              x / plane.steps[1]] = table.bytes[*codes++];
      }
    }
  }
}

// The dot product of a quad of taps and its weights.
std::int32_t dot(const PlaneQuad& quad, std::uint64_t mask, std::int64_t lane, const std::uint8_t* bytes,
                 std::uint32_t weights) {
  std::int32_t sum = 0;
  for (std::int64_t t = 0; t < 4; ++t) {
    const std::int64_t pick = quad.picks[static_cast<std::size_t>(4 * lane + t)];
    const int tap = (mask >> (4 * lane + t) & 1) == 0 ? kDotOffset
                    : pick < kPlaneWindow             ? bytes[quad.first + pick]
                                                      : bytes[quad.second + pick - kPlaneWindow];
    sum += tap * static_cast<std::int8_t>(weights >> (8 * t));
  }
  return sum;
}

void correlate_any(const PlanePhase& phase, const PlaneRun& run, float* y, std::int64_t y_step) {
  const auto quads = static_cast<std::int64_t>(phase.quads.size());
  for (std::int64_t plane = 0; plane < run.count; ++plane, y += y_step) {
    const std::int64_t channel = run.channel + plane;
    const std::int64_t channel_lane = channel % kDotChannels;
    const std::int32_t* weights = run.weights + (channel - channel_lane) * quads + channel_lane;
    for (std::int64_t p = 0; p < phase.results; ++p) {
      const std::uint64_t mask = phase.masks[static_cast<std::size_t>(p / kPlaneLanes) % phase.masks.size()];
      const std::int64_t lane = p % kPlaneLanes;
      std::int32_t sum = run.corrections[channel];
      for (std::int64_t q = 0; q < quads; ++q) {
        sum += dot(phase.quads[static_cast<std::size_t>(q)], mask, lane, run.bytes + plane * run.bytes_step + p - lane,
                   static_cast<std::uint32_t>(weights[q * kDotChannels]));
      }
      y[p] = static_cast<float>(sum) * run.units[plane] * run.tensor_scale;
    }
  }
}

void correlate_small(const SmallPlanes& planes, const ByteTable& table, const std::uint16_t* codes, const PlaneRun& run,
                     float* y) {
  for (std::int64_t plane = 0; plane < run.count; ++plane, codes += planes.elements) {
    std::array<std::uint8_t, kPlaneBytes> bytes{};
    for (std::int64_t i = 0; i < planes.elements; ++i) bytes[static_cast<std::size_t>(i)] = table.bytes[codes[i]];
    const std::int64_t channel = run.channel + plane;
    const std::int64_t channel_lane = channel % kDotChannels;
    const std::int32_t* weights = run.weights + (channel - channel_lane) * planes.quads + channel_lane;
    for (std::int64_t p = 0; p < planes.results; ++p) {
      std::int32_t sum = run.corrections[channel];
      for (std::int64_t q = 0; q < planes.quads; ++q) {
        const auto at = static_cast<std::size_t>(p / kPlaneLanes * planes.quads + q);
        for (std::int64_t t = 0; t < 4; ++t) {
          const std::int64_t place = 4 * (p % kPlaneLanes) + t;
          const bool exists = (planes.masks[at] >> place & 1) != 0;
          const int tap = exists ? bytes[planes.picks[at].picks[static_cast<std::size_t>(place)]] : kDotOffset;
          sum += tap * static_cast<std::int8_t>(static_cast<std::uint32_t>(weights[q * kDotChannels]) >> (8 * t));
        }
      }
      *y++ = static_cast<float>(sum) * run.units[plane] * run.tensor_scale;
    }
  }
}

void add_gradient_planes(const GradientTaps& taps, const GradientRun& run, float* sums) {
  for (std::int64_t plane = 0; plane < run.count; ++plane, sums += kGradientLanes) {
    const std::uint8_t* activation = run.activations + plane * run.activations_step;
    const std::uint8_t* errors = run.errors + plane * run.errors_step;
    const double unit = double{run.error_units[plane]} * double{run.activation_units[plane]};
    for (std::size_t t = 0; t < kGradientTaps; ++t) {
      std::int32_t sum = 0;
      for (std::int64_t p = 0; p < taps.vectors * kPlaneBytes; ++p) {
        const auto& masks = taps.masks[static_cast<std::size_t>(p / kPlaneBytes) % taps.masks.size()];
        if ((masks[t % kGradientSide] >> (p % kPlaneBytes) & 1) == 0) continue;
        sum += static_cast<std::int8_t>(errors[p]) * (int{activation[taps.places[t] + p]} - kDotOffset);
      }
      sums[t] += static_cast<float>(sum * unit);
    }
  }
}

#endif

#if HWY_TARGET == HWY_AVX3_DL

void interleave(const PhasePair& pair, float* target, std::int64_t target_pitch) {
  const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const __m512i high = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  const std::int64_t columns = pair.columns;
  for (std::int64_t row = 0; row < pair.rows; ++row, target += target_pitch) {
    for (std::int64_t i = 0; i < columns; i += kPlaneLanes) {
      const std::int64_t left = std::min(columns - i, kPlaneLanes);
      const auto used = static_cast<std::uint32_t>((std::uint64_t{1} << (2 * left)) - 1);
      const __m512 e = _mm512_loadu_ps(pair.even + row * pair.pitch + i);
      const __m512 o = _mm512_loadu_ps(pair.odd + row * pair.pitch + i);
      float* place = target + 2 * i;
      _mm512_mask_storeu_ps(place, static_cast<__mmask16>(used), _mm512_permutex2var_ps(e, low, o));
      if (left <= kPlaneLanes / 2) continue;
      _mm512_mask_storeu_ps(place + 16, static_cast<__mmask16>(used >> 16), _mm512_permutex2var_ps(e, high, o));
    }
  }
}

#else

void interleave(const PhasePair& pair, float* target, std::int64_t target_pitch) {
  for (std::int64_t row = 0; row < pair.rows; ++row, target += target_pitch) {
    for (std::int64_t i = 0; i < pair.columns; ++i) {
      target[2 * i] = pair.even[row * pair.pitch + i];
      target[2 * i + 1] = pair.odd[row * pair.pitch + i];
    }
  }
}

#endif

}  // namespace
}  // namespace mlsim::models::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mlsim::models {

HWY_EXPORT(fill_bytes);
HWY_EXPORT(correlate_any);
HWY_EXPORT(correlate_small);
HWY_EXPORT(add_gradient_planes);
HWY_EXPORT(interleave);

ByteTable::ByteTable(const ElementFormat& format, int offset) : is_short(format.code_bits() <= 7) {
  for (std::size_t code = 0; code < std::size_t{1} << format.code_bits(); ++code) {
    bytes[code] = static_cast<std::uint8_t>(decode_element(format, static_cast<std::uint16_t>(code)) + offset);
  }
}

BytePlane::BytePlane(std::int64_t the_rows, std::int64_t the_columns, std::array<std::int64_t, 2> the_steps,
                     std::int64_t the_pitch)
    : rows(the_rows), columns(the_columns), steps(the_steps), pitch(the_pitch) {
  constexpr std::int64_t kHalf = kPlaneBytes / 2;
  if (steps[0] != 2 || steps[1] != 2 || 2 * columns > kPlaneBytes) return;
  rows_at_once = std::min(kPlaneBytes / columns, 2 * kHalf / pitch) / 2 * 2;
  for (std::int64_t phase = 0; phase < 4; ++phase) {
    Picks& picked = picks[static_cast<std::size_t>(phase / 2)][static_cast<std::size_t>(phase % 2)];
    for (std::int64_t i = 0; i < kHalf; ++i) {
      const std::int64_t y = 2 * (i / pitch) + phase / 2;
      const std::int64_t x = 2 * (i % pitch) + phase % 2;
      if (y >= rows_at_once || x >= columns) continue;
      picked.mask |= std::uint64_t{1} << i;
      picked.from[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(y * columns + x);
    }
  }
}

void fill_byte_planes(const BytePlane& plane, const ByteTable& table, const std::uint16_t* codes, std::int64_t count,
                      std::uint8_t* bytes) {
  HWY_DYNAMIC_DISPATCH(fill_bytes)(plane, table, codes, count, bytes);
}

void correlate_planes(const PlanePhase& phase, const PlaneRun& run, float* y, std::int64_t y_step) {
  HWY_DYNAMIC_DISPATCH(correlate_any)(phase, run, y, y_step);
}

void correlate_small_planes(const SmallPlanes& planes, const ByteTable& table, const std::uint16_t* codes,
                            const PlaneRun& run, float* y) {
  HWY_DYNAMIC_DISPATCH(correlate_small)(planes, table, codes, run, y);
}

void add_gradients(const GradientTaps& taps, const GradientRun& run, float* sums) {
  HWY_DYNAMIC_DISPATCH(add_gradient_planes)(taps, run, sums);
}

void interleave_rows(const PhasePair& pair, float* target, std::int64_t target_pitch) {
  HWY_DYNAMIC_DISPATCH(interleave)(pair, target, target_pitch);
}

}  // namespace mlsim::models
#endif
