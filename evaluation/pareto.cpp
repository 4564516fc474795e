#include "evaluation/pareto.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <stdexcept>
#include <utility>

namespace mlsim::evaluation {
namespace {

using Json = nlohmann::ordered_json;

std::optional<double> value_of(const Json& row, Objective objective) {
  const auto number = [&](const char* key) -> std::optional<double> {
    const Json& value = row[key];
    return value.is_null() ? std::nullopt : std::optional(value.get<double>());
  };
  switch (objective) {
    case Objective::kEnergy:
      return number("with_memory_pj");
    case Objective::kComputing:
      return number("computing_pj");
    case Objective::kTime:
      return number("cycles");
    case Objective::kArea:
      return number("area_um2");
    case Objective::kError:
      if (row["mean_sqnr_db"].is_null()) return std::nullopt;
      return -decibels_from_json(row["mean_sqnr_db"]);
  }
  return std::nullopt;
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

struct Candidate {
  std::vector<double> values;
  std::size_t row;
};

bool is_at_least_as_good(const Candidate& one, const Candidate& other) {
  return std::equal(one.values.begin(), one.values.end(), other.values.begin(), std::less_equal<>());
}

}  // namespace

const char* to_string(Objective objective) {
  switch (objective) {
    case Objective::kEnergy:
      return "energy";
    case Objective::kComputing:
      return "computing";
    case Objective::kTime:
      return "time";
    case Objective::kArea:
      return "area";
    case Objective::kError:
      return "error";
  }
  return "";
}

const char* description_of(Objective objective) {
  switch (objective) {
    case Objective::kEnergy:
      return "energy with memory";
    case Objective::kComputing:
      return "energy of computing";
    case Objective::kTime:
      return "time";
    case Objective::kArea:
      return "area";
    case Objective::kError:
      return "error (mean SQNR)";
  }
  return "";
}

Objective parse_objective(const std::string& text) {
  std::vector<std::string> names;
  for (const Objective objective : kObjectives) {
    if (text == to_string(objective)) return objective;
    names.emplace_back(to_string(objective));
  }
  throw std::runtime_error(fmt::format("has '{}', expected one of {}", text, fmt::join(names, ", ")));
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
  if (objectives.empty())
    throw std::runtime_error("is empty, expected at least one of energy, computing, time, area, error");
}

void mark_pareto_front(std::vector<Json>& rows, const std::vector<Objective>& objectives) {
  std::vector<Candidate> candidates;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rows[i]["pareto"] = false;
    if (auto values = values_of(rows[i], objectives)) candidates.push_back({std::move(*values), i});
  }
  // Whatever is better than a candidate in one objective and as good in the others comes before it.
  std::sort(candidates.begin(), candidates.end(),
            [](const Candidate& one, const Candidate& other) { return one.values < other.values; });
  std::vector<const Candidate*> front;
  for (const Candidate& candidate : candidates) {
    const bool is_beaten = std::any_of(front.begin(), front.end(), [&](const Candidate* other) {
      return is_at_least_as_good(*other, candidate) && other->values != candidate.values;
    });
    if (is_beaten) continue;
    front.push_back(&candidate);
    rows[candidate.row]["pareto"] = true;
  }
}

}  // namespace mlsim::evaluation
