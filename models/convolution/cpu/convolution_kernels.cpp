#include "models/convolution/cpu/convolution_kernels.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/convolution/cpu/convolution_kernels.cpp"
#include "hwy/foreach_target.h"
// After foreach_target.h.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace mlsim::models::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

template <typename T>
using Tag = hn::ScalableTag<T>;
template <typename T>
using Vector = hn::Vec<Tag<T>>;

// With 32 vector registers, 24 of them hold sums; with 16, 12 do.
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL || HWY_TARGET == HWY_NEON
constexpr int kTileVectors = 6;
constexpr int kWeightColumns = 12;
constexpr int kNarrowVectors = 2;
#else
constexpr int kTileVectors = 3;
constexpr int kWeightColumns = 6;
constexpr int kNarrowVectors = 1;
#endif

// Beyond binary32 infinite, where Highway's scalar code takes the largest number.
using Half = hn::Rebind<float, Tag<double>>;
hn::Vec<Half> to_float(Vector<double> x) {
#if HWY_TARGET == HWY_SCALAR
  return hn::Set(Half(), static_cast<float>(hn::GetLane(x)));
#else
  return hn::DemoteTo(Half(), x);
#endif
}

// ---- Codes to numbers

// k of a vector of codes, as binary32: a code word without its sign is a float with the bias moved, except below the
// first binade with a hidden bit.
struct Decoder {
  explicit Decoder(const ElementFormat& format)
      : mantissa_bits(format.mantissa_bits),
        sign_position(format.code_bits() - 1),
        twos_complement(format.twos_complement()) {}

  Vector<float> operator()(const std::uint16_t* codes) const {
    const Tag<float> df;
    const hn::RebindToUnsigned<Tag<float>> du;
    const hn::RebindToSigned<Tag<float>> di;
    const hn::Rebind<std::uint16_t, Tag<float>> d16;
    const auto code = hn::PromoteTo(du, hn::LoadU(d16, codes));
    if (twos_complement) {
      const int unused = 31 - sign_position;
      return hn::ConvertTo(df, hn::ShiftRightSame(hn::ShiftLeftSame(hn::BitCast(di, code), unused), unused));
    }
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
  bool twos_complement;
};

void store_scaled(Vector<float> k, double scale, float* values) {
  hn::StoreU(hn::Mul(k, hn::Set(Tag<float>(), static_cast<float>(scale))), Tag<float>(), values);
}

void store_scaled(Vector<float> k, double scale, double* values) {
  const Tag<float> df;
  HWY_ALIGN float lanes[HWY_MAX_BYTES / sizeof(float)];
  hn::Store(k, df, lanes);
  for (std::size_t i = 0; i < hn::Lanes(df); ++i) values[i] = scale * double{lanes[i]};
}

template <typename T>
void decode(const ElementFormat& format, const std::uint16_t* codes, std::size_t count, double scale, T* values) {
  const Decoder decoder(format);
  const std::size_t lanes = hn::Lanes(Tag<float>());
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) store_scaled(decoder(codes + i), scale, values + i);
  if (i == count) return;
  HWY_ALIGN std::uint16_t last_codes[HWY_MAX_BYTES / sizeof(float)] = {};
  HWY_ALIGN T last_values[HWY_MAX_BYTES / sizeof(float)];
  std::copy(codes + i, codes + count, last_codes);
  store_scaled(decoder(last_codes), scale, last_values);
  std::copy_n(last_values, count - i, values + i);
}

void decode_floats(const ElementFormat& format, const std::uint16_t* codes, std::size_t count, double scale,
                   float* values) {
  decode(format, codes, count, scale, values);
}

void decode_doubles(const ElementFormat& format, const std::uint16_t* codes, std::size_t count, double scale,
                    double* values) {
  decode(format, codes, count, scale, values);
}

// ---- Forward and backward data

void add_to(Vector<float> sum, float* y) {
  hn::StoreU(hn::Add(hn::LoadU(Tag<float>(), y), sum), Tag<float>(), y);
}

void add_to(Vector<double> sum, float* y) {
  const hn::Rebind<float, Tag<double>> half;
  hn::StoreU(hn::Add(hn::LoadU(half, y), to_float(sum)), half, y);
}

