// The vector loops of the functional engine that multiply bytes: four products of 8-bit integers are added to a 32-bit
// sum in one instruction where the processor has one (AVX-512 VNNI).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "models/format.h"

namespace mlsim::models {

// Whether it has. The loops below are right everywhere, but slow elsewhere.
bool has_dot_products();

// 32-bit lanes of a vector.
std::size_t dot_lanes();

// One operand of a dot product is signed, the other one is k + kDotOffset.
inline constexpr int kDotOffset = 128;

// Writes k + offset of every code; the format's integers have at most 7 bits.
void decode_bytes(const ElementFormat& format, const std::uint16_t* codes, std::size_t count, int offset,
                  std::uint8_t* bytes);

// quads[i] holds the bytes rows[0][i], rows[1][i], ... from the lowest place up. Up to kDotSlack elements beyond
// `count` are read and written.
void interleave_rows(const std::array<const std::uint8_t*, 4>& rows, std::size_t count, std::uint32_t* quads);
inline constexpr std::int64_t kDotSlack = 64;

// Result channels that a tile computes at once, and vectors of neighbouring results.
inline constexpr int kDotChannels = 4;
inline constexpr int kDotVectors = 3;

// A run of neighbouring results of one image, for one or kDotChannels result channels. Each quad is four taps: the
// result at position p takes the bytes of source[outer · plane + offsets[quad] + p], which are k + kDotOffset, times
// those of weights[(outer · quads + quad) · channels + channel]. The source is read up to a whole vector.
struct DotTile {
  const std::uint32_t* source = nullptr;
  std::int64_t plane = 0;
  std::int64_t outer = 1;
  const std::int64_t* offsets = nullptr;
  std::int64_t quads = 1;
  const std::int32_t* weights = nullptr;
  const std::int32_t* corrections = nullptr;  // [outer][channel]: -kDotOffset times the sum of the weights
  const float* source_units = nullptr;        // [outer]: what a product's 1 stands for is the product of these two
  const float* weight_units = nullptr;        // [outer][channel]
  int channels = 1;                           // 1 or kDotChannels
  int used_channels = 1;                      // whose results are written
  std::int64_t positions = 1;                 // 1 to kDotVectors vectors
  float tensor_scale = 1;
};

// Writes the sums over the outer index, in binary32 and in order, times the tensor scale to y[channel · pitch + p]. The
// caller has proven that every product of a sum and its units is a binary32 number.
void correlate_dots(const DotTile& tile, float* y, std::int64_t pitch);

}  // namespace mlsim::models
