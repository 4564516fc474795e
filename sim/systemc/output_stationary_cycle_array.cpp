#include "sim/systemc/output_stationary_cycle_array.h"

#include <algorithm>
#include <cmath>

#include "base/integers.h"
#include "base/power_of_two.h"

namespace mlsim::sim {
namespace {

// Of the array, that take their operand from one lane of a column.
int rows_of_lane(const FeederBuffer::Half& rows, const FeederBuffer::Half& columns) {
  return columns.groups == 1 ? rows.live : rows.live / columns.groups;
}

}  // namespace

OutputStationaryCycleArray::OutputStationaryCycleArray(const sc_core::sc_module_name& name, const ArrayConfig& config,
                                                       FeederBuffer& rows, FeederBuffer& columns, ResultBanks& banks)
    : SequencedArray(name),
      array_rows_(config.rows),
      array_columns_(config.columns),
      taps_per_cycle_(static_cast<std::size_t>(config.taps_per_cycle)),
      rows_(rows),
      columns_(columns),
      banks_(banks),
      group_of_row_(static_cast<std::size_t>(config.rows)),
      sums32_(static_cast<std::size_t>(config.rows) * static_cast<std::size_t>(config.columns)),
      sums64_(sums32_.size()),
      partial_(sums32_.size()),
      column_integers_(config.depthwise == DepthwiseMapping::kOff ? static_cast<std::size_t>(config.columns)
                                                                  : sums32_.size()),
      word_sums_(static_cast<std::size_t>(config.columns)),
      column_scales_(column_integers_.size()),
      column_factors_(column_integers_.size()) {
  SC_HAS_PROCESS(OutputStationaryCycleArray);
  SC_METHOD(tick);
  sensitive << clock.pos();
  dont_initialize();
}

void OutputStationaryCycleArray::load(const Job& job) {
  job_ = &job;
  counts_ = {};
  zero_products_ = 0;
  for (int row = 0; row < array_rows_; ++row) {
    group_of_row_[static_cast<std::size_t>(row)] = static_cast<int>(job.schedule->group_of_row(row));
  }
  width_ = job.accumulator_width();
  scales_in_binary64_ = job.scales_in_binary64();
}

void OutputStationaryCycleArray::tick() {
  if (reset.read()) clear();
  if (!read_enable.read() && !group_end.read()) return;
  const int row_index = row_half.read() ? 1 : 0;
  const int column_index = column_half.read() ? 1 : 0;
  const FeederBuffer::Half& rows = rows_.half(row_index);
  const FeederBuffer::Half& columns = columns_.half(column_index);
  // 1. Every element multiplies, shifts and adds.
  if (read_enable.read()) {
    rows_.count_read(row_index, index.read());
    columns_.count_read(column_index, index.read());
    multiply_accumulate(rows, columns);
  }
  // 2. At the end of a group its sums are scaled and added up in binary32; after the last group they are results.
  if (group_end.read()) end_group(rows, columns);
}

void OutputStationaryCycleArray::clear() {
  std::fill(sums32_.begin(), sums32_.end(), 0);
  std::fill(sums64_.begin(), sums64_.end(), 0);
}

void OutputStationaryCycleArray::add_narrow(std::size_t at, const FeederBuffer::Half& rows,
                                            const FeederBuffer::Half& columns) {
  const std::int32_t* row_operand = rows.integers.data() + at * static_cast<std::size_t>(array_rows_);
  const std::int32_t* column_operand = columns.integers.data() + at * static_cast<std::size_t>(columns_.lanes());
  const int live = columns.width;
  const int group_rows = rows_of_lane(rows, columns);
  for (int group = 0; group < columns.groups; ++group) {
    for (int row = group * group_rows; row < (group + 1) * group_rows; ++row) {
      std::int32_t* sums = sums32_.data() + row * array_columns_;
      const std::int32_t k = row_operand[row];
      for (int column = 0; column < live; ++column) sums[column] += k * column_operand[column];
    }
    column_operand += live;
  }
}

void OutputStationaryCycleArray::add_wide(std::size_t at, const FeederBuffer::Half& rows,
                                          const FeederBuffer::Half& columns) {
  const std::uint16_t* row_codes = rows.codes.data() + at * static_cast<std::size_t>(array_rows_);
  const std::uint16_t* column_codes = columns.codes.data() + at * static_cast<std::size_t>(columns_.lanes());
  for (std::size_t lane = 0; lane < static_cast<std::size_t>(columns.live); ++lane) {
    column_integers_[lane] = columns_.integer(column_codes[lane]);
  }
  const auto live = static_cast<std::size_t>(columns.width);
  for (int row = 0; row < rows.live; ++row) {
    std::int64_t* sums = sums64_.data() + row * array_columns_;
    const std::int64_t* integers = column_integers_.data() + lane_of_row(row, columns);
    const std::int64_t k = rows_.integer(row_codes[row]);
    if (width_ == AccumulatorWidth::k64) {
      for (std::size_t column = 0; column < live; ++column) sums[column] += k * integers[column];
      continue;
    }
    for (std::size_t column = 0; column < live; ++column) {
      const auto [value, overflow] =
          models::accumulate(sums[column], k * integers[column], job_->accumulator_bits, job_->overflow);
      sums[column] = value;
      counts_.overflows += overflow ? 1 : 0;
    }
  }
}

void OutputStationaryCycleArray::add_word(const FeederBuffer::Half& rows, const FeederBuffer::Half& columns) {
  const std::size_t first = index.read() * taps_per_cycle_;
  const std::size_t end = first + rows.word_taps[index.read()];
  const auto array_rows = static_cast<std::size_t>(array_rows_);
  const auto array_columns = static_cast<std::size_t>(array_columns_);
  const auto live = static_cast<std::size_t>(columns.width);
  for (std::size_t row = 0; row < static_cast<std::size_t>(rows.live); ++row) {
    const std::size_t lane = lane_of_row(static_cast<int>(row), columns);
    std::fill_n(word_sums_.begin(), live, base::Int128{0});
    for (std::size_t at = first; at < end; ++at) {
      const base::Int128 k = rows_.integer(rows.codes[at * array_rows + row]);
      if (k == 0) continue;
      const std::uint16_t* codes = columns.codes.data() + at * static_cast<std::size_t>(columns_.lanes()) + lane;
      for (std::size_t column = 0; column < live; ++column) word_sums_[column] += k * columns_.integer(codes[column]);
    }
    std::int64_t* sums = sums64_.data() + row * array_columns;
    for (std::size_t column = 0; column < live; ++column) {
      const auto [value, overflow] =
          models::accumulate_sum(sums[column], word_sums_[column], job_->accumulator_bits, job_->overflow);
      sums[column] = value;
      counts_.overflows += overflow ? 1 : 0;
    }
  }
}

void OutputStationaryCycleArray::multiply_accumulate(const FeederBuffer::Half& rows,
                                                     const FeederBuffer::Half& columns) {
  const std::size_t word = index.read();
  const std::size_t first = word * taps_per_cycle_;
  const std::size_t end = first + rows.word_taps[word];
  const bool at_once = taps_per_cycle_ > 1 && width_ == AccumulatorWidth::k64Checked;
  if (at_once) add_word(rows, columns);
  for (std::size_t at = first; at < end; ++at) {
    if (width_ == AccumulatorWidth::k32) {
      add_narrow(at, rows, columns);
    } else if (!at_once) {
      add_wide(at, rows, columns);
    }
    count_products(at, rows, columns);
  }
  if (taps_per_cycle_ == 1) return;
  const auto additions =
      static_cast<std::uint64_t>(rows_of_lane(rows, columns)) * static_cast<std::uint64_t>(columns.word_lanes[word]);
  counts_.integer_adds += additions;
  counts_.tree_adds -= additions;
}

void OutputStationaryCycleArray::count_products(std::size_t at, const FeederBuffer::Half& rows,
                                                const FeederBuffer::Half& columns) {
  const auto operations =
      static_cast<std::uint64_t>(rows_of_lane(rows, columns)) * static_cast<std::uint64_t>(columns.valid_lanes[at]);
  zero_products_ += operations - nonzero_products(at, rows, columns);
  counts_.mantissa_multiplies += operations;
  (taps_per_cycle_ == 1 ? counts_.integer_adds : counts_.tree_adds) += operations;
  if (job_->has_exponents) {
    counts_.exponent_adds += operations;
    counts_.shifts += operations;
  }
}

std::uint64_t OutputStationaryCycleArray::nonzero_products(std::size_t at, const FeederBuffer::Half& rows,
                                                           const FeederBuffer::Half& columns) const {
  if (columns.groups == 1) {
    return static_cast<std::uint64_t>(rows.nonzero_lanes[at]) * static_cast<std::uint64_t>(columns.nonzero_lanes[at]);
  }
  const auto nonzero = [](const std::uint16_t* codes, int count) {
    return static_cast<std::uint64_t>(count - std::count(codes, codes + count, 0));
  };
  const std::uint16_t* row_codes = rows.codes.data() + at * static_cast<std::size_t>(array_rows_);
  const std::uint16_t* column_codes = columns.codes.data() + at * static_cast<std::size_t>(columns_.lanes());
  const int group_rows = rows_of_lane(rows, columns);
  std::uint64_t products = 0;
  for (int group = 0; group < columns.groups; ++group) {
    products += nonzero(row_codes, group_rows) * nonzero(column_codes, columns.width);
    row_codes += group_rows;
    column_codes += columns.width;
  }
  return products;
}

void OutputStationaryCycleArray::end_group(const FeederBuffer::Half& rows, const FeederBuffer::Half& columns) {
  for (std::size_t lane = 0; lane < static_cast<std::size_t>(columns.live); ++lane) {
    const models::TileScale scale = columns_.scale(columns, lane, group_outer.read(), group_tap.read());
    column_scales_[lane] = scale;
    column_factors_[lane] = scale.significand * base::power_of_two(scale.exponent);
  }
  for (int row = 0; row < rows.live; ++row) {
    const int first = row * array_columns_;
    if (width_ == AccumulatorWidth::k32) {
      scale_row(sums32_.data() + first, row, rows, columns);
    } else {
      scale_row(sums64_.data() + first, row, rows, columns);
    }
  }
  clear();
  const auto served = static_cast<std::uint64_t>(rows.live) * static_cast<std::uint64_t>(columns.width);
  counts_.group_exponent_adds += served;
  counts_.shift_adds += served;
  counts_.conversions += served;
  counts_.float_adds += served;
  if (last_group.read()) counts_.tensor_scale_multiplies += served;
}

template <typename Sum>
void OutputStationaryCycleArray::scale_row(const Sum* sums, int row, const FeederBuffer::Half& rows,
                                           const FeederBuffer::Half& columns) {
  const int live_columns = columns.width;
  const std::size_t first_lane = lane_of_row(row, columns);
  const models::TileScale scale =
      rows_.scale(rows, static_cast<std::size_t>(row), group_outer.read(), group_tap.read());
  float* partial = partial_.data() + row * array_columns_;
  if (first_group.read()) std::fill(partial, partial + live_columns, 0.0F);
  if (scales_in_binary64_) {
    // Q, the powers of two and their product are exact in binary64, so that binary32 rounds once.
    const double factor = scale.significand * base::power_of_two(scale.exponent - job_->scaler.unit_exponent);
    const double* column_factor = column_factors_.data() + first_lane;
    for (int column = 0; column < live_columns; ++column) {
      partial[column] += static_cast<float>(static_cast<double>(sums[column]) * (factor * column_factor[column]));
    }
  } else {
    for (int column = 0; column < live_columns; ++column) {
      partial[column] +=
          job_->scaler.scale(sums[column], scale, column_scales_[first_lane + static_cast<std::size_t>(column)]);
    }
  }
  if (!last_group.read()) return;
  const Lane& lane = rows.lanes[static_cast<std::size_t>(row)];
  for (int column = 0; column < live_columns; ++column) {
    const std::int64_t address = lane.result + columns.lanes[first_lane + static_cast<std::size_t>(column)].result;
    const float result = partial[column] * job_->tensor_scale;
    if (!std::isfinite(result)) ++counts_.non_finite;
    banks_.store(static_cast<std::uint64_t>(address), result);
  }
}

}  // namespace mlsim::sim
