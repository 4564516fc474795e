// The group-scale unit: serves the elements of its share, one a cycle, through a pipeline of shift-and-add, conversion
// to binary32, binary32 sum into the element's partial sum and, after a tile's last group, the tensor scale.
// Tested in tests/sim/simulate_test.cpp.
#pragma once

#include <cstdint>
#include <ostream>
#include <systemc>

#include "models/convolution/datapath.h"
#include "models/convolution/operation_counts.h"
#include "sim/systemc/job.h"
#include "sim/systemc/operand_feeder.h"

namespace mlsim::sim {

// What travels along the pipeline with an element's number.
struct ScalerTag {
  bool valid = false;
  bool first_group = false;   // of the tile: the partial sum starts from +0
  bool last_group = false;    // of the tile: the sum is a result
  std::uint16_t slot = 0;     // the element in the unit's share
  std::uint64_t address = 0;  // of the result
  bool operator==(const ScalerTag&) const = default;
};
std::ostream& operator<<(std::ostream& stream, const ScalerTag& tag);
void sc_trace(sc_core::sc_trace_file* file, const ScalerTag& tag, const std::string& name);

// Q = P · g_row · g_column, up to 72 bits, with the power of two that goes with it.
struct ScaledSum {
  std::int64_t high = 0;
  std::uint64_t low = 0;
  std::int32_t shift = 0;
  bool operator==(const ScaledSum&) const = default;
};
std::ostream& operator<<(std::ostream& stream, const ScaledSum& sum);
void sc_trace(sc_core::sc_trace_file* file, const ScaledSum& sum, const std::string& name);

class GroupScaler : public sc_core::sc_module {
 public:
  sc_core::sc_in<bool> clock;
  sc_core::sc_in<bool> reset;
  sc_core::sc_in<bool> start;  // the elements' hand-over registers have a new group
  sc_core::sc_in<bool> first_group;
  sc_core::sc_in<bool> last_group;
  sc_core::sc_vector<sc_core::sc_in<std::int64_t>> handed_over;  // of the elements of its share
  sc_core::sc_out<bool> result_valid;
  sc_core::sc_out<std::uint64_t> result_address;
  sc_core::sc_out<std::uint32_t> result;  // the bits of a binary32: wires tell -0 from +0

  // Elements `first_element` and on in row-major order, `share` of them, in an array of `array_columns` columns.
  GroupScaler(const sc_core::sc_module_name& name, const OperandWires& rows, const OperandWires& columns,
              std::size_t first_element, std::size_t share, std::size_t array_columns);

  void load(const Job& job);
  void trace(sc_core::sc_trace_file* file) const override;
  const models::OperationCounts& counts() const { return counts_; }

 private:
  void tick();
  void serve();
  std::size_t row_of(std::size_t slot) const { return (first_element_ + slot) / array_columns_; }
  std::size_t column_lane_of(std::size_t slot) const {
    return columns_.lane_of(row_of(slot), (first_element_ + slot) % array_columns_);
  }
  std::size_t next_live(std::size_t slot) const;

  const OperandWires& rows_;
  const OperandWires& columns_;
  const std::size_t first_element_;
  const std::size_t share_;
  const std::size_t array_columns_;
  models::OperationCounts counts_;

  // Registers of the job.
  models::GroupScaler scaler_;
  float tensor_scale_ = 0;

  // The group being served.
  std::size_t slot_;
  bool serves_first_group_ = false;
  bool serves_last_group_ = false;

  // Pipeline registers.
  sc_core::sc_signal<ScalerTag> scaled_tag_;
  sc_core::sc_signal<ScaledSum> scaled_;
  sc_core::sc_signal<ScalerTag> converted_tag_;
  sc_core::sc_signal<std::uint32_t> converted_;  // bits of a binary32, as below
  sc_core::sc_signal<ScalerTag> summed_tag_;
  sc_core::sc_vector<sc_core::sc_signal<std::uint32_t>> partial_sum_;  // of each element
};

}  // namespace mlsim::sim
