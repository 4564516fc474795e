#include "sim/systemc/accelerator.h"

#include <utility>

#include "sim/dataflow.h"
#include "sim/systemc/output_stationary_array.h"
#include "sim/systemc/output_stationary_cycle_array.h"
#include "sim/systemc/weight_stationary_array.h"
#include "sim/systemc/weight_stationary_cycle_array.h"

namespace mlsim::sim {
namespace {

// Wires from the feeders to every element; without them the array reads the buffers by itself.
bool has_operand_wires(Detail detail, const ArrayConfig& config) {
  return detail == Detail::kStructural && !dataflow_of(config).rows_stay;
}

}  // namespace

Accelerator::Accelerator(const sc_core::sc_module_name& name, Detail detail, const ArrayConfig& config)
    : sc_core::sc_module(name),
      clock_("clock", sc_core::sc_time(1, sc_core::SC_NS), 0.5, sc_core::sc_time(1, sc_core::SC_NS)),
      reset_("reset"),
      pass_("pass"),
      pass_number_("pass_number"),
      fill_start_("fill_start"),
      read_enable_("read_enable"),
      tap_("tap"),
      row_half_("row_half"),
      column_half_("column_half"),
      group_end_("group_end"),
      group_outer_("group_outer"),
      group_tap_("group_tap"),
      first_group_("first_group"),
      last_group_("last_group"),
      fold_load_("fold_load"),
      sums_begin_("sums_begin"),
      hand_over_("hand_over"),
      scaler_start_("scaler_start"),
      scaler_first_group_("scaler_first_group"),
      scaler_last_group_("scaler_last_group"),
      quantizer_start_("quantizer_start"),
      tile_start_("tile_start"),
      tile_done_("tile_done"),
      operands_ready_("operands_ready", true),
      drained_("drained", true),
      rows_carried_("rows_carried", true),
      columns_carried_("columns_carried", true),
      result_valid_("result_valid", detail == Detail::kStructural ? scaler_count(config) : 0),
      result_address_("result_address", result_valid_.size()),
      result_("result", result_valid_.size()),
      rows_stay_(dataflow_of(config).rows_stay),
      controller_("controller", config),
      row_feeder_("row_feeder", Side::kRows, config, has_operand_wires(detail, config)),
      column_feeder_("column_feeder", Side::kColumns, config, has_operand_wires(detail, config)),
      banks_("result_banks", result_valid_.size()),
      quantizer_("quantizer", config, banks_) {
  wire_controller();
  wire_feeder(row_feeder_, row_half_);
  wire_feeder(column_feeder_, column_half_);
  banks_.clock(clock_);
  quantizer_.clock(clock_);
  quantizer_.reset(reset_);
  quantizer_.start(quantizer_start_);

  add_array(detail, config);
  if (config.waits_for_memory()) add_channel(config);
  if (config.sram_read_bytes_per_cycle.limited()) {
    row_port_ = sram_port("row_sram_port", Side::kRows, config, rows_carried_);
    column_port_ = sram_port("column_sram_port", Side::kColumns, config, columns_carried_);
  }
}

void Accelerator::wire_controller() {
  controller_.clock(clock_);
  controller_.reset(reset_);
  controller_.fill_start(fill_start_);
  controller_.read_enable(read_enable_);
  controller_.tap(tap_);
  controller_.row_half(row_half_);
  controller_.column_half(column_half_);
  controller_.group_end(group_end_);
  controller_.group_outer(group_outer_);
  controller_.group_tap(group_tap_);
  controller_.first_group(first_group_);
  controller_.last_group(last_group_);
  controller_.fold_load(fold_load_);
  controller_.sums_begin(sums_begin_);
  controller_.hand_over(hand_over_);
  controller_.scaler_start(scaler_start_);
  controller_.scaler_first_group(scaler_first_group_);
  controller_.scaler_last_group(scaler_last_group_);
  controller_.quantizer_start(quantizer_start_);
  controller_.tile_start(tile_start_);
  controller_.tile_done(tile_done_);
  controller_.operands_ready(operands_ready_);
  controller_.drained(drained_);
  controller_.rows_carried(rows_carried_);
  controller_.columns_carried(columns_carried_);
}

void Accelerator::wire_feeder(OperandFeeder& feeder, sc_core::sc_signal<bool>& half) {
  feeder.clock(clock_);
  feeder.reset(reset_);
  feeder.fill_start(fill_start_);
  feeder.read_enable(read_enable_);
  feeder.tap(tap_);
  feeder.half(half);
  feeder.group_end(group_end_);
  feeder.group_outer(group_outer_);
  feeder.group_tap(group_tap_);
  feeder.hand_over(hand_over_);
}

void Accelerator::add_array(Detail detail, const ArrayConfig& config) {
  if (has_operand_wires(detail, config)) {
    array_ = wired_array(config);
    return;
  }
  std::unique_ptr<SequencedArray> array = sequenced_array(detail, config);
  array->clock(clock_);
  array->reset(reset_);
  array->read_enable(read_enable_);
  array->index(tap_);
  array->row_half(row_half_);
  array->column_half(column_half_);
  array->group_end(group_end_);
  array->group_outer(group_outer_);
  array->group_tap(group_tap_);
  array->first_group(first_group_);
  array->last_group(last_group_);
  array->fold_load(fold_load_);
  array->sums_begin(sums_begin_);
  array_ = std::move(array);
}

std::unique_ptr<ArrayModule> Accelerator::wired_array(const ArrayConfig& config) {
  auto array = std::make_unique<OutputStationaryArray>("array", config, row_feeder_.wires(), column_feeder_.wires());
  array->clock(clock_);
  array->reset(reset_);
  array->hand_over(hand_over_);
  array->scaler_start(scaler_start_);
  array->scaler_first_group(scaler_first_group_);
  array->scaler_last_group(scaler_last_group_);
  wire_banks(*array);
  return array;
}

std::unique_ptr<SequencedArray> Accelerator::sequenced_array(Detail detail, const ArrayConfig& config) {
  FeederBuffer& rows = row_feeder_.buffer();
  FeederBuffer& columns = column_feeder_.buffer();
  if (detail == Detail::kStructural) {
    auto array = std::make_unique<WeightStationaryArray>("array", config, rows, columns);
    wire_banks(*array);
    return array;
  }
  if (rows_stay_) return std::make_unique<WeightStationaryCycleArray>("array", config, rows, columns, banks_);
  return std::make_unique<OutputStationaryCycleArray>("array", config, rows, columns, banks_);
}

template <typename StructuralArray>
void Accelerator::wire_banks(StructuralArray& array) {
  for (std::size_t unit = 0; unit < result_valid_.size(); ++unit) {
    array.result_valid[unit](result_valid_[unit]);
    array.result_address[unit](result_address_[unit]);
    array.result[unit](result_[unit]);
    banks_.valid[unit](result_valid_[unit]);
    banks_.address[unit](result_address_[unit]);
    banks_.value[unit](result_[unit]);
  }
}

void Accelerator::add_channel(const ArrayConfig& config) {
  channel_ = std::make_unique<DramChannel>("dram_channel", config);
  channel_->clock(clock_);
  channel_->reset(reset_);
  channel_->tile_start(tile_start_);
  channel_->tile_done(tile_done_);
  channel_->quantizer_start(quantizer_start_);
  channel_->operands_ready(operands_ready_);
  channel_->drained(drained_);
}

std::unique_ptr<SramPort> Accelerator::sram_port(const char* name, Side side, const ArrayConfig& config,
                                                 sc_core::sc_signal<bool>& carried) {
  auto port = std::make_unique<SramPort>(name, side, config);
  port->clock(clock_);
  port->reset(reset_);
  port->fill_start(fill_start_);
  port->carried(carried);
  return port;
}

void Accelerator::load(const Job& job) {
  row_feeder_.load(job);
  column_feeder_.load(job);
  banks_.load(job);
  quantizer_.load(job);
  results_leave_ = job.results.leave;
  array_->load(job);
  if (channel_) channel_->load(job);
  if (row_port_) row_port_->load(job);
  if (column_port_) column_port_->load(job);
  controller_.load(job);
  pass_.write(static_cast<std::uint32_t>(job.pass));
  pass_number_.write(pass_number_.read() + 1);
}

Traffic Accelerator::traffic() const {
  const FeederTraffic& rows = row_feeder_.buffer().traffic();
  const FeederTraffic& columns = column_feeder_.buffer().traffic();
  const std::uint64_t result_bits = 32 * static_cast<std::uint64_t>(banks_.results().size());
  Traffic traffic;
  traffic.dram_row_reads = rows.dram_reads;
  traffic.dram_column_reads = columns.dram_reads;
  traffic.dram_result_writes = results_leave_ ? result_bits : 0;
  traffic.dram_result_reads = quantizer_.returned_bits();
  traffic.dram_code_writes = quantizer_.written_bits();
  traffic.sram_operand_writes = rows.dram_reads + columns.dram_reads;
  traffic.sram_row_reads = rows.sram_reads;
  traffic.sram_column_reads = columns.sram_reads;
  traffic.sram_result_writes = banks_.written_bits() + quantizer_.returned_bits() + quantizer_.kept_bits();
  traffic.sram_result_reads = traffic.dram_result_writes + quantizer_.read_bits();
  const SumTraffic sums = array_->sum_traffic();
  traffic.sram_sum_writes = sums.writes;
  traffic.sram_sum_reads = sums.reads;
  traffic.row_buffer_writes = rows.buffer_writes;
  traffic.row_buffer_reads = rows.buffer_reads;
  traffic.column_buffer_writes = columns.buffer_writes;
  traffic.column_buffer_reads = columns.buffer_reads;
  return traffic;
}

void Accelerator::trace(sc_core::sc_trace_file* file) const {
  sc_core::sc_trace(file, clock_, clock_.name());
  sc_core::sc_trace(file, reset_, reset_.name());
  sc_core::sc_trace(file, pass_, pass_.name());
  sc_core::sc_trace(file, pass_number_, pass_number_.name());
  sc_core::sc_trace(file, fill_start_, fill_start_.name());
  sc_core::sc_trace(file, read_enable_, read_enable_.name());
  sc_core::sc_trace(file, tap_, tap_.name());
  sc_core::sc_trace(file, row_half_, row_half_.name());
  sc_core::sc_trace(file, column_half_, column_half_.name());
  sc_core::sc_trace(file, group_end_, group_end_.name());
  sc_core::sc_trace(file, group_outer_, group_outer_.name());
  sc_core::sc_trace(file, group_tap_, group_tap_.name());
  sc_core::sc_trace(file, first_group_, first_group_.name());
  sc_core::sc_trace(file, last_group_, last_group_.name());
  if (rows_stay_) {
    sc_core::sc_trace(file, fold_load_, fold_load_.name());
    sc_core::sc_trace(file, sums_begin_, sums_begin_.name());
  } else {
    sc_core::sc_trace(file, hand_over_, hand_over_.name());
    sc_core::sc_trace(file, scaler_start_, scaler_start_.name());
    sc_core::sc_trace(file, scaler_first_group_, scaler_first_group_.name());
    sc_core::sc_trace(file, scaler_last_group_, scaler_last_group_.name());
  }
  sc_core::sc_trace(file, quantizer_start_, quantizer_start_.name());
  row_feeder_.trace(file);
  column_feeder_.trace(file);
  quantizer_.trace(file);
  if (channel_) {
    sc_core::sc_trace(file, tile_start_, tile_start_.name());
    sc_core::sc_trace(file, tile_done_, tile_done_.name());
    sc_core::sc_trace(file, operands_ready_, operands_ready_.name());
    sc_core::sc_trace(file, drained_, drained_.name());
    channel_->trace(file);
  }
  if (row_port_) row_port_->trace(file);
  if (column_port_) column_port_->trace(file);
  array_->trace(file);
  for (std::size_t unit = 0; unit < result_valid_.size(); ++unit) {
    sc_core::sc_trace(file, result_valid_[unit], result_valid_[unit].name());
    sc_core::sc_trace(file, result_address_[unit], result_address_[unit].name());
    sc_core::sc_trace(file, result_[unit], result_[unit].name());
  }
}

}  // namespace mlsim::sim
