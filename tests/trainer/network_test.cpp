#include "trainer/networks/network.h"

#include <gmock/gmock.h>
#include <torch/nn/functional/loss.h>
#include <torch/optim/sgd.h>
#include <torch/serialize.h>

#include <atomic>
#include <bit>
#include <cmath>
#include <sstream>

#include "models/baseline/baseline.h"
#include "models/convolution/reference/reference_convolution.h"
#include "models/quantizer/reference_quantizer.h"
#include "tests/support/random_tensors.h"
#include "tests/support/temporary_folder.h"
#include "tests/trainer/synthetic_images.h"
#include "trainer/data/cifar10.h"
#include "trainer/quantized_convolution.h"
#include "trainer/training.h"
#include "workloads/workload.h"

namespace mlsim::trainer {
namespace {

using models::ConvolutionShape;
using models::Operand;
using models::Pass;
using models::Rounding;
using models::Tensor;

Tensor<float> normal_tensor(tests::Random& random, const models::Shape& shape) {
  Tensor<float> tensor{shape, {}};
  std::normal_distribution<float> normal;
  for (std::int64_t i = 0; i < models::element_count(shape); ++i) tensor.values.push_back(normal(random));
  return tensor;
}

torch::Tensor to_torch(const Tensor<float>& tensor) {
  return torch::tensor(tensor.values).reshape(at::IntArrayRef(tensor.shape));
}

Tensor<float> from_torch(const torch::Tensor& tensor) {
  const torch::Tensor dense = tensor.detach().contiguous();
  return {{dense.sizes().begin(), dense.sizes().end()},
          {dense.data_ptr<float>(), dense.data_ptr<float>() + dense.numel()}};
}

// Sums of up to some hundred products in another order: a few units in the last place of the largest one.
void expect_close(const torch::Tensor& found, const Tensor<float>& expected, const std::string& what) {
  const Tensor<float> values = from_torch(found);
  ASSERT_EQ(values.shape, expected.shape) << what;
  float largest = 0;
  for (const float x : expected.values) largest = std::max(largest, std::fabs(x));
  for (std::size_t i = 0; i < values.values.size(); ++i) {
    ASSERT_NEAR(values.values[i], expected.values[i], largest * 0x1p-18F) << what << ", element " << i;
  }
}

// A convolution, both ways, and its operands.
struct Example {
  ConvolutionShape shape;
  std::array<Tensor<float>, 3> operands;
  torch::Tensor result;
  torch::Tensor activation_gradient;
  torch::Tensor weight_gradient;

