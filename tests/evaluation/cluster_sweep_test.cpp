#include "evaluation/cluster_sweep.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>
#include <stdexcept>
#include <thread>

#include "evaluation/sweep_points.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/thread_ranks.h"

namespace mlsim::evaluation {
namespace {

using nlohmann::ordered_json;
using testing::HasSubstr;

constexpr std::size_t kPoints = 300;

PointDispenser all_points() {
  std::vector<std::size_t> points(kPoints);
  std::iota(points.begin(), points.end(), std::size_t{0});
  return {std::move(points), [](std::size_t point) { return point / 7; }};
}

// Runs points, which take a while that differs.
PointRunner runner(std::atomic<int>& runs) {
  return [&](const NextPoint& next, const DonePoint& done) {
    while (const std::optional<std::size_t> point = next()) {
      std::this_thread::sleep_for(std::chrono::microseconds(*point * 37 % 300));
      ++runs;
      done(*point,
           {{"point", *point}, {"text", "a \"quoted\" text"}, {"value", 1.0 / (1 + static_cast<double>(*point))}});
    }
  };
}

PointRunner failing_at(std::size_t wrong, std::atomic<int>& runs) {
  return [&runs, wrong](const NextPoint& next, const DonePoint& done) {
    while (const std::optional<std::size_t> point = next()) {
      if (*point >= wrong) throw std::runtime_error("tensor.npy: cannot be read");
      ++runs;
      done(*point, {{"point", *point}});
    }
  };
}

void follow(base::Ranks& ranks, const PointRunner& runner, const std::string& identity = "sweep") {
  SweepFollower follower(ranks);
  follower.report_ready(1, identity);
  follower.run(runner);
}

TEST(ClusterSweep, RunsEachPointOnceOnAnyNumberOfRanks) {
  for (const int size : {1, 2, 5}) {
    SCOPED_TRACE(size);
    std::map<std::size_t, ordered_json> rows;
    std::atomic<int> here = 0;
    std::atomic<int> elsewhere = 0;
    const bool is_quiet = test::run_ranks(
        size,
        [&](base::Ranks& ranks) {
          SweepLeader leader(ranks);
          leader.gather("sweep");
          PointDispenser dispenser = all_points();
          leader.run(dispenser, runner(here), [&](std::size_t point, const ordered_json& row) {
            EXPECT_TRUE(rows.emplace(point, row).second) << point;
          });
        },
        [&](base::Ranks& ranks) { follow(ranks, runner(elsewhere)); });
    EXPECT_TRUE(is_quiet);
    EXPECT_EQ(rows.size(), kPoints);
    for (const auto& [point, row] : rows) {
      EXPECT_EQ(row["value"].get<double>(), 1.0 / (1 + static_cast<double>(point)));
    }
    EXPECT_EQ(here + elsewhere, static_cast<int>(kPoints));
    EXPECT_GT(here, 0);
    EXPECT_EQ(elsewhere > 0, size > 1);
  }
}

TEST(ClusterSweep, AFailureAnywhereEndsAllAndKeepsWhatIsDone) {
  for (const bool is_leaders : {false, true}) {
    SCOPED_TRACE(is_leaders);
    std::atomic<int> runs = 0;
    std::atomic<int> good = 0;
    int rows = 0;
    std::string error;
    const bool is_quiet = test::run_ranks(
        3,
        [&](base::Ranks& ranks) {
          SweepLeader leader(ranks);
          leader.gather("sweep");
          PointDispenser dispenser = all_points();
          error = test::error_of([&] {
            leader.run(dispenser, is_leaders ? failing_at(20, runs) : runner(runs),
                       [&](std::size_t /*point*/, const ordered_json& /*row*/) { ++rows; });
          });
        },
        [&](base::Ranks& ranks) { follow(ranks, is_leaders ? runner(good) : failing_at(20, good)); });
    EXPECT_TRUE(is_quiet);
    EXPECT_THAT(error, HasSubstr("tensor.npy: cannot be read"));
    EXPECT_EQ(error.starts_with("rank "), !is_leaders) << error;
    EXPECT_EQ(rows, runs + good);
    EXPECT_LT(rows, static_cast<int>(kPoints));
  }
}

TEST(ClusterSweep, AFullDiskEndsAll) {
  std::atomic<int> runs = 0;
  std::string error;
  const bool is_quiet = test::run_ranks(
      3,
      [&](base::Ranks& ranks) {
        SweepLeader leader(ranks);
        leader.gather("sweep");
        PointDispenser dispenser = all_points();
        int rows = 0;
        error = test::error_of([&] {
          leader.run(dispenser, runner(runs), [&](std::size_t /*point*/, const ordered_json& /*row*/) {
            if (++rows > 10) throw std::runtime_error("journal: cannot be written");
          });
        });
      },
      [&](base::Ranks& ranks) { follow(ranks, runner(runs)); });
  EXPECT_TRUE(is_quiet);
  EXPECT_EQ(error, "journal: cannot be written");
  EXPECT_LT(runs, static_cast<int>(kPoints));
}

TEST(ClusterSweep, RefusesRanksThatAreNotReadyOrSeeAnotherSweep) {
  std::atomic<int> runs = 0;
  for (const bool has_problem : {false, true}) {
    std::string error;
    const bool is_quiet = test::run_ranks(
        4,
        [&](base::Ranks& ranks) {
          SweepLeader leader(ranks);
          error = test::error_of([&] { leader.gather("sweep"); });
        },
        [&](base::Ranks& ranks) {
          if (ranks.rank() == 2 && has_problem) {
            SweepFollower follower(ranks);
            try {
              throw std::runtime_error("w.json: cannot be read");
            } catch (const std::runtime_error&) {
              follower.report_problem();
            }
            follower.run(nullptr);
          } else {
            follow(ranks, runner(runs), ranks.rank() == 3 ? "other" : "sweep");
          }
        });
    EXPECT_TRUE(is_quiet);
    EXPECT_THAT(error, HasSubstr(has_problem ? "rank 2 of 4: w.json: cannot be read" : "rank 3 of 4: sees another"));
  }
  EXPECT_EQ(runs, 0);
}

// Whatever rank 0 meets before it hands anything out, the others end.
TEST(ClusterSweep, ALeaderThatEndsEarlyLetsAllEnd) {
  std::atomic<int> runs = 0;
  EXPECT_TRUE(test::run_ranks(
      3, [](base::Ranks& ranks) { const SweepLeader leader(ranks); },
      [&](base::Ranks& ranks) { follow(ranks, runner(runs)); }));
  EXPECT_EQ(runs, 0);
}

}  // namespace
}  // namespace mlsim::evaluation
