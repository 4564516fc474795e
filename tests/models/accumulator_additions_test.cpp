// By hand, and against the reference, which adds tap by tap.
#include "models/convolution/accumulator_additions.h"

#include <gtest/gtest.h>

#include "models/convolution/reference/reference_convolution.h"
#include "models/quantizer/quantizer.h"
#include "tests/support/random_layers.h"
#include "tests/support/random_tensors.h"
#include "tests/support/repetitions.h"

namespace mlsim::models {
namespace {

using tests::between;
using tests::Random;

std::uint64_t additions(Pass pass, const ConvolutionShape& shape, const char* grouping, int taps_per_cycle) {
  const ScaleLayout layout = parse_scaled_format(std::string("e2m4/") + grouping).layout;
  return accumulator_additions(pass, shape, Reduction(pass, shape, layout, layout), taps_per_cycle);
}

// Three channels of 4 positions under a kernel of 3 with padding: position 0 lacks tap 0 of each channel, position 3
// tap 2.
TEST(AccumulatorAdditions, ByHand) {
  const ConvolutionShape shape{
      .in_channels = 3, .out_channels = 2, .in_size = {1, 4}, .kernel = {1, 3}, .padding = {0, 1}};
  EXPECT_EQ(additions(Pass::kForward, shape, "none", 1), 2U * 3 * (2 + 3 + 3 + 2));
  // Nine taps in words of two: 01 23 45 67 8. Position 0 has 1 2 4 5 7 8, position 3 has 0 1 3 4 6 7: five and four.
  EXPECT_EQ(additions(Pass::kForward, shape, "none", 2), 2U * (5 + 5 + 5 + 4));
  EXPECT_EQ(additions(Pass::kForward, shape, "none", 3), 2U * 4 * 3);
  // In words of four: 0123 4567 8. Position 3 has none in the last.
  EXPECT_EQ(additions(Pass::kForward, shape, "none", 4), 2U * (3 + 3 + 3 + 2));
  EXPECT_EQ(additions(Pass::kForward, shape, "none", 9), 2U * 4);
  // A group for each channel: 01 2, of which position 3 has 01 alone.
  EXPECT_EQ(additions(Pass::kForward, shape, "nc", 2), 2U * 3 * (2 + 2 + 2 + 1));
  EXPECT_EQ(additions(Pass::kForward, shape, "nc", 64), 2U * 3 * 4);
  // Taps apart: a group of three channels for each tap that exists, in two words.
  EXPECT_EQ(additions(Pass::kForward, shape, "t1x*x1x1", 2), 2U * 2 * (2 + 3 + 3 + 2));
}

// A stride larger than the kernel leaves results of backward data without any tap.
TEST(AccumulatorAdditions, OfPhases) {
  const ConvolutionShape shape{
      .in_channels = 1, .out_channels = 5, .in_size = {1, 7}, .kernel = {1, 2}, .stride = {1, 3}};
  // Inputs 0, 1, 3 and 4 meet a tap of one kernel position each; 5 output channels are a group.
  EXPECT_EQ(additions(Pass::kBackwardData, shape, "none", 1), 4U * 5);
  EXPECT_EQ(additions(Pass::kBackwardData, shape, "none", 2), 4U * 3);
  EXPECT_EQ(additions(Pass::kBackwardData, shape, "none", 5), 4U);
}

TEST(AccumulatorAdditions, EqualTheReference) {
  for (int seed = 0; seed < test::repetitions(1500); ++seed) {
    Random random(static_cast<std::uint64_t>(seed));
    const ConvolutionShape shape = tests::random_layer(random);
    const int taps_per_cycle = static_cast<int>(between(random, 1, between(random, 0, 3) == 0 ? 1024 : 40));
    for (const Pass pass : kPasses) {
      const auto operand = [&](Operand which) {
        const ScaledFormat format = tests::random_block_format(random).of(which, pass);
        const Shape extents = shape.shape_of(which);
        Tensor<float> ones{extents, std::vector<float>(static_cast<std::size_t>(element_count(extents)), 1)};
        return quantize(ones, format, {}, "x").tensor;
      };
      const ScaledTensor left = operand(left_operand(pass));
      const ScaledTensor right = operand(right_operand(pass));
      const Accumulator accumulator{.taps_per_cycle = taps_per_cycle};
      const OperationCounts counts = reference_convolution(pass, shape, left, right, accumulator).counts;
      const Reduction reduction(pass, shape, left.format.layout, right.format.layout);
      SCOPED_TRACE("seed " + std::to_string(seed) + ", " + to_string(pass) + " of " + tests::to_string(shape) + ", " +
                   to_string(left.format) + " times " + to_string(right.format) + ", " +
                   std::to_string(taps_per_cycle) + " taps a cycle");
      ASSERT_EQ(accumulator_additions(pass, shape, reduction, taps_per_cycle), counts.integer_adds);
      ASSERT_EQ(counts.integer_adds + counts.tree_adds, counts.mantissa_multiplies);
    }
  }
}

}  // namespace
}  // namespace mlsim::models
