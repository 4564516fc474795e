// Runs a check once for every instruction set of Highway that is compiled in and runs on this processor.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cstdint>
#include <vector>

#include "hwy/highway.h"

namespace mlsim::tests {

inline std::vector<std::int64_t> vector_targets() {
  hwy::SetSupportedTargetsForTest(0);
  std::vector<std::int64_t> targets;
  for (std::int64_t left = hwy::SupportedTargets() & HWY_TARGETS; left != 0; left &= left - 1) {
    targets.push_back(left & -left);
  }
  return targets;
}

template <typename Check>
void for_each_vector_target(const Check& check) {
  for (const std::int64_t target : vector_targets()) {
    SCOPED_TRACE(hwy::TargetName(target));
    hwy::SetSupportedTargetsForTest(target);
    check();
    if (testing::Test::HasFailure()) break;
  }
  hwy::SetSupportedTargetsForTest(0);
}

}  // namespace mlsim::tests
