#include "models/convolution/cpu/dot_kernels.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>
#include <type_traits>

#include "models/formats/scaled_tensor.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/convolution/cpu/dot_kernels.cpp"
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

namespace hn = hwy::HWY_NAMESPACE;

using FloatTag = hn::ScalableTag<float>;
using IntTag = hn::RebindToSigned<FloatTag>;
using WordTag = hn::RebindToUnsigned<FloatTag>;
using ByteTag = hn::Rebind<std::uint8_t, FloatTag>;
using Ints = hn::Vec<IntTag>;
using Words = hn::Vec<WordTag>;

// Adds the four products of the unsigned bytes of a and the signed ones of b.
#if HWY_TARGET == HWY_AVX3_DL

constexpr bool kDotProducts = true;

Ints add_dot(Ints sum, Words a, Ints b) {
  return Ints{_mm512_dpbusd_epi32(sum.raw, a.raw, b.raw)};
}

#else

constexpr bool kDotProducts = false;

Ints add_dot(Ints sum, Words a, Ints b) {
  const IntTag d;
  const auto byte = hn::Set(WordTag(), 0xFF);
  const auto product = [&](auto u, auto s)
                           HWY_ATTR { return hn::Mul(hn::BitCast(d, hn::And(u, byte)), hn::ShiftRight<24>(s)); };
  sum = hn::Add(sum, product(a, hn::ShiftLeft<24>(b)));
  sum = hn::Add(sum, product(hn::ShiftRight<8>(a), hn::ShiftLeft<16>(b)));
  sum = hn::Add(sum, product(hn::ShiftRight<16>(a), hn::ShiftLeft<8>(b)));
  return hn::Add(sum, product(hn::ShiftRight<24>(a), b));
}

#endif

bool has_dots() {
  return kDotProducts;
}

std::size_t lanes_of_dots() {
  return hn::Lanes(IntTag());
}

// As ByteDecoder::decode, from a table of codes of so many bits: a parameter more than elsewhere, which that class
// holds.
#if HWY_TARGET == HWY_AVX3_DL

void decode_rows(const std::uint8_t* table, int code_bits, const std::uint16_t* codes, std::int64_t rows,
                 std::int64_t columns, std::uint8_t* bytes, std::int64_t pitch) {
  const ByteReader reader(table, code_bits);
  const auto first_bits = [](std::int64_t count) {
    return count >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1;
  };
  constexpr std::int64_t kShort = 16;
  if (columns <= kShort && rows > 1) {
    // Some rows at once, which are then put in their places.
    alignas(64) std::array<std::uint8_t, 64 + kShort> together;
    const std::int64_t at_once = 64 / columns;
    const auto used = static_cast<__mmask16>(first_bits(columns));
    for (std::int64_t row = 0; row < rows; row += at_once) {
      const std::int64_t count = std::min(rows - row, at_once);
      _mm512_store_si512(together.data(), reader(codes + row * columns, count * columns));
      for (std::int64_t i = 0; i < count; ++i, bytes += pitch) {
        const auto* from = reinterpret_cast<const __m128i*>(together.data() + i * columns);
        _mm_mask_storeu_epi8(bytes, used, _mm_loadu_si128(from));
      }
    }
    return;
  }
  for (std::int64_t row = 0; row < rows; ++row, codes += columns, bytes += pitch) {
    std::int64_t i = 0;
    for (; i + 64 <= columns; i += 64) _mm512_storeu_si512(bytes + i, reader.whole(codes + i));
    if (i == columns) continue;
    _mm512_mask_storeu_epi8(bytes + i, first_bits(columns - i), reader(codes + i, columns - i));
  }
}

#else

void decode_rows(const std::uint8_t* table, int /*code_bits*/, const std::uint16_t* codes, std::int64_t rows,
                 std::int64_t columns, std::uint8_t* bytes, std::int64_t pitch) {
  for (std::int64_t row = 0; row < rows; ++row, codes += columns, bytes += pitch) {
    for (std::int64_t i = 0; i < columns; ++i) bytes[i] = table[codes[i]];
  }
}

#endif