  const Tensor<float>& operator[](Operand operand) const { return operands[static_cast<std::size_t>(operand)]; }
};

Example run_convolution(tests::Random& random, const ConvolutionLayer& layer, const PassState& state) {
  Example example;
  const std::int64_t kernel = tests::between(random, 0, 1) == 0 ? 1 : 3;
  example.shape = {.batch = tests::between(random, 1, 3),
                   .in_channels = tests::between(random, 1, 6),
                   .out_channels = tests::between(random, 1, 6),
                   .in_size = {tests::between(random, 3, 9), tests::between(random, 3, 9)},
                   .kernel = {kernel, kernel},
                   .stride = {layer.stride, layer.stride},
                   .padding = {layer.padding, layer.padding},
                   .groups = 1};
  for (const Operand operand : models::kOperands) {
    example.operands[static_cast<std::size_t>(operand)] = normal_tensor(random, example.shape.shape_of(operand));
  }
  const torch::Tensor activation = to_torch(example[Operand::kActivation]).requires_grad_();
  const torch::Tensor weight = to_torch(example[Operand::kWeight]).requires_grad_();
  example.result = quantized_convolution(activation, weight, layer, state);
  example.result.backward(to_torch(example[Operand::kError]));
  example.activation_gradient = activation.grad();
  example.weight_gradient = weight.grad();
  return example;
}

ConvolutionLayer random_layer(tests::Random& random, std::uint64_t seed) {
  return {.name = "layer",
          .index = static_cast<std::size_t>(seed % 7),
          .stride = tests::between(random, 1, 2),
          .padding = tests::between(random, 0, 1)};
}

Rounding random_rounding(tests::Random& random) {
  return tests::between(random, 0, 1) == 0 ? Rounding::kNearest : Rounding::kStochastic;
}

models::ScaledFormat random_training_format(tests::Random& random) {
  constexpr std::array kFormats{"e2m1",    "e2m4",           "e2m4/g8m0/n", "e1m3/g4m2/c", "e0m4/none",
                                "e3m2",    "mxfp4",          "nvfp4",       "mxint8/k2",   "mxfp6-e2m3/ceil/k3",
                                "e2m1/b4", "nvfp4/t2x3x1x1", "mxfp4/b2",    "e2m4/k3",     "e2m3/sat/t2x2x1x*"};
  return models::parse_scaled_format(
      kFormats[static_cast<std::size_t>(tests::between(random, 0, static_cast<std::int64_t>(kFormats.size()) - 1))]);
}

// What the reference computes of an example in a pass, for which operands are quantized anew.
models::ConvolutionResult reference_result(const Example& example, Pass pass, const ConvolutionLayer& layer,
                                           const PassState& state) {
  const auto quantized = [&](Operand operand) {
    const models::QuantizerOptions options{.rounding = state.quantization[operand].rounding,
                                           .random_bits = 16,
                                           .seed = state.quantization.seed,
                                           .stream = workloads::random_stream(state.step, layer.index, operand)};
    const auto& format = std::get<models::ScaledFormat>(state.quantization[operand].format);
    return models::reference_quantize(example[operand], format.of(operand, pass), options, "x").tensor;
  };
  return models::reference_convolution(pass, example.shape, quantized(models::left_operand(pass)),
                                       quantized(models::right_operand(pass)), state.quantization.accumulator);
}

TEST(QuantizedConvolution, AgreesWithTheReferenceInAllPasses) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    tests::Random random(seed);
    PassState state;
    state.step = seed;
    state.quantization.seed = seed * 977;
    for (const Operand operand : models::kOperands) {
      state.quantization[operand].format = random_training_format(random);
      state.quantization[operand].rounding = random_rounding(random);
    }
    const ConvolutionLayer layer = random_layer(random, seed);
    const Example example = run_convolution(random, layer, state);

    const auto expected = [&](Pass pass) { return reference_result(example, pass, layer, state).values; };
    expect_close(example.result, expected(Pass::kForward), "forward");
    expect_close(example.activation_gradient, expected(Pass::kBackwardData), "backward data");
    expect_close(example.weight_gradient, expected(Pass::kBackwardWeight), "backward weight");
  }
}

TEST(QuantizedConvolution, ExactArithmeticHasTheBitsOfTheReference) {
  std::uint64_t all_overflows = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    tests::Random random(seed);
    std::array<std::uint64_t, 3> overflows{};
    PassState state;
    state.step = seed;
    state.overflows = &overflows;
    state.quantization.seed = seed * 977;
    state.quantization.arithmetic = Arithmetic::kExact;
    state.quantization.accumulator = {
        .bits = tests::between(random, 0, 1) == 0 ? 0 : static_cast<int>(tests::between(random, 6, 14)),
        .overflow = tests::between(random, 0, 1) == 0 ? models::Overflow::kSaturate : models::Overflow::kWrap,
        .taps_per_cycle = static_cast<int>(tests::between(random, 1, 5))};
    for (const Operand operand : models::kOperands) {
      state.quantization[operand].format = random_training_format(random);
      state.quantization[operand].rounding = random_rounding(random);
    }
    const ConvolutionLayer layer = random_layer(random, seed);
    const Example example = run_convolution(random, layer, state);
    const std::array<torch::Tensor, 3> found{example.result, example.activation_gradient, example.weight_gradient};
    for (const Pass pass : models::kPasses) {
      const models::ConvolutionResult expected = reference_result(example, pass, layer, state);
      const Tensor<float> values = from_torch(found[static_cast<std::size_t>(pass)]);
      ASSERT_EQ(values.shape, expected.values.shape);
      for (std::size_t i = 0; i < values.values.size(); ++i) {
        ASSERT_EQ(std::bit_cast<std::uint32_t>(values.values[i]),
                  std::bit_cast<std::uint32_t>(expected.values.values[i]))
            << to_string(pass) << ", element " << i;
      }
      EXPECT_EQ(overflows[static_cast<std::size_t>(pass)], expected.counts.overflows);
      all_overflows += expected.counts.overflows;
    }
  }
  EXPECT_GT(all_overflows, 0U);
}

