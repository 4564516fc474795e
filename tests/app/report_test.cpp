// What a report says beyond the energies of passes: zeros, machines made comparable, sharing, the rest of a step.
#include "app/report/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "app/report/report_tables.h"
#include "energy/cost_table.h"
#include "tests/support/laws.h"
#include "tests/support/run_layers.h"

namespace mlsim::app {
namespace {

using evaluation::Activity;
using evaluation::baseline_machines;
using evaluation::Engine;
using evaluation::Evaluation;
using evaluation::LayerRecord;
using evaluation::PassRecord;
using evaluation::Results;
using evaluation::TrainingStep;
using nlohmann::json;
using test::kLayer;
using test::kShape;
using test::laws;
using test::run_layers;
using testing::HasSubstr;

json report_of(const Results& results, Activity activity = Activity::kDense,
               const std::optional<TrainingStep>& step = {}) {
  return json::parse(json_report({Evaluation({"r.json", results, {}, activity, step}, laws())}).dump())["results"][0];
}

TEST(Zeros, AreAssumedWithoutValuesAndTheReportSaysSo) {
  const Results results = run_layers(kShape, Engine::kAnalytic);
  const std::uint64_t multiply_adds = results.layers[0].passes[0].multiply_adds;
  EXPECT_EQ(zero_products(results.layers[0].passes[0]).count, multiply_adds / 2);
  EXPECT_EQ(zero_products(results.layers[0].passes[1]).count, 0U) << "error times weight";
  EXPECT_EQ(zero_products(results.layers[0].passes[2]).count, multiply_adds / 2);
  EXPECT_FALSE(zero_products(results.layers[0].passes[0]).counted);
  EXPECT_THAT(detailed_text_report({Evaluation({"r.json", results}, laws())}),
              HasSubstr("assumed where there are no values (half of the"));
  EXPECT_THAT(detailed_text_report({Evaluation({"r.json", run_layers(kLayer, Engine::kFunctional)}, laws())}),
              HasSubstr("counted from the values"));
  EXPECT_EQ(report_of(results)["totals"]["all"]["zero_products_are_counted"], false);
}

TEST(Activity, PricesTheSameCountsLower) {
  const Results results = run_layers(kLayer, Engine::kFunctional);
  const json dense = report_of(results);
  const json zeros = report_of(results, Activity::kZeros);
  const auto computing = [](const json& breakdown) { return breakdown["computing_pj"]["value"].get<double>(); };
  EXPECT_EQ(dense["activity"], "dense");
  EXPECT_EQ(dense["activities"], zeros["activities"]) << "all three are there, whichever is chosen";
  EXPECT_EQ(computing(dense["totals"]["all"]["energy"]), computing(dense["activities"]["dense"]["energy"]));
  EXPECT_EQ(computing(zeros["totals"]["all"]["energy"]), computing(dense["activities"]["zeros"]["energy"]));
  EXPECT_LT(computing(dense["activities"]["zeros"]["energy"]), computing(dense["activities"]["dense"]["energy"]));
  EXPECT_EQ(dense["activities"]["gated"]["energy"]["memory_pj"], dense["activities"]["dense"]["energy"]["memory_pj"]);

  // By hand: a zero leaves three fifths of a multiplication.
  const json& multiplies = dense["totals"]["forward"]["energy"]["operations"]["mantissa_multiply"];
  const json& saved = zeros["totals"]["forward"]["energy"]["operations"]["mantissa_multiply"];
  const auto count = multiplies["count"].get<double>();
  const auto zero = static_cast<double>(*results.layers[0].passes[0].zero_products);
  EXPECT_NEAR(saved["pj"]["value"].get<double>() / multiplies["pj"]["value"].get<double>(), 1 - 0.4 * zero / count,
              1e-12);
}

TEST(Memory, StallsAreToldWhereAnArrayWaits) {
  const Results without = run_layers(kShape, Engine::kAnalytic);
  const auto text_of = [](const Results& results) {
    return detailed_text_report({Evaluation({"r.json", results}, laws())});
  };
  const auto csv_of = [](const Results& results) { return csv_report({Evaluation({"r.json", results}, laws())}); };
  EXPECT_THAT(text_of(without), testing::Not(HasSubstr("DRAM stalls")));
  EXPECT_THAT(csv_of(without), testing::Not(HasSubstr("dram_stalls")));
  EXPECT_FALSE(report_of(without)["totals"]["all"].contains("dram_stalls"));

  sim::ArrayConfig array;
  array.dram_bytes_per_cycle = {2500};
  array.sram_read_bytes_per_cycle = {4000};
  const Results with = run_layers(kShape, Engine::kAnalytic, "", array);
  sim::CycleCounts cycles;
  for (const PassRecord& pass : with.layers[0].passes) cycles += pass.cycles;
  const json all = report_of(with)["totals"]["all"];
  EXPECT_GT(cycles.dram_stalls, 0U);
  EXPECT_GT(cycles.sram_stalls, 0U);
  EXPECT_EQ(all["dram_stalls"], cycles.dram_stalls);
  EXPECT_EQ(all["sram_stalls"], cycles.sram_stalls);
  EXPECT_EQ(all["quantizer_stalls"], cycles.quantizer_stalls);
  EXPECT_EQ(all["array_cycles"].get<std::uint64_t>() - cycles.dram_stalls - cycles.sram_stalls,
            report_of(without)["totals"]["all"]["array_cycles"]);
  EXPECT_THAT(text_of(with), HasSubstr("scaler stalls  DRAM stalls  SRAM stalls  quantizer cycles  its stalls"));
  EXPECT_THAT(csv_of(with), HasSubstr("cost_table,dram_stalls,sram_stalls,quantizer_stalls\n"));
  const sim::CycleCounts& first = with.layers[0].passes[0].cycles;
  EXPECT_THAT(csv_of(with),
              HasSubstr("," + std::to_string(first.dram_stalls) + "," + std::to_string(first.sram_stalls) + "," +
                        std::to_string(first.quantizer_stalls) + "\n"));
}

std::string titles_of(const std::string& cost_table) {
  const std::vector<Evaluation> evaluations{
      Evaluation({"r.json", run_layers(kShape, Engine::kAnalytic)}, energy::Laws(energy::find_cost_table(cost_table)))};
  const std::vector<ReportSection> sections = report_sections(evaluations);
  std::string titles;
  for (const ReportTable& table : sections[0].tables) titles += table.title + "\n";
  return titles;
}

// What time costs stands in the titles of the sums that it is in.
TEST(Leakage, IsNamedWhereItIsSummedUp) {
  const std::string leaking = titles_of("horowitz-45nm-leakage");
  EXPECT_THAT(leaking, HasSubstr("conversion and quantization, idle clocking and leakage, and what"));
  EXPECT_THAT(leaking, HasSubstr("Energy of memory (operand buffers, SRAM, DRAM, leakage), and what"));
  EXPECT_THAT(titles_of("horowitz-45nm"), testing::Not(HasSubstr("leakage")));
}

TEST(Machines, AreEqualWhereTheyAreMadeSo) {
  const Results results = run_layers(kShape, Engine::kAnalytic);
  const json machines = report_of(results)["machines"];
  EXPECT_EQ(machines.size(), 1 + baseline_machines().size());
  const double own_area = machines["own"]["computing_area_um2"];
  const double own_seconds = machines["own"]["seconds"];
  const auto multiply_adds = static_cast<double>(3 * results.layers[0].passes[0].multiply_adds);
  EXPECT_DOUBLE_EQ(own_seconds, static_cast<double>(results.layers[0].passes[0].cycles.total() +
                                                    results.layers[0].passes[1].cycles.total() +
                                                    results.layers[0].passes[2].cycles.total()) /
                                    1e9);
  for (const auto& [name, machine] : machines.items()) {
    SCOPED_TRACE(name);
    const double area = machine["computing_area_um2"];
    const double tops = machine["tops"];
    EXPECT_DOUBLE_EQ(tops, 2 * multiply_adds / machine["seconds"].get<double>() / 1e12);
    EXPECT_DOUBLE_EQ(machine["tops_per_mm2"], tops / (area / 1e6));
    EXPECT_NEAR(machine["tops_per_watt"].get<double>() * machine["pj_per_multiply_add"].get<double>(), 2, 1e-12);
    // At equal area, the same density gives the throughput; at equal throughput, the area.
    EXPECT_NEAR(machine["equal_area"]["tops"].get<double>(), machine["tops_per_mm2"].get<double>() * own_area / 1e6,
                1e-12);
    EXPECT_NEAR(machine["equal_throughput"]["computing_area_um2"].get<double>(),
                area * machine["seconds"].get<double>() / own_seconds, 1e-6);
    // Power at the throughput of the format's machine is its energy over that machine's time.
    EXPECT_NEAR(machine["equal_throughput"]["watts"].get<double>(),
                machine["pj_per_multiply_add"].get<double>() * multiply_adds * 1e-12 / own_seconds, 1e-12);
    EXPECT_DOUBLE_EQ(machine["sample_pj"], machine["step_pj"].get<double>() / 2);
  }
  EXPECT_DOUBLE_EQ(machines["own"]["equal_area"]["elements_factor"], 1);
  EXPECT_LT(machines["fp8-acc16"]["pj_per_multiply_add"], machines["fp8"]["pj_per_multiply_add"]);
  EXPECT_EQ(machines["fp8-acc16"]["seconds"], machines["fp8"]["seconds"]);
}

TEST(Machines, WithoutAreasHaveEnergiesAlone) {
  const energy::Laws without{energy::find_cost_table("tpuv4i-7nm")};
  const json report = json::parse(
      json_report({Evaluation({"r.json", run_layers(kShape, Engine::kAnalytic)}, without)}).dump())["results"][0];
  EXPECT_TRUE(report["machines"]["own"]["tops_per_mm2"].is_null());
  EXPECT_TRUE(report["machines"]["fp32"]["equal_area"]["tops"].is_null());
  EXPECT_GT(report["machines"]["fp32"]["equal_throughput"]["watts"], 0);
  EXPECT_TRUE(report["sharing"][0]["area_um2"].is_null());
  EXPECT_THAT(detailed_text_report({Evaluation({"r.json", run_layers(kShape, Engine::kAnalytic)}, without)}),
              Not(HasSubstr("elements at its area")));
}

// A kernel that meets no element of its input has results and cycles, but not a multiply-add.
TEST(Undefined, FiguresOfALayerWithoutATapAreLeftOpen) {
  for (const std::string kernel : {R"("kernel": [2, 2])", R"("kernel": [1, 1])"}) {
    const Results results = run_layers(R"([{ "name": "conv", "type": "conv2d", "batch": 1, "in_channels": 1,
      "out_channels": 1, "in_size": [1, 1], "stride": [3, 3], "padding": [5, 5], "values": {}, )" +
                                           kernel + "}]",
                                       Engine::kFunctional);
    const std::vector<Evaluation> evaluations{Evaluation({"r.json", results}, laws())};
    for (const std::string& text : {detailed_text_report(evaluations), markdown_report(evaluations)}) {
      EXPECT_THAT(text, Not(testing::ContainsRegex("[^a-z](nan|inf)[^a-z]")));
    }
    const json report = report_of(results);
    EXPECT_EQ(report["totals"]["all"]["multiply_adds"], 0);
    for (const auto& [name, machine] : report["machines"].items()) {
      EXPECT_TRUE(machine["pj_per_multiply_add"].is_null()) << name;
      EXPECT_TRUE(machine["pj_per_multiply_add_with_memory"].is_null()) << name;
    }
    const bool idle = results.layers[0].passes[1].cycles.array == 0;
    EXPECT_EQ(report["totals"]["backward_data"]["utilization"].is_null(), idle);
    EXPECT_EQ(report["layers"][0]["passes"]["backward_data"]["utilization"].is_null(), idle);
    EXPECT_EQ(report["totals"]["forward"]["utilization"], 0);
    EXPECT_EQ(report["totals"]["all"]["mean_sqnr_db"], "exact");
  }
}

TEST(ErrorTable, ShowsWhatIsMeasured) {
  const std::string measured = R"({ "name": "conv", "type": "conv2d", "batch": 2, "in_channels": 4, "out_channels": 6,
    "in_size": [9, 8], "kernel": [3, 3], "padding": [1, 1], "values": {} })";
  const std::string shape = R"({ "name": "point", "type": "conv2d", "batch": 2, "in_channels": 4, "out_channels": 6,
    "in_size": [9, 8], "kernel": [1, 1] })";
  const std::string text = detailed_text_report(
      {Evaluation({"r.json", run_layers("[" + measured + "," + shape + "]", Engine::kFunctional)}, laws())});
  EXPECT_THAT(text, HasSubstr("SQNR against binary64"));
  EXPECT_THAT(text, testing::ContainsRegex("  of which 1x1 +- +- +-"));
  EXPECT_THAT(
      detailed_text_report({Evaluation({"r.json", run_layers("[" + shape + "]", Engine::kFunctional)}, laws())}),
      Not(HasSubstr("SQNR against binary64")));
}

