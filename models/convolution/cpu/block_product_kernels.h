// The vector loops of matrix products in blocks: bytes of one matrix are spread over the lanes of a vector, those of
// the other one are lanes; groups of the reduction are summed in 32-bit integers and added up, in order, in binary32.
// Tested in tests/models/functional_convolution_test.cpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "models/convolution/cpu/block_kernels.h"
#include "models/convolution/cpu/dot_kernels.h"

namespace mlsim::models {

// Four bytes of the reduction make a word. Rows have signed bytes, lanes have k + kByteOffset.
inline constexpr std::int64_t kProductRows = 6;      // that are computed at once
inline constexpr std::int64_t kProductVectors = 2;   // of lanes
inline constexpr std::int64_t kProductLanes = 32;    // of both; a panel of lanes
inline constexpr std::int64_t kProductPanel = 48;    // rows of a panel
inline constexpr std::int64_t kProductPadding = 16;  // what the width of a panel is a multiple of

// How a group's integer sum is scaled.
enum class ProductUnits : std::uint8_t {
  kFactors,  // by the unit of the row times that of the lane
  kPowers,   // by 2 to the sum of both
  kRows,     // by that of the row alone
};

// A few rows times a panel of lanes.
struct BlockProduct {
  const std::uint32_t* rows = nullptr;        // [word][row_pitch]
  const std::int32_t* corrections = nullptr;  // [group][row_pitch]: -kByteOffset times the sum of the row's bytes
  const float* row_units = nullptr;           // [group][row_pitch]
  std::int64_t row_pitch = 0;
  const std::uint32_t* lanes = nullptr;  // [word][lane_pitch]
  const float* lane_units = nullptr;     // [group][lane_pitch]
  std::int64_t lane_pitch = 0;
  std::int64_t groups = 0;
  std::int64_t words = 0;       // of a group
  std::int64_t last_words = 0;  // of the last one
  std::int64_t row_count = 0;   // 1 to kProductRows
  std::int64_t lane_count = 0;  // 1 to kProductLanes
  GroupRounding rounding = GroupRounding::kExact;
  ProductUnits units = ProductUnits::kFactors;
  bool adds = false;     // to what is there, which else is overwritten
  bool streams = false;  // whole lines are written past the caches; end_streams() comes before others read them
  float factor = 1;      // of what is written
};

// Writes values[row · pitch + lane].
void multiply_blocks(const BlockProduct& product, float* values, std::int64_t pitch);
void end_streams();

// Words of four rows of codes, from one lane of a row of panels on.
struct WordRow {
  std::array<const std::uint16_t*, 4> codes{};  // null stands for zeros
  std::int64_t count = 0;                       // of lanes
  std::uint32_t* panels = nullptr;              // the word in the first panel
  std::int64_t lane = 0;                        // from which on they are written
  std::int64_t width = 0;                       // lanes of a panel, a multiple of kProductPadding
  std::int64_t step = 0;                        // words between panels
};
void pack_words(const WordRow& row, const ByteDecoder& decoder);

// compact[i] = codes[i · step].
void gather_codes(const std::uint16_t* codes, std::int64_t step, std::int64_t count, std::uint16_t* compact);

}  // namespace mlsim::models
