// Against registers that take one code after the other, in the order in which the machines walk the schedule.
#include "sim/output_stationary/operand_toggles.h"

#include <gtest/gtest.h>

#include <bit>

#include "models/quantizer/quantizer.h"
#include "sim/output_stationary/dot_toggles.h"
#include "sim/schedule.h"
#include "tests/sim/random_pass.h"
#include "tests/support/vector_targets.h"

namespace mlsim::sim {
namespace {

using models::ConvolutionShape;
using models::Pass;
using models::ScaledTensor;

void take(std::uint16_t code, std::uint16_t& reg, std::uint64_t& bits) {
  bits += static_cast<std::uint64_t>(std::popcount(static_cast<unsigned>(code ^ reg)));
  reg = code;
}

// Takes the operands of a tap at an outer index. A lane has a register for each tap that is multiplied at once.
class Registers {
 public:
  Registers(const Schedule& schedule, const ScaledTensor& rows, const ScaledTensor& columns, const ArrayConfig& config)
      : schedule_(schedule),
        rows_(models::gated_codes(rows)),
        columns_(models::gated_codes(columns)),
        config_(config),
        row_registers_(static_cast<std::size_t>(config.rows * config.taps_per_cycle)),
        column_registers_(static_cast<std::size_t>(config.columns * config.taps_per_cycle)) {}

  void take_tap(const Step& step, std::int64_t outer, const Tap& tap, std::int64_t number) {
    const auto of_lane = [&](int lane) {
      return static_cast<std::size_t>(lane * config_.taps_per_cycle + number % config_.taps_per_cycle);
    };
    for (int row = 0; row < step.live_rows; ++row) {
      const Lane lane = schedule_.row_lane(step.conv_group, step.row_tile * config_.rows + row);
      const std::int64_t element = lane.element + outer * schedule_.row_outer_elements() + tap.row;
      take(rows_[static_cast<std::size_t>(element)], row_registers_[of_lane(row)], toggles.row_bits);
    }
    for (int column = 0; column < step.live_columns; ++column) {
      const Lane lane = schedule_.column_lane(step.conv_group, step.phase, step.column_tile * config_.columns + column);
      const std::int64_t y = lane.y + tap.y;
      const std::int64_t x = lane.x + tap.x;
      if (y < 0 || y >= schedule_.plane()[0] || x < 0 || x >= schedule_.plane()[1]) continue;
      const std::int64_t element = lane.element + outer * schedule_.column_outer_elements() + tap.column;
      take(columns_[static_cast<std::size_t>(element)], column_registers_[of_lane(column)], toggles.column_bits);
    }
  }

  OperandToggles toggles;

 private:
  const Schedule& schedule_;
  std::vector<std::uint16_t> rows_;
  std::vector<std::uint16_t> columns_;
  const ArrayConfig& config_;
  std::vector<std::uint16_t> row_registers_;
  std::vector<std::uint16_t> column_registers_;
};

OperandToggles walk(Pass pass, const ConvolutionShape& shape, const ScaledTensor& left, const ScaledTensor& right,
                    const ArrayConfig& config) {
  const Schedule schedule(pass, shape, left.format.layout, right.format.layout, config);
  const bool left_in_rows = pass == Pass::kBackwardWeight;
  Registers registers(schedule, left_in_rows ? left : right, left_in_rows ? right : left, config);
  for (StepWalk steps(schedule); !steps.done(); steps.advance()) {
    const Step& step = steps.step();
    const std::vector<Tap>& taps = schedule.phases()[step.phase].taps;
    const auto inner = static_cast<std::int64_t>(taps.size());
    Group group = step.first_group;
    std::int64_t place = step.first_tap;
    for (std::int64_t t = 0; t < step.taps; ++t) {
      const bool apart = schedule.reduction().taps_apart();
      registers.take_tap(step, group.begin + (apart ? place : place / inner),
                         taps[static_cast<std::size_t>(apart ? group.tap : place % inner)], place);
      if (++place < schedule.group_taps(group, step.phase)) continue;
      schedule.advance(group, step.conv_group, step.phase);
      place = 0;
    }
  }
  return registers.toggles;
}

TEST(OperandToggles, OfRandomPassesOnRandomArrays) {
  for (std::uint64_t seed = 1; seed <= 900; ++seed) {
    const bool blocks = seed > 300;
    RandomPasses random(seed);
    const RandomPass pass = blocks ? random.next_of_blocks() : random.next();
    SCOPED_TRACE("RandomPasses(" + std::to_string(seed) + ")." + (blocks ? "next_of_blocks" : "next") +
                 "(): " + pass.describe());
    ArrayConfig config;
    config.rows = random.pick(1, 20);
    config.columns = random.pick(1, 20);
    if (seed % 3 == 0) {
      config.taps_per_cycle = random.pick(2, 40);
      config.row_feeder.buffer_elements = config.column_feeder.buffer_elements = 20 * 100 * 2;
    }
    SCOPED_TRACE(std::to_string(config.rows) + " rows, " + std::to_string(config.columns) + " columns, " +
                 std::to_string(config.taps_per_cycle) + " taps a cycle");
    const OperandToggles expected = walk(pass.pass, pass.shape, pass.left, pass.right, config);
    tests::for_each_vector_target([&] {
      EXPECT_EQ(output_stationary::count_operand_toggles(pass.pass, pass.shape, pass.left, pass.right, config),
                expected);
    });
    if (HasFailure()) break;
  }
}

// Two counts that share nothing.
TEST(OperandToggles, TheWalkOfSeveralMultipliersTakesOne) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    RandomPasses random(seed);
    const RandomPass pass = random.next_of_blocks();
    const ArrayConfig config;
    const Schedule schedule(pass.pass, pass.shape, pass.left.format.layout, pass.right.format.layout, config);
    const bool left_in_rows = pass.pass == Pass::kBackwardWeight;
    EXPECT_EQ(output_stationary::count_dot_toggles(schedule, left_in_rows ? pass.left : pass.right,
                                                   left_in_rows ? pass.right : pass.left, config),
              output_stationary::count_operand_toggles(pass.pass, pass.shape, pass.left, pass.right, config))
        << "RandomPasses(" << seed << ").next_of_blocks(): " << pass.describe();
  }
}

