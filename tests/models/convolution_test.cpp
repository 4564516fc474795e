// Multiply-adds of a shape against the loops that they stand for.
#include "models/convolution/convolution.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "tests/support/random_layers.h"

namespace mlsim::models {
namespace {

std::uint64_t pairs_by_loop(const ConvolutionShape& shape, std::size_t axis) {
  std::uint64_t pairs = 0;
  for (std::int64_t y = 0; y < shape.out_size()[axis]; ++y) {
    for (std::int64_t k = 0; k < shape.kernel[axis]; ++k) {
      const std::int64_t place = y * shape.stride[axis] + k * shape.dilation[axis] - shape.padding[axis].begin;
      if (place >= 0 && place < shape.in_size[axis]) ++pairs;
    }
  }
  return pairs;
}

TEST(ConvolutionShape, MultiplyAddsOfEverySmallAxis) {
  ConvolutionShape shape;
  std::int64_t& in = shape.in_size[0];
  std::int64_t& kernel = shape.kernel[0];
  std::int64_t& stride = shape.stride[0];
  for (in = 1; in <= 8; ++in) {
    for (std::int64_t padding = 0; padding <= 9; ++padding) {
      shape.padding[0] = padding;
      for (kernel = 1; kernel <= in + 2 * padding; ++kernel) {
        for (stride = 1; stride <= 9; ++stride) {
          ASSERT_EQ(shape.multiply_adds(Pass::kForward), pairs_by_loop(shape, 0))
              << "in " << in << " kernel " << kernel << " stride " << stride << " padding " << padding;
        }
      }
    }
  }
}

TEST(ConvolutionShape, MultiplyAddsOfRandomLayers) {
  std::mt19937_64 generator(1);
  const auto pick = [&](std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(generator);
  };
  for (int i = 0; i < 3000; ++i) {
    ConvolutionShape shape;
    shape.batch = pick(1, 5);
    shape.groups = pick(1, 3);
    shape.in_channels = shape.groups * pick(1, 5);
    shape.out_channels = shape.groups * pick(1, 5);
    for (const std::size_t axis : {0U, 1U}) {
      shape.in_size[axis] = pick(1, 80);
      shape.padding[axis] = {pick(0, 60), pick(0, 60)};
      const std::int64_t padded = shape.in_size[axis] + shape.padding[axis].begin + shape.padding[axis].end;
      shape.kernel[axis] = pick(1, padded);
      if (pick(0, 1) == 0)
        shape.dilation[axis] = pick(1, (padded - 1) / std::max<std::int64_t>(shape.kernel[axis] - 1, 1) + 1);
      if (shape.kernel_extent(axis) > padded) shape.dilation[axis] = 1;
      shape.stride[axis] = pick(1, pick(0, 1) == 0 ? 4 : 90);
    }
    const auto channels =
        static_cast<std::uint64_t>(shape.batch * shape.out_channels * shape.in_channels / shape.groups);
    for (const Pass pass : kPasses) {
      ASSERT_EQ(shape.multiply_adds(pass), channels * pairs_by_loop(shape, 0) * pairs_by_loop(shape, 1));
    }
  }
}

TEST(ConvolutionShape, MultiplyAddsOfTheLargestAxes) {
  constexpr std::int64_t kLargest = std::int64_t{1} << 20;
  ConvolutionShape shape{.in_size = {kLargest, 1}, .kernel = {kLargest, 1}, .padding = {kLargest, 0}};
  // 2·kLargest + 1 output positions; all but the outermost two meet an input element, the middle one all of them.
  constexpr auto kSide = static_cast<std::uint64_t>(kLargest * (kLargest - 1) / 2);
  EXPECT_EQ(shape.multiply_adds(Pass::kForward), 2 * kSide + static_cast<std::uint64_t>(kLargest));
  shape = {.in_size = {kLargest, kLargest}, .kernel = {kLargest, kLargest}, .stride = {kLargest, kLargest}};
  EXPECT_EQ(shape.multiply_adds(Pass::kForward), std::uint64_t{1} << 40);
}

// Runs by their definition, one outer index at a time, against all that Reduction tells of them.
TEST(Reduction, RunsOfRandomTiles) {
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    tests::Random random(seed);
    const ConvolutionShape shape = tests::random_layer(random);
    const Pass pass = kPasses[static_cast<std::size_t>(tests::between(random, 0, 2))];
    const ScaleLayout left = tests::random_block_format(random).of(left_operand(pass), pass).layout;
    const ScaleLayout right = tests::random_block_format(random).of(right_operand(pass), pass).layout;
    const Reduction reduction(pass, shape, left, right);
    SCOPED_TRACE("seed " + std::to_string(seed));
    const std::int64_t outer = shape.outer_count(pass);
    const bool apart = left.tile[2] == 1 || left.tile[3] == 1 || right.tile[2] == 1 || right.tile[3] == 1;
    ASSERT_EQ(reduction.taps_apart(), apart);
    std::int64_t all_runs = 0;
    std::int64_t longest = 0;
    for (std::int64_t group = 0; group < shape.groups; ++group) {
      const auto tiles = [&](std::int64_t o) {
        const std::int64_t own = group * outer + o;  // of the whole tensor
        switch (pass) {
          case Pass::kForward:
            return std::pair{left.tile_of(1, own), right.tile_of(1, o)};
          case Pass::kBackwardData:
            return std::pair{left.tile_of(1, own), right.tile_of(0, own)};
          case Pass::kBackwardWeight:
            break;
        }
        return std::pair{left.tile_of(0, o), right.tile_of(0, o)};
      };
      std::int64_t runs = 0;
      for (std::int64_t begin = 0; begin < outer; ++runs) {
        std::int64_t end = begin + 1;
        while (end < outer && tiles(end) == tiles(begin)) ++end;
        ASSERT_EQ(reduction.run_end(group, begin), end);
        longest = std::max(longest, end - begin);
        begin = end;
      }
      ASSERT_EQ(reduction.runs(group), runs);
      all_runs += runs;
    }
    ASSERT_EQ(reduction.all_runs(), all_runs);
    ASSERT_EQ(reduction.longest_run(), longest);
    ASSERT_EQ(reduction.taps(), longest * (apart ? 1 : shape.inner_taps(pass)));
    ASSERT_EQ(reduction.merged(), !apart && all_runs == shape.groups);
  }
}

}  // namespace
}  // namespace mlsim::models
