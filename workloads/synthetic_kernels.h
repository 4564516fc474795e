// The vector loops of synthetic values, chosen at run time for the processor's widest instruction set.
// Tested in tests/workloads/synthetic_values_test.cpp.
#pragma once

#include <cstddef>
#include <cstdint>

#include "workloads/synthetic_values.h"

namespace mlsim::workloads {

// The values of `count` elements from their random words, two for each.
void synthetic_values(Distribution distribution, double scale, const std::uint32_t* words, std::size_t count,
                      float* values);

}  // namespace mlsim::workloads
