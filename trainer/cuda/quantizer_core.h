// The arithmetic of the GPU's quantizer and where its tiles lie, apart from threads: the processor can run it too, and
// tests compare it with models::reference_quantize there. Every operation is rounded by itself; what includes this must
// be compiled without contraction into fused multiply-adds.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "models/formats/format.h"
#include "models/quantizer/quantizer.h"

#ifdef __CUDACC__
#define MLSIM_HOST_DEVICE __host__ __device__ __forceinline__
#else
#define MLSIM_HOST_DEVICE inline
#endif

namespace mlsim::trainer::cuda {

constexpr std::uint32_t kInfinityBits = 0x7F800000;
constexpr std::uint32_t kNanBits = 0x7FC00000;

MLSIM_HOST_DEVICE std::uint32_t bits_of(float x) {
#ifdef __CUDA_ARCH__
  return __float_as_uint(x);
#else
  return std::bit_cast<std::uint32_t>(x);
#endif
}

MLSIM_HOST_DEVICE float float_of(std::uint32_t bits) {
#ifdef __CUDA_ARCH__
  return __uint_as_float(bits);
#else
  return std::bit_cast<float>(bits);
#endif
}

MLSIM_HOST_DEVICE std::uint32_t magnitude_bits(float x) {
  return bits_of(x) & 0x7FFFFFFFU;
}

// 2^exponent, -149 to 127.
MLSIM_HOST_DEVICE float power_of_two(int exponent) {
  return exponent >= -126 ? float_of(static_cast<std::uint32_t>(127 + exponent) << 23)
                          : float_of(1U << (149 + exponent));
}

// A quotient; that of numbers of 32 bits, which costs a GPU a part of the instructions, where they are.
MLSIM_HOST_DEVICE std::size_t divided(std::size_t a, std::size_t b) {
  return ((a | b) >> 32) == 0 ? static_cast<std::uint32_t>(a) / static_cast<std::uint32_t>(b) : a / b;
}

// A tensor of four dimensions; those that it lacks have extent 1.
struct TensorShape {
  std::size_t d0 = 0;
  std::size_t d1 = 0;
  std::size_t d2 = 1;
  std::size_t d3 = 1;

  MLSIM_HOST_DEVICE std::size_t plane() const { return d2 * d3; }
  MLSIM_HOST_DEVICE std::size_t size() const { return d0 * d1 * d2 * d3; }
};

// Where the elements of a tensor lie.
enum class ElementOrder : std::uint8_t {
  kContiguous,    // D0, D1, D2, D3
  kChannelsLast,  // D0, D2, D3, D1
};

// The tiles of a tensor, numbered in the order of its elements in memory, so that neighbours have neighbouring scales.
struct Tiles {
  std::size_t block0 = 1;   // indices of dimension 0 in a tile
  std::size_t block1 = 1;   // of dimension 1
  std::size_t width = 1;    // D3
  bool rows_apart = false;  // each row of a plane is in a tile of its own
  bool columns_apart = false;
  std::size_t grid0 = 1;      // tiles along dimension 0
  std::size_t grid1 = 1;      // along dimension 1
  std::size_t positions = 1;  // within a plane
  std::size_t stride0 = 0;    // between the numbers of tiles that are neighbours along each
  std::size_t stride1 = 0;
  std::size_t stride_position = 0;
  bool cut = false;  // a part that has one tile along dimension 0, of a tensor that may have more

  MLSIM_HOST_DEVICE bool planes_apart() const { return rows_apart || columns_apart; }
  MLSIM_HOST_DEVICE std::size_t count() const { return grid0 * grid1 * positions; }
  // Whether a tile has a maximum of its own beside the tensor's.
  MLSIM_HOST_DEVICE bool kept_apart() const { return cut || count() > 1; }
  // Of an index pair of dimensions 0 and 1: the first in its plane.
  MLSIM_HOST_DEVICE std::size_t of_pair(std::size_t i0, std::size_t i1) const {
    return tile_along(i0, block0, grid0) * stride0 + tile_along(i1, block1, grid1) * stride1;
  }
  // What a position of the plane adds to it.
  MLSIM_HOST_DEVICE std::size_t of_position(std::size_t position) const {
    if (rows_apart && columns_apart) return position * stride_position;
    const std::size_t row = divided(position, width);
    return (rows_apart ? row : columns_apart ? position - row * width : 0) * stride_position;
  }

