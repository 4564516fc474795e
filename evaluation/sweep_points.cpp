#include "evaluation/sweep_points.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <stdexcept>
#include <unordered_set>

#include "base/philox.h"

namespace mlsim::evaluation {
namespace {

// Numbers drawn from a seed, one after another.
class Draws {
 public:
  Draws(std::uint64_t seed, std::uint64_t stream) : seed_(seed), stream_(stream) {}

  // Each from 0 to bound - 1 as likely.
  std::uint64_t below(std::uint64_t bound) {
    // Numbers in front of the last whole multiple of the bound.
    const std::uint64_t excess = (std::numeric_limits<std::uint64_t>::max() % bound + 1) % bound;
    while (true) {
      const std::uint64_t drawn = word() << 32 | word();
      if (drawn <= std::numeric_limits<std::uint64_t>::max() - excess) return drawn % bound;
    }
  }

  // Any order of 0 to count - 1.
  std::vector<std::uint64_t> order_of(std::uint64_t count) {
    std::vector<std::uint64_t> order(count);
    std::iota(order.begin(), order.end(), std::uint64_t{0});
    for (std::uint64_t i = count; i > 1; --i) std::swap(order[i - 1], order[below(i)]);
    return order;
  }

 private:
  std::uint64_t word() { return base::random_word(seed_, stream_, next_++); }

