#include "sim/systemc/dram_channel.h"

#include "base/integers.h"
#include "sim/statistics.h"

namespace mlsim::sim {
namespace {

// The results of a tile leave after the operands of the tile so many later.
constexpr std::int64_t kLag = 3;

// Of bits that are spread evenly over `parts`, the bytes of so many of them.
std::int64_t bytes_of(std::uint64_t bits, std::int64_t share, std::int64_t parts) {
  return static_cast<std::int64_t>(
      base::ceiling(static_cast<base::Int128>(bits) * share, static_cast<base::Int128>(parts) * 8));
}

}  // namespace

DramChannel::DramChannel(const sc_core::sc_module_name& name, const ArrayConfig& config)
    : sc_core::sc_module(name),
      rate_(config.dram_bytes_per_cycle),
      read_port_(config.sram_read_bytes_per_cycle),
      write_port_(config.sram_write_bytes_per_cycle),
      latency_(config.dram_latency_cycles),
      burst_bytes_(config.dram_burst_bytes),
      sram_bits_(8 * static_cast<std::uint64_t>(config.global_sram_bytes)),
      moves_("moves") {
  SC_HAS_PROCESS(DramChannel);
  SC_METHOD(tick);
  sensitive << clock.neg();
  dont_initialize();
}

DramChannel::Operand DramChannel::operand_of(const models::ScaledTensor& tensor, bool is_there) const {
  Operand operand;
  operand.is_there = is_there;
  operand.tensor = &tensor;
  const models::TileGrid grid = tensor.grid();
  operand.packed_bits = static_cast<std::uint64_t>(tensor.format.packed_bits(tensor.size(), grid.count()));
  operand.fits = 3 * operand.packed_bits <= sram_bits_;
  // A panel takes the scales of every tile that has a part of its conv group's channels.
  const std::int64_t groups = job_->schedule->shape().groups;
  const std::int64_t channels = tensor.shape[1] / groups;
  if (channels == 0) return operand;  // weights of grouped convolutions, which stand in rows
  std::int64_t tiles = 0;
  for (std::int64_t group = 0; group < groups; ++group) {
    tiles += grid.layout().tile_of(1, (group + 1) * channels - 1) - grid.layout().tile_of(1, group * channels) + 1;
  }
  operand.panel_bits =
      static_cast<std::uint64_t>(tensor.format.packed_bits(tensor.size(), grid.count() / grid.extents()[1] * tiles));
  return operand;
}

void DramChannel::load(const Job& job) {
  job_ = &job;
  results_leave_ = job.results.leave;
  rows_ = operand_of(*job.row_operand, job.residence.rows);
  columns_ = operand_of(*job.column_operand, job.residence.columns);
  const Schedule& schedule = *job.schedule;
  const std::int64_t results = models::element_count(schedule.shape().result_shape(schedule.pass()));
  cycle_ = requested_at_ = 0;
  tiles_planned_ = tiles_begun_ = tiles_fetched_ = tiles_done_ = tiles_written_ = 0;
  returns_from_ = 0;
  of_run_.clear();
  cargo_ = Cargo::kNothing;
  results_.clear();
  untouched_ = load_of(4 * (results - schedule.results()));
  runs_.clear();
  if (job.quantization) {
    for (const models::ScaledFormat& format : job.quantization->formats) {
      const std::int64_t scales = format.layout.count(schedule.shape().result_shape(schedule.pass()));
      const std::int64_t bits = format.packed_bits(results, scales);
      const bool leave = job.residence.path(runs_.size()).to_dram;
      runs_.push_back(
          {job.results.come_back ? load_of(4 * results) : Load{}, leave ? load_of(base::ceiling(bits, 8)) : Load{}});
    }
  }
  ahead_.emplace(schedule);
  plan_tile();
  skip_tiles_without_operands();
  take_operands_in_no_time(0);
  operands_ready.write(tiles_fetched_ > tiles_begun_);
  drained.write(drains());
  moves_.write(0);
}

void DramChannel::tick() {
  if (reset.read()) return;
  // 1. What is wanted from this cycle on.
  take_requests();
  // 2. The next sequence begins when the one before is over; a cycle's worth of it moves.
  if (cargo_ == Cargo::kNothing) begin_next();
  moves_.write(static_cast<std::uint8_t>(cargo_));
  move();
  if (cargo_ == Cargo::kNothing && of_run_.empty()) take_operands_in_no_time(cycle_ + 1);
  // 3. Results that are there from the next cycle on.
  if (tile_done.read()) ++tiles_done_;
  ++cycle_;
  operands_ready.write(tiles_fetched_ > tiles_begun_);
  drained.write(drains());
}

void DramChannel::take_requests() {
  if (tile_start.read()) {
    ++tiles_begun_;
    requested_at_ = cycle_;
    skip_tiles_without_operands();
  }
  if (quantizer_start.read()) begin_run();
}

// Results that have to come back are asked for as the run begins; codes follow them.
void DramChannel::begin_run() {
  const Run run = runs_.front();
  runs_.pop_front();
  const bool come_back = run.returns.bytes > 0;
  const std::int64_t from = cycle_ + 1 + kQuantizerPipeline + (come_back ? latency_ : 0);
  returns_from_ = come_back ? from : 0;
  if (come_back && moves_in_time(Cargo::kReturns)) of_run_.push_back({Cargo::kReturns, run.returns, from});
  if (run.codes.bytes > 0 && moves_in_time(Cargo::kCodes)) of_run_.push_back({Cargo::kCodes, run.codes, from});
}

void DramChannel::begin_next() {
  if (!of_run_.empty()) {
    if (cycle_ >= of_run_.front().from) begin(of_run_.front().cargo, of_run_.front().load);
    return;
  }
  take_operands_in_no_time(cycle_);
  if (results_are_next()) {
    if (results_are_there()) begin(Cargo::kResults, results_.front());
  } else if (operands_are_wanted(cycle_) && moves_in_time(Cargo::kOperands)) {
    begin(Cargo::kOperands, *operands_);
  }
}

bool DramChannel::operands_are_wanted(std::int64_t cycle) const {
  return operands_ && tiles_begun_ == tiles_fetched_ && cycle >= requested_at_ + latency_;
}

// Operands whose turn it is and that only have a latency.
void DramChannel::take_operands_in_no_time(std::int64_t cycle) {
  if (moves_in_time(Cargo::kOperands) || results_are_next() || !operands_are_wanted(cycle)) return;
  cargo_ = Cargo::kOperands;
  finish();
}

void DramChannel::begin(Cargo cargo, const Load& load) {
  cargo_ = cargo;
  left_ = rate_.limited() ? load.bursts * burst_bytes_ * 1000 : 0;
  port_left_ = port_of(cargo).limited() ? load.bytes * 1000 : 0;
}

// Codes come from the quantizer.
const ByteRate& DramChannel::port_of(Cargo cargo) const {
  static constexpr ByteRate kUnlimited{};
  if (cargo == Cargo::kOperands || cargo == Cargo::kReturns) return write_port_;
  return cargo == Cargo::kResults ? read_port_ : kUnlimited;
}

void DramChannel::move() {
  if (cargo_ == Cargo::kNothing) return;
  left_ -= rate_.thousandths;
  port_left_ -= port_of(cargo_).thousandths;
  if (left_ <= 0 && port_left_ <= 0) finish();
}

void DramChannel::finish() {
  switch (cargo_) {
    case Cargo::kOperands:
      ++tiles_fetched_;
      plan_tile();
      break;
    case Cargo::kResults:
      ++tiles_written_;
      results_.pop_front();
      break;
    case Cargo::kCodes:
    case Cargo::kReturns:
      of_run_.pop_front();
      break;
    case Cargo::kNothing:
      break;
  }
  cargo_ = Cargo::kNothing;
  skip_tiles_without_operands();
}

// What the tile at hand brings and takes away.
void DramChannel::plan_tile() {
  operands_.reset();
  if (ahead_->done()) {
    // Last of all leave the results that no tap meets.
    if (untouched_.bytes > 0 && results_move()) results_.push_back(untouched_);
    untouched_ = {};
    return;
  }
  ++tiles_planned_;
  const Step first = ahead_->step();
  std::int64_t taps = 0;
  std::int64_t groups = 0;
  do {
    taps += ahead_->step().taps;
    groups += ahead_->step().started_groups;
    ahead_->advance();
  } while (!ahead_->done() && !ahead_->step().first_of_tile);
  const Load rows = load_of(row_bytes(first, taps, groups));
  const Load columns = load_of(column_bytes(first));
  operands_ = {rows.bytes + columns.bytes, rows.bursts + columns.bursts};
  if (results_move()) {
    results_.push_back(load_of(std::int64_t{4} * first.live_rows * first.live_columns));
  }
}

// Such tiles wait for nothing and keep no place in the order.
void DramChannel::skip_tiles_without_operands() {
  while (operands_ && operands_->bytes == 0 &&
         (tiles_fetched_ <= tiles_begun_ || tiles_fetched_ <= tiles_written_ + kLag)) {
    ++tiles_fetched_;
    plan_tile();
  }
}

std::int64_t DramChannel::row_bytes(const Step& first, std::int64_t taps, std::int64_t groups) const {
  const Schedule& schedule = *job_->schedule;
  if (rows_.is_there) return 0;
  if (rows_.fits) {
    if (!first.first_of_panel) return 0;
    std::int64_t all = 0;
    for (const Phase& phase : schedule.phases()) all += static_cast<std::int64_t>(phase.taps.size());
    const auto own = static_cast<std::int64_t>(schedule.phases()[first.phase].taps.size());
    return bytes_of(rows_.packed_bits, first.live_rows * own, schedule.shape().groups * schedule.rows() * all);
  }
  if (!first.fills_rows) return 0;
  return base::ceiling(first.live_rows * rows_.tensor->format.packed_bits(taps, groups), 8);
}

std::int64_t DramChannel::column_bytes(const Step& first) const {
  const Schedule& schedule = *job_->schedule;
  if (columns_.is_there) return 0;
  if (columns_.fits && (first.row_tile > 0 || first.phase > 0)) return 0;
  const std::int64_t parts = schedule.shape().groups * schedule.phases()[first.phase].columns;
  return bytes_of(columns_.fits ? columns_.packed_bits : columns_.panel_bits, first.column_lanes(), parts);
}

bool DramChannel::ends() const {
  return left_ <= rate_.thousandths && port_left_ <= port_of(cargo_).thousandths;
}

bool DramChannel::fits(Cargo cargo, const Load& load) const {
  const ByteRate& port = port_of(cargo);
  return (!rate_.limited() || load.bursts * burst_bytes_ * 1000 <= rate_.thousandths) &&
         (!port.limited() || load.bytes * 1000 <= port.thousandths);
}

bool DramChannel::results_are_next() const {
  return !results_.empty() && (all_planned() || tiles_written_ + kLag < tiles_fetched_);
}

bool DramChannel::results_are_there() const {
  // Behind those of all tiles are those that no tap meets.
  if (tiles_written_ == tiles_planned_) return tiles_done_ > 0;
  return tiles_done_ > tiles_written_;
}

bool DramChannel::drains() const {
  if (cycle_ + 1 < returns_from_) return false;
  if (!of_run_.empty()) {
    if (of_run_.size() > 1) return false;
    if (cargo_ == of_run_.front().cargo) return ends();
    return cycle_ >= of_run_.front().from && fits(of_run_.front().cargo, of_run_.front().load);
  }
  if (!results_move()) return true;
  if (!all_planned()) return false;
  if (results_.empty()) return true;
  if (results_.size() > 1) return false;
  if (cargo_ == Cargo::kResults) return ends();
  return results_are_there() && fits(Cargo::kResults, results_.front());
}

void DramChannel::trace(sc_core::sc_trace_file* file) const {
  sc_core::sc_trace(file, moves_, moves_.name());
}

}  // namespace mlsim::sim
