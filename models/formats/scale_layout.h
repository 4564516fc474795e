// Which elements of a tensor share a scale.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "models/formats/tensor.h"

namespace mlsim::models {

// Those of a tile share one: a block of `tile[d]` indices of each dimension d, or all of them where that is kWhole.
// The last tile of a dimension may be short. Dimensions 2 and 3 are whole so far, so that a scale belongs to an index
// pair of dimensions 0 and 1.
struct ScaleLayout {
  static constexpr std::int64_t kWhole = 0;

  std::array<std::int64_t, 4> tile{1, 1, kWhole, kWhole};

  // Whether no two indices of a dimension have different scales.
  constexpr bool constant_over(std::size_t dimension) const { return tile[dimension] == kWhole; }
  // Tiles along a dimension of this extent.
  constexpr std::int64_t tiles(std::size_t dimension, std::int64_t extent) const {
    return constant_over(dimension) ? 1 : (extent + tile[dimension] - 1) / tile[dimension];
  }
  // The tile along a dimension that an index lies in.
  constexpr std::int64_t tile_of(std::size_t dimension, std::int64_t index) const {
    if (constant_over(dimension)) return 0;
    return tile[dimension] == 1 ? index : index / tile[dimension];
  }

  // Scales of a tensor whose first extents are d0 and d1.
  constexpr std::int64_t count(std::int64_t d0, std::int64_t d1) const { return tiles(0, d0) * tiles(1, d1); }
  std::int64_t count(const Shape& shape) const { return count(shape[0], shape[1]); }
  // The scale of an index pair, in C order of the tiles, in a tensor whose second extent is d1.
  constexpr std::int64_t index(std::int64_t i0, std::int64_t i1, std::int64_t d1) const {
    return tile_of(0, i0) * tiles(1, d1) + tile_of(1, i1);
  }

  bool operator==(const ScaleLayout&) const = default;
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
