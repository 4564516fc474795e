#include "trainer/gpu.h"

#include <ATen/Context.h>
#include <gmock/gmock.h>
#include <torch/cuda.h>
#include <torch/nn/functional/conv.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <variant>

#include "models/baseline/baseline.h"
#include "tests/support/random_tensors.h"
#include "tests/trainer/synthetic_images.h"
#include "trainer/quantized_convolution.h"
#include "trainer/training.h"

namespace mlsim::trainer {
namespace {

namespace grouping = models::grouping;
using models::Rounding;

std::vector<std::uint32_t> bits(const std::vector<float>& values) {
  std::vector<std::uint32_t> result;
  for (const float value : values) result.push_back(std::bit_cast<std::uint32_t>(value));
  return result;
}

class OnGpu : public testing::Test {
 protected:
  void SetUp() override {
    if (!torch::cuda::is_available()) GTEST_SKIP() << "no GPU";
    gpu_ = make_gpu();
  }

  torch::Tensor copy(const std::vector<float>& values, const models::Shape& shape) const {
    return torch::from_blob(const_cast<float*>(values.data()), at::IntArrayRef(shape)).to(gpu_->device());
  }
  static std::vector<float> values_of(const torch::Tensor& tensor) {
    const torch::Tensor host = tensor.cpu().contiguous();
    return {host.data_ptr<float>(), host.data_ptr<float>() + host.numel()};
  }

  static void expect_equal(const DeviceBatch& batch, const Batch& expected) {
    EXPECT_EQ(values_of(batch.images), expected.images);
    const torch::Tensor labels = batch.labels.cpu();
    ASSERT_EQ(static_cast<std::size_t>(labels.numel()), expected.labels.size());
    for (std::size_t i = 0; i < expected.labels.size(); ++i) {
      EXPECT_EQ(labels.data_ptr<std::int64_t>()[i], expected.labels[i]);
    }
  }

  // Quantizes on both, in each order of elements that the shape has.
  void compare(const std::vector<float>& input, const models::Shape& shape, const models::ScaledFormat& format,
               const models::QuantizerOptions& options, std::uint64_t step) const {
    gpu_->set_step(step, 0);
    models::QuantizerOptions whole_stream = options;
    whole_stream.stream += step << 32;
    std::vector<float> expected(input.size());
    const float scale = models::quantize_scaled(input, shape, format, whole_stream, "input", expected);
    for (const bool channels_last : {false, true}) {
      if (channels_last && shape.size() != 4) continue;
      SCOPED_TRACE(to_string(format) + " " + to_string(options.rounding) + (channels_last ? " channels last" : ""));
      const torch::Tensor there = copy(input, shape);
      const ScaledValues ours =
          gpu_->quantize(channels_last ? there.contiguous(at::MemoryFormat::ChannelsLast) : there, format, options);
      ASSERT_EQ(bits(values_of(ours.scale)), bits({scale}));
      ASSERT_EQ(bits(values_of(ours.values)), bits(expected));
    }
  }

