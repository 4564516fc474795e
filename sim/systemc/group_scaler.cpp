#include "sim/systemc/group_scaler.h"

#include <bit>
#include <cmath>

#include "base/integers.h"

namespace mlsim::sim {

std::ostream& operator<<(std::ostream& stream, const ScalerTag& tag) {
  return stream << (tag.valid ? "element " : "no element ") << tag.slot;
}

void sc_trace(sc_core::sc_trace_file* file, const ScalerTag& tag, const std::string& name) {
  sc_core::sc_trace(file, tag.valid, name + ".valid");
  sc_core::sc_trace(file, tag.first_group, name + ".first_group");
  sc_core::sc_trace(file, tag.last_group, name + ".last_group");
  sc_core::sc_trace(file, tag.slot, name + ".slot");
  sc_core::sc_trace(file, tag.address, name + ".address");
}

std::ostream& operator<<(std::ostream& stream, const ScaledSum& sum) {
  return stream << sum.high << " * 2^64 + " << sum.low << " >> " << sum.shift;
}

void sc_trace(sc_core::sc_trace_file* file, const ScaledSum& sum, const std::string& name) {
  sc_core::sc_trace(file, sum.high, name + ".high");
  sc_core::sc_trace(file, sum.low, name + ".low");
  sc_core::sc_trace(file, sum.shift, name + ".shift");
}

GroupScaler::GroupScaler(const sc_core::sc_module_name& name, const OperandWires& rows, const OperandWires& columns,
                         std::size_t first_element, std::size_t share, std::size_t array_columns)
    : sc_core::sc_module(name),
      handed_over("handed_over", share),
      rows_(rows),
      columns_(columns),
      first_element_(first_element),
      share_(share),
      array_columns_(array_columns),
      slot_(share),
      scaled_tag_("scaled_tag"),
      scaled_("scaled"),
      converted_tag_("converted_tag"),
      converted_("converted"),
      summed_tag_("summed_tag"),
      partial_sum_("partial_sum", share) {
  SC_HAS_PROCESS(GroupScaler);
  SC_METHOD(tick);
  sensitive << clock.pos();
  dont_initialize();
}

void GroupScaler::load(const Job& job) {
  scaler_ = job.scaler;
  tensor_scale_ = job.tensor_scale;
  counts_ = {};
}

void GroupScaler::tick() {
  if (reset.read()) slot_ = share_;
  // 1. Tensor scale, into the unit's bank.
  const ScalerTag& summed = summed_tag_.read();
  const bool has_result = summed.valid && summed.last_group;
  result_valid.write(has_result);
  if (has_result) {
    const float scaled_result = std::bit_cast<float>(partial_sum_[summed.slot].read()) * tensor_scale_;
    result.write(std::bit_cast<std::uint32_t>(scaled_result));
    result_address.write(summed.address);
    ++counts_.tensor_scale_multiplies;
    if (!std::isfinite(scaled_result)) ++counts_.non_finite;
  }
  // 2. Sum over the groups in binary32.
  const ScalerTag& converted = converted_tag_.read();
  if (converted.valid) {
    const float before = converted.first_group ? 0 : std::bit_cast<float>(partial_sum_[converted.slot].read());
    const float sum = before + std::bit_cast<float>(converted_.read());
    partial_sum_[converted.slot].write(std::bit_cast<std::uint32_t>(sum));
    ++counts_.float_adds;
  }
  summed_tag_.write(converted);
  // 3. Conversion to binary32.
  const ScalerTag& scaled = scaled_tag_.read();
  if (scaled.valid) {
    const ScaledSum& sum = scaled_.read();
    const base::Int128 q = static_cast<base::Int128>(sum.high) * (base::Int128{1} << 64) + sum.low;
    converted_.write(std::bit_cast<std::uint32_t>(models::round_scaled(q, sum.shift)));
    ++counts_.conversions;
  }
  converted_tag_.write(scaled);
  // 4. Shift-and-add with the significands of both scales, for the next element of the share.
  if (start.read()) {
    slot_ = next_live(0);
    serves_first_group_ = first_group.read();
    serves_last_group_ = last_group.read();
  }
  serve();
}

void GroupScaler::serve() {
  if (slot_ == share_) {
    if (scaled_tag_.read().valid) scaled_tag_.write({});
    return;
  }
  const std::size_t row = row_of(slot_);
  const std::size_t column = column_lane_of(slot_);
  const models::TileScale row_scale{rows_.scale_exponent[row].read(), rows_.scale_significand[row].read()};
  const models::TileScale column_scale{columns_.scale_exponent[column].read(),
                                       columns_.scale_significand[column].read()};
  const base::Int128 q = models::GroupScaler::scale_sum(handed_over[slot_].read(), row_scale, column_scale);
  const int shift = scaler_.unit_exponent - row_scale.exponent - column_scale.exponent;
  scaled_.write({static_cast<std::int64_t>(q >> 64), static_cast<std::uint64_t>(q), shift});
  scaled_tag_.write({true, serves_first_group_, serves_last_group_, static_cast<std::uint16_t>(slot_),
                     rows_.address[row].read() + columns_.address[column].read()});
  ++counts_.shift_adds;
  ++counts_.group_exponent_adds;
  slot_ = next_live(slot_ + 1);
}

std::size_t GroupScaler::next_live(std::size_t slot) const {
  while (slot < share_ && !(rows_.live[row_of(slot)].read() && columns_.live[column_lane_of(slot)].read())) ++slot;
  return slot;
}

void GroupScaler::trace(sc_core::sc_trace_file* file) const {
  sc_trace(file, scaled_tag_.read(), scaled_tag_.name());
  sc_trace(file, scaled_.read(), scaled_.name());
  sc_trace(file, converted_tag_.read(), converted_tag_.name());
  sc_core::sc_trace(file, converted_, converted_.name());
  sc_trace(file, summed_tag_.read(), summed_tag_.name());
  for (const auto& sum : partial_sum_) sc_core::sc_trace(file, sum, sum.name());
}

}  // namespace mlsim::sim