void interleave(const std::array<const std::uint8_t*, 4>& sources, std::int64_t pitch, std::int64_t rows,
                std::int64_t columns, std::uint32_t* quads) {
  const WordTag du;
  const ByteTag d8;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(du));
  for (std::int64_t row = 0; row < rows; ++row, quads += columns) {
    for (std::int64_t i = 0; i < columns; i += lanes) {
      const std::int64_t at = row * pitch + i;
      const auto low = hn::Or(hn::PromoteTo(du, hn::LoadU(d8, sources[0] + at)),
                              hn::ShiftLeft<8>(hn::PromoteTo(du, hn::LoadU(d8, sources[1] + at))));
      const auto high = hn::Or(hn::ShiftLeft<16>(hn::PromoteTo(du, hn::LoadU(d8, sources[2] + at))),
                               hn::ShiftLeft<24>(hn::PromoteTo(du, hn::LoadU(d8, sources[3] + at))));
      hn::StoreU(hn::Or(low, high), du, quads + i);
    }
  }
}

void scale(const std::uint8_t* source, float unit, std::int64_t pitch, std::int64_t rows, std::int64_t columns,
           std::uint32_t* values) {
  const FloatTag df;
  const IntTag di;
  const WordTag du;
  const ByteTag d8;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(du));
  for (std::int64_t row = 0; row < rows; ++row, source += pitch, values += columns) {
    for (std::int64_t i = 0; i < columns; i += lanes) {
      const auto k = hn::Sub(hn::PromoteTo(di, hn::LoadU(d8, source + i)), hn::Set(di, kDotOffset));
      hn::StoreU(hn::BitCast(du, hn::Mul(hn::ConvertTo(df, k), hn::Set(df, unit))), du, values + i);
    }
  }
}

#if HWY_TARGET == HWY_AVX3_DL

// The first 16 bytes of four kernels.
HWY_INLINE __m512i join_kernels(const std::array<const std::uint8_t*, 4>& kernels) {
  const auto load = [&](std::size_t i)
                        HWY_ATTR { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(kernels[i])); };
  const __m256i low = _mm256_inserti128_si256(_mm256_castsi128_si256(load(0)), load(1), 1);
  const __m256i high = _mm256_inserti128_si256(_mm256_castsi128_si256(load(2)), load(3), 1);
  return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

// Picks of those bytes, the same of each kernel; -1 stands for a zero.
HWY_INLINE __m512i picks_of(const std::array<std::int8_t, 16>& places) {
  return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(places.data())));
}

// Packs up to four quads of the first 16 places of four kernels at a time; returns for how many outer indices.
std::int64_t pack_blocks(const DotPacking& packing, std::int32_t* weights, std::int32_t* corrections) {
  std::array<std::int8_t, 16> places;
  if (packing.channels != kDotChannels || packing.quads > 4) return 0;
  places.fill(-1);
  for (std::int64_t quad = 0; quad < packing.quads; ++quad) {
    for (std::size_t t = 0; t < 4; ++t) {
      const std::int32_t place = packing.taps[quad][t];
      if (place >= 16) return 0;
      places[static_cast<std::size_t>(4 * quad) + t] = static_cast<std::int8_t>(place);
    }
  }
  const __m512i picks = picks_of(places);
  const __m512i turn = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i offset = _mm512_set1_epi8(static_cast<char>(kDotOffset));
  const auto used = static_cast<__mmask16>((1 << (kDotChannels * packing.quads)) - 1);
  for (std::int64_t outer = 0; outer < packing.outer; ++outer) {
    std::array<const std::uint8_t*, 4> kernels;
    for (std::size_t c = 0; c < 4; ++c) kernels[c] = packing.kernels[c] + outer * packing.kernel_step;
    const __m512i quads = _mm512_permutexvar_epi32(turn, _mm512_shuffle_epi8(join_kernels(kernels), picks));
    _mm512_mask_storeu_epi32(weights + outer * packing.quads * kDotChannels, used, quads);
    const __m512i sums = _mm512_dpbusd_epi32(_mm512_setzero_si512(), offset, quads);
    const __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(sums), _mm512_extracti64x4_epi64(sums, 1));
    const __m128i total = _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(corrections + outer * kDotChannels),
                     _mm_sub_epi32(_mm_setzero_si128(), total));
  }
  return packing.outer;
}

#else

std::int64_t pack_blocks(const DotPacking&, std::int32_t*, std::int32_t*) {
  return 0;
}

#endif

