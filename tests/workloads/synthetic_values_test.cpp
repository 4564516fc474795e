#include "workloads/synthetic_values.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "models/philox.h"

namespace mlsim::workloads {
namespace {

using testing::Each;
using testing::Ge;

struct Moments {
  double mean = 0;
  double deviation = 0;
  double kurtosis = 0;
};

Moments moments_of(const std::vector<float>& values) {
  const auto count = static_cast<double>(values.size());
  Moments m;
  for (const float v : values) m.mean += v / count;
  double second = 0;
  double fourth = 0;
  for (const float v : values) {
    second += std::pow(v - m.mean, 2) / count;
    fourth += std::pow(v - m.mean, 4) / count;
  }
  m.deviation = std::sqrt(second);
  m.kurtosis = fourth / (second * second);
  return m;
}

std::vector<float> draw(Distribution distribution, double scale = 1) {
  return synthetic_tensor({200, 1000}, {distribution, scale, 5, 6}).values;
}

TEST(SyntheticTensor, IsWhatTheHeaderSays) {
  for (const Distribution distribution :
       {Distribution::kNormal, Distribution::kReluNormal, Distribution::kUniform, Distribution::kLaplace}) {
    const std::vector<float> values = synthetic_tensor({1001}, {distribution, 0.7, 3, 9}).values;
    for (std::uint64_t i = 0; i < values.size(); ++i) {
      const double u = (models::random_word(3, 9, 2 * i) + 0.5) / 4294967296.0;
      const std::uint32_t word = models::random_word(3, 9, 2 * i + 1);
      double expected = std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * word / 4294967296.0);
      if (distribution == Distribution::kReluNormal) expected = std::max(expected, 0.0);
      if (distribution == Distribution::kUniform) expected = 2 * u - 1;
      if (distribution == Distribution::kLaplace) expected = (word >= 0x80000000U ? -1 : 1) * std::log(u);
      // The library's functions may differ in the last bits of binary64, hence in a rounding to binary32.
      EXPECT_NEAR(values[i], 0.7 * expected, 1e-7 * std::abs(0.7 * expected) + 1e-15)
          << to_string(distribution) << " " << i;
    }
  }
}

TEST(SyntheticTensor, HasTheBitsOfEveryMachine) {
  const std::vector<float> values = synthetic_tensor({2, 2}, {Distribution::kNormal, 1, 1, 0}).values;
  EXPECT_THAT(values, testing::ElementsAre(0x1.8587c6p-2F, -0x1.fe6e18p-3F, 0x1.40ff5p-1F, -0x1.5b466ap-1F));
}

TEST(SyntheticTensor, NormalHasItsMoments) {
  const Moments m = moments_of(draw(Distribution::kNormal, 0.5));
  EXPECT_NEAR(m.mean, 0, 0.005);
  EXPECT_NEAR(m.deviation, 0.5, 0.005);
  EXPECT_NEAR(m.kurtosis, 3, 0.05);
}

TEST(SyntheticTensor, ReluNormalIsHalfZeros) {
  const std::vector<float> values = draw(Distribution::kReluNormal);
  EXPECT_THAT(values, Each(Ge(0.0F)));
  EXPECT_NEAR(static_cast<double>(std::count(values.begin(), values.end(), 0.0F)) / 200000.0, 0.5, 0.005);
}

TEST(SyntheticTensor, UniformStaysInItsBounds) {
  const std::vector<float> values = draw(Distribution::kUniform, 2);
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  EXPECT_GE(*least, -2.0F);
  EXPECT_LT(*least, -1.99F);
  EXPECT_LE(*most, 2.0F);
  EXPECT_GT(*most, 1.99F);
  EXPECT_NEAR(moments_of(values).kurtosis, 1.8, 0.02);
}

TEST(SyntheticTensor, LaplaceHasItsMoments) {
  const Moments m = moments_of(draw(Distribution::kLaplace));
  EXPECT_NEAR(m.mean, 0, 0.01);
  EXPECT_NEAR(m.deviation, std::numbers::sqrt2, 0.02);
  EXPECT_NEAR(m.kurtosis, 6, 0.4);
}

TEST(SyntheticTensor, DiffersBySeedAndStreamAndNotByShape) {
  const SyntheticValues values{Distribution::kNormal, 1, 5, 6};
  EXPECT_EQ(synthetic_tensor({3, 5}, values).values, synthetic_tensor({15}, values).values);
  EXPECT_NE(synthetic_tensor({15}, values).values, synthetic_tensor({15}, {Distribution::kNormal, 1, 4, 6}).values);
  EXPECT_NE(synthetic_tensor({15}, values).values, synthetic_tensor({15}, {Distribution::kNormal, 1, 5, 7}).values);
}

}  // namespace
}  // namespace mlsim::workloads
