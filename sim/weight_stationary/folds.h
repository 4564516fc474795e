// How a weight-stationary array is cut: the operand of the rows stays in its elements, a row of them for each row of
// results, a column for each tap, or for as many as an element multiplies at once, and positions pass by. A fold is
// what stays at once: up to as many taps of one reduction group as a row of elements holds (docs/dataflow.md).
// Tested in tests/sim/weight_stationary_test.cpp.
#pragma once

#include <cstdint>

#include "sim/array_config.h"

namespace mlsim::sim::weight_stationary {

// Cycles between two folds of a group in which a partial sum is on its way: into the first column, along the row, and
// into the memory that the next fold reads it from.
inline constexpr std::int64_t kSumLoop = 2;

// The most taps of a fold: of as many as an element multiplies at once in each column. Tap n of a fold stands in column
// n / taps_per_cycle.
std::int64_t fold_taps(const ArrayConfig& config);

// Positions of a tile: as many as half of the columns' buffer holds, with an element for each tap of a fold, and that
// of each of the convolution groups which stand side by side.
std::int64_t tile_positions(const ArrayConfig& config, std::int64_t groups_at_once = 1);

// Rows that share a group-scale unit. A unit stands at the end of the rows whose elements are its share, and no two
// units at the end of one row.
int rows_of_scaler(const ArrayConfig& config);
std::int64_t scaler_count(const ArrayConfig& config);

// Cycles of a fold of so many positions in which none begins: those in which a group-scale unit serves `share` rows
// one after the other, or those until the partial sum of the fold's first position can be read.
std::int64_t fold_stalls(bool ends_group, std::int64_t positions, std::int64_t share, std::int64_t array_columns);

// Bits of a partial sum inside a reduction group in its memory: words of 32 bits that hold the accumulator.
int sum_word_bits(int full_accumulator_bits);

}  // namespace mlsim::sim::weight_stationary
