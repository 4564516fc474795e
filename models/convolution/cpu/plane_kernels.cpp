#include "models/convolution/cpu/plane_kernels.h"

#include <algorithm>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/convolution/cpu/plane_kernels.cpp"
#include "base/integers.h"
#include "hwy/foreach_target.h"
// After foreach_target.h.
#include "hwy/highway.h"
#include "models/convolution/cpu/byte_reader-inl.h"

#if HWY_TARGET == HWY_AVX3_DL
// In place of HWY_BEFORE_NAMESPACE: clang takes the first list of features that is pushed, and no further one.
HWY_PUSH_ATTRIBUTES(HWY_TARGET_STR ",avx512vnni")
#else
HWY_BEFORE_NAMESPACE();
#endif
namespace mlsim::models::HWY_NAMESPACE {
namespace {

#if HWY_TARGET == HWY_AVX3_DL

void fill_bytes(const BytePlanes& planes, const ByteDecoder& decoder, const std::uint16_t* codes, std::int64_t count,
                std::uint8_t* bytes) {
  const ByteReader reader(decoder.table().data(), decoder.code_bits());
  const std::int64_t whole = planes.elements / 64 * 64;
  bytes += planes.place;
  for (std::int64_t plane = 0; plane < count; ++plane, codes += planes.elements, bytes += planes.step) {
    for (std::int64_t i = 0; i < whole; i += 64) _mm512_storeu_si512(bytes + i, reader.whole(codes + i));
    if (whole == planes.elements) continue;
    _mm512_storeu_si512(bytes + whole, reader(codes + whole, planes.elements - whole));
  }
}

// What a plane's channel has for all its results: the weights of each row of the kernel and phase in all lanes, and
// their sums' corrections.
template <int kRows, int kPhases>
struct Factors {
  Factors(const PlaneRun& run, std::int64_t plane) {
    const std::int64_t channel = run.channel + plane;
    const std::int64_t lane = channel % kDotChannels;
    for (int phase = 0; phase < kPhases; ++phase) {
      const std::int32_t* packed = run.weights[phase] + (channel - lane) * kRows + lane;
      for (int row = 0; row < kRows; ++row) weights[phase][row] = _mm512_set1_epi32(packed[row * kDotChannels]);
      corrections[phase] = _mm512_set1_epi32(run.corrections[phase][channel]);
    }
    unit = _mm512_set1_ps(run.units[plane]);
    scale = _mm512_set1_ps(run.tensor_scale);
  }

  HWY_INLINE __m512 scaled(__m512i sums) const {
    return _mm512_mul_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(sums), unit), scale);
  }

  __m512i weights[kPhases][kRows];
  __m512i corrections[kPhases];
  __m512 unit;
  __m512 scale;
};

template <int kPhases>
HWY_INLINE void write_results(const __m512 (&scaled)[kPhases], std::uint32_t written, float* y) {
  if constexpr (kPhases == 1) {
    _mm512_mask_storeu_ps(y, static_cast<__mmask16>(written), scaled[0]);
  } else {
    const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const __m512i high = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    _mm512_mask_storeu_ps(y, static_cast<__mmask16>(written), _mm512_permutex2var_ps(scaled[0], low, scaled[1]));
    if (written >> 16 == 0) return;
    _mm512_mask_storeu_ps(y + 16, static_cast<__mmask16>(written >> 16),
                          _mm512_permutex2var_ps(scaled[0], high, scaled[1]));
  }
}

