#include "models/convolution/cpu/block_product_kernels.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "hwy/cache_control.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/convolution/cpu/block_product_kernels.cpp"
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

using FloatTag = hn::ScalableTag<float>;
using IntTag = hn::RebindToSigned<FloatTag>;
using Floats = hn::Vec<FloatTag>;
using Ints = hn::Vec<IntTag>;

constexpr std::int64_t kWidth = 16;

// What is added for a group.
template <GroupRounding kRounding>
HWY_INLINE Floats add_scaled(Floats sum, Floats unit, Floats total) {
  if constexpr (kRounding == GroupRounding::kExact) return hn::MulAdd(sum, unit, total);
  return hn::Add(hn::Mul(sum, unit), total);
}

// sum · unit through binary64, rounded once.
HWY_INLINE Floats rounded(Ints sum, Floats unit) {
  const auto half = [&](__m256i integers, __m256 units) HWY_ATTR {
    return _mm512_cvtpd_ps(_mm512_mul_pd(_mm512_cvtepi32_pd(integers), _mm512_cvtps_pd(units)));
  };
  const auto low = half(_mm512_castsi512_si256(sum.raw), _mm512_castps512_ps256(unit.raw));
  const auto high = half(_mm512_extracti64x4_epi64(sum.raw, 1), _mm512_extractf32x8_ps(unit.raw, 1));
  return Floats{_mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1)};
}

template <GroupRounding kRounding, ProductUnits kUnits, int kRows, int kVectors>
struct Product {
  using Sums = Ints[kRows][kVectors];
  using Totals = Floats[kRows][kVectors];

  HWY_INLINE static void add_word(const std::uint32_t* HWY_RESTRICT rows, const std::uint32_t* HWY_RESTRICT lanes,
                                  Sums& sum) {
    __m512i b[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) b[v] = _mm512_loadu_si512(lanes + v * kWidth);
#pragma GCC unroll 6
    for (int r = 0; r < kRows; ++r) {
      const __m512i a = _mm512_set1_epi32(static_cast<std::int32_t>(rows[r]));
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sum[r][v].raw = _mm512_dpbusd_epi32(sum[r][v].raw, b[v], a);
    }
  }

  HWY_INLINE static void end_group(const float* HWY_RESTRICT row_units, const float* HWY_RESTRICT lane_units,
                                   const Sums& sum, Totals& total) {
    const FloatTag df;
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      const auto lane_unit = kUnits == ProductUnits::kRows ? hn::Zero(df) : hn::LoadU(df, lane_units + v * kWidth);
#pragma GCC unroll 6
      for (int r = 0; r < kRows; ++r) {
        const auto row_unit = hn::Set(df, row_units[r]);
        if constexpr (kUnits == ProductUnits::kPowers) {
          const auto power = hn::Add(row_unit, lane_unit);
          const Floats scaled{_mm512_scalef_ps(hn::ConvertTo(df, sum[r][v]).raw, power.raw)};
          total[r][v] = hn::Add(total[r][v], scaled);
        } else {
          const auto unit = kUnits == ProductUnits::kRows ? row_unit : hn::Mul(row_unit, lane_unit);
          if constexpr (kRounding == GroupRounding::kDouble) {
            total[r][v] = hn::Add(total[r][v], rounded(sum[r][v], unit));
          } else {
            total[r][v] = add_scaled<kRounding>(hn::ConvertTo(df, sum[r][v]), unit, total[r][v]);
          }
        }
      }
    }
  }

  // The words of every group are kWords, or, where that is 0, `words`.
  template <int kWords>
  HWY_INLINE static void add_groups(BlockProduct& at, std::int64_t groups, std::int64_t words, Totals& total) {
    const std::uint32_t* HWY_RESTRICT rows = at.rows;
    const std::uint32_t* HWY_RESTRICT lanes = at.lanes;
    for (std::int64_t group = 0; group < groups; ++group) {
      Sums sum;
#pragma GCC unroll 6
      for (int r = 0; r < kRows; ++r) {
        const auto first = hn::Set(IntTag(), at.corrections[r]);
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) sum[r][v] = first;
      }
      if constexpr (kWords > 0) {
#pragma GCC unroll 8
        for (int w = 0; w < kWords; ++w) {
          add_word(rows, lanes, sum);
          rows += at.row_pitch;
          lanes += at.lane_pitch;
        }
      } else {
        std::int64_t w = 0;
        for (; w + 4 <= words; w += 4) {
#pragma GCC unroll 4
          for (int i = 0; i < 4; ++i) {
            add_word(rows, lanes, sum);
            rows += at.row_pitch;
            lanes += at.lane_pitch;
          }
        }
        for (; w < words; ++w) {
          add_word(rows, lanes, sum);
          rows += at.row_pitch;
          lanes += at.lane_pitch;
        }
      }
      end_group(at.row_units, at.lane_units, sum, total);
      at.corrections += at.row_pitch;
      at.row_units += at.row_pitch;
      at.lane_units += at.lane_pitch;
    }
    at.rows = rows;
    at.lanes = lanes;
  }

  static void run(const BlockProduct& product, float* HWY_RESTRICT values, std::int64_t pitch) {
    const FloatTag df;
    const auto lanes_of = [&](int v) HWY_ATTR {
      return hn::FirstN(df, static_cast<std::size_t>(std::max<std::int64_t>(product.lane_count - v * kWidth, 0)));
    };
    Totals total;
#pragma GCC unroll 6
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) {
        total[r][v] = product.adds ? hn::MaskedLoad(lanes_of(v), df, values + r * pitch + v * kWidth) : hn::Zero(df);
      }
    }
    if (!product.adds && !product.streams) {
      for (int r = 0; r < kRows; ++r) {
        __builtin_prefetch(values + (kRows + r) * pitch, 1);
        __builtin_prefetch(values + (kRows + r) * pitch + kVectors * kWidth - 1, 1);
      }
    }
    BlockProduct at = product;
    std::int64_t groups = product.groups;
    if (product.last_words != product.words) --groups;
    if (product.words == 8) {
      add_groups<8>(at, groups, 8, total);
    } else if (product.words == 4) {
      add_groups<4>(at, groups, 4, total);
    } else {
      add_groups<0>(at, groups, product.words, total);
    }
    add_groups<0>(at, product.groups - groups, product.last_words, total);
    const auto factor = hn::Set(df, product.factor);
    const bool whole = product.lane_count == kVectors * kWidth;
    const bool streams = product.streams && reinterpret_cast<std::uintptr_t>(values) % 64 == 0 && pitch % kWidth == 0;
