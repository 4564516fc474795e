// A weight-stationary array at cycle detail: all elements, group-scale units and partial sums as one clocked module
// over flat arrays. The same bits, cycles and counts as the modules of sim/systemc/weight_stationary_array.h.
// Tested in tests/sim/stationary_machine_test.cpp.
#pragma once

#include <cstdint>
#include <systemc>
#include <vector>

#include "base/integers.h"
#include "models/convolution/operation_counts.h"
#include "sim/systemc/array_module.h"
#include "sim/systemc/feeder_buffer.h"
#include "sim/systemc/job.h"
#include "sim/systemc/partial_sums.h"
#include "sim/systemc/result_banks.h"

namespace mlsim::sim {

class WeightStationaryCycleArray : public SequencedArray {
 public:
  // Reads the feeders' buffers and writes the banks by itself.
  WeightStationaryCycleArray(const sc_core::sc_module_name& name, const ArrayConfig& config, FeederBuffer& rows,
                             FeederBuffer& columns, ResultBanks& banks);

  void load(const Job& job) override;
  models::OperationCounts counts() const override { return counts_; }
  std::uint64_t zero_products() const override { return zero_products_; }
  SumTraffic sum_traffic() const override { return sum_traffic_; }

 private:
  // The rows of a convolution group, of all that stand side by side, and the lane of the position at hand that all of
  // them take: its place among those of a tap.
  struct GroupRows {
    std::size_t begin = 0;
    std::size_t end = 0;
    std::size_t lane = 0;

    std::uint64_t count() const { return end - begin; }
  };

  void tick();
  GroupRows rows_of(int group) const;
  std::size_t place(std::size_t tap, const GroupRows& rows) const { return tap * lanes_ + rows.lane; }
  template <typename Sum>
  void pass(std::vector<Sum>& all_sums);
  template <typename Sum>
  void add_taps(Sum* sums, const GroupRows& rows);
  void add_tap(std::int32_t* sums, std::size_t tap, const GroupRows& rows) const;
  void add_tap(std::int64_t* sums, std::size_t tap, const GroupRows& rows);
  // Of a word of taps as one addition, which may leave the accumulators' range.
  void add_word(std::int64_t* sums, std::size_t first, std::size_t end, const GroupRows& rows);
  void count_position();
  void count_products(const GroupRows& rows);
  void count_additions(std::uint64_t products, const GroupRows& rows);
  std::uint64_t nonzero_rows(std::size_t tap, const GroupRows& rows) const;
  void prepare_rows();
  template <typename Sum>
  void end_group(const Sum* sums, const GroupRows& rows);

  const std::size_t array_rows_;
  const std::size_t taps_per_cycle_;
  FeederBuffer& rows_;
  FeederBuffer& columns_;
  ResultBanks& banks_;
  models::OperationCounts counts_;
  std::uint64_t zero_products_ = 0;
  SumTraffic sum_traffic_;

  // Registers of the job.
  const Job* job_ = nullptr;
  std::size_t lanes_ = 0;  // of a tap of the columns' operand
  AccumulatorWidth width_ = AccumulatorWidth::k32;
  bool scales_in_binary64_ = true;  // Q has less than 53 bits

  // Of the position at hand.
  const FeederBuffer::Half* row_source_ = nullptr;
  const FeederBuffer::Half* column_source_ = nullptr;
  std::size_t position_ = 0;
  // Partial sums: position by position.
  std::vector<std::int32_t> sums32_;
  std::vector<std::int64_t> sums64_;
  std::vector<float> partial_;
  std::vector<base::Int128> word_sums_;  // of the rows
  // Of the rows, for the fold at hand.
  std::vector<models::TileScale> row_scales_;
  std::vector<double> row_factors_;
};

}  // namespace mlsim::sim
