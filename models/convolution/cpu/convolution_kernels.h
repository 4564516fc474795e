// The vector loops of the functional engine, chosen at run time for the processor's widest instruction set. All of them
// are exact: their callers have proven that no sum leaves the integers (times a power of two) that T holds.
// Tested in tests/models/functional_convolution_test.cpp.
#pragma once

#include <cstddef>
#include <cstdint>

#include "models/formats/format.h"

namespace mlsim::models {

// Writes scale · k of every code.
void decode_scaled(const ElementFormat& format, const std::uint16_t* codes, std::size_t count, double scale,
                   float* values);
void decode_scaled(const ElementFormat& format, const std::uint16_t* codes, std::size_t count, double scale,
                   double* values);

// Result channels that a tile computes at once.
inline constexpr int kChannelBlock = 4;

// A run of neighbouring results of one image, for one or kChannelBlock result channels. The result at position p takes
// source[outer · plane + offsets[tap] + p] times weights[(outer · taps + tap) · channels + channel].
template <typename T>
struct CorrelationTile {
  const T* source = nullptr;
  std::int64_t plane = 0;
  std::int64_t outer = 1;
  const std::int64_t* offsets = nullptr;
  std::int64_t taps = 1;
  const T* weights = nullptr;
  int channels = 1;     // 1 or kChannelBlock
  int vectors = 1;      // 1 to tile_vectors()
  bool merged = false;  // one sum over the outer index, not one of each added up in binary32
};

// Lanes of a vector, and vectors of the largest tile.
template <typename T>
std::size_t vector_lanes();
template <>
std::size_t vector_lanes<float>();
template <>
std::size_t vector_lanes<double>();
int tile_vectors();

// Operands include their group scales. Writes channels × vectors · lanes sums to y.
void correlate(const CorrelationTile<float>& tile, float* y);
void correlate(const CorrelationTile<double>& tile, float* y);

// A register narrower than its sums.
struct NarrowRegister {
  int bits = 2;
  bool wraps = false;
};

// With integer operands and narrow registers; factors[channel · outer count + outer] is the scale of a group (of the
// last outer index where merged). Returns how many additions have overflowed at the positions where `counted` is 1
// (else 0). T holds 2^bits plus a product, and how many additions a result takes.
std::uint64_t correlate_narrow(const CorrelationTile<float>& tile, const NarrowRegister& narrow, const double* factors,
                               const float* counted, float* y);
std::uint64_t correlate_narrow(const CorrelationTile<double>& tile, const NarrowRegister& narrow, const double* factors,
                               const double* counted, float* y);

// Sums over the output positions of one image, for a block of weight columns (pairs of input channel and kernel
// position) and lanes of output channels: sum[column][lane] += error[y][x][lane] · activation[...]. The operands are
// integers, the sums exact in binary64.
template <typename T>
struct WeightTile {
  const T* error = nullptr;      // [rows][columns][error_pitch], the tile's first lane
  std::int64_t error_pitch = 0;  // lanes of a position
  const T* activation = nullptr;
  std::int64_t row_step = 0;     // activation elements between output rows
  std::int64_t column_step = 0;  // and between output columns
  std::int64_t rows = 1;
  std::int64_t columns = 1;
  const std::int64_t* offsets = nullptr;  // where each weight column starts in the activation
  int weight_columns = 1;                 // 1 to weight_tile_columns()
  int vectors = 1;                        // 1 to kWeightVectors
  bool expanded = false;                  // the activation has values of its own for every lane
  std::int64_t rows_at_once = 1;          // rows whose sum T holds
};

int weight_tile_columns();
inline constexpr int kWeightVectors = 2;

// sums: [weight_columns][vectors · lanes], added to.
void sum_weight_tile(const WeightTile<float>& tile, double* sums);
void sum_weight_tile(const WeightTile<double>& tile, double* sums);
// The same in narrow registers, each addition by itself. Returns how many have overflowed. T holds 2^bits plus a
// product, and how many positions an image has.
std::uint64_t sum_weight_tile_narrow(const WeightTile<float>& tile, const NarrowRegister& narrow, double* sums);
std::uint64_t sum_weight_tile_narrow(const WeightTile<double>& tile, const NarrowRegister& narrow, double* sums);

// y[i] += sums[i] · (factors[i] · factor), rounded to binary32 before it is added; `count` is a multiple of
// vector_lanes<float>().
void add_rounded(const double* sums, const double* factors, double factor, std::size_t count, float* y);

}  // namespace mlsim::models
