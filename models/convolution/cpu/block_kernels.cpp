#include "models/convolution/cpu/block_kernels.h"

#include <array>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/convolution/cpu/block_kernels.cpp"
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

using FloatTag = hn::ScalableTag<float>;
using IntTag = hn::RebindToSigned<FloatTag>;
using WordTag = hn::RebindToUnsigned<FloatTag>;
using DoubleTag = hn::ScalableTag<double>;
using HalfTag = hn::Rebind<float, DoubleTag>;

// Positions of a tile: sums and totals of two vectors of lanes each stay in registers.
constexpr int kPositions = HWY_TARGET <= HWY_AVX3 ? 6 : 3;

template <typename Word>
Word load_word(const std::uint8_t* at) {
  Word word;
  std::memcpy(&word, at, sizeof(word));
  return word;
}

// Beyond binary32 infinite, where Highway's scalar code takes the largest number.
hn::Vec<HalfTag> to_float(hn::Vec<DoubleTag> x) {
#if HWY_TARGET == HWY_SCALAR
  return hn::Set(HalfTag(), static_cast<float>(hn::GetLane(x)));
#else
  return hn::DemoteTo(HalfTag(), x);
#endif
}

// sum · unit, rounded once.
hn::Vec<FloatTag> rounded(hn::Vec<IntTag> sum, hn::Vec<FloatTag> unit) {
  const hn::Rebind<std::int32_t, DoubleTag> half_int;
  const HalfTag half;
  const DoubleTag dd;
  HWY_ALIGN std::int32_t sums[HWY_MAX_BYTES / sizeof(float)];
  HWY_ALIGN float units[HWY_MAX_BYTES / sizeof(float)];
  hn::Store(sum, IntTag(), sums);
  hn::Store(unit, FloatTag(), units);
  for (std::size_t i = 0; i < hn::Lanes(FloatTag()); i += hn::Lanes(dd)) {
    const auto product =
        hn::Mul(hn::PromoteTo(dd, hn::Load(half_int, sums + i)), hn::PromoteTo(dd, hn::Load(half, units + i)));
    hn::Store(to_float(product), half, units + i);
  }
  return hn::Load(FloatTag(), units);
}

// sum · 2^(a + b), rounded once.
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL

constexpr bool kPowerProducts = true;

hn::Vec<FloatTag> scaled(hn::Vec<FloatTag> sum, hn::Vec<FloatTag> a, hn::Vec<FloatTag> b) {
  return hn::Vec<FloatTag>{_mm512_scalef_ps(sum.raw, hn::Add(a, b).raw)};
}

#else

constexpr bool kPowerProducts = false;

// One after the other: that of a tile with values is a normal number.
hn::Vec<FloatTag> scaled(hn::Vec<FloatTag> sum, hn::Vec<FloatTag> a, hn::Vec<FloatTag> b) {
  const IntTag di;
  const auto power = [&](hn::Vec<FloatTag> exponent) HWY_ATTR {
    const auto biased = hn::Add(hn::ConvertTo(di, exponent), hn::Set(di, 127));
    return hn::BitCast(FloatTag(), hn::ShiftLeft<23>(hn::Max(hn::Min(biased, hn::Set(di, 254)), hn::Zero(di))));
  };
  return hn::Mul(hn::Mul(sum, power(a)), power(b));
}

#endif

bool has_powers() {
  return kPowerProducts;
}

// What both kinds of integers have in common.
struct IntegerDots {
  static constexpr std::int64_t kWordBytes = 4;
  static constexpr bool kUnits = true;
  using Float = FloatTag;
  using Sum = hn::Vec<IntTag>;
  using Total = hn::Vec<FloatTag>;
  using Word = hn::Vec<IntTag>;

  static Word lanes(const std::uint8_t* at) { return hn::LoadU(IntTag(), reinterpret_cast<const std::int32_t*>(at)); }
  static Word spread(const std::uint8_t* at) { return hn::Set(IntTag(), load_word<std::int32_t>(at)); }

