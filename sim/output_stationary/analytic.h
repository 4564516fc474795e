// The closed form: what a pass costs on the array, from its shape, its formats and the array's parameters alone. Sums
// over the kinds of phases and tiles, not over phases, tiles, steps or taps. docs/dataflow.md derives it; the
// simulation agrees exactly.
#pragma once

#include <optional>

#include "models/convolution/convolution.h"
#include "models/convolution/operation_counts.h"
#include "models/formats/format.h"
#include "sim/array_config.h"
#include "sim/statistics.h"

namespace mlsim::sim {

struct PassPrediction {
  models::OperationCounts counts;  // overflows, which depend on the values, are 0
  CycleCounts cycles;
  Traffic traffic;
};

// Operands as in models::left_operand and right_operand. A baseline format runs with the same dataflow and no group
// scaler: all of a result's reduction is one group, added up in place, and the counts hold multiplications
// (mantissa_multiplies) and additions (integer_adds) only. Both operands are MLS or both are baselines. `result` is the
// format of the results' next role where they are quantized; none, or fp32, leaves them as they are. Throws
// std::runtime_error for an MLS operand beside a baseline.
PassPrediction predict_pass(models::Pass pass, const models::ConvolutionShape& shape, const models::Format& left,
                            const models::Format& right, const ArrayConfig& config,
                            const std::vector<models::Format>& results);

// Multiply-adds for each element and array cycle, at most 1.
double utilization(const PassPrediction& prediction, const ArrayConfig& config);
double utilization(const models::OperationCounts& counts, const CycleCounts& cycles, const ArrayConfig& config);

}  // namespace mlsim::sim