  std::unique_ptr<Gpu> gpu_;
};

std::uint64_t seed_of_test() {
  const char* const given = std::getenv("MLSIM_TEST_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device()();
}

// Values over many binades, with zeros, empty groups and subnormal numbers.
std::vector<float> random_values(std::mt19937_64& random, const models::Shape& shape) {
  const auto size = static_cast<std::size_t>(models::element_count(shape));
  std::vector<float> values(size);
  const int widest = std::uniform_int_distribution(0, 40)(random);
  const int center = std::uniform_int_distribution(-140, 80)(random);
  const std::size_t inner = size / static_cast<std::size_t>(shape[0] * shape[1]);
  std::normal_distribution<float> normal;
  bool empty = false;
  for (std::size_t i = 0; i < size; ++i) {
    if (i % inner == 0) empty = random() % 16 == 0;
    const int exponent = std::uniform_int_distribution(center - widest, center)(random);
    values[i] = empty || random() % 8 == 0 ? 0.0F : std::ldexp(normal(random), exponent);
    if (random() % 32 == 0) values[i] = -values[i];
  }
  return values;
}

TEST_F(OnGpu, QuantizesToTheBitsOfTheProcessor) {
  const std::uint64_t seed = seed_of_test();
  SCOPED_TRACE("MLSIM_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  const auto below = [&](int bound) { return static_cast<int>(random() % static_cast<unsigned>(bound)); };
  const std::vector<models::Shape> shapes{{1, 1, 1, 1},    {3, 5},       {16, 16, 3, 3}, {2, 3, 7},    {4, 16, 8, 8},
                                          {8, 16, 32, 32}, {5, 3, 1, 2}, {64, 64, 3, 3}, {7, 9, 5, 5}, {128, 64, 8, 8}};
  std::size_t elements = 0;
  for (int round = 0; round < 2000; ++round) {
    models::ScaledFormat format;
    format.element.exponent_bits = below(5);
    format.element.mantissa_bits = below(format.element.exponent_bits == 4 ? 5 : 11);
    if (format.element.exponent_bits + format.element.mantissa_bits == 0) continue;
    format.scale.exponent_bits = below(9);
    format.scale.fraction_bits = below(4);
    format.layout = grouping::kAll[below(4)];
    models::QuantizerOptions options;
    options.rounding = static_cast<Rounding>(below(2));
    options.random_bits = 1 + below(24);
    options.seed = random();
    options.stream = random() >> 33;
    const models::Shape& shape = shapes[static_cast<std::size_t>(below(static_cast<int>(shapes.size())))];
    std::vector<float> input = random_values(random, shape);
    if (round % 50 == 0) std::fill(input.begin(), input.end(), -0.0F);
    const std::uint64_t step = random() >> 34;
    ASSERT_NO_FATAL_FAILURE(compare(input, shape, format, options, step)) << "round " << round;
    elements += input.size();
  }
  RecordProperty("elements", std::to_string(elements));
  std::printf("%zu elements compared\n", elements);
}

TEST_F(OnGpu, QuantizesBlocksToTheBitsOfTheProcessor) {
  const std::uint64_t seed = seed_of_test();
  SCOPED_TRACE("MLSIM_TEST_SEED=" + std::to_string(seed));
  tests::Random random(seed);
  const std::vector<models::Shape> shapes{{1, 1, 1, 1},    {3, 5},       {16, 16, 3, 3}, {2, 3, 7},      {4, 16, 8, 8},
                                          {8, 16, 32, 32}, {5, 3, 1, 2}, {64, 64, 3, 3}, {33, 17, 5, 7}, {128, 64}};
  constexpr std::array kNames{"mxfp4",     "mxfp8-e5m2",       "mxint8/even",     "mxfp6-e3m2/rceil",
                              "nvfp4",     "nvfp4/t16x16x1x1", "e2m1/b16",        "e2m1/k16",
                              "nvfp4/b16", "mxfp4/t*x*x1x1",   "nvfp4/t*x16x1x*", "e2m1/sat/t1x32x*x1"};
  std::size_t elements = 0;
  for (int round = 0; round < 2000; ++round) {
    const auto pick = [&](const auto& all) {
      return all[static_cast<std::size_t>(tests::between(random, 0, static_cast<std::int64_t>(all.size()) - 1))];
    };
    const models::ScaledFormat format =
        (round % 2 == 0 ? tests::random_block_format(random) : models::parse_scaled_format(pick(kNames)))
            .of(pick(models::kOperands), pick(models::kPasses));
    models::QuantizerOptions options{.rounding = static_cast<Rounding>(tests::between(random, 0, 1)),
                                     .random_bits = static_cast<int>(tests::between(random, 1, 24)),
                                     .seed = random(),
                                     .stream = random() >> 33};
    const models::Shape shape = pick(shapes);
    const std::vector<float> input = tests::random_tensor(random, shape).values;
    const std::uint64_t step = random() >> 34;
    ASSERT_NO_FATAL_FAILURE(compare(input, shape, format, options, step)) << "round " << round;
    elements += input.size();
  }
  std::printf("%zu elements compared\n", elements);
}

// The largest magnitudes of a part and of its tiles, in the GPU's memory, together with those of the parts that it
// shares tiles with.
torch::Tensor raised(const std::vector<torch::Tensor>& maxima, std::size_t part, std::int64_t rows, std::int64_t tile) {
  torch::Tensor result = maxima[part].clone();
  const auto parts_of_tile = static_cast<std::size_t>(tile / rows);
  for (std::size_t other = 0; other < maxima.size(); ++other) {
    const bool shared =
        tile == models::ScaleLayout::kWhole || (parts_of_tile > 1 && other / parts_of_tile == part / parts_of_tile);
    const torch::Tensor larger = at::maximum(result, maxima[other]);
    const std::int64_t count = shared ? result.numel() : 1;
    result.narrow(0, 0, count).copy_(larger.narrow(0, 0, count));
  }
  return result;
}

TEST_F(OnGpu, QuantizesPartsAsTheWhole) {
  const std::uint64_t seed = seed_of_test();
  SCOPED_TRACE("MLSIM_TEST_SEED=" + std::to_string(seed));
  tests::Random random(seed);
  const std::vector<models::Shape> shapes{{8, 1, 1, 1}, {8, 5}, {8, 16, 8, 8}, {12, 3, 5, 7}, {16, 64, 4, 4}};
  for (int round = 0; round < 600; ++round) {
    const auto pick = [&](const auto& all) {
      return all[static_cast<std::size_t>(tests::between(random, 0, static_cast<std::int64_t>(all.size()) - 1))];
    };
    const models::Shape shape = pick(shapes);
    constexpr std::int64_t kParts = 4;
    const std::int64_t rows = shape[0] / kParts;
    models::Format format = models::parse_format(pick(std::array{"int8", "fp16", "fp8-e4m3"}));
    std::int64_t tile = models::ScaleLayout::kWhole;
    if (round % 4 != 0) {
      models::ScaledFormat scaled = tests::random_block_format(random);
      tile = pick(std::array{std::int64_t{1}, models::ScaleLayout::kWhole, rows, 2 * rows});
      scaled.layout.tile[0] = tile;
      format = scaled;
    }
    SCOPED_TRACE("round " + std::to_string(round) + ", " + to_string(format));
    models::QuantizerOptions options{.rounding = static_cast<Rounding>(tests::between(random, 0, 1)), .seed = random()};
    gpu_->set_step(7, 0);
    const torch::Tensor input = copy(tests::random_tensor(random, shape).values, shape);
    for (const bool channels_last : {false, true}) {
      if (channels_last && shape.size() != 4) continue;
      const auto ordered = [&](const torch::Tensor& tensor) {
        return channels_last ? tensor.contiguous(at::MemoryFormat::ChannelsLast) : tensor.contiguous();
      };
      const ScaledValues whole = gpu_->quantize(ordered(input), format, options);
      std::vector<torch::Tensor> maxima(kParts);
      for (const bool knowing : {false, true}) {
        for (std::size_t part = 0; part < kParts; ++part) {
          const torch::Tensor own = input.narrow(0, static_cast<std::int64_t>(part) * rows, rows);
          models::TensorPart place{part * static_cast<std::uint64_t>(own.numel()), {}};
          place.raise = [&](std::span<std::uint32_t> words) {
            const torch::Tensor there = torch::from_blob(words.data(), {static_cast<std::int64_t>(words.size())},
                                                         torch::dtype(torch::kInt).device(gpu_->device()));
            if (knowing) {
              there.copy_(raised(maxima, part, rows, tile));
            } else {
              maxima[part] = there.clone();
            }
          };
          models::QuantizerOptions of_part = options;
          of_part.part = &place;
          const ScaledValues found = gpu_->quantize(ordered(own), format, of_part);
          if (!knowing) continue;
          ASSERT_EQ(bits(values_of(found.scale)), bits(values_of(whole.scale)));
          ASSERT_EQ(bits(values_of(found.values)),
                    bits(values_of(whole.values.narrow(0, static_cast<std::int64_t>(part) * rows, rows))))
              << "part " << part << (channels_last ? ", channels last" : "");
        }
      }
    }
  }
}

TEST_F(OnGpu, QuantizesBaselinesToTheBitsOfTheProcessor) {
  const std::uint64_t seed = seed_of_test();
  SCOPED_TRACE("MLSIM_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  const auto below = [&](int bound) { return static_cast<int>(random() % static_cast<unsigned>(bound)); };
  const std::vector<models::Shape> shapes{{1, 1, 1, 1}, {3, 5},       {16, 16, 3, 3}, {2, 3, 7},
                                          {5, 3, 1, 2}, {7, 9, 5, 5}, {64, 64, 3, 3}, {8, 16, 32, 32}};
  std::size_t elements = 0;
  for (const char* const name : {"bf16", "fp16", "fp8-e4m3", "fp8-e5m2", "int8"}) {
    const models::Format format = models::parse_format(name);
    for (int round = 0; round < 400; ++round) {
      models::QuantizerOptions options;
      options.rounding = static_cast<Rounding>(below(2));
      options.random_bits = 1 + below(24);
      options.seed = random();
      options.stream = random() >> 33;
      const models::Shape& shape = shapes[static_cast<std::size_t>(below(static_cast<int>(shapes.size())))];
      std::vector<float> input = random_values(random, shape);
      if (round % 50 == 0) std::fill(input.begin(), input.end(), -0.0F);
      if (round % 50 == 1) input[0] = std::numeric_limits<float>::max();
      const std::uint64_t step = random() >> 34;
      gpu_->set_step(step, 0);
      const ScaledValues ours = gpu_->quantize(copy(input, shape), format, options);
      options.stream += step << 32;
      std::vector<float> expected(input.size());
      const float scale = models::quantize_baseline_scaled(input, shape, std::get<models::BaselineFormat>(format),
                                                           options, "input", expected);
      ASSERT_EQ(bits(values_of(ours.scale)), bits({scale})) << name << " round " << round;
      ASSERT_EQ(bits(values_of(ours.values)), bits(expected))
          << name << " " << to_string(options.rounding) << " round " << round;
      elements += input.size();
    }
  }
  std::printf("%zu elements compared\n", elements);
}

TEST_F(OnGpu, TellsOfANonFiniteElementByTheScale) {
  for (const float bad : {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::quiet_NaN()}) {
    for (const char* const format : {"e2m4", "e2m1/b16", "mxfp4", "nvfp4", "bf16", "fp16", "fp8-e4m3", "int8"}) {
      const ScaledValues result = gpu_->quantize(copy({1, bad, 2, 3}, {1, 1, 2, 2}), models::parse_format(format), {});
      EXPECT_TRUE(std::isnan(result.scale.item<float>())) << format;
    }
  }
}

TEST_F(OnGpu, PlacesTheImagesOfTheProcessor) {
  const DataShape gray{.channels = 1, .side = 28, .classes = 10};
  for (const DataShape& shape : {kCifar10Shape, gray}) {
    const MemoryDataset data("images", {test::synthetic_images(50, 3, shape), test::synthetic_images(1, 4, shape)},
                             Augmentation{});
    const TrainingOrder order(data.train_size(), 7, 2);
    gpu_.reset();
    gpu_ = make_gpu();
    gpu_->keep_images(data.train(), data.normalization());
    const Batch expected = data.training_batch(order, 8, 40);
    std::vector<Placement> placements;
    for (std::size_t i = 8; i < 48; ++i) placements.push_back(data.placement(order, i));
    expect_equal(gpu_->place(placements), expected);
    // The same without the placement.
    gpu_.reset();
    gpu_ = make_gpu();
    expect_equal(gpu_->copy(expected, shape), expected);
  }
}

// Sums of products of integers that stay below 2^24 are exact in any order, in binary32 and, with operands of at most
// 11 bits, in TF32. Operands are those of <2,4> with the group scales 1 and 1.5.
TEST_F(OnGpu, ConvolvesIntegersExactly) {
  struct Case {
    std::int64_t channels, side, stride;
  };
  const auto on_gpu = torch::dtype(torch::kDouble).device(gpu_->device());
  const auto operand = [&](at::IntArrayRef shape, bool positive) {
    const torch::Tensor mantissa = torch::randint(positive ? 0 : -31, 32, shape, on_gpu);
    return mantissa * torch::randint(1, 5, shape, on_gpu).clamp_min(2) * torch::randint(2, 4, shape, on_gpu);
  };
  for (const bool tf32 : {false, true}) {
    at::globalContext().setAllowTF32CuDNN(tf32);
    for (const bool positive : {false, true}) {
      for (const Case& layer : {Case{16, 32, 1}, Case{32, 16, 1}, Case{64, 8, 1}, Case{16, 32, 2}, Case{32, 16, 2}}) {
        torch::manual_seed(layer.channels + layer.stride);
        const torch::Tensor a = operand({128, layer.channels, layer.side, layer.side}, positive);
        const torch::Tensor w = operand({layer.channels, layer.channels, 3, 3}, positive);
        const std::int64_t out = layer.side / layer.stride;
        const torch::Tensor error = torch::randint(positive ? 0 : -1, 2, {128, layer.channels, out, out}, on_gpu);
        const auto run = [&](torch::Dtype type) {
          const auto order = tf32 ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
          const torch::Tensor activation = a.to(type).contiguous(order).requires_grad_();
          const torch::Tensor weight = w.to(type).contiguous(order).requires_grad_();
          const torch::Tensor result = torch::conv2d(activation, weight, {}, layer.stride, 1);
          result.backward(error.to(type).contiguous(order));
          return std::vector<torch::Tensor>{result.detach().to(torch::kDouble), activation.grad().to(torch::kDouble),
                                            weight.grad().to(torch::kDouble)};
        };
        const std::vector<torch::Tensor> single = run(torch::kFloat);
        const std::vector<torch::Tensor> exact = run(torch::kDouble);
        for (std::size_t pass = 0; pass < 3; ++pass) {
          ASSERT_LT(exact[pass].abs().max().item<double>(), 1 << 24);
          // In binary32, cuDNN's deterministic algorithm for the gradient of the weights is a Fourier transform.
          const double tolerance = pass == 2 && !tf32 ? std::ldexp(exact[pass].abs().max().item<double>(), -16) : 0;
          EXPECT_LE((single[pass] - exact[pass]).abs().max().item<double>(), tolerance)
              << "pass " << pass << ", " << layer.channels << " channels, " << layer.side << ", stride " << layer.stride
              << (positive ? ", positive" : "") << (tf32 ? ", TF32" : "");
        }
      }
    }
  }
  at::globalContext().setAllowTF32CuDNN(false);
}

TEST_F(OnGpu, TrainsAsTheProcessorDoes) {
  const MemoryDataset data = test::small_data(64);
  for (const std::string format : {"fp32", "e2m4", "mxfp4", "nvfp4", "e2m1/b16", "bf16", "fp8-e5m2", "int8"}) {
    SCOPED_TRACE(format);
    std::vector<std::vector<double>> losses(3);
    for (std::size_t i = 0; i < 3; ++i) {
      TrainingRun run;
      run.recipe.device = i == 0 ? Device::kCpu : Device::kCuda;
      run.recipe.model = Model::kResNet8;
      run.recipe.batch = 32;
      run.recipe.steps = 12;
      run.recipe.learning_rate = 0.02;
      run.recipe.seed = 5;
      for (OperandQuantization& operand : run.recipe.quantization.operands) {
        operand.format = models::parse_format(format);
      }
      run.on_step = [&](const StepReport& report) { losses[i].push_back(report.loss); };
      gpu_.reset();
      train(data, run);
    }
    // The first steps are eager, the later ones replay a recording. Rounding errors grow with the steps.
    EXPECT_NEAR(losses[0][0], losses[1][0], format != "fp32" ? 1e-2 : 1e-5);
    for (std::size_t step = 0; step < losses[0].size(); ++step) {
      EXPECT_NEAR(losses[0][step], losses[1][step], 0.02 * (1 + losses[0][step])) << step;
    }
    // Deterministic algorithms give the same bits again.
    EXPECT_EQ(losses[1], losses[2]);
    gpu_ = make_gpu();
  }
}

}  // namespace
}  // namespace mlsim::trainer
