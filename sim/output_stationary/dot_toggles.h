// The operand toggles of an array whose elements multiply several pairs at once: a lane has a register for each of
// them, and tap n of a reduction group goes to register n mod taps_per_cycle.
// Tested in tests/sim/operand_toggles_test.cpp.
#pragma once

#include "models/formats/scaled_tensor.h"
#include "sim/array_config.h"
#include "sim/schedule.h"
#include "sim/statistics.h"

namespace mlsim::sim::output_stationary {

// As count_operand_toggles, of the operands of rows and columns, for any taps_per_cycle. Every lane is walked tap by
// tap, once, however often tiles of the other side repeat it.
OperandToggles count_dot_toggles(const Schedule& schedule, const models::ScaledTensor& rows,
                                 const models::ScaledTensor& columns, const ArrayConfig& config);

}  // namespace mlsim::sim::output_stationary
