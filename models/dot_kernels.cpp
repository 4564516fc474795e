#include "models/dot_kernels.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/dot_kernels.cpp"
#include "hwy/foreach_target.h"
// After foreach_target.h.
#include "hwy/highway.h"
#include "models/element_decoder-inl.h"

HWY_BEFORE_NAMESPACE();
#if HWY_TARGET == HWY_AVX3_DL
HWY_PUSH_ATTRIBUTES("avx512vnni")
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
  const auto product = [&](auto u, auto s) HWY_ATTR {
    return hn::Mul(hn::BitCast(d, hn::And(u, byte)), hn::ShiftRight<24>(s));
  };
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

void decode_to_bytes(const ElementFormat& format, const std::uint16_t* codes, std::size_t count, int offset,
                     std::uint8_t* bytes) {
  const IntTag di;
  const ByteTag d8;
  const Decoder decoder(format);
  const auto add = hn::Set(di, offset);
  const auto low_byte = hn::Set(di, 0xFF);
  const auto decode = [&](const std::uint16_t* from, std::uint8_t* to) HWY_ATTR {
    const auto k = hn::ConvertTo(di, decoder(from));
    hn::StoreU(hn::DemoteTo(d8, hn::And(hn::Add(k, add), low_byte)), d8, to);
  };
  const std::size_t lanes = hn::Lanes(di);
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) decode(codes + i, bytes + i);
  if (i == count) return;
  HWY_ALIGN std::uint16_t last_codes[HWY_MAX_BYTES / sizeof(float)] = {};
  HWY_ALIGN std::uint8_t last_bytes[HWY_MAX_BYTES / sizeof(float)];
  std::copy(codes + i, codes + count, last_codes);
  decode(last_codes, last_bytes);
  std::copy_n(last_bytes, count - i, bytes + i);
}

void interleave(const std::array<const std::uint8_t*, 4>& rows, std::size_t count, std::uint32_t* quads) {
  const WordTag du;
  const ByteTag d8;
  for (std::size_t i = 0; i < count; i += hn::Lanes(du)) {
    const auto row = [&](std::size_t j) HWY_ATTR { return hn::PromoteTo(du, hn::LoadU(d8, rows[j] + i)); };
    const auto low = hn::Or(row(0), hn::ShiftLeft<8>(row(1)));
    const auto high = hn::Or(hn::ShiftLeft<16>(row(2)), hn::ShiftLeft<24>(row(3)));
    hn::StoreU(hn::Or(low, high), du, quads + i);
  }
}

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
void correlate_tile(const DotTile& tile, float* HWY_RESTRICT y, std::int64_t pitch) {
  const FloatTag df;
  const IntTag di;
  const WordTag du;
  const std::size_t lanes = hn::Lanes(df);
  const std::int64_t* HWY_RESTRICT offsets = tile.offsets;
  const std::int64_t quads = tile.quads;
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

template <int kVectors>
void correlate_vectors(const DotTile& tile, float* y, std::int64_t pitch) {
  if (static_cast<std::size_t>(tile.positions) <= (kVectors - 1) * hn::Lanes(FloatTag())) {
    if constexpr (kVectors > 1) correlate_vectors<kVectors - 1>(tile, y, pitch);
  } else if (tile.channels == kDotChannels) {
    correlate_tile<kDotChannels, kVectors>(tile, y, pitch);
  } else {
    correlate_tile<1, kVectors>(tile, y, pitch);
  }
}

void correlate_any_tile(const DotTile& tile, float* y, std::int64_t pitch) {
  correlate_vectors<kDotVectors>(tile, y, pitch);
}

// y += sum · units, rounded before it is added.
void add_rounded(Ints sum, hn::Vec<FloatTag> error_unit, float column_unit, float* y) {
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
    const auto q = hn::DemoteTo(half, hn::Mul(hn::PromoteTo(dd, hn::Load(half_int, sums + i)), unit));
    hn::StoreU(hn::Add(hn::LoadU(half, y + i), q), half, y + i);
  }
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
      if (tile.exact) {
        const auto unit = hn::Mul(error_unit, hn::Set(df, tile.column_units[j]));
        hn::StoreU(hn::MulAdd(hn::ConvertTo(df, sum[j][v]), unit, hn::LoadU(df, target)), df, target);
      } else {
        add_rounded(sum[j][v], error_unit, tile.column_units[j], target);
      }
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

}  // namespace
}  // namespace mlsim::models::HWY_NAMESPACE
#if HWY_TARGET == HWY_AVX3_DL
HWY_POP_ATTRIBUTES
#endif
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mlsim::models {

HWY_EXPORT(has_dots);
HWY_EXPORT(lanes_of_dots);
HWY_EXPORT(decode_to_bytes);
HWY_EXPORT(interleave);
HWY_EXPORT(correlate_any_tile);
HWY_EXPORT(add_any_weight_tile);
HWY_EXPORT(sum_error_quads);

bool has_dot_products() {
  return HWY_DYNAMIC_DISPATCH(has_dots)();
}

std::size_t dot_lanes() {
  return HWY_DYNAMIC_DISPATCH(lanes_of_dots)();
}

void decode_bytes(const ElementFormat& format, const std::uint16_t* codes, std::size_t count, int offset,
                  std::uint8_t* bytes) {
  HWY_DYNAMIC_DISPATCH(decode_to_bytes)(format, codes, count, offset, bytes);
}

void interleave_rows(const std::array<const std::uint8_t*, 4>& rows, std::size_t count, std::uint32_t* quads) {
  HWY_DYNAMIC_DISPATCH(interleave)(rows, count, quads);
}

void correlate_dots(const DotTile& tile, float* y, std::int64_t pitch) {
  HWY_DYNAMIC_DISPATCH(correlate_any_tile)(tile, y, pitch);
}

void add_weight_dots(const DotWeightTile& tile, float* y) {
  HWY_DYNAMIC_DISPATCH(add_any_weight_tile)(tile, y);
}

void sum_errors(const std::int32_t* errors, std::int64_t quads, std::int64_t lanes, int factor, std::int32_t* sums) {
  HWY_DYNAMIC_DISPATCH(sum_error_quads)(errors, quads, lanes, factor, sums);
}

}  // namespace mlsim::models
#endif
