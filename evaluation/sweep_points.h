// The points of a sweep, each made when it is asked for, and samples of them where they are too many.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "evaluation/results.h"
#include "models/formats/format.h"
#include "sim/array_config.h"

namespace mlsim::evaluation {

// One combination of what a sweep varies.
struct SweepPoint {
  PerOperand<models::Format> formats;
  int accumulator_bits = 0;  // 0: the width that no sum can overflow; means nothing to baselines
  sim::ArrayConfig array;
  std::string array_name;
};

struct SweepAxes {
  std::vector<PerOperand<models::Format>> formats;
  std::vector<int> accumulator_bits{0};
  std::vector<std::pair<std::string, sim::ArrayConfig>> arrays{{"default", {}}};
  std::vector<int> elements_per_scaler;  // empty: as the arrays have it
  std::vector<int> taps_per_cycle;       // likewise
};

// Whether an operand is block-scaled: what has an accumulator of a width of its own.
bool is_block_scaled(const PerOperand<models::Format>& formats);

enum class Sampling : std::uint8_t {
  kRandom,          // each set of as many points is as likely
  kLatinHypercube,  // each value of an axis is drawn as often as any other
};
inline constexpr const char* kSamplings[] = {"random", "latin-hypercube"};
// Throws std::runtime_error with a sentence for anything else.
Sampling parse_sampling(const std::string& text);

struct SweepSample {
  std::uint64_t points = 0;
  std::uint64_t seed = 1;
  Sampling sampling = Sampling::kRandom;
};

// The most points that one sweep runs.
constexpr std::uint64_t kMostSweepPoints = 10'000'000;

// `count` of the numbers from 0 to total - 1, each set of them as likely, in order; all where count is not below total.
// By the same seed always the same: bits of base::random_word(seed, 0, ...), in Floyd's order (Bentley and Floyd,
// "Programming pearls: a sample of brilliance", CACM 1987).
std::vector<std::uint64_t> random_subset(std::uint64_t total, std::uint64_t count, std::uint64_t seed);

// Every combination, formats slowest, then accumulators, arrays, sharing and taps; formats without an accumulator of a
// width of their own have each combination once. Or a sample of them, in the same order.
class SweepPoints {
 public:
  // Throws std::runtime_error for a combination that is no array, and for more than kMostSweepPoints points.
  explicit SweepPoints(SweepAxes axes, const std::optional<SweepSample>& sample = std::nullopt);

  std::size_t size() const { return chosen_ ? chosen_->size() : static_cast<std::size_t>(all_); }
  SweepPoint at(std::size_t point) const;
  // Points of one family differ in the array alone, and share what is measured on values.
  std::size_t family(std::size_t point) const;
  const SweepAxes& axes() const { return axes_; }
  // Whether any array is not output-stationary, or has elements of several multipliers.
  bool tell_dataflow() const;
  bool tell_taps() const;
  // Before a sample was drawn.
  std::uint64_t combinations() const { return all_; }
  // Adds all that tells these points from others.
  void add_to(base::Hash& hash) const;

 private:
  // A combination by its index on each axis.
  struct Place {
    std::size_t format = 0;
    std::size_t accumulator = 0;
    std::size_t array = 0;
    std::size_t sharing = 0;
    std::size_t taps = 0;
  };
  Place place_of(std::uint64_t combination) const;
  std::uint64_t combination_of(const Place& place) const;
  std::size_t sharings() const;
  std::size_t taps() const;
  // Of one array, as many as the keys that are varied of it make.
  std::size_t variants() const { return sharings() * taps(); }
  sim::ArrayConfig array_at(const Place& place) const;
  // Throws std::runtime_error where what is varied makes no array of axes().arrays[of].
  void check_array(const sim::ArrayConfig& array, std::size_t of) const;
  std::vector<std::uint64_t> latin_hypercube(const SweepSample& sample) const;

  SweepAxes axes_;
  std::vector<std::uint64_t> first_;  // combination of each format
  std::uint64_t all_ = 0;
  std::optional<std::vector<std::uint64_t>> chosen_;  // combinations of a sample
};

}  // namespace mlsim::evaluation