TEST(QuantizedProduct, HasTheBitsOfTheReference) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    tests::Random random(seed);
    PassState state;
    state.quantization.arithmetic = Arithmetic::kExact;
    for (const Operand operand : models::kOperands) state.quantization[operand].format = random_training_format(random);
    const ConvolutionLayer layer{.name = "fc", .index = 3};
    Example example;
    example.shape = {.batch = 5, .in_channels = 9, .out_channels = 4};
    for (const Operand operand : models::kOperands) {
      example.operands[static_cast<std::size_t>(operand)] = normal_tensor(random, example.shape.shape_of(operand));
    }
    const torch::Tensor activation = to_torch(example[Operand::kActivation]).flatten(1).requires_grad_();
    const torch::Tensor weight = to_torch(example[Operand::kWeight]).flatten(1).requires_grad_();
    const torch::Tensor result = quantized_product(activation, weight, layer, state);
    result.backward(to_torch(example[Operand::kError]).flatten(1));
    const std::array<torch::Tensor, 3> found{result, activation.grad(), weight.grad()};
    for (const Pass pass : models::kPasses) {
      const Tensor<float> values = from_torch(found[static_cast<std::size_t>(pass)]);
      EXPECT_EQ(values.shape.size(), 2U);
      EXPECT_EQ(values.values, reference_result(example, pass, layer, state).values.values) << to_string(pass);
    }
  }
}

TEST(QuantizedConvolution, AgreesWithTheBaselinesInAllPasses) {
  constexpr const char* kFormats[] = {"fp32", "bf16", "fp16", "fp8-e4m3", "fp8-e5m2"};
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    tests::Random random(seed);
    PassState state;
    state.step = seed;
    state.quantization.seed = seed * 977;
    state.quantization.random_bits = static_cast<int>(tests::between(random, 1, 24));
    for (const Operand operand : models::kOperands) {
      state.quantization[operand].format =
          models::parse_format(seed % 3 == 0 ? "int8" : kFormats[tests::between(random, 0, 4)]);
      state.quantization[operand].rounding = random_rounding(random);
    }
    const ConvolutionLayer layer = random_layer(random, seed);
    const Example example = run_convolution(random, layer, state);
    const auto quantized = [&](Operand operand) {
      const models::QuantizerOptions options{.rounding = state.quantization[operand].rounding,
                                             .random_bits = state.quantization.random_bits,
                                             .seed = seed * 977,
                                             .stream = workloads::random_stream(seed, seed % 7, operand)};
      return models::quantize_baseline(
          example[operand], std::get<models::BaselineFormat>(state.quantization[operand].format), options, "x");
    };
    const auto expected = [&](Pass pass) {
      return models::baseline_convolution(pass, example.shape, quantized(models::left_operand(pass)),
                                          quantized(models::right_operand(pass)))
          .values;
    };
    expect_close(example.result, expected(Pass::kForward), "forward");
    expect_close(example.activation_gradient, expected(Pass::kBackwardData), "backward data");
    expect_close(example.weight_gradient, expected(Pass::kBackwardWeight), "backward weight");
  }
}

TEST(QuantizedConvolution, MixesMlsAndBaselines) {
  tests::Random random(9);
  PassState state;
  state.quantization[Operand::kActivation].format = models::parse_format("e2m4");
  state.quantization[Operand::kWeight].format = models::parse_format("int8");
  state.quantization[Operand::kError] = {models::parse_format("fp8-e5m2"), Rounding::kNearest};
  const Example example = run_convolution(random, {.name = "layer", .index = 0}, state);
  const auto dequantized = [&](Operand operand) {
    const models::Format& format = state.quantization[operand].format;
    const auto* const mls = std::get_if<models::ScaledFormat>(&format);
    const Tensor<double> exact = mls != nullptr
                                     ? models::dequantize(models::quantize(example[operand], *mls, {}, "x").tensor)
                                     : models::dequantize(models::quantize_baseline(
                                           example[operand], std::get<models::BaselineFormat>(format), "x"));
    return torch::tensor(exact.values, torch::kDouble).reshape(at::IntArrayRef(exact.shape)).requires_grad_();
  };
  const torch::Tensor activation = dequantized(Operand::kActivation);
  const torch::Tensor weight = dequantized(Operand::kWeight);
  const torch::Tensor result = torch::conv2d(activation, weight, {}, 1, 1);
  result.backward(dequantized(Operand::kError));
  expect_close(example.result, from_torch(result.to(torch::kFloat)), "forward");
  expect_close(example.activation_gradient, from_torch(activation.grad().to(torch::kFloat)), "backward data");
  expect_close(example.weight_gradient, from_torch(weight.grad().to(torch::kFloat)), "backward weight");
}

