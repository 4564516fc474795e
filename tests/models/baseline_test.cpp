#include "models/baseline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

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

TEST(Baseline, RefusesNaN) {
  const Tensor<float> input{{1, 2}, {1.0F, std::numeric_limits<float>::quiet_NaN()}};
  EXPECT_THAT([&] { quantize_baseline(input, BaselineFormat::kFp16, "layer1 weight"); },
              testing::ThrowsMessage<std::runtime_error>(
                  "layer1 weight: the element at [0, 1] is NaN, expected a finite number"));
}

// The formulas of docs/numerics.md, one result at a time.
std::vector<float> seven_loops(Pass pass, const ConvolutionShape& s, const std::vector<float>& left,
                               const std::vector<float>& right) {
  const auto [oh, ow] = s.out_size();
  const std::int64_t cin = s.in_channels / s.groups;
  const std::int64_t cout = s.out_channels / s.groups;
  std::vector<float> result(static_cast<std::size_t>(element_count(s.result_shape(pass))));
  // Ascending in n, then in co or ci, then in the taps: each result meets its terms in the order of the contract.
  for (std::int64_t n = 0; n < s.batch; ++n) {
    for (std::int64_t co = 0; co < s.out_channels; ++co) {
      for (std::int64_t ci = 0; ci < cin; ++ci) {
        const std::int64_t c = co / cout * cin + ci;
        for (std::int64_t i = 0; i < s.kernel[0]; ++i) {
          for (std::int64_t j = 0; j < s.kernel[1]; ++j) {
            for (std::int64_t y = 0; y < oh; ++y) {
              for (std::int64_t x = 0; x < ow; ++x) {
                const std::int64_t yi = y * s.stride[0] + i - s.padding[0];
                const std::int64_t xi = x * s.stride[1] + j - s.padding[1];
                if (yi < 0 || yi >= s.in_size[0] || xi < 0 || xi >= s.in_size[1]) continue;
                const auto a =
                    static_cast<std::size_t>(((n * s.in_channels + c) * s.in_size[0] + yi) * s.in_size[1] + xi);
                const auto w = static_cast<std::size_t>(((co * cin + ci) * s.kernel[0] + i) * s.kernel[1] + j);
                const auto e = static_cast<std::size_t>(((n * s.out_channels + co) * oh + y) * ow + x);
                const std::size_t l = pass == Pass::kForward ? a : e;
                const std::size_t r = pass == Pass::kBackwardWeight ? a : w;
                const std::size_t z = pass == Pass::kForward ? e : pass == Pass::kBackwardData ? a : w;
                const float product = left[l] * right[r];
                result[z] = result[z] + product;
              }
            }
          }
        }
      }
    }
  }
  return result;
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
        std::vector<float> expected = seven_loops(pass, shape, a.values, b.values);
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

TEST(Baseline, RefusesMixturesWithInt8) {
  ConvolutionShape shape;
  const Tensor<float> one{{1, 1, 1, 1}, {1.0F}};
  const BaselineTensor a = quantize_baseline(one, BaselineFormat::kInt8, "a");
  const BaselineTensor b = quantize_baseline(one, BaselineFormat::kFp16, "b");
  EXPECT_THROW(baseline_convolution(Pass::kForward, shape, a, b), std::runtime_error);
}

}  // namespace
}  // namespace mlsim::models
