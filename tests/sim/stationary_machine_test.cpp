// The weight-stationary machine: values, counts, cycles and traffic of both details against reference and closed form.
// Each test elaborates a design of its own.
#include <gtest/gtest.h>

#include <array>

#include "sim/simulate.h"
#include "tests/sim/check_pass.h"
#include "tests/sim/random_arrays.h"

namespace mlsim::sim {
namespace {

ArrayConfig stationary(ArrayConfig config) {
  config.dataflow = DataflowKind::kWeightStationary;
  return config;
}

ArrayConfig dot(ArrayConfig config, int multipliers) {
  config.taps_per_cycle = multipliers;
  return config;
}

const std::array<ArrayCase, 14> kStationaryArrays{{
    {"Default16x16", array(16, 16, 8, {}, {}), 600, 60},
    {"One", array(1, 1, 1, {2, 1}, {2, 1}), 200, 100},
    {"OneBuffered", array(1, 1, 1, {24, 3}, {40, 2}), 200, 100},
    {"Odd3x5Share3", array(3, 5, 15, {30, 2}, {70, 3}), 400, 150},
    {"Odd3x5OnePosition", with_small_sram(array(3, 5, 8, {6, 1}, {10, 7})), 400, 150},
    {"Odd5x3Shared", array(5, 3, 7, {100, 5}, {64, 30}), 400, 150},
    {"Square16ShareAll", array(16, 16, 256, {1024, 16}, {1024, 16}), 200, 25},
    {"Wide4x32", with_small_sram(array(4, 32, 8, {200, 4}, {1600, 80})), 400, 60},
    {"Dot1x1x4", dot(array(1, 1, 1, {8, 1}, {24, 3}), 4), 200, 100},
    {"Dot3x5x3", dot(array(3, 5, 15, {18, 2}, {210, 7}), 3), 400, 150},
    {"Dot5x3x2OnePosition", with_small_sram(dot(array(5, 3, 7, {20, 5}, {12, 30}), 2)), 400, 150},
    {"Dot4x2x32", dot(array(4, 2, 1, {256, 16}, {1024, 64}), 32), 400, 60},
    {"Dot16x16x9", dot(array(16, 16, 256, {}, {}), 9), 300, 15},
    {"Dot2x1x64", with_small_sram(dot(array(2, 1, 2, {256, 7}, {640, 100}), 64)), 300, 60},
}};

class StationaryLayers : public testing::TestWithParam<ArrayCase> {};

TEST_P(StationaryLayers, CycleDetailEqualsReferenceAndClosedForm) {
  check_random_passes(Detail::kCycle, stationary(GetParam().config), 20, GetParam().cycle_passes);
}

TEST_P(StationaryLayers, StructuralDetailEqualsReferenceAndClosedForm) {
  check_random_passes(Detail::kStructural, stationary(GetParam().config), 20, GetParam().structural_passes);
}

INSTANTIATE_TEST_SUITE_P(Arrays, StationaryLayers, testing::ValuesIn(kStationaryArrays),
                         [](const auto& array_case) { return std::string(array_case.param.name); });

// The machine takes a step for each cycle, so that its channel is not the slowest there is.
void check_stationary_memory(Detail detail, std::uint64_t seed, int passes) {
  tests::Random random(seed);
  ArrayConfig config = random_array_with_memory(random, 500);
  if (seed % 2 == 1) config = with_random_multipliers(random, config);
  check_random_passes(detail, stationary(config), 1000 * seed, passes);
}

class StationaryMemories : public testing::TestWithParam<std::uint64_t> {};

TEST_P(StationaryMemories, CycleDetailEqualsReferenceAndClosedForm) {
  check_stationary_memory(Detail::kCycle, GetParam(), 60);
}

TEST_P(StationaryMemories, StructuralDetailEqualsReferenceAndClosedForm) {
  check_stationary_memory(Detail::kStructural, GetParam(), 20);
}

INSTANTIATE_TEST_SUITE_P(Seeds, StationaryMemories, testing::Range(std::uint64_t{0}, std::uint64_t{40}));

// Convolution groups side by side, of layers that have some, with elements of one multiplier and of several.
class StationaryGroups : public testing::TestWithParam<std::uint64_t> {};

TEST_P(StationaryGroups, CycleDetailEqualsReferenceAndClosedForm) {
  check_random_groups(Detail::kCycle, DataflowKind::kWeightStationary, GetParam(), 60);
}

TEST_P(StationaryGroups, StructuralDetailEqualsReferenceAndClosedForm) {
  check_random_groups(Detail::kStructural, DataflowKind::kWeightStationary, GetParam(), 15);
}

INSTANTIATE_TEST_SUITE_P(Seeds, StationaryGroups, testing::Range(std::uint64_t{0}, std::uint64_t{40}));

// Layers of real networks, too large for the reference, against the functional engine.
TEST(StationaryMachine, LayersOfNetworksEqualFunctionalEngineAndClosedForm) {
  const std::array<models::ConvolutionShape, 4> layers{
      {{2, 16, 16, {32, 32}, {3, 3}, {1, 1}, {1, 1}, 1},     // ResNet-20
       {2, 32, 64, {16, 16}, {3, 3}, {2, 2}, {1, 1}, 1},     // ResNet-20, down-sampling
       {1, 256, 64, {14, 14}, {1, 1}, {1, 1}, {0, 0}, 1},    // ResNet-50
       {1, 48, 48, {28, 28}, {3, 3}, {2, 2}, {1, 1}, 48}}};  // MobileNetV2, depthwise
  const ArrayConfig config = stationary(array(16, 16, 8, {}, {}));
  Simulator simulator(Detail::kCycle, config);
  RandomPasses random(99);
  for (const char* name : {"e2m4", "nvfp4"}) {
    for (const models::ConvolutionShape& shape : layers) check_layer(simulator, config, shape, name, {}, random);
  }
}

// Of 32 multipliers, whose sums saturate in 14 bits.
TEST(StationaryMachine, LayersOnDotProductElementsEqualFunctionalEngineAndClosedForm) {
  const std::array<models::ConvolutionShape, 2> layers{
      {{2, 32, 64, {16, 16}, {3, 3}, {2, 2}, {1, 1}, 1}, {1, 256, 64, {14, 14}, {1, 1}, {1, 1}, {0, 0}, 1}}};
  const ArrayConfig config = stationary(dot(array(8, 4, 4, {}, {8192, 256}), 32));
  Simulator simulator(Detail::kCycle, config);
  RandomPasses random(98);
  for (const char* name : {"e2m4", "nvfp4"}) {
    for (const models::ConvolutionShape& shape : layers) {
      check_layer(simulator, config, shape, name, {.taps_per_cycle = 32}, random);
      check_layer(simulator, config, shape, name, {.bits = 14, .taps_per_cycle = 32}, random);
    }
  }
}

// Depthwise and grouped layers of networks on an array that puts their groups side by side.
TEST(StationaryMachine, GroupsSideBySideOfLayersOfNetworks) {
  ArrayConfig config = stationary(array(16, 16, 64, {}, {8192, 256}));
  config.depthwise = DepthwiseMapping::kRows;
  Simulator simulator(Detail::kCycle, config);
  const std::array<models::ConvolutionShape, 3> layers{{
      {1, 144, 144, {28, 28}, {3, 3}, {2, 2}, {1, 1}, 144},  // MobileNetV2
      {2, 40, 40, {14, 14}, {3, 3}, {1, 1}, {1, 1}, 40},     // a last bundle of eight
      {1, 128, 128, {14, 14}, {3, 3}, {1, 1}, {1, 1}, 32},   // ResNeXt
  }};
  RandomPasses random(97);
  for (const char* const name : {"e2m4", "mxfp4", "nvfp4/b16"}) {
    for (const models::ConvolutionShape& shape : layers) check_layer(simulator, config, shape, name, {}, random);
  }
}

}  // namespace
}  // namespace mlsim::sim
