// What a convolution did, counted where it happens.
// Tested in tests/models/functional_convolution_test.cpp.
#pragma once

#include <cstdint>

namespace mlsim::models {

struct OperationCounts {
  // One of each for every tap whose operands both exist (a padding tap is none). Exponent adders and shifters exist
  // where at least one of the two formats has an exponent; elsewhere their counts are 0.
  std::uint64_t mantissa_multiplies = 0;
  std::uint64_t exponent_adds = 0;
  std::uint64_t shifts = 0;
  // As many together: additions to an accumulator, of a product or of the sum of those of up to taps_per_cycle taps,
  // and those of an adder tree that made such sums.
  std::uint64_t integer_adds = 0;
  std::uint64_t tree_adds = 0;
  // One of each for every reduction group of every result that has at least one nominal tap.
  std::uint64_t group_exponent_adds = 0;
  std::uint64_t shift_adds = 0;   // P times both scale fractions
  std::uint64_t conversions = 0;  // integer to binary32
  std::uint64_t float_adds = 0;   // binary32 sum over the groups
  // One for every result that has at least one nominal tap.
  std::uint64_t tensor_scale_multiplies = 0;
  // Additions that left the accumulator's range.
  std::uint64_t overflows = 0;
  // Results that are infinite or NaN.
  std::uint64_t non_finite = 0;

  OperationCounts& operator+=(const OperationCounts& other) {
    mantissa_multiplies += other.mantissa_multiplies;
    exponent_adds += other.exponent_adds;
    shifts += other.shifts;
    integer_adds += other.integer_adds;
    tree_adds += other.tree_adds;
    group_exponent_adds += other.group_exponent_adds;
    shift_adds += other.shift_adds;
    conversions += other.conversions;
    float_adds += other.float_adds;
    tensor_scale_multiplies += other.tensor_scale_multiplies;
    overflows += other.overflows;
    non_finite += other.non_finite;
    return *this;
  }
  bool operator==(const OperationCounts&) const = default;
};

}  // namespace mlsim::models
