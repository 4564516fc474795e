#include "sim/systemc/feeder_buffer.h"

#include <algorithm>
#include <bit>
#include <cassert>

namespace mlsim::sim {
FeederBuffer::FeederBuffer(Side side, const ArrayConfig& config)
    : side_(side),
      lanes_(side == Side::kRows ? config.rows : config.columns),
      ports_(side == Side::kRows ? config.row_feeder.fill_ports : config.column_feeder.fill_ports),
      sram_bits_(8 * static_cast<std::uint64_t>(config.global_sram_bytes)) {
  const FeederConfig& feeder = side == Side::kRows ? config.row_feeder : config.column_feeder;
  const std::int64_t taps = feeder.buffer_elements / 2 / lanes_;
  const auto words = static_cast<std::size_t>(taps * lanes_);
  for (Half& half : halves_) {
    half.lanes.resize(static_cast<std::size_t>(lanes_));
    half.codes.resize(words);
    half.integers.resize(words);
    half.valid.resize(words);
    half.valid_lanes.resize(static_cast<std::size_t>(taps));
    half.nonzero_lanes.resize(static_cast<std::size_t>(taps));
  }
}

void FeederBuffer::load(const Job& job) {
  schedule_ = job.schedule;
  operand_ = side_ == Side::kRows ? job.row_operand : job.column_operand;
  merged_ = schedule_->reduction().merged;
  outer_scales_ = side_ == Side::kRows ? schedule_->row_outer_scales() : schedule_->column_outer_scales();
  outer_elements_ = side_ == Side::kRows ? schedule_->row_outer_elements() : schedule_->column_outer_elements();

  const models::ScaledFormat& format = operand_->format;
  integer_of_code_.resize(std::size_t{1} << format.element.code_bits());
  for (std::size_t code = 0; code < integer_of_code_.size(); ++code) {
    integer_of_code_[code] = models::decode_element(format.element, static_cast<std::uint16_t>(code));
  }
  element_bits_ = static_cast<std::uint64_t>(format.element.code_bits());
  scale_bits_ =
      static_cast<std::uint64_t>(format.scale.exponent_bits) + static_cast<std::uint64_t>(format.scale.fraction_bits);

  traffic_ = {};
  registers_.assign(static_cast<std::size_t>(lanes_), 0);
  toggled_bits_ = 0;
  panel_dram_bits_ = 0;
  streams_from_dram_ = false;
  const auto packed = [&](std::int64_t elements, std::int64_t d0, std::int64_t d1) {
    return static_cast<std::uint64_t>(elements) * element_bits_ +
           static_cast<std::uint64_t>(format.layout.count(d0, d1)) * scale_bits_;
  };
  const std::uint64_t all = packed(operand_->size(), operand_->shape[0], operand_->shape[1]);
  if (3 * all <= sram_bits_) {
    traffic_.dram_reads = all;
  } else if (side_ == Side::kRows) {
    streams_from_dram_ = true;
  } else {
    const std::int64_t groups = schedule_->shape().groups;
    panel_dram_bits_ = packed(operand_->size() / groups, operand_->shape[0], operand_->shape[1] / groups);
  }

  // A half that no step fills has no lanes.
  for (Half& half : halves_) half.live = 0;
  read_bits_ = {};
  walk_.emplace(*schedule_);
  first_fill_ = true;
  taps_ = 0;
  tap_ = 0;
}

void FeederBuffer::start_fill() {
  assert(filled());
  if (!first_fill_) walk_->advance();
  first_fill_ = false;
  assert(!walk_->done());
  const Step& step = walk_->step();
  if (side_ == Side::kColumns && step.first_of_panel) traffic_.dram_reads += panel_dram_bits_;
  if (side_ == Side::kRows && !step.fills_rows) return;

  const auto index = static_cast<std::size_t>(side_ == Side::kRows ? step.row_half : step.column_half);
  filling_ = &halves_[index];
  filling_->live = side_ == Side::kRows ? step.live_rows : step.live_columns;
  read_bits_[index] = static_cast<std::uint64_t>(filling_->live) * element_bits_;
  for (int lane = 0; lane < filling_->live; ++lane) {
    filling_->lanes[static_cast<std::size_t>(lane)] =
        side_ == Side::kRows ? schedule_->row_lane(step.conv_group, step.row_tile * lanes_ + lane)
                             : schedule_->column_lane(step.conv_group, step.phase, step.column_tile * lanes_ + lane);
  }
  taps_ = step.taps;
  tap_ = 0;
  lane_ = 0;
  phase_taps_ = &schedule_->phases()[step.phase].taps;
  const auto inner_taps = static_cast<std::int64_t>(phase_taps_->size());
  const std::int64_t place = step.first_group * schedule_->group_taps(step.phase) + step.first_tap;
  outer_ = place / inner_taps;
  inner_ = static_cast<std::size_t>(place % inner_taps);
  start_tap();

  // A group's scales come with its first tap.
  if (step.first_tap == 0) {
    const std::int64_t started = std::max<std::int64_t>(step.ended_groups, 1);
    const std::uint64_t bits = static_cast<std::uint64_t>(started * filling_->live) * scale_bits_;
    traffic_.sram_reads += bits;
    if (streams_from_dram_) traffic_.dram_reads += bits;
  }
}

void FeederBuffer::count_read(int half, std::size_t tap) {
  traffic_.buffer_reads += read_bits_[static_cast<std::size_t>(half)];
  const Half& source = halves_[static_cast<std::size_t>(half)];
  const std::size_t first = tap * static_cast<std::size_t>(lanes_);
  for (std::size_t lane = 0; lane < static_cast<std::size_t>(source.live); ++lane) {
    if (source.valid[first + lane] == 0) continue;
    const std::uint16_t code = source.codes[first + lane];
    toggled_bits_ += static_cast<std::uint64_t>(std::popcount(static_cast<std::uint16_t>(registers_[lane] ^ code)));
    registers_[lane] = code;
  }
}

void FeederBuffer::start_tap() {
  const Tap& tap = (*phase_taps_)[inner_];
  offset_ = (side_ == Side::kRows ? tap.row : tap.column) + outer_ * outer_elements_;
  y_ = tap.y;
  x_ = tap.x;
  filling_->valid_lanes[static_cast<std::size_t>(tap_)] = 0;
  filling_->nonzero_lanes[static_cast<std::size_t>(tap_)] = 0;
}

void FeederBuffer::fill() {
  std::int64_t left = ports_;
  std::int64_t filled_words = 0;
  while (left > 0 && tap_ < taps_) {
    const int end = static_cast<int>(std::min<std::int64_t>(filling_->live, lane_ + left));
    const auto [height, width] = schedule_->plane();
    const std::uint16_t* codes = operand_->codes.data();
    const auto base = static_cast<std::size_t>(tap_ * lanes_);
    int valid_lanes = 0;
    int nonzero_lanes = 0;
    for (int i = lane_; i < end; ++i) {
      const Lane& lane = filling_->lanes[static_cast<std::size_t>(i)];
      const bool valid =
          side_ == Side::kRows || (static_cast<std::uint64_t>(lane.y + y_) < static_cast<std::uint64_t>(height) &&
                                   static_cast<std::uint64_t>(lane.x + x_) < static_cast<std::uint64_t>(width));
      const std::uint16_t code = valid ? codes[lane.element + offset_] : std::uint16_t{0};
      const std::size_t word = base + static_cast<std::size_t>(i);
      filling_->codes[word] = code;
      filling_->integers[word] = integer_of_code_[code];
      filling_->valid[word] = valid ? 1 : 0;
      valid_lanes += valid ? 1 : 0;
      nonzero_lanes += code != 0 ? 1 : 0;
    }
    filling_->valid_lanes[static_cast<std::size_t>(tap_)] += valid_lanes;
    filling_->nonzero_lanes[static_cast<std::size_t>(tap_)] += nonzero_lanes;
    left -= end - lane_;
    filled_words += end - lane_;
    lane_ = end;
    if (lane_ == filling_->live) {
      lane_ = 0;
      if (++inner_ == phase_taps_->size()) {
        inner_ = 0;
        ++outer_;
      }
      if (++tap_ < taps_) start_tap();
    }
  }
  const std::uint64_t bits = static_cast<std::uint64_t>(filled_words) * element_bits_;
  traffic_.sram_reads += bits;
  traffic_.buffer_writes += bits;
  if (streams_from_dram_) traffic_.dram_reads += bits;
}

}  // namespace mlsim::sim
