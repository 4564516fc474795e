// The vector loops of the functional engine for matrix products in binary32: sums of one fused multiply-add an index,
// in ascending order.
// Tested in tests/models/functional_convolution_test.cpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "models/formats/scaled_tensor.h"

namespace mlsim::models {

// Binary32 lanes of a vector, and vectors of the widest tile.
std::size_t product_lanes();
int product_vectors();

// Results of some rows and neighbouring columns. The one of a row and a column is the sum over the depth, from 0 up, of
// rows[row · row_step + d · depth_step] times columns[d · column_pitch + column], times `factor`.
struct ProductTile {
  const float* columns = nullptr;  // readable up to whole vectors
  std::int64_t column_pitch = 0;
  const float* rows = nullptr;
  std::int64_t row_step = 0;
  std::int64_t depth_step = 0;
  std::int64_t depth = 1;
  std::int64_t row_count = 1;
  std::int64_t column_count = 1;  // at most product_vectors() vectors
  float factor = 1;
};

// Writes the results to y[row · pitch + column]. The caller has proven that every product is a binary32 number.
void multiply(const ProductTile& tile, float* y, std::int64_t pitch);

// The integers of a format's codes.
class CodeNumbers {
 public:
  explicit CodeNumbers(const ElementFormat& the_format);

  ElementFormat format;
  bool bytes = false;                       // they fit 8 bits, as codes do
  std::array<std::int8_t, 256> integers{};  // of each code, where they do
};

// Codes with a scale each, to k · g · 2^(s - unit_exponent); whole vectors are written.
struct ScaledCodes {
  const std::uint16_t* codes = nullptr;
  const TileScale* scales = nullptr;
  int unit_exponent = 0;
  std::int64_t count = 0;
  float* values = nullptr;
};

void scale_codes(const CodeNumbers& numbers, const ScaledCodes& codes);

// Codes that follow each other in a plane, for each of a number of planes.
struct CodeRun {
  const std::uint16_t* codes = nullptr;  // of the first plane
  const float* units = nullptr;          // one a plane
  std::int64_t count = 0;
};

// Planes of codes to the columns of tiles: values[d · pitch + …] gets the runs of plane d, one behind the other.
struct CodePanel {
  std::span<const CodeRun> runs;
  std::int64_t plane = 0;  // codes between planes
  std::int64_t depth = 1;
  float* values = nullptr;  // written up to a vector beyond the last one
  std::int64_t pitch = 0;   // at least the runs' counts
};

void fill_panel(const CodeNumbers& numbers, const CodePanel& panel);

}  // namespace mlsim::models