template <int kChannels>
void pack_products(const DotPacking& packing, std::int32_t* weights) {
  for (std::int64_t outer = 0; outer < packing.outer; ++outer, weights += kChannels) {
    for (int c = 0; c < kChannels; ++c) {
      const std::uint8_t* kernel = packing.kernels[static_cast<std::size_t>(c)] + outer * packing.kernel_step;
      const float unit = packing.units[static_cast<std::size_t>(c)][outer * packing.unit_step];
      const auto k = static_cast<float>(static_cast<std::int8_t>(kernel[packing.taps[0][0]]));
      weights[c] = std::bit_cast<std::int32_t>(k * unit);
    }
  }
}

// Returns the sum of a quad's weights.
std::int32_t pack_quad(const Quad& taps, const std::uint8_t* kernel, std::int32_t& quad) {
  std::array<std::int8_t, 4> k{};
  std::int32_t sum = 0;
  for (std::size_t t = 0; t < 4; ++t) {
    if (taps[t] >= 0) k[t] = static_cast<std::int8_t>(kernel[taps[t]]);
    sum += k[t];
  }
  quad = std::bit_cast<std::int32_t>(k);
  return sum;
}

void pack(const DotPacking& packing, const PackedWeights& packed) {
  std::int32_t* weights = packed.weights;
  std::int32_t* corrections = packed.corrections;
  float* units = packed.units;
  const int channels = packing.channels;
  if (packing.single) {
    return channels == 1 ? pack_products<1>(packing, weights) : pack_products<kDotChannels>(packing, weights);
  }
  for (std::int64_t outer = pack_blocks(packing, weights, corrections); outer < packing.outer; ++outer) {
    for (int c = 0; c < channels; ++c) {
      const std::uint8_t* kernel = packing.kernels[static_cast<std::size_t>(c)] + outer * packing.kernel_step;
      std::int32_t sum = 0;
      for (std::int64_t quad = 0; quad < packing.quads; ++quad) {
        sum += pack_quad(packing.taps[quad], kernel, weights[(outer * packing.quads + quad) * channels + c]);
      }
      corrections[outer * channels + c] = -kDotOffset * sum;
    }
  }
  for (std::int64_t outer = 0; outer < packing.outer; ++outer) {
    for (int c = 0; c < channels; ++c) {
      *units++ = packing.units[static_cast<std::size_t>(c)][outer * packing.unit_step];
    }
  }
}

#if HWY_TARGET == HWY_AVX3_DL

// Four outer indices at a time, of all channels, whose kernels and units are neighbours in memory.
void pack_phase_quads(const PhasePacking& packing, const PackedWeights& packed) {
  std::array<std::int8_t, 16> places;
  for (std::size_t i = 0; i < places.size(); ++i) places[i] = static_cast<std::int8_t>(packing.taps[i / 4][i % 4]);
  const __m512i picks = picks_of(places);
  const __m512i offset = _mm512_set1_epi8(static_cast<char>(kDotOffset));
  const __m512i spread = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
  constexpr __mmask16 kSingle = 0x1111;
  for (std::int64_t outer = 0; outer < packing.outer; outer += 4) {
    const std::int64_t count = std::min<std::int64_t>(packing.outer - outer, 4);
    const auto used = static_cast<__mmask16>((1U << (4 * count)) - 1);
    std::array<const std::uint8_t*, 4> kernels;
    std::array<const float*, 4> units;
    for (std::size_t i = 0; i < 4; ++i) {
      const std::int64_t pair = (outer + std::min(static_cast<std::int64_t>(i), count - 1)) * packing.step;
      kernels[i] = packing.kernel + pair * packing.kernel_size;
      units[i] = packing.unit + pair;
    }
    for (std::int64_t channel = 0; channel < packing.channels; ++channel) {
      const std::int64_t place = channel * packing.outer + outer;
      const __m512i quads = _mm512_shuffle_epi8(join_kernels(kernels), picks);
      const __m512i sums = _mm512_dpbusd_epi32(_mm512_setzero_si512(), offset, quads);
      const __m128 four_units = _mm_setr_ps(*units[0], *units[1], *units[2], *units[3]);
      const __m512 k = _mm512_cvtepi32_ps(_mm512_srai_epi32(_mm512_slli_epi32(quads, 24), 24));
      const __m512 products = _mm512_mul_ps(k, _mm512_permutexvar_ps(spread, _mm512_castps128_ps512(four_units)));
      _mm512_mask_storeu_epi32(packed.weights + place * kDotChannels, used,
                               _mm512_mask_mov_epi32(quads, kSingle, _mm512_castps_si512(products)));
      _mm512_mask_storeu_epi32(packed.corrections + place * kDotChannels, used,
                               _mm512_sub_epi32(_mm512_setzero_si512(), sums));
      _mm_mask_storeu_ps(packed.units + place, static_cast<__mmask8>((1U << count) - 1), four_units);
      for (const std::uint8_t*& kernel : kernels) kernel += packing.kernel_size;
      for (const float*& unit : units) ++unit;
    }
  }
}

