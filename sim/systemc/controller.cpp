#include "sim/systemc/controller.h"

#include <algorithm>
#include <cassert>

#include "base/integers.h"
#include "sim/systemc/sram_port.h"

namespace mlsim::sim {
namespace {

std::int64_t cycles_of(const ByteRate& rate, std::int64_t bytes) {
  return rate.limited() ? base::ceiling(1000 * bytes, rate.thousandths) : 0;
}

}  // namespace

Controller::Controller(const sc_core::sc_module_name& name, const ArrayConfig& config)
    : sc_core::sc_module(name), config_(config), waits_for_memory_(config.waits_for_memory()) {
  SC_HAS_PROCESS(Controller);
  SC_METHOD(tick);
  sensitive << clock.pos();
  dont_initialize();
}

void Controller::load(const Job& job) {
  assert(done());
  job_ = &job;
  cycles_ = {};
  next_.emplace(*job.schedule);
  compute_left_ = 0;
  fill_begun_ = false;
  fill_left_ = 0;
  results_due_.clear();
  hold_left_ = 0;
  write_cycles_ = 0;
  if (!job.schedule->rows_stay()) {
    write_cycles_ = cycles_of(config_.sram_write_bytes_per_cycle,
                              std::int64_t{4} * job.schedule->most_live_rows() * job.schedule->most_live_columns());
  }
  state_ = State::kReset;
  reset.write(true);
}

void Controller::tick() {
  // 1. Control travels along with the operands: one register to the elements, one more to the group-scale units. In a
  // weight-stationary array it travels along the rows.
  const bool at_elements = hand_over.read();
  scaler_start.write(at_elements);
  if (at_elements) {
    scaler_first_group.write(hands_over_first_);
    scaler_last_group.write(hands_over_last_);
  }
  const bool at_feeders = group_end.read();
  hand_over.write(at_feeders);
  if (at_feeders) {
    hands_over_first_ = first_group.read();
    hands_over_last_ = last_group.read();
  }

  // 2. What happens in this cycle.
  if (waits_for_memory_) tell_channel();
  switch (state_) {
    case State::kReset:
      run_reset();
      break;
    case State::kArray:
      fill_start.write(false);
      run_array();
      break;
    case State::kDrain:
      read_enable.write(false);
      group_end.write(false);
      ++cycles_.array;
      if (drain_left_ > job_->schedule->drain()) ++cycles_.sram_stalls;
      if (--drain_left_ > 0) break;
      if (drained.read()) {
        end_array();
      } else {
        state_ = State::kWrite;
      }
      break;
    case State::kWrite:
      ++cycles_.array;
      wait_for_channel();
      if (drained.read()) end_array();
      break;
    case State::kQuantize:
      run_quantizer();
      break;
    case State::kDone:
      break;
  }
}

// The pulses of the tiles that begin and end.
void Controller::tell_channel() {
  tile_start.write(false);
  const bool done = !results_due_.empty() && results_due_.front() == cycles_.array;
  if (done) results_due_.pop_front();
  tile_done.write(done);
}

void Controller::run_reset() {
  reset.write(false);
  if (!next_->done()) {
    state_ = State::kArray;
    fill_due_ = job_->schedule->fill_cycles(next_->step());
    sram_due_ = port_cycles(next_->step());
    run_array();
  } else if (drained.read()) {
    end_array();  // no kernel position meets any result
  } else {
    // Nor do results have to be computed to leave.
    state_ = State::kWrite;
    ++cycles_.array;
    wait_for_channel();
    tile_done.write(true);
  }
}

void Controller::run_array() {
  // 1. The next step begins when it is filled and the one before is computed.
  if (compute_left_ == 0 && hold_left_ == 0 && is_filled()) begin_step();
  // 2. Its successor's fill begins with it, unless its operands are still to come from DRAM.
  if (!fill_begun_ && !next_->done()) begin_fill();
  // 3. A tap, a cycle of waiting for the group-scale units, or one of waiting for operands.
  if (compute_left_ > 0) {
    issue();
  } else {
    read_enable.write(false);
    group_end.write(false);
    count_wait();
  }
  // 4. The feeders fill alongside.
  if (fill_left_ > 0) --fill_left_;
  if (fill_due_ > 0) --fill_due_;
  if (waits_for_memory_) {
    if (sram_due_ > 0) --sram_due_;
    if (hold_left_ > 0) --hold_left_;
  }
  ++cycles_.array;
  if (compute_left_ == 0 && hold_left_ == 0 && next_->done()) {
    state_ = State::kDrain;
    drain_left_ = drain_cycles();
  }
}

bool Controller::is_filled() const {
  return fill_begun_ && fill_left_ == 0 && rows_carried.read() && columns_carried.read();
}

void Controller::count_wait() {
  if (fill_due_ > 0) {
    ++cycles_.fill_stalls;
  } else if (sram_due_ > 0) {
    ++cycles_.sram_stalls;
  } else {
    wait_for_channel();
  }
}

void Controller::wait_for_channel() {
  ++(config_.ports_slow_the_channel() ? cycles_.sram_stalls : cycles_.dram_stalls);
}

// In which the operands of a step pass out of the SRAM.
std::int64_t Controller::port_cycles(const Step& step) const {
  const ByteRate& rate = config_.sram_read_bytes_per_cycle;
  return std::max(cycles_of(rate, filled_bytes(step, Side::kRows, job_->row_operand->format)),
                  cycles_of(rate, filled_bytes(step, Side::kColumns, job_->column_operand->format)));
}

// A tile computes for so long that its predecessor's results pass into the SRAM meanwhile; what is missing is waited
// for.
std::int64_t Controller::hold_cycles(const Step& first_of_tile) const {
  if (write_cycles_ == 0) return 0;
  const Schedule& schedule = *job_->schedule;
  return std::max<std::int64_t>(write_cycles_ - schedule.tile_cycles(first_of_tile.conv_group, first_of_tile.phase), 0);
}

// From the end of a tile's computation to its last result in the SRAM.
std::int64_t Controller::drain_cycles() const {
  const Schedule& schedule = *job_->schedule;
  return schedule.drain() + std::max<std::int64_t>(write_cycles_ - schedule.share(), 0);
}

// In which the partial sums of a fold, and its results, pass out of the SRAM and into it.
std::int64_t Controller::sum_cycles(const Step& step) const {
  const std::int64_t sums = std::int64_t{step.live_rows} * step.live_columns;
  const std::int64_t word = job_->sum_word_bits / 8 * sums;
  const bool begins_tile = step.first_group.begin == 0 && step.first_group.tap == 0;
  const std::int64_t reads = (step.first_tap > 0 ? word : 0) + (step.ends_group && !begins_tile ? 4 * sums : 0);
  return std::max(cycles_of(config_.sram_read_bytes_per_cycle, reads),
                  cycles_of(config_.sram_write_bytes_per_cycle, step.ends_group ? 4 * sums : word));
}

// What holds the array beyond the computation of the step that begins.
void Controller::hold_array(bool last) {
  if (job_->schedule->rows_stay()) {
    hold_left_ = std::max(compute_left_, sum_cycles(step_));
  } else if (!last && next_->step().first_of_tile) {
    hold_left_ = compute_left_ + hold_cycles(next_->step());
  }
}

void Controller::begin_fill() {
  const Step& step = next_->step();
  if (step.first_of_tile) {
    if (!operands_ready.read()) return;
    if (waits_for_memory_) tile_start.write(true);
  }
  fill_begun_ = true;
  fill_left_ = job_->schedule->fill_cycles(step);
  fill_start.write(true);
}

void Controller::begin_step() {
  const Schedule& schedule = *job_->schedule;
  step_ = next_->step();
  compute_left_ = schedule.compute_cycles(step_);
  word_ = 0;
  group_ = step_.first_group;
  if (schedule.rows_stay()) {
    start_fold();
  } else {
    cycle_of_group_ = step_.first_tap / schedule.taps_per_cycle();
    start_group();
  }
  row_half.write(step_.row_half != 0);
  column_half.write(step_.column_half != 0);

  next_->advance();
  fill_begun_ = false;
  const bool last = next_->done();
  fill_due_ = last ? 0 : schedule.fill_cycles(next_->step());
  if (!waits_for_memory_) return;
  sram_due_ = last ? 0 : port_cycles(next_->step());
  hold_array(last);
  sram_due_ = std::max(sram_due_, hold_left_);
  if (last || next_->step().first_of_tile) {
    const std::int64_t computes = schedule.rows_stay() ? hold_left_ : compute_left_;
    results_due_.push_back(cycles_.array + static_cast<std::uint64_t>(computes + drain_cycles()) - 1);
  }
}

void Controller::start_group() {
  const Schedule& schedule = *job_->schedule;
  group_words_ = schedule.group_words(group_, step_.phase);
  group_cycles_ = group_words_ + schedule.group_stall(group_, step_.phase);
}

void Controller::start_fold() {
  position_wait_ = 0;
  group_outer.write(static_cast<std::uint32_t>(group_.begin));
  group_tap.write(static_cast<std::uint32_t>(group_.tap));
  first_group.write(group_.begin == 0 && group_.tap == 0);
  last_group.write(job_->schedule->is_last(group_, step_.phase));
  sums_begin.write(step_.first_tap == 0);
}

void Controller::issue() {
  if (job_->schedule->rows_stay()) {
    issue_position();
  } else {
    issue_word();
  }
  --compute_left_;
}

// Where sums leave the array, the group-scale units take a position's rows one after the other.
void Controller::issue_position() {
  const bool reads = word_ < step_.live_columns && position_wait_ == 0;
  read_enable.write(reads);
  group_end.write(reads && step_.ends_group);
  fold_load.write(reads && word_ == 0 && step_.fills_rows);
  if (reads) {
    tap.write(static_cast<std::uint32_t>(word_++));
    if (step_.ends_group) position_wait_ = job_->schedule->share();
  } else {
    ++cycles_.scaler_stalls;
  }
  if (position_wait_ > 0) --position_wait_;
}

void Controller::issue_word() {
  const bool reads = cycle_of_group_ < group_words_;
  const bool ends = cycle_of_group_ + 1 == group_cycles_;
  read_enable.write(reads);
  if (reads) {
    tap.write(static_cast<std::uint32_t>(word_++));
  } else {
    ++cycles_.scaler_stalls;
  }
  if (cycle_of_group_ == 0) {
    group_outer.write(static_cast<std::uint32_t>(group_.begin));
    group_tap.write(static_cast<std::uint32_t>(group_.tap));
    first_group.write(group_.begin == 0 && group_.tap == 0);
    last_group.write(job_->schedule->is_last(group_, step_.phase));
  }
  group_end.write(ends);
  if (ends) {
    job_->schedule->advance(group_, step_.conv_group, step_.phase);
    start_group();
    cycle_of_group_ = 0;
  } else {
    ++cycle_of_group_;
  }
}

void Controller::run_quantizer() {
  quantizer_start.write(false);
  ++cycles_.quantizer;
  if (quantize_left_ > 0) {
    --quantize_left_;
  } else {
    ++cycles_.quantizer_stalls;
  }
  if (read_left_ > 0) --read_left_;
  if (quantize_left_ == 0 && read_left_ == 0 && drained.read()) start_quantizer();
}

void Controller::end_array() {
  state_ = State::kQuantize;
  quantizations_begun_ = 0;
  start_quantizer();
}

// The results go through the quantizer once for each format.
void Controller::start_quantizer() {
  if (!job_->quantization || quantizations_begun_ == job_->quantization->formats.size()) {
    end_job();
    return;
  }
  const models::Shape result = job_->schedule->shape().result_shape(job_->schedule->pass());
  quantize_left_ = base::ceiling(models::element_count(result), config_.quantizer_lanes) + kQuantizerPipeline;
  const ByteRate& port = config_.sram_read_bytes_per_cycle;
  read_left_ =
      std::max(cycles_of(port, 4 * models::element_count(result)), keeping_cycles(result)) + kQuantizerPipeline;
  ++quantizations_begun_;
  quantizer_start.write(true);
}

// In which the codes of the format at hand pass into the SRAM, where they stay there.
std::int64_t Controller::keeping_cycles(const models::Shape& result) const {
  if (!job_->residence.path(quantizations_begun_).stay) return 0;
  const models::ScaledFormat& format = job_->quantization->formats[quantizations_begun_];
  const std::int64_t bits = format.packed_bits(models::element_count(result), format.layout.count(result));
  return cycles_of(config_.sram_write_bytes_per_cycle, base::ceiling(bits, 8));
}

void Controller::end_job() {
  state_ = State::kDone;
  sc_core::sc_pause();
}

}  // namespace mlsim::sim
