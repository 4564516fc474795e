// The accelerator: controller, operand feeders, array, result banks and dynamic quantizer, wired up.
// Tested in tests/sim/simulate_test.cpp.
#pragma once

#include <cstdint>
#include <memory>
#include <systemc>

#include "models/convolution/operation_counts.h"
#include "sim/array_config.h"
#include "sim/systemc/array_module.h"
#include "sim/systemc/controller.h"
#include "sim/systemc/dram_channel.h"
#include "sim/systemc/dynamic_quantizer.h"
#include "sim/systemc/job.h"
#include "sim/systemc/operand_feeder.h"
#include "sim/systemc/result_banks.h"
#include "sim/systemc/sram_port.h"

namespace mlsim::sim {

class Accelerator : public sc_core::sc_module {
 public:
  Accelerator(const sc_core::sc_module_name& name, Detail detail, const ArrayConfig& config);

  // A job must outlive its run. It begins with the next clock edge; the simulation pauses at its end.
  void load(const Job& job);
  bool done() const { return controller_.done(); }
  void trace(sc_core::sc_trace_file* file) const override;

  // Of the job that was loaded last.
  CycleCounts cycles() const { return controller_.cycles(); }
  models::OperationCounts counts() const { return array_->counts(); }
  std::uint64_t zero_products() const { return array_->zero_products(); }
  OperandToggles toggles() const {
    return {row_feeder_.buffer().toggled_bits(), column_feeder_.buffer().toggled_bits()};
  }
  Traffic traffic() const;
  const models::Tensor<float>& results() const { return banks_.results(); }
  bool results_are_finite() const { return banks_.finite(); }
  const std::vector<models::ScaledTensor>& quantized() const { return quantizer_.tensors(); }

 private:
  void wire_controller();
  void wire_feeder(OperandFeeder& feeder, sc_core::sc_signal<bool>& half);
  void add_array(Detail detail, const ArrayConfig& config);
  std::unique_ptr<ArrayModule> wired_array(const ArrayConfig& config);
  std::unique_ptr<SequencedArray> sequenced_array(Detail detail, const ArrayConfig& config);
  template <typename StructuralArray>
  void wire_banks(StructuralArray& array);
  void add_channel(const ArrayConfig& config);
  std::unique_ptr<SramPort> sram_port(const char* name, Side side, const ArrayConfig& config,
                                      sc_core::sc_signal<bool>& carried);

  sc_core::sc_clock clock_;
  sc_core::sc_signal<bool> reset_;
  // For whoever reads a trace: what is computed (models::Pass), and how many passes have begun.
  sc_core::sc_signal<std::uint32_t> pass_;
  sc_core::sc_signal<std::uint32_t> pass_number_;
  sc_core::sc_signal<bool> fill_start_;
  sc_core::sc_signal<bool> read_enable_;
  sc_core::sc_signal<std::uint32_t> tap_;
  sc_core::sc_signal<bool> row_half_;
  sc_core::sc_signal<bool> column_half_;
  sc_core::sc_signal<bool> group_end_;
  sc_core::sc_signal<std::uint32_t> group_outer_;
  sc_core::sc_signal<std::uint32_t> group_tap_;
  sc_core::sc_signal<bool> first_group_;
  sc_core::sc_signal<bool> last_group_;
  sc_core::sc_signal<bool> fold_load_;
  sc_core::sc_signal<bool> sums_begin_;
  sc_core::sc_signal<bool> hand_over_;
  sc_core::sc_signal<bool> scaler_start_;
  sc_core::sc_signal<bool> scaler_first_group_;
  sc_core::sc_signal<bool> scaler_last_group_;
  sc_core::sc_signal<bool> quantizer_start_;
  sc_core::sc_signal<bool> tile_start_;
  sc_core::sc_signal<bool> tile_done_;
  sc_core::sc_signal<bool> operands_ready_;
  sc_core::sc_signal<bool> drained_;
  sc_core::sc_signal<bool> rows_carried_;
  sc_core::sc_signal<bool> columns_carried_;

  // From the group-scale units to their banks; none at cycle detail.
  sc_core::sc_vector<sc_core::sc_signal<bool>> result_valid_;
  sc_core::sc_vector<sc_core::sc_signal<std::uint64_t>> result_address_;
  sc_core::sc_vector<sc_core::sc_signal<std::uint32_t>> result_;

  const bool rows_stay_;       // Dataflow::rows_stay
  bool results_leave_ = true;  // for DRAM in binary32, of the job

  Controller controller_;
  OperandFeeder row_feeder_;
  OperandFeeder column_feeder_;
  ResultBanks banks_;
  DynamicQuantizer quantizer_;
  std::unique_ptr<ArrayModule> array_;
  std::unique_ptr<DramChannel> channel_;  // where memory takes time
  // Where reading the SRAM does.
  std::unique_ptr<SramPort> row_port_;
  std::unique_ptr<SramPort> column_port_;
};

}  // namespace mlsim::sim