TEST(QuantizedLinearLayer, ChangesTheNetworkWhereItIsAskedFor) {
  const DataShape shape{.channels = 3, .side = 8, .classes = 10};
  tests::Random random(4);
  const torch::Tensor images = to_torch(normal_tensor(random, {2, 3, 8, 8}));
  std::vector<torch::Tensor> logits;
  for (const bool quantized : {false, true}) {
    torch::manual_seed(1);
    const auto network = make_network(Model::kResNet8, shape);
    EXPECT_EQ(network->quantized_layers().size(), 6U);
    if (quantized) network->quantize_linear();
    EXPECT_EQ(network->quantized_layers().back(), quantized ? "fc" : "layer3.0.conv2");
    for (OperandQuantization& operand : network->state().quantization.operands) {
      operand.format = models::parse_format("mxfp4");
    }
    network->train();
    logits.push_back(network->forward(images));
    logits.back().sum().backward();
    for (const torch::Tensor& parameter : network->parameters()) EXPECT_TRUE(parameter.grad().defined());
  }
  EXPECT_FALSE(torch::equal(logits[0], logits[1]));
  EXPECT_TRUE(torch::allclose(logits[0], logits[1], 1, 1));
}

TEST(QuantizedConvolution, IsAPlainConvolutionWithoutFormats) {
  tests::Random random(1);
  const Example example = run_convolution(random, {.name = "layer", .index = 0, .stride = 2}, PassState());
  const torch::Tensor activation = to_torch(example[Operand::kActivation]).requires_grad_();
  const torch::Tensor weight = to_torch(example[Operand::kWeight]).requires_grad_();
  const torch::Tensor result = torch::conv2d(activation, weight, {}, 2, 1);
  result.backward(to_torch(example[Operand::kError]));
  EXPECT_TRUE(torch::equal(example.result, result));
  EXPECT_TRUE(torch::allclose(example.activation_gradient, activation.grad(), 1e-6, 1e-6));
  EXPECT_TRUE(torch::allclose(example.weight_gradient, weight.grad(), 1e-6, 1e-6));
}

TEST(QuantizedConvolution, PassesGradientsStraightThrough) {
  // One 1×1 convolution of one channel: the gradient of each operand is the error times the other operand, both
  // quantized, whatever became of the operand itself (0.01 of the activation is quantized to 0).
  PassState state;
  for (const Operand operand : models::kOperands) {
    state.quantization[operand].format = models::parse_scaled_format("e0m2/g0m0/none");
  }
  const torch::Tensor activation = torch::tensor({1.0F, 0.01F, -0.5F, 0.25F}).reshape({1, 1, 2, 2}).requires_grad_();
  const torch::Tensor weight = torch::full({1, 1, 1, 1}, 2.0F).requires_grad_();
  const torch::Tensor result =
      quantized_convolution(activation, weight, {.name = "layer", .index = 0, .padding = 0}, state);
  // <0,2> holds 0, 0.25, 0.5 and 0.75: the largest element of each tensor saturates.
  EXPECT_TRUE(torch::equal(result.flatten(), torch::tensor({0.75F, 0.0F, -0.5F, 0.25F}) * 1.5F));
  result.backward(torch::tensor({4.0F, 2.0F, 1.0F, -3.0F}).reshape({1, 1, 2, 2}));
  EXPECT_TRUE(torch::equal(activation.grad().flatten(), torch::tensor({3.0F, 2.0F, 1.0F, -3.0F}) * 1.5F));
  EXPECT_FLOAT_EQ(weight.grad().item<float>(), 3.0F * 0.75F - 1.0F * 0.5F - 3.0F * 0.25F);
}

