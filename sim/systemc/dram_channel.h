// The channel between DRAM and the global SRAM: one sequence of bursts at a time, in one fixed order (docs/memory.md).
// It works on the falling edge of the clock, so that it answers the controller within the cycle.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <systemc>

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
  enum class Cargo : std::uint8_t { kNothing, kOperands, kResults, kCodes };

  // How often, and when, an operand of the job comes.
  struct Operand {
    const models::ScaledTensor* tensor = nullptr;
    std::uint64_t packed_bits = 0;  // with the scales of its tiles
    std::uint64_t panel_bits = 0;   // that the panels of all conv groups take, of the columns' operand
    bool fits = true;               // in its third of the SRAM
  };

  void tick();
  void take_requests();
  void begin_next();
  void begin(Cargo cargo, std::int64_t bursts);
  void move();
  void finish();
  void plan_tile();
  void skip_tiles_without_operands();
  std::int64_t row_bytes(const Step& first, std::int64_t taps, std::int64_t groups) const;
  std::int64_t column_bytes(const Step& first) const;
  std::int64_t bursts(std::int64_t bytes) const { return (bytes + burst_bytes_ - 1) / burst_bytes_; }
  Operand operand_of(const models::ScaledTensor& tensor) const;
  bool fits(std::int64_t bursts) const;  // in the bytes of one cycle
  bool all_planned() const { return !operand_bursts_; }
  bool results_are_next() const;
  bool results_are_there() const;
  bool drains() const;

  const ByteRate rate_;
  const std::int64_t latency_;
  const std::int64_t burst_bytes_;
  const std::uint64_t sram_bits_;

  // Registers of the job.
  const Job* job_ = nullptr;
  Operand rows_;
  Operand columns_;
  std::optional<StepWalk> ahead_;               // at the tile behind the one that is planned
  std::optional<std::int64_t> operand_bursts_;  // of the first tile that is not fetched; none behind the last
  std::deque<std::int64_t> result_bursts_;      // of tiles that are planned and not written
  std::int64_t untouched_bursts_ = 0;           // of results that no tap meets, which leave last
  std::deque<std::int64_t> code_bursts_;        // of the formats that follow

  std::int64_t tiles_planned_ = 0;
  std::int64_t cycle_ = 0;
  std::int64_t requested_at_ = 0;  // the operands of the first tile that is not fetched, where it is the next to begin
  std::int64_t codes_from_ = 0;
  std::int64_t tiles_begun_ = 0;
  std::int64_t tiles_fetched_ = 0;
  std::int64_t tiles_done_ = 0;
  std::int64_t tiles_written_ = 0;
  int formats_left_ = 0;  // that are quantized to and whose codes are still to leave

  Cargo cargo_ = Cargo::kNothing;
  std::int64_t left_ = 0;  // thousandths of bytes
  sc_core::sc_signal<std::uint8_t> moves_;
};

}  // namespace mlsim::sim
