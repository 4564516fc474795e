#include "evaluation/sweep_shard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "evaluation/sweep_axes.h"
#include "tests/support/temporary_folder.h"

namespace mlsim::evaluation {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;
using testing::HasSubstr;

ordered_json row_of(std::size_t point) {
  return {
      {"format", "e2m4"},
      {"activation", "e2m4"},
      {"weight", "e2m4"},
      {"error", "e2m4"},
      {"array", "default"},
      {"rows", 16},
      {"columns", 16},
      {"elements_per_scaler", 8},
      {"accumulator_bits", nullptr},
      {"multiply_adds", 1000},
      {"cycles", 100 + point},
      {"operations_only_pj", 1.5},
      {"computing_pj", 2.5},
      {"memory_pj", 3.5},
      {"with_memory_pj", 6.0 / static_cast<double>(1 + point)},
      {"energy_delay_js", 1e-12 / static_cast<double>(1 + point)},
      {"area_um2", 7.25},
      {"mean_sqnr_db", "exact"},
      {"passes", {{"forward", {{"sqnr_db", 3.5}, {"cosine_error", 0.5}, {"overflows", nullptr}, {"non_finite", 0}}}}}};
}

class SweepShard : public testing::Test {
 protected:
  static constexpr std::size_t kPoints = 10;
  const SweepHead head_{"w", "analytic", "dense", "horowitz-45nm", {Objective::kEnergy, Objective::kTime}};

  // Shard `number` of `count`, with every count-th point.
  fs::path shard(std::size_t number, std::size_t count, const std::string& identity = "sweep") const {
    SweepCollector collector(kPoints, head_.front, nullptr);
    std::vector<std::size_t> own;
    for (std::size_t point = number - 1; point < kPoints; point += count) {
      own.push_back(point);
      collector.add(point, row_of(point));
    }
    fs::path path = folder_.path() / (std::to_string(number) + identity + ".jsonl");
    write_shard(path, {identity, {number, count}, kPoints, own.size(), head_}, own, collector);
    return path;
  }
  static std::string error(const std::vector<fs::path>& files) {
    return test::error_of([&] { ShardSet{files}; });
  }

  test::TemporaryFolder folder_;
};

TEST_F(SweepShard, AllOfThemHaveEveryRowInWhateverOrderTheyCome) {
  const ShardSet shards({shard(3, 3), shard(1, 3), shard(2, 3)});
  EXPECT_EQ(shards.head(), head_);
  ASSERT_EQ(shards.points(), kPoints);
  for (std::size_t point = 0; point < kPoints; ++point) EXPECT_EQ(shards.row(point).dump(), row_of(point).dump());
}

TEST_F(SweepShard, MayBeWithoutPoints) {
  std::vector<fs::path> files;
  for (std::size_t number = 1; number <= 12; ++number) files.push_back(shard(number, 12));
  EXPECT_EQ(ShardSet(files).points(), kPoints);
}

TEST_F(SweepShard, RefusesWhatDoesNotMakeOneSweep) {
  const fs::path first = shard(1, 3);
  const fs::path second = shard(2, 3);
  EXPECT_THAT(error({first, second}), HasSubstr("of a sweep of 3 shards, of which 3 is missing"));
  EXPECT_THAT(error({second}), HasSubstr("of which 1, 3 are missing"));
  EXPECT_THAT(error({first, second, second}), HasSubstr("2sweep.jsonl: is shard 2 of 3, as "));
  EXPECT_THAT(error({first, second, shard(3, 3, "other")}), HasSubstr("3other.jsonl: is of another sweep than "));
  EXPECT_THAT(error({first, second, shard(3, 4)}), HasSubstr("3sweep.jsonl: is of another sweep than "));
  EXPECT_THAT(error({folder_.path() / "none.jsonl"}), HasSubstr("none.jsonl: cannot be read"));
}

TEST_F(SweepShard, RefusesDamage) {
  const fs::path second = shard(2, 2);
  const fs::path first = shard(1, 2);
  const std::string whole = folder_.read(first.filename().string());
  const auto error_with = [&](const std::string& text) {
    folder_.write(first.filename().string(), text);
    return error({first, second});
  };
  EXPECT_THAT(error_with(whole.substr(0, whole.size() - 5)), HasSubstr("has 4 whole points, expected the 5 that were"));
  std::string damaged = whole;
  damaged.replace(damaged.find("2.5"), 3, "2.6");
  EXPECT_THAT(error_with(damaged), HasSubstr("has 4 whole points"));
  EXPECT_THAT(error_with(""), HasSubstr("is no shard of a sweep"));
  EXPECT_THAT(error_with("{}\n"), HasSubstr("is no shard of a sweep"));
  EXPECT_THAT(error_with("words\n"), HasSubstr("is no JSON"));
  std::string far = whole;
  far.replace(far.find("\"shard\":1"), 9, "\"shard\":7");
  EXPECT_THAT(error_with(far), HasSubstr("/shard"));
  std::string speed = whole;
  speed.replace(speed.find("\"energy\""), 8, "\"speed\"");
  EXPECT_THAT(error_with(speed), HasSubstr("/front/0: has 'speed'"));
  EXPECT_EQ(error_with(whole), "nothing was thrown");
}

TEST_F(SweepShard, TakesFamiliesOrPoints) {
  SweepAxes axes;
  axes.formats = sweep_formats({"e2m1", "e2m2", "e2m3", "int8"}, {});
  axes.accumulator_bits = {0, 12};
  axes.elements_per_scaler = {1, 2, 4};
  const SweepPoints points(axes);
  for (const bool families_share : {true, false}) {
    for (const std::size_t count : {1, 2, 3, 7, 8, 30}) {
      std::vector<std::size_t> all;
      for (std::size_t number = 1; number <= count; ++number) {
        const std::vector<std::size_t> own = points_of({number, count}, points, families_share);
        EXPECT_TRUE(std::is_sorted(own.begin(), own.end()));
        all.insert(all.end(), own.begin(), own.end());
        // There are seven families.
        if (!families_share || count > 7) continue;
        for (std::size_t i = 0; i < own.size(); i += 3) EXPECT_EQ(points.family(own[i]), points.family(own[i + 2]));
      }
      std::sort(all.begin(), all.end());
      ASSERT_EQ(all.size(), points.size());
      for (std::size_t point = 0; point < all.size(); ++point) EXPECT_EQ(all[point], point);
    }
  }
}

TEST_F(SweepShard, HasANumberAndACount) {
  EXPECT_EQ(parse_shard("3/16"), (Shard{3, 16}));
  for (const char* text : {"", "3", "0/4", "5/4", "1/0", "1/2/3", "a/b", "-1/2", "1/ 2"}) {
    EXPECT_THAT(test::error_of([&] { parse_shard(text); }), HasSubstr("expected I/N")) << text;
  }
}

}  // namespace
}  // namespace mlsim::evaluation
