// What the accelerator asks of an array, whatever its dataflow and detail.
// Tested in tests/sim/simulate_test.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <systemc>

#include "models/convolution/operation_counts.h"
#include "sim/array_config.h"
#include "sim/dataflow.h"
#include "sim/systemc/job.h"
#include "sim/systemc/partial_sums.h"

namespace mlsim::sim {

// Group-scale units of an array.
inline std::size_t scaler_count(const ArrayConfig& config) {
  return static_cast<std::size_t>(dataflow_of(config).group_scale_units(config));
}

class ArrayModule : public sc_core::sc_module {
 public:
  virtual void load(const Job& job) = 0;

  // Of the job that was loaded last.
  virtual models::OperationCounts counts() const = 0;
  virtual std::uint64_t zero_products() const = 0;
  virtual SumTraffic sum_traffic() const { return {}; }

 protected:
  explicit ArrayModule(const sc_core::sc_module_name& name) : sc_core::sc_module(name) {}
};

// An array that reads the feeders' buffers by itself, as the controller tells it.
class SequencedArray : public ArrayModule {
 public:
  sc_core::sc_in<bool> clock;
  sc_core::sc_in<bool> reset;
  // As those of the Controller, by the same names; `index` is its `tap`.
  sc_core::sc_in<bool> read_enable;
  sc_core::sc_in<std::uint32_t> index;
  sc_core::sc_in<bool> row_half;
  sc_core::sc_in<bool> column_half;
  sc_core::sc_in<bool> group_end;
  sc_core::sc_in<std::uint32_t> group_outer;
  sc_core::sc_in<std::uint32_t> group_tap;
  sc_core::sc_in<bool> first_group;
  sc_core::sc_in<bool> last_group;
  sc_core::sc_in<bool> fold_load;
  sc_core::sc_in<bool> sums_begin;

 protected:
  using ArrayModule::ArrayModule;
};

}  // namespace mlsim::sim
