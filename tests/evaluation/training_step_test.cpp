#include "evaluation/training_step.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "energy/cost_table.h"
#include "evaluation/evaluation.h"
#include "tests/support/laws.h"
#include "tests/support/run_layers.h"
#include "tests/support/temporary_folder.h"
#include "workloads/network.h"

namespace mlsim::evaluation {
namespace {

using test::kShape;
using test::laws;
using test::run_layers;
using testing::HasSubstr;

TEST(StepOfANetwork, IsPricedByHand) {
  // One convolution, its normalization, a ReLU, an addition, pooling and a linear layer; two images.
  const workloads::Network network = workloads::parse_network(
      R"({"schema": "mlsim.network/1", "name": "small", "input": {"channels": 16, "size": [16, 16]}, "layers": [
        {"name": "conv", "type": "conv2d", "inputs": ["input"], "in_channels": 16, "out_channels": 32, "in_size": [16, 16],
         "kernel": [3, 3], "stride": [1, 1], "padding": [1, 1], "groups": 1, "bias": false},
        {"name": "norm", "type": "batch_norm", "inputs": ["conv"], "channels": 32, "size": [16, 16]},
        {"name": "relu", "type": "relu", "inputs": ["norm"], "channels": 32, "size": [16, 16]},
        {"name": "sum", "type": "add", "inputs": ["relu", "conv"], "channels": 32, "size": [16, 16]},
        {"name": "pool", "type": "avg_pool", "inputs": ["sum"], "channels": 32, "in_size": [16, 16], "kernel": [16, 16],
         "stride": [16, 16], "padding": [0, 0]},
        {"name": "fc", "type": "linear", "inputs": ["pool"], "in_features": 32, "out_features": 10, "bias": true}]})",
      "small.json");
  const Results results = run_layers(kShape, Engine::kAnalytic);
  const TrainingStep step = training_step(network, results, "r.json", laws());
  constexpr double kMultiply = 3.7;
  constexpr double kAdd = 0.9;
  constexpr double kElements = 2 * 32 * 16 * 16;
  constexpr double kParameters = 32 * 16 * 9 + 2 * 32 + 32 * 10 + 10;
  const std::vector<std::pair<std::string, double>> expected{{"batch_norm", kElements * (5 * kMultiply + 7 * kAdd)},
                                                             {"activation", kElements * 2 * 32 * 0.0009},
                                                             {"element_add", kElements * 2 * kAdd},
                                                             {"gradient_add", kElements * kAdd},
                                                             {"pooling", kElements * 2 * kAdd},
                                                             {"linear", 3 * 2 * 320 * (kMultiply + kAdd)},
                                                             {"weight_update", kParameters * 3 * (kMultiply + kAdd)}};
  ASSERT_EQ(step.parts.size(), expected.size());
  double total = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(step.parts[i].name, expected[i].first);
    EXPECT_NEAR(step.parts[i].energy_pj.value, expected[i].second, 1e-6 * expected[i].second) << expected[i].first;
    total += expected[i].second;
  }
  EXPECT_NEAR(step.total_pj().value, total, 1e-6 * total);
  EXPECT_LT(step.total_pj().low, step.total_pj().value);

  const Evaluation evaluated({"r.json", results, {}, Activity::kDense, step}, laws());
  const double computing = evaluated.all().price.energy.computing().value;
  const std::vector<StepMachine>& machines = evaluated.step().value().machines;
  EXPECT_NEAR(machines[0].computing_pj.value, computing + total, 1);
  EXPECT_NEAR(machines[0].sample_computing_pj, (computing + total) / 2, 1);
  EXPECT_EQ(machines[1].baseline, "fp32");
  const double fp32 = evaluated.all().price.baselines[0].computing().value;
  EXPECT_NEAR(machines[1].computing_ratio.value().value, (fp32 + total) / (computing + total), 1e-9);
  EXPECT_FALSE(Evaluation({"r.json", results}, laws()).step());
}

TEST(StepOfANetwork, RefusesResultsOfOtherLayers) {
  const auto network = [](const std::string& name, const std::string& padding) {
    return workloads::parse_network(
        R"({"schema": "mlsim.network/1", "name": "n", "input": {"channels": 16, "size": [16, 16]}, "layers": [{"name": ")" +
            name +
            R"(", "type": "conv2d", "inputs": ["input"], "in_channels": 16, "out_channels": 32, "in_size": [16, 16], "kernel": [3, 3], "stride": [1, 1], "groups": 1, "bias": false, "padding": )" +
            padding + "}]}",
        "n.json");
  };
  const Results results = run_layers(kShape, Engine::kAnalytic);
  const auto error_with = [&](const workloads::Network& other, const Results& of) {
    return test::error_of([&] { training_step(other, of, "r.json", laws()); });
  };
  EXPECT_EQ(error_with(network("conv", "[1, 1]"), results), "nothing was thrown");
  EXPECT_THAT(error_with(network("other", "[1, 1]"), results), HasSubstr("r.json: has no layer 'other'"));
  EXPECT_THAT(error_with(network("conv", "[0, 0]"), results), HasSubstr("layer 'conv' is not that of n"));
  EXPECT_THAT(
      error_with(network("conv", "[1, 1]"), run_layers(kShape, Engine::kAnalytic, R"("passes": ["forward"], )")),
      HasSubstr("all three passes"));
  Results more = results;
  more.layers.push_back(results.layers[0]);
  more.layers.back().name = "extra";
  EXPECT_THAT(error_with(network("conv", "[1, 1]"), more), HasSubstr("has 2 layers, expected the 1 of n alone"));
  more.layers.back().shape.batch = 5;
  EXPECT_THAT(error_with(network("conv", "[1, 1]"), more), HasSubstr("'extra' has a batch of 5, expected the 2"));
}

}  // namespace
}  // namespace mlsim::evaluation