#else

void pack_phase_quads(const PhasePacking& packing, const PackedWeights& packed) {
  for (std::int64_t i = 0; i < packing.channels * packing.outer; ++i) {
    const std::int64_t pair = i % packing.outer * packing.step + i / packing.outer;
    const std::uint8_t* kernel = packing.kernel + pair * packing.kernel_size;
    const std::int64_t place = i * kDotChannels;
    for (std::int64_t phase = 0; phase < kDotChannels; ++phase) {
      const Quad& taps = packing.taps[static_cast<std::size_t>(phase)];
      packed.corrections[place + phase] = -kDotOffset * pack_quad(taps, kernel, packed.weights[place + phase]);
    }
    const auto k = static_cast<std::int8_t>(kernel[packing.taps[0][0]]);
    packed.weights[place] = std::bit_cast<std::int32_t>(static_cast<float>(k) * packing.unit[pair]);
    packed.units[i] = packing.unit[pair];
  }
}

#endif

// Writes the first `count` lanes, scaled.
void store_some(hn::Vec<FloatTag> x, std::size_t count, float* y) {
  const FloatTag d;
  if (count >= hn::Lanes(d)) {
    hn::StoreU(x, d, y);
  } else {
    HWY_ALIGN float lanes[HWY_MAX_BYTES / sizeof(float)];
    hn::Store(x, d, lanes);
    std::copy_n(lanes, count, y);
  }
}

template <int kChannels, int kVectors>
void store_totals(const DotTile& tile, const hn::Vec<FloatTag> (&total)[kChannels][kVectors], float* HWY_RESTRICT y,
                  std::int64_t pitch) {
  const FloatTag df;
  const std::size_t lanes = hn::Lanes(df);
  const auto scale = hn::Set(df, tile.tensor_scale);
  const auto positions = static_cast<std::size_t>(tile.positions);
#pragma GCC unroll 8
  for (int c = 0; c < kChannels; ++c) {
    if (c >= tile.used_channels) return;
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      const std::size_t first = static_cast<std::size_t>(v) * lanes;
      store_some(hn::Mul(total[c][v], scale), positions - first, y + first);
    }
    y += pitch;
  }
}

// kQuads is 0 where their number is not known beforehand.
template <int kChannels, int kVectors, int kQuads>
void correlate_tile(const DotTile& tile, float* HWY_RESTRICT y, std::int64_t pitch) {
  const FloatTag df;
  const IntTag di;
  const WordTag du;
  const std::size_t lanes = hn::Lanes(df);
  const std::int64_t* HWY_RESTRICT offsets = tile.offsets;
  const std::int64_t quads = kQuads == 0 ? tile.quads : kQuads;
  const std::int32_t* HWY_RESTRICT weights = tile.weights;
  const std::int32_t* HWY_RESTRICT corrections = tile.corrections;
  const float* HWY_RESTRICT units = tile.weight_units;
  const std::uint32_t* HWY_RESTRICT source = tile.source;

  hn::Vec<FloatTag> total[kChannels][kVectors];
#pragma GCC unroll 8
  for (int c = 0; c < kChannels; ++c) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) total[c][v] = hn::Zero(df);
  }
  for (std::int64_t outer = 0; outer < tile.outer; ++outer, source += tile.plane) {
    Ints sum[kChannels][kVectors];
#pragma GCC unroll 8
    for (int c = 0; c < kChannels; ++c) {
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) sum[c][v] = hn::Set(di, corrections[c]);
    }