 private:
  MLSIM_HOST_DEVICE static std::size_t tile_along(std::size_t index, std::size_t block, std::size_t grid) {
    return block == 1 ? index : grid == 1 ? 0 : divided(index, block);
  }
};

inline Tiles tiles_of(const models::ScaleLayout& layout, const TensorShape& shape, ElementOrder order) {
  const auto block = [&](std::size_t d, std::size_t extent) {
    const auto size = static_cast<std::size_t>(layout.tile[d]);
    return layout.constant_over(d) || size > extent ? (extent == 0 ? 1 : extent) : size;
  };
  Tiles tiles{.block0 = block(0, shape.d0), .block1 = block(1, shape.d1), .width = shape.d3};
  tiles.rows_apart = !layout.constant_over(2) && shape.d2 > 1;
  tiles.columns_apart = !layout.constant_over(3) && shape.d3 > 1;
  tiles.grid0 = (shape.d0 + tiles.block0 - 1) / tiles.block0;
  tiles.grid1 = (shape.d1 + tiles.block1 - 1) / tiles.block1;
  tiles.positions = (tiles.rows_apart ? shape.d2 : 1) * (tiles.columns_apart ? shape.d3 : 1);
  tiles.stride0 = tiles.grid1 * tiles.positions;
  const bool channels_last = order == ElementOrder::kChannelsLast;
  tiles.stride1 = channels_last ? 1 : tiles.positions;
  tiles.stride_position = channels_last ? tiles.grid1 : 1;
  return tiles;
}

// What the elements of a tensor have in common.
struct QuantizerConstants {
  models::ScaleRule rule;
  int fraction_bits;      // Mg
  int smallest_exponent;  // hmax
  int mantissa_bits;      // Mx
  int unit_exponent;      // U
  int largest_exponent;   // emax of MX
  float largest_element;  // what the ratio of MLS is divided by, 1 for `sat`; of MX the largest element
  float inverse_largest;  // 1 over that, for `rceil`
  float unit;             // 2^U
  float inverse_unit;
  float first_normal;       // 2^Mx
  float largest;            // kmax
  std::uint32_t even_half;  // half of the last place that `even` rounds to
  int random_bits;          // R
  std::uint64_t seed;
  std::uint64_t stream;
  std::uint64_t first_element;  // of the larger tensor that this one is a part of
};

inline QuantizerConstants constants_of(const models::ScaledFormat& format, const models::QuantizerOptions& options) {
  const models::ElementFormat& element = format.element;
  const int unit = element.unit_exponent();
  const auto largest = static_cast<float>(element.max_integer());
  const float largest_element = largest * power_of_two(-unit);
  const bool divided = format.scale.kind == models::ScaleKind::kE8m0 || format.rule == models::ScaleRule::kFit;
  return {
      .rule = format.rule,
      .fraction_bits = format.scale.fraction_bits,
      .smallest_exponent = format.scale.max_exponent(),
      .mantissa_bits = element.mantissa_bits,
      .unit_exponent = unit,
      .largest_exponent = element.integer_bits() - 1 - unit,
      .largest_element = divided ? largest_element : 1,
      .inverse_largest = 1 / largest_element,
      .unit = power_of_two(unit),
      .inverse_unit = power_of_two(-unit),
      .first_normal = power_of_two(element.mantissa_bits),
      .largest = largest,
      .even_half = std::uint32_t{1} << (22 - (element.exponent_bits == 0 ? 6 : element.mantissa_bits)),
      .random_bits = options.random_bits,
      .seed = options.seed,
      .stream = options.stream,
      .first_element = models::first_element(options),
  };
}

// What the largest magnitude of a tensor, a finite number given as bits, makes of it.
struct TensorScale {
  float scale;        // S_t
  float tile_factor;  // NVFP4: S_enc / 6
};

// How elements of a tile come to the unit in which they are rounded, and what one such unit is worth.
struct TileFactors {
  float factor;  // MLS: S_g, to divide by; MX: 2^(U - s) and NVFP4: c, to multiply with
  float unit;    // S_g · 2^-U
  float lift;    // MX: what `factor` lacks where it would leave binary32
};

constexpr float kLargestFloat = 0x1.FFFFFEp127F;

// A power of two below or at a positive number, and whether it is that number.
struct Binade {
  int exponent;
  bool power_of_two;
};

MLSIM_HOST_DEVICE Binade binade_of(float x) {
  const bool subnormal = bits_of(x) < 0x00800000U;
  const std::uint32_t bits = subnormal ? bits_of(x * 0x1p24F) : bits_of(x);
  return {static_cast<int>(bits >> 23) - (subnormal ? 151 : 127), (bits & 0x7FFFFFU) == 0};
}

// Where the tensor is all zeros the tiles need no scale.
template <models::ScaleKind kKind>
MLSIM_HOST_DEVICE TensorScale tensor_scale_of(const QuantizerConstants& c, std::uint32_t maximum_bits) {
  if (maximum_bits >= kInfinityBits) return {float_of(kNanBits), 0};
  const float maximum = float_of(maximum_bits);
  if constexpr (kKind == models::ScaleKind::kMls) {
    return {c.largest_element == 1 ? maximum : fminf(maximum / c.largest_element, kLargestFloat), 0};
  } else if constexpr (kKind == models::ScaleKind::kE8m0) {
    return {1, 0};
  } else {
    if (maximum == 0) return {1, 0};
    const float encode_scale = fminf(2688.0F / maximum, kLargestFloat);
    return {1 / encode_scale, encode_scale * (1.0F / 6.0F)};
  }
}

// Step 3 of part 1 of the contract: the smallest scale that is not below the ratio.
MLSIM_HOST_DEVICE float mls_scale(const QuantizerConstants& c, float maximum, float tensor_scale) {
  float ratio = maximum / tensor_scale;
  if (c.largest_element != 1) ratio = fminf(ratio / c.largest_element, 1.0F);
  const int mg = c.fraction_bits;
  // Rounding the fraction up carries into the exponent.
  const std::uint32_t rounded_up = (bits_of(ratio) + ((1U << (23 - mg)) - 1)) >> (23 - mg);
  const int exponent = 127 - static_cast<int>(rounded_up >> mg);
  if (exponent > c.smallest_exponent) return float_of(static_cast<std::uint32_t>(127 - c.smallest_exponent) << 23);
  return float_of(static_cast<std::uint32_t>(127 - exponent) << 23 | (rounded_up & ((1U << mg) - 1)) << (23 - mg));
}

// s of MX.
MLSIM_HOST_DEVICE int mx_exponent(const QuantizerConstants& c, float maximum) {
  if (maximum == 0) return -127;
  int exponent = 0;
  if (c.rule == models::ScaleRule::kRceil) {
    const float ratio = maximum * c.inverse_largest;
    if (ratio == 0) return -127;
    const Binade binade = binade_of(ratio);
    exponent = binade.exponent + (binade.power_of_two ? 0 : 1);
  } else {
    // Of `even` the pattern may be that of an infinity or beyond: it counts as 2^128.
    const Binade binade =
        binade_of(c.rule == models::ScaleRule::kEven ? float_of(bits_of(maximum) + c.even_half) : maximum);
    exponent = binade.exponent - c.largest_exponent;
    if (c.rule == models::ScaleRule::kCeil && !binade.power_of_two) ++exponent;
  }
  return exponent < -127 ? -127 : exponent > 127 ? 127 : exponent;
}

// The E4M3 number nearest to 0 <= x <= 448, ties to even: the adder rounds to a multiple of the binade's last place.
MLSIM_HOST_DEVICE float nearest_e4m3(float x) {
  const std::uint32_t binade = bits_of(fmaxf(x, 0x1p-6F)) & kInfinityBits;
  const float magic = float_of(binade + (20U << 23));
  return (x + magic) - magic;
}

// From the largest magnitude of a tile.
template <models::ScaleKind kKind>
MLSIM_HOST_DEVICE TileFactors tile_factors(const QuantizerConstants& c, std::uint32_t maximum_bits,
                                           const TensorScale& tensor) {
  const float maximum = float_of(maximum_bits);
  if constexpr (kKind == models::ScaleKind::kMls) {
    const float scale = mls_scale(c, maximum, tensor.scale);
    return {scale, scale * c.inverse_unit, 1};
  } else if constexpr (kKind == models::ScaleKind::kE8m0) {
    const int s = mx_exponent(c, maximum);
    const int shift = c.unit_exponent - s;
    const bool lifted = shift > 127;
    return {power_of_two(lifted ? shift - 64 : shift), power_of_two(-shift), lifted ? 0x1p64F : 1.0F};
  } else {
    const float scale = nearest_e4m3(fminf(maximum * tensor.tile_factor, 448.0F));
    const float product = scale * tensor.scale;
    return {fminf(1 / product, kLargestFloat), scale * c.inverse_unit, 1};
  }
}

// 1 where a part 0 <= part < 1 is rounded up by the word's top R bits.
MLSIM_HOST_DEVICE float stochastic_unit(float part, int random_bits, std::uint32_t word) {
  const std::uint32_t rho = word >> (32 - random_bits);
  const float threshold = static_cast<float>((std::int32_t{1} << random_bits) - static_cast<std::int32_t>(rho)) *
                          float_of(static_cast<std::uint32_t>(127 - random_bits) << 23);
  return part >= threshold ? 1.0F : 0.0F;
}

// S_g · x of an element of a tensor that is not all zeros.
template <models::ScaleKind kKind, bool kStochastic>
MLSIM_HOST_DEVICE float rounded_value(const QuantizerConstants& c, float x, const TensorScale& tensor,
                                      const TileFactors& tile, std::uint32_t word) {
  const float magnitude = fabsf(x);
  float w = 0;
  if constexpr (kKind == models::ScaleKind::kMls) {
    w = magnitude / tensor.scale / tile.factor * c.unit;
  } else if constexpr (kKind == models::ScaleKind::kE8m0) {
    w = magnitude * tile.lift * tile.factor;
  } else {
    w = fminf(magnitude * tile.factor, 6.0F) * c.unit;
  }
  const std::uint32_t binade = bits_of(fmaxf(w, c.first_normal)) & kInfinityBits;
  float rounded = 0;
  if constexpr (kStochastic) {
    const float step = float_of(binade - (static_cast<std::uint32_t>(c.mantissa_bits) << 23));
    const float inverse_step = float_of((static_cast<std::uint32_t>(254 + c.mantissa_bits) << 23) - binade);
    const float n = w * inverse_step;
    const float floor = floorf(n);
    rounded = (floor + stochastic_unit(n - floor, c.random_bits, word)) * step;
  } else {
    // 2^(23 + d) + w is rounded by the adder to a multiple of 2^d, ties to even.
    const float magic = float_of(binade + (static_cast<std::uint32_t>(23 - c.mantissa_bits) << 23));
    rounded = (w + magic) - magic;
  }
  const float value = fminf(rounded, c.largest) * tile.unit;
  return value == 0 ? 0 : copysignf(value, x);
}

}  // namespace mlsim::trainer::cuda
