// A tensor in block-scaled form: sign × S_t × S_g × x.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "models/formats/format.h"
#include "models/formats/tensor.h"

namespace mlsim::models {

// Code words are packed s | e | m from the top of code_bits() bits; those of int8 are in two's complement. These two
// are inverse to each other on the codes that quantization makes (the code of -0 decodes to 0 and is never encoded).
std::int64_t decode_element(const ElementFormat& format, std::uint16_t code);
std::uint16_t encode_element(const ElementFormat& format, std::int64_t k);

// k of every code word.
std::vector<std::int64_t> decode_table(const ElementFormat& format);

// The scale of a tile, significand · 2^exponent, whatever its kind.
struct TileScale {
  std::int16_t exponent = 0;     // s
  std::uint8_t significand = 1;  // g, 0 to largest_significand() of the format
  bool operator==(const TileScale&) const = default;
};

// A tile's scale as it is stored: h and f of MLS; the byte of E8M0 and E4M3, without a fraction of its own.
struct StoredScale {
  std::uint8_t exponent = 0;
  std::uint8_t fraction = 0;
  bool operator==(const StoredScale&) const = default;
};
StoredScale store_scale(const ScaleFormat& format, TileScale scale);
TileScale read_scale(const ScaleFormat& format, StoredScale stored);

// The scale of a tile without values.
TileScale smallest_scale(const ScaleFormat& format);

struct ScaledTensor {
  ScaledFormat format;
  Shape shape;             // 2 to 4 dimensions, D0, D1, ...
  float tensor_scale = 0;  // S_t
  // Of each tile of format.layout, in C order of the grid of tiles.
  std::vector<TileScale> scales;
  std::vector<std::uint16_t> codes;

  std::int64_t size() const { return static_cast<std::int64_t>(codes.size()); }
  // Elements for each index pair of dimensions 0 and 1.
  std::int64_t inner_size() const { return shape.size() < 3 ? 1 : element_count({shape.begin() + 2, shape.end()}); }
  TileGrid grid() const { return {format.layout, shape}; }
};

// The scale of an index pair of dimensions 0 and 1, by its number in C order. The layout is constant over planes.
inline TileScale scale_of_pair(const ScaledTensor& tensor, std::int64_t pair) {
  const ScaleLayout& layout = tensor.format.layout;
  if (layout.one_a_plane()) return tensor.scales[static_cast<std::size_t>(pair)];
  const std::int64_t d1 = tensor.shape[1];
  return tensor.scales[static_cast<std::size_t>(layout.tile_of(0, pair / d1) * layout.tiles(1, d1) +
                                                layout.tile_of(1, pair % d1))];
}

// The scales of a tensor as files hold them: of MLS with the tiles of the groupings that have names for each index pair
// of dimensions 0 and 1, else in the shape of the grid of tiles.
struct StoredScales {
  Shape shape;
  std::vector<std::uint8_t> exponents;
  std::vector<std::uint8_t> fractions;  // zeros but of MLS
};
StoredScales stored_scales(const ScaledTensor& tensor);

// Block sizes of the tiles of a tensor, a whole dimension as its extent.
std::array<std::int64_t, 4> tile_sizes(const ScaledTensor& tensor);

// The codes as machines take them: 0 for every element of a tile whose scale is zero, which E4M3 alone has. Whatever
// its own code says, it stands for zero.
std::vector<std::uint16_t> gated_codes(const ScaledTensor& tensor);
bool has_zero_scale(const ScaledTensor& tensor);

// Every element's integer k, in C order.
std::vector<std::int64_t> decode_integers(const ScaledTensor& tensor);

// Every element's value, exact in binary64.
Tensor<double> dequantize(const ScaledTensor& tensor);

// The same, some elements at a time.
class Dequantizer {
 public:
  explicit Dequantizer(const ScaledTensor& tensor);

  // The values of the elements from `first` on.
  void run(std::size_t first, std::span<double> values) const;

 private:
  const ScaledTensor* tensor_;
  TileGrid grid_;
  std::vector<double> scales_;   // of every tile: S_t · S_g · 2^-U
  std::vector<double> numbers_;  // k of every code
};

}  // namespace mlsim::models
