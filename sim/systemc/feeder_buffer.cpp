#include "sim/systemc/feeder_buffer.h"

#include <algorithm>
#include <cassert>

#include "sim/dataflow.h"
#include "sim/weight_stationary/folds.h"

namespace mlsim::sim {
namespace {

// Of arithmetic alone, so that loops over lanes become vectors.
std::uint16_t ones(std::uint16_t bits) {
  bits = static_cast<std::uint16_t>(bits - (bits >> 1 & 0x5555));
  bits = static_cast<std::uint16_t>((bits & 0x3333) + (bits >> 2 & 0x3333));
  bits = static_cast<std::uint16_t>((bits + (bits >> 4)) & 0x0F0F);
  return static_cast<std::uint16_t>((bits + (bits >> 8)) & 0x1F);
}

// A register takes a code: the bits that change.
std::uint16_t taken(std::uint16_t code, std::uint16_t& reg) {
  const std::uint16_t changed = ones(static_cast<std::uint16_t>(reg ^ code));
  reg = code;
  return changed;
}

// Registers that follow each other take the codes that are valid.
std::uint32_t all_taken(const std::uint16_t* codes, const std::uint8_t* valid, std::uint16_t* registers, int count) {
  std::uint32_t changed = 0;
  for (int lane = 0; lane < count; ++lane) {
    const std::uint16_t held = registers[lane];
    const std::uint16_t code = codes[lane];
    changed += taken(valid[lane] != 0 ? code : held, registers[lane]);
  }
  return changed;
}

}  // namespace

FeederBuffer::FeederBuffer(Side side, const ArrayConfig& config)
    : side_(side),
      rows_stay_(dataflow_of(config).rows_stay),
      array_columns_(config.columns),
      fold_taps_(static_cast<std::size_t>(weight_stationary::fold_taps(config))),
      lanes_(side == Side::kRows ? config.rows : static_cast<int>(dataflow_of(config).tile_columns(config, 1))),
      taps_per_cycle_(config.taps_per_cycle),
      ports_(side == Side::kRows ? config.row_feeder.fill_ports : config.column_feeder.fill_ports),
      sram_bits_(8 * static_cast<std::uint64_t>(config.global_sram_bytes)) {
  const FeederConfig& feeder = side == Side::kRows ? config.row_feeder : config.column_feeder;
  const std::int64_t word_count = rows_stay_ ? config.columns : feeder.buffer_elements / 2 / lanes_ / taps_per_cycle_;
  const std::int64_t taps = word_count * taps_per_cycle_;
  const auto words = static_cast<std::size_t>(taps * lanes_);
  // Convolution groups side by side have the lanes of all columns each, and fewer words; or lanes of fewer positions.
  const bool has_groups = side == Side::kColumns && !rows_stay_;
  const int most_lanes = lanes_ * (has_groups ? config.rows_with_column_wires() : 1);
  for (Half& half : halves_) {
    half.lanes.resize(static_cast<std::size_t>(most_lanes));
    half.codes.resize(words);
    half.integers.resize(words);
    half.valid.resize(words);
    half.valid_lanes.resize(static_cast<std::size_t>(taps));
    half.nonzero_lanes.resize(static_cast<std::size_t>(taps));
    half.word_taps.resize(static_cast<std::size_t>(word_count), 1);
    if (taps_per_cycle_ > 1) half.word_lanes.resize(static_cast<std::size_t>(word_count));
  }
}

void FeederBuffer::load(const Job& job) {
  schedule_ = job.schedule;
  const bool rows = side_ == Side::kRows;
  const std::int64_t groups = rows ? 1 : schedule_->groups_at_once();
  if (!rows) lanes_ = static_cast<int>(groups * schedule_->tile_columns());
  operand_ = rows ? job.row_operand : job.column_operand;
  outer_planes_ = rows ? schedule_->row_outer_planes() : schedule_->column_outer_planes();
  outer_elements_ = rows ? schedule_->row_outer_elements() : schedule_->column_outer_elements();
  plane_ = rows ? schedule_->row_plane() : schedule_->plane();
  grid_ = operand_->grid();
  codes_ = models::gated_codes(*operand_);

  const models::ScaledFormat& format = operand_->format;
  integer_of_code_ = models::decode_table(format.element);
  element_bits_ = static_cast<std::uint64_t>(format.element.code_bits());
  scale_bits_ = static_cast<std::uint64_t>(format.scale.stored_bits());

  traffic_ = {};
  const auto lanes = static_cast<std::size_t>(lanes_);
  const std::size_t registers = !rows_stay_            ? lanes * static_cast<std::size_t>(taps_per_cycle_)
                                : side_ == Side::kRows ? lanes * fold_taps_
                                                       : static_cast<std::size_t>(groups) * fold_taps_;
  registers_.assign(registers, 0);
  toggled_bits_ = 0;
  const auto packed = static_cast<std::uint64_t>(format.packed_bits(operand_->size(), grid_.count()));
  const bool is_there = rows ? job.residence.rows : job.residence.columns;
  in_sram_ = is_there || 3 * packed <= sram_bits_;
  if (in_sram_ && !is_there) traffic_.dram_reads = packed;

  // A half that no step fills has no lanes.
  for (Half& half : halves_) half.live = half.width = 0;
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
  if (side_ == Side::kColumns && step.first_of_panel && !in_sram_) {
    for (int group = 0; group < step.groups; ++group) count_panel(step.conv_group + group);
  }
  if (side_ == Side::kRows && !step.fills_rows) return;

  const auto index = static_cast<std::size_t>(side_ == Side::kRows ? step.row_half : step.column_half);
  filling_ = &halves_[index];
  filling_->live = side_ == Side::kRows ? step.live_rows : step.column_lanes();
  filling_->groups = side_ == Side::kRows ? 1 : step.groups;
  filling_->width = filling_->live / filling_->groups;
  filling_->filled_taps = step.taps;
  filling_->taps = &schedule_->phases()[step.phase].taps;
  // A bank for each tap of a fold, of which those of one column of a weight-stationary array are written at a time.
  fill_ports_ = rows_stay_ ? std::min(ports_, std::int64_t{filling_->live} * taps_per_cycle_) : ports_;
  read_bits_[index] = static_cast<std::uint64_t>(filling_->live) * element_bits_;
  for (int lane = 0; lane < filling_->live; ++lane) {
    filling_->lanes[static_cast<std::size_t>(lane)] =
        side_ == Side::kRows ? schedule_->row_lane(step, lane) : schedule_->column_lane(step, lane);
  }
  taps_ = step.words * taps_per_cycle_;
  tap_ = 0;
  lane_ = 0;
  group_ = step.first_group;
  const auto inner_taps = static_cast<std::int64_t>(filling_->taps->size());
  const bool apart = schedule_->reduction().taps_apart();
  outer_ = group_.begin + (apart ? step.first_tap : step.first_tap / inner_taps);
  inner_ = apart ? group_.tap : step.first_tap % inner_taps;
  start_tap();

  // A group's scales come with its first tap.
  const std::uint64_t bits = static_cast<std::uint64_t>(step.started_groups * filling_->live) * scale_bits_;
  traffic_.sram_reads += bits;
  if (streams_from_dram()) traffic_.dram_reads += bits;
}

// Of an operand that does not fit in the SRAM, the columns' share of a convolution group comes from DRAM: its channels
// of all images, with the scales of every tile that has one of them.
void FeederBuffer::count_panel(std::int64_t conv_group) {
  const std::int64_t groups = schedule_->shape().groups;
  const std::int64_t channels = operand_->shape[1] / groups;
  const models::ScaleLayout& layout = grid_.layout();
  const std::int64_t first = layout.tile_of(1, conv_group * channels);
  const std::int64_t last = layout.tile_of(1, (conv_group + 1) * channels - 1);
  const std::int64_t scales = grid_.count() / grid_.extents()[1] * (last - first + 1);
  traffic_.dram_reads += static_cast<std::uint64_t>(operand_->format.packed_bits(operand_->size() / groups, scales));
}

void FeederBuffer::count_read(int half, std::size_t word) {
  const Half& source = halves_[static_cast<std::size_t>(half)];
  traffic_.buffer_reads += read_bits_[static_cast<std::size_t>(half)] * source.word_taps[word];
  const auto lanes = static_cast<std::size_t>(lanes_);
  std::size_t first = word * static_cast<std::size_t>(taps_per_cycle_) * lanes;
  std::uint16_t* registers = registers_.data();
  for (int tap = 0; tap < taps_per_cycle_; ++tap) {
    std::size_t place = first;
    for (int group = 0; group < source.groups; ++group) {
      std::uint16_t* of_group = registers + static_cast<std::size_t>(group) * static_cast<std::size_t>(array_columns_);
      toggled_bits_ += all_taken(source.codes.data() + place, source.valid.data() + place, of_group, source.width);
      place += static_cast<std::size_t>(source.width);
    }
    first += lanes;
    registers += lanes;
  }
}

void FeederBuffer::count_position(int half, std::size_t position) {
  const Half& source = halves_[static_cast<std::size_t>(half)];
  const auto taps = static_cast<std::size_t>(source.filled_taps);
  const auto groups = static_cast<std::size_t>(source.groups);
  const auto lanes = static_cast<std::size_t>(lanes_);
  traffic_.buffer_reads += groups * taps * element_bits_;
  std::uint64_t toggled = 0;
  for (std::size_t group = 0; group < groups; ++group) {
    const std::size_t first = group * static_cast<std::size_t>(source.width) + position;
    const std::uint16_t* const codes = source.codes.data() + first;
    const std::uint8_t* const valid = source.valid.data() + first;
    std::uint16_t* const registers = registers_.data() + group * fold_taps_;
    for (std::size_t tap = 0; tap < taps; ++tap) {
      if (valid[tap * lanes] != 0) toggled += taken(codes[tap * lanes], registers[tap]);
    }
  }
  toggled_bits_ += toggled;
}

void FeederBuffer::count_load(int half) {
  const Half& source = halves_[static_cast<std::size_t>(half)];
  const auto taps = static_cast<std::size_t>(source.filled_taps);
  const auto live = static_cast<std::size_t>(source.live);
  traffic_.buffer_reads += taps * live * element_bits_;
  for (std::size_t tap = 0; tap < taps; ++tap) {
    for (std::size_t lane = 0; lane < live; ++lane) {
      toggled_bits_ +=
          taken(source.codes[tap * static_cast<std::size_t>(lanes_) + lane], registers_[lane * fold_taps_ + tap]);
    }
  }
}

models::TileScale FeederBuffer::scale(const Half& half, std::size_t lane, std::int64_t outer, std::int64_t tap) const {
  const Lane& at = half.lanes[lane];
  const std::int64_t plane = at.plane + outer * outer_planes_;
  const models::ScaleLayout& layout = grid_.layout();
  if (layout.one_a_plane()) return operand_->scales[static_cast<std::size_t>(plane)];
  std::int64_t y = 0;
  std::int64_t x = 0;
  if (!layout.constant_over_planes()) {
    const Tap& place = (*half.taps)[static_cast<std::size_t>(tap)];
    y = side_ == Side::kRows ? place.row / plane_[1] : at.y + place.y;
    x = side_ == Side::kRows ? place.row % plane_[1] : at.x + place.x;
    if (!lies_in(plane_, y, x)) return {0, 0};
  }
  const std::int64_t extent = operand_->shape[1];
  return operand_->scales[static_cast<std::size_t>(grid_.index(plane / extent, plane % extent, y, x))];
}

void FeederBuffer::start_tap() {
  const Tap& tap = (*filling_->taps)[static_cast<std::size_t>(inner_)];
  offset_ = (side_ == Side::kRows ? tap.row : tap.column) + outer_ * outer_elements_;
  y_ = tap.y;
  x_ = tap.x;
  filling_->valid_lanes[static_cast<std::size_t>(tap_)] = 0;
  filling_->nonzero_lanes[static_cast<std::size_t>(tap_)] = 0;
}

// Whether the tap at hand was the last of its group, where that matters.
bool FeederBuffer::next_tap() {
  if (!schedule_->reduction().taps_apart()) {
    if (++inner_ < static_cast<std::int64_t>(filling_->taps->size())) return false;
    inner_ = 0;
    if (++outer_ < group_.end || taps_per_cycle_ == 1) return false;
  } else if (++outer_ < group_.end) {
    return false;
  }
  const Step& step = walk_->step();
  schedule_->advance(group_, step.conv_group, step.phase);
  outer_ = group_.begin;
  inner_ = group_.tap;
  return true;
}

// All lanes of the tap at hand are filled.
void FeederBuffer::end_tap() {
  const bool ends_group = next_tap();
  ++tap_;
  if (taps_per_cycle_ > 1 && (ends_group || tap_ % taps_per_cycle_ == 0)) end_word();
  if (tap_ < taps_) start_tap();
}

void FeederBuffer::end_word() {
  const auto places = static_cast<std::size_t>(taps_per_cycle_);
  const auto lanes = static_cast<std::size_t>(lanes_);
  const auto end = static_cast<std::size_t>(tap_);
  const std::size_t word = (end - 1) / places;
  filling_->word_taps[word] = end - word * places;
  for (std::size_t place = end; place < (word + 1) * places; ++place) {
    const auto clear = [&](auto& values) {
      std::fill_n(values.begin() + static_cast<std::ptrdiff_t>(place * lanes), filling_->live, 0);
    };
    clear(filling_->codes);
    clear(filling_->integers);
    clear(filling_->valid);
    filling_->valid_lanes[place] = 0;
    filling_->nonzero_lanes[place] = 0;
  }
  tap_ = static_cast<std::int64_t>((word + 1) * places);
  int adding = 0;
  for (std::size_t lane = 0; lane < static_cast<std::size_t>(filling_->live); ++lane) {
    bool valid = false;
    for (std::size_t place = word * places; place < end; ++place) valid |= filling_->valid[place * lanes + lane] != 0;
    adding += valid ? 1 : 0;
  }
  filling_->word_lanes[word] = adding;
}

// Up to a lane, of the tap at hand. What the loop reads does not change in it, which the compiler could not tell of
// members beside stores of bytes.
template <Side side>
void FeederBuffer::fill_lanes(int end) {
  const std::uint16_t* const operand = codes_.data();
  const std::int64_t* const integer_of_code = integer_of_code_.data();
  const Lane* const lanes = filling_->lanes.data();
  const std::array<std::int64_t, 2> plane = plane_;
  const std::int64_t offset = offset_;
  const std::int64_t y = y_;
  const std::int64_t x = x_;
  const std::int64_t base = tap_ * lanes_;
  std::uint16_t* const codes = filling_->codes.data() + base;
  std::int32_t* const integers = filling_->integers.data() + base;
  std::uint8_t* const valids = filling_->valid.data() + base;
  int valid_lanes = 0;
  int nonzero_lanes = 0;
  for (int i = lane_; i < end; ++i) {
    const Lane& lane = lanes[i];
    const bool valid = side == Side::kRows || lies_in(plane, lane.y + y, lane.x + x);
    const std::uint16_t code = valid ? operand[lane.element + offset] : std::uint16_t{0};
    codes[i] = code;
    integers[i] = static_cast<std::int32_t>(integer_of_code[code]);
    valids[i] = valid ? 1 : 0;
    valid_lanes += valid ? 1 : 0;
    nonzero_lanes += code != 0 ? 1 : 0;
  }
  filling_->valid_lanes[static_cast<std::size_t>(tap_)] += valid_lanes;
  filling_->nonzero_lanes[static_cast<std::size_t>(tap_)] += nonzero_lanes;
}

void FeederBuffer::fill() {
  std::int64_t left = fill_ports_;
  std::int64_t filled_words = 0;
  while (left > 0 && tap_ < taps_) {
    const int end = static_cast<int>(std::min<std::int64_t>(filling_->live, lane_ + left));
    side_ == Side::kRows ? fill_lanes<Side::kRows>(end) : fill_lanes<Side::kColumns>(end);
    left -= end - lane_;
    filled_words += end - lane_;
    lane_ = end;
    if (lane_ == filling_->live) {
      lane_ = 0;
      end_tap();
    }
  }
  const std::uint64_t bits = static_cast<std::uint64_t>(filled_words) * element_bits_;
  traffic_.sram_reads += bits;
  traffic_.buffer_writes += bits;
  if (streams_from_dram()) traffic_.dram_reads += bits;
}

}  // namespace mlsim::sim
