#include "sim/systemc/stationary_cycle_array.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <type_traits>

namespace mlsim::sim {
namespace {

// 2^exponent for -1023 < exponent < 1024.
double power_of_two(int exponent) {
  return std::bit_cast<double>(static_cast<std::uint64_t>(1023 + exponent) << 52);
}

}  // namespace

StationaryCycleArray::StationaryCycleArray(const sc_core::sc_module_name& name, const ArrayConfig& config,
                                           FeederBuffer& rows, FeederBuffer& columns, ResultBanks& banks)
    : sc_core::sc_module(name),
      array_rows_(static_cast<std::size_t>(config.rows)),
      positions_(static_cast<std::size_t>(columns.lanes())),
      taps_per_cycle_(static_cast<std::size_t>(config.taps_per_cycle)),
      rows_(rows),
      columns_(columns),
      banks_(banks),
      partial_(array_rows_ * positions_),
      word_sums_(array_rows_),
      row_scales_(array_rows_),
      row_factors_(array_rows_) {
  SC_HAS_PROCESS(StationaryCycleArray);
  SC_METHOD(tick);
  sensitive << clock.pos();
  dont_initialize();
}

void StationaryCycleArray::load(const Job& job) {
  job_ = &job;
  counts_ = {};
  zero_products_ = 0;
  sum_traffic_ = {};
  const models::ScaledFormat& rows = job.row_operand->format;
  const models::ScaledFormat& columns = job.column_operand->format;
  width_ = job.can_overflow ? Width::k64Checked : job.accumulator_bits <= 32 ? Width::k32 : Width::k64;
  scales_in_binary64_ = job.accumulator_bits + rows.scale.fraction_bits + columns.scale.fraction_bits + 1 < 53;
  (width_ == Width::k32 ? sums32_.resize(partial_.size()) : sums64_.resize(partial_.size()));
}

void StationaryCycleArray::tick() {
  if (reset.read() || !read_enable.read()) return;
  row_source_ = &rows_.half(row_half.read() ? 1 : 0);
  column_source_ = &columns_.half(column_half.read() ? 1 : 0);
  position_ = position.read();
  // 1. The elements take the operands of a new fold; those of a position pass by.
  if (fold_load.read()) rows_.count_load(row_half.read() ? 1 : 0);
  columns_.count_position(column_half.read() ? 1 : 0, position_);
  count_position();
  // 2. Every element multiplies, shifts and adds to the sum that passes by; where it ends its group it is scaled and
  // added up in binary32, and after the last group it is a result.
  if (width_ == Width::k32) {
    pass(sums32_);
  } else {
    pass(sums64_);
  }
}

template <typename Sum>
void StationaryCycleArray::pass(std::vector<Sum>& all_sums) {
  Sum* sums = all_sums.data() + position_ * array_rows_;
  if (sums_begin.read()) std::fill(sums, sums + row_source_->live, Sum{0});
  const auto taps = static_cast<std::size_t>(row_source_->filled_taps);
  if constexpr (std::is_same_v<Sum, std::int64_t>) {
    if (width_ == Width::k64Checked && taps_per_cycle_ > 1) {
      for (std::size_t first = 0; first < taps; first += taps_per_cycle_) {
        add_word(sums, first, std::min(first + taps_per_cycle_, taps));
      }
      if (group_end.read()) end_group(sums);
      return;
    }
  }
  for (std::size_t tap = 0; tap < taps; ++tap) {
    const std::size_t word = tap * positions_ + position_;
    if (column_source_->codes[word] != 0) add_tap(sums, tap, word);
  }
  if (group_end.read()) end_group(sums);
}

void StationaryCycleArray::add_tap(std::int32_t* sums, std::size_t tap, std::size_t word) const {
  const std::int32_t k = column_source_->integers[word];
  const std::int32_t* row_operand = row_source_->integers.data() + tap * array_rows_;
  const int live = row_source_->live;
  for (int row = 0; row < live; ++row) sums[row] += k * row_operand[row];
}

void StationaryCycleArray::add_tap(std::int64_t* sums, std::size_t tap, std::size_t word) {
  const std::int64_t k = columns_.integer(column_source_->codes[word]);
  const std::uint16_t* row_codes = row_source_->codes.data() + tap * array_rows_;
  const int live = row_source_->live;
  if (width_ == Width::k64) {
    for (int row = 0; row < live; ++row) sums[row] += k * rows_.integer(row_codes[row]);
    return;
  }
  for (int row = 0; row < live; ++row) {
    const auto [value, overflow] =
        models::accumulate(sums[row], k * rows_.integer(row_codes[row]), job_->accumulator_bits, job_->overflow);
    sums[row] = value;
    counts_.overflows += overflow ? 1 : 0;
  }
}

void StationaryCycleArray::add_word(std::int64_t* sums, std::size_t first, std::size_t end) {
  const auto live = static_cast<std::size_t>(row_source_->live);
  std::fill_n(word_sums_.begin(), live, models::Int128{0});
  for (std::size_t tap = first; tap < end; ++tap) {
    const models::Int128 k = columns_.integer(column_source_->codes[tap * positions_ + position_]);
    if (k == 0) continue;
    const std::uint16_t* row_codes = row_source_->codes.data() + tap * array_rows_;
    for (std::size_t row = 0; row < live; ++row) word_sums_[row] += k * rows_.integer(row_codes[row]);
  }
  for (std::size_t row = 0; row < live; ++row) {
    const auto [value, overflow] =
        models::accumulate_sum(sums[row], word_sums_[row], job_->accumulator_bits, job_->overflow);
    sums[row] = value;
    counts_.overflows += overflow ? 1 : 0;
  }
}

void StationaryCycleArray::count_additions(std::uint64_t products) {
  std::uint64_t additions = products;
  if (taps_per_cycle_ > 1) {
    additions = 0;
    const auto taps = static_cast<std::size_t>(row_source_->filled_taps);
    for (std::size_t first = 0; first < taps; first += taps_per_cycle_) {
      bool adds = false;
      for (std::size_t tap = first; tap < std::min(first + taps_per_cycle_, taps); ++tap) {
        adds |= column_source_->valid[tap * positions_ + position_] != 0;
      }
      additions += adds ? static_cast<std::uint64_t>(row_source_->live) : 0;
    }
  }
  counts_.integer_adds += additions;
  counts_.tree_adds += products - additions;
}

void StationaryCycleArray::count_position() {
  const auto taps = static_cast<std::size_t>(row_source_->filled_taps);
  const auto live = static_cast<std::uint64_t>(row_source_->live);
  std::uint64_t operations = 0;
  std::uint64_t nonzero = 0;
  for (std::size_t tap = 0; tap < taps; ++tap) {
    const std::size_t word = tap * positions_ + position_;
    operations += column_source_->valid[word] != 0 ? live : 0;
    nonzero += column_source_->codes[word] != 0 ? static_cast<std::uint64_t>(row_source_->nonzero_lanes[tap]) : 0;
  }
  zero_products_ += operations - nonzero;
  counts_.mantissa_multiplies += operations;
  count_additions(operations);
  if (job_->has_exponents) {
    counts_.exponent_adds += operations;
    counts_.shifts += operations;
  }
  sum_traffic_.count({sums_begin.read(), group_end.read(), first_group.read(), last_group.read()}, job_->sum_word_bits,
                     live);
}

void StationaryCycleArray::prepare_rows() {
  for (std::size_t row = 0; row < static_cast<std::size_t>(row_source_->live); ++row) {
    const models::TileScale scale = rows_.scale(*row_source_, row, group_outer.read(), group_tap.read());
    row_scales_[row] = scale;
    row_factors_[row] = scale.significand * power_of_two(scale.exponent - job_->scaler.unit_exponent);
  }
}

template <typename Sum>
void StationaryCycleArray::end_group(const Sum* sums) {
  if (position_ == 0) prepare_rows();
  const auto live = static_cast<std::size_t>(row_source_->live);
  const models::TileScale scale = columns_.scale(*column_source_, position_, group_outer.read(), group_tap.read());
  float* partial = partial_.data() + position_ * array_rows_;
  if (first_group.read()) std::fill(partial, partial + live, 0.0F);
  if (scales_in_binary64_) {
    // Q, the powers of two and their product are exact in binary64, so that binary32 rounds once.
    const double factor = scale.significand * power_of_two(scale.exponent);
    for (std::size_t row = 0; row < live; ++row) {
      partial[row] += static_cast<float>(static_cast<double>(sums[row]) * (row_factors_[row] * factor));
    }
  } else {
    for (std::size_t row = 0; row < live; ++row) {
      partial[row] += job_->scaler.scale(sums[row], row_scales_[row], scale);
    }
  }
  counts_.group_exponent_adds += live;
  counts_.shift_adds += live;
  counts_.conversions += live;
  counts_.float_adds += live;
  if (!last_group.read()) return;
  counts_.tensor_scale_multiplies += live;
  for (std::size_t row = 0; row < live; ++row) {
    const float result = partial[row] * job_->tensor_scale;
    if (!std::isfinite(result)) ++counts_.non_finite;
    banks_.store(static_cast<std::uint64_t>(row_source_->lanes[row].result + column_source_->lanes[position_].result),
                 result);
  }
}

}  // namespace mlsim::sim