#pragma GCC unroll 3
    for (std::int64_t quad = 0; quad < quads; ++quad, weights += kChannels) {
      const std::uint32_t* HWY_RESTRICT at = source + offsets[quad];
      Words x[kVectors];
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) x[v] = hn::LoadU(du, at + static_cast<std::size_t>(v) * lanes);
#pragma GCC unroll 8
      for (int c = 0; c < kChannels; ++c) {
        const auto weight = hn::Set(di, weights[c]);
#pragma GCC unroll 8
        for (int v = 0; v < kVectors; ++v) sum[c][v] = add_dot(sum[c][v], x[v], weight);
      }
    }
    const auto source_unit = hn::Set(df, tile.source_units[outer]);
#pragma GCC unroll 8
    for (int c = 0; c < kChannels; ++c) {
      const auto unit = hn::Mul(source_unit, hn::Set(df, units[c]));
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) total[c][v] = hn::MulAdd(hn::ConvertTo(df, sum[c][v]), unit, total[c][v]);
    }
    corrections += kChannels;
    units += kChannels;
  }
  store_totals(tile, total, y, pitch);
}

template <int kChannels, int kVectors>
void correlate_products(const DotTile& tile, float* HWY_RESTRICT y, std::int64_t pitch) {
  const FloatTag df;
  const IntTag di;
  const WordTag du;
  const std::size_t lanes = hn::Lanes(df);
  const std::int32_t* HWY_RESTRICT weights = tile.weights;
  const std::uint32_t* HWY_RESTRICT source = tile.source + tile.offsets[0];
  hn::Vec<FloatTag> total[kChannels][kVectors];
#pragma GCC unroll 8
  for (int c = 0; c < kChannels; ++c) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) total[c][v] = hn::Zero(df);
  }
  for (std::int64_t outer = 0; outer < tile.outer; ++outer, source += tile.plane, weights += kChannels) {
    hn::Vec<FloatTag> x[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      x[v] = hn::BitCast(df, hn::LoadU(du, source + static_cast<std::size_t>(v) * lanes));
    }
#pragma GCC unroll 8
    for (int c = 0; c < kChannels; ++c) {
      const auto weight = hn::BitCast(df, hn::Set(di, weights[c]));
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) total[c][v] = hn::MulAdd(x[v], weight, total[c][v]);
    }
  }
  store_totals(tile, total, y, pitch);
}

template <int kChannels, int kVectors>
void correlate_phases(const DotTile& tile, float* HWY_RESTRICT y, std::int64_t pitch) {
  const FloatTag df;
  const IntTag di;
  const WordTag du;
  const std::size_t lanes = hn::Lanes(df);
  const std::int32_t* HWY_RESTRICT weights = tile.weights;
  const std::int32_t* HWY_RESTRICT corrections = tile.corrections;
  const std::uint32_t* HWY_RESTRICT source = tile.source + tile.offsets[0];
  const std::uint32_t* HWY_RESTRICT single = tile.source + tile.offsets[1];
  hn::Vec<FloatTag> total[kChannels][kVectors];
#pragma GCC unroll 8
  for (int c = 0; c < kChannels; ++c) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) total[c][v] = hn::Zero(df);
  }
  for (std::int64_t outer = 0; outer < tile.outer; ++outer) {
    const auto unit = hn::Mul(hn::Set(df, tile.source_units[outer]), hn::Set(df, tile.weight_units[outer]));
    const auto weight = hn::BitCast(df, hn::Set(di, weights[0]));
    Words x[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      x[v] = hn::LoadU(du, source + static_cast<std::size_t>(v) * lanes);
      const auto tap = hn::BitCast(df, hn::LoadU(du, single + static_cast<std::size_t>(v) * lanes));
      total[0][v] = hn::MulAdd(tap, weight, total[0][v]);
    }
#pragma GCC unroll 8
    for (int c = 1; c < kChannels; ++c) {
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) {
        const Ints sum = add_dot(hn::Set(di, corrections[c]), x[v], hn::Set(di, weights[c]));
        total[c][v] = hn::MulAdd(hn::ConvertTo(df, sum), unit, total[c][v]);
      }
    }
    source += tile.plane;
    single += tile.plane;
    weights += kChannels;
    corrections += kChannels;
  }
  store_totals(tile, total, y, pitch);
}

