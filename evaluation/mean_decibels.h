// The mean of decibels that sweeps and reports tell.
// Tested in tests/evaluation/sweep_test.cpp.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <optional>

#include "models/convolution/convolution.h"

namespace mlsim::evaluation {

// The mean of those that are finite, infinite where every one is: one exact layer says nothing of the others. An
// infinite error (-infinity) makes that of the mean infinite; those without a signal (NaN) have no part in it. None
// where nothing is measured.
class MeanDecibels {
 public:
  void add(const std::optional<double>& decibels) {
    if (!decibels || std::isnan(*decibels)) return;
    if (std::isinf(*decibels)) {
      (*decibels > 0 ? exact_ : lost_) = true;
      return;
    }
    sum_ += *decibels;
    ++count_;
  }
  std::optional<double> mean() const {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    if (lost_) return -kInfinity;
    if (count_ > 0) return sum_ / count_;
    return exact_ ? std::optional(kInfinity) : std::nullopt;
  }

 private:
  double sum_ = 0;
  int count_ = 0;
  bool exact_ = false;
  bool lost_ = false;
};

// Decibels of layers and passes: the mean over the passes of the mean over the layers, and the lowest of all.
class PassDecibels {
 public:
  void add(models::Pass pass, const std::optional<double>& decibels) {
    passes_[static_cast<std::size_t>(pass)].add(decibels);
    if (!decibels || std::isnan(*decibels)) return;
    lowest_ = lowest_ ? std::min(*lowest_, *decibels) : *decibels;
  }
  std::optional<double> mean(models::Pass pass) const { return passes_[static_cast<std::size_t>(pass)].mean(); }
  std::optional<double> mean() const {
    MeanDecibels over_passes;
    for (const MeanDecibels& pass : passes_) over_passes.add(pass.mean());
    return over_passes.mean();
  }
  std::optional<double> lowest() const { return lowest_; }

 private:
  std::array<MeanDecibels, models::kPasses.size()> passes_;
  std::optional<double> lowest_;
};

}  // namespace mlsim::evaluation
