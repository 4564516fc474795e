#include "workloads/synthetic_values.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "models/philox.h"

namespace mlsim::workloads {
namespace {

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

}  // namespace

std::string to_string(Distribution distribution) {
  switch (distribution) {
    case Distribution::kNormal:
      return "normal";
    case Distribution::kReluNormal:
      return "relu-normal";
    case Distribution::kUniform:
      return "uniform";
    case Distribution::kLaplace:
      break;
  }
  return "laplace";
}

models::Tensor<float> synthetic_tensor(const models::Shape& shape, const SyntheticValues& values) {
  const auto low = [](std::uint64_t x) { return static_cast<std::uint32_t>(x); };
  const auto high = [](std::uint64_t x) { return static_cast<std::uint32_t>(x >> 32); };
  const auto count = static_cast<std::size_t>(models::element_count(shape));
  models::Tensor<float> tensor{shape, std::vector<float>(count)};
  for (std::size_t block = 0; 2 * block < count; ++block) {
    const auto words = models::philox_4x32_10({low(block), high(block), low(values.stream), high(values.stream)},
                                              {low(values.seed), high(values.seed)});
    for (std::size_t i = 2 * block; i < std::min(2 * block + 2, count); ++i) {
      const std::size_t word = 2 * (i % 2);
      tensor.values[i] = static_cast<float>(values.scale * value_of(values.distribution, words[word], words[word + 1]));
    }
  }
  return tensor;
}

}  // namespace mlsim::workloads
