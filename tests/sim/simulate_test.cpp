// Values, counts, cycles and traffic of both details, on arrays of many kinds. Each test elaborates a design of its
// own.
#include "sim/simulate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "models/convolution/cpu/functional_convolution.h"
#include "models/convolution/zero_products.h"
#include "models/quantizer/quantizer.h"
#include "models/quantizer/reference_quantizer.h"
#include "sim/output_stationary/analytic.h"
#include "sim/output_stationary/operand_toggles.h"
#include "tests/sim/check_pass.h"
#include "tests/sim/random_arrays.h"
#include "tests/sim/random_pass.h"
#include "tests/support/repetitions.h"

namespace mlsim::sim {
namespace {

ArrayConfig of_codes(ArrayConfig config) {
  config.results = ResultForm::kCodes;
  return config;
}

const std::array<ArrayCase, 11> kArrays{{
    {"Default16x16", {}, 600, 60},
    {"One", array(1, 1, 1, {2, 1}, {2, 1}), 200, 100},
    {"OneBuffered", array(1, 1, 1, {24, 3}, {40, 2}), 200, 100},
    {"Odd3x5Share3", array(3, 5, 3, {30, 2}, {70, 3}), 400, 150},
    {"Odd3x5Tiny", with_small_sram(array(3, 5, 8, {6, 1}, {10, 7})), 400, 150},
    {"Odd5x3Unshared", array(5, 3, 1, {100, 5}, {64, 3}), 400, 150},
    {"Square4Share16", array(4, 4, 16, {512, 4}, {512, 4}), 400, 150},
    {"Square16ShareAll", array(16, 16, 256, {1024, 16}, {1024, 16}), 200, 25},
    {"Wide4x32", with_small_sram(array(4, 32, 8, {200, 4}, {1600, 8})), 400, 60},
    {"CodesAlone", of_codes(array(4, 4, 4, {512, 4}, {512, 4})), 200, 60},
    {"CodesOfResultsThatComeBack", of_codes(with_small_sram(array(4, 3, 4, {64, 4}, {64, 4}))), 200, 60},
}};

class RandomLayers : public testing::TestWithParam<ArrayCase> {};

TEST_P(RandomLayers, CycleDetailEqualsReferenceAndClosedForm) {
  check_random_passes(Detail::kCycle, GetParam().config, 20, GetParam().cycle_passes);
}

TEST_P(RandomLayers, StructuralDetailEqualsReferenceAndClosedForm) {
  check_random_passes(Detail::kStructural, GetParam().config, 20, GetParam().structural_passes);
}

INSTANTIATE_TEST_SUITE_P(Arrays, RandomLayers, testing::ValuesIn(kArrays),
                         [](const auto& array_case) { return std::string(array_case.param.name); });

// The machine takes a step for each cycle, so that its channel is not the slowest there is.
void check_random_memory(Detail detail, std::uint64_t seed, int passes) {
  tests::Random random(seed);
  check_random_passes(detail, random_array_with_memory(random, 500), 1000 * seed, passes);
}

class RandomMemories : public testing::TestWithParam<std::uint64_t> {};

TEST_P(RandomMemories, CycleDetailEqualsReferenceAndClosedForm) {
  check_random_memory(Detail::kCycle, GetParam(), 60);
}

TEST_P(RandomMemories, StructuralDetailEqualsReferenceAndClosedForm) {
  check_random_memory(Detail::kStructural, GetParam(), 20);
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomMemories, testing::Range(std::uint64_t{0}, std::uint64_t{40}));

// Elements of several multipliers, with a memory that takes time and without.
void check_random_multipliers(Detail detail, std::uint64_t seed, int passes) {
  tests::Random random(seed);
  const ArrayConfig config = seed % 2 == 0 ? random_array(random) : random_array_with_memory(random, 500);
  const ArrayConfig dot = with_random_multipliers(random, config);
  SCOPED_TRACE(std::to_string(dot.taps_per_cycle) + " multipliers");
  check_random_passes(detail, dot, 5000 + 1000 * seed, passes);
}

class RandomMultipliers : public testing::TestWithParam<std::uint64_t> {};

TEST_P(RandomMultipliers, CycleDetailEqualsReferenceAndClosedForm) {
  check_random_multipliers(Detail::kCycle, GetParam(), 60);
}

TEST_P(RandomMultipliers, StructuralDetailEqualsReferenceAndClosedForm) {
  check_random_multipliers(Detail::kStructural, GetParam(), 15);
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomMultipliers, testing::Range(std::uint64_t{0}, std::uint64_t{40}));

// Convolution groups side by side, of layers that have some, with elements of one multiplier and of several.
class RandomGroups : public testing::TestWithParam<std::uint64_t> {};

TEST_P(RandomGroups, CycleDetailEqualsReferenceAndClosedForm) {
  check_random_groups(Detail::kCycle, DataflowKind::kOutputStationary, GetParam(), 60);
}

TEST_P(RandomGroups, StructuralDetailEqualsReferenceAndClosedForm) {
  check_random_groups(Detail::kStructural, DataflowKind::kOutputStationary, GetParam(), 15);
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomGroups, testing::Range(std::uint64_t{0}, std::uint64_t{40}));

// Depthwise and grouped layers of networks on an array that puts their groups side by side.
TEST(Simulator, GroupsSideBySideOfLayersOfNetworks) {
  ArrayConfig config;
  config.depthwise = DepthwiseMapping::kRows;
  config.column_feeder.fill_ports = 256;
  Simulator simulator(Detail::kCycle, config);
  const std::array<models::ConvolutionShape, 3> layers{{
      {1, 144, 144, {28, 28}, {3, 3}, {2, 2}, {1, 1}, 144},  // MobileNetV2
      {2, 40, 40, {14, 14}, {3, 3}, {1, 1}, {1, 1}, 40},     // a last bundle of eight
      {1, 128, 128, {14, 14}, {3, 3}, {1, 1}, {1, 1}, 32},   // ResNeXt
  }};
  RandomPasses random(78);
  for (const char* const name : {"e2m4", "mxfp4", "nvfp4/b16"}) {
    for (const models::ConvolutionShape& shape : layers) check_layer(simulator, config, shape, name, {}, random);
  }
}

// 32 multipliers on layers of networks.
TEST(Simulator, MultipliersOnLayersOfNetworks) {
  ArrayConfig config;
  config.rows = config.columns = 8;
  config.taps_per_cycle = 32;
  config.row_feeder = config.column_feeder = {16384, 256};
  config.elements_per_scaler = 2;
  Simulator simulator(Detail::kCycle, config);
  const std::array<models::ConvolutionShape, 3> layers{{
      {2, 32, 64, {16, 16}, {3, 3}, {2, 2}, {1, 1}, 1},
      {1, 256, 64, {14, 14}, {1, 1}, {1, 1}, {0, 0}, 1},
      {1, 48, 48, {28, 28}, {3, 3}, {2, 2}, {1, 1}, 48},
  }};
  RandomPasses random(77);
  const models::Accumulator accumulator{.bits = 14, .taps_per_cycle = 32};
  for (const char* const name : {"e2m4", "mxfp4", "nvfp4/b16"}) {
    for (const models::ConvolutionShape& shape : layers) {
      check_layer(simulator, config, shape, name, accumulator, random);
    }
  }
}

// Layers of real networks, too large for the reference, against the functional engine.
TEST(Simulator, LayersOfNetworksEqualFunctionalEngineAndClosedForm) {
  const std::array<models::ConvolutionShape, 5> layers{{
      {2, 16, 16, {32, 32}, {3, 3}, {1, 1}, {1, 1}, 1},     // ResNet-20
      {2, 32, 64, {16, 16}, {3, 3}, {2, 2}, {1, 1}, 1},     // ResNet-20, down-sampling
      {1, 3, 64, {112, 112}, {7, 7}, {2, 2}, {3, 3}, 1},    // stem of ResNet-18, a quarter of its image
      {1, 256, 64, {14, 14}, {1, 1}, {1, 1}, {0, 0}, 1},    // ResNet-50
      {1, 144, 144, {28, 28}, {3, 3}, {2, 2}, {1, 1}, 144}  // MobileNetV2, depthwise
  }};
  const ArrayConfig config;
  Simulator simulator(Detail::kCycle, config);
  RandomPasses random(99);
  const models::ScaledFormat format = models::parse_scaled_format("e2m4");
  for (const models::ConvolutionShape& shape : layers) {
    for (const models::Pass pass : models::kPasses) {
      SCOPED_TRACE(to_string(pass) + " of " + std::to_string(shape.in_channels) + " channels");
      const auto operand = [&](models::Operand which) {
        return models::quantize(random.normal_values(shape.shape_of(which)), format, {}, to_string(which)).tensor;
      };
      const models::ScaledTensor left = operand(left_operand(pass));
      const models::ScaledTensor right = operand(right_operand(pass));
      const models::ConvolutionResult expected = models::functional_convolution(pass, shape, left, right, {});
      const PassResult result = simulator.simulate_pass(pass, shape, left, right, {}, ResultQuantization{{format}, {}});
      expect_same(result.values, expected.values);
      EXPECT_EQ(result.counts, expected.counts);
      EXPECT_EQ(result.zero_products, models::count_zero_products(pass, shape, models::nonzero_elements(left),
                                                                  models::nonzero_elements(right)));
      EXPECT_EQ(result.toggles, output_stationary::count_operand_toggles(pass, shape, left, right, config));
      const PassPrediction predicted = output_stationary::predict_pass(pass, shape, format, format, config, {format});
      EXPECT_EQ(result.cycles, predicted.cycles);
      EXPECT_EQ(result.traffic, predicted.traffic);
      ASSERT_EQ(result.quantized.size(), 1U);
      expect_same(result.quantized[0], models::quantize(expected.values, format, {}, "result").tensor);
    }
  }
}

models::ScaledTensor constant_tensor(const models::Shape& shape, float value) {
  const models::Tensor<float> values{shape,
                                     std::vector<float>(static_cast<std::size_t>(models::element_count(shape)), value)};
  return models::reference_quantize(values, models::parse_scaled_format("e2m4"), {}, "operand").tensor;
}

constexpr models::ConvolutionShape kSmall{.batch = 1,
                                          .in_channels = 4,
                                          .out_channels = 4,
                                          .in_size = {4, 4},
                                          .kernel = {3, 3},
                                          .stride = {1, 1},
                                          .padding = {1, 1},
                                          .groups = 1};

TEST(Simulator, PassThatNoKernelPositionMeets) {
  Simulator simulator(Detail::kStructural, {});
  RandomPass random = RandomPasses(5).next();
  random.pass = models::Pass::kBackwardData;
  random.shape = {1, 2, 2, {1, 1}, {1, 1}, {3, 3}, {1, 1}, 1, {1, 1}};
  random.left = constant_tensor(random.shape.error_shape(), 1);
  random.right = constant_tensor(random.shape.weight_shape(), 1);
  check(simulator, {}, random);
  EXPECT_EQ(output_stationary::predict_pass(random.pass, random.shape, random.left.format, random.right.format, {}, {})
                .cycles.array,
            0U);
}

TEST(Simulator, RefusesASecondArray) {
  const Simulator first(Detail::kCycle, {});
  EXPECT_THAT([] { Simulator(Detail::kCycle, {}); },
              testing::ThrowsMessage<std::runtime_error>(testing::HasSubstr("in the same process")));
}

TEST(Simulator, RefusesAnArrayOutOfRange) {
  ArrayConfig config;
  config.rows = 0;
  EXPECT_THAT([&] { Simulator(Detail::kCycle, config); }, testing::ThrowsMessage<std::runtime_error>(testing::HasSubstr(
                                                              "array: /rows: is 0, expected an integer from 1 to")));
}

TEST(Simulator, LeavesResultsThatAreNotFiniteUnquantizedAndGoesOn) {
  Simulator simulator(Detail::kCycle, {});
  const models::ScaledTensor large = constant_tensor(kSmall.activation_shape(), 0x1p64F);
  const models::ScaledTensor weight = constant_tensor(kSmall.weight_shape(), 0x1p63F);
  const models::ScaledTensor larger = constant_tensor(kSmall.weight_shape(), 0x1p64F);
  const models::ScaledTensor small = constant_tensor(kSmall.activation_shape(), 1);
  const models::ScaledFormat format = models::parse_scaled_format("e2m4");
  const ResultQuantization quantization{{format}, {}};
  const auto run = [&](const models::ScaledTensor& activation, const models::ScaledTensor& filter) {
    return simulator.simulate_pass(models::Pass::kForward, kSmall, activation, filter, {}, quantization);
  };
  const PassResult infinite = run(large, weight);
  EXPECT_EQ(infinite.counts.non_finite, 64U);
  EXPECT_TRUE(infinite.quantized.empty());
  const PassPrediction predicted =
      output_stationary::predict_pass(models::Pass::kForward, kSmall, format, format, {}, {format});
  EXPECT_EQ(infinite.cycles, predicted.cycles);
  EXPECT_TRUE(infinite.traffic == predicted.traffic);
  EXPECT_THAT([&] { run(large, larger); },
              testing::ThrowsMessage<std::runtime_error>(testing::HasSubstr("beyond binary32")));
  EXPECT_EQ(run(small, weight).counts.non_finite, 0U);
  EXPECT_EQ(run(small, weight).quantized.size(), 1U);
}

TEST(Simulator, RefusesAccumulatorsAbove64Bits) {
  Simulator simulator(Detail::kCycle, {});
  const models::ScaledTensor activation = constant_tensor(kSmall.activation_shape(), 1);
  const models::ScaledTensor weight = constant_tensor(kSmall.weight_shape(), 1);
  EXPECT_THAT([&] { simulator.simulate_pass(models::Pass::kForward, kSmall, activation, weight, {65}, std::nullopt); },
              testing::ThrowsMessage<std::runtime_error>(testing::HasSubstr("65 bits, expected at most 64")));
}

TEST(Simulator, RefusesAdditionsOfAnotherNumberOfProducts) {
  Simulator simulator(Detail::kCycle, {});
  const models::ScaledTensor activation = constant_tensor(kSmall.activation_shape(), 1);
  const models::ScaledTensor weight = constant_tensor(kSmall.weight_shape(), 1);
  models::Accumulator accumulator;
  accumulator.taps_per_cycle = 4;
  EXPECT_THAT(
      [&] { simulator.simulate_pass(models::Pass::kForward, kSmall, activation, weight, accumulator, std::nullopt); },
      testing::ThrowsMessage<std::runtime_error>(testing::HasSubstr("an addition is of 4 products, expected")));
}

TEST(Simulator, RefusesProductsAbove64BitsWithTheirWidth) {
  Simulator simulator(Detail::kCycle, {});
  const auto refusal = [&](const char* left, const char* right, int bits) {
    const auto operand = [](const char* name, const models::Shape& shape) {
      const models::Tensor<float> values{shape,
                                         std::vector<float>(static_cast<std::size_t>(models::element_count(shape)), 1)};
      return models::reference_quantize(values, models::parse_scaled_format(name), {}, "operand").tensor;
    };
    try {
      simulator.simulate_pass(models::Pass::kForward, kSmall, operand(left, kSmall.activation_shape()),
                              operand(right, kSmall.weight_shape()), {bits}, std::nullopt);
    } catch (const std::runtime_error& error) {
      return std::string(error.what());
    }
    return std::string("none");
  };
  EXPECT_EQ(refusal("mxfp8-e5m2/none", "mxfp8-e5m2/none", 0),
            "forward: the accumulator has 71 bits, expected at most 64");
  EXPECT_EQ(refusal("mxfp8-e5m2", "mxfp8-e5m2", 40), "forward: products have 65 bits, expected at most 64");
  EXPECT_EQ(refusal("mxfp8-e5m2", "mxfp8-e4m3", 0), "none");
}

TEST(Simulator, ReportsProgress) {
  Simulator simulator(Detail::kCycle, {});
  models::ConvolutionShape shape = kSmall;
  shape.in_size = {64, 64};
  shape.batch = 8;
  const models::ScaledTensor activation = constant_tensor(shape.activation_shape(), 1);
  const models::ScaledTensor weight = constant_tensor(shape.weight_shape(), 1);
  std::vector<std::uint64_t> done;
  std::uint64_t total = 0;
  simulator.on_progress([&](std::uint64_t cycles, std::uint64_t predicted) {
    done.push_back(cycles);
    total = predicted;
  });
  const PassResult result =
      simulator.simulate_pass(models::Pass::kForward, shape, activation, weight, {}, std::nullopt);
  ASSERT_GE(done.size(), 2U);
  EXPECT_TRUE(std::is_sorted(done.begin(), done.end()));
  EXPECT_EQ(done.back(), total);
  EXPECT_EQ(result.cycles.total(), total);
}

}  // namespace
}  // namespace mlsim::sim