template <int kChannels, int kVectors>
void correlate_quads(const DotTile& tile, float* y, std::int64_t pitch) {
  if (tile.single) return correlate_products<kChannels, kVectors>(tile, y, pitch);
  if constexpr (kChannels == kDotChannels) {
    if (tile.phases) return correlate_phases<kChannels, kVectors>(tile, y, pitch);
  }
  switch (tile.quads) {
    case 1:
      return correlate_tile<kChannels, kVectors, 1>(tile, y, pitch);
    case 2:
      return correlate_tile<kChannels, kVectors, 2>(tile, y, pitch);
    case 3:
      return correlate_tile<kChannels, kVectors, 3>(tile, y, pitch);
    default:
      return correlate_tile<kChannels, kVectors, 0>(tile, y, pitch);
  }
}

template <int kVectors>
void correlate_vectors(const DotTile& tile, float* y, std::int64_t pitch) {
  if (static_cast<std::size_t>(tile.positions) <= (kVectors - 1) * hn::Lanes(FloatTag())) {
    if constexpr (kVectors > 1) correlate_vectors<kVectors - 1>(tile, y, pitch);
  } else if (tile.channels == kDotChannels) {
    correlate_quads<kDotChannels, kVectors>(tile, y, pitch);
  } else {
    correlate_quads<1, kVectors>(tile, y, pitch);
  }
}

void correlate_any_tile(const DotTile& tile, float* y, std::int64_t pitch) {
  correlate_vectors<kDotVectors>(tile, y, pitch);
}

// sum · units, rounded once.
hn::Vec<FloatTag> rounded(Ints sum, hn::Vec<FloatTag> error_unit, float column_unit) {
  const FloatTag df;
  const hn::ScalableTag<double> dd;
  const hn::Rebind<float, decltype(dd)> half;
  const hn::Rebind<std::int32_t, decltype(dd)> half_int;
  HWY_ALIGN std::int32_t sums[HWY_MAX_BYTES / sizeof(float)];
  HWY_ALIGN float units[HWY_MAX_BYTES / sizeof(float)];
  hn::Store(sum, IntTag(), sums);
  hn::Store(error_unit, df, units);
  const auto common = hn::Set(dd, double{column_unit});
  for (std::size_t i = 0; i < hn::Lanes(df); i += hn::Lanes(dd)) {
    const auto unit = hn::Mul(hn::PromoteTo(dd, hn::Load(half, units + i)), common);
    hn::Store(hn::DemoteTo(half, hn::Mul(hn::PromoteTo(dd, hn::Load(half_int, sums + i)), unit)), half, units + i);
  }
  return hn::Load(df, units);
}

template <int kColumns, int kVectors>
void add_weight_tile(const DotWeightTile& tile, float* HWY_RESTRICT y) {
  const FloatTag df;
  const IntTag di;
  const WordTag du;
  const std::size_t lanes = hn::Lanes(di);
  Ints sum[kColumns][kVectors];
#pragma GCC unroll 16
  for (int j = 0; j < kColumns; ++j) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      sum[j][v] = hn::LoadU(di, tile.corrections + static_cast<std::size_t>(v) * lanes);
    }
  }
  const std::uint8_t* at[kColumns];
  for (int j = 0; j < kColumns; ++j) at[j] = tile.activation + tile.offsets[j];
  const std::int32_t* HWY_RESTRICT errors = tile.errors;
  for (std::int64_t row = 0; row < tile.rows; ++row) {
    const std::int64_t end = row * tile.row_step + 4 * tile.quads;
    for (std::int64_t position = row * tile.row_step; position < end; position += 4) {
      Ints e[kVectors];
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) e[v] = hn::LoadU(di, errors + static_cast<std::size_t>(v) * lanes);
#pragma GCC unroll 16
      for (int j = 0; j < kColumns; ++j) {
        std::uint32_t quad;
        std::memcpy(&quad, at[j] + position, sizeof(quad));
        const auto a = hn::Set(du, quad);
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) sum[j][v] = add_dot(sum[j][v], a, e[v]);
      }
      errors += tile.error_pitch;
    }
  }
#pragma GCC unroll 2
  for (int v = 0; v < kVectors; ++v) {
    const auto error_unit = hn::LoadU(df, tile.error_units + static_cast<std::size_t>(v) * lanes);
#pragma GCC unroll 16
    for (int j = 0; j < kColumns; ++j) {
      float* target = y + static_cast<std::size_t>(j * kVectors + v) * lanes;
      const auto before = tile.first ? hn::Zero(df) : hn::LoadU(df, target);
      const auto after = tile.exact ? hn::MulAdd(hn::ConvertTo(df, sum[j][v]),
                                                 hn::Mul(error_unit, hn::Set(df, tile.column_units[j])), before)
                                    : hn::Add(before, rounded(sum[j][v], error_unit, tile.column_units[j]));
      hn::StoreU(after, df, target);
    }
  }
}

