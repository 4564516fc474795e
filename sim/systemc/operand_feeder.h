// An operand feeder: fills its double buffer from the global SRAM, and drives the operand wires of the rows, or of the
// columns, of the array.
// Tested in tests/sim/simulate_test.cpp.
#pragma once

#include <cstdint>
#include <systemc>
#include <vector>

#include "models/convolution/datapath.h"
#include "sim/systemc/feeder_buffer.h"

namespace mlsim::sim {

// Registered wires of one side of the array: for each of its rows, or columns. Where the convolution groups of a layer
// may stand side by side, each row of the array has wires of its own for the operand of the columns.
struct OperandWires {
  // `lanes` for each of `rows` rows.
  OperandWires(std::size_t rows, std::size_t lanes, std::size_t taps_per_cycle);

  // The lane that an element in a row and a column of the array takes its operand of the columns from.
  std::size_t lane_of(std::size_t row, std::size_t column) const { return row * row_lanes + column; }

  std::size_t row_lanes = 0;  // from one row's to the next one's: none where all rows share them

  // One of each for a lane and for every tap of a word, lane by lane.
  sc_core::sc_vector<sc_core::sc_signal<std::uint16_t>> significand;
  sc_core::sc_vector<sc_core::sc_signal<std::uint8_t>> exponent;
  sc_core::sc_vector<sc_core::sc_signal<bool>> negative;
  sc_core::sc_vector<sc_core::sc_signal<bool>> valid;
  // One of each for a lane. For the group that was handed over last: whether the lane is in use, its scale, significand
  // · 2^exponent, its part of the results' addresses.
  sc_core::sc_vector<sc_core::sc_signal<bool>> live;
  sc_core::sc_vector<sc_core::sc_signal<std::int16_t>> scale_exponent;
  sc_core::sc_vector<sc_core::sc_signal<std::uint8_t>> scale_significand;
  sc_core::sc_vector<sc_core::sc_signal<std::uint64_t>> address;
};

class OperandFeeder : public sc_core::sc_module {
 public:
  sc_core::sc_in<bool> clock;
  sc_core::sc_in<bool> reset;
  sc_core::sc_in<bool> fill_start;
  sc_core::sc_in<bool> read_enable;
  sc_core::sc_in<std::uint32_t> tap;
  sc_core::sc_in<bool> half;
  sc_core::sc_in<bool> group_end;
  sc_core::sc_in<std::uint32_t> group_outer;
  sc_core::sc_in<std::uint32_t> group_tap;
  sc_core::sc_in<bool> hand_over;

  // Without `drives_wires` the array reads the buffer by itself, and there are no wires.
  OperandFeeder(const sc_core::sc_module_name& name, Side side, const ArrayConfig& config, bool drives_wires);

  void load(const Job& job);
  void trace(sc_core::sc_trace_file* file) const override;

  const OperandWires& wires() const { return wires_; }
  FeederBuffer& buffer() { return buffer_; }
  const FeederBuffer& buffer() const { return buffer_; }

 private:
  // What the scale wires of a lane show after the coming hand-over.
  struct LaneScale {
    bool live = false;
    models::TileScale scale;
    std::uint64_t address = 0;
  };

  void tick();
  void drive_scales();
  void prepare_scales();
  void drive_operands();
  std::size_t place_of(const FeederBuffer::Half& source, std::size_t lane) const;

  FeederBuffer buffer_;
  const bool drives_wires_;
  OperandWires wires_;
  const std::size_t side_lanes_;  // of a row of the array, or of all of them
  const Schedule* schedule_ = nullptr;
  std::vector<LaneScale> next_scales_;
  std::vector<models::Fields> fields_of_code_;
};

}  // namespace mlsim::sim
