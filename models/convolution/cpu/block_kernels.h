// The vector loops of the functional engine for reduction groups of any length: the lanes of a vector are channels of
// one operand, packed for them; elements of the other operand are spread over all lanes.
// Tested in tests/models/functional_convolution_test.cpp.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mlsim::models {

// How elements are held. A word is what one lane takes in a multiplication: four bytes, two 16-bit integers, or one
// binary64 number that includes the scale of its tile.
enum class BlockElement : std::uint8_t { kBytes, kShorts, kDoubles };

// Bytes of the source are k + this, those of the lanes are signed.
inline constexpr int kByteOffset = 128;

// Words in a vector.
std::size_t block_lanes(bool doubles);

// Vectors of lanes that are computed at once.
inline constexpr int kBlockVectors = 2;

// How a group's integer sum P becomes its contribution q.
enum class GroupRounding : std::uint8_t {
  kExact,   // P and q are binary32 numbers
  kSingle,  // P is one
  kDouble,  // neither may be
  kPowers,  // P is one; units are powers of two, of which the exponents are given, and q is rounded where it must be
};

// Whether the processor multiplies by powers of two beside its other arithmetic, so that kPowers is the fastest.
bool has_power_products();

// A run of the reduction.
struct BlockRun {
  std::int64_t words = 0;   // of a tap
  std::int64_t source = 0;  // bytes from a position's first to the run's
  std::int64_t lanes = 0;   // and from the lane block's first, were it one vector
  std::int64_t unit = 0;    // its place among the units of a position
  std::int64_t group = 0;   // and among the units and corrections of a lane
};

struct BlockTap {
  std::int64_t source = 0;  // bytes from a position's first to the tap's
  std::int64_t lanes = 0;   // its number among the packed taps of a run
};

// Sums for some positions and one block of lanes. Groups end after every tap, or after every run.
struct BlockTile {
  const std::uint8_t* source = nullptr;
  const std::int64_t* positions = nullptr;       // bytes to each position
  const std::int64_t* unit_positions = nullptr;  // where taps are not apart: units to each position's
  std::int64_t position_count = 0;
  const std::uint8_t* lanes = nullptr;
  int vectors = 1;  // of lanes, 1 to kBlockVectors
  const BlockRun* runs = nullptr;
  std::int64_t run_count = 0;
  const BlockTap* taps = nullptr;
  std::int64_t tap_count = 0;
  bool taps_apart = false;
  GroupRounding rounding = GroupRounding::kExact;
  // Of integers only: what a product's 1 stands for is the product of two units (kPowers: 2 to the sum of both). Where
  // taps are apart, that of the source follows the words of its run. Of the lanes [group][lane]; a group is a run, or a
  // packed tap of one.
  const float* source_units = nullptr;
  const float* lane_units = nullptr;
  const std::int32_t* corrections = nullptr;  // of bytes: -kByteOffset times the sum of the lanes' elements
};

// Adds the contributions of all groups, in order, to values[position][lane].
void sum_blocks(BlockElement kind, const BlockTile& tile, float* values);

// corrections[lane] += -kByteOffset times the sum of the bytes of words[i · lanes + lane], i < count. `lanes` are whole
// vectors.
void add_corrections(const std::uint32_t* words, std::int64_t count, std::int64_t lanes, std::int32_t* corrections);

// target[column * target_pitch + row] = source[row * source_pitch + column].
template <typename T>
struct Transposition {
  const T* source = nullptr;
  std::int64_t source_pitch = 0;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  T* target = nullptr;
  std::int64_t target_pitch = 0;
};
void transpose(const Transposition<std::uint32_t>& what);
// The same of numbers, each times `factor`.
void transpose(const Transposition<float>& what, float factor);

}  // namespace mlsim::models