template <typename T, int kChannels, int kVectors>
void correlate_tile(const CorrelationTile<T>& tile, float* HWY_RESTRICT y) {
  const Tag<T> d;
  const std::size_t lanes = hn::Lanes(d);
  const std::int64_t* HWY_RESTRICT offsets = tile.offsets;
  const std::int64_t taps = tile.taps;
  const T* HWY_RESTRICT weights = tile.weights;
  const T* HWY_RESTRICT source = tile.source;
  std::fill_n(y, kChannels * kVectors * lanes, 0.0F);

  Vector<T> sums[kChannels][kVectors];
#pragma GCC unroll 8
  for (int c = 0; c < kChannels; ++c) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) sums[c][v] = hn::Zero(d);
  }
  for (std::int64_t outer = 0; outer < tile.outer; ++outer, source += tile.plane) {
    for (std::int64_t tap = 0; tap < taps; ++tap, weights += kChannels) {
      const T* HWY_RESTRICT at = source + offsets[tap];
      Vector<T> x[kVectors];
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) x[v] = hn::LoadU(d, at + static_cast<std::size_t>(v) * lanes);
#pragma GCC unroll 8
      for (int c = 0; c < kChannels; ++c) {
        const auto weight = hn::Set(d, weights[c]);
#pragma GCC unroll 8
        for (int v = 0; v < kVectors; ++v) sums[c][v] = hn::MulAdd(weight, x[v], sums[c][v]);
      }
    }
    if (tile.merged && outer + 1 < tile.outer) continue;
#pragma GCC unroll 8
    for (int c = 0; c < kChannels; ++c) {
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) {
        add_to(sums[c][v], y + static_cast<std::size_t>(c * kVectors + v) * lanes);
        sums[c][v] = hn::Zero(d);
      }
    }
  }
}

template <typename T, int kVectors>
void correlate_vectors(const CorrelationTile<T>& tile, float* y) {
  if (tile.vectors < kVectors) {
    if constexpr (kVectors > 1) correlate_vectors<T, kVectors - 1>(tile, y);
  } else if (tile.channels == kChannelBlock) {
    correlate_tile<T, kChannelBlock, kVectors>(tile, y);
  } else {
    correlate_tile<T, 1, kVectors>(tile, y);
  }
}

void correlate_floats(const CorrelationTile<float>& tile, float* y) {
  correlate_vectors<float, kTileVectors>(tile, y);
}

void correlate_doubles(const CorrelationTile<double>& tile, float* y) {
  correlate_vectors<double, kTileVectors>(tile, y);
}

// Vectors of narrow registers.
template <typename T>
class NarrowAccumulator {
 public:
  explicit NarrowAccumulator(const NarrowRegister& narrow)
      : wraps_(narrow.wraps),
        lowest_(static_cast<T>(-std::ldexp(1.0, narrow.bits - 1))),
        modulus_(static_cast<T>(std::ldexp(1.0, narrow.bits))),
        inverse_modulus_(static_cast<T>(std::ldexp(1.0, -narrow.bits))) {}

  // Adds the product; 1 is added to `overflows` where that overflows.
  void add(Vector<T> product, Vector<T>& sum, Vector<T>& overflows) const {
    const Tag<T> d;
    const auto exact = hn::Add(sum, product);
    const auto lowest = hn::Set(d, lowest_);
    if (wraps_) {
      const auto turns = hn::Floor(hn::Mul(hn::Sub(exact, lowest), hn::Set(d, inverse_modulus_)));
      sum = hn::Sub(exact, hn::Mul(turns, hn::Set(d, modulus_)));
    } else {
      sum = hn::Min(hn::Max(exact, lowest), hn::Set(d, -lowest_ - 1));
    }
    overflows = hn::Add(overflows, hn::IfThenElseZero(hn::Ne(sum, exact), hn::Set(d, T{1})));
  }

 private:
  bool wraps_;
  T lowest_;
  T modulus_;
  T inverse_modulus_;
};

// The sum of counts in lanes, each times `weights` where they are given.
template <typename T>
std::uint64_t total(Vector<T> counts, const T* weights = nullptr) {
  const Tag<T> d;
  HWY_ALIGN T lanes[HWY_MAX_BYTES / sizeof(T)];
  hn::Store(weights == nullptr ? counts : hn::Mul(counts, hn::LoadU(d, weights)), d, lanes);
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < hn::Lanes(d); ++i) sum += static_cast<std::uint64_t>(lanes[i]);
  return sum;
}

