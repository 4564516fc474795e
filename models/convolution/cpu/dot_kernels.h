// The vector loops of the functional engine that multiply bytes: four products of 8-bit integers are added to a 32-bit
// sum in one instruction where the processor has one (AVX-512 VNNI).
// Tested in tests/models/functional_convolution_test.cpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "models/formats/format.h"

namespace mlsim::models {

// Whether it has. The loops below are right everywhere, but slow elsewhere.
bool has_dot_products();

// 32-bit lanes of a vector.
std::size_t dot_lanes();

// One operand of a dot product is signed, the other one is k + kDotOffset.
inline constexpr int kDotOffset = 128;

// k + offset of every code word of a format whose integers have at most 7 bits.
class ByteDecoder {
 public:
  ByteDecoder(const ElementFormat& format, int offset);
  // Rows of codes follow each other, those of bytes are `pitch` apart.
  void decode(const std::uint16_t* codes, std::int64_t rows, std::int64_t columns, std::uint8_t* bytes,
              std::int64_t pitch) const;
  // The byte of every code word.
  const std::array<std::uint8_t, 256>& table() const { return table_; }
  int code_bits() const { return code_bits_; }

 private:
  int code_bits_;
  std::array<std::uint8_t, 256> table_{};
};

// quads[row · columns + i] holds the bytes sources[0][row · pitch + i], sources[1][row · pitch + i], … from the lowest
// place up. Sources are read, and quads written, up to a vector beyond the last of them.
void interleave_bytes(const std::array<const std::uint8_t*, 4>& sources, std::int64_t pitch, std::int64_t rows,
                      std::int64_t columns, std::uint32_t* quads);
// Bytes that a source needs behind its last row.
inline constexpr std::int64_t kDotSlack = 64;

// Where a result takes a single tap of each source channel no sums of products are needed: sources and weights are then
// binary32 numbers in place of quads, scales included. values[row · columns + i] = unit · k of source[row · pitch + i],
// written up to a vector beyond the last of them.
void scale_bytes(const std::uint8_t* source, float unit, std::int64_t pitch, std::int64_t rows, std::int64_t columns,
                 std::uint32_t* values);

// Result channels that a tile computes at once, and vectors of neighbouring results.
inline constexpr int kDotChannels = 4;
inline constexpr int kDotVectors = 3;

// Four taps of a kernel, by their places in it; -1 stands for none.
using Quad = std::array<std::int32_t, 4>;

// The kernels of a tile's channels for every outer index.
struct DotPacking {
  std::array<const std::uint8_t*, kDotChannels> kernels{};  // k of the first outer index's; kPackSlack bytes more
  std::array<const float*, kDotChannels> units{};           // of the first outer index
  std::int64_t kernel_step = 0;                             // between outer indices
  std::int64_t unit_step = 0;
  std::int64_t outer = 1;
  const Quad* taps = nullptr;
  std::int64_t quads = 1;
  int channels = 1;     // 1 or kDotChannels
  bool single = false;  // taps[0][0] alone
};
inline constexpr std::int64_t kPackSlack = 16;

// What DotTile has of them; of a single tap the weights alone.
struct PackedWeights {
  std::int32_t* weights = nullptr;
  std::int32_t* corrections = nullptr;
  float* units = nullptr;
};
void pack_weights(const DotPacking& packing, const PackedWeights& packed);

// The kernels of neighbouring result channels whose results are of kDotChannels phases, which stand for a tile's
// channels: the first one of a single tap, the others of taps of the one quad that all share.
struct PhasePacking {
  const std::uint8_t* kernel = nullptr;  // k of the first outer index and channel; kPackSlack bytes more
  const float* unit = nullptr;           // likewise
  std::int64_t kernel_size = 1;
  std::int64_t step = 1;  // kernels and units from one outer index to the next
  std::int64_t outer = 1;
  std::int64_t channels = 1;
  std::array<Quad, kDotChannels> taps{};  // places below kPackSlack; the single one is the first of its quad
};
// Of each channel what DotTile has; units are [outer], and in the weights of the first phase, which are binary32
// numbers.
void pack_phases(const PhasePacking& packing, const PackedWeights& packed);

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
  bool single = false;                        // the weights alone, as binary32 numbers like the source
  // Channels are phases of one, as packed; offsets are those of the quads and of the single taps' binary32 numbers.
  bool phases = false;
  int channels = 1;            // 1 or kDotChannels
  int used_channels = 1;       // whose results are written
  std::int64_t positions = 1;  // 1 to kDotVectors vectors
  float tensor_scale = 1;
};

// Writes the sums over the outer index, in binary32 and in order, times the tensor scale to y[channel · pitch + p]. The
// caller has proven that every product of a sum and its units is a binary32 number.
void correlate_dots(const DotTile& tile, float* y, std::int64_t pitch);

// Weight columns (pairs of input channel and kernel position) and vectors of output channels that a tile sums at once.
inline constexpr int kDotWeightColumns = 12;
inline constexpr int kDotWeightVectors = 2;

// Sums over the output positions of one image, four neighbours of a row at a time, for a run of weight columns and
// lanes of output channels.
struct DotWeightTile {
  const std::int32_t* errors = nullptr;      // [row][quad][error_pitch] of four k each, the tile's first lane
  std::int64_t error_pitch = 0;              // lanes
  const std::uint8_t* activation = nullptr;  // k + kDotOffset
  std::int64_t row_step = 0;                 // activation bytes between output rows
  std::int64_t rows = 1;
  std::int64_t quads = 1;                 // of a row
  const std::int64_t* offsets = nullptr;  // where each weight column starts in the activation
  int columns = 1;
  int vectors = 1;                            // 1 to kDotWeightVectors
  const std::int32_t* corrections = nullptr;  // [lane]: -kDotOffset times the sum of the errors
  const float* error_units = nullptr;         // [lane]: what a product's 1 stands for is the product of these two
  const float* column_units = nullptr;        // [column]
  bool first = false;                         // y is written, not added to
  bool exact = false;                         // every product of a sum and its units is a binary32 number
};

// Adds the sums, each rounded to binary32 first, to y[column][vectors · lanes].
void add_weight_dots(const DotWeightTile& tile, float* y);

// sums[i] = the sum over `count` bytes of errors[p] · k of activation[offsets[i] + p], for each of `columns` offsets.
// Errors are 0, and activations readable, up to a multiple of kDotBytes.
inline constexpr std::int64_t kDotBytes = 64;
void dot_planes(const std::uint8_t* errors, const std::uint8_t* activation, std::int64_t count,
                const std::int64_t* offsets, std::int64_t columns, std::int32_t* sums);

// sums[lane] = the sum of factor · k over `quads` quads of errors.
void sum_errors(const std::int32_t* errors, std::int64_t quads, std::int64_t lanes, int factor, std::int32_t* sums);

}  // namespace mlsim::models