  template <GroupRounding kRounding>
  static Total add_group(Sum sum, Total source_unit, Total lane_unit, Total total) {
    if constexpr (kRounding == GroupRounding::kPowers) {
      return hn::Add(scaled(hn::ConvertTo(FloatTag(), sum), source_unit, lane_unit), total);
    }
    const Total unit = hn::Mul(source_unit, lane_unit);
    if constexpr (kRounding == GroupRounding::kExact) {
      return hn::MulAdd(hn::ConvertTo(FloatTag(), sum), unit, total);
    } else if constexpr (kRounding == GroupRounding::kSingle) {
      return hn::Add(hn::Mul(hn::ConvertTo(FloatTag(), sum), unit), total);
    } else {
      return hn::Add(rounded(sum, unit), total);
    }
  }
};

struct ByteDots : IntegerDots {
  static Sum start(const std::int32_t* corrections, std::int64_t lane) {
    return hn::LoadU(IntTag(), corrections + lane);
  }
  static Sum add(Sum sum, Word source, Word lanes) {
#if HWY_TARGET == HWY_AVX3_DL
    return Sum{_mm512_dpbusd_epi32(sum.raw, source.raw, lanes.raw)};
#else
    const IntTag d;
    const auto byte = hn::Set(d, 0xFF);
    for (int i = 0; i < 4; ++i) {
      sum = hn::Add(sum, hn::Mul(hn::And(source, byte), hn::ShiftRight<24>(hn::ShiftLeft<24>(lanes))));
      source = hn::ShiftRight<8>(source);
      lanes = hn::ShiftRight<8>(lanes);
    }
    return sum;
#endif
  }
};

struct ShortDots : IntegerDots {
  static Sum start(const std::int32_t* /*corrections*/, std::int64_t /*lane*/) { return hn::Zero(IntTag()); }
  static Sum add(Sum sum, Word source, Word lanes) {
#if HWY_TARGET == HWY_AVX3_DL
    return Sum{_mm512_dpwssd_epi32(sum.raw, source.raw, lanes.raw)};
#elif HWY_ARCH_X86 && HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128
    const hn::Repartition<std::int16_t, IntTag> d16;
    auto unused = hn::Zero(IntTag());
    return hn::ReorderWidenMulAccumulate(IntTag(), hn::BitCast(d16, source), hn::BitCast(d16, lanes), sum, unused);
#else
    const auto low = [](Word x) HWY_ATTR { return hn::ShiftRight<16>(hn::ShiftLeft<16>(x)); };
    sum = hn::Add(sum, hn::Mul(low(source), low(lanes)));
    return hn::Add(sum, hn::Mul(hn::ShiftRight<16>(source), hn::ShiftRight<16>(lanes)));
#endif
  }
};

struct DoubleProducts {
  static constexpr std::int64_t kWordBytes = 8;
  static constexpr bool kUnits = false;
  using Float = HalfTag;
  using Sum = hn::Vec<DoubleTag>;
  using Total = hn::Vec<HalfTag>;
  using Word = hn::Vec<DoubleTag>;

  static Word lanes(const std::uint8_t* at) { return hn::LoadU(DoubleTag(), reinterpret_cast<const double*>(at)); }
  static Word spread(const std::uint8_t* at) { return hn::Set(DoubleTag(), load_word<double>(at)); }
  static Sum start(const std::int32_t* /*corrections*/, std::int64_t /*lane*/) { return hn::Zero(DoubleTag()); }
  static Sum add(Sum sum, Word source, Word lanes) { return hn::MulAdd(source, lanes, sum); }
  template <GroupRounding kRounding>
  static Total add_group(Sum sum, Total /*source_unit*/, Total /*lane_unit*/, Total total) {
    return hn::Add(to_float(sum), total);
  }
};

template <typename Dots, GroupRounding kRounding, int kRows, int kVectors>
struct Tile {
  using Float = typename Dots::Float;
  using Sum = typename Dots::Sum;
  using Total = typename Dots::Total;

  static std::size_t width() { return hn::Lanes(Float()); }

