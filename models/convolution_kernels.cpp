#include "models/convolution_kernels.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/convolution_kernels.cpp"
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
#else
constexpr int kTileVectors = 3;
constexpr int kWeightColumns = 6;
#endif

// ---- Codes to numbers

// k of a vector of codes, as binary32: a code word without its sign is a float with the bias moved, except below the
// first binade with a hidden bit.
struct Decoder {
  explicit Decoder(const ElementFormat& format)
      : mantissa_bits(format.mantissa_bits), sign_position(format.code_bits() - 1) {}

  Vector<float> operator()(const std::uint16_t* codes) const {
    const Tag<float> df;
    const hn::RebindToUnsigned<Tag<float>> du;
    const hn::RebindToSigned<Tag<float>> di;
    const hn::Rebind<std::uint16_t, Tag<float>> d16;
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
  hn::StoreU(hn::Add(hn::LoadU(half, y), hn::DemoteTo(half, sum)), half, y);
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

// A vector of narrow registers.
class NarrowAccumulator {
 public:
  explicit NarrowAccumulator(const NarrowRegister& narrow)
      : wraps_(narrow.wraps),
        lowest_(-std::ldexp(1.0, narrow.bits - 1)),
        modulus_(std::ldexp(1.0, narrow.bits)),
        inverse_modulus_(std::ldexp(1.0, -narrow.bits)) {}

  // Adds the product; 1 is added to `overflows` where that overflows.
  Vector<double> add(Vector<double> sum, Vector<double> product, Vector<double>& overflows) const {
    const Tag<double> d;
    const auto lowest = hn::Set(d, lowest_);
    const auto highest = hn::Set(d, -lowest_ - 1);
    const auto exact = hn::Add(sum, product);
    const auto overflow = hn::Or(hn::Lt(exact, lowest), hn::Gt(exact, highest));
    overflows = hn::Add(overflows, hn::IfThenElseZero(overflow, hn::Set(d, 1.0)));
    if (!wraps_) return hn::Min(hn::Max(exact, lowest), highest);
    const auto turns = hn::Floor(hn::Mul(hn::Sub(exact, lowest), hn::Set(d, inverse_modulus_)));
    return hn::Sub(exact, hn::Mul(turns, hn::Set(d, modulus_)));
  }

 private:
  bool wraps_;
  double lowest_;
  double modulus_;
  double inverse_modulus_;
};

std::uint64_t correlate_narrow(const CorrelationTile<double>& tile, const NarrowRegister& narrow, const double* factors,
                               const double* counted, float* y) {
  const Tag<double> d;
  const std::size_t lanes = hn::Lanes(d);
  const NarrowAccumulator accumulator(narrow);
  std::uint64_t overflow_count = 0;
  for (int v = 0; v < tile.vectors; ++v, y += lanes, counted += lanes) {
    std::fill_n(y, lanes, 0.0F);
    const double* source = tile.source + static_cast<std::size_t>(v) * lanes;
    const double* weights = tile.weights;
    auto sum = hn::Zero(d);
    auto overflows = hn::Zero(d);
    for (std::int64_t outer = 0; outer < tile.outer; ++outer, source += tile.plane) {
      for (std::int64_t tap = 0; tap < tile.taps; ++tap, ++weights) {
        const auto product = hn::Mul(hn::Set(d, *weights), hn::LoadU(d, source + tile.offsets[tap]));
        sum = accumulator.add(sum, product, overflows);
      }
      if (tile.merged && outer + 1 < tile.outer) continue;
      add_to(hn::Mul(sum, hn::Set(d, factors[outer])), y);
      sum = hn::Zero(d);
    }
    const auto total = hn::SumOfLanes(d, hn::Mul(overflows, hn::LoadU(d, counted)));
    overflow_count += static_cast<std::uint64_t>(hn::GetLane(total));
  }
  return overflow_count;
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

std::uint64_t sum_weight_tile_narrow(const WeightTile<double>& tile, const NarrowRegister& narrow, double* sums) {
  const Tag<double> d;
  const std::size_t lanes = hn::Lanes(d);
  const NarrowAccumulator accumulator(narrow);
  auto overflows = hn::Zero(d);
  for (int j = 0; j < tile.weight_columns; ++j) {
    for (int v = 0; v < tile.vectors; ++v, sums += lanes) {
      const std::size_t lane = static_cast<std::size_t>(v) * lanes;
      auto sum = hn::LoadU(d, sums);
      for (std::int64_t row = 0; row < tile.rows; ++row) {
        for (std::int64_t column = 0; column < tile.columns; ++column) {
          const double* a = tile.activation + tile.offsets[j] + row * tile.row_step + column * tile.column_step;
          const double* e = tile.error + (row * tile.columns + column) * tile.error_pitch + lane;
          const auto factor = tile.expanded ? hn::LoadU(d, a + lane) : hn::Set(d, *a);
          sum = accumulator.add(sum, hn::Mul(factor, hn::LoadU(d, e)), overflows);
        }
      }
      hn::StoreU(sum, d, sums);
    }
  }
  return static_cast<std::uint64_t>(hn::GetLane(hn::SumOfLanes(d, overflows)));
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
HWY_EXPORT(correlate_narrow);
HWY_EXPORT(sum_weight_floats);
HWY_EXPORT(sum_weight_doubles);
HWY_EXPORT(sum_weight_tile_narrow);
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

std::uint64_t correlate_narrow(const CorrelationTile<double>& tile, const NarrowRegister& narrow, const double* factors,
                               const double* counted, float* y) {
  return HWY_DYNAMIC_DISPATCH(correlate_narrow)(tile, narrow, factors, counted, y);
}

void sum_weight_tile(const WeightTile<float>& tile, double* sums) {
  HWY_DYNAMIC_DISPATCH(sum_weight_floats)(tile, sums);
}

void sum_weight_tile(const WeightTile<double>& tile, double* sums) {
  HWY_DYNAMIC_DISPATCH(sum_weight_doubles)(tile, sums);
}

std::uint64_t sum_weight_tile_narrow(const WeightTile<double>& tile, const NarrowRegister& narrow, double* sums) {
  return HWY_DYNAMIC_DISPATCH(sum_weight_tile_narrow)(tile, narrow, sums);
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
