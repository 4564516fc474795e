#include "models/convolution/cpu/product_kernels.h"

#include <algorithm>
#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/convolution/cpu/product_kernels.cpp"
#include "hwy/foreach_target.h"
// After foreach_target.h.
#include "hwy/highway.h"
#include "models/convolution/cpu/units-inl.h"

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

// Half a vector takes half the time of some processors of 512 bits.
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
constexpr bool kHalves = true;
#else
constexpr bool kHalves = false;
#endif

// Writes the first `count` lanes.
template <typename Tag>
void store_first(Tag d, hn::Vec<Tag> values, std::int64_t count, float* target) {
  if (count >= static_cast<std::int64_t>(hn::Lanes(d))) return hn::StoreU(values, d, target);
  HWY_ALIGN float lanes[kMostLanes];
  hn::Store(values, d, lanes);
  std::copy_n(lanes, count, target);
}

// So many rows, of so many vectors, the last of which has the lanes of `LastTag`.
template <typename LastTag, int kRows, int kWidth>
void multiply_block(const ProductTile& tile, const float* rows, float* HWY_RESTRICT y, std::int64_t pitch) {
  const FloatTag d;
  const LastTag last;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  Floats sums[kRows][kWidth];
  hn::Vec<LastTag> last_sums[kRows];
  const float* at[kRows];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    at[r] = rows + r * tile.row_step;
#pragma GCC unroll 4
    for (int v = 0; v + 1 < kWidth; ++v) sums[r][v] = hn::Zero(d);
    last_sums[r] = hn::Zero(last);
  }
  const float* HWY_RESTRICT columns = tile.columns;
  const std::int64_t end = tile.depth * tile.depth_step;
  for (std::int64_t i = 0; i != end; i += tile.depth_step, columns += tile.column_pitch) {
    Floats x[kWidth];
#pragma GCC unroll 4
    for (int v = 0; v + 1 < kWidth; ++v) x[v] = hn::LoadU(d, columns + v * lanes);
    const auto last_x = hn::LoadU(last, columns + (kWidth - 1) * lanes);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const auto factor = hn::Set(d, at[r][i]);
#pragma GCC unroll 4
      for (int v = 0; v + 1 < kWidth; ++v) sums[r][v] = hn::MulAdd(factor, x[v], sums[r][v]);
      last_sums[r] = hn::MulAdd(hn::Set(last, at[r][i]), last_x, last_sums[r]);
    }
  }
  const std::int64_t last_count = tile.column_count - (kWidth - 1) * lanes;
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    float* target = y + r * pitch;
#pragma GCC unroll 4
    for (int v = 0; v + 1 < kWidth; ++v) {
      hn::StoreU(hn::Mul(sums[r][v], hn::Set(d, tile.factor)), d, target + v * lanes);
    }
    store_first(last, hn::Mul(last_sums[r], hn::Set(last, tile.factor)), last_count, target + (kWidth - 1) * lanes);
  }
}

// A block of so many rows, at most kRows.
template <typename LastTag, int kRows, int kWidth>
void multiply_at_most(std::int64_t count, const ProductTile& tile, const float* rows, float* y, std::int64_t pitch) {
  if (count == kRows) {
    multiply_block<LastTag, kRows, kWidth>(tile, rows, y, pitch);
  } else if constexpr (kRows > 1) {
    multiply_at_most<LastTag, kRows - 1, kWidth>(count, tile, rows, y, pitch);
  }
}

// Blocks of about as many rows each.
template <typename LastTag, int kWidth>
void multiply_rows(const ProductTile& tile, float* y, std::int64_t pitch) {
  constexpr int kRows = rows_of(kWidth);
  const std::int64_t blocks = (tile.row_count + kRows - 1) / kRows;
  for (std::int64_t block = 0; block < blocks; ++block) {
    const std::int64_t first = block * tile.row_count / blocks;
    const std::int64_t end = (block + 1) * tile.row_count / blocks;
    multiply_at_most<LastTag, kRows, kWidth>(end - first, tile, tile.rows + first * tile.row_step, y + first * pitch,
                                             pitch);
  }
}

template <int kWidth>
void multiply_columns(const ProductTile& tile, float* y, std::int64_t pitch) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(FloatTag()));
  const std::int64_t last = tile.column_count - (kWidth - 1) * lanes;
  if (last <= 0) {
    if constexpr (kWidth > 1) multiply_columns<kWidth - 1>(tile, y, pitch);
  } else if (kHalves && last <= lanes / 2) {
    multiply_rows<std::conditional_t<kHalves, hn::Half<FloatTag>, FloatTag>, kWidth>(tile, y, pitch);
  } else {
    multiply_rows<FloatTag, kWidth>(tile, y, pitch);
  }
}

void multiply_tile(const ProductTile& tile, float* y, std::int64_t pitch) {
  multiply_columns<kVectors>(tile, y, pitch);
}

// ---- Codes to numbers

// k of codes, as binary32: a code word without its sign is a float with the bias moved, except below the first binade
// with a hidden bit.
class AnyReader {
 public:
  static constexpr int kGroup = 1;  // vectors that are read at once

  explicit AnyReader(const CodeNumbers& numbers)
      : mantissa_bits_(numbers.format.mantissa_bits),
        sign_position_(numbers.format.code_bits() - 1),
        twos_complement_(numbers.format.twos_complement()) {}

  // Of at most a group of codes.
  void read(const std::uint16_t* codes, std::int64_t count, Floats* k) const {
    if (count >= static_cast<std::int64_t>(hn::Lanes(FloatTag()))) {
      *k = decode(codes);
    } else {
      std::uint16_t copied[kMostLanes] = {};
      std::copy_n(codes, count, copied);
      *k = decode(copied);
    }
  }