  std::uint64_t seed_;
  std::uint64_t stream_;
  std::uint64_t next_ = 0;
};

// Adds `count` of the numbers below `total` that are not in the set yet.
void add_random(std::unordered_set<std::uint64_t>& numbers, std::uint64_t total, std::uint64_t count, Draws& draws) {
  while (count > 0) count -= numbers.insert(draws.below(total)).second ? 1 : 0;
}

std::vector<std::uint64_t> sorted(const std::unordered_set<std::uint64_t>& numbers) {
  std::vector<std::uint64_t> result(numbers.begin(), numbers.end());
  std::sort(result.begin(), result.end());
  return result;
}

}  // namespace

bool is_block_scaled(const PerOperand<models::Format>& formats) {
  return std::any_of(formats.values.begin(), formats.values.end(), models::is_scaled);
}

Sampling parse_sampling(const std::string& text) {
  for (const Sampling sampling : {Sampling::kRandom, Sampling::kLatinHypercube}) {
    if (text == kSamplings[static_cast<std::size_t>(sampling)]) return sampling;
  }
  throw std::runtime_error(fmt::format(R"(is "{}", expected one of "{}")", text, fmt::join(kSamplings, "\", \"")));
}

std::vector<std::uint64_t> random_subset(std::uint64_t total, std::uint64_t count, std::uint64_t seed) {
  Draws draws(seed, 0);
  std::unordered_set<std::uint64_t> numbers;
  for (std::uint64_t last = total - std::min(count, total); last < total; ++last) {
    if (!numbers.insert(draws.below(last + 1)).second) numbers.insert(last);
  }
  return sorted(numbers);
}

SweepPoints::SweepPoints(SweepAxes axes, const std::optional<SweepSample>& sample) : axes_(std::move(axes)) {
  const bool is_varied = !axes_.elements_per_scaler.empty() || !axes_.taps_per_cycle.empty();
  for (Place place; place.array < axes_.arrays.size() && is_varied; ++place.array) {
    for (place.sharing = 0; place.sharing < sharings(); ++place.sharing) {
      for (place.taps = 0; place.taps < taps(); ++place.taps) check_array(array_at(place), place.array);
    }
  }
  const std::uint64_t of_an_accumulator = axes_.arrays.size() * variants();
  for (const PerOperand<models::Format>& formats : axes_.formats) {
    first_.push_back(all_);
    all_ += (is_block_scaled(formats) ? axes_.accumulator_bits.size() : 1) * of_an_accumulator;
  }
  if (sample && sample->points < all_) {
    chosen_ = sample->sampling == Sampling::kRandom ? random_subset(all_, sample->points, sample->seed)
                                                    : latin_hypercube(*sample);
  } else if (all_ > kMostSweepPoints) {
    throw std::runtime_error(
        fmt::format("the sweep has {} points, expected at most {}, or a --sample of them", all_, kMostSweepPoints));
  }
}

std::size_t SweepPoints::sharings() const {
  return std::max<std::size_t>(axes_.elements_per_scaler.size(), 1);
}

std::size_t SweepPoints::taps() const {
  return std::max<std::size_t>(axes_.taps_per_cycle.size(), 1);
}

sim::ArrayConfig SweepPoints::array_at(const Place& place) const {
  sim::ArrayConfig array = axes_.arrays[place.array].second;
  if (!axes_.elements_per_scaler.empty()) array.elements_per_scaler = axes_.elements_per_scaler[place.sharing];
  if (!axes_.taps_per_cycle.empty()) array.taps_per_cycle = axes_.taps_per_cycle[place.taps];
  return array;
}

void SweepPoints::check_array(const sim::ArrayConfig& array, std::size_t of) const {
  std::string varied;
  if (!axes_.elements_per_scaler.empty()) varied += fmt::format("--sharing {} ", array.elements_per_scaler);
  if (!axes_.taps_per_cycle.empty()) varied += fmt::format("--taps-per-cycle {} ", array.taps_per_cycle);
  array.check(fmt::format("{}of {}", varied, axes_.arrays[of].first));
}

bool SweepPoints::tell_dataflow() const {
  return std::any_of(axes_.arrays.begin(), axes_.arrays.end(),
                     [](const auto& named) { return named.second.dataflow != sim::DataflowKind::kOutputStationary; });
}

bool SweepPoints::tell_taps() const {
  if (!axes_.taps_per_cycle.empty()) {
    return std::any_of(axes_.taps_per_cycle.begin(), axes_.taps_per_cycle.end(), [](int taps) { return taps != 1; });
  }
  return std::any_of(axes_.arrays.begin(), axes_.arrays.end(),
                     [](const auto& named) { return named.second.taps_per_cycle != 1; });
}

SweepPoints::Place SweepPoints::place_of(std::uint64_t combination) const {
  const auto next = std::upper_bound(first_.begin(), first_.end(), combination);
  Place place;
  place.format = static_cast<std::size_t>(next - first_.begin()) - 1;
  std::uint64_t rest = combination - first_[place.format];
  place.taps = rest % taps();
  rest /= taps();
  place.sharing = rest % sharings();
  rest /= sharings();
  place.array = rest % axes_.arrays.size();
  place.accumulator = rest / axes_.arrays.size();
  return place;
}

std::uint64_t SweepPoints::combination_of(const Place& place) const {
  // Where there is no accumulator of a width all of its widths are one point.
  const std::uint64_t accumulator = is_block_scaled(axes_.formats[place.format]) ? place.accumulator : 0;
  return first_[place.format] +
         ((accumulator * axes_.arrays.size() + place.array) * sharings() + place.sharing) * taps() + place.taps;
}

SweepPoint SweepPoints::at(std::size_t point) const {
  const Place place = place_of(chosen_ ? chosen_->at(point) : point);
  return {axes_.formats[place.format], axes_.accumulator_bits[place.accumulator], array_at(place),
          axes_.arrays[place.array].first};
}

std::size_t SweepPoints::family(std::size_t point) const {
  const Place place = place_of(chosen_ ? chosen_->at(point) : point);
  return place.format * axes_.accumulator_bits.size() + place.accumulator;
}

// Each axis is cut into as many equal strata as there are points, and each stratum of each axis is taken once (McKay,
// Beckman and Conover, "A comparison of three methods for selecting values of input variables", Technometrics 1979);
// values of an axis lie in it in their order. A combination that is met again gives way to one drawn at random.
std::vector<std::uint64_t> SweepPoints::latin_hypercube(const SweepSample& sample) const {
  const std::uint64_t count = sample.points;
  const std::size_t extents[] = {axes_.formats.size(), axes_.accumulator_bits.size(), axes_.arrays.size(), sharings(),
                                 taps()};
  std::vector<Place> places(count);
  constexpr std::size_t Place::*kAxes[] = {&Place::format, &Place::accumulator, &Place::array, &Place::sharing,
                                           &Place::taps};
  for (std::size_t axis = 0; axis < std::size(kAxes); ++axis) {
    Draws draws(sample.seed, 1 + axis);
    const std::vector<std::uint64_t> strata = draws.order_of(count);
    for (std::uint64_t i = 0; i < count; ++i) {
      // A point within the stratum, in parts of which each value has as many.
      const std::uint64_t part = strata[i] * extents[axis] + draws.below(extents[axis]);
      places[i].*kAxes[axis] = static_cast<std::size_t>(part / count);
    }
  }
  std::unordered_set<std::uint64_t> combinations;
  for (const Place& place : places) combinations.insert(combination_of(place));
  Draws draws(sample.seed, 1 + std::size(kAxes));
  add_random(combinations, all_, count - combinations.size(), draws);
  return sorted(combinations);
}

void SweepPoints::add_to(base::Hash& hash) const {
  for (const PerOperand<models::Format>& formats : axes_.formats) {
    for (const models::Operand operand : models::kOperands) hash.add(models::to_string(formats[operand]));
  }
  for (const int bits : axes_.accumulator_bits) hash.add(fmt::format("accumulator {}", bits));
  for (const auto& [name, array] : axes_.arrays) hash.add(name).add(array_to_json(array).dump());
  for (const int share : axes_.elements_per_scaler) hash.add(fmt::format("sharing {}", share));
  for (const int taps : axes_.taps_per_cycle) hash.add(fmt::format("taps {}", taps));
  if (!chosen_) return;
  hash.add("sample");
  for (const std::uint64_t combination : *chosen_) hash.add(std::to_string(combination));
}

}  // namespace mlsim::evaluation
