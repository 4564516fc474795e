#include "models/baseline/baseline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>

#include "base/philox.h"
#include "tests/support/seven_loops.h"
#include "tests/support/vector_targets.h"

namespace mlsim::models {
namespace {

constexpr BaselineFormat kNarrow[] = {BaselineFormat::kFp16, BaselineFormat::kBf16, BaselineFormat::kFp8E4m3,
                                      BaselineFormat::kFp8E5m2};

std::uint32_t largest_code(BaselineFormat format) {
  switch (format) {
    case BaselineFormat::kFp16:
      return 0x7BFF;
    case BaselineFormat::kBf16:
      return 0x7F7F;
    case BaselineFormat::kFp8E4m3:
      return 0x7E;
    default:
      return 0x7B;
  }
}

TEST(Baseline, KnownCodes) {
  EXPECT_EQ(decode_baseline(BaselineFormat::kFp8E4m3, 0x7E), 448.0F);
  EXPECT_TRUE(std::isnan(decode_baseline(BaselineFormat::kFp8E4m3, 0x7F)));
  EXPECT_EQ(decode_baseline(BaselineFormat::kFp8E4m3, 0x08), 0x1p-6F);
  EXPECT_EQ(decode_baseline(BaselineFormat::kFp8E4m3, 0x01), 0x1p-9F);
  EXPECT_EQ(decode_baseline(BaselineFormat::kFp8E5m2, 0x7B), 57344.0F);
  EXPECT_TRUE(std::isinf(decode_baseline(BaselineFormat::kFp8E5m2, 0x7C)));
  EXPECT_EQ(decode_baseline(BaselineFormat::kFp8E5m2, 0x04), 0x1p-14F);
  EXPECT_EQ(decode_baseline(BaselineFormat::kFp8E5m2, 0x81), -0x1p-16F);
  EXPECT_EQ(encode_baseline(BaselineFormat::kFp16, 1.0F), 0x3C00U);
  EXPECT_EQ(encode_baseline(BaselineFormat::kFp16, 65504.0F), 0x7BFFU);
  EXPECT_EQ(encode_baseline(BaselineFormat::kFp16, 65519.0F), 0x7BFFU);
  EXPECT_EQ(encode_baseline(BaselineFormat::kFp16, 65520.0F), 0x7C00U);
  EXPECT_EQ(encode_baseline(BaselineFormat::kFp16, -0x1p-24F), 0x8001U);
  EXPECT_EQ(encode_baseline(BaselineFormat::kBf16, 1.0F), 0x3F80U);
  EXPECT_EQ(encode_baseline(BaselineFormat::kFp8E4m3, 1e9F), 0x7EU);
  EXPECT_EQ(encode_baseline(BaselineFormat::kFp8E5m2, -1e9F), 0xFBU);
  EXPECT_EQ(encode_baseline(BaselineFormat::kInt8, -200.0F), 0x81U);
  EXPECT_EQ(encode_baseline(BaselineFormat::kInt8, 2.5F), 2U);
}

// Between each pair of neighbouring codes: the middle goes to the even code, and a step to either side to the nearer
// one.
TEST(Baseline, RoundsToNearestEvenBetweenAllNeighbours) {
  for (const BaselineFormat format : kNarrow) {
    for (std::uint32_t code = 0; code < largest_code(format); ++code) {
      const float low = decode_baseline(format, code);
      const float high = decode_baseline(format, code + 1);
      ASSERT_LT(low, high) << to_string(format) << " code " << code;
      ASSERT_EQ(encode_baseline(format, low), code) << to_string(format);
      const float middle = low + (high - low) / 2;  // exact but for the two smallest codes of bf16
      if (middle == low || middle == high) continue;
      ASSERT_EQ(encode_baseline(format, middle), code + code % 2) << to_string(format);
      ASSERT_EQ(encode_baseline(format, std::nextafter(middle, 0.0F)), code) << to_string(format);
      ASSERT_EQ(encode_baseline(format, std::nextafter(middle, INFINITY)), code + 1) << to_string(format);
    }
  }
}

Tensor<float> random_tensor(const Shape& shape, std::mt19937& random, float scale = 1) {
  std::normal_distribution<float> normal(0, scale);
  Tensor<float> tensor{shape, std::vector<float>(static_cast<std::size_t>(element_count(shape)))};
  for (float& x : tensor.values) x = normal(random);
  return tensor;
}

TEST(Baseline, ScalesTensors) {
  std::mt19937 random(3);
  for (const float spread : {1e-30F, 1e-6F, 1.0F, 1e20F}) {
    const Tensor<float> input = random_tensor({2, 3, 4, 5}, random, spread);
    for (const BaselineFormat format : kNarrow) {
      const BaselineTensor tensor = quantize_baseline(input, format, "x");
      int exponent = 0;
      EXPECT_EQ(std::frexp(tensor.scale, &exponent), 0.5F) << "a power of two";
      const Tensor<double> values = dequantize(tensor);
      const double step = format == BaselineFormat::kFp8E5m2 ? 0.125 : 0.0625;
      for (std::size_t i = 0; i < input.values.size(); ++i) {
        const double x = input.values[i];
        if (std::fabs(x) < spread / 100) continue;
        EXPECT_NEAR(values.values[i], x, std::fabs(x) * step) << to_string(format);
      }
    }
    const BaselineTensor integers = quantize_baseline(input, BaselineFormat::kInt8, "x");
    float largest = 0;
    for (const float k : integers.values) largest = std::max(largest, std::fabs(k));
    EXPECT_EQ(largest, 127.0F);
  }
  EXPECT_EQ(quantize_baseline({{1, 2}, {0, 0}}, BaselineFormat::kInt8, "x").scale, 1.0F);
}

// Magnitudes over many binades around a center, zeros of both signs and subnormal numbers among them.
Tensor<float> wide_tensor(const Shape& shape, std::mt19937& random) {
  Tensor<float> tensor{shape, {}};
  const int center = std::uniform_int_distribution(-149, 127)(random);
  const int spread = std::uniform_int_distribution(0, 40)(random);
  std::uniform_real_distribution<float> significand(-1, 1);
  for (std::int64_t i = 0; i < element_count(shape); ++i) {
    const int exponent = center - std::uniform_int_distribution(0, spread)(random);
    tensor.values.push_back(random() % 16 == 0 ? std::copysign(0.0F, significand(random))
                                               : std::ldexp(significand(random), exponent));
  }
  return tensor;
}

constexpr BaselineFormat kAllFormats[] = {BaselineFormat::kFp32,    BaselineFormat::kFp16,    BaselineFormat::kBf16,
                                          BaselineFormat::kFp8E4m3, BaselineFormat::kFp8E5m2, BaselineFormat::kInt8};

std::uint32_t bits_of(float value) {
  return std::bit_cast<std::uint32_t>(value);
}

void check_fast_path() {
  for (unsigned seed = 0; seed < 100; ++seed) {
    std::mt19937 random(seed);
    const Tensor<float> input = wide_tensor({3, 5, 7, 11}, random);
    for (const BaselineFormat format : kAllFormats) {
      const BaselineTensor tensor = quantize_baseline(input, format, "x");
      const std::vector<std::uint32_t> codes = encode_baseline(tensor);
      std::vector<float> values(input.values.size());
      const float scale = quantize_baseline_scaled(input.values, input.shape, format, {}, "x", values);
      ASSERT_EQ(scale, tensor.scale);
      QuantizationCounts counts;
      for (std::size_t i = 0; i < values.size(); ++i) {
        const std::uint32_t code = encode_baseline(format, input.values[i] / tensor.scale);
        ASSERT_EQ(codes[i], code) << "seed " << seed << ", " << to_string(format) << ", element " << i;
        ASSERT_EQ(bits_of(values[i]), bits_of(decode_baseline(format, code)))
            << "seed " << seed << ", " << to_string(format) << ", element " << i << ": " << input.values[i];
        if (std::isinf(values[i])) ++counts.saturated;
        if (input.values[i] != 0 && values[i] == 0) ++counts.flushed_to_zero;
        if (double{scale} * double{values[i]} == double{input.values[i]}) ++counts.exact;
      }
      ASSERT_EQ(tensor.counts, counts) << "seed " << seed << ", " << to_string(format);
    }
  }
}

TEST(Baseline, TheFastPathHasTheCodesAndCountsOfEachElement) {
  tests::for_each_vector_target(check_fast_path);
}

// floor(n) + 1 where frac(n) >= 1 - rho / 2^R, between the two codes around each element, in binary64.
void check_stochastic_rounding() {
  for (unsigned seed = 0; seed < 100; ++seed) {
    std::mt19937 random(seed);
    const Tensor<float> input = wide_tensor({2, 3, 20, 9}, random);
    const QuantizerOptions options{.rounding = Rounding::kStochastic,
                                   .random_bits = std::uniform_int_distribution(1, 24)(random),
                                   .seed = random(),
                                   .stream = (std::uint64_t{random()} << 32) + random()};
    for (const BaselineFormat format : kAllFormats) {
      const BaselineTensor tensor = quantize_baseline(input, format, options, "x");
      const std::vector<std::uint32_t> codes = encode_baseline(tensor);
      const bool int8 = format == BaselineFormat::kInt8;
      for (std::size_t i = 0; i < input.values.size(); ++i) {
        const float y = input.values[i] / tensor.scale;
        const double magnitude = std::fabs(y);
        const std::uint32_t nearest = encode_baseline(format, std::fabs(y));
        const double near = decode_baseline(format, nearest);
        const double low = near > magnitude ? decode_baseline(format, nearest - 1) : near;
        double expected = low;
        if (low < magnitude && !(int8 && low == 127)) {
          // The largest bf16 has infinity above it, one more step of its binade.
          double high = decode_baseline(format, near > magnitude ? nearest : nearest + 1);
          const double step = std::isinf(high) ? 0x1p120 : high - low;
          const double rho = base::random_word(options.seed, options.stream, i) >> (32 - options.random_bits);
          if ((magnitude - low) / step >= 1 - std::ldexp(rho, -options.random_bits)) expected = high;
        }
        float value = std::copysign(static_cast<float>(expected), y);
        if (int8 && expected == 0) value = 0;
        ASSERT_EQ(bits_of(tensor.values[i]), bits_of(value))
            << "seed " << seed << ", " << to_string(format) << ", element " << i << ": " << y;
        ASSERT_EQ(bits_of(decode_baseline(format, codes[i])), bits_of(value));
      }
    }
  }
}

TEST(Baseline, RoundsStochasticallyByTheWordOfEachElement) {
  tests::for_each_vector_target(check_stochastic_rounding);
}

TEST(Baseline, StochasticRoundingHasTheRightMean) {
  Tensor<float> input{{1, 20001}, std::vector<float>(20001, 10.3F)};
  input.values.back() = 127;
  const BaselineTensor tensor =
      quantize_baseline(input, BaselineFormat::kInt8, {.rounding = Rounding::kStochastic, .seed = 4}, "x");
  double sum = 0;
  for (std::size_t i = 0; i < 20000; ++i) sum += tensor.values[i];
  EXPECT_NEAR(sum / 20000, 10.3, 0.013);  // four standard deviations
}

TEST(Baseline, RefusesNaN) {
  const Tensor<float> input{{1, 2}, {1.0F, std::numeric_limits<float>::quiet_NaN()}};
  EXPECT_THAT([&] { quantize_baseline(input, BaselineFormat::kFp16, "layer1 weight"); },
              testing::ThrowsMessage<std::runtime_error>(
                  "layer1 weight: the element at [0, 1] is NaN, expected a finite number"));
}

ConvolutionShape random_shape(std::mt19937& random) {
  const auto draw = [&](int low, int high) { return std::uniform_int_distribution<std::int64_t>(low, high)(random); };
  ConvolutionShape s;
  s.batch = draw(1, 3);
  s.groups = draw(1, 2);
  s.in_channels = s.groups * draw(1, 3);
  s.out_channels = s.groups * draw(1, 3);
  s.kernel = {draw(1, 5), draw(1, 4)};
  s.stride = {draw(1, 3), draw(1, 3)};
  s.padding = {draw(0, 3), draw(0, 3)};
  s.in_size = {draw(5, 9), draw(4, 9)};
  s.check();
  return s;
}

TEST(Baseline, ConvolutionsFollowTheFormulas) {
  for (unsigned seed = 0; seed < 60; ++seed) {
    std::mt19937 random(seed);
    const ConvolutionShape shape = random_shape(random);
    for (const Pass pass : kPasses) {
      const Tensor<float> left = random_tensor(shape.shape_of(left_operand(pass)), random);
      const Tensor<float> right = random_tensor(shape.shape_of(right_operand(pass)), random);
      for (const BaselineFormat format : {BaselineFormat::kFp32, BaselineFormat::kFp8E5m2, BaselineFormat::kInt8}) {
        const BaselineTensor a = quantize_baseline(left, format, "left");
        const BaselineTensor b = quantize_baseline(right, format, "right");
        const ConvolutionResult result = baseline_convolution(pass, shape, a, b);
        // Integer products of this size are exact in binary32, so one plain loop serves all formats.
        std::vector<float> expected = tests::seven_loops(pass, shape, a.values, b.values);
        for (float& value : expected) value *= a.scale * b.scale;
        ASSERT_EQ(result.values.values, expected)
            << "seed " << seed << ", " << to_string(pass) << ", " << to_string(format);
        ASSERT_EQ(result.counts.overflows, 0U);
      }
    }
  }
}

TEST(Baseline, Int8SumsWrapAndAreCounted) {
  // 140,000 products of 127 · 127 leave a 32-bit integer.
  ConvolutionShape shape;
  shape.batch = 1;
  shape.in_channels = 1;
  shape.in_size = {350, 400};
  shape.kernel = {350, 400};
  const Tensor<float> ones{shape.activation_shape(), std::vector<float>(140000, 1.0F)};
  const BaselineTensor tensor = quantize_baseline(ones, BaselineFormat::kInt8, "x");
  const ConvolutionResult result = baseline_convolution(Pass::kForward, shape, tensor, tensor);
  EXPECT_EQ(result.counts.overflows, 1U);
  EXPECT_EQ(result.values.values[0],
            static_cast<float>(140000LL * 16129 - (1LL << 32)) * (tensor.scale * tensor.scale));
}

TEST(Baseline, Int8SumsAreExact) {
  for (const std::int64_t terms : {1, 1023, 1024, 1500, 4000}) {
    ConvolutionShape shape;
    shape.in_size = {1, terms};
    shape.kernel = {1, terms};
    const Tensor<float> ones{shape.activation_shape(), std::vector<float>(static_cast<std::size_t>(terms), 1.0F)};
    const BaselineTensor tensor = quantize_baseline(ones, BaselineFormat::kInt8, "x");
    const ConvolutionResult result = baseline_convolution(Pass::kForward, shape, tensor, tensor);
    EXPECT_EQ(result.values.values[0], static_cast<float>(terms * 16129) * (tensor.scale * tensor.scale)) << terms;
    EXPECT_EQ(result.counts.overflows, 0U);
  }
}

TEST(Baseline, RefusesMixturesWithInt8) {
  ConvolutionShape shape;
  const Tensor<float> one{{1, 1, 1, 1}, {1.0F}};
  const BaselineTensor a = quantize_baseline(one, BaselineFormat::kInt8, "a");
  const BaselineTensor b = quantize_baseline(one, BaselineFormat::kFp16, "b");
  EXPECT_THROW(baseline_convolution(Pass::kForward, shape, a, b), std::runtime_error);
}

}  // namespace
}  // namespace mlsim::models
