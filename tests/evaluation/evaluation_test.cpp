// One evaluation of results: its figures agree with each other, whatever it was evaluated for.
#include "evaluation/evaluation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "energy/cost_table.h"
#include "evaluation/simulate.h"
#include "tests/support/laws.h"
#include "tests/support/run_layers.h"

namespace mlsim::evaluation {
namespace {

using test::run_layers;

Results wide_and_point() {
  return run_layers(R"([
      { "name": "wide", "type": "conv2d", "batch": 2, "in_channels": 4, "out_channels": 6, "in_size": [9, 8],
        "kernel": [3, 3], "padding": [1, 1] },
      { "name": "point", "type": "conv2d", "batch": 2, "in_channels": 6, "out_channels": 5, "in_size": [9, 8],
        "kernel": [1, 1] }])",
                    Engine::kFunctional, R"("values": {}, )");
}

void expect_equal(const PassPrice& left, const PassPrice& right) {
  EXPECT_EQ(left.energy.energy_pj, right.energy.energy_pj);
  ASSERT_EQ(left.baselines.size(), right.baselines.size());
  for (std::size_t b = 0; b < left.baselines.size(); ++b) {
    EXPECT_EQ(left.baselines[b].energy_pj, right.baselines[b].energy_pj);
  }
}

TEST(Evaluation, HasATotalForEachPassForAllAndForOneByOneLayers) {
  const Evaluation evaluated({"r.json", wide_and_point()}, test::laws());
  std::vector<std::string> names;
  for (const Total& total : evaluated.totals()) names.push_back(total.name);
  EXPECT_THAT(names, testing::ElementsAre("forward", "backward_data", "backward_weight", "all", "of which 1x1"));
  EXPECT_EQ(evaluated.all().passes, 6);
  expect_equal(evaluated.all().price, evaluated.price().sum());
  EXPECT_DOUBLE_EQ(evaluated.all().each(evaluated.machines().front().computing_pj.value).value(),
                   evaluated.machines().front().pj_each);
}

TEST(Evaluation, PricesEachActivityAlikeWhicheverItIsFor) {
  const Evaluation dense({"r.json", wide_and_point()}, test::laws());
  const Evaluation gated({"r.json", wide_and_point(), {}, Activity::kGated}, test::laws());
  for (const Activity activity : kActivities) expect_equal(dense.with(activity), gated.with(activity));
  expect_equal(gated.all().price, dense.with(Activity::kGated));
}

TEST(Evaluation, RangesOverTheShippedTablesWhicheverItIsFor) {
  const Evaluation of_default({"r.json", wide_and_point()}, test::laws());
  const OwnPrices own{{energy::Operation::kShift, 1000.0}};
  for (const std::string_view table : energy::shipped_cost_tables()) {
    for (const OwnPrices& prices : {OwnPrices{}, own}) {
      const Evaluation other({"r.json", wide_and_point(), prices},
                             energy::Laws(energy::find_cost_table(std::string(table))));
      ASSERT_THAT(other.table_ranges().tables, testing::ElementsAreArray(energy::shipped_cost_tables()));
      for (std::size_t b = 0; b < baseline_machines().size(); ++b) {
        EXPECT_EQ(other.table_ranges().computing[b]->by_table, of_default.table_ranges().computing[b]->by_table);
      }
    }
  }
}

TEST(Evaluation, ScalesMachinesToOneAreaAndToOneThroughput) {
  const Evaluation evaluated({"r.json", wide_and_point()}, test::laws());
  const MachineFigures& own = evaluated.machines().front();
  ASSERT_EQ(evaluated.machines().size(), baseline_machines().size() + 1);
  EXPECT_TRUE(own.baseline.empty());
  EXPECT_EQ(own.equal_area.elements_factor, 1);
  EXPECT_EQ(own.equal_throughput.elements_factor, 1);
  for (const MachineFigures& machine : evaluated.machines()) {
    const MachineFigures::EqualArea& by_area = machine.equal_area;
    EXPECT_NEAR(machine.computing_area_um2 * by_area.elements_factor, own.computing_area_um2, 1e-6);
    EXPECT_NEAR(by_area.tops / machine.tops, by_area.elements_factor, 1e-9);
    EXPECT_NEAR(by_area.watts * by_area.seconds * 1e12, machine.computing_pj.value, 1e-3);
    const MachineFigures::EqualThroughput& by_rate = machine.equal_throughput;
    EXPECT_NEAR(machine.tops * by_rate.elements_factor, own.tops, 1e-9);
    EXPECT_NEAR(by_rate.watts * own.seconds * 1e12, machine.computing_pj.value, 1e-3);
  }
}

TEST(Evaluation, SharesOfALineAndBlocksOfAnAreaAddUp) {
  const Evaluation evaluated({"r.json", wide_and_point()}, test::laws());
  std::map<energy::Line, double> shares;
  for (const OperationFigures& figures : evaluated.operations()) {
    shares[energy::line_of(figures.operation)] += figures.share.value();
  }
  ASSERT_EQ(shares.size(), 3U);
  for (const auto& [line, sum] : shares) EXPECT_NEAR(sum, 1, 1e-12);
  double blocks = 0;
  for (const BlockArea& area : evaluated.areas()) blocks += area.block == "total" ? 0 : area.own;
  EXPECT_NEAR(evaluated.areas().back().own, blocks, 1e-6);
  EXPECT_NEAR(evaluated.price().area.total(), blocks, 1e-6);
}

}  // namespace
}  // namespace mlsim::evaluation
