// What the library of tests/support/faults.cpp counts in a program that it is loaded into.
#pragma once

#include <cstdint>

namespace mlsim::test {

enum class FaultKind : int { kRead, kWrite, kCall, kAllocation };
constexpr int kFaultKinds = 4;

// In a file that the program and the test map together, so that it holds whatever end the program takes.
struct FaultCounts {
  std::uint64_t calls[kFaultKinds];
  char function[32];  // that has failed; empty as long as none has
};

}  // namespace mlsim::test