// One column of a plane. A window serves all vectors that meet it: kStep is the step where some windows meet several
// of them, else the number of rows.
template <int kRows, int kStep, int kPhases>
HWY_INLINE void correlate_column(const ResultRows& rows, const ResultColumn& column,
                                 const Factors<kRows, kPhases>& factors, const std::uint8_t* bytes, float* y) {
  constexpr int kAges = (kRows + kStep - 1) / kStep;
  const __m512i zeros = _mm512_set1_epi8(static_cast<char>(kDotOffset));
  const __m512i picks = _mm512_load_si512(column.taps.picks.data());
  const __mmask64 mask = column.taps.mask;
  const std::int64_t pitch = rows.windows.pitch;
  const std::int64_t vectors = rows.windows.vectors;
  // Of the vector that has begun now, and of those before it.
  __m512i sums[kAges][kPhases];
  for (auto& begun : sums) {
    for (__m512i& sum : begun) sum = _mm512_setzero_si512();
  }
  for (std::int64_t v = 0; v < vectors + kAges - 1; ++v, bytes += rows.windows.step * pitch) {
#pragma GCC unroll 2
    for (int phase = 0; phase < kPhases; ++phase) {
#pragma GCC unroll 4
      for (int age = kAges - 1; age > 0; --age) sums[age][phase] = sums[age - 1][phase];
      sums[0][phase] = factors.corrections[phase];
    }
#pragma GCC unroll 4
    for (int k = 0; k < kStep; ++k) {
      const __m512i taps = _mm512_mask_permutexvar_epi8(zeros, mask, picks, _mm512_loadu_si512(bytes + k * pitch));
#pragma GCC unroll 4
      for (int row = k; row < kRows; row += kStep) {
#pragma GCC unroll 2
        for (int phase = 0; phase < kPhases; ++phase) {
          __m512i& sum = sums[row / kStep][phase];
          sum = _mm512_dpbusd_epi32(sum, taps, factors.weights[phase][row]);
        }
      }
    }
    if (v < kAges - 1) continue;
    __m512 scaled[kPhases];
    for (int phase = 0; phase < kPhases; ++phase) scaled[phase] = factors.scaled(sums[kAges - 1][phase]);
    write_results<kPhases>(scaled, v == vectors + kAges - 2 ? column.written_last : column.written, y);
    y += rows.results_step;
  }
}

template <int kRows, int kStep, int kPhases>
void correlate_run(const ResultRows& rows, const PlaneRun& run, float* y, std::int64_t y_step) {
  const std::uint8_t* bytes = run.bytes;
  for (std::int64_t plane = 0; plane < run.count; ++plane, bytes += run.bytes_step, y += y_step) {
    const Factors<kRows, kPhases> factors(run, plane);
    for (const ResultColumn& column : rows.columns) {
      correlate_column<kRows, kStep, kPhases>(rows, column, factors, bytes + column.taps.window, y + column.first);
    }
  }
}

template <int kRows>
void correlate_kernel(const ResultRows& rows, const PlaneRun& run, float* y, std::int64_t y_step) {
  if (rows.phases == 2) return correlate_run<kRows, 1, 2>(rows, run, y, y_step);
  if (rows.windows.step == 1) return correlate_run<kRows, 1, 1>(rows, run, y, y_step);
  if (rows.windows.step == 2 && kRows > 2) return correlate_run<kRows, 2, 1>(rows, run, y, y_step);
  correlate_run<kRows, kRows, 1>(rows, run, y, y_step);
}

void correlate_any(const ResultRows& rows, const PlaneRun& run, float* y, std::int64_t y_step) {
  switch (rows.windows.kernel_rows) {
    case 1:
      return correlate_kernel<1>(rows, run, y, y_step);
    case 2:
      return correlate_kernel<2>(rows, run, y, y_step);
    case 3:
      return correlate_kernel<3>(rows, run, y, y_step);
    default:
      return correlate_kernel<kMostPlaneRows>(rows, run, y, y_step);
  }
}

// The sum over the groups of four lanes of a, b and c, behind each other.
__m512i sum_of_groups(__m512i a, __m512i b, __m512i c) {
  const __m512i none = _mm512_setzero_si512();
  const __m512i ab = _mm512_add_epi32(_mm512_shuffle_i32x4(a, b, 0x44), _mm512_shuffle_i32x4(a, b, 0xEE));
  const __m512i c0 = _mm512_add_epi32(_mm512_shuffle_i32x4(c, none, 0x44), _mm512_shuffle_i32x4(c, none, 0xEE));
  return _mm512_add_epi32(_mm512_shuffle_i32x4(ab, c0, 0x88), _mm512_shuffle_i32x4(ab, c0, 0xDD));
}

