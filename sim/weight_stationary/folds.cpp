#include "sim/weight_stationary/folds.h"

#include <algorithm>

#include "base/integers.h"

namespace mlsim::sim::weight_stationary {

std::int64_t fold_taps(const ArrayConfig& config) {
  return std::int64_t{config.columns} * config.taps_per_cycle;
}

std::int64_t tile_positions(const ArrayConfig& config, std::int64_t groups_at_once) {
  return config.column_feeder.buffer_elements / 2 / (groups_at_once * fold_taps(config));
}

int rows_of_scaler(const ArrayConfig& config) {
  return std::clamp(config.elements_per_scaler / config.columns, 1, config.rows);
}

std::int64_t scaler_count(const ArrayConfig& config) {
  const int rows = rows_of_scaler(config);
  return base::ceiling(config.rows, rows);
}

std::int64_t fold_stalls(bool ends_group, std::int64_t positions, std::int64_t share, std::int64_t array_columns) {
  if (ends_group) return positions * std::max<std::int64_t>(share - 1, 0);
  return std::max<std::int64_t>(array_columns + kSumLoop - positions, 0);
}

int sum_word_bits(int full_accumulator_bits) {
  constexpr int kWord = 32;
  return base::ceiling(full_accumulator_bits, kWord) * kWord;
}

}  // namespace mlsim::sim::weight_stationary