  HWY_INLINE static void start(const BlockTile& tile, std::int64_t group, Sum (&sum)[kRows][kVectors]) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      const Sum first = Dots::start(tile.corrections, (group * kVectors + v) * static_cast<std::int64_t>(width()));
#pragma GCC unroll 12
      for (int p = 0; p < kRows; ++p) sum[p][v] = first;
    }
  }

  HWY_INLINE static void add_word(const std::uint8_t* const (&at)[kRows], std::int64_t offset,
                                  const std::uint8_t* lanes, Sum (&sum)[kRows][kVectors]) {
    typename Dots::Word b[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      b[v] = Dots::lanes(lanes + v * static_cast<std::int64_t>(width()) * Dots::kWordBytes);
    }
#pragma GCC unroll 12
    for (int p = 0; p < kRows; ++p) {
      const auto a = Dots::spread(at[p] + offset);
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sum[p][v] = Dots::add(sum[p][v], a, b[v]);
    }
  }

  HWY_INLINE static void add_tap(const std::uint8_t* const (&at)[kRows], std::int64_t offset, std::int64_t words,
                                 const std::uint8_t* HWY_RESTRICT lanes, Sum (&sum)[kRows][kVectors]) {
    constexpr std::int64_t kBytes = Dots::kWordBytes;
    const std::int64_t lane_bytes = kVectors * static_cast<std::int64_t>(width()) * kBytes;
    for (; words >= 4; words -= 4, offset += 4 * kBytes, lanes += 4 * lane_bytes) {
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) add_word(at, offset + i * kBytes, lanes + i * lane_bytes, sum);
    }
    for (; words > 0; --words, offset += kBytes, lanes += lane_bytes) add_word(at, offset, lanes, sum);
  }

  // unit_at(p) is the source's unit at a position.
  template <typename UnitAt>
  HWY_INLINE static void end_group(const BlockTile& tile, std::int64_t group, const UnitAt& unit_at,
                                   const Sum (&sum)[kRows][kVectors], Total (&total)[kRows][kVectors]) {
    const Float df;
    Total lane_unit[kVectors];
    if constexpr (Dots::kUnits) {
      const float* units = tile.lane_units + group * kVectors * static_cast<std::int64_t>(width());
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) lane_unit[v] = hn::LoadU(df, units + static_cast<std::size_t>(v) * width());
    } else {
      for (int v = 0; v < kVectors; ++v) lane_unit[v] = hn::Zero(df);
    }
#pragma GCC unroll 12
    for (int p = 0; p < kRows; ++p) {
      auto source_unit = hn::Zero(df);
      if constexpr (Dots::kUnits) source_unit = hn::Set(df, unit_at(p));
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) {
        total[p][v] = Dots::template add_group<kRounding>(sum[p][v], source_unit, lane_unit[v], total[p][v]);
      }
    }
  }

  static void run(const BlockTile& tile, const std::int64_t* positions, const std::int64_t* unit_positions,
                  float* HWY_RESTRICT values) {
    const Float df;
    constexpr std::int64_t kWordBytes = Dots::kWordBytes;
    const std::int64_t lane_bytes = kVectors * static_cast<std::int64_t>(width()) * kWordBytes;
    const std::uint8_t* at[kRows];
    Total total[kRows][kVectors];
#pragma GCC unroll 12
    for (int p = 0; p < kRows; ++p) {
      at[p] = tile.source + positions[p];
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) {
        total[p][v] = hn::LoadU(df, values + static_cast<std::size_t>(p * kVectors + v) * width());
      }
    }
    for (std::int64_t r = 0; r < tile.run_count; ++r) {
      const BlockRun& run = tile.runs[r];
      const std::uint8_t* lanes = tile.lanes + run.lanes * kVectors;
      const std::int64_t tap_bytes = run.words * lane_bytes;
      Sum sum[kRows][kVectors];
      if (tile.taps_apart) {
        for (std::int64_t t = 0; t < tile.tap_count; ++t) {
          const BlockTap& tap = tile.taps[t];
          start(tile, run.group + tap.lanes, sum);
          const std::int64_t offset = run.source + tap.source;
          add_tap(at, offset, run.words, lanes + tap.lanes * tap_bytes, sum);
          const std::int64_t behind = offset + run.words * kWordBytes;
          const auto unit_at = [&](int p) { return load_word<float>(at[p] + behind); };
          end_group(tile, run.group + tap.lanes, unit_at, sum, total);
        }
      } else {
        start(tile, run.group, sum);
        for (std::int64_t t = 0; t < tile.tap_count; ++t) {
          const BlockTap& tap = tile.taps[t];
          add_tap(at, run.source + tap.source, run.words, lanes + tap.lanes * tap_bytes, sum);
        }
        const auto unit_at = [&](int p) { return tile.source_units[unit_positions[p] + run.unit]; };
        end_group(tile, run.group, unit_at, sum, total);
      }
    }
