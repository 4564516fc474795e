#include <gmock/gmock.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/support/command.h"
#include "tests/trainer/synthetic_images.h"
#include "trainer/training.h"
#include "workloads/npy.h"

namespace mlsim::trainer {
namespace {

using models::Operand;
using models::Pass;
using test::error_of;
using test::small_data;
using test::synthetic_images;
using test::TemporaryFolder;
using testing::HasSubstr;

// Three steps of ResNet-8, the last one traced with the whole batch.
TrainingRun traced_run(const TemporaryFolder& folder, Arithmetic arithmetic) {
  TrainingRun run;
  run.recipe.model = Model::kResNet8;
  run.recipe.batch = 4;
  run.recipe.steps = 3;
  run.recipe.seed = 11;
  run.recipe.quantization[Operand::kActivation].format = models::parse_scaled_format("e2m4");
  run.recipe.quantization[Operand::kWeight].format = models::parse_scaled_format("e2m3/g8m0/n");
  run.recipe.quantization[Operand::kError].format = models::parse_scaled_format("e2m1");
  run.recipe.quantization.random_bits = 12;
  run.recipe.quantization.arithmetic = arithmetic;
  run.trace = TraceRequest{.step = 2, .folder = folder.path() / "trace", .samples = 4, .layers = {}};
  return run;
}

std::set<std::string> names_in(const std::filesystem::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) names.insert(entry.path().filename());
  return names;
}

// Simulates the trace; returns the results document.
nlohmann::json simulate(const TemporaryFolder& folder, const std::string& options = "") {
  const test::CommandResult result = test::run_mlsim(
      MLSIM_COMMAND, folder,
      "simulate trace/workload.json --no-baselines --tensors simulated --results results.json " + options);
  EXPECT_EQ(result.status, 0) << result.err;
  return nlohmann::json::parse(folder.read("results.json"));
}

// The files of the step's own results that differ in any byte from those that were simulated.
std::set<std::string> different_files(const TemporaryFolder& folder) {
  std::set<std::string> different;
  for (const std::string& name : names_in(folder.path() / "trace" / "results")) {
    if (folder.read("trace/results/" + name) != folder.read("simulated/" + name)) different.insert(name);
  }
  return different;
}

TEST(ExactTraining, IsSimulatedToTheSameBits) {
  const TemporaryFolder folder;
  TrainingRun run = traced_run(folder, Arithmetic::kExact);
  run.on_difference = [](const auto&) { FAIL() << "there is nothing to compare"; };
  train(small_data(), run);
  simulate(folder);
  EXPECT_EQ(names_in(folder.path() / "trace" / "results"), names_in(folder.path() / "simulated"));
  EXPECT_EQ(names_in(folder.path() / "simulated").size(), 18U);
  EXPECT_THAT(different_files(folder), testing::IsEmpty());
  // Other noise gives other errors, and so other gradients; another format everything else.
  const std::string workload = folder.read("trace/workload.json");
  std::string other = workload;
  other.replace(other.find("\"step\": 2"), 9, "\"step\": 3");
  folder.write("trace/workload.json", other);
  simulate(folder);
  EXPECT_EQ(different_files(folder).size(), 12U);
  folder.write("trace/workload.json", workload);
  simulate(folder, "--format e2m1");
  EXPECT_EQ(different_files(folder).size(), 18U);
}

TEST(ExactTraining, KeepsOtherLayersInFloat) {
  const TemporaryFolder folder;
  TrainingRun run = traced_run(folder, Arithmetic::kExact);
  run.recipe.float_layers = {"layer1.0.conv2", "layer3.0.conv1"};
  train(small_data(), run);
  simulate(folder);
  const std::set<std::string> names = names_in(folder.path() / "simulated");
  EXPECT_EQ(names.size(), 15U);
  EXPECT_THAT(names, testing::IsSupersetOf({"conv1.forward.npy", "conv1.backward_data.npy"}));
  EXPECT_THAT(names, testing::Not(testing::Contains("layer3.0.conv1.forward.npy")));
  EXPECT_EQ(names_in(folder.path() / "trace" / "results"), names);
  EXPECT_THAT(different_files(folder), testing::IsEmpty());
}

TEST(ExactTraining, IsSimulatedToTheSameBitsInBlocksAndLinearLayers) {
  const TemporaryFolder folder;
  TrainingRun run = traced_run(folder, Arithmetic::kExact);
  run.recipe.quantize_linear = true;
  run.recipe.quantization[Operand::kActivation].format = models::parse_format("nvfp4");
  run.recipe.quantization[Operand::kWeight].format = models::parse_format("mxfp4/b16");
  run.recipe.quantization[Operand::kError].format = models::parse_format("e2m1/b8");
  // A part of the layers keeps its random words.
  run.trace->layers = {"layer2.0.conv1", "layer3.0.conv2", "fc"};
  train(small_data(), run);
  simulate(folder);
  EXPECT_EQ(names_in(folder.path() / "simulated").size(), 9U);
  EXPECT_EQ(names_in(folder.path() / "trace" / "results"), names_in(folder.path() / "simulated"));
  EXPECT_THAT(different_files(folder), testing::IsEmpty());
}

TEST(ExactTraining, CountsTheOverflowsOfTheSimulation) {
  for (const models::Overflow overflow : {models::Overflow::kSaturate, models::Overflow::kWrap}) {
    SCOPED_TRACE(to_string(overflow));
    const TemporaryFolder folder;
    TrainingRun run = traced_run(folder, Arithmetic::kExact);
    run.recipe.quantization.accumulator = {.bits = 12, .overflow = overflow};
    run.recipe.steps = 1;
    run.trace->step = 0;
    std::optional<std::array<std::uint64_t, 3>> overflows;
    run.on_epoch = [&](const EpochReport& report) { overflows = report.overflows; };
    train(small_data(), run);
    ASSERT_TRUE(overflows);
    std::array<std::uint64_t, 3> simulated{};
    const nlohmann::json results = simulate(folder);
    for (const nlohmann::json& layer : results["layers"]) {
      for (std::size_t pass = 0; pass < 3; ++pass) {
        simulated[pass] += layer["passes"][pass]["counts"]["overflows"].get<std::uint64_t>();
      }
    }
    EXPECT_EQ(*overflows, simulated);
    EXPECT_GT(simulated[0], 0U);
    EXPECT_THAT(different_files(folder), testing::IsEmpty());
  }
}

TEST(ExactTraining, TellsHowFarDequantizedArithmeticIs) {
  const TemporaryFolder folder;
  TrainingRun run = traced_run(folder, Arithmetic::kDequantized);
  // Formats with so many bits that binary32 cannot hold the sums over all groups.
  for (OperandQuantization& operand : run.recipe.quantization.operands) operand.format = models::parse_format("e2m7");
  std::optional<std::array<Difference, 3>> differences;
  run.on_difference = [&](const std::array<Difference, 3>& found) { differences = found; };
  train(small_data(), run);
  simulate(folder);
  ASSERT_TRUE(differences);
  std::array<Difference, 3> expected;
  for (const std::string& name : names_in(folder.path() / "trace" / "results")) {
    const std::size_t pass = name.find("forward") != std::string::npos         ? 0
                             : name.find("backward_data") != std::string::npos ? 1
                                                                               : 2;
    expected[pass] += difference_of(workloads::read_npy(folder.path() / "trace" / "results" / name),
                                    workloads::read_npy(folder.path() / "simulated" / name));
  }
  for (const Pass pass : models::kPasses) {
    SCOPED_TRACE(to_string(pass));
    const Difference& found = (*differences)[static_cast<std::size_t>(pass)];
    const Difference& simulated = expected[static_cast<std::size_t>(pass)];
    EXPECT_EQ(found.results, simulated.results);
    EXPECT_EQ(found.equal, simulated.equal);
    EXPECT_EQ(found.largest, simulated.largest);
    EXPECT_EQ(found.most_ulp, simulated.most_ulp);
    // Up to 4096 terms, each rounding by 2^-24, in another order.
    EXPECT_LT(found.largest, 0x1p-18);
    EXPECT_GT(found.equal, 0U);
    EXPECT_LT(found.equal, found.results) << "libtorch happens to add in the order of the contract";
  }
}

TEST(ExactTraining, LeavesResultsOutOfATraceOfAPart) {
  const TemporaryFolder folder;
  TrainingRun run = traced_run(folder, Arithmetic::kExact);
  run.trace->samples = 3;
  train(small_data(), run);
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "trace" / "results"));
  EXPECT_TRUE(std::filesystem::exists(folder.path() / "trace" / "workload.json"));
}

