#include "evaluation/pareto.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace mlsim::evaluation {
namespace {

using Json = nlohmann::ordered_json;

struct Described {
  Objective objective;
  const char* name;
  const char* description;
  const char* key;  // of a row; mean SQNR is turned around
};
constexpr Described kDescribed[] = {{Objective::kEnergy, "energy", "energy with memory", "with_memory_pj"},
                                    {Objective::kComputing, "computing", "energy of computing", "computing_pj"},
                                    {Objective::kTime, "time", "time", "cycles"},
                                    {Objective::kEnergyDelay, "edp", "energy-delay product", "energy_delay_js"},
                                    {Objective::kArea, "area", "area", "area_um2"},
                                    {Objective::kError, "error", "error (mean SQNR)", "mean_sqnr_db"}};

const Described& described(Objective objective) {
  return *std::find_if(std::begin(kDescribed), std::end(kDescribed),
                       [&](const Described& one) { return one.objective == objective; });
}

std::string all_names() {
  std::vector<std::string_view> names;
  for (const Described& one : kDescribed) names.emplace_back(one.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

std::optional<double> value_of(const Json& row, Objective objective) {
  const Json& value = row[described(objective).key];
  if (value.is_null()) return std::nullopt;
  return objective == Objective::kError ? -decibels_from_json(value) : value.get<double>();
}

// Nothing where it lacks one of them.
std::optional<std::vector<double>> values_of(const Json& row, const std::vector<Objective>& objectives) {
  // Without a multiply-add there is neither an energy of one nor an error.
  if (!(row["multiply_adds"].get<double>() > 0)) return std::nullopt;
  std::vector<double> values;
  for (const Objective objective : objectives) {
    const std::optional<double> value = value_of(row, objective);
    // What has left the numbers is no choice.
    if (!value || !(*value < std::numeric_limits<double>::infinity())) return std::nullopt;
    values.push_back(*value);
  }
  return values;
}

bool is_at_least_as_good(const std::vector<double>& one, const std::vector<double>& other) {
  return std::equal(one.begin(), one.end(), other.begin(), std::less_equal<>());
}

}  // namespace

const char* to_string(Objective objective) {
  return described(objective).name;
}

const char* description_of(Objective objective) {
  return described(objective).description;
}

Objective parse_objective(const std::string& text) {
  const auto* const found = std::find_if(std::begin(kDescribed), std::end(kDescribed),
                                         [&](const Described& one) { return text == one.name; });
  if (found != std::end(kDescribed)) return found->objective;
  throw std::runtime_error(fmt::format("has '{}', expected one of {}", text, all_names()));
}

std::vector<Objective> default_front(Engine engine) {
  if (engine == Engine::kAnalytic) return {Objective::kEnergy, Objective::kTime};
  return {Objective::kComputing, Objective::kError};
}

void check_front(const std::vector<Objective>& objectives, Engine engine) {
  std::set<Objective> seen;
  for (const Objective objective : objectives) {
    if (!seen.insert(objective).second) throw std::runtime_error(fmt::format("has {} twice", to_string(objective)));
    if (objective == Objective::kError && engine == Engine::kAnalytic) {
      throw std::runtime_error("has error, which the analytic engine does not measure, expected others");
    }
  }
  if (objectives.empty()) throw std::runtime_error("is empty, expected at least one of " + all_names());
}

void ParetoFront::add(std::size_t point, const Json& row) {
  std::optional<std::vector<double>> values = values_of(row, objectives_);
  if (!values) return;
  for (Equals& member : members_) {
    if (!is_at_least_as_good(member.values, *values)) continue;
    if (member.values != *values) return;
    member.points.push_back(point);
    points_.insert(point);
    return;
  }
  const auto beaten = std::partition(members_.begin(), members_.end(), [&](const Equals& member) {
    return !is_at_least_as_good(*values, member.values);
  });
  for (auto member = beaten; member != members_.end(); ++member) {
    for (const std::size_t gone : member->points) points_.erase(gone);
  }
  members_.erase(beaten, members_.end());
  members_.push_back({std::move(*values), {point}});
  points_.insert(point);
}

}  // namespace mlsim::evaluation