TEST(QuantizedConvolution, RoundsToNearestWhileEvaluating) {
  tests::Random random(3);
  const torch::Tensor activation = to_torch(normal_tensor(random, {2, 3, 5, 5}));
  const torch::Tensor weight = to_torch(normal_tensor(random, {4, 3, 3, 3}));
  const ConvolutionLayer layer{.name = "layer", .index = 0};
  PassState stochastic;
  for (const Operand operand : models::kOperands) {
    stochastic.quantization[operand] = {models::parse_scaled_format("e2m1"), Rounding::kStochastic};
  }
  PassState nearest = stochastic;
  for (const Operand operand : models::kOperands) nearest.quantization[operand].rounding = Rounding::kNearest;
  EXPECT_FALSE(torch::equal(quantized_convolution(activation, weight, layer, stochastic),
                            quantized_convolution(activation, weight, layer, nearest)));
  stochastic.evaluating = true;
  EXPECT_TRUE(torch::equal(quantized_convolution(activation, weight, layer, stochastic),
                           quantized_convolution(activation, weight, layer, nearest)));
}

TEST(QuantizedConvolution, TracesTheFirstSamplesBeforeQuantization) {
  tests::Random random(5);
  std::vector<TracedConvolution> trace{{.name = "other", .shape = {}, .operands = {}},
                                       {.name = "layer", .shape = {}, .operands = {}}};
  PassState state;
  state.trace = &trace;
  state.trace_samples = 2;
  for (const Operand operand : models::kOperands) {
    state.quantization[operand].format = models::parse_scaled_format("e2m1");
  }
  const Tensor<float> activation = normal_tensor(random, {3, 2, 4, 5});
  const Tensor<float> weight = normal_tensor(random, {6, 2, 3, 3});
  const Tensor<float> error = normal_tensor(random, {3, 6, 2, 3});
  const torch::Tensor leaf = to_torch(activation).requires_grad_();
  quantized_convolution(leaf, to_torch(weight), {.name = "layer", .index = 0, .stride = 2}, state)
      .backward(to_torch(error));
  EXPECT_TRUE(trace[0].operands[0].values.empty());
  const TracedConvolution& traced = trace[1];
  EXPECT_EQ(traced.shape, (ConvolutionShape{.batch = 2,
                                            .in_channels = 2,
                                            .out_channels = 6,
                                            .in_size = {4, 5},
                                            .kernel = {3, 3},
                                            .stride = {2, 2},
                                            .padding = {1, 1},
                                            .groups = 1}));
  for (const Operand operand : models::kOperands) {
    EXPECT_EQ(traced.operands[static_cast<std::size_t>(operand)].shape, traced.shape.shape_of(operand));
  }
  EXPECT_THAT(traced.operands[0].values,
              testing::ElementsAreArray(activation.values.begin(), activation.values.begin() + 80));
  EXPECT_EQ(traced.operands[1].values, weight.values);
  EXPECT_THAT(traced.operands[2].values, testing::ElementsAreArray(error.values.begin(), error.values.begin() + 72));
}

std::int64_t parameters_of(const Network& network) {
  std::int64_t parameters = 0;
  for (const torch::Tensor& parameter : network.parameters()) parameters += parameter.numel();
  return parameters;
}

