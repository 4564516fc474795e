#include "evaluation/pareto.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>

#include "tests/support/temporary_folder.h"

namespace mlsim::evaluation {
namespace {

using nlohmann::ordered_json;
using testing::HasSubstr;

ordered_json row(double computing, const ordered_json& sqnr) {
  return {{"multiply_adds", 8}, {"computing_pj", computing}, {"mean_sqnr_db", sqnr}};
}

TEST(Pareto, MarksTheFrontOfEnergyAndError) {
  std::vector<ordered_json> rows{row(1, 10),           row(2, 20),        row(2, 15),
                                 row(3, 20),           row(0.5, nullptr), row(2, 20),
                                 row(4, "exact"),      row(5, "exact"),   row(0.1, "infinite error"),
                                 row(0.1, "undefined")};
  ParetoFront front(default_front(Engine::kFunctional));
  for (std::size_t i = 0; i < rows.size(); ++i) front.add(i, rows[i]);
  EXPECT_EQ(front.points(), (std::set<std::size_t>{0, 1, 5, 6}));
  ParetoFront none(default_front(Engine::kFunctional));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rows[i]["multiply_adds"] = 0;
    none.add(i, rows[i]);
  }
  EXPECT_EQ(none.size(), 0U);
}

TEST(Pareto, IsThatOfItsDefinitionInAnyObjectives) {
  std::mt19937 random(7);
  std::uniform_int_distribution<int> few(0, 4);
  const std::vector<Objective> objectives{Objective::kArea, Objective::kEnergy, Objective::kTime, Objective::kError};
  for (int repetition = 0; repetition < 200; ++repetition) {
    std::vector<ordered_json> rows;
    std::vector<std::vector<int>> values;
    for (int i = 0; i < 20; ++i) {
      values.push_back({few(random), few(random), few(random), few(random)});
      const std::vector<int>& v = values.back();
      rows.push_back({{"multiply_adds", 1},
                      {"area_um2", v[0]},
                      {"with_memory_pj", v[1]},
                      {"cycles", v[2]},
                      {"mean_sqnr_db", -v[3]}});
    }
    // Known point by point, in any order.
    std::vector<std::size_t> order(rows.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::shuffle(order.begin(), order.end(), random);
    ParetoFront front(objectives);
    for (const std::size_t i : order) front.add(i, rows[i]);
    std::size_t unbeaten = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      bool is_beaten = false;
      for (const std::vector<int>& other : values) {
        bool as_good = true;
        for (std::size_t v = 0; v < other.size(); ++v) as_good = as_good && other[v] <= values[i][v];
        is_beaten = is_beaten || (as_good && other != values[i]);
      }
      EXPECT_EQ(front.contains(i), !is_beaten);
      unbeaten += is_beaten ? 0 : 1;
    }
    EXPECT_EQ(front.size(), unbeaten);
  }
}

TEST(Pareto, RefusesObjectivesThatAreNone) {
  for (const Objective objective : kObjectives) EXPECT_EQ(parse_objective(to_string(objective)), objective);
  EXPECT_THAT(test::error_of([] { parse_objective("speed"); }),
              HasSubstr("'speed', expected one of energy, computing, time, edp, area, error"));
  EXPECT_THAT(test::error_of([] {
                check_front({Objective::kArea, Objective::kArea}, Engine::kFunctional);
              }),
              HasSubstr("has area twice"));
  EXPECT_THAT(test::error_of([] { check_front({Objective::kError}, Engine::kAnalytic); }),
              HasSubstr("analytic engine does not measure"));
  check_front(default_front(Engine::kAnalytic), Engine::kAnalytic);
}

}  // namespace
}  // namespace mlsim::evaluation
