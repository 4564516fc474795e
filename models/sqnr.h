// How far computed values are from exact ones.
#pragma once

#include <cmath>
#include <cstddef>
#include <limits>
#include <span>

namespace mlsim::models {

// Sums over pairs of an exact and a computed value, in the order in which they are added: how the values are cut into
// calls changes no bit.
class ErrorSums {
 public:
  template <typename Exact, typename Computed>
  void add(std::span<const Exact> exact, std::span<const Computed> computed) {
    // In registers, not in memory that the spans might share.
    double exact_square = exact_square_;
    double computed_square = computed_square_;
    double dot = dot_;
    double noise = noise_;
    for (std::size_t i = 0; i < exact.size(); ++i) {
      const auto e = static_cast<double>(exact[i]);
      const auto c = static_cast<double>(computed[i]);
      const double difference = c - e;
      exact_square += e * e;
      computed_square += c * c;
      dot += e * c;
      noise += difference * difference;
    }
    exact_square_ = exact_square;
    computed_square_ = computed_square;
    dot_ = dot;
    noise_ = noise;
  }

  // Signal to quantization noise ratio in dB: 10 log10 (Σ exact² / Σ (computed - exact)²). Infinite where nothing
  // differs; NaN for a signal of zeros that is not met.
  double sqnr_db() const {
    if (noise_ == 0) return std::numeric_limits<double>::infinity();
    if (exact_square_ == 0) return std::numeric_limits<double>::quiet_NaN();
    return 10 * std::log10(exact_square_ / noise_);
  }

  // 1 - cosine of the angle between both; 0 where both are all zeros, 1 where one is.
  double cosine_error() const {
    if (exact_square_ == 0 && computed_square_ == 0) return 0;
    if (exact_square_ == 0 || computed_square_ == 0) return 1;
    return 1 - dot_ / std::sqrt(exact_square_ * computed_square_);
  }

 private:
  double exact_square_ = 0;
  double computed_square_ = 0;
  double dot_ = 0;
  double noise_ = 0;
};

template <typename T>
double sqnr_db(std::span<const double> exact, std::span<const T> computed) {
  ErrorSums sums;
  sums.add(exact, computed);
  return sums.sqnr_db();
}

}  // namespace mlsim::models