#pragma GCC unroll 6
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) {
        const auto value = hn::Mul(total[r][v], factor);
        if (whole && streams) {
          hn::Stream(value, df, values + r * pitch + v * kWidth);
        } else if (whole) {
          hn::StoreU(value, df, values + r * pitch + v * kWidth);
        } else {
          hn::BlendedStore(value, lanes_of(v), df, values + r * pitch + v * kWidth);
        }
      }
    }
  }
};

template <GroupRounding kRounding, ProductUnits kUnits, int kRows>
std::int64_t multiply_rows(const BlockProduct& product, float* values, std::int64_t pitch) {
  product.lane_count > kWidth ? Product<kRounding, kUnits, kRows, 2>::run(product, values, pitch)
                              : Product<kRounding, kUnits, kRows, 1>::run(product, values, pitch);
  return kRows;
}

template <GroupRounding kRounding, ProductUnits kUnits>
void multiply_as(const BlockProduct& product, float* values, std::int64_t pitch) {
  BlockProduct rest = product;
  while (rest.row_count > 0) {
    std::int64_t done = 0;
    if (rest.row_count >= 6) {
      done = multiply_rows<kRounding, kUnits, 6>(rest, values, pitch);
    } else if (rest.row_count >= 4) {
      done = multiply_rows<kRounding, kUnits, 4>(rest, values, pitch);
    } else if (rest.row_count >= 2) {
      done = multiply_rows<kRounding, kUnits, 2>(rest, values, pitch);
    } else {
      done = multiply_rows<kRounding, kUnits, 1>(rest, values, pitch);
    }
    rest.rows += done;
    rest.corrections += done;
    rest.row_units += done;
    rest.row_count -= done;
    values += done * pitch;
  }
}

template <GroupRounding kRounding>
void multiply_rounded(const BlockProduct& product, float* values, std::int64_t pitch) {
  if (product.units == ProductUnits::kRows) return multiply_as<kRounding, ProductUnits::kRows>(product, values, pitch);
  return multiply_as<kRounding, ProductUnits::kFactors>(product, values, pitch);
}

