// Which elements of a tensor share a scale.
// Tested in tests/models/scaled_tensor_test.cpp.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "base/integers.h"
#include "models/formats/tensor.h"

namespace mlsim::models {

// Those of a tile share one: a block of `tile[d]` indices of each dimension d, or all of them where that is kWhole.
// The last tile of a dimension may be short. Tensors of fewer than four dimensions are filled up with extents of 1.
// Blocks of dimensions 2 and 3 are 1 or whole.
struct ScaleLayout {
  static constexpr std::int64_t kWhole = 0;

  std::array<std::int64_t, 4> tile{1, 1, kWhole, kWhole};

  // Whether no two indices of a dimension have different scales.
  constexpr bool constant_over(std::size_t dimension) const { return tile[dimension] == kWhole; }
  // Whether every index pair of dimensions 0 and 1 has one scale.
  constexpr bool constant_over_planes() const { return constant_over(2) && constant_over(3); }
  // Whether every such pair has a scale of its own.
  constexpr bool one_a_plane() const { return constant_over_planes() && tile[0] == 1 && tile[1] == 1; }
  // Tiles along a dimension of this extent.
  constexpr std::int64_t tiles(std::size_t dimension, std::int64_t extent) const {
    return constant_over(dimension) ? 1 : base::ceiling(extent, tile[dimension]);
  }
  // The tile along a dimension that an index lies in.
  constexpr std::int64_t tile_of(std::size_t dimension, std::int64_t index) const {
    if (constant_over(dimension)) return 0;
    return tile[dimension] == 1 ? index : index / tile[dimension];
  }

  // Tiles along each dimension.
  std::array<std::int64_t, 4> grid(const Shape& shape) const {
    std::array<std::int64_t, 4> extents{};
    for (std::size_t d = 0; d < 4; ++d) extents[d] = tiles(d, d < shape.size() ? shape[d] : 1);
    return extents;
  }
  // Scales of a tensor.
  std::int64_t count(const Shape& shape) const {
    const auto extents = grid(shape);
    return extents[0] * extents[1] * extents[2] * extents[3];
  }

  bool operator==(const ScaleLayout&) const = default;
};

// The tiles of a tensor in C order.
class TileGrid {
 public:
  TileGrid() = default;
  TileGrid(const ScaleLayout& layout, const Shape& shape) : layout_(layout), extents_(layout.grid(shape)) {
    std::copy(shape.begin(), shape.end(), shape_.begin());
  }

  const ScaleLayout& layout() const { return layout_; }
  const std::array<std::int64_t, 4>& extents() const { return extents_; }
  std::int64_t count() const { return extents_[0] * extents_[1] * extents_[2] * extents_[3]; }

  // The tile of an element.
  std::int64_t index(std::int64_t i0, std::int64_t i1, std::int64_t i2 = 0, std::int64_t i3 = 0) const {
    return ((layout_.tile_of(0, i0) * extents_[1] + layout_.tile_of(1, i1)) * extents_[2] + layout_.tile_of(2, i2)) *
               extents_[3] +
           layout_.tile_of(3, i3);
  }

  // Cuts `count` elements from `first` on, in C order, into runs: use(offset, length, tile, step), element offset + i,
  // counted from `first`, lying in tile + i · step, with a step of 0 or 1.
  template <typename Use>
  void for_each_run(std::int64_t first, std::int64_t count, const Use& use) const {
    const std::int64_t plane = shape_[2] * shape_[3];
    // The dimensions within which runs lie: a plane where its positions are alike or all apart, else a row of it; where
    // planes are single elements, blocks of dimension 1.
    const bool along_channels = plane == 1;
    const bool along_plane = layout_.constant_over(2) == layout_.constant_over(3) || shape_[3] == 1 || shape_[2] == 1;
    const std::int64_t block = along_channels ? channel_run() : along_plane ? plane : shape_[3];
    const bool apart = along_channels ? layout_.tile[1] == 1 : along_plane ? positions_apart() : layout_.tile[3] == 1;
    for (std::int64_t offset = 0; offset < count;) {
      const std::int64_t flat = first + offset;
      const std::int64_t pair = flat / plane;
      const std::int64_t position = flat % plane;
      const std::int64_t done = along_channels ? pair % shape_[1] % block : flat % block;
      const std::int64_t rest = along_channels ? std::min(block - done, shape_[1] - pair % shape_[1]) : block - done;
      const std::int64_t length = std::min(rest, count - offset);
      use(offset, length, index(pair / shape_[1], pair % shape_[1], position / shape_[3], position % shape_[3]),
          apart ? 1 : 0);
      offset += length;
    }
  }

 private:
  // Whether neighbours of a plane, which is a line where it has one of both extents, are apart.
  bool positions_apart() const {
    return (shape_[2] > 1 && layout_.tile[2] == 1) || (shape_[3] > 1 && layout_.tile[3] == 1);
  }
  std::int64_t channel_run() const {
    return layout_.constant_over(1) || layout_.tile[1] == 1 ? shape_[1] : layout_.tile[1];
  }

  ScaleLayout layout_;
  std::array<std::int64_t, 4> shape_{1, 1, 1, 1};
  std::array<std::int64_t, 4> extents_{1, 1, 1, 1};
};

// The groupings that have names: a scale for each index pair of dimensions 0 and 1, for each index of one of them, or
// for the tensor.
namespace grouping {
inline constexpr ScaleLayout kNc{{1, 1, ScaleLayout::kWhole, ScaleLayout::kWhole}};
inline constexpr ScaleLayout kN{{1, ScaleLayout::kWhole, ScaleLayout::kWhole, ScaleLayout::kWhole}};
inline constexpr ScaleLayout kC{{ScaleLayout::kWhole, 1, ScaleLayout::kWhole, ScaleLayout::kWhole}};
inline constexpr ScaleLayout kNone{
    {ScaleLayout::kWhole, ScaleLayout::kWhole, ScaleLayout::kWhole, ScaleLayout::kWhole}};
inline constexpr std::array<ScaleLayout, 4> kAll{kNc, kN, kC, kNone};
}  // namespace grouping

}  // namespace mlsim::models
