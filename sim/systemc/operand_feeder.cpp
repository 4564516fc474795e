#include "sim/systemc/operand_feeder.h"

#include <limits>

#include "sim/systemc/lane_wires.h"

namespace mlsim::sim {

OperandWires::OperandWires(std::size_t rows, std::size_t lanes, std::size_t taps_per_cycle)
    : row_lanes(rows > 1 ? lanes : 0),
      significand("significand"),
      exponent("exponent"),
      negative("negative"),
      valid("valid"),
      live("live"),
      scale_exponent("scale_exponent"),
      scale_significand("scale_significand"),
      address("address") {
  init_lane_wires(significand, rows, lanes, taps_per_cycle);
  init_lane_wires(exponent, rows, lanes, taps_per_cycle);
  init_lane_wires(negative, rows, lanes, taps_per_cycle);
  init_lane_wires(valid, rows, lanes, taps_per_cycle);
  init_lane_wires(live, rows, lanes, 1);
  init_lane_wires(scale_exponent, rows, lanes, 1);
  init_lane_wires(scale_significand, rows, lanes, 1);
  init_lane_wires(address, rows, lanes, 1);
}

namespace {

constexpr std::size_t kNoPlace = std::numeric_limits<std::size_t>::max();

// Rows of the array that have wires of their own for an operand.
std::size_t rows_with_wires(Side side, const ArrayConfig& config) {
  return side == Side::kColumns ? static_cast<std::size_t>(config.rows_with_column_wires()) : 1;
}

}  // namespace

OperandFeeder::OperandFeeder(const sc_core::sc_module_name& name, Side side, const ArrayConfig& config,
                             bool drives_wires)
    : sc_core::sc_module(name),
      buffer_(side, config),
      drives_wires_(drives_wires),
      wires_(rows_with_wires(side, config), drives_wires ? static_cast<std::size_t>(buffer_.lanes()) : 0,
             static_cast<std::size_t>(config.taps_per_cycle)),
      side_lanes_(static_cast<std::size_t>(buffer_.lanes())),
      next_scales_(wires_.live.size()) {
  SC_HAS_PROCESS(OperandFeeder);
  SC_METHOD(tick);
  sensitive << clock.pos();
  dont_initialize();
}

void OperandFeeder::load(const Job& job) {
  buffer_.load(job);
  if (!drives_wires_) return;
  schedule_ = job.schedule;
  const models::ElementFormat& format = buffer_.operand().format.element;
  fields_of_code_.resize(std::size_t{1} << format.code_bits());
  for (std::size_t code = 0; code < fields_of_code_.size(); ++code) {
    fields_of_code_[code] = models::split_fields(format, static_cast<std::uint16_t>(code));
  }
}

void OperandFeeder::tick() {
  // 1. The words of this cycle come from the SRAM.
  if (fill_start.read()) buffer_.start_fill();
  if (!buffer_.filled()) buffer_.fill();
  if (!drives_wires_) return;
  // 2. Scales and addresses of the group that is handed over now.
  if (hand_over.read()) drive_scales();
  // 3. Those of the group whose last cycle is read, for the next edge.
  if (group_end.read()) prepare_scales();
  // 4. The operands of the word that is read.
  drive_operands();
}

void OperandFeeder::drive_scales() {
  for (std::size_t lane = 0; lane < next_scales_.size(); ++lane) {
    const LaneScale& scale = next_scales_[lane];
    wires_.live[lane].write(scale.live);
    wires_.scale_exponent[lane].write(scale.scale.exponent);
    wires_.scale_significand[lane].write(scale.scale.significand);
    wires_.address[lane].write(scale.address);
  }
}

void OperandFeeder::prepare_scales() {
  const FeederBuffer::Half& source = buffer_.half(half.read() ? 1 : 0);
  for (std::size_t lane = 0; lane < next_scales_.size(); ++lane) {
    LaneScale& next = next_scales_[lane];
    const std::size_t place = place_of(source, lane);
    next.live = place != kNoPlace;
    if (!next.live) continue;
    next.scale = buffer_.scale(source, place, group_outer.read(), group_tap.read());
    next.address = static_cast<std::uint64_t>(source.lanes[place].result);
  }
}

// Where the half has what a lane takes, kNoPlace for a lane that is not in use: rows of a convolution group share its
// lanes.
std::size_t OperandFeeder::place_of(const FeederBuffer::Half& source, std::size_t lane) const {
  const auto width = static_cast<std::size_t>(source.width);
  if (wires_.row_lanes == 0) return lane < width ? lane : kNoPlace;
  const std::size_t row = lane / side_lanes_;
  const auto group = static_cast<std::size_t>(schedule_->group_of_row(static_cast<std::int64_t>(row)));
  const std::size_t of_group = lane % side_lanes_;
  return group < static_cast<std::size_t>(source.groups) && of_group < width ? group * width + of_group : kNoPlace;
}

void OperandFeeder::drive_operands() {
  if (reset.read() || !read_enable.read()) {
    for (auto& wire : wires_.valid) wire.write(false);
    return;
  }
  const auto lanes = static_cast<std::size_t>(buffer_.lanes());
  const auto taps = static_cast<std::size_t>(buffer_.taps_per_cycle());
  const int index = half.read() ? 1 : 0;
  const FeederBuffer::Half& source = buffer_.half(index);
  const std::size_t first = tap.read() * taps * lanes;
  std::size_t wire = 0;
  for (std::size_t lane = 0; lane < wires_.live.size(); ++lane) {
    const std::size_t of_lane = place_of(source, lane);
    for (std::size_t tap_of_word = 0; tap_of_word < taps; ++tap_of_word, ++wire) {
      const std::size_t place = first + tap_of_word * lanes + of_lane;
      const bool valid = of_lane != kNoPlace && source.valid[place] != 0;
      wires_.valid[wire].write(valid);
      if (!valid) continue;
      const models::Fields& fields = fields_of_code_[source.codes[place]];
      wires_.significand[wire].write(fields.significand);
      wires_.exponent[wire].write(fields.exponent);
      wires_.negative[wire].write(fields.negative);
    }
  }
  buffer_.count_read(index, tap.read());
}

void OperandFeeder::trace(sc_core::sc_trace_file* file) const {
  const auto taps = static_cast<std::size_t>(buffer_.taps_per_cycle());
  for (std::size_t lane = 0; lane < wires_.live.size(); ++lane) {
    for (std::size_t wire = lane * taps; wire < (lane + 1) * taps; ++wire) {
      sc_core::sc_trace(file, wires_.significand[wire].read(), wires_.significand[wire].name());
      sc_core::sc_trace(file, wires_.exponent[wire].read(), wires_.exponent[wire].name());
      sc_core::sc_trace(file, wires_.negative[wire].read(), wires_.negative[wire].name());
      sc_core::sc_trace(file, wires_.valid[wire].read(), wires_.valid[wire].name());
    }
    sc_core::sc_trace(file, wires_.live[lane].read(), wires_.live[lane].name());
    sc_core::sc_trace(file, wires_.scale_exponent[lane].read(), wires_.scale_exponent[lane].name());
    sc_core::sc_trace(file, wires_.scale_significand[lane].read(), wires_.scale_significand[lane].name());
    sc_core::sc_trace(file, wires_.address[lane].read(), wires_.address[lane].name());
  }
}

}  // namespace mlsim::sim
