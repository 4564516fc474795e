#include "sim/systemc/sram_port.h"

#include "base/integers.h"

namespace mlsim::sim {

SramPort::SramPort(const sc_core::sc_module_name& name, Side side, const ArrayConfig& config)
    : sc_core::sc_module(name), side_(side), rate_(config.sram_read_bytes_per_cycle), busy_("busy") {
  SC_HAS_PROCESS(SramPort);
  SC_METHOD(tick);
  sensitive << clock.neg();
  dont_initialize();
}

void SramPort::load(const Job& job) {
  operand_ = side_ == Side::kRows ? job.row_operand : job.column_operand;
  walk_.emplace(*job.schedule);
  left_ = 0;
  carried.write(true);
  busy_.write(false);
}

void SramPort::tick() {
  if (reset.read()) return;
  if (fill_start.read()) {
    left_ = 1000 * filled_bytes(walk_->step(), side_, operand_->format);
    walk_->advance();
  }
  busy_.write(left_ > 0);
  if (left_ > 0) left_ -= rate_.thousandths;
  carried.write(left_ <= 0);
}

void SramPort::trace(sc_core::sc_trace_file* file) const {
  sc_core::sc_trace(file, busy_, busy_.name());
}

std::int64_t filled_bytes(const Step& step, Side side, const models::ScaledFormat& format) {
  if (side == Side::kRows && !step.fills_rows) return 0;
  const std::int64_t lanes = side == Side::kRows ? step.live_rows : step.column_lanes();
  return base::ceiling(lanes * format.packed_bits(step.taps, step.started_groups), 8);
}

}  // namespace mlsim::sim