TEST(ErrorTable, MeansAreOverThePassesOfThoseOverTheLayers) {
  const double exact = std::numeric_limits<double>::infinity();
  Results results = run_layers(kLayer, Engine::kFunctional);
  results.layers.push_back(results.layers[0]);
  results.layers[1].name = "second";
  const auto set = [&](std::size_t layer, std::size_t pass, std::optional<double> sqnr) {
    results.layers[layer].passes[pass].sqnr_db = sqnr;
  };
  set(0, 0, 10);
  set(1, 0, exact);  // the mean of forward: 10
  set(0, 1, 20);
  set(1, 1, 30);  // 25
  set(0, 2, exact);
  set(1, 2, std::nullopt);  // exact
  json totals = report_of(results)["totals"];
  EXPECT_EQ(totals["forward"]["mean_sqnr_db"], 10);
  EXPECT_EQ(totals["backward_data"]["mean_sqnr_db"], 25);
  EXPECT_EQ(totals["backward_weight"]["mean_sqnr_db"], "exact");
  EXPECT_EQ(totals["all"]["mean_sqnr_db"], 17.5);
  EXPECT_THAT(detailed_text_report({Evaluation({"r.json", results}, laws())}),
              testing::ContainsRegex("  all +17.5 +10.0 "));
  for (LayerRecord& layer : results.layers) {
    for (PassRecord& pass : layer.passes) pass.sqnr_db = exact;
  }
  EXPECT_EQ(report_of(results)["totals"]["all"]["mean_sqnr_db"], "exact");
}

}  // namespace
}  // namespace mlsim::app