// Planes and channels of real networks: blocks of planes that are not filled, large planes, one code a plane.
TEST(OperandToggles, OfLayersOfNetworks) {
  const std::array<ConvolutionShape, 8> layers{{
      {2, 16, 16, {32, 32}, {3, 3}, {1, 1}, {1, 1}, 1},   // ResNet-20
      {2, 32, 64, {16, 16}, {3, 3}, {2, 2}, {1, 1}, 1},   // ResNet-20, down-sampling
      {1, 3, 16, {56, 56}, {7, 7}, {2, 2}, {3, 3}, 1},    // stem of ResNet-18, a quarter of its height and width
      {3, 40, 24, {7, 7}, {3, 3}, {1, 1}, {1, 1}, 1},     // its last stage, with fewer channels
      {1, 256, 64, {14, 14}, {1, 1}, {1, 1}, {0, 0}, 1},  // ResNet-50
      {2, 48, 48, {28, 28}, {3, 3}, {2, 2}, {1, 1}, 48},  // MobileNetV2, depthwise
      {2, 96, 96, {7, 7}, {3, 3}, {1, 1}, {1, 1}, 96},    // the same on a small map
      {5, 300, 70, {1, 1}, {1, 1}, {1, 1}, {0, 0}, 1},    // a fully connected layer
  }};
  RandomPasses random(7);
  const models::ScaledFormat format = models::parse_scaled_format("e2m4");
  for (const ConvolutionShape& shape : layers) {
    for (const Pass pass : models::kPasses) {
      SCOPED_TRACE(to_string(pass) + " of " + std::to_string(shape.in_channels) + " channels");
      const auto operand = [&](models::Operand which) {
        return models::quantize(random.normal_values(shape.shape_of(which)), format, {}, to_string(which)).tensor;
      };
      const ScaledTensor left = operand(left_operand(pass));
      const ScaledTensor right = operand(right_operand(pass));
      const OperandToggles expected = walk(pass, shape, left, right, {});
      tests::for_each_vector_target(
          [&] { EXPECT_EQ(output_stationary::count_operand_toggles(pass, shape, left, right, {}), expected); });
    }
  }
}

// Every code of the widest format after a code without a bit in common.
TEST(OperandToggles, OfCodesThatChangeInEveryBit) {
  const models::ScaledFormat format = models::parse_scaled_format("e3m10");
  const ConvolutionShape shape{2, 1, 1, {300, 301}, {1, 1}, {1, 1}, {0, 0}, 1};
  ScaledTensor left = {format, shape.activation_shape(), 1, {{}, {}}, {}};
  for (std::int64_t i = 0; i < models::element_count(left.shape); ++i) left.codes.push_back(i % 2 == 0 ? 0x3FFF : 0);
  const ScaledTensor right = {format, shape.weight_shape(), 1, {{}}, {0}};
  ArrayConfig config;
  config.columns = 1;
  tests::for_each_vector_target([&] {
    EXPECT_EQ(output_stationary::count_operand_toggles(Pass::kForward, shape, left, right, config),
              (OperandToggles{0, 14 * 2 * 300 * 301}));
  });
}

// One row and one column: the codes pass through two registers, one tap a cycle.
TEST(OperandToggles, OfASingleElementByHand) {
  const models::ScaledFormat format = models::parse_scaled_format("e0m3/g0m0/none");
  const ConvolutionShape shape{.batch = 1,
                               .in_channels = 1,
                               .out_channels = 1,
                               .in_size = {1, 3},
                               .kernel = {1, 2},
                               .stride = {1, 1},
                               .padding = {0, 1},
                               .groups = 1};
  const ScaledTensor activation{format, {1, 1, 1, 3}, 1, {{}}, {0b0111, 0b1001, 0b0000}};
  const ScaledTensor weight{format, {1, 1, 1, 2}, 1, {{}}, {0b0001, 0b0010}};
  ArrayConfig config;
  config.rows = 1;
  config.columns = 1;
  // Four outputs of two taps. Weights 1 2 1 2 ...: one bit of the first, then two with each. Activations, padding
  // apart: 0111, 0111 1001, 1001 0000, 0000, from 0: 3 + 0 + 3 + 0 + 2 + 0.
  EXPECT_EQ(output_stationary::count_operand_toggles(Pass::kForward, shape, activation, weight, config),
            (OperandToggles{1 + 7 * 2, 8}));
}

}  // namespace
}  // namespace mlsim::sim