template <int kVectors>
void add_weight_columns(DotWeightTile tile, float* y) {
  const auto run = [&](auto columns) {
    constexpr int kColumns = decltype(columns)::value;
    while (tile.columns >= kColumns) {
      add_weight_tile<kColumns, kVectors>(tile, y);
      tile.offsets += kColumns;
      tile.column_units += kColumns;
      tile.columns -= kColumns;
      y += kColumns * kVectors * hn::Lanes(IntTag());
    }
  };
  run(std::integral_constant<int, kDotWeightColumns>());
  run(std::integral_constant<int, 3>());
  run(std::integral_constant<int, 1>());
}

void add_any_weight_tile(const DotWeightTile& tile, float* y) {
  tile.vectors == 1 ? add_weight_columns<1>(tile, y) : add_weight_columns<kDotWeightVectors>(tile, y);
}

void sum_error_quads(const std::int32_t* errors, std::int64_t quads, std::int64_t lanes, int factor,
                     std::int32_t* sums) {
  const IntTag di;
  const auto ones = hn::Set(WordTag(), 0x01010101);
  for (std::int64_t lane = 0; lane < lanes; lane += static_cast<std::int64_t>(hn::Lanes(di))) {
    auto sum = hn::Zero(di);
    for (std::int64_t quad = 0; quad < quads; ++quad) {
      sum = add_dot(sum, ones, hn::LoadU(di, errors + quad * lanes + lane));
    }
    hn::StoreU(hn::Mul(sum, hn::Set(di, factor)), di, sums + lane);
  }
}

#if HWY_TARGET == HWY_AVX3_DL

// Modulo 2^32. Not of the whole vector at once, where GCC's header adds signed integers.
std::uint32_t wrapped_sum(Ints lanes) {
  const hn::Half<IntTag> d;
  return static_cast<std::uint32_t>(
      hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::LowerHalf(d, lanes), hn::UpperHalf(d, lanes)))));
}

template <int kColumns>
void dot_columns(const std::uint8_t* HWY_RESTRICT errors, const std::uint8_t* HWY_RESTRICT activation,
                 std::int64_t count, const std::int64_t* offsets, std::uint32_t correction, std::int32_t* sums) {
  const IntTag di;
  const WordTag du;
  const hn::Repartition<std::uint8_t, IntTag> d8;
  Ints sum[kColumns];
#pragma GCC unroll 16
  for (int j = 0; j < kColumns; ++j) sum[j] = hn::Zero(di);
  const std::uint8_t* at[kColumns];
  for (int j = 0; j < kColumns; ++j) at[j] = activation + offsets[j];
  for (std::int64_t i = 0; i < count; i += static_cast<std::int64_t>(hn::Lanes(d8))) {
    const auto e = hn::BitCast(di, hn::LoadU(d8, errors + i));
#pragma GCC unroll 16
    for (int j = 0; j < kColumns; ++j) sum[j] = add_dot(sum[j], hn::BitCast(du, hn::LoadU(d8, at[j] + i)), e);
  }
  for (int j = 0; j < kColumns; ++j) sums[j] = static_cast<std::int32_t>(wrapped_sum(sum[j]) + correction);
}

void dot_any_columns(const std::uint8_t* errors, const std::uint8_t* activation, std::int64_t count,
                     const std::int64_t* offsets, std::int64_t columns, std::int32_t* sums) {
  const IntTag di;
  const hn::Repartition<std::uint8_t, IntTag> d8;
  auto errors_sum = hn::Zero(di);
  for (std::int64_t i = 0; i < count; i += static_cast<std::int64_t>(hn::Lanes(d8))) {
    errors_sum = add_dot(errors_sum, hn::Set(WordTag(), 0x01010101), hn::BitCast(di, hn::LoadU(d8, errors + i)));
  }
  // The sums that it corrects may have left 32 bits, as it may; together they have not.
  const std::uint32_t correction = wrapped_sum(errors_sum) * static_cast<std::uint32_t>(-kDotOffset);
  const auto run = [&](auto block) {
    constexpr int kColumns = decltype(block)::value;
    for (; columns >= kColumns; columns -= kColumns) {
      dot_columns<kColumns>(errors, activation, count, offsets, correction, sums);
      offsets += kColumns;
      sums += kColumns;
    }
  };
  run(std::integral_constant<int, 9>());
  run(std::integral_constant<int, 1>());
}

