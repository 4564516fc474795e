#include "models/quantizer/reference_quantizer.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "base/philox.h"
#include "models/quantizer/finite.h"

namespace mlsim::models {
namespace {

constexpr float kLargestBinary32 = std::numeric_limits<float>::max();

// The numbers of an element format by their definitions, not by ElementFormat's closed forms.
struct Grid {
  int unit;           // U
  std::int64_t kmax;  // the largest k
  double xmax;        // kmax · 2^-U
  bool has_exponent;  // Ex > 0
};

Grid grid_of(const ElementFormat& format) {
  const int ex = format.exponent_bits;
  const int mx = format.mantissa_bits;
  Grid grid{0, 0, 0, ex > 0};
  if (format.kind == ElementKind::kMls) {
    grid.unit = ex == 0 ? mx : mx + (1 << ex) - 1;
    grid.xmax = 1 - std::ldexp(1.0, ex == 0 ? -mx : -(mx + 1));
  } else {
    // The published largest elements: 6, 7.5, 28, 448, 57344, and 127/64 of int8.
    const int bias = ex == 0 ? 0 : (1 << (ex - 1)) - 1;
    grid.unit = ex == 0 ? mx - 1 : mx + bias - 1;
    constexpr std::array<double, 6> kLargest{1.984375, 0, 0, 28, 448, 57344};
    grid.xmax = ex == 2 ? (mx == 1 ? 6 : 7.5) : kLargest[static_cast<std::size_t>(ex)];
  }
  grid.kmax = static_cast<std::int64_t>(std::ldexp(grid.xmax, grid.unit));
  return grid;
}

// The code s | e | m of an integer of the format's grid: the exponent is the first at which k is a mantissa, with its
// hidden bit where the exponent is not 0, shifted. Int8 is a byte in two's complement.
std::uint16_t code_word(const ElementFormat& format, std::int64_t k, bool negative) {
  if (format.kind == ElementKind::kOcp && format.exponent_bits == 0) {
    return static_cast<std::uint16_t>(negative && k != 0 ? 256 - k : k);
  }
  const std::int64_t hidden = 1 << format.mantissa_bits;
  std::int64_t e = 0;
  std::int64_t m = k;
  if (format.exponent_bits > 0 && k >= hidden) {
    for (e = 1; k >> (e - 1) >= 2 * hidden; ++e) continue;
    m = (k >> (e - 1)) - hidden;
  }
  const std::int64_t magnitude = e * hidden + m;
  const std::int64_t sign = negative && k != 0 ? 1 << (format.exponent_bits + format.mantissa_bits) : 0;
  return static_cast<std::uint16_t>(sign + magnitude);
}

int floor_log2(double number) {
  return std::ilogb(number);
}

// How the elements of a tile become w, the number in units of 2^-U that is rounded.
struct Tile {
  TileScale scale;
  float factor = 0;       // NVFP4: c
  float group_scale = 1;  // MLS: S_g
};

// Step 3: the smallest scale of the format that is not below the ratio, 0 <= ratio <= 1.
TileScale smallest_scale_above(const ScaleFormat& format, float ratio) {
  const int mg = format.fraction_bits;
  const int hmax = std::min((1 << format.exponent_bits) - 1, 126);
  int h = hmax;
  int f = 0;
  if (ratio != 0) {
    int exponent = 0;
    const double significand = 2 * std::frexp(static_cast<double>(ratio), &exponent);  // in [1, 2)
    h = 1 - exponent;
    f = static_cast<int>(std::ceil(std::ldexp(significand - 1, mg)));
    if (f == 1 << mg) {
      f = 0;
      --h;
    }
    if (h > hmax) {
      h = hmax;
      f = 0;
    }
  }
  return {static_cast<std::int16_t>(-h - mg), static_cast<std::uint8_t>((1 << mg) + f)};
}

Tile mls_tile(const ScaledFormat& format, const Grid& grid, float maximum, float tensor_scale) {
  float ratio = maximum / tensor_scale;
  if (format.rule == ScaleRule::kFit) ratio = std::min(ratio / static_cast<float>(grid.xmax), 1.0F);
  Tile tile{.scale = smallest_scale_above(format.scale, ratio)};
  tile.group_scale = std::ldexp(static_cast<float>(tile.scale.significand), tile.scale.exponent);
  return tile;
}

// E' - emax of the format's rule; -127 where there is nothing to take a logarithm of.
int mx_exponent(const ScaledFormat& format, const Grid& grid, float maximum) {
  const int emax = floor_log2(grid.xmax);
  if (maximum == 0) return -127;
  const int exponent = floor_log2(maximum);
  switch (format.rule) {
    case ScaleRule::kCeil:
      return exponent + (std::ldexp(1.0, exponent) == maximum ? 0 : 1) - emax;
    case ScaleRule::kEven: {
      const int mx = format.element.exponent_bits == 0 ? 6 : format.element.mantissa_bits;
      const std::uint32_t rounded = std::bit_cast<std::uint32_t>(maximum) + (1U << (22 - mx));
      // Beyond the finite numbers the exponent field still counts on.
      return (rounded >= 0x7F800000 ? 128 : floor_log2(std::bit_cast<float>(rounded))) - emax;
    }
    case ScaleRule::kRceil: {
      const float d = maximum * (1.0F / static_cast<float>(grid.xmax));
      if (d == 0) return -127;
      const int below = floor_log2(d);
      return below + (std::ldexp(1.0, below) == d ? 0 : 1);
    }
    default:
      return exponent - emax;
  }
}

Tile mx_tile(const ScaledFormat& format, const Grid& grid, float maximum) {
  const int s = std::clamp(mx_exponent(format, grid, maximum), -127, 127);
  return {.scale = {static_cast<std::int16_t>(s), 1}};
}

// The E4M3 number nearest to x, 0 <= x <= 448, ties to even, as g · 2^s.
TileScale nearest_e4m3(float x) {
  const int exponent = x < 0x1p-6F ? -6 : floor_log2(x);  // of the binade, subnormal numbers sharing the first's
  const double places = std::ldexp(static_cast<double>(x), 3 - exponent);
  double g = std::floor(places);
  const double rest = places - g;
  if (rest > 0.5 || (rest == 0.5 && std::fmod(g, 2.0) == 1)) g += 1;
  int s = exponent - 3;
  if (g == 16) {
    g = 8;
    ++s;
  }
  return {static_cast<std::int16_t>(s), static_cast<std::uint8_t>(g)};
}

Tile nvfp4_tile(float maximum, float encode_scale, float tensor_scale) {
  const float sixth = 1.0F / 6.0F;
  const float scale = encode_scale * sixth;
  Tile tile{.scale = nearest_e4m3(std::min(maximum * scale, 448.0F))};
  const float block_scale = std::ldexp(static_cast<float>(tile.scale.significand), tile.scale.exponent);
  const float product = block_scale * tensor_scale;
  tile.factor = std::min(1.0F / product, kLargestBinary32);
  return tile;
}

// What every element needs.
class Quantizer {
 public:
  Quantizer(const ScaledFormat& format, const QuantizerOptions& options)
      : format_(format), options_(options), grid_(grid_of(format.element)) {}

