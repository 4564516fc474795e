#include "sim/dataflow.h"

#include "sim/output_stationary/analytic.h"
#include "sim/output_stationary/operand_toggles.h"
#include "sim/weight_stationary/analytic.h"
#include "sim/weight_stationary/operand_toggles.h"

namespace mlsim::sim {

const Dataflow& dataflow_of(const ArrayConfig& config) {
  static constexpr Dataflow kOutputStationary{predict_pass, count_operand_toggles};
  static constexpr Dataflow kWeightStationary{weight_stationary::predict_pass,
                                              weight_stationary::count_operand_toggles};
  return config.dataflow == DataflowKind::kWeightStationary ? kWeightStationary : kOutputStationary;
}

double utilization(const models::OperationCounts& counts, const CycleCounts& cycles, const ArrayConfig& config) {
  if (cycles.array == 0) return 0;
  return static_cast<double>(counts.mantissa_multiplies) /
         (static_cast<double>(cycles.array) * static_cast<double>(config.multipliers()));
}

}  // namespace mlsim::sim