#else

void dot_any_columns(const std::uint8_t* errors, const std::uint8_t* activation, std::int64_t count,
                     const std::int64_t* offsets, std::int64_t columns, std::int32_t* sums) {
  for (std::int64_t j = 0; j < columns; ++j) {
    sums[j] = 0;
    for (std::int64_t i = 0; i < count; ++i) {
      sums[j] += static_cast<std::int8_t>(errors[i]) * (int{activation[offsets[j] + i]} - kDotOffset);
    }
  }
}

#endif

}  // namespace
}  // namespace mlsim::models::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mlsim::models {

HWY_EXPORT(has_dots);
HWY_EXPORT(lanes_of_dots);
HWY_EXPORT(decode_rows);
HWY_EXPORT(interleave);
HWY_EXPORT(scale);
HWY_EXPORT(pack);
HWY_EXPORT(pack_phase_quads);
HWY_EXPORT(correlate_any_tile);
HWY_EXPORT(add_any_weight_tile);
HWY_EXPORT(sum_error_quads);
HWY_EXPORT(dot_any_columns);

bool has_dot_products() {
  return HWY_DYNAMIC_DISPATCH(has_dots)();
}

std::size_t dot_lanes() {
  return HWY_DYNAMIC_DISPATCH(lanes_of_dots)();
}

ByteDecoder::ByteDecoder(const ElementFormat& format, int offset) : code_bits_(format.code_bits()) {
  const std::size_t codes = std::size_t{1} << format.code_bits();
  assert(codes <= table_.size());
  for (std::size_t code = 0; code < codes; ++code) {
    table_[code] = static_cast<std::uint8_t>(decode_element(format, static_cast<std::uint16_t>(code)) + offset);
  }
}

void ByteDecoder::decode(const std::uint16_t* codes, std::int64_t rows, std::int64_t columns, std::uint8_t* bytes,
                         std::int64_t pitch) const {
  HWY_DYNAMIC_DISPATCH(decode_rows)(table_.data(), code_bits_, codes, rows, columns, bytes, pitch);
}

void interleave_bytes(const std::array<const std::uint8_t*, 4>& sources, std::int64_t pitch, std::int64_t rows,
                      std::int64_t columns, std::uint32_t* quads) {
  HWY_DYNAMIC_DISPATCH(interleave)(sources, pitch, rows, columns, quads);
}

void scale_bytes(const std::uint8_t* source, float unit, std::int64_t pitch, std::int64_t rows, std::int64_t columns,
                 std::uint32_t* values) {
  HWY_DYNAMIC_DISPATCH(scale)(source, unit, pitch, rows, columns, values);
}

void pack_weights(const DotPacking& packing, const PackedWeights& packed) {
  HWY_DYNAMIC_DISPATCH(pack)(packing, packed);
}

void pack_phases(const PhasePacking& packing, const PackedWeights& packed) {
  HWY_DYNAMIC_DISPATCH(pack_phase_quads)(packing, packed);
}

void correlate_dots(const DotTile& tile, float* y, std::int64_t pitch) {
  HWY_DYNAMIC_DISPATCH(correlate_any_tile)(tile, y, pitch);
}

void add_weight_dots(const DotWeightTile& tile, float* y) {
  HWY_DYNAMIC_DISPATCH(add_any_weight_tile)(tile, y);
}

void dot_planes(const std::uint8_t* errors, const std::uint8_t* activation, std::int64_t count,
                const std::int64_t* offsets, std::int64_t columns, std::int32_t* sums) {
  HWY_DYNAMIC_DISPATCH(dot_any_columns)(errors, activation, count, offsets, columns, sums);
}

void sum_errors(const std::int32_t* errors, std::int64_t quads, std::int64_t lanes, int factor, std::int32_t* sums) {
  HWY_DYNAMIC_DISPATCH(sum_error_quads)(errors, quads, lanes, factor, sums);
}

}  // namespace mlsim::models
#endif