TEST(ExactTraining, IsRefusedWhereItCannotBe) {
  const TemporaryFolder folder;
  TrainingRun run = traced_run(folder, Arithmetic::kExact);
  run.recipe.quantization[Operand::kError].format = models::BaselineFormat::kBf16;
  EXPECT_EQ(error_of([&] { train(small_data(), run); }),
            "--arithmetic exact: the error is in bf16, expected block-scaled formats alone");
  run = traced_run(folder, Arithmetic::kExact);
  run.recipe.device = Device::kCuda;
  EXPECT_EQ(error_of([&] { train(small_data(), run); }),
            "--arithmetic exact: is computed by the processor, expected --device cpu");
  run = traced_run(folder, Arithmetic::kExact);
  run.recipe.float_layers = {"conv1", "conv2"};
  EXPECT_THAT(error_of([&] { train(small_data(), run); }),
              HasSubstr("--float-layers: 'conv2' is no convolution of the network, expected some of conv1, "
                        "layer1.0.conv1, "));
}

TEST(ExactTraining, GoesOnToTheSameOverflows) {
  const TemporaryFolder folder;
  TrainingRun run = traced_run(folder, Arithmetic::kExact);
  run.trace.reset();
  run.recipe.quantization.accumulator.bits = 11;
  std::vector<std::array<std::uint64_t, 3>> overflows;
  run.on_epoch = [&](const EpochReport& report) { overflows.push_back(*report.overflows); };
  train(small_data(), run);
  run.checkpoint = folder.path() / "checkpoint.pt";
  std::atomic<bool> stop{false};
  run.stop = &stop;
  run.on_step = [&](const StepReport& report) { stop = report.steps_done == 2; };
  train(small_data(), run);
  run.resume = run.checkpoint;
  run.on_step = nullptr;
  stop = false;
  train(small_data(), run);
  ASSERT_EQ(overflows.size(), 2U);
  EXPECT_GT(overflows[0][0], 0U);
  EXPECT_EQ(overflows[0], overflows[1]);
  run.recipe.quantization.accumulator.bits = 12;
  EXPECT_THAT(error_of([&] { train(small_data(), run); }), HasSubstr("was made with accumulator-bits 11"));
  run.recipe.quantization.accumulator.bits = 11;
  run.recipe.float_layers.emplace();
  EXPECT_THAT(error_of([&] { train(small_data(), run); }), HasSubstr("was made with float-layers \"first\""));
}

}  // namespace
}  // namespace mlsim::trainer
