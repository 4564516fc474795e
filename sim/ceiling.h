// Quotients that are rounded up: parts of what does not divide evenly.
#pragma once

#include <cstdint>

namespace mlsim::sim {

// Of numbers that are not negative.
constexpr std::int64_t ceiling(std::int64_t value, std::int64_t divisor) {
  return (value + divisor - 1) / divisor;
}

}  // namespace mlsim::sim
