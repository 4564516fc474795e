// Phases and shares against the loops that they stand for.
#include "sim/output_stationary/closed_forms.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>

namespace mlsim::sim {
namespace {

std::vector<PhaseRun> phases_by_loop(std::int64_t in, std::int64_t kernel, std::int64_t stride, std::int64_t padding) {
  std::vector<PhaseRun> phases;
  for (std::int64_t place = 0; place < std::min(stride, in); ++place) {
    PhaseRun phase{0, 0, 1};
    for (std::int64_t y = place; y < in; y += stride) ++phase.results;
    for (std::int64_t k = 0; k < kernel; ++k) phase.taps += (place + padding - k) % stride == 0 ? 1 : 0;
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

void check_phases(std::int64_t in, std::int64_t kernel, std::int64_t stride, std::int64_t padding) {
  const std::vector<PhaseRun> runs = phase_runs(in, kernel, stride, padding);
  ASSERT_LE(runs.size(), 4U);
  ASSERT_EQ(one_by_one(runs), phases_by_loop(in, kernel, stride, padding))
      << "in " << in << " kernel " << kernel << " stride " << stride << " padding " << padding;
}

TEST(ClosedForms, PhasesOfEverySmallAxis) {
  for (std::int64_t in = 1; in <= 9; ++in) {
    for (std::int64_t kernel = 1; kernel <= 9; ++kernel) {
      for (std::int64_t stride = 1; stride <= 9; ++stride) {
        for (std::int64_t padding = 0; padding <= 10; ++padding) check_phases(in, kernel, stride, padding);
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
    check_phases(pick(1), pick(1), pick(1), pick(0));
  }
}

TEST(ClosedForms, PhasesOfTheLargestAxis) {
  constexpr std::int64_t kLargest = std::int64_t{1} << 20;
  EXPECT_THAT(phase_runs(kLargest, kLargest, kLargest, 0), testing::ElementsAre(PhaseRun{1, 1, kLargest}));
  EXPECT_THAT(phase_runs(kLargest, 1, kLargest, kLargest), testing::ElementsAre(PhaseRun{1, 1, 1}));
  EXPECT_THAT(
      phase_runs(kLargest, kLargest, kLargest - 3, 1),
      testing::ElementsAre(PhaseRun{2, 2, 2}, PhaseRun{2, 1, 1}, PhaseRun{1, 1, kLargest - 7}, PhaseRun{1, 2, 1}));
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