void add_scaled(Vector<double> sum, double factor, float* y) {
  add_to(hn::Mul(sum, hn::Set(Tag<double>(), factor)), y);
}

void add_scaled(Vector<float> sum, double factor, float* y) {
  const Tag<double> d;
#if HWY_TARGET == HWY_SCALAR
  add_scaled(hn::PromoteTo(d, sum), factor, y);
#else
  const hn::Half<Tag<float>> half;
  add_scaled(hn::PromoteTo(d, hn::LowerHalf(half, sum)), factor, y);
  add_scaled(hn::PromoteTo(d, hn::UpperHalf(half, sum)), factor, y + hn::Lanes(half));
#endif
}

// A register waits for itself: several of them at a time keep the processor busy.
template <typename T, int kChannels, int kVectors>
std::uint64_t correlate_narrow_block(const CorrelationTile<T>& tile, const NarrowAccumulator<T>& accumulator,
                                     const double* factors, const T* counted, int vector, float* y) {
  const Tag<T> d;
  const std::size_t lanes = hn::Lanes(d);
  const std::size_t first = static_cast<std::size_t>(vector) * lanes;
  const std::size_t pitch = static_cast<std::size_t>(tile.vectors) * lanes;
  const T* source = tile.source + first;
  const T* weights = tile.weights;
  Vector<T> sums[kChannels][kVectors];
  Vector<T> overflows[kChannels][kVectors];
  for (int c = 0; c < kChannels; ++c) {
    std::fill_n(y + static_cast<std::size_t>(c) * pitch + first, kVectors * lanes, 0.0F);
    for (int v = 0; v < kVectors; ++v) sums[c][v] = overflows[c][v] = hn::Zero(d);
  }
  for (std::int64_t outer = 0; outer < tile.outer; ++outer, source += tile.plane) {
    for (std::int64_t tap = 0; tap < tile.taps; ++tap, weights += kChannels) {
      const T* at = source + tile.offsets[tap];
#pragma GCC unroll 8
      for (int c = 0; c < kChannels; ++c) {
#pragma GCC unroll 8
        for (int v = 0; v < kVectors; ++v) {
          const auto x = hn::LoadU(d, at + static_cast<std::size_t>(v) * lanes);
          accumulator.add(hn::Mul(hn::Set(d, weights[c]), x), sums[c][v], overflows[c][v]);
        }
      }
    }
    if (tile.merged && outer + 1 < tile.outer) continue;
    for (int c = 0; c < kChannels; ++c) {
      for (int v = 0; v < kVectors; ++v) {
        add_scaled(sums[c][v], factors[c * tile.outer + outer],
                   y + static_cast<std::size_t>(c) * pitch + first + static_cast<std::size_t>(v) * lanes);
        sums[c][v] = hn::Zero(d);
      }
    }
  }
  std::uint64_t overflow_count = 0;
  for (int c = 0; c < kChannels; ++c) {
    for (int v = 0; v < kVectors; ++v) {
      overflow_count += total<T>(overflows[c][v], counted + first + static_cast<std::size_t>(v) * lanes);
    }
  }
  return overflow_count;
}

template <typename T, int kChannels, int kVectors>
std::uint64_t correlate_narrow_channels(const CorrelationTile<T>& tile, const NarrowRegister& narrow,
                                        const double* factors, const T* counted, float* y) {
  static_assert(kVectors <= kTileVectors);
  const NarrowAccumulator<T> accumulator(narrow);
  std::uint64_t overflows = 0;
  int v = 0;
  for (; v + kVectors <= tile.vectors; v += kVectors) {
    overflows += correlate_narrow_block<T, kChannels, kVectors>(tile, accumulator, factors, counted, v, y);
  }
  for (; v < tile.vectors; ++v) {
    overflows += correlate_narrow_block<T, kChannels, 1>(tile, accumulator, factors, counted, v, y);
  }
  return overflows;
}

template <typename T>
std::uint64_t correlate_narrow_tile(const CorrelationTile<T>& tile, const NarrowRegister& narrow, const double* factors,
                                    const T* counted, float* y) {
  return tile.channels == kChannelBlock
             ? correlate_narrow_channels<T, kChannelBlock, kNarrowVectors>(tile, narrow, factors, counted, y)
             : correlate_narrow_channels<T, 1, 2 * kNarrowVectors>(tile, narrow, factors, counted, y);
}