#pragma GCC unroll 12
    for (int p = 0; p < kRows; ++p) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) {
        hn::StoreU(total[p][v], df, values + static_cast<std::size_t>(p * kVectors + v) * width());
      }
    }
  }
};

template <typename Dots, GroupRounding kRounding, int kVectors>
void sum_positions(const BlockTile& tile, float* values) {
  const std::int64_t lanes = kVectors * static_cast<std::int64_t>(hn::Lanes(typename Dots::Float()));
  constexpr int kRows = kVectors == 1 ? kPositions + 2 : kPositions;
  std::int64_t p = 0;
  for (; tile.position_count - p >= kRows; p += kRows) {
    Tile<Dots, kRounding, kRows, kVectors>::run(tile, tile.positions + p, tile.unit_positions + p, values + p * lanes);
  }
  for (; tile.position_count - p >= 3; p += 3) {
    Tile<Dots, kRounding, 3, kVectors>::run(tile, tile.positions + p, tile.unit_positions + p, values + p * lanes);
  }
  for (; p < tile.position_count; ++p) {
    Tile<Dots, kRounding, 1, kVectors>::run(tile, tile.positions + p, tile.unit_positions + p, values + p * lanes);
  }
}

template <typename Dots, GroupRounding kRounding>
void sum_vectors(const BlockTile& tile, float* values) {
  tile.vectors == 1 ? sum_positions<Dots, kRounding, 1>(tile, values)
                    : sum_positions<Dots, kRounding, kBlockVectors>(tile, values);
}

template <typename Dots>
void sum_integers(const BlockTile& tile, float* values) {
  switch (tile.rounding) {
    case GroupRounding::kExact:
      return sum_vectors<Dots, GroupRounding::kExact>(tile, values);
    case GroupRounding::kSingle:
      return sum_vectors<Dots, GroupRounding::kSingle>(tile, values);
    case GroupRounding::kDouble:
      return sum_vectors<Dots, GroupRounding::kDouble>(tile, values);
    case GroupRounding::kPowers:
      return sum_vectors<Dots, GroupRounding::kPowers>(tile, values);
  }
}

void sum_bytes(const BlockTile& tile, float* values) {
#if HWY_TARGET == HWY_AVX3_DL
  sum_integers<ByteDots>(tile, values);
#else
  // Nobody asks for it here: one position at a time, and the rounding that is right for all sums.
  const std::int64_t lanes = tile.vectors * static_cast<std::int64_t>(hn::Lanes(FloatTag()));
  for (std::int64_t p = 0; p < tile.position_count; ++p) {
    const std::int64_t* positions = tile.positions + p;
    const std::int64_t* unit_positions = tile.unit_positions + p;
    tile.vectors == 1
        ? Tile<ByteDots, GroupRounding::kDouble, 1, 1>::run(tile, positions, unit_positions, values + p * lanes)
        : Tile<ByteDots, GroupRounding::kDouble, 1, kBlockVectors>::run(tile, positions, unit_positions,
                                                                        values + p * lanes);
  }
#endif
}

void sum_shorts(const BlockTile& tile, float* values) {
  sum_integers<ShortDots>(tile, values);
}

void sum_doubles(const BlockTile& tile, float* values) {
  sum_vectors<DoubleProducts, GroupRounding::kExact>(tile, values);
}

std::size_t lanes_of(bool doubles) {
  return doubles ? hn::Lanes(DoubleTag()) : hn::Lanes(FloatTag());
}

void correct(const std::uint32_t* words, std::int64_t count, std::int64_t lanes, std::int32_t* corrections) {
  const IntTag di;
  const auto offsets = hn::BitCast(di, hn::Set(WordTag(), 0x01010101U * kByteOffset));
  for (std::int64_t lane = 0; lane < lanes; lane += static_cast<std::int64_t>(hn::Lanes(di))) {
    auto sum = hn::Zero(di);
    for (std::int64_t i = 0; i < count; ++i) {
      sum = ByteDots::add(sum, offsets, hn::BitCast(di, hn::LoadU(WordTag(), words + i * lanes + lane)));
    }
    hn::StoreU(hn::Sub(hn::LoadU(di, corrections + lane), sum), di, corrections + lane);
  }
}

