// The Pareto front of a sweep's points.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "evaluation/results.h"

namespace mlsim::evaluation {

// What points are compared in; the less, the better: energy in pJ with memory and without, cycles, the
// product of energy with memory and time in J·s, area in µm², and error as the negative of the mean SQNR in dB.
enum class Objective : std::uint8_t { kEnergy, kComputing, kTime, kEnergyDelay, kArea, kError };
inline constexpr Objective kObjectives[] = {Objective::kEnergy,      Objective::kComputing, Objective::kTime,
                                            Objective::kEnergyDelay, Objective::kArea,      Objective::kError};
// energy, computing, time, edp, area, error.
const char* to_string(Objective objective);
// Words for people, such as "energy with memory".
const char* description_of(Objective objective);
// Throws std::runtime_error with a sentence for anything else.
Objective parse_objective(const std::string& text);

// Where none are asked for: computing and error; of an engine without values energy and time.
std::vector<Objective> default_front(Engine engine);
// Throws std::runtime_error with a sentence for none, one twice, and the error of an engine without values.
void check_front(const std::vector<Objective>& objectives, Engine engine);

// The front of the points that are known so far, in whatever order they come: those of which no other is at least as
// good in all objectives and better in one of them. A row of run_point without one of them, or without a multiply-add,
// is not on it.
class ParetoFront {
 public:
  explicit ParetoFront(std::vector<Objective> objectives) : objectives_(std::move(objectives)) {}

  void add(std::size_t point, const nlohmann::ordered_json& row);
  bool contains(std::size_t point) const { return points_.contains(point); }
  std::size_t size() const { return points_.size(); }
  // In order.
  const std::set<std::size_t>& points() const { return points_; }

 private:
  // Points that are equally good in every objective.
  struct Equals {
    std::vector<double> values;
    std::vector<std::size_t> points;
  };

  std::vector<Objective> objectives_;
  std::vector<Equals> members_;
  std::set<std::size_t> points_;
};

}  // namespace mlsim::evaluation