  void set_tensor_scale(float maximum) {
    switch (format_.scale.kind) {
      case ScaleKind::kMls:
        tensor_scale_ = maximum;
        if (format_.rule == ScaleRule::kFit)
          tensor_scale_ = std::min(maximum / static_cast<float>(grid_.xmax), kLargestBinary32);
        break;
      case ScaleKind::kE8m0:
        tensor_scale_ = 1;
        break;
      case ScaleKind::kE4m3:
        encode_scale_ = maximum == 0 ? 1 : std::min(2688.0F / maximum, kLargestBinary32);
        if (encode_scale_ == 0) encode_scale_ = 1;
        tensor_scale_ = 1.0F / encode_scale_;
        break;
    }
  }
  float tensor_scale() const { return tensor_scale_; }

  Tile tile_of(float maximum) const {
    switch (format_.scale.kind) {
      case ScaleKind::kE8m0:
        return mx_tile(format_, grid_, maximum);
      case ScaleKind::kE4m3:
        return nvfp4_tile(maximum, encode_scale_, tensor_scale_);
      case ScaleKind::kMls:
        break;
    }
    return mls_tile(format_, grid_, maximum, tensor_scale_);
  }

  // Element number i of the tensor.
  std::uint16_t round(float x, const Tile& tile, std::uint64_t i, QuantizationCounts& counts) const {
    const float magnitude = std::fabs(x);
    double w = 0;
    bool beyond = false;
    if (format_.scale.kind == ScaleKind::kMls) {
      const float ratio = magnitude / tensor_scale_;
      const float v = ratio / tile.group_scale;
      w = std::ldexp(static_cast<double>(v), grid_.unit);
    } else if (format_.scale.kind == ScaleKind::kE8m0) {
      w = std::ldexp(static_cast<double>(magnitude), grid_.unit - tile.scale.exponent);
    } else {
      const float scaled = magnitude * tile.factor;
      beyond = scaled > 6;
      w = std::ldexp(static_cast<double>(std::min(scaled, 6.0F)), grid_.unit);
    }
    const double rounded = round_places(w, i);
    const auto k = static_cast<std::int64_t>(std::min(rounded, static_cast<double>(grid_.kmax)));
    if (beyond || rounded > static_cast<double>(grid_.kmax)) ++counts.saturated;
    if ((k == 0 || tile.scale.significand == 0) && x != 0) ++counts.flushed_to_zero;
    // Exact in binary64: 24 + 4 + 11 significant bits.
    const double value =
        std::ldexp(static_cast<double>(tensor_scale_) * tile.scale.significand * static_cast<double>(k),
                   tile.scale.exponent - grid_.unit);
    if (value == static_cast<double>(magnitude)) ++counts.exact;
    return code_word(format_.element, k, std::signbit(x));
  }