std::uint64_t correlate_narrow_floats(const CorrelationTile<float>& tile, const NarrowRegister& narrow,
                                      const double* factors, const float* counted, float* y) {
  return correlate_narrow_tile(tile, narrow, factors, counted, y);
}

std::uint64_t correlate_narrow_doubles(const CorrelationTile<double>& tile, const NarrowRegister& narrow,
                                       const double* factors, const double* counted, float* y) {
  return correlate_narrow_tile(tile, narrow, factors, counted, y);
}

// ---- Backward weight

void add_to_doubles(Vector<double> sum, double* sums) {
  hn::StoreU(hn::Add(hn::LoadU(Tag<double>(), sums), sum), Tag<double>(), sums);
}

void add_to_doubles(Vector<float> sum, double* sums) {
  const Tag<float> d;
  HWY_ALIGN float lanes[HWY_MAX_BYTES / sizeof(float)];
  hn::Store(sum, d, lanes);
  for (std::size_t i = 0; i < hn::Lanes(d); ++i) sums[i] += double{lanes[i]};
}

template <typename T, bool kExpanded, int kColumns, int kVectors>
void sum_tile(const WeightTile<T>& tile, double* HWY_RESTRICT sums) {
  const Tag<T> d;
  const std::size_t lanes = hn::Lanes(d);
  for (std::int64_t first = 0; first < tile.rows; first += tile.rows_at_once) {
    Vector<T> sum[kColumns][kVectors];
#pragma GCC unroll 16
    for (int j = 0; j < kColumns; ++j) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sum[j][v] = hn::Zero(d);
    }
    const T* at[kColumns];
    for (int j = 0; j < kColumns; ++j) at[j] = tile.activation + tile.offsets[j];
    const std::int64_t end = std::min(tile.rows, first + tile.rows_at_once);
    for (std::int64_t row = first; row < end; ++row) {
      const T* HWY_RESTRICT error = tile.error + row * tile.columns * tile.error_pitch;
      std::int64_t position = row * tile.row_step;
      for (std::int64_t column = 0; column < tile.columns; ++column) {
        Vector<T> e[kVectors];
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) e[v] = hn::LoadU(d, error + static_cast<std::size_t>(v) * lanes);
#pragma GCC unroll 16
        for (int j = 0; j < kColumns; ++j) {
#pragma GCC unroll 2
          for (int v = 0; v < kVectors; ++v) {
            const auto a = kExpanded ? hn::LoadU(d, at[j] + position + static_cast<std::size_t>(v) * lanes)
                                     : hn::Set(d, at[j][position]);
            sum[j][v] = hn::MulAdd(a, e[v], sum[j][v]);
          }
        }
        error += tile.error_pitch;
        position += tile.column_step;
      }
    }
#pragma GCC unroll 16
    for (int j = 0; j < kColumns; ++j) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) {
        add_to_doubles(sum[j][v], sums + static_cast<std::size_t>(j * kVectors + v) * lanes);
      }
    }
  }
}

template <typename T, bool kExpanded, int kVectors>
void sum_columns(WeightTile<T> tile, double* sums) {
  const std::size_t stride = kVectors * hn::Lanes(Tag<T>());
  int left = tile.weight_columns;
  const auto run = [&](auto columns) {
    constexpr int kColumns = decltype(columns)::value;
    while (left >= kColumns) {
      sum_tile<T, kExpanded, kColumns, kVectors>(tile, sums);
      tile.offsets += kColumns;
      sums += kColumns * stride;
      left -= kColumns;
    }
  };
  run(std::integral_constant<int, kWeightColumns>());
  run(std::integral_constant<int, 3>());
  run(std::integral_constant<int, 1>());
}

template <typename T>
void sum_any_tile(const WeightTile<T>& tile, double* sums) {
  if (tile.expanded) {
    tile.vectors == 1 ? sum_columns<T, true, 1>(tile, sums) : sum_columns<T, true, kWeightVectors>(tile, sums);
  } else {
    tile.vectors == 1 ? sum_columns<T, false, 1>(tile, sums) : sum_columns<T, false, kWeightVectors>(tile, sums);
  }
}

void sum_weight_floats(const WeightTile<float>& tile, double* sums) {
  sum_any_tile(tile, sums);
}

void sum_weight_doubles(const WeightTile<double>& tile, double* sums) {
  sum_any_tile(tile, sums);
}