TEST(Network, HasTheParametersOfResNet20) {
  const auto network = make_network(Model::kResNet20, kCifar10Shape);
  // 267,696 in convolutions, 1,376 in batch norms, 650 in the linear layer.
  EXPECT_EQ(parameters_of(*network), 269'722);
  EXPECT_EQ(network->quantized_layers().size(), 18U);
  EXPECT_EQ(network->quantized_layers().front(), "layer1.0.conv1");
  EXPECT_EQ(network->quantized_layers()[6], "layer2.0.conv1");
  EXPECT_EQ(network->quantized_layers().back(), "layer3.2.conv2");
  const auto named = network->named_parameters();
  EXPECT_EQ(named["conv1.weight"].sizes(), (std::vector<std::int64_t>{16, 3, 3, 3}));
  EXPECT_EQ(named["layer2.0.conv1.weight"].sizes(), (std::vector<std::int64_t>{32, 16, 3, 3}));
  EXPECT_EQ(named["layer3.2.conv2.weight"].sizes(), (std::vector<std::int64_t>{64, 64, 3, 3}));
  EXPECT_EQ(named["layer3.2.bn2.bias"].sizes(), (std::vector<std::int64_t>{64}));
  EXPECT_EQ(named["fc.weight"].sizes(), (std::vector<std::int64_t>{10, 64}));
  // He et al.: a standard deviation of sqrt(2 / fan).
  EXPECT_NEAR(named["layer3.2.conv2.weight"].std().item<float>(), std::sqrt(2.0F / (64 * 9)), 0.002F);
}

// torchvision gives resnet18 11,689,512 parameters and vgg16_bn 138,365,992 ("num_params" of their weights, pages
// torchvision.models.resnet18 and .vgg16_bn).
constexpr std::int64_t kTorchvisionResNet18 = 11'689'512;
constexpr std::int64_t kTorchvisionVgg16Bn = 138'365'992;

TEST(Network, HasTheParametersOfResNet18) {
  const auto large = make_network(Model::kResNet18ImageNet, {.channels = 3, .side = 224, .classes = 1000});
  EXPECT_EQ(parameters_of(*large), kTorchvisionResNet18);
  const auto named = large->named_parameters();
  EXPECT_EQ(named["conv1.weight"].sizes(), (std::vector<std::int64_t>{64, 3, 7, 7}));
  EXPECT_EQ(named["layer2.0.downsample.0.weight"].sizes(), (std::vector<std::int64_t>{128, 64, 1, 1}));
  EXPECT_EQ(named["layer2.0.downsample.1.weight"].sizes(), (std::vector<std::int64_t>{128}));
  EXPECT_EQ(named["layer4.1.conv2.weight"].sizes(), (std::vector<std::int64_t>{512, 512, 3, 3}));
  EXPECT_EQ(named["fc.weight"].sizes(), (std::vector<std::int64_t>{1000, 512}));
  EXPECT_EQ(large->quantized_layers().size(), 19U);
  EXPECT_THAT(large->quantized_layers(), testing::Contains("layer2.0.downsample.0"));
  EXPECT_EQ(large->quantized_layers().front(), "layer1.0.conv1");

  // A 3×3 stem in place of 7×7, ten classes in place of a thousand.
  const auto small = make_network(Model::kResNet18, kCifar10Shape);
  EXPECT_EQ(parameters_of(*small), kTorchvisionResNet18 - 64 * 3 * (49 - 9) - 513 * (1000 - 10));
  EXPECT_EQ(small->quantized_layers(), large->quantized_layers());
}

TEST(Network, HasTheParametersOfVgg16) {
  const auto network = make_network(Model::kVgg16Bn, kCifar10Shape);
  const std::int64_t convolution_biases = 2 * 64 + 2 * 128 + 3 * 256 + 6 * 512;
  const std::int64_t linear_layers = (25088 + 1) * 4096 + (4096 + 1) * 4096 + (4096 + 1) * 1000;
  EXPECT_EQ(parameters_of(*network), kTorchvisionVgg16Bn - convolution_biases - linear_layers + 513 * 10);
  const auto named = network->named_parameters();
  EXPECT_EQ(named["features.0.weight"].sizes(), (std::vector<std::int64_t>{64, 3, 3, 3}));
  EXPECT_EQ(named["features.40.weight"].sizes(), (std::vector<std::int64_t>{512, 512, 3, 3}));
  EXPECT_EQ(named["features.41.weight"].sizes(), (std::vector<std::int64_t>{512}));
  EXPECT_EQ(network->quantized_layers().size(), 12U);
  EXPECT_EQ(network->quantized_layers().front(), "features.3");
  EXPECT_EQ(network->quantized_layers().back(), "features.40");
}

// Sides of the activations that the convolutions of a network see, from a traced pass.
std::vector<std::int64_t> traced_sides(Model model, const DataShape& data) {
  const auto network = make_network(model, data);
  std::vector<TracedConvolution> trace;
  for (const std::string& layer : network->quantized_layers()) {
    trace.push_back({.name = layer, .shape = {}, .operands = {}});
  }
  network->state().trace = &trace;
  network->state().trace_samples = 1;
  for (const Operand operand : models::kOperands) {
    network->state().quantization[operand].format = models::parse_scaled_format("e2m4");
  }
  const auto side = static_cast<std::int64_t>(data.side);
  const torch::Tensor logits =
      network->forward(torch::randn({2, static_cast<std::int64_t>(data.channels), side, side}));
  EXPECT_EQ(logits.sizes(), (std::vector<std::int64_t>{2, static_cast<std::int64_t>(data.classes)}));
  torch::nn::functional::cross_entropy(logits, torch::tensor({1, 2}, torch::kLong)).backward();
  for (const auto& parameter : network->named_parameters()) {
    EXPECT_TRUE(parameter.value().grad().defined()) << parameter.key();
  }
  std::vector<std::int64_t> sides;
  for (const TracedConvolution& layer : trace) sides.push_back(layer.shape.in_size[0]);
  return sides;
}

TEST(Network, NarrowsWhereItShould) {
  using testing::ElementsAre;
  EXPECT_THAT(traced_sides(Model::kResNet8, kCifar10Shape), ElementsAre(32, 32, 32, 16, 16, 8));
  EXPECT_THAT(traced_sides(Model::kResNet8, {.channels = 1, .side = 28, .classes = 7}),
              ElementsAre(28, 28, 28, 14, 14, 7));
  EXPECT_THAT(traced_sides(Model::kResNet18, {.channels = 3, .side = 16, .classes = 10}),
              ElementsAre(16, 16, 16, 16, 16, 8, 16, 8, 8, 8, 4, 8, 4, 4, 4, 2, 4, 2, 2));
  EXPECT_THAT(traced_sides(Model::kResNet18ImageNet, {.channels = 3, .side = 64, .classes = 5}),
              ElementsAre(16, 16, 16, 16, 16, 8, 16, 8, 8, 8, 4, 8, 4, 4, 4, 2, 4, 2, 2));
  EXPECT_THAT(traced_sides(Model::kVgg16Bn, kCifar10Shape), ElementsAre(32, 16, 16, 8, 8, 8, 4, 4, 4, 2, 2, 2));
}

TEST(Network, RefusesImagesThatAreTooSmall) {
  EXPECT_THAT([] { make_network(Model::kVgg16Bn, {.channels = 1, .side = 28, .classes = 10}); },
              testing::ThrowsMessage<std::runtime_error>(
                  "--model vgg16-bn: the images are 28×28 pixels, expected at least 32×32"));
}

// A checkpoint with the optimizer as libtorch itself writes it, as earlier versions did.
std::string with_libtorchs_optimizer(const std::string& checkpoint) {
  const std::string bytes = checkpoint.substr(0, checkpoint.rfind("\nmlsim-train CRC-32 "));
  torch::serialize::InputArchive input;
  input.load_from(bytes.data(), bytes.size());
  torch::serialize::InputArchive model;
  torch::serialize::InputArchive optimizer;
  input.read("model", model);
  input.read("optimizer", optimizer);
  const std::shared_ptr<Network> network = make_network(Model::kResNet8, kCifar10Shape);
  network->load(model);
  torch::optim::SGD sgd(network->parameters(), torch::optim::SGDOptions(1));
  sgd.load(optimizer);
  EXPECT_EQ(sgd.state().size(), network->parameters().size());

  torch::serialize::OutputArchive output;
  torch::serialize::OutputArchive own_model;
  network->save(own_model);
  torch::serialize::OutputArchive own_optimizer;
  sgd.save(own_optimizer);
  output.write("model", own_model);
  output.write("optimizer", own_optimizer);
  for (const char* const key : {"recipe", "step", "loss", "correct", "images", "forward_overflows",
                                "backward_data_overflows", "backward_weight_overflows"}) {
    c10::IValue value;
    input.read(key, value);
    output.write(key, value);
  }
  std::ostringstream stream;
  output.save_to(stream);
  return std::move(stream).str();
}

TEST(Network, GoesOnFromTheOptimizerOfEarlierCheckpoints) {
  const test::TemporaryFolder folder;
  const MemoryDataset data("cifar10", {test::synthetic_images(24, 1), test::synthetic_images(16, 2)}, Augmentation{});
  TrainingRun run;
  run.recipe.model = Model::kResNet8;
  run.recipe.batch = 8;
  run.recipe.steps = 4;
  run.checkpoint = folder.path() / "half.pt";
  std::atomic<bool> stop{false};
  run.stop = &stop;
  run.on_step = [&](const StepReport& report) { stop = report.steps_done == 2; };
  ASSERT_TRUE(train(data, run).stopped);
  run.on_step = nullptr;
  stop = false;
  std::vector<std::string> ends;
  for (const std::string& half : {folder.read("half.pt"), with_libtorchs_optimizer(folder.read("half.pt"))}) {
    run.resume = folder.write("resumed.pt", half);
    run.checkpoint = folder.path() / "end.pt";
    EXPECT_EQ(train(data, run).steps_before, 2U);
    ends.push_back(folder.read("end.pt"));
  }
  EXPECT_TRUE(ends[0] == ends[1]);
}

}  // namespace
}  // namespace mlsim::trainer
