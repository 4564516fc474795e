// The read port of the third of the global SRAM that holds an operand: it carries what a feeder fills, and the scales
// that come with it. It works on the falling edge of the clock, so that it answers the controller within the cycle.
// Tested in tests/sim/simulate_test.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <systemc>

#include "sim/array_config.h"
#include "sim/systemc/feeder_buffer.h"
#include "sim/systemc/job.h"

namespace mlsim::sim {

class SramPort : public sc_core::sc_module {
 public:
  sc_core::sc_in<bool> clock;
  sc_core::sc_in<bool> reset;
  sc_core::sc_in<bool> fill_start;  // the fill of the next step begins
  sc_core::sc_out<bool> carried;    // all of it has passed

  SramPort(const sc_core::sc_module_name& name, Side side, const ArrayConfig& config);

  void load(const Job& job);
  void trace(sc_core::sc_trace_file* file) const override;

 private:
  void tick();

  const Side side_;
  const ByteRate rate_;

  // Registers of the job.
  const models::ScaledTensor* operand_ = nullptr;
  std::optional<StepWalk> walk_;  // at the step that is filled next
  std::int64_t left_ = 0;         // thousandths of bytes
  sc_core::sc_signal<bool> busy_;
};

// What the fill of a step takes out of the third of an operand, packed.
std::int64_t filled_bytes(const Step& step, Side side, const models::ScaledFormat& format);

}  // namespace mlsim::sim
