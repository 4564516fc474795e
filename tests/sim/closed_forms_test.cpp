// Phases, runs and shares against the loops that they stand for.
#include "sim/closed_form/closed_forms.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace mlsim::sim {
namespace {

using models::ConvolutionShape;
using models::Pass;
using models::ScaleLayout;

std::vector<PhaseRun> phases_by_loop(const PhaseAxis& axis) {
  std::vector<PhaseRun> phases;
  for (std::int64_t place = 0; place < std::min(axis.stride, axis.in); ++place) {
    PhaseRun phase{0, 0, 1};
    for (std::int64_t y = place; y < axis.in; y += axis.stride) ++phase.results;
    for (std::int64_t k = 0; k < axis.kernel; ++k) {
      phase.taps += (place + axis.padding - k * axis.dilation) % axis.stride == 0 ? 1 : 0;
    }
    if (phase.taps > 0) phases.push_back(phase);
  }
  return phases;
}

std::vector<PhaseRun> one_by_one(const std::vector<PhaseRun>& runs) {
  std::vector<PhaseRun> phases;
  for (const PhaseRun& run : runs) {
    for (std::int64_t i = 0; i < run.count; ++i) phases.push_back({run.results, run.taps, 1});
  }
  return phases;
}

void check_phases(const PhaseAxis& axis) {
  const std::vector<PhaseRun> runs = phase_runs(axis);
  if (axis.dilation == 1) {
    ASSERT_LE(runs.size(), 4U);
  }
  ASSERT_EQ(one_by_one(runs), phases_by_loop(axis))
      << "in " << axis.in << " kernel " << axis.kernel << " stride " << axis.stride << " padding " << axis.padding
      << " dilation " << axis.dilation;
}

TEST(ClosedForms, PhasesOfEverySmallAxis) {
  for (std::int64_t in = 1; in <= 9; ++in) {
    for (std::int64_t kernel = 1; kernel <= 9; ++kernel) {
      for (std::int64_t stride = 1; stride <= 9; ++stride) {
        for (std::int64_t padding = 0; padding <= 10; ++padding) {
          for (std::int64_t dilation = 1; dilation <= 4; ++dilation) {
            check_phases({in, kernel, stride, padding, dilation});
          }
        }
      }
    }
  }
}

TEST(ClosedForms, PhasesOfRandomAxes) {
  std::mt19937_64 generator(1);
  for (int i = 0; i < 3000; ++i) {
    const auto pick = [&](std::int64_t low) {
      return std::uniform_int_distribution<std::int64_t>(low, 300)(generator);
    };
    const PhaseAxis axis{pick(1), pick(1), pick(1), pick(0)};
    check_phases(axis);
    check_phases({axis.in, axis.kernel, axis.stride, axis.padding, pick(1)});
  }
}

TEST(ClosedForms, PhasesOfTheLargestAxis) {
  constexpr std::int64_t kLargest = std::int64_t{1} << 20;
  EXPECT_THAT(phase_runs({kLargest, kLargest, kLargest, 0}), testing::ElementsAre(PhaseRun{1, 1, kLargest}));
  EXPECT_THAT(phase_runs({kLargest, 1, kLargest, kLargest}), testing::ElementsAre(PhaseRun{1, 1, 1}));
  EXPECT_THAT(
      phase_runs({kLargest, kLargest, kLargest - 3, 1}),
      testing::ElementsAre(PhaseRun{2, 2, 2}, PhaseRun{2, 1, 1}, PhaseRun{1, 1, kLargest - 7}, PhaseRun{1, 2, 1}));
  // A dilation of the stride brings all positions to one place.
  EXPECT_THAT(phase_runs({kLargest, 1000, kLargest / 1024, 0, kLargest / 1024}),
              testing::ElementsAre(PhaseRun{1024, 1000, 1}));
}

// Runs of each convolution group, from the definition: outer indices whose tiles are alike on both sides.
std::vector<std::vector<std::int64_t>> runs_by_loop(Pass pass, const ConvolutionShape& shape, const ScaleLayout& left,
                                                    const ScaleLayout& right) {
  std::vector<std::vector<std::int64_t>> groups;
  const std::int64_t outer_count = shape.outer_count(pass);
  for (std::int64_t group = 0; group < shape.groups; ++group) {
    const auto tiles = [&](std::int64_t outer) {
      const std::int64_t counted = group * outer_count + outer;
      if (pass == Pass::kForward) return std::pair(left.tile_of(1, counted), right.tile_of(1, outer));
      if (pass == Pass::kBackwardData) return std::pair(left.tile_of(1, counted), right.tile_of(0, counted));
      return std::pair(left.tile_of(0, outer), right.tile_of(0, outer));
    };
    std::vector<std::int64_t>& runs = groups.emplace_back();
    for (std::int64_t outer = 0; outer < outer_count; ++outer) {
      if (outer == 0 || tiles(outer) != tiles(outer - 1)) runs.push_back(0);
      ++runs.back();
    }
  }
  return groups;
}

TEST(ClosedForms, RunsOfRandomConvolutionGroups) {
  std::mt19937_64 generator(3);
  const auto pick = [&](std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(generator);
  };
  for (int i = 0; i < 4000; ++i) {
    ConvolutionShape shape;
    shape.groups = pick(1, 12);
    shape.batch = pick(1, 20);
    shape.in_channels = shape.groups * pick(1, 20);
    shape.out_channels = shape.groups * pick(1, 20);
    const ScaleLayout left{{pick(0, 9), pick(0, 9), 0, 0}};
    const ScaleLayout right{{pick(0, 9), pick(0, 9), 0, 0}};
    for (const Pass pass : models::kPasses) {
      const std::vector<ConvGroups> period = conv_groups(pass, shape, left, right);
      std::vector<std::vector<std::int64_t>> groups;
      while (static_cast<std::int64_t>(groups.size()) < shape.groups) {
        for (const ConvGroups& alike : period) {
          std::vector<std::int64_t> runs;
          for (const RunLength& run : alike.runs) {
            runs.insert(runs.end(), static_cast<std::size_t>(run.count), run.length);
          }
          groups.insert(groups.end(), static_cast<std::size_t>(alike.count), runs);
        }
      }
      groups.resize(static_cast<std::size_t>(shape.groups));
      ASSERT_EQ(groups, runs_by_loop(pass, shape, left, right))
          << to_string(pass) << " layer " << i << ", groups " << shape.groups << ", channels " << shape.in_channels
          << " to " << shape.out_channels << ", blocks " << left.tile[0] << "x" << left.tile[1] << " and "
          << right.tile[0] << "x" << right.tile[1];
    }
  }
}

TEST(ClosedForms, BlocksThatSharesTouch) {
  for (std::int64_t block = 0; block <= 12; ++block) {
    for (std::int64_t width = 1; width <= 12; ++width) {
      for (std::int64_t shares = 1; shares <= 12; ++shares) {
        const ScaleLayout layout{{1, block, 0, 0}};
        std::int64_t touched = 0;
        for (std::int64_t share = 0; share < shares; ++share) {
          for (std::int64_t i = share * width; i < (share + 1) * width; ++i) {
            touched += i == share * width || layout.tile_of(1, i) != layout.tile_of(1, i - 1) ? 1 : 0;
          }
        }
        ASSERT_EQ(touched_blocks(layout, 1, shares * width, shares), touched)
            << "blocks of " << block << ", " << shares << " shares of " << width;
      }
    }
  }
}

std::int64_t most_shared_by_loop(const ArrayConfig& config, std::int64_t live_rows, std::int64_t live_columns) {
  std::int64_t most = 0;
  std::int64_t live = 0;
  std::int64_t place = 0;  // within a share
  for (std::int64_t row = 0; row < config.rows; ++row) {
    for (std::int64_t column = 0; column < config.columns; ++column) {
      if (place == config.elements_per_scaler) live = place = 0;
      ++place;
      if (row < live_rows && column < live_columns) most = std::max(most, ++live);
    }
  }
  return most;
}

void check_share(const ArrayConfig& config, std::int64_t live_rows, std::int64_t live_columns) {
  ASSERT_EQ(most_shared(config, live_rows, live_columns), most_shared_by_loop(config, live_rows, live_columns))
      << config.rows << "x" << config.columns << " shares of " << config.elements_per_scaler << " live " << live_rows
      << "x" << live_columns;
}

TEST(ClosedForms, SharesOfEverySmallArray) {
  ArrayConfig config;
  for (config.rows = 1; config.rows <= 6; ++config.rows) {
    for (config.columns = 1; config.columns <= 6; ++config.columns) {
      // Two elements more than the array has, too: a unit that serves it all.
      const int largest = config.rows * config.columns + 2;
      for (config.elements_per_scaler = 1; config.elements_per_scaler <= largest; ++config.elements_per_scaler) {
        for (int rows = 0; rows <= config.rows; ++rows) {
          for (int columns = 0; columns <= config.columns; ++columns) check_share(config, rows, columns);
        }
      }
    }
  }
}

TEST(ClosedForms, SharesOfRandomArrays) {
  std::mt19937_64 generator(2);
  const auto pick = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(generator); };
  for (int i = 0; i < 4000; ++i) {
    const int largest = i < 3900 ? 60 : 1024;
    ArrayConfig config;
    config.rows = pick(1, largest);
    config.columns = pick(1, largest);
    const int elements = config.rows * config.columns;
    const std::array<int, 6> shares{1,        pick(1, elements),        pick(1, std::min(elements, 2 * config.columns)),
                                    elements, std::min(elements, 1009), std::min(elements, config.columns)};
    config.elements_per_scaler = shares[static_cast<std::size_t>(pick(0, 5))];
    check_share(config, pick(0, config.rows), pick(0, config.columns));
    check_share(config, config.rows, config.columns);
  }
}

}  // namespace
}  // namespace mlsim::sim
