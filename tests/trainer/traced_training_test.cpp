// What exact training writes as a step's results, against the functional engine on the step's trace.
#include <gmock/gmock.h>

#include <cstring>
#include <set>

#include "models/convolution/cpu/functional_convolution.h"
#include "models/convolution/reference/reference_convolution.h"
#include "models/quantizer/reference_quantizer.h"
#include "tests/support/temporary_folder.h"
#include "tests/trainer/synthetic_images.h"
#include "trainer/training.h"
#include "workloads/npy.h"
#include "workloads/workload.h"

namespace mlsim::trainer {
namespace {

using models::Operand;
using models::Pass;

constexpr std::int64_t kBatch = 4;

// A step of ResNet-8, traced with the whole batch.
TrainingRun traced_run(const test::TemporaryFolder& folder, const std::string& format) {
  TrainingRun run;
  run.recipe.model = Model::kResNet8;
  run.recipe.batch = kBatch;
  run.recipe.steps = 1;
  run.recipe.seed = 11;
  const models::OperandFormats formats = models::parse_operand_formats(format);
  for (const Operand operand : models::kOperands) {
    run.recipe.quantization[operand].format = formats[static_cast<std::size_t>(operand)];
  }
  run.recipe.quantization.arithmetic = Arithmetic::kExact;
  run.trace = TraceRequest{.step = 0, .folder = folder.path() / "trace", .samples = kBatch, .layers = {}};
  return run;
}

void train_small(const TrainingRun& run) {
  const DataShape shape{.channels = 3, .side = 8, .classes = 10};
  train(MemoryDataset("cifar10", {test::synthetic_images(8, 1, shape), test::synthetic_images(4, 2, shape)},
                      Augmentation{}),
        run);
}

models::ConvolutionResult result_of(const workloads::Workload& workload, std::size_t index, Pass pass,
                                    const models::Accumulator& accumulator, bool by_reference) {
  const workloads::Layer& layer = workload.layers[index];
  const auto quantized = [&](Operand operand) {
    const models::ScaledFormat format = std::get<models::ScaledFormat>(layer.operand(operand).format).of(operand, pass);
    const models::Tensor<float> values = workloads::load_operand(layer, operand);
    const models::QuantizerOptions options = workloads::quantizer_options(workload, index, operand);
    return (by_reference ? models::reference_quantize(values, format, options, "x")
                         : models::quantize(values, format, options, "x"))
        .tensor;
  };
  const models::ScaledTensor left = quantized(models::left_operand(pass));
  const models::ScaledTensor right = quantized(models::right_operand(pass));
  return by_reference ? models::reference_convolution(pass, layer.shape, left, right, accumulator)
                      : models::functional_convolution(pass, layer.shape, left, right, accumulator);
}

// Every result of the trace, against that of an engine; returns the overflows of the engine.
std::uint64_t expect_results(const std::filesystem::path& folder, const models::Accumulator& accumulator,
                             bool by_reference) {
  const workloads::Workload workload = workloads::load_workload(folder / "workload.json");
  std::uint64_t overflows = 0;
  for (std::size_t i = 0; i < workload.layers.size(); ++i) {
    const workloads::Layer& layer = workload.layers[i];
    for (const Pass pass : models::kPasses) {
      const models::Tensor<float> own =
          workloads::read_npy(folder / "results" / (layer.name + "." + to_string(pass) + ".npy"));
      const models::ConvolutionResult expected = result_of(workload, i, pass, accumulator, by_reference);
      EXPECT_EQ(own.shape, workloads::file_shape(layer, expected.values.shape)) << layer.name;
      EXPECT_EQ(own.size(), expected.values.size());
      EXPECT_EQ(std::memcmp(own.values.data(), expected.values.values.data(), own.values.size() * sizeof(float)), 0)
          << layer.name << " " << to_string(pass);
      overflows += expected.counts.overflows;
    }
  }
  return overflows;
}

TEST(TracedTraining, HasTheBitsOfTheReferenceInEveryFormat) {
  for (const char* const format : {"mxfp4", "nvfp4", "e2m1/b4", "mxfp8/even", "e2m3/k16"}) {
    SCOPED_TRACE(format);
    const test::TemporaryFolder folder;
    TrainingRun run = traced_run(folder, format);
    // The reference is slow.
    run.trace->layers = {"layer1.0.conv1", "layer3.0.conv1"};
    train_small(run);
    expect_results(folder.path() / "trace", {}, true);
  }
}

TEST(TracedTraining, HasTheBitsOfTheEngineWithMixedFormatsAndLinearLayers) {
  const test::TemporaryFolder folder;
  TrainingRun run = traced_run(folder, "nvfp4");
  run.recipe.quantize_linear = true;
  run.recipe.quantization[Operand::kWeight].format = models::parse_format("nvfp4/t16x16x1x1");
  run.recipe.quantization[Operand::kError].format = models::parse_format("e2m4/b8");
  train_small(run);
  expect_results(folder.path() / "trace", {}, false);
  const workloads::Workload workload = workloads::load_workload(folder.path() / "trace" / "workload.json");
  ASSERT_EQ(workload.layers.size(), 7U);
  const workloads::Layer& linear = workload.layers.back();
  EXPECT_EQ(linear.name, "fc");
  EXPECT_TRUE(linear.linear);
  EXPECT_EQ(linear.index, 6U);
  EXPECT_EQ(linear.shape.out_channels, 10);
  EXPECT_EQ(workloads::read_npy(folder.path() / "trace" / "fc.activation.npy").shape, (models::Shape{kBatch, 64}));
  EXPECT_EQ(workloads::read_npy(folder.path() / "trace" / "results" / "fc.forward.npy").shape,
            (models::Shape{kBatch, 10}));
  EXPECT_FALSE(workload.layers.front().linear);
}

TEST(TracedTraining, KeepsTheRandomWordsOfLayersInATraceOfSome) {
  const test::TemporaryFolder folder;
  TrainingRun run = traced_run(folder, "mxfp4");
  run.recipe.quantize_linear = true;
  run.trace->layers = {"layer2.0.conv1", "fc"};
  for (OperandQuantization& operand : run.recipe.quantization.operands) {
    operand.rounding = models::Rounding::kStochastic;
  }
  train_small(run);
  const workloads::Workload workload = workloads::load_workload(folder.path() / "trace" / "workload.json");
  ASSERT_EQ(workload.layers.size(), 2U);
  EXPECT_EQ(workload.layers[0].index, 2U);
  EXPECT_EQ(workload.layers[1].index, 6U);
  expect_results(folder.path() / "trace", {}, false);
}

TEST(TracedTraining, AddsSeveralProductsAtOnceWhereAsked) {
  std::set<std::uint64_t> all;
  for (const int taps_per_cycle : {1, 8}) {
    const test::TemporaryFolder folder;
    TrainingRun run = traced_run(folder, "e2m4/b16");
    run.recipe.quantization.accumulator = {
        .bits = 12, .overflow = models::Overflow::kSaturate, .taps_per_cycle = taps_per_cycle};
    std::uint64_t overflows = 0;
    run.on_epoch = [&](const EpochReport& report) {
      for (const std::uint64_t count : report.overflows.value()) overflows += count;
    };
    train_small(run);
    EXPECT_EQ(expect_results(folder.path() / "trace", run.recipe.quantization.accumulator, false), overflows);
    EXPECT_GT(overflows, 0U);
    all.insert(overflows);
  }
  EXPECT_EQ(all.size(), 2U);
}

TEST(TracedTraining, LearnsTheSameTwice) {
  // Formats whose operands are quantized anew in the backward pass, in both arithmetics.
  for (const Arithmetic arithmetic : {Arithmetic::kDequantized, Arithmetic::kExact}) {
    std::set<double> losses;
    for (int repetition = 0; repetition < 2; ++repetition) {
      const test::TemporaryFolder folder;
      TrainingRun run = traced_run(folder, "mxfp8");
      run.recipe.quantization.arithmetic = arithmetic;
      run.recipe.steps = 2;
      run.recipe.quantize_linear = true;
      double last = 0;
      run.on_step = [&](const StepReport& report) { last = report.loss; };
      train_small(run);
      losses.insert(last);
    }
    EXPECT_EQ(losses.size(), 1U);
  }
}

}  // namespace
}  // namespace mlsim::trainer
