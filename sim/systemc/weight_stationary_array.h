// A weight-stationary array at structural detail: rows × columns elements whose sums pass along the rows, the
// group-scale units at the ends of the rows, and the memory of partial sums (docs/dataflow.md). Its test, and that of
// its parts, is stationary_machine_test.
// Tested in tests/sim/stationary_machine_test.cpp.
#pragma once

#include <cstdint>
#include <deque>
#include <systemc>
#include <vector>

#include "models/convolution/operation_counts.h"
#include "sim/array_config.h"
#include "sim/systemc/array_module.h"
#include "sim/systemc/feeder_buffer.h"
#include "sim/systemc/job.h"
#include "sim/systemc/partial_sums.h"
#include "sim/systemc/row_scaler.h"
#include "sim/systemc/weight_stationary_dot_element.h"
#include "sim/systemc/weight_stationary_element.h"

namespace mlsim::sim {

class WeightStationaryArray : public SequencedArray {
 public:
  // One of each for every group-scale unit.
  sc_core::sc_vector<sc_core::sc_out<bool>> result_valid;
  sc_core::sc_vector<sc_core::sc_out<std::uint64_t>> result_address;
  sc_core::sc_vector<sc_core::sc_out<std::uint32_t>> result;  // bits of a binary32

  // The halves of the buffers are banks, one for each tap of a column. Those of the rows are the second registers of
  // the elements.
  WeightStationaryArray(const sc_core::sc_module_name& name, const ArrayConfig& config, FeederBuffer& rows,
                        FeederBuffer& columns);

  void load(const Job& job) override;
  void trace(sc_core::sc_trace_file* file) const override;
  models::OperationCounts counts() const override;
  std::uint64_t zero_products() const override;
  SumTraffic sum_traffic() const override { return sum_traffic_; }

 private:
  // What a column does a cycle after the column to its left.
  struct Request {
    bool reads = false;
    bool loads = false;
    int row_half = 0;
    int column_half = 0;
    std::size_t position = 0;
    std::size_t taps = 0;    // of the fold,
    std::size_t live = 0;    // and rows in use,
    std::size_t groups = 0;  // of so many convolution groups
    std::size_t width = 0;   // positions of the tile
  };

  void add_elements();
  template <typename Use>
  void for_each_element(const Use& use) const {
    for (const WeightStationaryElement& element : elements_) use(element);
    for (const WeightStationaryDotElement& element : dot_elements_) use(element);
  }
  void add_scalers(const ArrayConfig& config);
  void tick();
  void store_sums();
  void accept();
  void run_column(std::size_t column, const Request& request);
  // Of a tap of a fold: the rows' operands stay, the columns' one passes by.
  void load_tap(std::size_t tap, const Request& request);
  void drive_tap(std::size_t tap, const Request& request);
  void move_tags();
  std::size_t group_of_row(std::size_t row) const {
    return static_cast<std::size_t>(job_->schedule->group_of_row(static_cast<std::int64_t>(row)));
  }
  LaneEnd end_of(const FeederBuffer& buffer, const FeederBuffer::Half& half, std::size_t lane) const;

  const std::size_t rows_count_;
  const std::size_t columns_count_;
  const std::size_t taps_per_cycle_;
  const std::size_t column_wire_rows_;  // rows that have wires of their own for the operand of the columns
  FeederBuffer& rows_;
  FeederBuffer& columns_;
  PartialSums partial_sums_;
  SumTraffic sum_traffic_;

  // Registers of the job.
  const Job* job_ = nullptr;
  std::size_t groups_at_once_ = 1;
  std::vector<models::Fields> row_fields_;  // by code
  std::vector<models::Fields> column_fields_;

  std::deque<Request> requests_;  // of each column, from the left
  std::deque<PositionTag> tags_;  // beside the sums that pass along the rows
  // Of what is under way to the ends of the rows and ends a group: of folds, and of positions, for each of the
  // convolution groups that stand side by side.
  std::deque<std::vector<LaneEnd>> folds_ends_;
  std::deque<LaneEnd> positions_ends_;

  ElementWires own_;                                             // the operands that stay, row by row
  ElementWires column_wires_;                                    // those that pass by
  sc_core::sc_vector<sc_core::sc_signal<bool>> passes_;          // of each column
  sc_core::sc_vector<sc_core::sc_signal<std::int64_t>> sum_in_;  // of each row
  sc_core::sc_signal<PositionTag> arrived_;
  RowEnds ends_;

  // Row by row, of one kind: with one multiplier or with several.
  sc_core::sc_vector<WeightStationaryElement> elements_;
  sc_core::sc_vector<WeightStationaryDotElement> dot_elements_;
  std::vector<const sc_core::sc_signal<std::int64_t>*> sums_;  // of the elements
  sc_core::sc_vector<RowScaler> scalers_;
};

}  // namespace mlsim::sim
