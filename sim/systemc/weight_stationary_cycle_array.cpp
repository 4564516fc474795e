#include "sim/systemc/weight_stationary_cycle_array.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "base/integers.h"
#include "base/power_of_two.h"

namespace mlsim::sim {
WeightStationaryCycleArray::WeightStationaryCycleArray(const sc_core::sc_module_name& name, const ArrayConfig& config,
                                                       FeederBuffer& rows, FeederBuffer& columns, ResultBanks& banks)
    : SequencedArray(name),
      array_rows_(static_cast<std::size_t>(config.rows)),
      taps_per_cycle_(static_cast<std::size_t>(config.taps_per_cycle)),
      rows_(rows),
      columns_(columns),
      banks_(banks),
      partial_(array_rows_ * static_cast<std::size_t>(columns.lanes())),
      word_sums_(array_rows_),
      row_scales_(array_rows_),
      row_factors_(array_rows_) {
  SC_HAS_PROCESS(WeightStationaryCycleArray);
  SC_METHOD(tick);
  sensitive << clock.pos();
  dont_initialize();
}

void WeightStationaryCycleArray::load(const Job& job) {
  job_ = &job;
  lanes_ = static_cast<std::size_t>(columns_.lanes());
  counts_ = {};
  zero_products_ = 0;
  sum_traffic_ = {};
  width_ = job.accumulator_width();
  scales_in_binary64_ = job.scales_in_binary64();
  (width_ == AccumulatorWidth::k32 ? sums32_.resize(partial_.size()) : sums64_.resize(partial_.size()));
}

void WeightStationaryCycleArray::tick() {
  if (reset.read() || !read_enable.read()) return;
  row_source_ = &rows_.half(row_half.read() ? 1 : 0);
  column_source_ = &columns_.half(column_half.read() ? 1 : 0);
  position_ = index.read();
  // 1. The elements take the operands of a new fold; those of a position pass by.
  if (fold_load.read()) rows_.count_load(row_half.read() ? 1 : 0);
  columns_.count_position(column_half.read() ? 1 : 0, position_);
  count_position();
  // 2. Every element multiplies, shifts and adds to the sum that passes by; where it ends its group it is scaled and
  // added up in binary32, and after the last group it is a result.
  if (width_ == AccumulatorWidth::k32) {
    pass(sums32_);
  } else {
    pass(sums64_);
  }
}

WeightStationaryCycleArray::GroupRows WeightStationaryCycleArray::rows_of(int group) const {
  const auto g = static_cast<std::size_t>(group);
  const auto rows = static_cast<std::size_t>(row_source_->live / column_source_->groups);
  return {g * rows, (g + 1) * rows, g * static_cast<std::size_t>(column_source_->width) + position_};
}

template <typename Sum>
void WeightStationaryCycleArray::pass(std::vector<Sum>& all_sums) {
  Sum* sums = all_sums.data() + position_ * array_rows_;
  if (sums_begin.read()) std::fill(sums, sums + row_source_->live, Sum{0});
  if (group_end.read() && position_ == 0) prepare_rows();
  for (int group = 0; group < column_source_->groups; ++group) {
    const GroupRows rows = rows_of(group);
    add_taps(sums, rows);
    if (group_end.read()) end_group(sums, rows);
  }
}

template <typename Sum>
void WeightStationaryCycleArray::add_taps(Sum* sums, const GroupRows& rows) {
  const auto taps = static_cast<std::size_t>(row_source_->filled_taps);
  if constexpr (std::is_same_v<Sum, std::int64_t>) {
    if (width_ == AccumulatorWidth::k64Checked && taps_per_cycle_ > 1) {
      for (std::size_t first = 0; first < taps; first += taps_per_cycle_) {
        add_word(sums, first, std::min(first + taps_per_cycle_, taps), rows);
      }
      return;
    }
  }
  for (std::size_t tap = 0; tap < taps; ++tap) {
    if (column_source_->codes[place(tap, rows)] != 0) add_tap(sums, tap, rows);
  }
}

void WeightStationaryCycleArray::add_tap(std::int32_t* sums, std::size_t tap, const GroupRows& rows) const {
  const std::int32_t k = column_source_->integers[place(tap, rows)];
  const std::int32_t* row_operand = row_source_->integers.data() + tap * array_rows_ + rows.begin;
  std::int32_t* const first = sums + rows.begin;
  const auto count = static_cast<int>(rows.count());
  for (int row = 0; row < count; ++row) first[row] += k * row_operand[row];
}

void WeightStationaryCycleArray::add_tap(std::int64_t* sums, std::size_t tap, const GroupRows& rows) {
  const std::int64_t k = columns_.integer(column_source_->codes[place(tap, rows)]);
  const std::uint16_t* row_codes = row_source_->codes.data() + tap * array_rows_;
  if (width_ == AccumulatorWidth::k64) {
    for (std::size_t row = rows.begin; row < rows.end; ++row) sums[row] += k * rows_.integer(row_codes[row]);
    return;
  }
  for (std::size_t row = rows.begin; row < rows.end; ++row) {
    const auto [value, overflow] =
        models::accumulate(sums[row], k * rows_.integer(row_codes[row]), job_->accumulator_bits, job_->overflow);
    sums[row] = value;
    counts_.overflows += overflow ? 1 : 0;
  }
}

void WeightStationaryCycleArray::add_word(std::int64_t* sums, std::size_t first, std::size_t end,
                                          const GroupRows& rows) {
  std::fill(word_sums_.begin() + static_cast<std::ptrdiff_t>(rows.begin),
            word_sums_.begin() + static_cast<std::ptrdiff_t>(rows.end), base::Int128{0});
  for (std::size_t tap = first; tap < end; ++tap) {
    const base::Int128 k = columns_.integer(column_source_->codes[place(tap, rows)]);
    if (k == 0) continue;
    const std::uint16_t* row_codes = row_source_->codes.data() + tap * array_rows_;
    for (std::size_t row = rows.begin; row < rows.end; ++row) word_sums_[row] += k * rows_.integer(row_codes[row]);
  }
  for (std::size_t row = rows.begin; row < rows.end; ++row) {
    const auto [value, overflow] =
        models::accumulate_sum(sums[row], word_sums_[row], job_->accumulator_bits, job_->overflow);
    sums[row] = value;
    counts_.overflows += overflow ? 1 : 0;
  }
}

void WeightStationaryCycleArray::count_position() {
  for (int group = 0; group < column_source_->groups; ++group) count_products(rows_of(group));
  sum_traffic_.count({sums_begin.read(), group_end.read(), first_group.read(), last_group.read()}, job_->sum_word_bits,
                     static_cast<std::uint64_t>(row_source_->live));
}

void WeightStationaryCycleArray::count_products(const GroupRows& rows) {
  const auto taps = static_cast<std::size_t>(row_source_->filled_taps);
  const bool all_rows = column_source_->groups == 1;
  std::uint64_t valid_taps = 0;
  std::uint64_t nonzero = 0;
  for (std::size_t tap = 0; tap < taps; ++tap) {
    const std::size_t word = place(tap, rows);
    valid_taps += column_source_->valid[word];
    if (column_source_->codes[word] == 0) continue;
    nonzero += all_rows ? static_cast<std::uint64_t>(row_source_->nonzero_lanes[tap]) : nonzero_rows(tap, rows);
  }
  const std::uint64_t operations = valid_taps * rows.count();
  zero_products_ += operations - nonzero;
  counts_.mantissa_multiplies += operations;
  count_additions(operations, rows);
  if (job_->has_exponents) {
    counts_.exponent_adds += operations;
    counts_.shifts += operations;
  }
}

// With operands that are not zero.
std::uint64_t WeightStationaryCycleArray::nonzero_rows(std::size_t tap, const GroupRows& rows) const {
  const std::uint16_t* codes = row_source_->codes.data() + tap * array_rows_;
  return rows.count() - static_cast<std::uint64_t>(std::count(codes + rows.begin, codes + rows.end, 0));
}

void WeightStationaryCycleArray::count_additions(std::uint64_t products, const GroupRows& rows) {
  std::uint64_t additions = products;
  if (taps_per_cycle_ > 1) {
    additions = 0;
    const auto taps = static_cast<std::size_t>(row_source_->filled_taps);
    for (std::size_t first = 0; first < taps; first += taps_per_cycle_) {
      bool adds = false;
      for (std::size_t tap = first; tap < std::min(first + taps_per_cycle_, taps); ++tap) {
        adds |= column_source_->valid[place(tap, rows)] != 0;
      }
      additions += adds ? rows.count() : 0;
    }
  }
  counts_.integer_adds += additions;
  counts_.tree_adds += products - additions;
}

void WeightStationaryCycleArray::prepare_rows() {
  for (std::size_t row = 0; row < static_cast<std::size_t>(row_source_->live); ++row) {
    const models::TileScale scale = rows_.scale(*row_source_, row, group_outer.read(), group_tap.read());
    row_scales_[row] = scale;
    row_factors_[row] = scale.significand * base::power_of_two(scale.exponent - job_->scaler.unit_exponent);
  }
}

template <typename Sum>
void WeightStationaryCycleArray::end_group(const Sum* sums, const GroupRows& rows) {
  const models::TileScale scale = columns_.scale(*column_source_, rows.lane, group_outer.read(), group_tap.read());
  float* partial = partial_.data() + position_ * array_rows_;
  if (first_group.read()) std::fill(partial + rows.begin, partial + rows.end, 0.0F);
  if (scales_in_binary64_) {
    // Q, the powers of two and their product are exact in binary64, so that binary32 rounds once.
    const double factor = scale.significand * base::power_of_two(scale.exponent);
    for (std::size_t row = rows.begin; row < rows.end; ++row) {
      partial[row] += static_cast<float>(static_cast<double>(sums[row]) * (row_factors_[row] * factor));
    }
  } else {
    for (std::size_t row = rows.begin; row < rows.end; ++row) {
      partial[row] += job_->scaler.scale(sums[row], row_scales_[row], scale);
    }
  }
  counts_.group_exponent_adds += rows.count();
  counts_.shift_adds += rows.count();
  counts_.conversions += rows.count();
  counts_.float_adds += rows.count();
  if (!last_group.read()) return;
  counts_.tensor_scale_multiplies += rows.count();
  const std::int64_t lane_result = column_source_->lanes[rows.lane].result;
  for (std::size_t row = rows.begin; row < rows.end; ++row) {
    const float result = partial[row] * job_->tensor_scale;
    if (!std::isfinite(result)) ++counts_.non_finite;
    banks_.store(static_cast<std::uint64_t>(row_source_->lanes[row].result + lane_result), result);
  }
}

}  // namespace mlsim::sim
