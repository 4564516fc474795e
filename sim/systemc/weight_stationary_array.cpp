#include "sim/systemc/weight_stationary_array.h"

#include <algorithm>
#include <string>

#include "sim/weight_stationary/folds.h"

namespace mlsim::sim {
namespace {

std::vector<models::Fields> fields_by_code(const models::ElementFormat& format) {
  std::vector<models::Fields> fields(std::size_t{1} << format.code_bits());
  for (std::size_t code = 0; code < fields.size(); ++code) {
    fields[code] = models::split_fields(format, static_cast<std::uint16_t>(code));
  }
  return fields;
}

}  // namespace

WeightStationaryArray::WeightStationaryArray(const sc_core::sc_module_name& name, const ArrayConfig& config,
                                             FeederBuffer& rows, FeederBuffer& columns)
    : SequencedArray(name),
      result_valid("result_valid", scaler_count(config)),
      result_address("result_address", scaler_count(config)),
      result("result", scaler_count(config)),
      rows_count_(static_cast<std::size_t>(config.rows)),
      columns_count_(static_cast<std::size_t>(config.columns)),
      taps_per_cycle_(static_cast<std::size_t>(config.taps_per_cycle)),
      column_wire_rows_(static_cast<std::size_t>(config.rows_with_column_wires())),
      rows_(rows),
      columns_(columns),
      partial_sums_(rows_count_, static_cast<std::size_t>(columns.lanes())),
      own_("own_", 1, rows_count_ * columns_count_, taps_per_cycle_),
      column_wires_("column_", column_wire_rows_, columns_count_, taps_per_cycle_),
      passes_("passes", columns_count_),
      sum_in_("sum_in", rows_count_),
      arrived_("arrived"),
      ends_(rows_count_, column_wire_rows_) {
  SC_HAS_PROCESS(WeightStationaryArray);
  SC_METHOD(tick);
  sensitive << clock.pos();
  dont_initialize();
  add_elements();
  add_scalers(config);
}

void WeightStationaryArray::add_elements() {
  const std::size_t count = rows_count_ * columns_count_;
  const auto name_of = [&](std::size_t element) {
    return "element_" + std::to_string(element / columns_count_) + "_" + std::to_string(element % columns_count_);
  };
  const auto lane_of = [&](std::size_t element) { return column_wire_rows_ == 1 ? element % columns_count_ : element; };
  if (taps_per_cycle_ == 1) {
    elements_.init(count, [&](const char* /*name*/, std::size_t element) {
      return new WeightStationaryElement(name_of(element).c_str(), own_, element, column_wires_, lane_of(element));
    });
  } else {
    dot_elements_.init(count, [&](const char* /*name*/, std::size_t element) {
      return new WeightStationaryDotElement(name_of(element).c_str(), own_, element, column_wires_, lane_of(element),
                                            taps_per_cycle_);
    });
  }
  for_each_element([&](const auto& element) { sums_.push_back(&element.sum()); });
  const auto wire = [&](auto& elements) {
    for (std::size_t i = 0; i < elements.size(); ++i) {
      elements[i].clock(clock);
      elements[i].reset(reset);
      elements[i].passes(passes_[i % columns_count_]);
      elements[i].sum_in(i % columns_count_ == 0 ? sum_in_[i / columns_count_] : *sums_[i - 1]);
    }
  };
  wire(elements_);
  wire(dot_elements_);
}

void WeightStationaryArray::add_scalers(const ArrayConfig& config) {
  const auto share = static_cast<std::size_t>(weight_stationary::rows_of_scaler(config));
  scalers_.init(scaler_count(config), [&](const char* /*name*/, std::size_t unit) {
    const std::string unit_name = "scaler_" + std::to_string(unit);
    const std::size_t first = unit * share;
    return new RowScaler(unit_name.c_str(), ends_, partial_sums_, first, std::min(share, rows_count_ - first));
  });
  for (std::size_t unit = 0; unit < scalers_.size(); ++unit) {
    RowScaler& scaler = scalers_[unit];
    scaler.clock(clock);
    scaler.reset(reset);
    scaler.arrived(arrived_);
    for (std::size_t slot = 0; slot < scaler.sums.size(); ++slot) {
      scaler.sums[slot](*sums_[(unit * share + slot + 1) * columns_count_ - 1]);
    }
    scaler.result_valid(result_valid[unit]);
    scaler.result_address(result_address[unit]);
    scaler.result(result[unit]);
  }
}

void WeightStationaryArray::load(const Job& job) {
  job_ = &job;
  groups_at_once_ = static_cast<std::size_t>(job.schedule->groups_at_once());
  row_fields_ = fields_by_code(job.row_operand->format.element);
  column_fields_ = fields_by_code(job.column_operand->format.element);
  sum_traffic_ = {};
  requests_.assign(columns_count_, {});
  tags_.assign(columns_count_ + 1, {});
  folds_ends_.clear();
  positions_ends_.clear();
  for (WeightStationaryElement& element : elements_) element.load(job);
  for (WeightStationaryDotElement& element : dot_elements_) element.load(job);
  for (RowScaler& scaler : scalers_) scaler.load(job);
}

void WeightStationaryArray::tick() {
  // 1. A position is accepted: the first column's operands and the rows' partial sums are read.
  requests_.pop_back();
  requests_.emplace_front();
  tags_.pop_back();
  tags_.emplace_front();
  if (!reset.read() && read_enable.read()) accept();
  // 2. Every column does what the one to its left did a cycle before.
  for (std::size_t column = 0; column < columns_count_; ++column) run_column(column, requests_[column]);
  // 3. Sums that are at the ends of the rows and do not end their group go back into their memory.
  store_sums();
  // 4. Those that come there next.
  move_tags();
}

void WeightStationaryArray::accept() {
  const FeederBuffer::Half& row_source = rows_.half(row_half.read() ? 1 : 0);
  const FeederBuffer::Half& column_source = columns_.half(column_half.read() ? 1 : 0);
  const std::size_t at = index.read();
  requests_.front() = {true,
                       fold_load.read(),
                       row_half.read() ? 1 : 0,
                       column_half.read() ? 1 : 0,
                       at,
                       static_cast<std::size_t>(column_source.filled_taps),
                       static_cast<std::size_t>(row_source.live),
                       static_cast<std::size_t>(column_source.groups),
                       static_cast<std::size_t>(column_source.width)};
  if (fold_load.read()) rows_.count_load(requests_.front().row_half);
  columns_.count_position(requests_.front().column_half, at);

  PositionTag& tag = tags_.front();
  tag.valid = true;
  tag.first_of_fold = at == 0;
  tag.fold = {sums_begin.read(), group_end.read(), first_group.read(), last_group.read()};
  tag.position = index.read();
  const auto live = static_cast<std::size_t>(row_source.live);
  sum_traffic_.count(tag.fold, job_->sum_word_bits, live);
  for (std::size_t row = 0; row < live; ++row) {
    sum_in_[row].write(tag.fold.begins ? 0 : partial_sums_.integer(at, row));
  }
  if (!tag.fold.ends_group) return;
  const Request& request = requests_.front();
  for (std::size_t group = 0; group < groups_at_once_; ++group) {
    positions_ends_.push_back(group < request.groups ? end_of(columns_, column_source, group * request.width + at)
                                                     : LaneEnd{});
  }
  if (!tag.first_of_fold) return;
  std::vector<LaneEnd>& ends = folds_ends_.emplace_back();
  for (std::size_t row = 0; row < live; ++row) ends.push_back(end_of(rows_, row_source, row));
}

LaneEnd WeightStationaryArray::end_of(const FeederBuffer& buffer, const FeederBuffer::Half& half,
                                      std::size_t lane) const {
  return {buffer.scale(half, lane, group_outer.read(), group_tap.read()),
          static_cast<std::uint64_t>(half.lanes[lane].result)};
}

void WeightStationaryArray::run_column(std::size_t column, const Request& request) {
  passes_[column].write(request.reads);
  const std::size_t first = column * taps_per_cycle_;
  for (std::size_t tap = first; tap < first + taps_per_cycle_; ++tap) {
    if (request.loads) load_tap(tap, request);
    if (request.reads) drive_tap(tap, request);
  }
}

void WeightStationaryArray::load_tap(std::size_t tap, const Request& request) {
  const FeederBuffer::Half& source = rows_.half(request.row_half);
  const std::size_t taps_of_row = columns_count_ * taps_per_cycle_;
  for (std::size_t row = 0; row < rows_count_; ++row) {
    const std::size_t wire = row * taps_of_row + tap;
    const bool valid = tap < request.taps && row < request.live;
    own_.valid[wire].write(valid);
    if (valid) own_.write(wire, row_fields_[source.codes[tap * rows_count_ + row]]);
  }
}

void WeightStationaryArray::drive_tap(std::size_t tap, const Request& request) {
  const FeederBuffer::Half& source = columns_.half(request.column_half);
  const std::size_t first = tap * static_cast<std::size_t>(columns_.lanes()) + request.position;
  for (std::size_t row = 0; row < column_wire_rows_; ++row) {
    const std::size_t wire = row * columns_count_ * taps_per_cycle_ + tap;
    const std::size_t group = group_of_row(row);
    const std::size_t place = first + group * request.width;
    const bool valid = tap < request.taps && group < request.groups && source.valid[place] != 0;
    column_wires_.valid[wire].write(valid);
    if (valid) column_wires_.write(wire, column_fields_[source.codes[place]]);
  }
}

void WeightStationaryArray::store_sums() {
  const PositionTag& tag = arrived_.read();
  if (!tag.valid || tag.fold.ends_group) return;
  for (std::size_t row = 0; row < rows_count_; ++row) {
    partial_sums_.integer(tag.position, row) = sums_[(row + 1) * columns_count_ - 1]->read();
  }
}

void WeightStationaryArray::move_tags() {
  const PositionTag& next = tags_.back();
  if (next.valid || arrived_.read().valid) arrived_.write(next);
  if (!next.valid || !next.fold.ends_group) return;
  for (std::size_t lane = 0; lane < column_wire_rows_; ++lane) {
    const std::size_t group = group_of_row(lane);
    if (group < groups_at_once_) ends_.column_lanes.write(lane, positions_ends_[group]);
  }
  positions_ends_.erase(positions_ends_.begin(),
                        positions_ends_.begin() + static_cast<std::ptrdiff_t>(groups_at_once_));
  if (!next.first_of_fold) return;
  const std::vector<LaneEnd>& ends = folds_ends_.front();
  for (std::size_t row = 0; row < rows_count_; ++row) {
    ends_.live[row].write(row < ends.size());
    if (row < ends.size()) ends_.row_lanes.write(row, ends[row]);
  }
  folds_ends_.pop_front();
}

models::OperationCounts WeightStationaryArray::counts() const {
  models::OperationCounts counts;
  for_each_element([&](const auto& element) { counts += element.counts(); });
  for (const RowScaler& scaler : scalers_) counts += scaler.counts();
  return counts;
}

std::uint64_t WeightStationaryArray::zero_products() const {
  std::uint64_t products = 0;
  for_each_element([&](const auto& element) { products += element.zero_products(); });
  return products;
}

void WeightStationaryArray::trace(sc_core::sc_trace_file* file) const {
  own_.trace(file);
  column_wires_.trace(file);
  for (const auto& passes : passes_) sc_core::sc_trace(file, passes.read(), passes.name());
  for (const auto& sum : sum_in_) sc_core::sc_trace(file, sum.read(), sum.name());
  sc_trace(file, arrived_.read(), arrived_.name());
  ends_.trace(file);
  for_each_element([&](const auto& element) { element.trace(file); });
  for (const RowScaler& scaler : scalers_) scaler.trace(file);
}

}  // namespace mlsim::sim
