#include "evaluation/sweep_points.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "evaluation/sweep_axes.h"
#include "tests/support/temporary_folder.h"

namespace mlsim::evaluation {
namespace {

using testing::HasSubstr;

SweepAxes axes_of(const std::vector<std::string>& formats) {
  SweepAxes axes;
  axes.formats = sweep_formats(formats, {});
  axes.accumulator_bits = {0, 12, 16};
  sim::ArrayConfig small;
  small.rows = 4;
  axes.arrays.emplace_back("small", small);
  axes.elements_per_scaler = {2, 4};
  return axes;
}

TEST(SweepPoints, AreEveryCombinationWithFormatsSlowest) {
  const SweepAxes axes = axes_of({"fp32", "e2m4", "int8", "mxfp4"});
  const SweepPoints points(axes);
  std::size_t next = 0;
  std::size_t family = 0;
  std::set<std::size_t> families;
  for (const auto& formats : axes.formats) {
    for (const int bits : axes.accumulator_bits) {
      if (!is_block_scaled(formats) && bits != 0) continue;
      ++family;
      for (const auto& [name, array] : axes.arrays) {
        for (const int share : axes.elements_per_scaler) {
          ASSERT_LT(next, points.size());
          const SweepPoint point = points.at(next);
          EXPECT_EQ(point.formats, formats);
          EXPECT_EQ(point.accumulator_bits, bits);
          EXPECT_EQ(point.array_name, name);
          EXPECT_EQ(point.array.rows, array.rows);
          EXPECT_EQ(point.array.elements_per_scaler, share);
          families.insert(points.family(next));
          EXPECT_EQ(families.size(), family);
          ++next;
        }
      }
    }
  }
  EXPECT_EQ(points.size(), next);
  EXPECT_EQ(points.combinations(), 8U * 4);
}

TEST(SweepPoints, RefuseTooManyAndWhatIsNoArray) {
  SweepAxes axes = axes_of({"e2m4"});
  axes.elements_per_scaler = {300};
  EXPECT_THAT(test::error_of([&] { SweepPoints{axes}; }), HasSubstr("--sharing 300 of default"));
  axes.elements_per_scaler.assign(2'000'000, 2);
  EXPECT_THAT(test::error_of([&] { SweepPoints{axes}; }), HasSubstr("12000000 points, expected at most 10000000"));
  EXPECT_EQ(SweepPoints(axes, SweepSample{100}).size(), 100U);
}

TEST(SweepPoints, ARandomSubsetIsInOrderAndEachNumberIsAsLikely) {
  std::map<std::uint64_t, int> drawn;
  for (std::uint64_t seed = 0; seed < 4000; ++seed) {
    const std::vector<std::uint64_t> subset = random_subset(10, 3, seed);
    ASSERT_EQ(subset.size(), 3U);
    EXPECT_TRUE(std::is_sorted(subset.begin(), subset.end()));
    EXPECT_LT(subset.back(), 10U);
    EXPECT_EQ(std::set<std::uint64_t>(subset.begin(), subset.end()).size(), 3U);
    for (const std::uint64_t number : subset) ++drawn[number];
  }
  // 1200 of each are expected; the standard deviation is 29.
  for (std::uint64_t number = 0; number < 10; ++number) EXPECT_NEAR(drawn[number], 1200, 150) << number;
  EXPECT_EQ(random_subset(1'000'000'000'000, 5, 7), random_subset(1'000'000'000'000, 5, 7));
  EXPECT_NE(random_subset(1'000'000'000'000, 5, 7), random_subset(1'000'000'000'000, 5, 8));
  EXPECT_EQ(random_subset(3, 8, 1), (std::vector<std::uint64_t>{0, 1, 2}));
}

TEST(SweepPoints, ASampleHasPointsOfTheWholeSweepInItsOrder) {
  const SweepAxes axes = axes_of({"fp32", "e2m4", "int8", "mxfp4"});
  const SweepPoints all(axes);
  for (const Sampling sampling : {Sampling::kRandom, Sampling::kLatinHypercube}) {
    const SweepPoints sample(axes, SweepSample{12, 3, sampling});
    ASSERT_EQ(sample.size(), 12U);
    std::size_t place = 0;
    for (std::size_t i = 0; i < sample.size(); ++i) {
      const SweepPoint point = sample.at(i);
      const auto is_it = [&](std::size_t of) {
        const SweepPoint other = all.at(of);
        return other.formats == point.formats && other.accumulator_bits == point.accumulator_bits &&
               other.array_name == point.array_name &&
               other.array.elements_per_scaler == point.array.elements_per_scaler;
      };
      while (place < all.size() && !is_it(place)) ++place;
      ASSERT_LT(place, all.size()) << i;
      EXPECT_EQ(sample.family(i), all.family(place));
      ++place;
    }
    // As many as there are is all of them.
    EXPECT_EQ(SweepPoints(axes, SweepSample{all.size(), 3, sampling}).size(), all.size());
  }
}

// Many values on each axis, so that hardly a combination is met twice; those that are give way to random ones.
TEST(SweepPoints, ALatinHypercubeHasEachValueEquallyOften) {
  SweepAxes axes;
  WidthRanges ranges;
  ranges.exponent = {1, 3};
  ranges.mantissa = {1, 8};
  axes.formats = sweep_formats(ranges, {"nc"});
  ASSERT_EQ(axes.formats.size(), 24U);
  axes.accumulator_bits.clear();
  for (int bits = 10; bits < 34; ++bits) axes.accumulator_bits.push_back(bits);
  axes.elements_per_scaler = {1, 2, 4, 8};
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const SweepPoints points(axes, SweepSample{48, seed, Sampling::kLatinHypercube});
    ASSERT_EQ(points.size(), 48U);
    std::map<std::string, int> formats;
    std::map<int, int> accumulators;
    std::map<int, int> sharing;
    for (std::size_t i = 0; i < points.size(); ++i) {
      const SweepPoint point = points.at(i);
      ++formats[models::to_string(point.formats.values)];
      ++accumulators[point.accumulator_bits];
      ++sharing[point.array.elements_per_scaler];
    }
    int uneven = 0;
    for (const auto& [name, count] : formats) uneven += std::abs(count - 2);
    for (const auto& [bits, count] : accumulators) uneven += std::abs(count - 2);
    for (const auto& [share, count] : sharing) uneven += std::abs(count - 12);
    // Of a random sample it is about 60.
    EXPECT_LE(uneven, 12) << seed;
    EXPECT_GE(formats.size(), 22U);
  }
}

}  // namespace
}  // namespace mlsim::evaluation