 private:
  // Steps 5 and 6: w to a multiple of its binade's last place.
  double round_places(double w, std::uint64_t i) const {
    const int d = w == 0 || !grid_.has_exponent ? 0 : std::max(floor_log2(w) - format_.element.mantissa_bits, 0);
    const double n = std::ldexp(w, -d);
    double rounded = std::floor(n);
    if (options_.rounding == Rounding::kNearest) {
      const double fraction = n - rounded;
      if (fraction > 0.5 || (fraction == 0.5 && std::fmod(rounded, 2.0) == 1.0)) rounded += 1;
    } else {
      const std::uint32_t rho = base::random_word(options_.seed, options_.stream, i) >> (32 - options_.random_bits);
      if (n - rounded >= 1 - std::ldexp(static_cast<double>(rho), -options_.random_bits)) rounded += 1;
    }
    return std::ldexp(rounded, d);
  }

  const ScaledFormat& format_;
  const QuantizerOptions& options_;
  Grid grid_;
  float tensor_scale_ = 0;
  float encode_scale_ = 1;  // NVFP4
};

// The tile that each element lies in, and how many there are.
struct TileNumbers {
  std::vector<std::size_t> of_element;
  std::size_t count;
};

TileNumbers number_tiles(const ScaleLayout& layout, const Shape& shape) {
  std::array<std::size_t, 4> extent{1, 1, 1, 1};
  std::copy(shape.begin(), shape.end(), extent.begin());
  // How many blocks of its dimension come before an index; a whole dimension is one block.
  const auto block_of = [&](std::size_t d, std::size_t index) {
    return layout.tile[d] == ScaleLayout::kWhole ? 0 : index / static_cast<std::size_t>(layout.tile[d]);
  };
  std::array<std::size_t, 4> blocks{};
  for (std::size_t d = 0; d < 4; ++d) blocks[d] = extent[d] == 0 ? 0 : block_of(d, extent[d] - 1) + 1;
  TileNumbers tiles{{}, blocks[0] * blocks[1] * blocks[2] * blocks[3]};
  for (std::size_t i0 = 0; i0 < extent[0]; ++i0) {
    for (std::size_t i1 = 0; i1 < extent[1]; ++i1) {
      for (std::size_t i2 = 0; i2 < extent[2]; ++i2) {
        for (std::size_t i3 = 0; i3 < extent[3]; ++i3) {
          const std::size_t channels = block_of(0, i0) * blocks[1] + block_of(1, i1);
          tiles.of_element.push_back((channels * blocks[2] + block_of(2, i2)) * blocks[3] + block_of(3, i3));
        }
      }
    }
  }
  return tiles;
}

}  // namespace

QuantizedTensor reference_quantize(const Tensor<float>& input, const ScaledFormat& format,
                                   const QuantizerOptions& options, const std::string& name) {
  const Shape& shape = input.shape;
  if (shape.size() < 2 || shape.size() > 4) {
    throw std::runtime_error(name + ": has the shape " + to_string(shape) + ", expected 2 to 4 dimensions");
  }
  assert(element_count(shape) == input.size());
  check_finite(input, name);

  const TileNumbers tiles = number_tiles(format.layout, shape);
  float maximum = 0;
  std::vector<float> tile_maximum(tiles.count, 0);
  for (std::size_t i = 0; i < input.values.size(); ++i) {
    const float magnitude = std::fabs(input.values[i]);
    maximum = std::max(maximum, magnitude);
    tile_maximum[tiles.of_element[i]] = std::max(tile_maximum[tiles.of_element[i]], magnitude);
  }

  Quantizer quantizer(format, options);
  quantizer.set_tensor_scale(maximum);
  QuantizedTensor result;
  result.tensor = {format, shape, quantizer.tensor_scale(), std::vector<TileScale>(tiles.count), {}};
  result.tensor.codes.assign(input.values.size(), 0);
  if (maximum == 0) {
    // Every code is 0, and so are the stored scales: of MLS h = hmax and f = 0.
    const TileScale zero = format.scale.kind == ScaleKind::kMls    ? smallest_scale_above(format.scale, 0)
                           : format.scale.kind == ScaleKind::kE8m0 ? TileScale{-127, 1}
                                                                   : TileScale{-9, 0};
    std::fill(result.tensor.scales.begin(), result.tensor.scales.end(), zero);
    result.counts.exact = input.values.size();
    return result;
  }
  std::vector<Tile> scales;
  for (std::size_t tile = 0; tile < tiles.count; ++tile) {
    scales.push_back(quantizer.tile_of(tile_maximum[tile]));
    result.tensor.scales[tile] = scales.back().scale;
  }
  for (std::size_t i = 0; i < input.values.size(); ++i) {
    result.tensor.codes[i] = quantizer.round(input.values[i], scales[tiles.of_element[i]], i, result.counts);
  }
  return result;
}

}  // namespace mlsim::models
