#include "workloads/synthetic_values.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <numbers>
#include <random>

#include "base/philox.h"
#include "tests/support/vector_targets.h"
#include "workloads/synthetic_kernels.h"

namespace mlsim::workloads {
namespace {

using testing::Each;
using testing::Ge;

constexpr std::array<Distribution, 4> kDistributions{Distribution::kNormal, Distribution::kReluNormal,
                                                     Distribution::kUniform, Distribution::kLaplace};

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

// The series of docs/workload-format.md, one number at a time.

// ln u, from u = m · 2^e with m in [sqrt(1/2), sqrt(2)) and ln m = 2 artanh((m - 1) / (m + 1)).
double natural_log(double u) {
  int exponent = 0;
  double m = std::frexp(u, &exponent);
  if (m < std::numbers::sqrt2 / 2) {
    m *= 2;
    --exponent;
  }
  const double s = (m - 1) / (m + 1);
  const double square = s * s;
  double sum = 0;
  for (int power = 23; power >= 1; power -= 2) sum = sum * square + 1.0 / power;
  return exponent * std::numbers::ln2 + 2 * s * sum;
}

// cos(2π w) for 0 <= w < 1, from the Taylor series of cosine or sine on at most a quarter of π.
double cosine_of_turns(double w) {
  const int eighth = static_cast<int>(w * 8);
  const int quadrant = (eighth + 1) / 2;                              // nearest multiple of a quarter turn
  const double angle = 2 * std::numbers::pi * (w - quadrant * 0.25);  // the difference is exact
  const double square = angle * angle;
  const bool cosine = quadrant % 2 == 0;
  double sum = 0;
  for (int n = cosine ? 18 : 19; n >= 2; n -= 2) sum = (1 + sum) * (-square / (n * (n - 1)));
  const double value = cosine ? 1 + sum : angle + angle * sum;
  return quadrant == 1 || quadrant == 2 ? -value : value;
}

double value_of(Distribution distribution, std::uint32_t word0, std::uint32_t word1) {
  const double u = (word0 + 0.5) * 0x1p-32;
  switch (distribution) {
    case Distribution::kUniform:
      return 2 * u - 1;
    case Distribution::kLaplace:
      return word1 >> 31 == 0 ? natural_log(u) : -natural_log(u);
    case Distribution::kNormal:
    case Distribution::kReluNormal:
      break;
  }
  const double normal = std::sqrt(-2 * natural_log(u)) * cosine_of_turns(word1 * 0x1p-32);
  return distribution == Distribution::kReluNormal && normal <= 0 ? 0 : normal;
}

// Bits too, on every instruction set: no machine's values differ.
TEST(SyntheticValues, OfRandomWordsHaveTheBitsOfTheSeries) {
  constexpr std::array<std::uint32_t, 10> kEdges{0,          1,          0xFFFFFFFF, 0xFFFFFFFE, 0x80000000,
                                                 0x7FFFFFFF, 0x20000000, 0x1FFFFFFF, 0xB504F333, 0xB504F334};
  std::mt19937 generator(1);
  std::vector<std::uint32_t> words;
  for (const std::uint32_t word0 : kEdges) {
    for (std::uint32_t eighth = 0; eighth < 8; ++eighth) {
      for (const std::uint32_t offset : {0U, 1U, 0x1FFFFFFFU}) {
        words.push_back(word0);
        words.push_back((eighth << 29) + offset);
      }
    }
  }
  while (words.size() < 200000) words.push_back(generator());
  for (const Distribution distribution : kDistributions) {
    SCOPED_TRACE(to_string(distribution));
    for (const double scale : {1.0, 0.05}) {
      std::vector<float> expected;
      for (std::size_t i = 0; i < words.size(); i += 2) {
        expected.push_back(static_cast<float>(scale * value_of(distribution, words[i], words[i + 1])));
      }
      tests::for_each_vector_target([&] {
        std::vector<float> values(expected.size());
        synthetic_values(distribution, scale, words.data(), values.size(), values.data());
        for (std::size_t i = 0; i < values.size(); ++i) {
          ASSERT_EQ(std::bit_cast<std::uint32_t>(values[i]), std::bit_cast<std::uint32_t>(expected[i])) << i;
        }
      });
    }
  }
}

// Sizes that fill neither a vector nor a block, and several blocks for each thread.
TEST(SyntheticTensor, TakesTheWordsOfItsElements) {
  for (const std::int64_t size : {1, 2, 3, 7, 64, 1023, 1024, 1025, 3001, 50001}) {
    SCOPED_TRACE(size);
    const SyntheticValues drawn{Distribution::kNormal, 0.3, 0xFEDCBA9876543210, 0x8000000000000005};
    tests::for_each_vector_target([&] {
      const std::vector<float> values = synthetic_tensor({size}, drawn).values;
      ASSERT_EQ(values.size(), static_cast<std::size_t>(size));
      for (std::uint64_t i = 0; i < values.size(); ++i) {
        const std::uint32_t word0 = base::random_word(drawn.seed, drawn.stream, 2 * i);
        const std::uint32_t word1 = base::random_word(drawn.seed, drawn.stream, 2 * i + 1);
        ASSERT_EQ(values[i], static_cast<float>(0.3 * value_of(Distribution::kNormal, word0, word1))) << i;
      }
    });
  }
}

TEST(SyntheticTensor, IsWhatTheHeaderSays) {
  for (const Distribution distribution : kDistributions) {
    const std::vector<float> values = synthetic_tensor({1001}, {distribution, 0.7, 3, 9}).values;
    for (std::uint64_t i = 0; i < values.size(); ++i) {
      const double u = (base::random_word(3, 9, 2 * i) + 0.5) / 4294967296.0;
      const std::uint32_t word = base::random_word(3, 9, 2 * i + 1);
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
