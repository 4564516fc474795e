// How far computed values are from exact ones.
#pragma once

#include <cmath>
#include <cstddef>
#include <limits>
#include <span>

namespace mlsim::models {

struct BaselineTensor;
struct ScaledTensor;

// Sums over pairs of an exact and a computed value, in the order in which they are added: how the values are cut into
// calls changes no bit.
class ErrorSums {
 public:
  // Of float and double, in any combination that sqnr.cpp has.
  template <typename Exact, typename Computed>
  void add(std::span<const Exact> exact, std::span<const Computed> computed);

  // Signal to quantization noise ratio in dB: 10 log10 (Σ exact² / Σ (computed - exact)²). Infinite where nothing
  // differs, -infinite for an infinite difference; NaN for a signal of zeros that is not met, and for a NaN.
  double sqnr_db() const {
    if (noise_ == 0) return std::numeric_limits<double>::infinity();
    if (std::isinf(noise_)) return -std::numeric_limits<double>::infinity();
    if (exact_square_ == 0 || std::isnan(noise_)) return std::numeric_limits<double>::quiet_NaN();
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

// Adds how far quantized values are from their input.
void add_errors(std::span<const float> input, const ScaledTensor& quantized, ErrorSums& sums);
void add_errors(std::span<const float> input, const BaselineTensor& quantized, ErrorSums& sums);

}  // namespace mlsim::models