template <typename T>
Transposition<T> part(Transposition<T> what, std::int64_t row, std::int64_t column) {
  what.source += row * what.source_pitch + column;
  what.target += column * what.target_pitch + row;
  what.rows -= row;
  what.columns -= column;
  return what;
}

// A whole block of kBlockSide rows and columns; `finish` sees each vector before it is stored.
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL

constexpr std::int64_t kBlockSide = 16;

template <typename T, typename Finish>
void transpose_block(const Transposition<T>& what, const Finish& finish) {
  const hn::ScalableTag<T> d;
  __m512i rows[16];
  __m512i pairs[16];
  for (int i = 0; i < 16; ++i) rows[i] = _mm512_loadu_si512(what.source + i * what.source_pitch);
  for (int i = 0; i < 16; i += 2) {
    pairs[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
    pairs[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    rows[i] = _mm512_unpacklo_epi64(pairs[i], pairs[i + 2]);
    rows[i + 1] = _mm512_unpackhi_epi64(pairs[i], pairs[i + 2]);
    rows[i + 2] = _mm512_unpacklo_epi64(pairs[i + 1], pairs[i + 3]);
    rows[i + 3] = _mm512_unpackhi_epi64(pairs[i + 1], pairs[i + 3]);
  }
  // Quarter b of rows[4 · a + c] has column 4 · b + c of the four rows from 4 · a on.
  for (int c = 0; c < 4; ++c) {
    const __m512i low_even = _mm512_shuffle_i32x4(rows[c], rows[4 + c], 0x88);
    const __m512i low_odd = _mm512_shuffle_i32x4(rows[c], rows[4 + c], 0xDD);
    const __m512i high_even = _mm512_shuffle_i32x4(rows[8 + c], rows[12 + c], 0x88);
    const __m512i high_odd = _mm512_shuffle_i32x4(rows[8 + c], rows[12 + c], 0xDD);
    const auto store = [&](int column, __m512i words) HWY_ATTR {
      const auto values = hn::BitCast(d, hn::Vec<WordTag>{words});
      hn::StoreU(finish(d, values), d, what.target + column * what.target_pitch);
    };
    store(c, _mm512_shuffle_i32x4(low_even, high_even, 0x88));
    store(4 + c, _mm512_shuffle_i32x4(low_odd, high_odd, 0x88));
    store(8 + c, _mm512_shuffle_i32x4(low_even, high_even, 0xDD));
    store(12 + c, _mm512_shuffle_i32x4(low_odd, high_odd, 0xDD));
  }
}

#elif HWY_TARGET == HWY_SCALAR

constexpr std::int64_t kBlockSide = 1;

template <typename T, typename Finish>
void transpose_block(const Transposition<T>& what, const Finish& finish) {
  const hn::ScalableTag<T> d;
  *what.target = hn::GetLane(finish(d, hn::Set(d, *what.source)));
}

#endif

#if HWY_TARGET != HWY_SCALAR

template <typename T, typename Finish>
void transpose_four(const Transposition<T>& what, const Finish& finish) {
  const hn::FixedTag<T, 4> d;
  const hn::Repartition<std::uint64_t, decltype(d)> d64;
  const auto row = [&](int i) HWY_ATTR { return hn::LoadU(d, what.source + i * what.source_pitch); };
  const auto store = [&](int column, auto pairs) HWY_ATTR {
    hn::StoreU(finish(d, hn::BitCast(d, pairs)), d, what.target + column * what.target_pitch);
  };
  const auto low01 = hn::BitCast(d64, hn::InterleaveLower(d, row(0), row(1)));
  const auto low23 = hn::BitCast(d64, hn::InterleaveLower(d, row(2), row(3)));
  const auto high01 = hn::BitCast(d64, hn::InterleaveUpper(d, row(0), row(1)));
  const auto high23 = hn::BitCast(d64, hn::InterleaveUpper(d, row(2), row(3)));
  store(0, hn::InterleaveLower(d64, low01, low23));
  store(1, hn::InterleaveUpper(d64, low01, low23));
  store(2, hn::InterleaveLower(d64, high01, high23));
  store(3, hn::InterleaveUpper(d64, high01, high23));
}

#if HWY_TARGET != HWY_AVX3 && HWY_TARGET != HWY_AVX3_DL

constexpr std::int64_t kBlockSide = 4;

template <typename T, typename Finish>
void transpose_block(const Transposition<T>& what, const Finish& finish) {
  transpose_four(what, finish);
}

#endif

#else

template <typename T, typename Finish>
void transpose_four(const Transposition<T>& what, const Finish& finish) {
  for (std::int64_t row = 0; row < 4; ++row) {
    for (std::int64_t column = 0; column < 4; ++column) transpose_block(part(what, row, column), finish);
  }
}

#endif

// At the edges: blocks of four, and what is left one by one.
template <typename T, typename Finish>
void transpose_edge(const Transposition<T>& what, const Finish& finish) {
  const hn::CappedTag<T, 1> one;
  for (std::int64_t row = 0; row < what.rows;) {
    const std::int64_t height = what.rows - row >= 4 ? 4 : 1;
    for (std::int64_t column = 0; column < what.columns;) {
      const Transposition<T> rest = part(what, row, column);
      if (height == 4 && rest.columns >= 4) {
        transpose_four(rest, finish);
        column += 4;
        continue;
      }
      for (std::int64_t i = 0; i < height; ++i) {
        rest.target[i] = hn::GetLane(finish(one, hn::Set(one, rest.source[i * rest.source_pitch])));
      }
      ++column;
    }
    row += height;
  }
}

template <typename T, typename Finish>
void transpose_all(const Transposition<T>& what, const Finish& finish) {
  const std::int64_t rows = what.rows / kBlockSide * kBlockSide;
  const std::int64_t columns = what.columns / kBlockSide * kBlockSide;
  for (std::int64_t row = 0; row < rows; row += kBlockSide) {
    for (std::int64_t column = 0; column < columns; column += kBlockSide) {
      transpose_block(part(what, row, column), finish);
    }
  }
  Transposition<T> right = part(what, 0, columns);
  right.rows = rows;
  transpose_edge(right, finish);
  transpose_edge(part(what, rows, 0), finish);
}

void transpose_words(const Transposition<std::uint32_t>& what) {
  transpose_all(what, [](auto /*d*/, auto x) HWY_ATTR { return x; });
}

void transpose_floats(const Transposition<float>& what, float factor) {
  transpose_all(what, [&](auto d, auto x) HWY_ATTR { return hn::Mul(x, hn::Set(d, factor)); });
}

}  // namespace
}  // namespace mlsim::models::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mlsim::models {

