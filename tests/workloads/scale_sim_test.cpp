#include "workloads/scale_sim.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/temporary_folder.h"
#include "workloads/source.h"
#include "workloads/training_counts.h"
#include "workloads/workload.h"

namespace mlsim::workloads {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

constexpr const char* kHeader =
    "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,\n";

TEST(ScaleSim, ReadsLayersWithPaddedInputs) {
  const Network network = parse_scale_sim(
      std::string(kHeader) + "\nConv1, 230, 231, 7, 5, 3, 64, 2,\r\n\tFC,1,1,1,1,2048,1000,1\n", "some/net.csv");
  EXPECT_EQ(network.name, "net");
  ASSERT_EQ(network.layers.size(), 2U);
  const models::ConvolutionShape expected{.batch = 4,
                                          .in_channels = 3,
                                          .out_channels = 64,
                                          .in_size = {230, 231},
                                          .kernel = {7, 5},
                                          .stride = {2, 2},
                                          .padding = {0, 0},
                                          .groups = 1};
  EXPECT_EQ(network.layers[0].name, "Conv1");
  EXPECT_EQ(network.layers[0].convolution_shape(4), expected);
  EXPECT_EQ(network.layers[0].output, (FeatureMap{64, {112, 114}}));
  EXPECT_EQ(network.layers[1].name, "FC");
  EXPECT_EQ(network.layers[1].weight_count(), 2048 * 1000);
  // 64 · 112 · 114 outputs of 7 · 5 · 3 products, and the 1×1 layer.
  EXPECT_EQ(count_training_step(network, 1).convolution.forward, 64U * 112 * 114 * 105 + 2048 * 1000);
}

TEST(ScaleSim, IsTakenWhereANetworkOrAWorkloadIs) {
  const test::TemporaryFolder folder;
  folder.write("net.csv", std::string(kHeader) + "conv, 34, 34, 3, 3, 16, 32, 1,\n");
  EXPECT_EQ(load_network("net.csv", folder.path()).layers.size(), 1U);
  const Workload direct = open_workload((folder.path() / "net.csv").string());
  const Workload named = parse_workload(
      R"({"schema": "mlsim.workload/1", "name": "w", "seed": 1, "format": "e2m1", "batch": 2, "layers": "net.csv"})",
      "w.json", folder.path());
  EXPECT_EQ(direct.name, "net");
  ASSERT_EQ(direct.layers.size(), 1U);
  EXPECT_TRUE(direct.layers[0].is_shape_only());
  EXPECT_EQ(direct.layers[0].passes.size(), 3U);
  EXPECT_EQ(models::to_string(direct.layers[0].operand(models::Operand::kError).format), "e2m4/g8m1/nc");
  EXPECT_EQ(direct.layers[0].shape.batch, 1);
  EXPECT_EQ(named.layers[0].shape.batch, 2);
  EXPECT_EQ(named.layers[0].shape.out_size(), (std::array<std::int64_t, 2>{32, 32}));
}

TEST(ScaleSim, RefusesABrokenWorkloadByItsLine) {
  const test::TemporaryFolder folder;
  const auto path = folder.write("net.csv", std::string(kHeader) + "conv, 34, 34, 3, 3, 16, 32, 0,\n");
  EXPECT_EQ(test::error_of([&] { open_workload(path.string()); }),
            path.string() + ": line 2: Strides is '0', expected a whole number from 1 to 1048576");
}

TEST(ScaleSim, RefusesWithFileLineAndWhatWasExpected) {
  const auto expect = [](const std::string& text, const std::vector<std::string>& parts) {
    for (const std::string& part : parts) {
      EXPECT_THAT([&] { parse_scale_sim(text, "net.csv"); },
                  ThrowsMessage<std::runtime_error>(AllOf(HasSubstr("net.csv: line "), HasSubstr(part))))
          << text;
    }
  };
  const std::string header = kHeader;
  expect("conv, 3, 3, 1, 1, 1, 1, 1,\n", {"line 1", "expected the header 'Layer name, IFMAP Height"});
  expect("Layer, M, N, K,\n", {"line 1", "is 'Layer, M, N, K'"});
  expect(header, {"no layer follows"});
  EXPECT_THAT([] { parse_scale_sim("\n", "net.csv"); },
              ThrowsMessage<std::runtime_error>("net.csv: is empty, expected a SCALE-Sim topology"));
  expect(header + "conv, 3, 3, 1, 1, 1, 1,\n", {"line 2", "has 7 values, expected 8"});
  expect(header + "conv, 3, 3, 1, 1, 1, 1, 1, 1:4,\n", {"line 2", "has 9 values"});
  expect(header + "AlphaGoZero,\n", {"line 2", "has 1 values"});
  expect(header + "\nconv, 3, x, 1, 1, 1, 1, 1,\n", {"line 3", "IFMAP Width is 'x', expected a whole number from 1"});
  expect(header + "conv, 3, 3, 1, 1, 0, 1, 1,\n", {"Channels is '0'"});
  expect(header + "conv, 3, 3, 1, 1, 1.5, 1, 1,\n", {"Channels is '1.5'"});
  expect(header + "conv, 3, 3, 1, 1, 1, 1, ,\n", {"Strides is ''"});
  expect(header + ", 3, 3, 1, 1, 1, 1, 1,\n", {"no layer name"});
  expect(header + "conv, 3, 2, 1, 3, 1, 1, 1,\n", {"Filter Width is 3, expected at most the 2 of IFMAP Width"});
  expect(header + "a, 3, 3, 1, 1, 1, 1, 1,\na, 3, 3, 1, 1, 1, 1, 1,\n", {"line 3", "'a' is also that of line 2"});
  expect(header + "a, 1048576, 1048576, 1, 1, 1048576, 1, 1,\n", {"2^56"});
}

}  // namespace
}  // namespace mlsim::workloads
