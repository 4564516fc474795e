// The array at cycle detail: all elements and group-scale units as one clocked module over flat arrays. The same bits,
// cycles and counts as the modules of sim/systemc/output_stationary_array.h.
// Tested in tests/sim/simulate_test.cpp.
#pragma once

#include <cstdint>
#include <systemc>
#include <vector>

#include "base/integers.h"
#include "models/convolution/operation_counts.h"
#include "sim/systemc/array_module.h"
#include "sim/systemc/feeder_buffer.h"
#include "sim/systemc/job.h"
#include "sim/systemc/result_banks.h"

namespace mlsim::sim {

class OutputStationaryCycleArray : public SequencedArray {
 public:
  // Reads the feeders' buffers and writes the banks by itself.
  OutputStationaryCycleArray(const sc_core::sc_module_name& name, const ArrayConfig& config, FeederBuffer& rows,
                             FeederBuffer& columns, ResultBanks& banks);

  void load(const Job& job) override;
  models::OperationCounts counts() const override { return counts_; }
  std::uint64_t zero_products() const override { return zero_products_; }

 private:
  void tick();
  void clear();
  void multiply_accumulate(const FeederBuffer::Half& rows, const FeederBuffer::Half& columns);
  // Of a tap, by its place in the halves.
  void add_narrow(std::size_t at, const FeederBuffer::Half& rows, const FeederBuffer::Half& columns);
  void add_wide(std::size_t at, const FeederBuffer::Half& rows, const FeederBuffer::Half& columns);
  // Of the taps of a word as one addition, which may leave the accumulators' range.
  void add_word(const FeederBuffer::Half& rows, const FeederBuffer::Half& columns);
  void count_products(std::size_t at, const FeederBuffer::Half& rows, const FeederBuffer::Half& columns);
  void end_group(const FeederBuffer::Half& rows, const FeederBuffer::Half& columns);
  // Where the columns' operand of a row of the array begins among the lanes that are in use.
  std::size_t lane_of_row(int row, const FeederBuffer::Half& columns) const {
    return static_cast<std::size_t>(group_of_row_[static_cast<std::size_t>(row)]) *
           static_cast<std::size_t>(columns.width);
  }
  std::uint64_t nonzero_products(std::size_t at, const FeederBuffer::Half& rows,
                                 const FeederBuffer::Half& columns) const;
  template <typename Sum>
  void scale_row(const Sum* sums, int row, const FeederBuffer::Half& rows, const FeederBuffer::Half& columns);

  const int array_rows_;
  const int array_columns_;
  const std::size_t taps_per_cycle_;
  FeederBuffer& rows_;
  FeederBuffer& columns_;
  ResultBanks& banks_;
  models::OperationCounts counts_;
  std::uint64_t zero_products_ = 0;

  // Registers of the job.
  const Job* job_ = nullptr;
  AccumulatorWidth width_ = AccumulatorWidth::k32;
  bool scales_in_binary64_ = true;  // Q has less than 53 bits
  std::vector<int> group_of_row_;   // among convolution groups that stand side by side

  // Row by row.
  std::vector<std::int32_t> sums32_;
  std::vector<std::int64_t> sums64_;
  std::vector<float> partial_;
  // Of the columns' lanes, for the tap at hand where accumulators are wide, and for the group at hand.
  std::vector<std::int64_t> column_integers_;
  std::vector<base::Int128> word_sums_;  // of a row's elements
  std::vector<models::TileScale> column_scales_;
  std::vector<double> column_factors_;
};

}  // namespace mlsim::sim
