// Dataflows and shapes of arrays on the command line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "app/report/sweep_reader.h"
#include "tests/support/command.h"

namespace mlsim {
namespace {

using nlohmann::json;
using testing::HasSubstr;

constexpr const char* kDataflowWorkload =
    R"({ "schema": "mlsim.workload/1", "name": "small", "seed": 1, "format": "e2m4",
  "layers": [
    { "name": "conv", "type": "conv2d", "batch": 2, "in_channels": 8, "out_channels": 8, "in_size": [12, 12],
      "kernel": [3, 3], "padding": [1, 1] } ] })";

class DataflowSweep : public testing::Test {
 protected:
  DataflowSweep() { folder_.write("workload.json", kDataflowWorkload); }

  test::CommandResult run(const std::string& arguments) const {
    return test::run_mlsim(MLSIM_COMMAND, folder_, "sweep workload.json --engine analytic " + arguments);
  }
  json points(const std::string& arguments) const {
    const test::CommandResult result = run(arguments + " --out s.json");
    EXPECT_EQ(result.status, 0) << result.err;
    return json::parse(folder_.read("s.json"))["points"];
  }

  test::TemporaryFolder folder_;
};

TEST_F(DataflowSweep, HasAPointForEachDataflow) {
  const json both = points("--formats e2m4,fp8 --dataflow output-stationary,weight-stationary");
  ASSERT_EQ(both.size(), 4U);
  EXPECT_EQ(both[0]["dataflow"], "output-stationary");
  EXPECT_EQ(both[1]["dataflow"], "weight-stationary");
  EXPECT_NE(both[0]["cycles"], both[1]["cycles"]);
  EXPECT_EQ(both[0]["multiply_adds"], both[1]["multiply_adds"]);
  // Nothing of it where there is one dataflow as ever.
  const json one = points("--formats e2m4,fp8");
  EXPECT_FALSE(one[0].contains("dataflow"));
  EXPECT_EQ(one[0]["cycles"], both[0]["cycles"]);
  EXPECT_THAT(run("--formats e2m4 --dataflow weight-stationary").out, HasSubstr("WS 16x16/8"));
}

TEST_F(DataflowSweep, CombinesDataflowsWithSeveralMultipliers) {
  const json all =
      points("--formats e2m4,fp8 --dataflow output-stationary,weight-stationary --taps-per-cycle 1,8 --sharing 1,16");
  ASSERT_EQ(all.size(), 16U);
  for (const json& point : all) EXPECT_EQ(point["multiply_adds"], all[0]["multiply_adds"]);
  EXPECT_THAT(run("--formats e2m4 --dataflow weight-stationary --taps-per-cycle 8").out, HasSubstr("WS 16x16x8/8"));
}

TEST_F(DataflowSweep, TablesAreReadAsTheyAreWritten) {
  ASSERT_EQ(run("--formats e2m4 --dataflow output-stationary,weight-stationary --out s.csv").status, 0);
  ASSERT_EQ(run("--formats e2m4 --dataflow output-stationary,weight-stationary --out s.json").status, 0);
  const auto points_of = [&](const char* name) {
    return app::load_sweep((folder_.path() / name).string()).document["points"];
  };
  const json table = points_of("s.csv");
  const json document = points_of("s.json");
  for (const std::size_t point : {0U, 1U}) {
    EXPECT_EQ(table[point]["dataflow"], document[point]["dataflow"]);
    EXPECT_EQ(table[point]["cycles"], document[point]["cycles"]);
  }
}

TEST_F(DataflowSweep, TriesShapes) {
  const json shapes = points("--formats nvfp4 --array auto:64 --dataflow output-stationary,weight-stationary");
  EXPECT_EQ(shapes.size(), 14U);
  for (const json& point : shapes) EXPECT_EQ(point["rows"].get<int>() * point["columns"].get<int>(), 64);
  // Formats of smaller elements have more of them in the same area.
  const auto most = [&](const std::string& format) {
    int elements = 0;
    for (const json& point : points("--array auto:1mm2 --formats " + format)) {
      elements = std::max(elements, point["rows"].get<int>() * point["columns"].get<int>());
    }
    return elements;
  };
  EXPECT_GT(most("nvfp4"), 3 * most("fp32"));
  EXPECT_GT(most("fp32"), 0);
  // So have elements of fewer multipliers, of shared units and of narrower accumulators.
  EXPECT_GT(2 * most("e2m4"), 3 * most("e2m4 --taps-per-cycle 8"));
  EXPECT_GT(most("e2m4"), 2 * most("e2m4 --sharing 1"));
  EXPECT_GT(most("e2m4"), most("e2m4 --accumulator-bits 12,48"));
}

TEST_F(DataflowSweep, RefusesWithASentence) {
  for (const auto& [arguments, part] :
       {std::pair{"--array auto:0", "expected auto:N with 1 to 1048576 elements"},
        std::pair{"--array auto:2053", "no shape of at most 1024 rows and columns"},
        std::pair{"--array auto:0.0000001mm2", "not even one element"},
        std::pair{"--array auto:1mm2 --formats e2m4,fp32", "of 2 formats, expected one"},
        std::pair{"--array auto:1mm2 --sharing 1,8", "of 2 values of --sharing, expected one"},
        std::pair{"--array auto:1mm2 --taps-per-cycle 1,8", "of 2 values of --taps-per-cycle, expected one"},
        std::pair{"--array auto:4:no.json", "no.json: cannot be read"},
        std::pair{"--dataflow row-stationary", "none of output-stationary"}}) {
    const test::CommandResult result =
        run(std::string(arguments) +
            (std::string(arguments).find("--formats") == std::string::npos ? " --formats e2m4" : ""));
    EXPECT_EQ(result.status, 2) << arguments;
    EXPECT_THAT(result.err, HasSubstr(part)) << arguments;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  }
}

}  // namespace
}  // namespace mlsim