// Of some planes from one on, which the processor sums side by side: for every tap, in its lane, the sum of errors
// times k.
template <int kStep, int kPlanes>
HWY_INLINE void sum_gradients(const GradientRows& rows, const GradientRun& run, std::int64_t plane,
                              __m512i (&totals)[kPlanes]) {
  constexpr int kAges = (kGradientSide + kStep - 1) / kStep;
  const __m512i zeros = _mm512_set1_epi8(static_cast<char>(kDotOffset));
  const std::int64_t pitch = rows.windows.pitch;
  __m512i sums[kPlanes][kGradientSide];
  for (auto& of_plane : sums) {
    for (__m512i& sum : of_plane) sum = _mm512_setzero_si512();
  }
  for (const GradientColumn& column : rows.columns) {
    const __m512i picks = _mm512_load_si512(column.activations.picks.data());
    const __m512i error_picks = _mm512_load_si512(column.errors.picks.data());
    const __mmask64 mask = column.activations.mask;
    const __mmask64 error_mask = column.errors.mask;
    const std::uint8_t* activation = run.activations + plane * run.activations_step + column.activations.window;
    const std::uint8_t* error = run.errors + plane * run.errors_step + column.errors.window;
    // Of the vector that has begun now, and of those before it.
    __m512i errors[kPlanes][kAges];
    for (auto& of_plane : errors) {
      for (__m512i& begun : of_plane) begun = _mm512_setzero_si512();
    }
    for (std::int64_t v = 0; v < rows.windows.vectors + kAges - 1; ++v) {
#pragma GCC unroll 2
      for (int p = 0; p < kPlanes; ++p) {
#pragma GCC unroll 3
        for (int age = kAges - 1; age > 0; --age) errors[p][age] = errors[p][age - 1];
        const __m128i window = _mm_loadu_si128(reinterpret_cast<const __m128i*>(error + p * run.errors_step));
        errors[p][0] = _mm512_maskz_permutexvar_epi8(error_mask, error_picks, _mm512_castsi128_si512(window));
#pragma GCC unroll 3
        for (int k = 0; k < kStep; ++k) {
          const __m512i bytes = _mm512_loadu_si512(activation + p * run.activations_step + k * pitch);
          const __m512i taps = _mm512_mask_permutexvar_epi8(zeros, mask, picks, bytes);
#pragma GCC unroll 3
          for (int row = k; row < kGradientSide; row += kStep) {
            sums[p][row] = _mm512_dpbusd_epi32(sums[p][row], taps, errors[p][row / kStep]);
          }
        }
      }
      activation += rows.windows.step * pitch;
      error += rows.errors_step;
    }
  }
#pragma GCC unroll 2
  for (int p = 0; p < kPlanes; ++p) {
    const __m512i sum = sum_of_groups(sums[p][0], sums[p][1], sums[p][2]);
    // kDotOffset times the sum of the errors is in the last lane of each row.
    totals[p] = _mm512_sub_epi32(sum, _mm512_shuffle_epi32(sum, _MM_PERM_DDDD));
  }
}

HWY_INLINE void add_scaled(__m512i sum, float error_unit, float activation_unit, bool exact, float* sums) {
  if (exact) {
    const __m512 unit = _mm512_set1_ps(error_unit * activation_unit);
    _mm512_storeu_ps(sums, _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), unit, _mm512_loadu_ps(sums)));
    return;
  }
  const __m512d unit = _mm512_set1_pd(double{error_unit} * double{activation_unit});
  const auto rounded = [&](__m256i half)
                           HWY_ATTR { return _mm512_cvtpd_ps(_mm512_mul_pd(_mm512_cvtepi32_pd(half), unit)); };
  const __m256 low = rounded(_mm512_castsi512_si256(sum));
  const __m256 high = rounded(_mm512_extracti64x4_epi64(sum, 1));
  const __m512 both = _mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1);
  _mm512_storeu_ps(sums, _mm512_add_ps(_mm512_loadu_ps(sums), both));
}

