#include "sim/systemc/row_scaler.h"

#include <bit>
#include <cmath>

#include "base/integers.h"

namespace mlsim::sim {

bool PositionTag::operator==(const PositionTag& other) const {
  return valid == other.valid && first_of_fold == other.first_of_fold && fold.begins == other.fold.begins &&
         fold.ends_group == other.fold.ends_group && fold.first_group == other.fold.first_group &&
         fold.last_group == other.fold.last_group && position == other.position;
}

std::ostream& operator<<(std::ostream& stream, const PositionTag& tag) {
  return stream << (tag.valid ? "position " : "no position ") << tag.position;
}

void sc_trace(sc_core::sc_trace_file* file, const PositionTag& tag, const std::string& name) {
  sc_core::sc_trace(file, tag.valid, name + ".valid");
  sc_core::sc_trace(file, tag.fold.begins, name + ".begins");
  sc_core::sc_trace(file, tag.fold.ends_group, name + ".ends_group");
  sc_core::sc_trace(file, tag.fold.first_group, name + ".first_group");
  sc_core::sc_trace(file, tag.fold.last_group, name + ".last_group");
  sc_core::sc_trace(file, tag.position, name + ".position");
}

LaneEnds::LaneEnds(const std::string& prefix, std::size_t lanes)
    : scale_exponent((prefix + "scale_exponent").c_str(), lanes),
      scale_significand((prefix + "scale_significand").c_str(), lanes),
      address((prefix + "address").c_str(), lanes) {}

void LaneEnds::write(std::size_t lane, const LaneEnd& end) {
  scale_exponent[lane].write(end.scale.exponent);
  scale_significand[lane].write(end.scale.significand);
  address[lane].write(end.address);
}

void LaneEnds::trace(sc_core::sc_trace_file* file) const {
  for (std::size_t lane = 0; lane < address.size(); ++lane) {
    sc_core::sc_trace(file, scale_exponent[lane].read(), scale_exponent[lane].name());
    sc_core::sc_trace(file, scale_significand[lane].read(), scale_significand[lane].name());
    sc_core::sc_trace(file, address[lane].read(), address[lane].name());
  }
}

RowEnds::RowEnds(std::size_t rows, std::size_t rows_with_column_wires)
    : live("live", rows), row_lanes("", rows), column_lanes("column_", rows_with_column_wires) {}

void RowEnds::trace(sc_core::sc_trace_file* file) const {
  for (const auto& row : live) sc_core::sc_trace(file, row.read(), row.name());
  row_lanes.trace(file);
  column_lanes.trace(file);
}

RowScaler::RowScaler(const sc_core::sc_module_name& name, const RowEnds& ends, PartialSums& partial_sums,
                     std::size_t first_row, std::size_t share)
    : sc_core::sc_module(name),
      sums("sums", share),
      ends_(ends),
      partial_sums_(partial_sums),
      first_row_(first_row),
      share_(share),
      slot_(share),
      scaled_tag_("scaled_tag"),
      scaled_position_("scaled_position"),
      scaled_("scaled"),
      converted_tag_("converted_tag"),
      converted_position_("converted_position"),
      converted_("converted"),
      summed_tag_("summed_tag"),
      summed_("summed") {
  SC_HAS_PROCESS(RowScaler);
  SC_METHOD(tick);
  sensitive << clock.pos();
  dont_initialize();
}

void RowScaler::load(const Job& job) {
  scaler_ = job.scaler;
  tensor_scale_ = job.tensor_scale;
  counts_ = {};
}

void RowScaler::tick() {
  if (reset.read()) slot_ = share_;
  // 1. Tensor scale, into the unit's bank.
  finish();
  // 2. Sum over the groups in binary32, out of its memory and back.
  add();
  // 3. Conversion to binary32.
  convert();
  // 4. Shift-and-add with the significands of both scales, for the next row.
  if (arrived.read().valid && arrived.read().fold.ends_group) {
    slot_ = 0;
    served_ = arrived.read();
  }
  serve();
}

void RowScaler::finish() {
  const ScalerTag& tag = summed_tag_.read();
  const bool has_result = tag.valid && tag.last_group;
  result_valid.write(has_result);
  if (!has_result) return;
  const float scaled_result = std::bit_cast<float>(summed_.read()) * tensor_scale_;
  result.write(std::bit_cast<std::uint32_t>(scaled_result));
  result_address.write(tag.address);
  ++counts_.tensor_scale_multiplies;
  if (!std::isfinite(scaled_result)) ++counts_.non_finite;
}

void RowScaler::add() {
  const ScalerTag& tag = converted_tag_.read();
  if (tag.valid) {
    float& partial = partial_sums_.binary32(converted_position_.read(), first_row_ + tag.slot);
    partial = (tag.first_group ? 0 : partial) + std::bit_cast<float>(converted_.read());
    summed_.write(std::bit_cast<std::uint32_t>(partial));
    ++counts_.float_adds;
  }
  summed_tag_.write(tag);
}

void RowScaler::convert() {
  const ScalerTag& tag = scaled_tag_.read();
  if (tag.valid) {
    const ScaledSum& sum = scaled_.read();
    const base::Int128 q = static_cast<base::Int128>(sum.high) * (base::Int128{1} << 64) + sum.low;
    converted_.write(std::bit_cast<std::uint32_t>(models::round_scaled(q, sum.shift)));
    converted_position_.write(scaled_position_.read());
    ++counts_.conversions;
  }
  converted_tag_.write(tag);
}

void RowScaler::serve() {
  // Rows in use are the first ones.
  if (slot_ == share_ || !ends_.live[first_row_ + slot_].read()) {
    if (scaled_tag_.read().valid) scaled_tag_.write({});
    return;
  }
  const std::size_t row = first_row_ + slot_;
  const std::size_t column_lane = ends_.column_lane(row);
  const models::TileScale row_scale = ends_.row_lanes.scale(row);
  const models::TileScale column_scale = ends_.column_lanes.scale(column_lane);
  const base::Int128 q = models::GroupScaler::scale_sum(sums[slot_].read(), row_scale, column_scale);
  const int shift = scaler_.unit_exponent - row_scale.exponent - column_scale.exponent;
  scaled_.write({static_cast<std::int64_t>(q >> 64), static_cast<std::uint64_t>(q), shift});
  scaled_tag_.write({true, served_.fold.first_group, served_.fold.last_group, static_cast<std::uint16_t>(slot_),
                     ends_.row_lanes.address[row].read() + ends_.column_lanes.address[column_lane].read()});
  scaled_position_.write(served_.position);
  ++counts_.shift_adds;
  ++counts_.group_exponent_adds;
  ++slot_;
}

void RowScaler::trace(sc_core::sc_trace_file* file) const {
  sc_trace(file, scaled_tag_.read(), scaled_tag_.name());
  sc_core::sc_trace(file, scaled_position_, scaled_position_.name());
  sc_trace(file, scaled_.read(), scaled_.name());
  sc_trace(file, converted_tag_.read(), converted_tag_.name());
  sc_core::sc_trace(file, converted_position_, converted_position_.name());
  sc_core::sc_trace(file, converted_, converted_.name());
  sc_trace(file, summed_tag_.read(), summed_tag_.name());
  sc_core::sc_trace(file, summed_, summed_.name());
}

}  // namespace mlsim::sim
