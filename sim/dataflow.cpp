#include "sim/dataflow.h"

#include <cstdlib>

#include "base/integers.h"
#include "sim/output_stationary/analytic.h"
#include "sim/output_stationary/operand_toggles.h"
#include "sim/weight_stationary/analytic.h"
#include "sim/weight_stationary/folds.h"
#include "sim/weight_stationary/operand_toggles.h"

namespace mlsim::sim {
namespace {

constexpr Dataflow kOutputStationary{
    .predict = output_stationary::predict_pass,
    .count_toggles = output_stationary::count_operand_toggles,
    .group_scale_units =
        [](const ArrayConfig& config) {
          return base::ceiling(std::int64_t{config.rows} * config.columns, config.elements_per_scaler);
        },
    .tile_columns = [](const ArrayConfig& config, std::int64_t) { return std::int64_t{config.columns}; },
    .rows_stay = false,
};

constexpr Dataflow kWeightStationary{
    .predict = weight_stationary::predict_pass,
    .count_toggles = weight_stationary::count_operand_toggles,
    .group_scale_units = weight_stationary::scaler_count,
    .tile_columns = weight_stationary::tile_positions,
    .rows_stay = true,
};

}  // namespace

const Dataflow& dataflow_of(const ArrayConfig& config) {
  switch (config.dataflow) {
    case DataflowKind::kOutputStationary:
      return kOutputStationary;
    case DataflowKind::kWeightStationary:
      return kWeightStationary;
  }
  std::abort();
}

double utilization(const models::OperationCounts& counts, const CycleCounts& cycles, const ArrayConfig& config) {
  if (cycles.array == 0) return 0;
  return static_cast<double>(counts.mantissa_multiplies) /
         (static_cast<double>(cycles.array) * static_cast<double>(config.multipliers()));
}

}  // namespace mlsim::sim
