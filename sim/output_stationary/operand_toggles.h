// How many bits of the operand registers change: one register a row and one a column of the array, in front of the
// elements, or one for each of their multipliers (dot_toggles.h).
#pragma once

#include "models/convolution/convolution.h"
#include "models/formats/scaled_tensor.h"
#include "sim/array_config.h"
#include "sim/statistics.h"

namespace mlsim::sim::output_stationary {

// Dataflow::count_toggles: what the simulation counts, from the values without simulating: each register takes its
// lane's codes in the order of the schedule, holds while the tap is padding and between tiles, and is 0 before the
// pass. A lane's codes do not depend on the other side's tile, so they are looked at once and only their ends meet for
// every pair of tiles. Nor are lanes walked: which places of a plane follow each other in a register is the same for
// every image and channel, so planes are compared with themselves, displaced, as often as places lie that far apart, in
// vectors and threads.
OperandToggles count_operand_toggles(models::Pass pass, const models::ConvolutionShape& shape,
                                     const models::ScaledTensor& left, const models::ScaledTensor& right,
                                     const ArrayConfig& config);

}  // namespace mlsim::sim::output_stationary
