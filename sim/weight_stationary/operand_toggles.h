// How many bits of the operand registers change on a weight-stationary array: one register in each element for the
// operand that stays, and one a column for the one that passes by.
#pragma once

#include "models/convolution/convolution.h"
#include "models/formats/scaled_tensor.h"
#include "sim/array_config.h"
#include "sim/statistics.h"

namespace mlsim::sim::weight_stationary {

// Dataflow::count_toggles: what the simulation counts, from the values without simulating. An element's register takes
// a code with each fold that is loaded; a column's takes one with each position, holds while that is padding, and
// between folds. Registers are 0 before the pass. What they take does not depend on the other side's tiles, but for how
// often they take it, so it is looked at once.
OperandToggles count_operand_toggles(models::Pass pass, const models::ConvolutionShape& shape,
                                     const models::ScaledTensor& left, const models::ScaledTensor& right,
                                     const ArrayConfig& config);

}  // namespace mlsim::sim::weight_stationary
