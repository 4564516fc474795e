// What results, prices and sweeps say of a weight-stationary array.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "evaluation/pricing.h"
#include "evaluation/results.h"
#include "evaluation/simulate.h"
#include "tests/support/laws.h"
#include "tests/support/run_layers.h"

namespace mlsim::evaluation {
namespace {

using energy::Operation;
using nlohmann::json;
using test::kLayer;
using test::run_layers;
using test::without_engine;

sim::ArrayConfig stationary() {
  sim::ArrayConfig array;
  array.dataflow = sim::DataflowKind::kWeightStationary;
  array.rows = 4;
  array.columns = 4;
  array.elements_per_scaler = 4;
  return array;
}

TEST(WeightStationaryResults, AreThoseOfEveryEngine) {
  const std::string functional = without_engine(run_layers(kLayer, Engine::kFunctional, "", stationary()));
  EXPECT_EQ(without_engine(run_layers(kLayer, Engine::kCycle, "", stationary())), functional);
}

TEST(WeightStationaryResults, AreThoseOfTheStructuralEngine) {
  EXPECT_EQ(without_engine(run_layers(kLayer, Engine::kStructural, "", stationary())),
            without_engine(run_layers(kLayer, Engine::kFunctional, "", stationary())));
}

TEST(WeightStationaryResults, SurviveTheirFile) {
  const Results before = run_layers(kLayer, Engine::kAnalytic, "", stationary());
  const json document = json::parse(to_json(before).dump());
  EXPECT_EQ(document["array"]["dataflow"], "weight-stationary");
  EXPECT_GT(document["layers"][0]["passes"][0]["traffic_bits"]["sram_sum_reads"], 0);
  const Results after = parse_results(document.dump(), "r.json");
  EXPECT_EQ(after.array, before.array);
  EXPECT_EQ(after.layers[0].passes[0].traffic, before.layers[0].passes[0].traffic);
  EXPECT_EQ(to_json(after), to_json(before));
  const json stays = json::parse(to_json(run_layers(kLayer, Engine::kFunctional)).dump());
  EXPECT_FALSE(stays["array"].contains("dataflow"));
  EXPECT_FALSE(stays["layers"][0]["passes"][0]["traffic_bits"].contains("sram_sum_reads"));
}

// Partial sums cost SRAM, and what an element has more or less of costs what it is.
TEST(WeightStationaryPrices, AreOfSumsInMemoryAndRegistersInElements) {
  const Results results = run_layers(kLayer, Engine::kFunctional, "", stationary());
  const PassRecord& forward = results.layers[0].passes[0];
  const Work work = work_of(results);
  const PassWork& own = work.layers[0][0].own;
  const sim::Traffic& t = forward.traffic;
  EXPECT_EQ(own.counts[Operation::kSramRead],
            t.sram_row_reads + t.sram_column_reads + t.sram_result_reads + t.sram_sum_reads);
  EXPECT_EQ(own.counts[Operation::kSramWrite], t.sram_operand_writes + t.sram_result_writes + t.sram_sum_writes);
  EXPECT_EQ(own.counts[Operation::kBufferRead], t.column_buffer_reads);
  // Weights stay in the elements, and each load serves all positions of a tile.
  ASSERT_TRUE(own.surroundings.right_loads.has_value());
  EXPECT_FALSE(own.surroundings.left_loads.has_value());
  EXPECT_EQ(own.surroundings.right_fanout, 1);
  EXPECT_DOUBLE_EQ(*own.surroundings.right_loads,
                   static_cast<double>(t.row_buffer_reads) / 7 / static_cast<double>(forward.multiply_adds));
  const PassWork& weight = work.layers[0][2].own;
  EXPECT_TRUE(weight.surroundings.left_loads.has_value()) << "errors stay";

  energy::Surroundings often = own.surroundings;
  often.right_loads = 1;
  const energy::DatapathCost seldom_cost = energy::price_datapath(test::laws(), own.datapath, own.surroundings);
  const energy::DatapathCost often_cost = energy::price_datapath(test::laws(), own.datapath, often);
  EXPECT_LT(seldom_cost.price_pj[Operation::kRegister].value, often_cost.price_pj[Operation::kRegister].value);
  EXPECT_DOUBLE_EQ(seldom_cost.processing_element.total(), often_cost.processing_element.total());
  energy::Surroundings registers = own.surroundings;
  registers.sums_in_memory = false;
  const energy::DatapathCost with_registers = energy::price_datapath(test::laws(), own.datapath, registers);
  EXPECT_LT(seldom_cost.price_pj[Operation::kFloatAdd].value, with_registers.price_pj[Operation::kFloatAdd].value);
  EXPECT_LT(seldom_cost.processing_element.total(), with_registers.processing_element.total());
  EXPECT_EQ(units_of(stationary()).group_scale_units, 4);
  EXPECT_EQ(units_of(stationary()).operand_buffers, 1);
}

// Each element multiplies several pairs: one addition, one accumulator, twice as many registers as products.
TEST(WeightStationaryPrices, AreOfTreesWhereElementsMultiplySeveralPairs) {
  sim::ArrayConfig several = stationary();
  several.taps_per_cycle = 8;
  const Results results = run_layers(kLayer, Engine::kFunctional, "", several);
  EXPECT_EQ(without_engine(run_layers(kLayer, Engine::kCycle, "", several)), without_engine(results));
  const PassRecord& forward = results.layers[0].passes[0];
  EXPECT_EQ(forward.counts.integer_adds + forward.counts.tree_adds, forward.multiply_adds);
  EXPECT_GT(forward.counts.tree_adds, 0U);
  const PassWork own = work_of(results).layers[0][0].own;
  EXPECT_EQ(own.counts[Operation::kTreeAdd], forward.counts.tree_adds);
  EXPECT_EQ(own.counts[Operation::kAccumulatorRegister], forward.counts.integer_adds);
  const auto area_of = [](const energy::DatapathCost& cost, const std::string& name) {
    for (const energy::AreaBlock& block : cost.processing_element.blocks) {
      if (block.name == name) return block.area_um2;
    }
    return 0.0;
  };
  energy::Datapath single = own.datapath;
  std::get<energy::ScaledDatapath>(single).taps_per_cycle = 1;
  const energy::DatapathCost eight = energy::price_datapath(test::laws(), own.datapath, own.surroundings);
  const energy::DatapathCost one = energy::price_datapath(test::laws(), single, own.surroundings);
  EXPECT_DOUBLE_EQ(area_of(eight, "operand_registers"), 8 * area_of(one, "operand_registers"));
  EXPECT_DOUBLE_EQ(area_of(eight, "accumulator_register"), area_of(one, "accumulator_register"));
  EXPECT_GT(area_of(eight, "adder_tree"), 0);
  EXPECT_EQ(area_of(eight, "sum_register"), 0);
}

// Each element has a register of its own for the operand that passes by where rows may be of several convolution
// groups.
TEST(WeightStationaryPrices, GroupsSideBySideTakeARegisterAnElement) {
  const char* const layer = R"([{ "name": "depthwise", "type": "conv2d", "batch": 2, "in_channels": 6,
    "out_channels": 6, "in_size": [9, 8], "kernel": [3, 3], "padding": [1, 1], "groups": 6, "values": {} }])";
  sim::ArrayConfig side_by_side = stationary();
  side_by_side.depthwise = sim::DepthwiseMapping::kRows;
  const Results results = run_layers(layer, Engine::kFunctional, "", side_by_side);
  EXPECT_EQ(without_engine(run_layers(layer, Engine::kCycle, "", side_by_side)), without_engine(results));
  const PassWork shared = work_of(run_layers(layer, Engine::kFunctional, "", stationary())).layers[0][0].own;
  const PassWork own = work_of(results).layers[0][0].own;
  EXPECT_EQ(shared.surroundings.left_fanout, 4);
  EXPECT_EQ(own.surroundings.left_fanout, 1);
  EXPECT_EQ(own.surroundings.right_fanout, shared.surroundings.right_fanout);
  const energy::DatapathCost dear = energy::price_datapath(test::laws(), own.datapath, own.surroundings);
  const energy::DatapathCost cheap = energy::price_datapath(test::laws(), shared.datapath, shared.surroundings);
  EXPECT_GT(dear.price_pj[Operation::kRegister].value, cheap.price_pj[Operation::kRegister].value);
  EXPECT_GT(dear.processing_element.total(), cheap.processing_element.total());
}

TEST(WeightStationaryPrices, ActivityCountsChangesOfALoad) {
  const Results results = run_layers(kLayer, Engine::kFunctional, "", stationary());
  const PassRecord& forward = results.layers[0].passes[0];
  ASSERT_TRUE(forward.toggles.has_value());
  const Work work = work_of(results);
  const PassWork& own = work.layers[0][0].own;
  const double share =
      static_cast<double>(forward.toggles->row_bits) / static_cast<double>(forward.traffic.row_buffer_reads);
  EXPECT_DOUBLE_EQ(own.right_activity, share / 0.5);
}

}  // namespace
}  // namespace mlsim::evaluation
