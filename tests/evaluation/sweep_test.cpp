#include "evaluation/sweep.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "energy/cost_table.h"
#include "evaluation/point_dispenser.h"
#include "evaluation/sweep_axes.h"
#include "tests/support/repetitions.h"
#include "tests/support/temporary_folder.h"

namespace mlsim::evaluation {
namespace {

using testing::HasSubstr;

class Sweep : public testing::Test {
 protected:
  test::TemporaryFolder folder_;
};

TEST_F(Sweep, ATensorThatChangesMeanwhileEndsIt) {
  const std::filesystem::path trace =
      std::filesystem::path(MLSIM_SOURCE_DIR) / "workloads/traces/resnet20-cifar10-e2m4";
  std::filesystem::copy(trace, folder_.path() / "trace");
  const workloads::Workload workload = workloads::load_workload(folder_.path() / "trace/workload.json");
  SweepTensors tensors(workload);
  tensors.require_unchanged();
  tensors.require_unchanged_contents();
  // Other times of the same content are none of its business.
  const std::filesystem::path touched = folder_.path() / "trace/layer1.0.conv1.weight.npy";
  std::filesystem::last_write_time(touched, std::filesystem::file_time_type::clock::now() + std::chrono::hours(1000));
  tensors.require_unchanged();
  const std::string name = "trace/layer2.0.conv1.weight.npy";
  std::string values = folder_.read(name);
  values.back() = static_cast<char>(values.back() ^ 1);
  folder_.write(name, values);
  EXPECT_THAT(test::error_of([&] { tensors.require_unchanged(); }), HasSubstr("has changed since the sweep began"));
  EXPECT_THAT(test::error_of([&] { tensors.require_unchanged_contents(); }), HasSubstr("has changed since"));
  EXPECT_NE(SweepTensors(workload).hash(), tensors.hash());
  std::filesystem::resize_file(folder_.path() / name, std::uintmax_t{1} << 40);
  EXPECT_THAT(test::error_of([&] { const SweepTensors sparse(workload); }),
              HasSubstr("layer2.0.conv1.weight.npy: has 1099511627776 bytes, more than the 4608 values"));
}

// All contents are compared once more behind the last point.
TEST_F(Sweep, ATensorThatChangesAtItsEndEndsItToo) {
  const std::filesystem::path trace =
      std::filesystem::path(MLSIM_SOURCE_DIR) / "workloads/traces/resnet20-cifar10-e2m4";
  std::filesystem::copy(trace, folder_.path() / "trace");
  const workloads::Workload workload = workloads::load_workload(folder_.path() / "trace/workload.json");
  SweepTensors tensors(workload);
  SweepAxes axes;
  axes.formats = sweep_formats({"e2m4"}, {});
  const SweepPoints points(axes);
  const energy::Laws laws{energy::find_cost_table()};
  const SweepSetting setting{workload, Engine::kAnalytic, laws, Activity::kDense, default_front(Engine::kAnalytic)};
  PointDispenser dispenser(all_points(points), family_of(setting, points));
  int rows = 0;
  const auto run = [&] {
    run_points(
        setting, points, tensors, [&] { return dispenser.next(0); },
        [&](std::size_t /*point*/, const nlohmann::ordered_json& /*row*/) {
          ++rows;
          const std::string name = "trace/layer2.0.conv1.weight.npy";
          std::string values = folder_.read(name);
          values.back() = static_cast<char>(values.back() ^ 1);
          folder_.write(name, values);
        });
  };
  EXPECT_THAT(test::error_of(run), HasSubstr("layer2.0.conv1.weight.npy: has changed since the sweep began"));
  EXPECT_EQ(rows, 1);
}

// Rows of points that share work are those of points on their own, whatever is kept.
TEST_F(Sweep, SharedWorkChangesNoRow) {
  const workloads::Workload workload = workloads::load_workload(std::filesystem::path(MLSIM_SOURCE_DIR) /
                                                                "workloads/traces/resnet20-cifar10-e2m4/workload.json");
  SweepAxes axes;
  axes.formats = sweep_formats({"e2m1+e2m4+e2m1", "e2m4", "int8", "nvfp4", "fp16"}, {});
  axes.formats.resize(std::max(1, test::repetitions(5)));
  axes.accumulator_bits = {0, 12};
  sim::ArrayConfig small;
  small.rows = 8;
  small.columns = 4;
  sim::ArrayConfig taps = small;
  taps.taps_per_cycle = 4;
  axes.arrays.emplace_back("small", small);
  axes.arrays.emplace_back("taps", taps);
  axes.elements_per_scaler = {1, 4};
  const SweepPoints points(axes);
  const energy::Laws laws{energy::find_cost_table()};
  for (const Activity activity : {Activity::kDense, Activity::kGated}) {
    SCOPED_TRACE(to_string(activity));
    const SweepSetting alone{workload, Engine::kFunctional, laws, activity, default_front(Engine::kFunctional)};
    std::vector<std::string> expected;
    for (std::size_t point = 0; point < points.size(); ++point) {
      expected.push_back(run_point(alone, points, point).dump());
    }
    // Room for everything, and for a part.
    for (const std::size_t megabytes : {512, 2}) {
      SharedWork shared(megabytes << 20);
      SweepSetting setting{workload, Engine::kFunctional, laws, activity, alone.front, &shared};
      for (std::size_t point = 0; point < points.size(); ++point) {
        EXPECT_EQ(run_point(setting, points, point).dump(), expected[point]) << point;
      }
      EXPECT_GT(shared.figures().found, 0U);
      EXPECT_LE(shared.figures().bytes, megabytes << 20);
    }
  }
}

}  // namespace
}  // namespace mlsim::evaluation
