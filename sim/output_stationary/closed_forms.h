// What the closed form knows of phases and of shares of group-scale units without going through them one by one.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/array_config.h"

namespace mlsim::sim {

// Phases that follow each other along an axis of backward data and are alike.
struct PhaseRun {
  std::int64_t results = 1;  // of each phase, along the axis
  std::int64_t taps = 1;     // kernel positions that each result meets
  std::int64_t count = 1;    // phases
  bool operator==(const PhaseRun&) const = default;
};

// The phases along an axis that meet any kernel position, in order: at most four runs.
std::vector<PhaseRun> phase_runs(std::int64_t in, std::int64_t kernel, std::int64_t stride, std::int64_t padding);

// The most elements of any group-scale unit that lie in the live corner of the array.
std::int64_t most_shared(const ArrayConfig& config, std::int64_t live_rows, std::int64_t live_columns);

}  // namespace mlsim::sim