// Registers that begin with sums and go back to them.
template <typename T>
Vector<T> load_doubles(const double* sums) {
  const Tag<T> d;
  HWY_ALIGN T lanes[HWY_MAX_BYTES / sizeof(T)];
  for (std::size_t i = 0; i < hn::Lanes(d); ++i) lanes[i] = static_cast<T>(sums[i]);
  return hn::Load(d, lanes);
}

template <typename T>
void store_doubles(Vector<T> sum, double* sums) {
  const Tag<T> d;
  HWY_ALIGN T lanes[HWY_MAX_BYTES / sizeof(T)];
  hn::Store(sum, d, lanes);
  for (std::size_t i = 0; i < hn::Lanes(d); ++i) sums[i] = double{lanes[i]};
}

// As many weight columns, and all vectors of the tile.
template <typename T, int kColumns, int kVectors>
std::uint64_t sum_narrow_block(const WeightTile<T>& tile, const NarrowAccumulator<T>& accumulator, int first,
                               double* sums) {
  const Tag<T> d;
  const std::size_t lanes = hn::Lanes(d);
  Vector<T> sum[kColumns][kVectors];
  Vector<T> overflows[kColumns][kVectors];
  sums += static_cast<std::size_t>(first * kVectors) * lanes;
  for (int j = 0; j < kColumns; ++j) {
    for (int v = 0; v < kVectors; ++v) {
      sum[j][v] = load_doubles<T>(sums + static_cast<std::size_t>(j * kVectors + v) * lanes);
      overflows[j][v] = hn::Zero(d);
    }
  }
  const std::int64_t* offsets = tile.offsets + first;
  for (std::int64_t row = 0; row < tile.rows; ++row) {
    for (std::int64_t column = 0; column < tile.columns; ++column) {
      const T* activation = tile.activation + row * tile.row_step + column * tile.column_step;
      const T* error = tile.error + (row * tile.columns + column) * tile.error_pitch;
#pragma GCC unroll 8
      for (int j = 0; j < kColumns; ++j) {
        const T* a = activation + offsets[j];
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) {
          const std::size_t lane = static_cast<std::size_t>(v) * lanes;
          const auto factor = tile.expanded ? hn::LoadU(d, a + lane) : hn::Set(d, *a);
          accumulator.add(hn::Mul(factor, hn::LoadU(d, error + lane)), sum[j][v], overflows[j][v]);
        }
      }
    }
  }
  std::uint64_t overflow_count = 0;
  for (int j = 0; j < kColumns; ++j) {
    for (int v = 0; v < kVectors; ++v) {
      store_doubles<T>(sum[j][v], sums + static_cast<std::size_t>(j * kVectors + v) * lanes);
      overflow_count += total<T>(overflows[j][v]);
    }
  }
  return overflow_count;
}

template <typename T, int kVectors>
std::uint64_t sum_narrow_columns(const WeightTile<T>& tile, const NarrowRegister& narrow, double* sums) {
  constexpr int kColumns = 4 * kNarrowVectors / kVectors;
  const NarrowAccumulator<T> accumulator(narrow);
  std::uint64_t overflows = 0;
  int j = 0;
  for (; j + kColumns <= tile.weight_columns; j += kColumns) {
    overflows += sum_narrow_block<T, kColumns, kVectors>(tile, accumulator, j, sums);
  }
  for (; j < tile.weight_columns; ++j) overflows += sum_narrow_block<T, 1, kVectors>(tile, accumulator, j, sums);
  return overflows;
}

template <typename T>
std::uint64_t sum_narrow_tile(const WeightTile<T>& tile, const NarrowRegister& narrow, double* sums) {
  static_assert(kWeightVectors == 2);
  return tile.vectors == 2 ? sum_narrow_columns<T, 2>(tile, narrow, sums)
                           : sum_narrow_columns<T, 1>(tile, narrow, sums);
}

std::uint64_t sum_narrow_floats(const WeightTile<float>& tile, const NarrowRegister& narrow, double* sums) {
  return sum_narrow_tile(tile, narrow, sums);
}

std::uint64_t sum_narrow_doubles(const WeightTile<double>& tile, const NarrowRegister& narrow, double* sums) {
  return sum_narrow_tile(tile, narrow, sums);
}

