#include "models/convolution/cpu/direct_convolution.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <type_traits>

#include "tests/support/random_layers.h"
#include "tests/support/seven_loops.h"
#include "tests/support/vector_targets.h"

namespace mlsim::models {
namespace {

using tests::between;
using tests::Random;

// Normal deviates with zeros of both signs, tiny numbers and, with `infinities`, a few infinite ones among them.
template <typename T>
std::vector<T> random_values(Random& random, const Shape& shape, bool infinities) {
  std::vector<T> values(static_cast<std::size_t>(element_count(shape)));
  std::normal_distribution<T> normal;
  for (T& x : values) {
    x = normal(random);
    const std::int64_t kind = between(random, 0, 99);
    if (kind < 20) x = std::copysign(T{0}, x);
    if (kind >= 20 && kind < 30) x *= std::numeric_limits<T>::min();
    if (infinities && kind == 30) x = std::copysign(std::numeric_limits<T>::infinity(), x);
  }
  return values;
}

// The same bits, but for the signs of NaNs, which no standard promises.
template <typename T>
bool same(T a, T b) {
  using Bits = std::conditional_t<std::is_same_v<T, float>, std::uint32_t, std::uint64_t>;
  return std::bit_cast<Bits>(a) == std::bit_cast<Bits>(b) || (std::isnan(a) && std::isnan(b));
}

template <typename T, typename Value>
void compare(Pass pass, const ConvolutionShape& shape, const std::vector<Value>& left,
             const std::vector<Value>& right) {
  const std::vector<T> result = direct_convolution<T>(pass, shape, left, right);
  const std::vector<T> expected =
      tests::seven_loops<T>(pass, shape, {left.begin(), left.end()}, {right.begin(), right.end()});
  ASSERT_EQ(result.size(), expected.size());
  for (std::size_t i = 0; i < result.size(); ++i) {
    ASSERT_TRUE(same(result[i], expected[i])) << to_string(pass) << " of " << tests::to_string(shape) << ", result "
                                              << i << ": " << result[i] << " instead of " << expected[i];
  }
}

void check(const ConvolutionShape& shape, Random& random, bool infinities) {
  for (const Pass pass : kPasses) {
    const Shape left = shape.shape_of(left_operand(pass));
    const Shape right = shape.shape_of(right_operand(pass));
    const auto floats_left = random_values<float>(random, left, infinities);
    const auto floats_right = random_values<float>(random, right, infinities);
    compare<float>(pass, shape, floats_left, floats_right);
    compare<double>(pass, shape, floats_left, floats_right);
    compare<double>(pass, shape, random_values<double>(random, left, infinities),
                    random_values<double>(random, right, infinities));
  }
}

void check_random_layers() {
  for (std::uint64_t seed = 0; seed < 120 && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    ConvolutionShape shape = tests::random_layer(random);
    // More channels than a block has, and more positions than a tile.
    if (seed % 4 == 1) shape.in_channels *= between(random, 2, 5);
    if (seed % 4 == 2) shape.out_channels *= between(random, 2, 20);
    if (seed % 8 == 3) shape.in_size = {shape.in_size[0] + 13, shape.in_size[1] + 22};
    check(shape, random, seed % 5 == 0);
  }
}

TEST(DirectConvolution, HasTheBitsOfPlainLoops) {
  tests::for_each_vector_target(check_random_layers);
}

// Groups of few output channels share vectors; these have more input channels than a block.
TEST(DirectConvolution, HasTheBitsOfPlainLoopsInGroups) {
  tests::for_each_vector_target([] {
    Random random(1);
    ConvolutionShape shape;
    shape.batch = 2;
    shape.groups = 3;
    shape.in_channels = 30;
    shape.out_channels = 6;
    shape.in_size = {5, 6};
    shape.kernel = {3, 2};
    shape.padding = {1, 1};
    check(shape, random, false);
  });
}

// More images than are prepared at once, and more rows of an image than stay in the cache.
TEST(DirectConvolution, CarriesSumsOverBlocksOfImagesAndRows) {
  Random random(1);
  ConvolutionShape shape;
  shape.batch = 12;
  shape.in_channels = 9;
  shape.out_channels = 25;
  shape.in_size = {52, 47};
  shape.kernel = {3, 3};
  shape.padding = {1, 1};
  check(shape, random, false);
  shape.stride = {2, 1};
  check(shape, random, false);
}

}  // namespace
}  // namespace mlsim::models
