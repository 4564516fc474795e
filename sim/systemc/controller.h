// The sequencer: walks the schedule and drives the control wires of feeders, elements, group-scale units and quantizer.
// Tested in tests/sim/simulate_test.cpp.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <systemc>

#include "sim/statistics.h"
#include "sim/systemc/job.h"

namespace mlsim::sim {

class Controller : public sc_core::sc_module {
 public:
  sc_core::sc_in<bool> clock;
  sc_core::sc_out<bool> reset;

  // To the feeders: begin with the fill of the next step; read a tap.
  sc_core::sc_out<bool> fill_start;
  sc_core::sc_out<bool> read_enable;
  sc_core::sc_out<std::uint32_t> tap;  // in the halves being read: a word of them; weight-stationary: a position
  sc_core::sc_out<bool> row_half;
  sc_core::sc_out<bool> column_half;
  sc_core::sc_out<bool> group_end;             // the last cycle, or fold, of a reduction group
  sc_core::sc_out<std::uint32_t> group_outer;  // where the group begins: its outer index,
  sc_core::sc_out<std::uint32_t> group_tap;    // and its tap where taps are apart
  sc_core::sc_out<bool> first_group;           // of its tile
  sc_core::sc_out<bool> last_group;
  // Weight-stationary: the elements take the operands of the fold that begins; its sums begin at zero.
  sc_core::sc_out<bool> fold_load;
  sc_core::sc_out<bool> sums_begin;

  // To the elements, one cycle later: take the sum over into the hand-over register.
  sc_core::sc_out<bool> hand_over;
  // To the group-scale units, one cycle later still: serve the sums that were handed over.
  sc_core::sc_out<bool> scaler_start;
  sc_core::sc_out<bool> scaler_first_group;
  sc_core::sc_out<bool> scaler_last_group;

  sc_core::sc_out<bool> quantizer_start;

  // To the channel to DRAM, which answers within the cycle: the fill of a tile begins, so that the operands of the next
  // may come; with the next cycle all results of a tile are in their banks.
  sc_core::sc_out<bool> tile_start;
  sc_core::sc_out<bool> tile_done;
  // From it: the operands of the next tile are in the SRAM; everything that was to leave has left, or leaves in this
  // cycle. Both are true where DRAM takes no time.
  sc_core::sc_in<bool> operands_ready;
  sc_core::sc_in<bool> drained;
  // From the read ports of the SRAM: they have carried the operands of the step that is filled.
  sc_core::sc_in<bool> rows_carried;
  sc_core::sc_in<bool> columns_carried;

  Controller(const sc_core::sc_module_name& name, const ArrayConfig& config);

  // Registers of a job; it begins with the next clock edge, with a cycle of reset.
  void load(const Job& job);
  bool done() const { return state_ == State::kDone; }
  const CycleCounts& cycles() const { return cycles_; }

 private:
  enum class State : std::uint8_t { kReset, kArray, kDrain, kWrite, kQuantize, kDone };

  void tick();
  void tell_channel();
  void run_reset();
  void run_array();
  void run_quantizer();
  bool is_filled() const;
  void begin_step();
  void begin_fill();
  void count_wait();
  void wait_for_channel();
  std::int64_t port_cycles(const Step& step) const;
  std::int64_t hold_cycles(const Step& first_of_tile) const;
  std::int64_t sum_cycles(const Step& step) const;
  std::int64_t drain_cycles() const;
  void hold_array(bool last);
  void start_group();
  void start_fold();
  void issue();
  void issue_word();
  void issue_position();
  void end_array();
  void start_quantizer();
  std::int64_t keeping_cycles(const models::Shape& result) const;
  void end_job();

  const ArrayConfig config_;
  const bool waits_for_memory_;
  const Job* job_ = nullptr;
  State state_ = State::kDone;
  CycleCounts cycles_;

  // Beside `hand_over`: which group of its tile it is.
  bool hands_over_first_ = false;
  bool hands_over_last_ = false;

  std::optional<StepWalk> next_;  // the step that is filled, or waits filled, or for its operands
  bool fill_begun_ = false;
  std::int64_t fill_left_ = 0;
  // Cycles that the fill would still take, had it not waited for memory; or not for DRAM; and those that the step at
  // hand holds the array, so that results pass into the SRAM.
  std::int64_t fill_due_ = 0;
  std::int64_t sram_due_ = 0;
  std::int64_t hold_left_ = 0;
  std::int64_t write_cycles_ = 0;          // of the results of the largest tile, into the SRAM
  std::deque<std::uint64_t> results_due_;  // cycles in which tile_done is raised
  Step step_;                              // the step that is computed
  std::int64_t compute_left_ = 0;
  std::int64_t word_ = 0;           // or position
  std::int64_t position_wait_ = 0;  // until the next position
  Group group_;
  std::int64_t cycle_of_group_ = 0;
  std::int64_t group_words_ = 0;
  std::int64_t group_cycles_ = 0;
  std::int64_t drain_left_ = 0;
  std::int64_t quantize_left_ = 0;
  std::int64_t read_left_ = 0;  // cycles in which the results pass out of the SRAM, and codes into it
  std::size_t quantizations_begun_ = 0;
};

}  // namespace mlsim::sim