void add_rounded(const double* sums, const double* factors, double factor, std::size_t count, float* y) {
  const Tag<double> d;
  const auto common = hn::Set(d, factor);
  for (std::size_t i = 0; i < count; i += hn::Lanes(d)) {
    add_to(hn::Mul(hn::LoadU(d, sums + i), hn::Mul(hn::LoadU(d, factors + i), common)), y + i);
  }
}

std::size_t float_lanes() {
  return hn::Lanes(Tag<float>());
}

std::size_t double_lanes() {
  return hn::Lanes(Tag<double>());
}

int tile_vectors() {
  return kTileVectors;
}

int weight_tile_columns() {
  return kWeightColumns;
}

}  // namespace
}  // namespace mlsim::models::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mlsim::models {

HWY_EXPORT(decode_floats);
HWY_EXPORT(decode_doubles);
HWY_EXPORT(correlate_floats);
HWY_EXPORT(correlate_doubles);
HWY_EXPORT(correlate_narrow_floats);
HWY_EXPORT(correlate_narrow_doubles);
HWY_EXPORT(sum_weight_floats);
HWY_EXPORT(sum_weight_doubles);
HWY_EXPORT(sum_narrow_floats);
HWY_EXPORT(sum_narrow_doubles);
HWY_EXPORT(add_rounded);
HWY_EXPORT(float_lanes);
HWY_EXPORT(double_lanes);
HWY_EXPORT(tile_vectors);
HWY_EXPORT(weight_tile_columns);

void decode_scaled(const ElementFormat& format, const std::uint16_t* codes, std::size_t count, double scale,
                   float* values) {
  HWY_DYNAMIC_DISPATCH(decode_floats)(format, codes, count, scale, values);
}

void decode_scaled(const ElementFormat& format, const std::uint16_t* codes, std::size_t count, double scale,
                   double* values) {
  HWY_DYNAMIC_DISPATCH(decode_doubles)(format, codes, count, scale, values);
}

void correlate(const CorrelationTile<float>& tile, float* y) {
  HWY_DYNAMIC_DISPATCH(correlate_floats)(tile, y);
}

void correlate(const CorrelationTile<double>& tile, float* y) {
  HWY_DYNAMIC_DISPATCH(correlate_doubles)(tile, y);
}

std::uint64_t correlate_narrow(const CorrelationTile<float>& tile, const NarrowRegister& narrow, const double* factors,
                               const float* counted, float* y) {
  return HWY_DYNAMIC_DISPATCH(correlate_narrow_floats)(tile, narrow, factors, counted, y);
}

std::uint64_t correlate_narrow(const CorrelationTile<double>& tile, const NarrowRegister& narrow, const double* factors,
                               const double* counted, float* y) {
  return HWY_DYNAMIC_DISPATCH(correlate_narrow_doubles)(tile, narrow, factors, counted, y);
}

void sum_weight_tile(const WeightTile<float>& tile, double* sums) {
  HWY_DYNAMIC_DISPATCH(sum_weight_floats)(tile, sums);
}

void sum_weight_tile(const WeightTile<double>& tile, double* sums) {
  HWY_DYNAMIC_DISPATCH(sum_weight_doubles)(tile, sums);
}

std::uint64_t sum_weight_tile_narrow(const WeightTile<float>& tile, const NarrowRegister& narrow, double* sums) {
  return HWY_DYNAMIC_DISPATCH(sum_narrow_floats)(tile, narrow, sums);
}

std::uint64_t sum_weight_tile_narrow(const WeightTile<double>& tile, const NarrowRegister& narrow, double* sums) {
  return HWY_DYNAMIC_DISPATCH(sum_narrow_doubles)(tile, narrow, sums);
}

void add_rounded(const double* sums, const double* factors, double factor, std::size_t count, float* y) {
  HWY_DYNAMIC_DISPATCH(add_rounded)(sums, factors, factor, count, y);
}

template <>
std::size_t vector_lanes<float>() {
  return HWY_DYNAMIC_DISPATCH(float_lanes)();
}

template <>
std::size_t vector_lanes<double>() {
  return HWY_DYNAMIC_DISPATCH(double_lanes)();
}

int tile_vectors() {
  return HWY_DYNAMIC_DISPATCH(tile_vectors)();
}

int weight_tile_columns() {
  return HWY_DYNAMIC_DISPATCH(weight_tile_columns)();
}

}  // namespace mlsim::models
#endif