template <int kStep, int kPlanes>
HWY_INLINE void add_some_gradients(const GradientRows& rows, const GradientRun& run, std::int64_t plane, float* sums) {
  __m512i totals[kPlanes];
  sum_gradients<kStep>(rows, run, plane, totals);
  for (int p = 0; p < kPlanes; ++p) {
    add_scaled(totals[p], run.error_units[plane + p], run.activation_units[plane + p], rows.exact,
               sums + (plane + p) * kGradientLanes);
  }
}

template <int kStep>
void add_gradient_sums(const GradientRows& rows, const GradientRun& run, float* sums) {
  std::int64_t plane = 0;
  for (; plane + 2 <= run.count; plane += 2) add_some_gradients<kStep, 2>(rows, run, plane, sums);
  if (plane < run.count) add_some_gradients<kStep, 1>(rows, run, plane, sums);
}

void add_gradient_planes(const GradientRows& rows, const GradientRun& run, float* sums) {
  if (rows.windows.step == 1) return add_gradient_sums<1>(rows, run, sums);
  if (rows.windows.step == 2) return add_gradient_sums<2>(rows, run, sums);
  add_gradient_sums<kGradientSide>(rows, run, sums);
}

void write_scaled_gradients(const float* sums, std::int64_t count, float tensor_scale, float* results) {
  const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 4, 5, 6, 8, 9, 10, 0, 0, 0, 0, 0, 0, 0);
  const __m512 scale = _mm512_set1_ps(tensor_scale);
  for (std::int64_t i = 0; i < count; ++i) {
    const __m512 taps = _mm512_permutexvar_ps(lanes, _mm512_loadu_ps(sums + i * kGradientLanes));
    _mm512_mask_storeu_ps(results + i * kGradientTaps, (1U << kGradientTaps) - 1, _mm512_mul_ps(taps, scale));
  }
}

#else

void fill_bytes(const BytePlanes& planes, const ByteDecoder& decoder, const std::uint16_t* codes, std::int64_t count,
                std::uint8_t* bytes) {
  for (std::int64_t plane = 0; plane < count; ++plane, bytes += planes.step) {
    for (std::int64_t i = 0; i < planes.elements; ++i) bytes[planes.place + i] = decoder.table()[*codes++];
  }
}

// Byte i of the vector that a window makes.
std::uint8_t picked(const WindowPicks& picks, std::int64_t i, const std::uint8_t* window, std::uint8_t zero) {
  const auto place = static_cast<std::size_t>(i);
  return (picks.mask >> i & 1) == 0 ? zero : window[picks.window + picks.picks[place]];
}

void correlate_any(const ResultRows& rows, const PlaneRun& run, float* y, std::int64_t y_step) {
  const WindowRows& windows = rows.windows;
  for (std::int64_t plane = 0; plane < run.count; ++plane, y += y_step) {
    const std::int64_t channel = run.channel + plane;
    const std::int64_t channel_lane = channel % kDotChannels;
    const auto result = [&](const ResultColumn& column, std::int64_t v, std::int64_t lane) {
      const auto phase = static_cast<std::size_t>(lane % rows.phases);
      const std::int32_t* weights = run.weights[phase] + (channel - channel_lane) * windows.kernel_rows + channel_lane;
      std::int32_t sum = run.corrections[phase][channel];
      for (std::int64_t i = 0; i < 4 * windows.kernel_rows; ++i) {
        const std::uint8_t* window = run.bytes + plane * run.bytes_step + (windows.step * v + i / 4) * windows.pitch;
        const auto weight = static_cast<std::uint32_t>(weights[i / 4 * kDotChannels]) >> (8 * (i % 4));
        sum +=
            picked(column.taps, lane / rows.phases * 4 + i % 4, window, kDotOffset) * static_cast<std::int8_t>(weight);
      }
      return static_cast<float>(sum) * run.units[plane] * run.tensor_scale;
    };
    for (const ResultColumn& column : rows.columns) {
      for (std::int64_t v = 0; v < windows.vectors; ++v) {
        const std::uint32_t written = v + 1 == windows.vectors ? column.written_last : column.written;
        for (std::int64_t lane = 0; lane < kPlaneLanes * rows.phases; ++lane) {
          if ((written >> lane & 1) != 0) y[column.first + v * rows.results_step + lane] = result(column, v, lane);
        }
      }
    }
  }
}

