// How many bits of the operand registers change: one register a row and one a column of the array, in front of the
// elements.
#pragma once

#include "models/convolution.h"
#include "models/mls_tensor.h"
#include "sim/array_config.h"
#include "sim/statistics.h"

namespace mlsim::sim {

// What the simulation counts, from the values without simulating: each register takes its lane's codes in the order of
// the schedule, holds while the tap is padding and between tiles, and is 0 before the pass. A lane's codes do not
// depend on the other side's tile, so each tile's are walked once and only their ends meet for every pair of tiles.
OperandToggles count_operand_toggles(models::Pass pass, const models::ConvolutionShape& shape,
                                     const models::MlsTensor& left, const models::MlsTensor& right,
                                     const ArrayConfig& config);

}  // namespace mlsim::sim
