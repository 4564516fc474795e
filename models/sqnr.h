// How far computed values are from exact ones.
#pragma once

#include <cmath>
#include <cstddef>
#include <limits>
#include <span>

namespace mlsim::models {

// Signal to quantization noise ratio in dB: 10 log10 (Σ exact² / Σ (computed - exact)²). Infinite where nothing
// differs; NaN for a signal of zeros that is not met.
template <typename T>
double sqnr_db(std::span<const double> exact, std::span<const T> computed) {
  double signal = 0;
  double noise = 0;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    const double difference = static_cast<double>(computed[i]) - exact[i];
    signal += exact[i] * exact[i];
    noise += difference * difference;
  }
  if (noise == 0) return std::numeric_limits<double>::infinity();
  if (signal == 0) return std::numeric_limits<double>::quiet_NaN();
  return 10 * std::log10(signal / noise);
}

// 1 - cosine of the angle between both; 0 where both are all zeros, 1 where one is.
template <typename T>
double cosine_error(std::span<const double> exact, std::span<const T> computed) {
  double dot = 0;
  double exact_square = 0;
  double computed_square = 0;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    const auto value = static_cast<double>(computed[i]);
    dot += exact[i] * value;
    exact_square += exact[i] * exact[i];
    computed_square += value * value;
  }
  if (exact_square == 0 && computed_square == 0) return 0;
  if (exact_square == 0 || computed_square == 0) return 1;
  return 1 - dot / std::sqrt(exact_square * computed_square);
}

}  // namespace mlsim::models
