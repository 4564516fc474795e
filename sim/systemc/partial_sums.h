// The partial sums of a weight-stationary array between folds: of each position and row of a tile an integer, of the
// reduction group at hand, and a binary32, of the groups before. They lie in the SRAM's third of the results.
// Tested in tests/sim/stationary_machine_test.cpp.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/array_config.h"

namespace mlsim::sim {

// Of a fold: which sums it begins with and leaves behind.
struct FoldSums {
  bool begins = false;  // from zero, not from those of the fold before
  bool ends_group = false;
  bool first_group = false;  // of its tile
  bool last_group = false;
};

// Bits of partial sums that cross a port of their memory.
struct SumTraffic {
  std::uint64_t reads = 0;
  std::uint64_t writes = 0;

  // So many sums of a fold, whose integers have words of so many bits.
  void count(const FoldSums& fold, int word_bits, std::uint64_t sums);
};

class PartialSums {
 public:
  // One of each for a row and a position of the largest tile.
  PartialSums(std::size_t rows, std::size_t positions)
      : rows_(rows), integers_(rows * positions), floats_(integers_.size()) {}

  std::int64_t& integer(std::size_t position, std::size_t row) { return integers_[position * rows_ + row]; }
  float& binary32(std::size_t position, std::size_t row) { return floats_[position * rows_ + row]; }

 private:
  std::size_t rows_;
  std::vector<std::int64_t> integers_;
  std::vector<float> floats_;
};

}  // namespace mlsim::sim