void multiply(const BlockProduct& product, float* values, std::int64_t pitch) {
  // Rounds once, whatever the sum's scale.
  if (product.units == ProductUnits::kPowers) {
    return multiply_as<GroupRounding::kExact, ProductUnits::kPowers>(product, values, pitch);
  }
  switch (product.rounding) {
    case GroupRounding::kExact:
      return multiply_rounded<GroupRounding::kExact>(product, values, pitch);
    case GroupRounding::kSingle:
      return multiply_rounded<GroupRounding::kSingle>(product, values, pitch);
    case GroupRounding::kPowers:  // has been seen above
    case GroupRounding::kDouble:
      return multiply_rounded<GroupRounding::kDouble>(product, values, pitch);
  }
}

// The bytes of a vector of codes. Those of lanes 16 · j + 4 · i + b come to byte 16 · i + 4 · j + b, where interleaving
// within quarters of a vector takes them to their order.
template <int kCodeBits>
class Decoder {
 public:
  explicit Decoder(const std::uint8_t* table) {
    for (int i = 0; i < kTables; ++i) table_[i] = _mm512_loadu_si512(table + 64 * i);
    alignas(64) std::array<std::uint8_t, 64> order;
    for (std::size_t i = 0; i < 64; ++i) {
      order[i] = static_cast<std::uint8_t>(2 * (16 * (i / 4 % 4) + 4 * (i / 16) + i % 4));
    }
    order_ = _mm512_load_si512(order.data());
  }

  HWY_INLINE __m512i bytes(const std::uint16_t* codes, std::uint64_t used) const {
    if (codes == nullptr) return lookup(_mm512_setzero_si512());
    __m512i low;
    __m512i high;
    if (used == ~std::uint64_t{0}) {
      low = _mm512_loadu_si512(codes);
      high = _mm512_loadu_si512(codes + 32);
    } else {
      low = _mm512_maskz_loadu_epi16(static_cast<__mmask32>(used), codes);
      high = _mm512_maskz_loadu_epi16(static_cast<__mmask32>(used >> 32), codes + 32);
    }
    return lookup(_mm512_permutex2var_epi8(low, order_, high));
  }

 private:
  static constexpr int kTables = kCodeBits <= 6 ? 1 : kCodeBits == 7 ? 2 : 4;

  HWY_INLINE __m512i lookup(__m512i code) const {
    if constexpr (kTables == 1) return _mm512_permutexvar_epi8(code, table_[0]);
    const __m512i low = _mm512_permutex2var_epi8(table_[0], code, table_[1]);
    if constexpr (kTables == 2) return low;
    const __m512i high = _mm512_permutex2var_epi8(table_[kTables - 2], code, table_[kTables - 1]);
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(code), low, high);
  }

  __m512i table_[kTables];
  __m512i order_;
};

// Writes the first `count` words of a vector from a lane on.
HWY_INLINE void store_words(const WordRow& row, std::int64_t lane, std::int64_t count, __m512i words) {
  const std::int64_t in_panel = lane % row.width;
  std::uint32_t* at = row.panels + lane / row.width * row.step + in_panel;
  if (count >= kWidth && in_panel + kWidth <= row.width) return _mm512_storeu_si512(at, words);
  const std::int64_t all = std::min(count, kWidth);
  const std::int64_t here = std::min(row.width - in_panel, all);
  const auto first = [](std::int64_t n) { return static_cast<__mmask16>((1U << n) - 1); };
  _mm512_mask_storeu_epi32(at, first(here), words);
  if (here == all) return;
  _mm512_mask_storeu_epi32(at + row.step - row.width, static_cast<__mmask16>(first(all) & ~first(here)), words);
}

template <int kCodeBits>
void pack_as(const WordRow& row, const std::uint8_t* table) {
  const Decoder<kCodeBits> decoder(table);
  for (std::int64_t i = 0; i < row.count; i += 64) {
    const std::int64_t count = std::min<std::int64_t>(row.count - i, 64);
    const std::uint64_t used = count == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1;
    __m512i bytes[4];
#pragma GCC unroll 4
    for (std::size_t k = 0; k < 4; ++k) {
      bytes[k] = decoder.bytes(row.codes[k] == nullptr ? nullptr : row.codes[k] + i, used);
    }
    const __m512i low01 = _mm512_unpacklo_epi8(bytes[0], bytes[1]);
    const __m512i low23 = _mm512_unpacklo_epi8(bytes[2], bytes[3]);
    const __m512i high01 = _mm512_unpackhi_epi8(bytes[0], bytes[1]);
    const __m512i high23 = _mm512_unpackhi_epi8(bytes[2], bytes[3]);
    const std::int64_t lane = row.lane + i;
    store_words(row, lane, count, _mm512_unpacklo_epi16(low01, low23));
    if (count > 16) store_words(row, lane + 16, count - 16, _mm512_unpackhi_epi16(low01, low23));
    if (count > 32) store_words(row, lane + 32, count - 32, _mm512_unpacklo_epi16(high01, high23));
    if (count > 48) store_words(row, lane + 48, count - 48, _mm512_unpackhi_epi16(high01, high23));
  }
}