void add_gradient_planes(const GradientRows& rows, const GradientRun& run, float* sums) {
  const WindowRows& windows = rows.windows;
  for (std::int64_t plane = 0; plane < run.count; ++plane, sums += kGradientLanes) {
    const std::uint8_t* activations = run.activations + plane * run.activations_step;
    const std::uint8_t* errors = run.errors + plane * run.errors_step;
    const double unit = double{run.error_units[plane]} * double{run.activation_units[plane]};
    for (std::int64_t lane = 0; lane < kGradientSide * kGradientRow; ++lane) {
      std::int32_t sum = 0;
      for (const GradientColumn& column : rows.columns) {
        for (std::int64_t v = 0; v < windows.vectors; ++v) {
          const std::uint8_t* window = activations + (windows.step * v + lane / kGradientRow) * windows.pitch;
          for (std::int64_t i = 0; i < kPlaneLanes; ++i) {
            const std::int64_t at = i / 4 * kPlaneLanes + lane % kGradientRow * 4 + i % 4;
            sum += (picked(column.activations, at, window, kDotOffset) - kDotOffset) *
                   static_cast<std::int8_t>(picked(column.errors, at, errors + v * rows.errors_step, 0));
          }
        }
      }
      sums[lane] += static_cast<float>(sum * unit);
    }
  }
}

void write_scaled_gradients(const float* sums, std::int64_t count, float tensor_scale, float* results) {
  for (std::int64_t i = 0; i < count; ++i, sums += kGradientLanes) {
    for (std::int64_t tap = 0; tap < kGradientTaps; ++tap) {
      *results++ = sums[tap / kGradientSide * kGradientRow + tap % kGradientSide] * tensor_scale;
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
HWY_EXPORT(add_gradient_planes);
HWY_EXPORT(write_scaled_gradients);

BytePlanes BytePlanes::reading(std::int64_t elements, std::int64_t first, std::int64_t end) {
  // Planes are written in whole vectors, and begin with one.
  const auto in_vectors = [](std::int64_t bytes) { return base::ceiling(bytes, kPlaneBytes) * kPlaneBytes; };
  const std::int64_t place = in_vectors(std::max<std::int64_t>(-first, 0));
  return {elements, place, place + in_vectors(std::max(end, elements))};
}

void BytePlanes::clear(std::uint8_t* bytes, std::int64_t count, std::uint8_t zero) const {
  for (std::int64_t i = 0; i < count; ++i, bytes += step) {
    std::fill(bytes, bytes + place, zero);
    std::fill(bytes + place + elements, bytes + step, zero);
  }
}

void fill_byte_planes(const BytePlanes& planes, const ByteDecoder& decoder, const std::uint16_t* codes,
                      std::int64_t count, std::uint8_t* bytes) {
  HWY_DYNAMIC_DISPATCH(fill_bytes)(planes, decoder, codes, count, bytes);
}

void correlate_planes(const ResultRows& rows, const PlaneRun& run, float* y, std::int64_t y_step) {
  HWY_DYNAMIC_DISPATCH(correlate_any)(rows, run, y, y_step);
}

void add_gradients(const GradientRows& rows, const GradientRun& run, float* sums) {
  HWY_DYNAMIC_DISPATCH(add_gradient_planes)(rows, run, sums);
}

void write_gradients(const float* sums, std::int64_t count, float tensor_scale, float* results) {
  HWY_DYNAMIC_DISPATCH(write_scaled_gradients)(sums, count, tensor_scale, results);
}

}  // namespace mlsim::models
#endif
