#include "evaluation/point_dispenser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <utility>
#include <vector>

namespace mlsim::evaluation {
namespace {

using testing::ElementsAre;
using testing::Optional;

// Families of ten points.
std::size_t ten(std::size_t point) {
  return point / 10;
}

TEST(PointDispenser, BeginsFamiliesAndLetsThoseWhoBeganThemGoOn) {
  PointDispenser dispenser({0, 1, 2, 10, 11, 12, 20}, ten);
  EXPECT_EQ(dispenser.left(), 7U);
  EXPECT_THAT(dispenser.next(0), Optional(0U));
  EXPECT_THAT(dispenser.next(1), Optional(10U));
  // Nobody has finished a point yet.
  EXPECT_THAT(dispenser.next(1), Optional(20U));
  dispenser.done(1, 10);
  EXPECT_THAT(dispenser.next(1), Optional(11U));
  dispenser.done(0, 0);
  EXPECT_THAT(dispenser.next(0), Optional(1U));
  dispenser.done(1, 20);
  EXPECT_THAT(dispenser.next(1), Optional(12U));
  // Nothing else is left.
  EXPECT_THAT(dispenser.next(1), Optional(2U));
  EXPECT_EQ(dispenser.next(0), std::nullopt);
  EXPECT_EQ(dispenser.left(), 0U);
}

TEST(PointDispenser, OfOneRunnerGoesInOrder) {
  PointDispenser dispenser({3, 4, 12, 30, 31}, ten);
  std::vector<std::size_t> order;
  while (const std::optional<std::size_t> point = dispenser.next(0)) {
    order.push_back(*point);
    dispenser.done(0, *point);
  }
  EXPECT_THAT(order, ElementsAre(3, 4, 12, 30, 31));
}

TEST(PointDispenser, HandsOutEachPointOnceWhateverComesBackWhen) {
  std::mt19937 random(5);
  for (int repetition = 0; repetition < 300; ++repetition) {
    std::vector<std::size_t> open;
    for (std::size_t point = 0; point < 60; ++point) {
      if (random() % 3 != 0) open.push_back(point);
    }
    PointDispenser dispenser(open, [&](std::size_t point) { return point / (1 + repetition % 12); });
    std::vector<std::pair<std::size_t, std::size_t>> running;
    std::vector<std::size_t> seen;
    while (true) {
      if (!running.empty() && random() % 2 == 0) {
        std::swap(running[random() % running.size()], running.back());
        dispenser.done(running.back().first, running.back().second);
        running.pop_back();
        continue;
      }
      const std::size_t runner = random() % 4;
      const std::optional<std::size_t> point = dispenser.next(runner);
      if (!point) break;
      seen.push_back(*point);
      running.emplace_back(runner, *point);
    }
    std::sort(seen.begin(), seen.end());
    EXPECT_EQ(seen, open);
  }
}

TEST(PointDispenser, StopsAtOnce) {
  PointDispenser dispenser({1, 2}, ten);
  dispenser.stop();
  EXPECT_EQ(dispenser.left(), 0U);
  EXPECT_EQ(dispenser.next(0), std::nullopt);
}

}  // namespace
}  // namespace mlsim::evaluation
