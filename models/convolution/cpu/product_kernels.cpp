#include "models/convolution/cpu/product_kernels.h"

#include <algorithm>
#include <bit>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/convolution/cpu/product_kernels.cpp"
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
using CodeTag = hn::Rebind<std::uint16_t, FloatTag>;
using Floats = hn::Vec<FloatTag>;

constexpr std::size_t kMostLanes = HWY_MAX_BYTES / sizeof(float);

// Sums that stay in registers: 24 of 32 vector registers, or 12 of 16.
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL || HWY_TARGET == HWY_NEON
constexpr int kVectors = 4;
constexpr int kSums = 24;
#else
constexpr int kVectors = 3;
constexpr int kSums = 12;
#endif
constexpr int kMostRows = 8;

// Rows of a block whose results are so many vectors wide.
constexpr int rows_of(int vectors) {
  return std::min(kSums / vectors, kMostRows);
}

std::size_t lanes_of_products() {
  return hn::Lanes(FloatTag());
}

int vectors_of_products() {
  return kVectors;
}

// ---- Products

template <int kRows, int kWidth>
void multiply_block(const ProductTile& tile, const float* rows, float* HWY_RESTRICT y, std::int64_t pitch) {
  const FloatTag d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  Floats sums[kRows][kWidth];
  const float* at[kRows];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    at[r] = rows + r * tile.row_step;
#pragma GCC unroll 4
    for (int v = 0; v < kWidth; ++v) sums[r][v] = hn::Zero(d);
  }
  const float* HWY_RESTRICT columns = tile.columns;
  const std::int64_t end = tile.depth * tile.depth_step;
  for (std::int64_t i = 0; i != end; i += tile.depth_step, columns += tile.column_pitch) {
    Floats x[kWidth];
#pragma GCC unroll 4
    for (int v = 0; v < kWidth; ++v) x[v] = hn::LoadU(d, columns + v * lanes);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const auto factor = hn::Set(d, at[r][i]);
#pragma GCC unroll 4
      for (int v = 0; v < kWidth; ++v) sums[r][v] = hn::MulAdd(factor, x[v], sums[r][v]);
    }
  }
  const auto factor = hn::Set(d, tile.factor);
  const std::int64_t full = tile.column_count - (kWidth - 1) * lanes;  // columns of the last vector
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    float* target = y + r * pitch;
#pragma GCC unroll 4
    for (int v = 0; v + 1 < kWidth; ++v) hn::StoreU(hn::Mul(sums[r][v], factor), d, target + v * lanes);
    const auto last = hn::Mul(sums[r][kWidth - 1], factor);
    if (full == lanes) {
      hn::StoreU(last, d, target + (kWidth - 1) * lanes);
    } else {
      HWY_ALIGN float values[kMostLanes];
      hn::Store(last, d, values);
      std::copy_n(values, full, target + (kWidth - 1) * lanes);
    }
  }
}

// A block of so many rows, at most kRows.
template <int kRows, int kWidth>
void multiply_at_most(std::int64_t count, const ProductTile& tile, const float* rows, float* y, std::int64_t pitch) {
  if (count == kRows) {
    multiply_block<kRows, kWidth>(tile, rows, y, pitch);
  } else if constexpr (kRows > 1) {
    multiply_at_most<kRows - 1, kWidth>(count, tile, rows, y, pitch);
  }
}

template <int kWidth>
void multiply_columns(const ProductTile& tile, float* y, std::int64_t pitch) {
  if (static_cast<std::size_t>(tile.column_count) <= (kWidth - 1) * hn::Lanes(FloatTag())) {
    if constexpr (kWidth > 1) multiply_columns<kWidth - 1>(tile, y, pitch);
  } else {
    // Blocks of about as many rows each.
    constexpr int kRows = rows_of(kWidth);
    const std::int64_t blocks = (tile.row_count + kRows - 1) / kRows;
    for (std::int64_t block = 0; block < blocks; ++block) {
      const std::int64_t first = block * tile.row_count / blocks;
      const std::int64_t end = (block + 1) * tile.row_count / blocks;
      multiply_at_most<kRows, kWidth>(end - first, tile, tile.rows + first * tile.row_step, y + first * pitch, pitch);
    }
  }
}

void multiply_tile(const ProductTile& tile, float* y, std::int64_t pitch) {
  multiply_columns<kVectors>(tile, y, pitch);
}

// ---- Codes to numbers

// k of codes, as binary32: a code word without its sign is a float with the bias moved, except below the first binade
// with a hidden bit.
class CodeReader {
 public:
  explicit CodeReader(const ElementFormat& format)
      : mantissa_bits_(format.mantissa_bits),
        sign_position_(format.code_bits() - 1),
        twos_complement_(format.twos_complement()) {}

