// The closed form: what a pass costs on the array, from its shape, its formats and the array's parameters alone. Sums
// over the kinds of phases and tiles, not over phases, tiles, steps or taps. docs/dataflow.md derives it; the
// simulation agrees exactly.
#pragma once

#include <vector>

#include "models/convolution/convolution.h"
#include "models/convolution/operation_counts.h"
#include "models/formats/format.h"
#include "sim/array_config.h"
#include "sim/statistics.h"

namespace mlsim::sim {

struct PassPrediction {
  models::OperationCounts counts;  // overflows and non_finite, which depend on the values, are 0
  CycleCounts cycles;
  Traffic traffic;
};

// Operands as in models::left_operand and right_operand. A baseline format runs with the same dataflow and no group
// scaler: all of a result's reduction is one group, added up in place, and the counts hold multiplications
// (mantissa_multiplies) and additions (integer_adds) only. Both operands are block-scaled or both are baselines.
// `results` are the formats that the results are quantized to, each of which is a run of the quantizer; none, or fp32,
// leaves them as they are. Throws std::runtime_error for a block-scaled operand beside a baseline.
PassPrediction predict_pass(models::Pass pass, const models::ConvolutionShape& shape, const models::Format& left,
                            const models::Format& right, const ArrayConfig& config,
                            const std::vector<models::Format>& results);

// Multiply-adds for each element and array cycle, at most 1.
double utilization(const PassPrediction& prediction, const ArrayConfig& config);
double utilization(const models::OperationCounts& counts, const CycleCounts& cycles, const ArrayConfig& config);

}  // namespace mlsim::sim
