// The array at structural detail: rows × columns elements and their group-scale units.
// Tested in tests/sim/simulate_test.cpp.
#pragma once

#include <cstdint>
#include <systemc>

#include "models/convolution/operation_counts.h"
#include "sim/array_config.h"
#include "sim/systemc/array_module.h"
#include "sim/systemc/group_scaler.h"
#include "sim/systemc/job.h"
#include "sim/systemc/operand_feeder.h"
#include "sim/systemc/output_stationary_dot_element.h"
#include "sim/systemc/output_stationary_element.h"

namespace mlsim::sim {

class OutputStationaryArray : public ArrayModule {
 public:
  sc_core::sc_in<bool> clock;
  sc_core::sc_in<bool> reset;
  sc_core::sc_in<bool> hand_over;
  sc_core::sc_in<bool> scaler_start;
  sc_core::sc_in<bool> scaler_first_group;
  sc_core::sc_in<bool> scaler_last_group;
  // One of each for every group-scale unit.
  sc_core::sc_vector<sc_core::sc_out<bool>> result_valid;
  sc_core::sc_vector<sc_core::sc_out<std::uint64_t>> result_address;
  sc_core::sc_vector<sc_core::sc_out<std::uint32_t>> result;  // bits of a binary32

  OutputStationaryArray(const sc_core::sc_module_name& name, const ArrayConfig& config, const OperandWires& rows,
                        const OperandWires& columns);

  void load(const Job& job) override;
  void trace(sc_core::sc_trace_file* file) const override;
  models::OperationCounts counts() const override;
  std::uint64_t zero_products() const override;

 private:
  template <typename Use>
  void for_each_element(const Use& use) const {
    for (const OutputStationaryElement& element : elements_) use(element);
    for (const OutputStationaryDotElement& element : dot_elements_) use(element);
  }

  // Row by row: one of the two, as the elements have one multiplier or several.
  sc_core::sc_vector<OutputStationaryElement> elements_;
  sc_core::sc_vector<OutputStationaryDotElement> dot_elements_;
  sc_core::sc_vector<GroupScaler> scalers_;
};

}  // namespace mlsim::sim