  Floats operator()(const std::uint16_t* codes) const {
    const FloatTag df;
    const IntTag di;
    const WordTag du;
    const auto code = hn::PromoteTo(du, hn::LoadU(CodeTag(), codes));
    if (twos_complement_) {
      const int unused = 31 - sign_position_;
      return hn::ConvertTo(df, hn::ShiftRightSame(hn::ShiftLeftSame(hn::BitCast(di, code), unused), unused));
    }
    const auto sign = hn::ShiftRightSame(code, sign_position_);
    const auto magnitude = hn::Sub(code, hn::ShiftLeftSame(sign, sign_position_));
    const auto normal = hn::Add(hn::ShiftLeftSame(magnitude, 23 - mantissa_bits_),
                                hn::Set(du, static_cast<std::uint32_t>(126 + mantissa_bits_) << 23));
    const auto magnitude_int = hn::BitCast(di, magnitude);
    const auto subnormal = hn::ConvertTo(df, magnitude_int);
    const auto is_subnormal = hn::RebindMask(df, hn::Lt(magnitude_int, hn::Set(di, std::int32_t{1} << mantissa_bits_)));
    const auto k = hn::IfThenElse(is_subnormal, subnormal, hn::BitCast(df, normal));
    return hn::Or(k, hn::BitCast(df, hn::ShiftLeft<31>(sign)));
  }

  // Of the last codes of an array, fewer than a vector.
  Floats last(const std::uint16_t* codes, std::int64_t count) const {
    std::uint16_t copied[kMostLanes] = {};
    std::copy_n(codes, count, copied);
    return (*this)(copied);
  }

 private:
  int mantissa_bits_;
  int sign_position_;
  bool twos_complement_;
};

void scale_each(const ElementFormat& format, const std::uint16_t* codes, const float* units, std::int64_t count,
                float* values) {
  const FloatTag d;
  const CodeReader reader(format);
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    hn::StoreU(hn::Mul(reader(codes + i), hn::LoadU(d, units + i)), d, values + i);
  }
  if (i == count) return;
  HWY_ALIGN float last[kMostLanes] = {};
  std::copy_n(units + i, count - i, last);
  hn::Store(hn::Mul(reader.last(codes + i, count - i), hn::Load(d, last)), d, last);
  std::copy_n(last, count - i, values + i);
}

void fill_planes(const ElementFormat& format, const CodePanel& panel) {
  const FloatTag d;
  const CodeReader reader(format);
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  for (std::int64_t plane = 0; plane < panel.depth; ++plane) {
    float* values = panel.values + plane * panel.pitch;
    for (const CodeRun& run : panel.runs) {
      const std::uint16_t* codes = run.codes + plane * panel.plane;
      const auto unit = hn::Set(d, run.units[plane]);
      for (std::int64_t i = 0; i < run.count; i += lanes) {
        const std::int64_t left = panel.end - (codes + i);
        const auto k = left >= lanes ? reader(codes + i) : reader.last(codes + i, left);
        hn::StoreU(hn::Mul(k, unit), d, values + i);
      }
      values += run.count;
    }
  }
}

void units_of_scales(std::span<const TileScale> scales, int unit_exponent, float* units) {
  constexpr int kBias = 127;
  const std::size_t count = scales.size();
  const int offset = kBias - unit_exponent;
  for (std::size_t i = 0; i < count; ++i) {
    const int exponent = std::clamp(scales[i].exponent + offset, 1, 2 * kBias);
    units[i] = static_cast<float>(static_cast<int>(scales[i].significand)) *
               std::bit_cast<float>(static_cast<std::uint32_t>(exponent) << 23);
  }
}

}  // namespace
}  // namespace mlsim::models::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mlsim::models {

HWY_EXPORT(lanes_of_products);
HWY_EXPORT(vectors_of_products);
HWY_EXPORT(multiply_tile);
HWY_EXPORT(scale_each);
HWY_EXPORT(fill_planes);
HWY_EXPORT(units_of_scales);

std::size_t product_lanes() {
  return HWY_DYNAMIC_DISPATCH(lanes_of_products)();
}

int product_vectors() {
  return HWY_DYNAMIC_DISPATCH(vectors_of_products)();
}

void multiply(const ProductTile& tile, float* y, std::int64_t pitch) {
  HWY_DYNAMIC_DISPATCH(multiply_tile)(tile, y, pitch);
}

void fill_units(std::span<const TileScale> scales, int unit_exponent, float* units) {
  HWY_DYNAMIC_DISPATCH(units_of_scales)(scales, unit_exponent, units);
}

void scale_codes(const ElementFormat& format, const std::uint16_t* codes, const float* units, std::int64_t count,
                 float* values) {
  HWY_DYNAMIC_DISPATCH(scale_each)(format, codes, units, count, values);
}

void fill_panel(const ElementFormat& format, const CodePanel& panel) {
  HWY_DYNAMIC_DISPATCH(fill_planes)(format, panel);
}

}  // namespace mlsim::models
#endif
