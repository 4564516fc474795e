// What the closed form knows of phases, runs of outer indices and shares of group-scale units without going through
// them one by one.
#pragma once

#include <cstdint>
#include <vector>

#include "models/convolution/convolution.h"
#include "models/formats/scale_layout.h"
#include "sim/array_config.h"

namespace mlsim::sim {

// Phases that follow each other along an axis of backward data and are alike.
struct PhaseRun {
  std::int64_t results = 1;  // of each phase, along the axis
  std::int64_t taps = 1;     // kernel positions that each result meets
  std::int64_t count = 1;    // phases
  bool operator==(const PhaseRun&) const = default;
};

// One axis of backward data; `padding` is that in front of it.
struct PhaseAxis {
  std::int64_t in = 1;
  std::int64_t kernel = 1;
  std::int64_t stride = 1;
  std::int64_t padding = 0;
  std::int64_t dilation = 1;
};

// The phases along an axis that meet any kernel position, in order. Without dilation at most four runs; with it at most
// as many as the kernel has positions.
std::vector<PhaseRun> phase_runs(const PhaseAxis& axis);

// Runs of outer indices (models::Reduction) that follow each other and are equally long.
struct RunLength {
  std::int64_t length = 1;
  std::int64_t count = 1;
  bool operator==(const RunLength&) const = default;
};

// Convolution groups that follow each other and are cut into the same runs.
struct ConvGroups {
  std::vector<RunLength> runs;
  std::int64_t count = 1;
  bool operator==(const ConvGroups&) const = default;
};

// The convolution groups of a pass up to where their cuts repeat.
std::vector<ConvGroups> conv_groups(models::Pass pass, const models::ConvolutionShape& shape,
                                    const models::ScaleLayout& left, const models::ScaleLayout& right);

// Blocks along a dimension that `shares` equal shares of it touch, each counted for every share that touches it.
std::int64_t touched_blocks(const models::ScaleLayout& layout, std::size_t dimension, std::int64_t extent,
                            std::int64_t shares);

// The most elements of any group-scale unit that lie in the live corner of the array.
std::int64_t most_shared(const ArrayConfig& config, std::int64_t live_rows, std::int64_t live_columns);

}  // namespace mlsim::sim