void pack(const WordRow& row, const std::uint8_t* table, int code_bits) {
  if (code_bits <= 6) return pack_as<6>(row, table);
  if (code_bits == 7) return pack_as<7>(row, table);
  pack_as<8>(row, table);
}

#else  // nobody asks for them here, so that they are short

void multiply(const BlockProduct& product, float* values, std::int64_t pitch) {
  const auto byte = [](std::uint32_t word, int i) { return static_cast<std::uint8_t>(word >> (8 * i)); };
  for (std::int64_t r = 0; r < product.row_count; ++r) {
    for (std::int64_t lane = 0; lane < product.lane_count; ++lane) {
      float total = product.adds ? values[r * pitch + lane] : 0;
      std::int64_t word = 0;
      for (std::int64_t group = 0; group < product.groups; ++group) {
        std::int64_t sum = product.corrections[group * product.row_pitch + r];
        const std::int64_t end = word + (group + 1 < product.groups ? product.words : product.last_words);
        for (; word < end; ++word) {
          for (int i = 0; i < 4; ++i) {
            sum += static_cast<std::int8_t>(byte(product.rows[word * product.row_pitch + r], i)) *
                   byte(product.lanes[word * product.lane_pitch + lane], i);
          }
        }
        const double row_unit = product.row_units[group * product.row_pitch + r];
        const double lane_unit = product.lane_units[group * product.lane_pitch + lane];
        const double unit = product.units == ProductUnits::kRows      ? row_unit
                            : product.units == ProductUnits::kFactors ? row_unit * lane_unit
                                                                      : std::exp2(row_unit + lane_unit);
        total += static_cast<float>(static_cast<double>(sum) * unit);
      }
      values[r * pitch + lane] = total * product.factor;
    }
  }
}

void pack(const WordRow& row, const std::uint8_t* table, int /*code_bits*/) {
  for (std::int64_t i = 0; i < row.count; ++i) {
    std::uint32_t word = 0;
    for (std::size_t k = 4; k-- > 0;) word = word << 8 | table[row.codes[k] == nullptr ? 0 : row.codes[k][i]];
    row.panels[(row.lane + i) / row.width * row.step + (row.lane + i) % row.width] = word;
  }
}

#endif

void gather(const std::uint16_t* codes, std::int64_t step, std::int64_t count, std::uint16_t* compact) {
  std::int64_t i = 0;
#if HWY_TARGET == HWY_AVX3_DL
  if (step == 2) {
    for (; i + 32 < count; i += 32) {  // one more behind, so that what is read exists
      const __m512i low = _mm512_loadu_si512(codes + 2 * i);
      const __m512i high = _mm512_loadu_si512(codes + 2 * i + 32);
      const __m512i both =
          _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi32_epi16(low)), _mm512_cvtepi32_epi16(high), 1);
      _mm512_storeu_si512(compact + i, both);
    }
  }
#endif
  for (; i < count; ++i) compact[i] = codes[i * step];
}

}  // namespace
}  // namespace mlsim::models::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mlsim::models {

HWY_EXPORT(multiply);
HWY_EXPORT(pack);
HWY_EXPORT(gather);

void multiply_blocks(const BlockProduct& product, float* values, std::int64_t pitch) {
  HWY_DYNAMIC_DISPATCH(multiply)(product, values, pitch);
}

void end_streams() {
  hwy::FlushStream();
}

void pack_words(const WordRow& row, const ByteDecoder& decoder) {
  HWY_DYNAMIC_DISPATCH(pack)(row, decoder.table().data(), decoder.code_bits());
}

void gather_codes(const std::uint16_t* codes, std::int64_t step, std::int64_t count, std::uint16_t* compact) {
  HWY_DYNAMIC_DISPATCH(gather)(codes, step, count, compact);
}

}  // namespace mlsim::models
#endif
