// Which operation each counter of a pass counts: the one list for results files and prices.
// Tested in tests/evaluation/nvfp4_by_hand_test.cpp.
#pragma once

#include "energy/operations.h"

namespace mlsim::evaluation {

// Calls visit(operation, count) for each operation of models::OperationCounts, const or not.
template <typename Counts, typename Visitor>
void visit_operations(Counts& counts, const Visitor& visit) {
  using energy::Operation;
  visit(Operation::kMantissaMultiply, counts.mantissa_multiplies);
  visit(Operation::kExponentAdd, counts.exponent_adds);
  visit(Operation::kShift, counts.shifts);
  visit(Operation::kIntegerAccumulate, counts.integer_adds);
  visit(Operation::kGroupExponentAdd, counts.group_exponent_adds);
  visit(Operation::kShiftAndAdd, counts.shift_adds);
  visit(Operation::kConvertToFloat, counts.conversions);
  visit(Operation::kFloatAdd, counts.float_adds);
  visit(Operation::kTensorScale, counts.tensor_scale_multiplies);
}

// Of an array whose elements multiply several pairs at once, besides.
template <typename Counts, typename Visitor>
void visit_tree_operations(Counts& counts, const Visitor& visit) {
  visit(energy::Operation::kTreeAdd, counts.tree_adds);
}

}  // namespace mlsim::evaluation
