#include "sim/systemc/output_stationary_array.h"

#include <algorithm>
#include <string>
#include <vector>

namespace mlsim::sim {

OutputStationaryArray::OutputStationaryArray(const sc_core::sc_module_name& name, const ArrayConfig& config,
                                             const OperandWires& rows, const OperandWires& columns)
    : ArrayModule(name),
      result_valid("result_valid", scaler_count(config)),
      result_address("result_address", scaler_count(config)),
      result("result", scaler_count(config)) {
  const auto array_columns = static_cast<std::size_t>(config.columns);
  const std::size_t count = static_cast<std::size_t>(config.rows) * array_columns;
  const auto share = static_cast<std::size_t>(config.elements_per_scaler);
  const auto multipliers = static_cast<std::size_t>(config.taps_per_cycle);

  const auto element_name = [&](std::size_t element) {
    return "element_" + std::to_string(element / array_columns) + "_" + std::to_string(element % array_columns);
  };
  if (multipliers == 1) {
    elements_.init(count, [&](const char* /*name*/, std::size_t element) {
      return new OutputStationaryElement(element_name(element).c_str(), rows, columns, element / array_columns,
                                         element % array_columns);
    });
  } else {
    dot_elements_.init(count, [&](const char* /*name*/, std::size_t element) {
      return new OutputStationaryDotElement(element_name(element).c_str(), rows, columns, element, array_columns,
                                            multipliers);
    });
  }
  const auto wire = [&](auto& element) {
    element.clock(clock);
    element.reset(reset);
    element.hand_over(hand_over);
  };
  for (OutputStationaryElement& element : elements_) wire(element);
  for (OutputStationaryDotElement& element : dot_elements_) wire(element);
  std::vector<const sc_core::sc_signal<std::int64_t>*> handed_over;
  for_each_element([&](const auto& element) { handed_over.push_back(&element.handed_over()); });

  scalers_.init(scaler_count(config), [&](const char* /*name*/, std::size_t unit) {
    const std::string unit_name = "scaler_" + std::to_string(unit);
    const std::size_t first = unit * share;
    return new GroupScaler(unit_name.c_str(), rows, columns, first, std::min(share, count - first), array_columns);
  });
  for (std::size_t unit = 0; unit < scalers_.size(); ++unit) {
    GroupScaler& scaler = scalers_[unit];
    scaler.clock(clock);
    scaler.reset(reset);
    scaler.start(scaler_start);
    scaler.first_group(scaler_first_group);
    scaler.last_group(scaler_last_group);
    for (std::size_t slot = 0; slot < scaler.handed_over.size(); ++slot) {
      scaler.handed_over[slot](*handed_over[unit * share + slot]);
    }
    scaler.result_valid(result_valid[unit]);
    scaler.result_address(result_address[unit]);
    scaler.result(result[unit]);
  }
}

void OutputStationaryArray::load(const Job& job) {
  for (OutputStationaryElement& element : elements_) element.load(job);
  for (OutputStationaryDotElement& element : dot_elements_) element.load(job);
  for (GroupScaler& scaler : scalers_) scaler.load(job);
}

models::OperationCounts OutputStationaryArray::counts() const {
  models::OperationCounts counts;
  for_each_element([&](const auto& element) { counts += element.counts(); });
  for (const GroupScaler& scaler : scalers_) counts += scaler.counts();
  return counts;
}

std::uint64_t OutputStationaryArray::zero_products() const {
  std::uint64_t products = 0;
  for_each_element([&](const auto& element) { products += element.zero_products(); });
  return products;
}

void OutputStationaryArray::trace(sc_core::sc_trace_file* file) const {
  for_each_element([&](const auto& element) { element.trace(file); });
  for (const GroupScaler& scaler : scalers_) scaler.trace(file);
}

}  // namespace mlsim::sim
