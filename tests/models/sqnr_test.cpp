#include "models/quantizer/sqnr.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <vector>

namespace mlsim::models {
namespace {

using Doubles = std::span<const double>;

TEST(ErrorSums, ByHand) {
  const std::vector<double> exact{3, 0, -4};
  const std::vector<double> computed{3, 1, -2};
  ErrorSums sums;
  sums.add(Doubles(exact), Doubles(computed));
  EXPECT_DOUBLE_EQ(sums.sqnr_db(), 10 * std::log10(25.0 / 5));
  EXPECT_DOUBLE_EQ(sums.cosine_error(), 1 - 17 / std::sqrt(25.0 * 14));
}

TEST(ErrorSums, OfZerosAndOfExactValues) {
  const std::vector<double> zeros(4);
  const std::vector<double> ones(4, 1);
  const auto sums_of = [](const std::vector<double>& exact, const std::vector<double>& computed) {
    ErrorSums sums;
    sums.add(Doubles(exact), Doubles(computed));
    return sums;
  };
  EXPECT_EQ(sums_of(zeros, zeros).sqnr_db(), std::numeric_limits<double>::infinity());
  EXPECT_EQ(sums_of(ones, ones).sqnr_db(), std::numeric_limits<double>::infinity());
  std::vector<double> infinite = ones;
  infinite.back() = std::numeric_limits<double>::infinity();
  EXPECT_EQ(sums_of(ones, infinite).sqnr_db(), -std::numeric_limits<double>::infinity());
  infinite.front() = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(std::isnan(sums_of(ones, infinite).sqnr_db()));
  EXPECT_TRUE(std::isnan(sums_of(zeros, ones).sqnr_db()));
  EXPECT_EQ(sums_of(zeros, zeros).cosine_error(), 0);
  EXPECT_EQ(sums_of(zeros, ones).cosine_error(), 1);
  EXPECT_EQ(sums_of(ones, zeros).cosine_error(), 1);
  EXPECT_EQ(sums_of(ones, ones).cosine_error(), 0);
}

// Results files have every bit of these numbers: the sums run in ascending order, however they are cut.
TEST(ErrorSums, AddInAscendingOrder) {
  std::mt19937 generator(1);
  std::normal_distribution<float> normal;
  std::vector<double> exact;
  std::vector<float> computed;
  double signal = 0;
  double noise = 0;
  for (int i = 0; i < 10000; ++i) {
    exact.push_back(normal(generator));
    computed.push_back(static_cast<float>(exact.back()) + 0.01F * normal(generator));
    const double difference = static_cast<double>(computed.back()) - exact.back();
    signal += exact.back() * exact.back();
    noise += difference * difference;
  }
  const double expected = 10 * std::log10(signal / noise);
  EXPECT_EQ(sqnr_db<float>(exact, computed), expected);
  ErrorSums sums;
  for (std::size_t first = 0; first < exact.size(); first += 1000) {
    sums.add(Doubles(exact).subspan(first, 1000), std::span<const float>(computed).subspan(first, 1000));
  }
  EXPECT_EQ(sums.sqnr_db(), expected);
}

}  // namespace
}  // namespace mlsim::models
