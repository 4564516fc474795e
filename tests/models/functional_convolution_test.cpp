#include "models/convolution/cpu/functional_convolution.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <string>

#include "models/convolution/cpu/dot_kernels.h"
#include "models/convolution/engine.h"
#include "models/convolution/reference/reference_convolution.h"
#include "models/quantizer/quantizer.h"
#include "tests/support/random_layers.h"
#include "tests/support/repetitions.h"
#include "tests/support/vector_targets.h"

namespace mlsim::models {
namespace {

using tests::between;
using tests::Random;

void expect_equal(const ConvolutionResult& result, const ConvolutionResult& expected) {
  EXPECT_EQ(result.values.shape, expected.values.shape);
  ASSERT_EQ(result.values.values.size(), expected.values.values.size());
  for (std::size_t i = 0; i < expected.values.values.size(); ++i) {
    // A NaN is a NaN, whatever its bits.
    if (std::isnan(expected.values.values[i]) && std::isnan(result.values.values[i])) continue;
    ASSERT_EQ(std::bit_cast<std::uint32_t>(result.values.values[i]),
              std::bit_cast<std::uint32_t>(expected.values.values[i]))
        << "at " << i << ": " << result.values.values[i] << " instead of " << expected.values.values[i];
  }
  EXPECT_EQ(result.counts.mantissa_multiplies, expected.counts.mantissa_multiplies);
  EXPECT_EQ(result.counts.exponent_adds, expected.counts.exponent_adds);
  EXPECT_EQ(result.counts.shifts, expected.counts.shifts);
  EXPECT_EQ(result.counts.integer_adds, expected.counts.integer_adds);
  EXPECT_EQ(result.counts.tree_adds, expected.counts.tree_adds);
  EXPECT_EQ(result.counts.group_exponent_adds, expected.counts.group_exponent_adds);
  EXPECT_EQ(result.counts.shift_adds, expected.counts.shift_adds);
  EXPECT_EQ(result.counts.conversions, expected.counts.conversions);
  EXPECT_EQ(result.counts.float_adds, expected.counts.float_adds);
  EXPECT_EQ(result.counts.tensor_scale_multiplies, expected.counts.tensor_scale_multiplies);
  EXPECT_EQ(result.counts.overflows, expected.counts.overflows);
  EXPECT_EQ(result.counts.non_finite, expected.counts.non_finite);
}

// Compares one pass on every instruction set; false where the tensor scales overflow, which both refuse.
bool compare(Pass pass, const ConvolutionShape& shape, const ScaledTensor& left, const ScaledTensor& right,
             const Accumulator& accumulator) {
  SCOPED_TRACE(to_string(pass) + " of " + tests::to_string(shape) + ", " + to_string(left.format) + " by " +
               to_string(right.format) + ", accumulator bits " + std::to_string(accumulator.bits) +
               (accumulator.overflow == Overflow::kWrap ? ", wrap" : ", saturate") + ", " +
               std::to_string(accumulator.taps_per_cycle) + " taps a cycle");
  ConvolutionResult expected;
  try {
    expected = reference_convolution(pass, shape, left, right, accumulator);
  } catch (const std::runtime_error&) {
    EXPECT_THROW(functional_convolution(pass, shape, left, right, accumulator), std::runtime_error);
    return false;
  }
  SCOPED_TRACE(explain_choice({pass, shape, left, right, accumulator}).back());
  tests::for_each_vector_target(
      [&] { expect_equal(functional_convolution(pass, shape, left, right, accumulator), expected); });
  return true;
}

ScaledTensor random_operand(Random& random, const Shape& shape, const ScaledFormat& format) {
  const QuantizerOptions options{.rounding = static_cast<Rounding>(between(random, 0, 1)), .seed = random()};
  return quantize(tests::random_tensor(random, shape), format, options, "x").tensor;
}

Accumulator random_accumulator(Random& random) {
  if (between(random, 0, 1) == 0) return {};
  return {static_cast<int>(between(random, 2, between(random, 0, 3) == 0 ? 64 : 24)),
          static_cast<Overflow>(between(random, 0, 1)),
          static_cast<int>(between(random, 1, between(random, 0, 3) == 0 ? 40 : 4))};
}

void compare_random_layers(int first_seed, int seeds, ScaledFormat (*format_of)(Random& random)) {
  const int end = first_seed + test::repetitions(seeds);
  int compared = 0;
  for (int seed = first_seed; seed < end; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(static_cast<std::uint64_t>(seed));
    const ConvolutionShape shape = tests::random_layer(random);
    ASSERT_NO_THROW(shape.check());
    for (const Pass pass : kPasses) {
      const ScaledTensor left = random_operand(random, shape.shape_of(left_operand(pass)), format_of(random));
      const ScaledTensor right = random_operand(random, shape.shape_of(right_operand(pass)), format_of(random));
      if (compare(pass, shape, left, right, random_accumulator(random))) ++compared;
      if (testing::Test::HasFailure()) return;
    }
  }
  EXPECT_GT(compared, end - first_seed);
}

TEST(FunctionalConvolution, EqualsReferenceOnRandomLayers) {
  compare_random_layers(0, 1000, tests::random_format);
}

// Formats that people use: most sums are held in binary32.
TEST(FunctionalConvolution, EqualsReferenceOnNarrowFormats) {
  compare_random_layers(1000, 600, [](Random& random) {
    constexpr std::array<ElementFormat, 5> kElements{{{2, 4}, {2, 1}, {1, 3}, {0, 7}, {2, 3}}};
    return ScaledFormat{kElements[static_cast<std::size_t>(between(random, 0, 4))],
                        {8, static_cast<int>(between(random, 0, 1))},
                        grouping::kAll[static_cast<std::size_t>(between(random, 0, 3))]};
  });
}

// The widest formats, whose scaled sums need 128 bits.
TEST(FunctionalConvolution, EqualsReferenceOnWideFormats) {
  compare_random_layers(2000, 200, [](Random& random) {
    const ElementFormat element = between(random, 0, 1) == 0 ? ElementFormat{4, 4} : ElementFormat{3, 10};
    return ScaledFormat{element, {8, 3}, grouping::kAll[static_cast<std::size_t>(between(random, 0, 3))]};
  });
}

// Layers that fill whole vectors, tiles and channel blocks.
TEST(FunctionalConvolution, EqualsReferenceOnLargerLayers) {
  const ConvolutionShape base{.batch = 2,
                              .in_channels = 5,
                              .out_channels = 9,
                              .in_size = {12, 13},
                              .kernel = {3, 3},
                              .stride = {1, 1},
                              .padding = {1, 1},
                              .groups = 1};
  std::vector<ConvolutionShape> shapes(8, base);
  shapes[1].stride = {2, 2};
  shapes[2].kernel = {1, 1};
  shapes[2].padding = {0, 0};
  shapes[2].in_channels = 37;
  shapes[3].in_channels = 35;
  shapes[3].out_channels = 35;
  shapes[3].groups = 35;
  shapes[4].kernel = {7, 7};
  shapes[4].padding = {3, 3};
  shapes[4].stride = {2, 2};
  shapes[4].in_size = {21, 19};
  shapes[4].out_channels = 18;
  shapes[5].in_channels = 16;
  shapes[5].out_channels = 24;
  shapes[5].groups = 8;
  // More channels than a slice, more weight columns than a task.
  shapes[6].in_channels = 37;
  shapes[6].out_channels = 41;
  shapes[6].in_size = {5, 4};
  // More images than are prepared at a time.
  shapes[7].batch = 22;
  shapes[7].in_channels = 1;
  shapes[7].out_channels = 1;
  shapes[7].in_size = {160, 161};
  shapes[7].stride = {2, 2};
  std::uint64_t seed = 1;
  for (const ConvolutionShape& shape : shapes) {
    for (const ScaleLayout& layout : {grouping::kNc, grouping::kNone}) {
      Random random(seed++);
      const ScaledFormat format{{2, 4}, {8, 1}, layout};
      std::normal_distribution<float> normal;
      const auto operand = [&](Operand which) {
        Tensor<float> values{shape.shape_of(which), {}};
        for (std::int64_t i = 0; i < element_count(values.shape); ++i) values.values.push_back(normal(random));
        return quantize(values, format, {}, "x").tensor;
      };
      for (const Pass pass : kPasses) {
        const ScaledTensor left = operand(left_operand(pass));
        const ScaledTensor right = operand(right_operand(pass));
        compare(pass, shape, left, right, {});
        compare(pass, shape, left, right, {14, Overflow::kSaturate});
        compare(pass, shape, left, right, {14, Overflow::kWrap});
      }
    }
  }
}

// An operand of which every element is k, in groups of the largest scale below 1.
ScaledTensor uniform_operand(const Shape& shape, const ScaledFormat& format, std::int64_t k) {
  ScaledTensor tensor{format, shape, 1, {}, {}};
  const StoredScale stored = format.scale.kind == ScaleKind::kMls
                                 ? StoredScale{1, static_cast<std::uint8_t>((1 << format.scale.fraction_bits) - 1)}
                                 : StoredScale{127, 0};
  const TileScale scale = read_scale(format.scale, stored);
  tensor.scales.assign(static_cast<std::size_t>(format.layout.count(shape)), scale);
  tensor.codes.assign(static_cast<std::size_t>(element_count(shape)), encode_element(format.element, k));
  return tensor;
}

// All elements but one at their largest: sums at the edge of what binary32 and binary64 hold.
TEST(FunctionalConvolution, EqualsReferenceOnLargestElements) {
  for (const auto& [size, kernel] : std::vector<std::pair<std::int64_t, std::int64_t>>{
           {1, 1}, {2, 2}, {3, 3}, {5, 5}, {7, 7}, {15, 7}, {33, 7}, {13, 11}, {13, 12}}) {
    const ConvolutionShape shape{
        .batch = 1, .in_channels = 2, .out_channels = 1, .in_size = {size, size}, .kernel = {kernel, kernel}};
    for (int ex = 0; ex <= 4; ++ex) {
      for (int mx = ex == 0 ? 1 : 0; mx <= (ex == 4 ? 4 : 10); ++mx) {
        for (const auto& [mg, layout] : std::vector<std::pair<int, ScaleLayout>>{
                 {0, grouping::kNone}, {1, grouping::kNone}, {3, grouping::kNone}, {1, grouping::kNc}}) {
          const ScaledFormat format{{ex, mx}, {8, mg}, layout};
          const auto operand = [&](Operand which) {
            ScaledTensor tensor = uniform_operand(shape.shape_of(which), format, format.element.max_integer());
            tensor.codes[0] = encode_element(format.element, 1);  // the last place of a sum matters
            return tensor;
          };
          for (const Pass pass : kPasses) {
            const ScaledTensor left = operand(left_operand(pass));
            const ScaledTensor right = operand(right_operand(pass));
            SCOPED_TRACE(to_string(pass) + " " + to_string(format) + " size " + std::to_string(size));
            expect_equal(functional_convolution(pass, shape, left, right, {}),
                         reference_convolution(pass, shape, left, right, {}));
            if (HasFailure()) return;
          }
        }
      }
    }
  }
}

// Registers whose range and a product together are about what binary32 holds.
TEST(FunctionalConvolution, EqualsReferenceOnNarrowRegistersAroundBinary32) {
  const ConvolutionShape shape{.batch = 2,
                               .in_channels = 3,
                               .out_channels = 5,
                               .in_size = {6, 7},
                               .kernel = {3, 3},
                               .stride = {1, 1},
                               .padding = {1, 1}};
  for (const ElementFormat& element :
       {ElementFormat{2, 4}, ElementFormat{0, 10}, ElementFormat{1, 10}, ElementFormat{2, 9}}) {
    for (const ScaleLayout& layout : {grouping::kNone, grouping::kNc}) {
      const ScaledFormat format{element, {8, 1}, layout};
      Random random(1);
      const auto operand = [&](Operand which) {
        const std::int64_t largest = element.max_integer();
        ScaledTensor tensor = uniform_operand(shape.shape_of(which), format, largest);
        for (std::uint16_t& code : tensor.codes) {
          const std::int64_t draw = between(random, 0, 7);
          if (draw < 3) code = encode_element(element, draw == 0 ? -largest : draw);
        }
        return tensor;
      };
      for (const Pass pass : kPasses) {
        const ScaledTensor left = operand(left_operand(pass));
        const ScaledTensor right = operand(right_operand(pass));
        for (const int bits : {16, 20, 22, 23, 24, 25, 26}) {
          compare(pass, shape, left, right, {bits, Overflow::kSaturate});
          compare(pass, shape, left, right, {bits, Overflow::kWrap});
        }
      }
    }
  }
}

// Sums of byte products just below and just above 2^31.
TEST(FunctionalConvolution, EqualsReferenceAroundThe32BitSums) {
  const ScaledFormat format{{0, 7}, {8, 1}, grouping::kNc};
  for (const std::int64_t groups : {1, 2}) {
    for (const std::int64_t size : {364, 365}) {
      const ConvolutionShape shape{
          .batch = 1, .in_channels = 2, .out_channels = 2, .in_size = {size, size}, .groups = groups};
      for (const std::int32_t k : {127, -127}) {
        const ScaledTensor error = uniform_operand(shape.error_shape(), format, k);
        const ScaledTensor activation = uniform_operand(shape.activation_shape(), format, 127);
        compare(Pass::kBackwardWeight, shape, error, activation, {});
      }
    }
  }
}

// Operands whose only result is `sum`, about `elements` products of the largest integer.
std::pair<ScaledTensor, ScaledTensor> operands_of_sum(const ScaledFormat& format, const Shape& shape,
                                                      std::int64_t sum) {
  const ElementFormat& element = format.element;
  const std::int64_t largest = element.max_integer();
  const auto floor = [&](std::int64_t k) {
    int place = 0;
    while (k >> place >= std::int64_t{2} << element.mantissa_bits) ++place;
    return k >> place << place;
  };
  ScaledTensor left = uniform_operand(shape, format, 0);
  ScaledTensor right = left;
  for (std::size_t i = 0; sum > 0; ++i) {
    const std::int64_t k = std::min(sum, largest);
    const std::int64_t k_left = floor(k);
    const std::int64_t k_right = floor(std::min(sum / k_left, largest));
    left.codes.at(i) = encode_element(element, k_left);
    right.codes.at(i) = encode_element(element, k_right);
    sum -= k_left * k_right;
  }
  return {left, right};
}

// Q = 2^30 M + 2^29 + 1 with an even M lies above a tie of binary32, which binary64 no longer tells beyond 2^53.
TEST(FunctionalConvolution, RoundsOnceAroundBinary64sIntegers) {
  const ScaledFormat format{{3, 10}, {8, 3}, grouping::kNone};
  constexpr std::int64_t kFractions = 15 * 15;
  for (const std::int64_t size : {48, 53}) {  // scaled sums of at most 2^52.98 and 2^53.27
    const ConvolutionShape shape{.in_size = {size, size}, .kernel = {size, size}};
    const std::int64_t element = format.element.max_integer();
    const std::int64_t largest = element * element * size * size * kFractions;
    const std::int64_t highest = largest - 16 * element * element * kFractions;  // leaves elements for the last places
    std::int64_t q = (largest >> 31 << 31) + (std::int64_t{1} << 29) + 1;
    while (q % kFractions != 0 || q > highest) q -= std::int64_t{1} << 31;
    ASSERT_EQ(size == 53, q > std::int64_t{1} << 53);
    const auto [left, right] = operands_of_sum(format, shape.activation_shape(), q / kFractions);
    compare(Pass::kForward, shape, left, right, {});
    const ConvolutionShape transposed{.in_size = {size, size}};
    compare(Pass::kBackwardWeight, transposed, left, right, {});
  }
}

// Groups so small that their sums are subnormal in binary32, under tensor scales that make them visible.
TEST(FunctionalConvolution, EqualsReferenceOnTinyGroups) {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    const ConvolutionShape shape = tests::random_layer(random);
    for (const Pass pass : kPasses) {
      const auto operand = [&](Operand which) {
        const ScaledFormat format{{2, static_cast<int>(between(random, 0, 4))}, {8, 1}, grouping::kNc};
        ScaledTensor tensor = random_operand(random, shape.shape_of(which), format);
        tensor.tensor_scale = 0x1.8p60F;
        for (TileScale& scale : tensor.scales) {
          scale.exponent = static_cast<std::int16_t>(-between(random, 55, 80) - format.scale.fraction_bits);
        }
        return tensor;
      };
      const ScaledTensor left = operand(left_operand(pass));
      const ScaledTensor right = operand(right_operand(pass));
      compare(pass, shape, left, right, {});
      compare(pass, shape, left, right, {10, Overflow::kSaturate});
      if (HasFailure()) return;
    }
  }
}

// ---- Engines by name

// The name of the engine that runs.
std::string engine_for(Pass pass, const ConvolutionShape& shape, const ScaledTensor& left, const ScaledTensor& right,
                       const Accumulator& accumulator) {
  const std::string line = explain_choice({pass, shape, left, right, accumulator}).back();
  return line.substr(0, line.find(':'));
}

ScaledTensor random_operand(Random& random, const ConvolutionShape& shape, Operand operand, Pass pass,
                            const ScaledFormat& format) {
  return random_operand(random, shape.shape_of(operand), format.of(operand, pass));
}

// Compares passes of random layers and formats and returns how often each engine has run.
std::map<std::string, int> compare_blocks(int first_seed, int seeds, ConvolutionShape (*layer_of)(Random& random),
                                          ScaledFormat (*format_of)(Random& random)) {
  std::map<std::string, int> engines;
  for (int seed = first_seed; seed < first_seed + test::repetitions(seeds); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(static_cast<std::uint64_t>(seed));
    const ConvolutionShape shape = layer_of(random);
    const bool mixed = between(random, 0, 1) == 0;
    const ScaledFormat format = format_of(random);
    for (const Pass pass : kPasses) {
      const ScaledTensor left =
          random_operand(random, shape, left_operand(pass), pass, mixed ? format_of(random) : format);
      const ScaledTensor right =
          random_operand(random, shape, right_operand(pass), pass, mixed ? format_of(random) : format);
      const Accumulator accumulator = between(random, 0, 2) == 0 ? random_accumulator(random) : Accumulator{};
      if (compare(pass, shape, left, right, accumulator)) ++engines[engine_for(pass, shape, left, right, accumulator)];
      if (testing::Test::HasFailure()) return engines;
    }
  }
  return engines;
}

void expect_each(const std::map<std::string, int>& counts, std::vector<std::string> names) {
  if (has_dot_products()) names.emplace_back("blocks of bytes");
  for (const std::string& name : names) EXPECT_TRUE(counts.contains(name)) << name << " has never run";
}

// ---- Matrix products

// Whether a scale belongs to each pair of indices of the operands that are summed over.
ScaledFormat random_product_format(Random& random) {
  constexpr std::array<const char*, 6> kElements{"e2m4", "e2m1", "e1m6", "e0m7", "e3m2", "e2m5/g8m2"};
  constexpr std::array<const char*, 4> kGroupings{"/nc", "/nc", "/n", "/c"};
  return parse_scaled_format(std::string(kElements[static_cast<std::size_t>(between(random, 0, 5))]) +
                             kGroupings[static_cast<std::size_t>(between(random, 0, 3))]);
}

ConvolutionShape random_product(Random& random) {
  ConvolutionShape shape;
  shape.batch = between(random, 1, 7);
  shape.in_channels = between(random, 1, 70);
  shape.out_channels = between(random, 1, 70);
  if (between(random, 0, 3) == 0) return shape;  // linear
  for (const std::size_t axis : {0U, 1U}) {
    shape.in_size[axis] = between(random, 1, 9);
    shape.stride[axis] = between(random, 1, 3);
  }
  return shape;
}

// Rows, columns and vectors of every remainder, tiles of several images.
TEST(Products, EqualReferenceOnRandomLayers) {
  const auto counts = compare_blocks(7000, 300, random_product, random_product_format);
  EXPECT_GT(counts.at("matrix products in binary32"), test::repetitions(300));
}

// More columns and more rows than are prepared at a time.
TEST(Products, EqualReferenceInSlices) {
  const std::array<ConvolutionShape, 3> shapes{{
      {.batch = 3, .in_channels = 700, .out_channels = 50, .in_size = {9, 9}},
      {.batch = 3, .in_channels = 400, .out_channels = 60, .in_size = {21, 19}, .stride = {2, 2}},
      {.batch = 33, .in_channels = 300, .out_channels = 330},
  }};
  std::uint64_t seed = 1;
  for (const ConvolutionShape& shape : shapes) {
    Random random(seed++);
    for (const Pass pass : kPasses) {
      const ScaledFormat format = parse_scaled_format("e2m4");
      const ScaledTensor left = random_operand(random, shape, left_operand(pass), pass, format);
      const ScaledTensor right = random_operand(random, shape, right_operand(pass), pass, format);
      compare(pass, shape, left, right, {});
    }
  }
}

// Layers of one tap, of several, and depthwise ones, with units at 2^-126 and below it, and products at 2^-149.
TEST(Products, EqualReferenceWhereNumbersEnd) {
  const std::array<ConvolutionShape, 3> shapes{{
      {.batch = 2, .in_channels = 19, .out_channels = 5, .in_size = {3, 7}},
      {.batch = 2, .in_channels = 5, .out_channels = 6, .in_size = {5, 7}, .kernel = {3, 3}, .padding = {1, 1}},
      {.batch = 2,
       .in_channels = 5,
       .out_channels = 5,
       .in_size = {9, 8},
       .kernel = {3, 3},
       .padding = {1, 1},
       .groups = 5},
  }};
  const ScaledFormat format = parse_scaled_format("e2m1/g8m0");
  const int unit = format.element.unit_exponent();
  std::map<std::string, int> engines;
  Random random(1);
  for (const ConvolutionShape& shape : shapes) {
    for (const auto& [left_unit, right_unit] : std::vector<std::pair<int, int>>{
             {-126, -23}, {-127, -22}, {-127, -23}, {-130, -19}, {-130, -20}, {-70, -79}, {-126, -126}}) {
      for (const Pass pass : kPasses) {
        const auto operand = [&](Operand which, int smallest) {
          ScaledTensor tensor = random_operand(random, shape, which, pass, format);
          tensor.tensor_scale = 0x1p60F;
          for (std::size_t i = 0; i < tensor.scales.size(); i += 3) {
            tensor.scales[i].exponent = static_cast<std::int16_t>(smallest + unit);
          }
          return tensor;
        };
        const ScaledTensor left = operand(left_operand(pass), left_unit);
        const ScaledTensor right = operand(right_operand(pass), right_unit);
        compare(pass, shape, left, right, {});
        ++engines[engine_for(pass, shape, left, right, {})];
      }
    }
  }
  EXPECT_GT(engines["matrix products in binary32"], 4);
  EXPECT_GT(engines["binary64"], 4);
}

// ---- Depthwise layers

// Kernels, strides and paddings of every kind, planes of one vector and rows of several.
ConvolutionShape random_depthwise(Random& random) {
  ConvolutionShape shape;
  shape.batch = between(random, 1, 3);
  shape.groups = shape.in_channels = shape.out_channels = between(random, 1, 21);
  const bool usual = between(random, 0, 1) == 0;
  constexpr std::array<std::int64_t, 4> kLargest{6, 16, 34, 131};
  for (const std::size_t axis : {0U, 1U}) {
    shape.kernel[axis] = usual ? 3 : between(random, 1, between(random, 0, 2) == 0 ? 8 : 4);
    shape.stride[axis] = usual ? shape.stride[0] : between(random, 1, 2);
    if (usual && axis == 0) shape.stride = {between(random, 1, 2), 1};
    shape.padding[axis] = usual ? Padding(1) : Padding(between(random, 0, 4), between(random, 0, 4));
    const std::int64_t largest = kLargest[static_cast<std::size_t>(between(random, 0, axis == 0 ? 2 : 3))];
    shape.in_size[axis] = between(random, shape.kernel[axis], std::max(shape.kernel[axis], largest));
  }
  if (usual) shape.stride[1] = shape.stride[0];
  return shape;
}

TEST(Depthwise, EqualsReferenceOnRandomLayers) {
  const auto format = [](Random& random) {
    constexpr std::array<const char*, 5> kElements{"e2m4", "e2m1", "e1m6/g8m2", "e0m7/g8m3", "e2m4/g8m0"};
    constexpr std::array<const char*, 3> kGroupings{"/nc", "/nc", "/c"};
    return parse_scaled_format(std::string(kElements[static_cast<std::size_t>(between(random, 0, 4))]) +
                               kGroupings[static_cast<std::size_t>(between(random, 0, 2))]);
  };
  const auto counts = compare_blocks(9000, 400, random_depthwise, format);
  if (!has_dot_products()) return;
  EXPECT_GT(counts.at("depthwise dot products of bytes"), test::repetitions(300));
  EXPECT_GT(counts.at("depthwise sums along planes of bytes"), test::repetitions(60));
}

// ---- Blocks

// Kernels of one position, whose passes are matrix products: channels, images and positions that fill panels and
// vectors in part, every rounding, scales that are powers of two and others.
TEST(Blocks, EqualReferenceOnMatrixProducts) {
  const auto layer = [](Random& random) {
    ConvolutionShape shape;
    const std::int64_t most = between(random, 0, 2) == 0 ? 110 : 40;
    shape.batch = between(random, 1, between(random, 0, 2) == 0 ? 40 : 4);
    shape.in_channels = between(random, 1, most);
    shape.out_channels = between(random, 1, most);
    if (between(random, 0, 3) == 0) return shape;  // linear
    const std::int64_t largest = shape.batch > 4 ? 5 : 14;
    for (const std::size_t axis : {0U, 1U}) {
      shape.in_size[axis] = between(random, 1, largest);
      shape.stride[axis] = between(random, 1, 3);
    }
    return shape;
  };
  const auto format = [](Random& random) {
    constexpr std::array<const char*, 7> kElements{"e2m4",   "e2m1/g8m3",  "mxfp4", "nvfp4",
                                                   "mxint8", "mxfp6-e2m3", "e0m7"};
    constexpr std::array<const char*, 8> kTiles{"/k16", "/b16", "/k32", "/b32", "/t16x16x1x1", "/k12", "/b64", "/nc"};
    return parse_scaled_format(std::string(kElements[static_cast<std::size_t>(between(random, 0, 6))]) +
                               kTiles[static_cast<std::size_t>(between(random, 0, 7))]);
  };
  std::vector<std::string> names;
  if (has_dot_products()) names.emplace_back("matrix products of bytes");
  expect_each(compare_blocks(9000, 500, layer, format), names);
}

// Backward weight where planes are small and output channels many: windows of the kernel are columns of a matrix.
TEST(Blocks, EqualReferenceOnWindows) {
  const auto layer = [](Random& random) {
    ConvolutionShape shape;
    shape.batch = between(random, 1, 5);
    shape.in_channels = between(random, 1, 9);
    shape.out_channels = between(random, 124, 150);
    for (const std::size_t axis : {0U, 1U}) {
      shape.in_size[axis] = between(random, 4, 11);
      shape.kernel[axis] = between(random, 1, 3);
      shape.stride[axis] = between(random, 1, 2);
      shape.dilation[axis] = between(random, 0, 3) == 0 ? 2 : 1;
      shape.padding[axis] = {between(random, 0, 2), between(random, 0, 2)};
    }
    return shape;
  };
  const auto format = [](Random& random) {
    constexpr std::array<const char*, 5> kElements{"e2m4", "e2m1/g8m3", "mxfp4", "nvfp4", "e0m7"};
    constexpr std::array<const char*, 4> kTiles{"/b16", "/nc", "/b32", "/n"};
    return parse_scaled_format(std::string(kElements[static_cast<std::size_t>(between(random, 0, 4))]) +
                               kTiles[static_cast<std::size_t>(between(random, 0, 3))]);
  };
  std::vector<std::string> names;
  if (has_dot_products()) names.emplace_back("matrix products of bytes");
  expect_each(compare_blocks(9600, 120, layer, format), names);
}

TEST(Blocks, EqualReferenceOnRandomLayers) {
  const auto counts = compare_blocks(3000, 1200, tests::random_layer, tests::random_block_format);
  expect_each(counts, {"blocks of 16 bits", "blocks in binary64", "wide integers"});
}

// Channels and images that fill several blocks, words and vectors, the last of them in part.
TEST(Blocks, EqualReferenceOnWiderLayers) {
  const auto layer = [](Random& random) {
    ConvolutionShape shape;
    shape.groups = between(random, 0, 3) == 0 ? between(random, 2, 4) : 1;
    shape.batch = between(random, 1, 21);
    shape.in_channels = shape.groups * between(random, 1, 40 / shape.groups);
    shape.out_channels = shape.groups * between(random, 1, 50 / shape.groups);
    if (between(random, 0, 2) == 0) return shape;  // linear
    shape.kernel[0] = shape.kernel[1] = between(random, 0, 1) == 0 ? 1 : 3;
    for (const std::size_t axis : {0U, 1U}) {
      shape.in_size[axis] = between(random, 3, 6);
      shape.stride[axis] = between(random, 1, 2);
      shape.padding[axis] = {between(random, 0, 1), between(random, 0, 2)};
    }
    return shape;
  };
  const auto format = [](Random& random) {
    constexpr std::array<const char*, 8> kElements{"e2m4",       "e2m1/g8m3",  "mxfp4",  "nvfp4",
                                                   "mxfp6-e3m2", "mxfp8-e4m3", "mxint8", "mxfp6-e2m3"};
    constexpr std::array<const char*, 8> kTiles{"/k16",        "/b16",        "/k32",      "/b8",
                                                "/t16x16x1x1", "/t16x16x*x*", "/t8x4x1x*", "/t4x8x*x1"};
    return parse_scaled_format(std::string(kElements[static_cast<std::size_t>(between(random, 0, 7))]) +
                               kTiles[static_cast<std::size_t>(between(random, 0, 7))]);
  };
  expect_each(compare_blocks(5000, 400, layer, format), {"blocks of 16 bits", "blocks in binary64"});
}

// More images than are prepared at a time, more runs of images, and more taps than are read again and again.
TEST(Blocks, EqualReferenceInSlices) {
  const ConvolutionShape shape{
      .batch = 9, .in_channels = 64, .out_channels = 5, .in_size = {64, 65}, .kernel = {1, 1}, .groups = 1};
  Random random(1);
  for (const char* name : {"mxfp4/k4", "mxfp6-e3m2/t4x16x*x*", "mxfp8-e4m3/k4"}) {
    const ScaledFormat format = parse_scaled_format(name);
    for (const Pass pass : kPasses) {
      const auto operand = [&](Operand which) {
        std::normal_distribution<float> normal;
        Tensor<float> values{shape.shape_of(which), {}};
        for (std::int64_t i = 0; i < element_count(values.shape); ++i) values.values.push_back(normal(random));
        return quantize(values, format.of(which, pass), {}, "x").tensor;
      };
      compare(pass, shape, operand(left_operand(pass)), operand(right_operand(pass)), {});
      if (HasFailure()) return;
    }
  }
}

// Scales at either end of their range: results are infinite, NaN or subnormal.
TEST(Blocks, EqualReferenceWhereScalesEnd) {
  std::uint64_t non_finite = 0;
  for (std::uint64_t seed = 0; seed < 120; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    const ConvolutionShape shape = tests::random_layer(random);
    for (const Pass pass : kPasses) {
      const auto operand = [&](Operand which) {
        constexpr std::array<int, 6> kExponents{120, 120, -130, -130, 0, -60};
        const int exponent = kExponents[static_cast<std::size_t>(between(random, 0, 5))];
        ScaledFormat format = tests::random_block_format(random);
        while (format.scale.kind != ScaleKind::kE8m0) format = tests::random_block_format(random);
        Tensor<float> values{shape.shape_of(which), {}};
        std::normal_distribution<float> normal;
        for (std::int64_t i = 0; i < element_count(values.shape); ++i) {
          values.values.push_back(i % 16 < 4 ? 0.0F : std::ldexp(normal(random), exponent));
        }
        return quantize(values, format.of(which, pass), {}, "x").tensor;
      };
      const ScaledTensor left = operand(left_operand(pass));
      const ScaledTensor right = operand(right_operand(pass));
      if (compare(pass, shape, left, right, {})) {
        non_finite += functional_convolution(pass, shape, left, right, {}).counts.non_finite;
      }
      if (HasFailure()) return;
    }
  }
  EXPECT_GT(non_finite, 1000U);
}

// Integer sums of a group just below and just above 2^24 and 2^31.
TEST(Blocks, EqualReferenceAroundTheirSums) {
  const auto check = [](const char* name, std::int64_t channels, std::array<std::int64_t, 2> size,
                        const std::string& engine) {
    const ConvolutionShape shape{
        .batch = 1, .in_channels = channels, .out_channels = 3, .in_size = size, .kernel = size};
    const ScaledFormat format = parse_scaled_format(name);
    ScaledTensor activation = uniform_operand(shape.activation_shape(), format.of(Operand::kActivation, Pass::kForward),
                                              format.element.max_integer());
    const ScaledTensor weight = uniform_operand(shape.weight_shape(), format.of(Operand::kWeight, Pass::kForward),
                                                -format.element.max_integer());
    compare(Pass::kForward, shape, activation, weight, {});
    EXPECT_EQ(engine_for(Pass::kForward, shape, activation, weight, {}), engine);
    activation.codes[0] = encode_element(format.element, 1);
    compare(Pass::kForward, shape, activation, weight, {});
  };
  const std::string bytes = has_dot_products() ? "blocks of bytes" : "blocks of 16 bits";
  const std::string products = has_dot_products() ? "matrix products of bytes" : "blocks of 16 bits";
  check("e0m7/b1040", 1040, {1, 1}, products);                 // 1040 · 127² < 2^24
  check("e0m7/b1041", 1041, {1, 1}, products);                 // and above
  check("e0m7/b520", 520, {1, 2}, bytes);                      // 1040 · 127²
  check("e0m7/b521", 521, {2, 1}, bytes);                      // and above
  check("mxint8/b16", 16, {90, 92}, bytes);                    // 132480 · 127² < 2^31
  check("mxint8/b16", 16, {91, 92}, "binary64");               // and above
  check("mxfp6-e3m2/b16", 32, {24, 27}, "blocks of 16 bits");  // 10368 · 448² < 2^31
  check("mxfp6-e3m2/b16", 32, {25, 27}, "blocks in binary64");
}

// Each engine is the one that runs for some request, and says why it does not for others.
TEST(Engines, AreChosenInOrderWithReasons) {
  using testing::Contains;
  ConvolutionShape shape{.batch = 2, .in_channels = 3, .out_channels = 2, .in_size = {5, 5}, .kernel = {3, 3}};
  const auto tensor = [](const Shape& extents, const std::string& format) {
    Tensor<float> values{extents, {}};
    for (std::int64_t i = 0; i < element_count(extents); ++i) {
      values.values.push_back(static_cast<float>(i % 7) - 3);
    }
    return quantize(values, parse_scaled_format(format), {}, "operand").tensor;
  };
  const auto choice = [&](const std::string& format, const Accumulator& accumulator, std::int64_t channels = 3) {
    shape.in_channels = channels;
    const ScaledTensor activation = tensor(shape.activation_shape(), format);
    const ScaledTensor weight = tensor(shape.weight_shape(), format);
    return explain_choice({Pass::kForward, shape, activation, weight, accumulator});
  };
  const std::string bytes = has_dot_products() ? "blocks of bytes: runs" : "blocks of 16 bits: runs";
  EXPECT_EQ(choice("e2m4", {}).back(), has_dot_products() ? "dot products of bytes: runs" : "binary32: runs");
  EXPECT_THAT(choice("e2m4", {}), Contains("matrix products in binary32: a result takes several taps of a plane"));
  EXPECT_THAT(choice("e2m4/none", {}),
              Contains(has_dot_products() ? "dot products of bytes: the whole reduction is one group"
                                          : "dot products of bytes: the processor has no dot products of bytes"));
  EXPECT_EQ(choice("e2m4/none", {}).back(), bytes);
  EXPECT_EQ(choice("e3m4/none", {}).back(), "blocks of 16 bits: runs");
  EXPECT_EQ(choice("e3m2", {}).back(), "binary32: runs");
  const std::vector<std::string> wide = choice("e2m10", {});
  EXPECT_EQ(wide.back(), "binary64: runs");
  EXPECT_THAT(wide, Contains("blocks of 16 bits: each outer index is a group"));
  EXPECT_THAT(wide, Contains("binary32: a group may be no binary32 number"));
  for (const std::string tiles : {"/k16", "/b2", "/t16x16x1x1"}) {
    EXPECT_EQ(choice("mxfp4" + tiles, {}).back(), bytes);
    EXPECT_EQ(choice("mxfp6-e3m2" + tiles, {}).back(), "blocks of 16 bits: runs");
    EXPECT_EQ(choice("mxfp8-e4m3" + tiles, {}).back(), "blocks in binary64: runs");
    EXPECT_EQ(choice("mxfp8-e5m2" + tiles, {}).back(), "wide integers: runs");
  }
  EXPECT_EQ(choice("e2m4", {10, Overflow::kSaturate}).back(), "narrow registers in binary32: runs");
  EXPECT_EQ(choice("e2m4", {10, Overflow::kSaturate, 2}).back(), "wide integers: runs");
  EXPECT_EQ(choice("e2m4/k16", {10, Overflow::kSaturate}).back(), "wide integers: runs");
  EXPECT_EQ(choice("e3m8", {30, Overflow::kWrap}).back(), "narrow registers in binary64: runs");
  const std::vector<std::string> last = choice("e4m4/g8m3/none", {62, Overflow::kWrap}, 300);
  ASSERT_EQ(last.size(), engines().size());
  EXPECT_EQ(last.back(), "wide integers: runs");
  EXPECT_THAT(last, Contains("narrow registers in binary64: no sum can leave the accumulator"));
}

}  // namespace
}  // namespace mlsim::models
