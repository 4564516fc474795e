// The group-scale unit of a weight-stationary array: stands at the end of its rows and serves the sums of a position
// one row a cycle, through the pipeline of sim/systemc/group_scaler.h. The binary32 sums of a position lie in memory.
// Tested in tests/sim/stationary_machine_test.cpp.
#pragma once

#include <cstdint>
#include <ostream>
#include <string>
#include <systemc>

#include "models/convolution/datapath.h"
#include "models/convolution/operation_counts.h"
#include "sim/systemc/group_scaler.h"
#include "sim/systemc/job.h"
#include "sim/systemc/partial_sums.h"

namespace mlsim::sim {

// What the ends of the rows show of a lane of an operand.
struct LaneEnd {
  models::TileScale scale;
  std::uint64_t address = 0;
};

// A position whose sums are at the end of the rows.
struct PositionTag {
  bool valid = false;
  bool first_of_fold = false;
  FoldSums fold;
  std::uint32_t position = 0;
  bool operator==(const PositionTag& other) const;
};
std::ostream& operator<<(std::ostream& stream, const PositionTag& tag);
void sc_trace(sc_core::sc_trace_file* file, const PositionTag& tag, const std::string& name);

// Registered wires at the ends of the rows: the scale of a lane of an operand, and its part of the results' addresses.
struct LaneEnds {
  LaneEnds(const std::string& prefix, std::size_t lanes);
  void write(std::size_t lane, const LaneEnd& end);
  models::TileScale scale(std::size_t lane) const {
    return {scale_exponent[lane].read(), scale_significand[lane].read()};
  }
  void trace(sc_core::sc_trace_file* file) const;

  sc_core::sc_vector<sc_core::sc_signal<std::int16_t>> scale_exponent;
  sc_core::sc_vector<sc_core::sc_signal<std::uint8_t>> scale_significand;
  sc_core::sc_vector<sc_core::sc_signal<std::uint64_t>> address;
};

// Those of the fold whose sums are there, for each row, and of the position, for each row that has its operand from
// wires of its own, or for all.
struct RowEnds {
  RowEnds(std::size_t rows, std::size_t rows_with_column_wires);
  std::size_t column_lane(std::size_t row) const { return column_lanes.address.size() == 1 ? 0 : row; }
  void trace(sc_core::sc_trace_file* file) const;

  sc_core::sc_vector<sc_core::sc_signal<bool>> live;
  LaneEnds row_lanes;
  LaneEnds column_lanes;
};

class RowScaler : public sc_core::sc_module {
 public:
  sc_core::sc_in<bool> clock;
  sc_core::sc_in<bool> reset;
  sc_core::sc_in<PositionTag> arrived;
  sc_core::sc_vector<sc_core::sc_in<std::int64_t>> sums;  // of its rows
  sc_core::sc_out<bool> result_valid;
  sc_core::sc_out<std::uint64_t> result_address;
  sc_core::sc_out<std::uint32_t> result;  // the bits of a binary32

  // Rows `first_row` and on, `share` of them.
  RowScaler(const sc_core::sc_module_name& name, const RowEnds& ends, PartialSums& partial_sums, std::size_t first_row,
            std::size_t share);

  void load(const Job& job);
  void trace(sc_core::sc_trace_file* file) const override;
  const models::OperationCounts& counts() const { return counts_; }

 private:
  void tick();
  void finish();
  void add();
  void convert();
  void serve();

  const RowEnds& ends_;
  PartialSums& partial_sums_;
  const std::size_t first_row_;
  const std::size_t share_;
  models::OperationCounts counts_;

  // Registers of the job.
  models::GroupScaler scaler_;
  float tensor_scale_ = 0;

  // The position being served.
  std::size_t slot_;
  PositionTag served_;

  // Pipeline registers; the position travels beside the tag.
  sc_core::sc_signal<ScalerTag> scaled_tag_;
  sc_core::sc_signal<std::uint32_t> scaled_position_;
  sc_core::sc_signal<ScaledSum> scaled_;
  sc_core::sc_signal<ScalerTag> converted_tag_;
  sc_core::sc_signal<std::uint32_t> converted_position_;
  sc_core::sc_signal<std::uint32_t> converted_;  // bits of a binary32, as below
  sc_core::sc_signal<ScalerTag> summed_tag_;
  sc_core::sc_signal<std::uint32_t> summed_;
};

}  // namespace mlsim::sim
