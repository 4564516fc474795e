#include "base/parallel.h"

#include <gtest/gtest.h>

#include <chrono>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>

#include "tests/support/temporary_folder.h"

namespace mlsim::base {
namespace {

using test::error_of;

// Work that takes a moment and is done in parallel parts, as that of a layer. The number of parts that were done.
int parts_done(int parts) {
  std::vector<int> done(static_cast<std::size_t>(parts), 0);
  parallel_for(std::size_t{0}, done.size(), [&](std::size_t i) {
    std::this_thread::sleep_for(std::chrono::microseconds(50));
    done[i] = 1;
  });
  return std::accumulate(done.begin(), done.end(), 0);
}

TEST(Parallel, AFailureLeavesNestedWorkWhole) {
  for (int repetition = 0; repetition < 100; ++repetition) {
    std::vector<int> done(4, -1);
    EXPECT_EQ(error_of([&] {
                in_order(4, 2, [&](std::size_t i) {
                  if (i == 1) throw std::runtime_error("1 fails");
                  done[i] = parts_done(50);
                });
              }),
              "1 fails");
    EXPECT_EQ(done[0], 50);
    for (const int parts : done) EXPECT_TRUE(parts == -1 || parts == 50) << parts;
  }
}

// The same of algorithms that let an exception through.
TEST(Parallel, ACancelledAlgorithmLeavesNestedWorkWhole) {
  for (int repetition = 0; repetition < 100; ++repetition) {
    std::vector<int> done(8, -1);
    EXPECT_EQ(error_of([&] {
                parallel_for(std::size_t{0}, done.size(), [&](std::size_t i) {
                  if (i == 5) throw std::runtime_error("5 fails");
                  done[i] = parts_done(20);
                });
              }),
              "5 fails");
    for (const int parts : done) EXPECT_TRUE(parts == -1 || parts == 20) << parts;
  }
}

TEST(Parallel, ThrowsTheFirstFailureOfTheOrder) {
  for (int repetition = 0; repetition < 100; ++repetition) {
    const auto fail = [](std::size_t i) {
      if (i == 2) std::this_thread::sleep_for(std::chrono::microseconds(200));
      if (i >= 2) throw std::runtime_error(std::to_string(i));
    };
    EXPECT_EQ(error_of([&] { in_order(20, 4, fail); }), "2");
    EXPECT_EQ(error_of([&] { side_by_side(20, fail); }), "2");
    EXPECT_EQ(error_of([&] { parallel_invoke([&] { fail(2); }, [&] { fail(3); }); }), "2");
  }
}

TEST(Parallel, BeginsNothingAfterAFailure) {
  std::atomic<std::size_t> last = 0;
  EXPECT_EQ(error_of([&] {
              in_order(1000, 2, [&](std::size_t i) {
                if (i > last) last = i;
                // Time for the failing call to end, wherever its thread waits for a processor.
                if (i > 10) std::this_thread::sleep_for(std::chrono::milliseconds(50));
                if (i == 10) throw std::runtime_error("10");
              });
            }),
            "10");
  EXPECT_LT(last, 20U);
}

TEST(Parallel, DoesEverything) {
  std::atomic<int> sum = 0;
  in_order(100, 3, [&](std::size_t i) { sum += static_cast<int>(i); });
  EXPECT_EQ(sum, 4950);
  side_by_side(100, [&](std::size_t i) { sum += static_cast<int>(i); });
  EXPECT_EQ(sum, 9900);
  in_order(0, 1, [&](std::size_t) { ++sum; });
  EXPECT_EQ(base::parallel_reduce(
                tbb::blocked_range<int>(0, 100), 0,
                [](const tbb::blocked_range<int>& range, int part) {
                  for (int i = range.begin(); i < range.end(); ++i) part += i;
                  return part;
                },
                std::plus<>()),
            4950);
  EXPECT_EQ(sum, 9900);
}

}  // namespace
}  // namespace mlsim::base