 private:
  Floats decode(const std::uint16_t* codes) const {
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

  int mantissa_bits_;
  int sign_position_;
  bool twos_complement_;
};

#if HWY_TARGET == HWY_AVX3_DL

// By a table of bytes.
class ByteReader {
 public:
  static constexpr int kGroup = 4;

  explicit ByteReader(const CodeNumbers& numbers) : seven_bits_(numbers.format.code_bits() <= 7) {
    for (std::size_t i = 0; i < 4; ++i) table_[i] = _mm512_loadu_si512(numbers.integers.data() + 64 * i);
    const hn::ScalableTag<std::uint8_t> d;
    even_ = hn::Add(hn::Iota(d, 0), hn::Iota(d, 0)).raw;
  }

  void read(const std::uint16_t* codes, std::int64_t count, Floats* k) const {
    const std::uint64_t used = count >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1;
    const __m512i low_codes = _mm512_maskz_loadu_epi16(static_cast<__mmask32>(used), codes);
    const __m512i high_codes = _mm512_maskz_loadu_epi16(static_cast<__mmask32>(used >> 32), codes + 32);
    const __m512i code = _mm512_permutex2var_epi8(low_codes, even_, high_codes);
    __m512i bytes = _mm512_permutex2var_epi8(table_[0], code, table_[1]);
    if (!seven_bits_) {
      const __m512i high = _mm512_permutex2var_epi8(table_[2], code, table_[3]);
      bytes = _mm512_mask_blend_epi8(_mm512_movepi8_mask(code), bytes, high);
    }
    k[0] = numbers_of(_mm512_castsi512_si128(bytes));
    k[1] = numbers_of(_mm512_extracti32x4_epi32(bytes, 1));
    k[2] = numbers_of(_mm512_extracti32x4_epi32(bytes, 2));
    k[3] = numbers_of(_mm512_extracti32x4_epi32(bytes, 3));
  }

 private:
  static Floats numbers_of(__m128i bytes) { return Floats{_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes))}; }

  __m512i table_[4];
  __m512i even_;
  bool seven_bits_;
};

#else

using ByteReader = AnyReader;

#endif

template <typename Reader>
void scale_with(const Reader& reader, const ScaledCodes& scaled) {
  const FloatTag d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const std::int64_t group = Reader::kGroup * lanes;
  float* values = scaled.values;
  for (std::int64_t i = 0; i < scaled.count; i += group) {
    const std::int64_t left = scaled.count - i;
    Floats k[Reader::kGroup];
    reader.read(scaled.codes + i, left, k);
#pragma GCC unroll 4
    for (int v = 0; v < Reader::kGroup; ++v) {
      if (v * lanes >= left) break;
      const auto units = units_of(scaled.scales + i + v * lanes, left - v * lanes, scaled.unit_exponent);
      hn::StoreU(hn::Mul(k[v], units), d, values);
      values += lanes;
    }
  }
}

void scale_each(const CodeNumbers& numbers, const ScaledCodes& scaled) {
  numbers.bytes ? scale_with(ByteReader(numbers), scaled) : scale_with(AnyReader(numbers), scaled);
}

template <typename Reader>
void fill_with(const Reader& reader, const CodePanel& panel) {
  const FloatTag d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const std::int64_t group = Reader::kGroup * lanes;
  for (std::int64_t plane = 0; plane < panel.depth; ++plane) {
    float* values = panel.values + plane * panel.pitch;
    for (const CodeRun& run : panel.runs) {
      const std::uint16_t* codes = run.codes + plane * panel.plane;
      const auto unit = hn::Set(d, run.units[plane]);
      for (std::int64_t i = 0; i < run.count; i += group) {
        Floats k[Reader::kGroup];
        reader.read(codes + i, run.count - i, k);
#pragma GCC unroll 4
        for (int v = 0; v < Reader::kGroup; ++v) {
          if (i + v * lanes >= run.count) break;
          hn::StoreU(hn::Mul(k[v], unit), d, values + i + v * lanes);
        }
      }
      values += run.count;
    }
  }
}

void fill_planes(const CodeNumbers& numbers, const CodePanel& panel) {
  numbers.bytes ? fill_with(ByteReader(numbers), panel) : fill_with(AnyReader(numbers), panel);
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

std::size_t product_lanes() {
  return HWY_DYNAMIC_DISPATCH(lanes_of_products)();
}

int product_vectors() {
  return HWY_DYNAMIC_DISPATCH(vectors_of_products)();
}

void multiply(const ProductTile& tile, float* y, std::int64_t pitch) {
  HWY_DYNAMIC_DISPATCH(multiply_tile)(tile, y, pitch);
}

CodeNumbers::CodeNumbers(const ElementFormat& the_format) : format(the_format) {
  bytes = format.code_bits() <= 8 && format.max_integer() < 128;
  if (!bytes) return;
  for (std::size_t code = 0; code < std::size_t{1} << format.code_bits(); ++code) {
    integers[code] = static_cast<std::int8_t>(decode_element(format, static_cast<std::uint16_t>(code)));
  }
}

void scale_codes(const CodeNumbers& numbers, const ScaledCodes& codes) {
  HWY_DYNAMIC_DISPATCH(scale_each)(numbers, codes);
}

void fill_panel(const CodeNumbers& numbers, const CodePanel& panel) {
  HWY_DYNAMIC_DISPATCH(fill_planes)(numbers, panel);
}

}  // namespace mlsim::models
#endif