HWY_EXPORT(has_powers);
HWY_EXPORT(lanes_of);
HWY_EXPORT(sum_bytes);
HWY_EXPORT(sum_shorts);
HWY_EXPORT(sum_doubles);
HWY_EXPORT(correct);
HWY_EXPORT(transpose_words);
HWY_EXPORT(transpose_floats);

bool has_power_products() {
  return HWY_DYNAMIC_DISPATCH(has_powers)();
}

std::size_t block_lanes(bool doubles) {
  return HWY_DYNAMIC_DISPATCH(lanes_of)(doubles);
}

void sum_blocks(BlockElement element, const BlockTile& tile, float* values) {
  switch (element) {
    case BlockElement::kBytes:
      return HWY_DYNAMIC_DISPATCH(sum_bytes)(tile, values);
    case BlockElement::kShorts:
      return HWY_DYNAMIC_DISPATCH(sum_shorts)(tile, values);
    case BlockElement::kDoubles:
      return HWY_DYNAMIC_DISPATCH(sum_doubles)(tile, values);
  }
}

void add_corrections(const std::uint32_t* words, std::int64_t count, std::int64_t lanes, std::int32_t* corrections) {
  HWY_DYNAMIC_DISPATCH(correct)(words, count, lanes, corrections);
}

void transpose(const Transposition<std::uint32_t>& what) {
  HWY_DYNAMIC_DISPATCH(transpose_words)(what);
}

void transpose(const Transposition<float>& what, float factor) {
  HWY_DYNAMIC_DISPATCH(transpose_floats)(what, factor);
}

}  // namespace mlsim::models
#endif
