// How passes run on the array, as a value: which operand stays, which moves, and in what order. The closed form and the
// SystemC machine of a dataflow agree; who asks for cycles, traffic or toggles asks a Dataflow.
#pragma once

#include <cstdint>

#include "models/convolution/convolution.h"
#include "models/convolution/operation_counts.h"
#include "models/formats/format.h"
#include "models/formats/scaled_tensor.h"
#include "sim/array_config.h"
#include "sim/exchange.h"
#include "sim/statistics.h"

namespace mlsim::sim {

struct PassPrediction {
  models::OperationCounts counts;  // overflows and non_finite, which depend on the values, are 0
  CycleCounts cycles;
  Traffic traffic;
};

struct Dataflow {
  // The closed form: what a pass costs, from its shape, its formats and the array alone. Operands as in
  // models::left_operand and right_operand. A baseline format runs with the same dataflow and no group scaler: all of a
  // result's reduction is one group, added up in place, and the counts hold multiplications (mantissa_multiplies) and
  // additions (integer_adds, tree_adds) only. Both operands are block-scaled or both are baselines. `exchange` says
  // what results are quantized to, and what does not pass through DRAM. Throws std::runtime_error for a block-scaled
  // operand beside a baseline.
  PassPrediction (*predict)(models::Pass pass, const models::ConvolutionShape& shape, const models::Format& left,
                            const models::Format& right, const ArrayConfig& config, const Exchange& exchange);

  // How many bits of the operand registers change, from the values without simulating.
  OperandToggles (*count_toggles)(models::Pass pass, const models::ConvolutionShape& shape,
                                  const models::ScaledTensor& left, const models::ScaledTensor& right,
                                  const ArrayConfig& config);

  // How many units that scale the sums of reduction groups the array has.
  std::int64_t (*group_scale_units)(const ArrayConfig& config);
  // Columns of results of a whole tile where so many convolution groups stand side by side.
  std::int64_t (*tile_columns)(const ArrayConfig& config, std::int64_t groups_at_once);
  // Whether the operand of the rows stays in the elements, whose registers are its only buffer. Sums pass along the
  // rows then, and between the steps of a tile through the global SRAM; else they stay in the elements.
  bool rows_stay;
};

// The dataflow of an array.
const Dataflow& dataflow_of(const ArrayConfig& config);

// Multiply-adds for each multiplier and array cycle, at most 1.
double utilization(const models::OperationCounts& counts, const CycleCounts& cycles, const ArrayConfig& config);

}  // namespace mlsim::sim
