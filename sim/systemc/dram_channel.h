// The channel between DRAM and the global SRAM: one sequence of bursts at a time, in one fixed order (docs/memory.md).
// It works on the falling edge of the clock, so that it answers the controller within the cycle.
// Tested in tests/sim/simulate_test.cpp.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <systemc>

#include "base/integers.h"
#include "sim/array_config.h"
#include "sim/systemc/job.h"

namespace mlsim::sim {

class DramChannel : public sc_core::sc_module {
 public:
  sc_core::sc_in<bool> clock;
  sc_core::sc_in<bool> reset;
  sc_core::sc_in<bool> tile_start;       // the fill of a tile begins: the operands of the next are wanted
  sc_core::sc_in<bool> tile_done;        // with the next cycle the results of a tile are in their banks
  sc_core::sc_in<bool> quantizer_start;  // the codes of a format follow
  sc_core::sc_out<bool> operands_ready;  // the operands of the next tile are in the SRAM
  sc_core::sc_out<bool> drained;         // what was to leave has left, or leaves in the cycle that begins

  DramChannel(const sc_core::sc_module_name& name, const ArrayConfig& config);

  void load(const Job& job);
  void trace(sc_core::sc_trace_file* file) const override;

 private:
  // What moves in a cycle, as a trace shows it.
  enum class Cargo : std::uint8_t { kNothing, kOperands, kResults, kCodes, kReturns };

  // What a sequence moves.
  struct Load {
    std::int64_t bytes = 0;   // through a port of the SRAM
    std::int64_t bursts = 0;  // through the channel
  };

  // What moves during a run of the quantizer.
  struct Run {
    Load returns;  // results, back from DRAM
    Load codes;
  };
  // A sequence of such a run that is still to move.
  struct Sequence {
    Cargo cargo = Cargo::kNothing;
    Load load;
    std::int64_t from = 0;  // cycle
  };

  // How often, and when, an operand of the job comes.
  struct Operand {
    const models::ScaledTensor* tensor = nullptr;
    std::uint64_t packed_bits = 0;  // with the scales of its tiles
    std::uint64_t panel_bits = 0;   // that the panels of all conv groups take, of the columns' operand
    bool fits = true;               // in its third of the SRAM
    bool is_there = false;          // before the pass
  };

  void tick();
  void take_requests();
  void begin_run();
  void begin_next();
  bool operands_are_wanted(std::int64_t cycle) const;
  void take_operands_in_no_time(std::int64_t cycle);
  void begin(Cargo cargo, const Load& load);
  void move();
  void finish();
  void plan_tile();
  void skip_tiles_without_operands();
  std::int64_t row_bytes(const Step& first, std::int64_t taps, std::int64_t groups) const;
  std::int64_t column_bytes(const Step& first) const;
  Load load_of(std::int64_t bytes) const { return {bytes, base::ceiling(bytes, burst_bytes_)}; }
  Operand operand_of(const models::ScaledTensor& tensor, bool is_there) const;
  const ByteRate& port_of(Cargo cargo) const;
  bool moves_in_time(Cargo cargo) const { return rate_.limited() || port_of(cargo).limited(); }
  // Whether results leave in binary32, and in time.
  bool results_move() const { return results_leave_ && moves_in_time(Cargo::kResults); }
  // Whether the next cycle moves the rest of a sequence at hand, or all of a load.
  bool ends() const;
  bool fits(Cargo cargo, const Load& load) const;
  bool all_planned() const { return !operands_; }
  bool results_are_next() const;
  bool results_are_there() const;
  bool drains() const;

  const ByteRate rate_;
  const ByteRate read_port_;   // of the SRAM, which results leave by
  const ByteRate write_port_;  // by which operands come in
  const std::int64_t latency_;
  const std::int64_t burst_bytes_;
  const std::uint64_t sram_bits_;

  // Registers of the job.
  const Job* job_ = nullptr;    // while it runs
  bool results_leave_ = false;  // of it, and until the next one
  Operand rows_;
  Operand columns_;
  std::optional<StepWalk> ahead_;  // at the tile behind the one that is planned
  std::optional<Load> operands_;   // of the first tile that is not fetched; none behind the last
  std::deque<Load> results_;       // of tiles that are planned and not written
  Load untouched_;                 // results that no tap meets, which leave last
  std::deque<Run> runs_;           // of the quantizer, that follow

  std::int64_t tiles_planned_ = 0;
  std::int64_t cycle_ = 0;
  std::int64_t requested_at_ = 0;  // the operands of the first tile that is not fetched, where it is the next to begin
  std::int64_t returns_from_ = 0;  // of the quantizer's run, where its results have to come back
  std::int64_t tiles_begun_ = 0;
  std::int64_t tiles_fetched_ = 0;
  std::int64_t tiles_done_ = 0;
  std::int64_t tiles_written_ = 0;
  std::deque<Sequence> of_run_;  // of the quantizer's run, behind the last one of the run before

  Cargo cargo_ = Cargo::kNothing;
  std::int64_t left_ = 0;       // thousandths of bytes, through the channel
  std::int64_t port_left_ = 0;  // and through the port
  sc_core::sc_signal<std::uint8_t> moves_;
};

}  // namespace mlsim::sim
