// What a report says beyond the energies of passes: zeros, machines made comparable, sharing, the rest of a step.
#include "app/report/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "energy/cost_table.h"
#include "evaluation/simulate.h"
#include "tests/support/temporary_folder.h"
#include "workloads/training_counts.h"
#include "workloads/workload.h"

namespace mlsim::app {
namespace {

using evaluation::Activity;
using evaluation::baseline_machines;
using evaluation::csv_cell;
using evaluation::Engine;
using evaluation::Evaluation;
using evaluation::kActivities;
using evaluation::LayerRecord;
using evaluation::MeasuredBaseline;
using evaluation::parse_activity;
using evaluation::parse_results;
using evaluation::PassRecord;
using evaluation::Results;
using evaluation::Sharing;
using evaluation::simulate;
using evaluation::SimulationOptions;
using evaluation::toggle_share;
using evaluation::ToggleShare;
using evaluation::training_step;
using evaluation::TrainingStep;
using models::Pass;
using nlohmann::json;
using testing::HasSubstr;

const energy::Laws& laws() {
  static const energy::Laws shared{energy::find_cost_table()};
  return shared;
}

Results run(const std::string& layers, Engine engine, const std::string& more = "", sim::ArrayConfig array = {}) {
  SimulationOptions options;
  options.engine = engine;
  options.array = array;
  const std::string text = R"({"schema": "mlsim.workload/1", "name": "w", "seed": 3, "format": "e2m4", )" + more +
                           R"("layers": )" + layers + "}";
  return simulate(workloads::parse_workload(text, "w.json", "."), options, [](const std::string&) {});
}

// Activations are those of a ReLU by default, so that about half of them are zero.
constexpr const char* kLayer = R"([{ "name": "conv", "type": "conv2d", "batch": 2, "in_channels": 4, "out_channels": 6,
  "in_size": [9, 8], "kernel": [3, 3], "stride": [2, 1], "padding": [1, 1], "values": {} }])";
constexpr const char* kShape =
    R"([{ "name": "conv", "type": "conv2d", "batch": 2, "in_channels": 16, "out_channels": 32,
  "in_size": [16, 16], "kernel": [3, 3], "padding": [1, 1] }])";

json report_of(const Results& results, Activity activity = Activity::kDense,
               const std::optional<TrainingStep>& step = {}) {
  return json::parse(json_report({Evaluation({"r.json", results, {}, activity, step}, laws())}).dump())["results"][0];
}

TEST(Zeros, OfTheFunctionalAndTheCycleEngineAreEqual) {
  const Results functional = run(kLayer, Engine::kFunctional);
  const Results cycle = run(kLayer, Engine::kCycle);
  for (std::size_t p = 0; p < 3; ++p) {
    const PassRecord& record = functional.layers[0].passes[p];
    ASSERT_TRUE(record.zero_products.has_value());
    EXPECT_EQ(record.zero_products, cycle.layers[0].passes[p].zero_products);
    ASSERT_TRUE(record.toggles.has_value());
    EXPECT_EQ(record.toggles, cycle.layers[0].passes[p].toggles);
    EXPECT_EQ(record.baselines.size(), baseline_machines().size() - 1) << "no error of fp8-acc16 is measured";
    // A coarser format has no fewer zeros than the input, which fp32 keeps.
    for (const MeasuredBaseline& baseline : record.baselines) {
      EXPECT_GE(baseline.zero_products, record.baselines[0].zero_products) << baseline.name;
    }
  }
  EXPECT_EQ(zero_products(functional.layers[0].passes[1], baseline_machines().back()).count,
            functional.layers[0].passes[1].baselines[3].zero_products)
      << "fp8-acc16 has the zeros of fp8";
  const double share = static_cast<double>(*functional.layers[0].passes[0].zero_products) /
                       static_cast<double>(functional.layers[0].passes[0].multiply_adds);
  EXPECT_NEAR(share, 0.5, 0.1);
  EXPECT_GT(functional.layers[0].operands[models::Operand::kActivation].zeros, 0);
}

TEST(Zeros, OfTheStructuralEngineAreEqualToo) {
  EXPECT_EQ(run(kLayer, Engine::kStructural).layers[0].passes[1].zero_products,
            run(kLayer, Engine::kFunctional).layers[0].passes[1].zero_products);
}

TEST(Zeros, SurviveTheirFile) {
  const Results before = run(kLayer, Engine::kFunctional);
  const Results after = parse_results(to_json(before).dump(), "r.json");
  EXPECT_EQ(to_json(after), to_json(before));
  json broken = json::parse(to_json(before).dump());
  broken["layers"][0]["passes"][0]["zero_products"] = before.layers[0].passes[0].multiply_adds + 1;
  EXPECT_THAT(test::error_of([&] { parse_results(broken.dump(), "r.json"); }),
              HasSubstr("r.json: /layers/0/passes/0/zero_products: is "));
  json toggles = json::parse(to_json(before).dump());
  toggles["layers"][0]["passes"][0]["toggled_bits"]["rows"] = before.layers[0].passes[0].traffic.row_buffer_reads + 1;
  EXPECT_THAT(test::error_of([&] { parse_results(toggles.dump(), "r.json"); }),
              HasSubstr("r.json: /layers/0/passes/0/toggled_bits/rows: is "));
  // Results of before there were any are taken, and zeros assumed.
  broken["layers"][0]["passes"][0].erase("zero_products");
  EXPECT_FALSE(parse_results(broken.dump(), "r.json").layers[0].passes[0].zero_products.has_value());
}

TEST(Zeros, AreAssumedWithoutValuesAndTheReportSaysSo) {
  const Results results = run(kShape, Engine::kAnalytic);
  const std::uint64_t multiply_adds = results.layers[0].passes[0].multiply_adds;
  EXPECT_EQ(zero_products(results.layers[0].passes[0]).count, multiply_adds / 2);
  EXPECT_EQ(zero_products(results.layers[0].passes[1]).count, 0U) << "error times weight";
  EXPECT_EQ(zero_products(results.layers[0].passes[2]).count, multiply_adds / 2);
  EXPECT_FALSE(zero_products(results.layers[0].passes[0]).counted);
  EXPECT_THAT(text_report({Evaluation({"r.json", results}, laws())}),
              HasSubstr("assumed where there are no values (half of the"));
  EXPECT_THAT(text_report({Evaluation({"r.json", run(kLayer, Engine::kFunctional)}, laws())}),
              HasSubstr("counted from the values"));
  EXPECT_EQ(report_of(results)["totals"]["all"]["zero_products_are_counted"], false);
}

TEST(Activity, PricesTheSameCountsLower) {
  const Results results = run(kLayer, Engine::kFunctional);
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

TEST(Activity, PricesTheBitsThatChangeInTheOperandRegisters) {
  // One output channel, one column: the registers of both operands serve one element.
  sim::ArrayConfig array;
  array.rows = array.columns = array.elements_per_scaler = 1;
  const Results results = run(kLayer, Engine::kFunctional, "", array);
  Results still = results;
  for (PassRecord& record : still.layers[0].passes) record.toggles = sim::OperandToggles{};
  const auto registers = [&](const Results& of) {
    return price(work_of(of), laws(), {{}, Activity::kZeros})
        .sum(of, Pass::kForward)
        .energy.energy_pj[energy::Operation::kRegister]
        .value;
  };
  const PassRecord& record = results.layers[0].passes[0];
  const std::optional<ToggleShare> share = toggle_share(*record.toggles, record.traffic);
  ASSERT_TRUE(share);
  // Seven bits an operand, 0.0019 pJ where half of them change.
  EXPECT_NEAR(registers(results) - registers(still),
              static_cast<double>(record.multiply_adds) * 7 * 0.0019 * 2 * (share->rows + share->columns), 1e-6);
  EXPECT_GT(share->rows, 0.1);
  EXPECT_LT(share->rows, 0.6);
}

TEST(Activity, IsReadByName) {
  for (const Activity activity : kActivities) EXPECT_EQ(parse_activity(to_string(activity)), activity);
  EXPECT_EQ(test::error_of([] { parse_activity("idle"); }), "activity 'idle' is none of dense, zeros, gated");
}

TEST(Machines, AreEqualWhereTheyAreMadeSo) {
  const Results results = run(kShape, Engine::kAnalytic);
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
  const json report =
      json::parse(json_report({Evaluation({"r.json", run(kShape, Engine::kAnalytic)}, without)}).dump())["results"][0];
  EXPECT_TRUE(report["machines"]["own"]["tops_per_mm2"].is_null());
  EXPECT_TRUE(report["machines"]["fp32"]["equal_area"]["tops"].is_null());
  EXPECT_GT(report["machines"]["fp32"]["equal_throughput"]["watts"], 0);
  EXPECT_TRUE(report["sharing"][0]["area_um2"].is_null());
  EXPECT_THAT(text_report({Evaluation({"r.json", run(kShape, Engine::kAnalytic)}, without)}),
              Not(HasSubstr("elements at its area")));
}

// A kernel that meets no element of its input has results and cycles, but not a multiply-add.
TEST(Undefined, FiguresOfALayerWithoutATapAreLeftOpen) {
  for (const std::string kernel : {R"("kernel": [2, 2])", R"("kernel": [1, 1])"}) {
    const Results results = run(R"([{ "name": "conv", "type": "conv2d", "batch": 1, "in_channels": 1,
      "out_channels": 1, "in_size": [1, 1], "stride": [3, 3], "padding": [5, 5], "values": {}, )" +
                                    kernel + "}]",
                                Engine::kFunctional);
    const std::vector<Evaluation> evaluations{Evaluation({"r.json", results}, laws())};
    for (const std::string& text : {text_report(evaluations), markdown_report(evaluations)}) {
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
  const std::string text =
      text_report({Evaluation({"r.json", run("[" + measured + "," + shape + "]", Engine::kFunctional)}, laws())});
  EXPECT_THAT(text, HasSubstr("SQNR against binary64"));
  EXPECT_THAT(text, testing::ContainsRegex("  of which 1x1 +- +- +-"));
  EXPECT_THAT(text_report({Evaluation({"r.json", run("[" + shape + "]", Engine::kFunctional)}, laws())}),
              Not(HasSubstr("SQNR against binary64")));
}

TEST(ErrorTable, MeansAreOverThePassesOfThoseOverTheLayers) {
  const double exact = std::numeric_limits<double>::infinity();
  Results results = run(kLayer, Engine::kFunctional);
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
  EXPECT_THAT(text_report({Evaluation({"r.json", results}, laws())}), testing::ContainsRegex("  all +17.5 +10.0 "));
  for (LayerRecord& layer : results.layers) {
    for (PassRecord& pass : layer.passes) pass.sqnr_db = exact;
  }
  EXPECT_EQ(report_of(results)["totals"]["all"]["mean_sqnr_db"], "exact");
}

TEST(CsvCell, IsNoFormula) {
  EXPECT_EQ(csv_cell("conv-1"), "conv-1");
  EXPECT_EQ(csv_cell("a,\"b\""), "\"a,\"\"b\"\"\"");
  EXPECT_EQ(csv_cell(""), "");
  for (const std::string text : {"=1+1", "+1", "-1", "@sum", "\n=1"}) {
    EXPECT_EQ(csv_cell(text), "\"'" + text + "\"");
  }
}

TEST(CsvCell, EscapesWhatATerminalActsOn) {
  EXPECT_EQ(csv_cell("\t=1"), "\"'\\t=1\"");
  EXPECT_EQ(csv_cell("\x1b[31mred"), "\\x1b[31mred");
  EXPECT_EQ(csv_cell("\x1b,"), "\"\\x1b,\"");
}

TEST(SharingTable, IsWhatThatSharingGives) {
  const Results results = run(kShape, Engine::kAnalytic);
  const std::vector<Sharing> all = sharings(results, price(work_of(results), laws()).area);
  ASSERT_EQ(all.size(), 9U) << "1, 2, 4, ... 256";
  for (const Sharing& sharing : all) {
    SCOPED_TRACE(sharing.elements_per_scaler);
    sim::ArrayConfig array;
    array.elements_per_scaler = sharing.elements_per_scaler;
    const Results shared = run(kShape, Engine::kAnalytic, "", array);
    sim::CycleCounts cycles;
    for (const PassRecord& record : shared.layers[0].passes) cycles += record.cycles;
    EXPECT_EQ(sharing.cycles, cycles);
    EXPECT_EQ(sharing.units, 256 / sharing.elements_per_scaler);
    EXPECT_NEAR(sharing.area.total(), price(work_of(shared), laws()).area.total(), 1e-6);
  }
  sim::ArrayConfig odd;
  odd.rows = 3;
  odd.columns = 5;
  odd.elements_per_scaler = 7;
  const Results small = run(kShape, Engine::kAnalytic, "", odd);
  std::vector<int> shares;
  for (const Sharing& sharing : sharings(small, price(work_of(small), laws()).area))
    shares.push_back(sharing.elements_per_scaler);
  EXPECT_THAT(shares, testing::ElementsAre(1, 2, 4, 7, 8, 15));
}

TEST(TrainingStepReport, PricesTheRestOfTheStep) {
  // One convolution, its normalization, a ReLU, an addition, pooling and a linear layer; two images.
  const workloads::Network network = workloads::parse_network(
      R"({"schema": "mlsim.network/1", "name": "small", "input": {"channels": 16, "size": [16, 16]}, "layers": [
        {"name": "conv", "type": "conv2d", "inputs": ["input"], "in_channels": 16, "out_channels": 32, "in_size": [16, 16],
         "kernel": [3, 3], "stride": [1, 1], "padding": [1, 1], "groups": 1, "bias": false},
        {"name": "norm", "type": "batch_norm", "inputs": ["conv"], "channels": 32, "size": [16, 16]},
        {"name": "relu", "type": "relu", "inputs": ["norm"], "channels": 32, "size": [16, 16]},
        {"name": "sum", "type": "add", "inputs": ["relu", "conv"], "channels": 32, "size": [16, 16]},
        {"name": "pool", "type": "avg_pool", "inputs": ["sum"], "channels": 32, "in_size": [16, 16], "kernel": [16, 16],
         "stride": [16, 16], "padding": [0, 0]},
        {"name": "fc", "type": "linear", "inputs": ["pool"], "in_features": 32, "out_features": 10, "bias": true}]})",
      "small.json");
  const Results results = run(kShape, Engine::kAnalytic);
  const TrainingStep step = training_step(network, results, "r.json", laws());
  constexpr double kMultiply = 3.7;
  constexpr double kAdd = 0.9;
  constexpr double kElements = 2 * 32 * 16 * 16;
  constexpr double kParameters = 32 * 16 * 9 + 2 * 32 + 32 * 10 + 10;
  const std::vector<std::pair<std::string, double>> expected{{"batch_norm", kElements * (5 * kMultiply + 7 * kAdd)},
                                                             {"activation", kElements * 2 * 32 * 0.0009},
                                                             {"element_add", kElements * 2 * kAdd},
                                                             {"gradient_add", kElements * kAdd},
                                                             {"pooling", kElements * 2 * kAdd},
                                                             {"linear", 3 * 2 * 320 * (kMultiply + kAdd)},
                                                             {"weight_update", kParameters * 3 * (kMultiply + kAdd)}};
  ASSERT_EQ(step.parts.size(), expected.size());
  double total = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(step.parts[i].name, expected[i].first);
    EXPECT_NEAR(step.parts[i].energy_pj.value, expected[i].second, 1e-6 * expected[i].second) << expected[i].first;
    total += expected[i].second;
  }
  EXPECT_NEAR(step.total_pj().value, total, 1e-6 * total);
  EXPECT_LT(step.total_pj().low, step.total_pj().value);

  const json report = report_of(results, Activity::kDense, step);
  const json& own = report["training_step"]["machines"]["own"];
  const double computing = report["totals"]["all"]["energy"]["computing_pj"]["value"];
  EXPECT_NEAR(own["computing_pj"]["value"].get<double>(), computing + total, 1);
  EXPECT_NEAR(own["sample_computing_pj"].get<double>(), (computing + total) / 2, 1);
  const double fp32 = report["totals"]["all"]["baselines"]["fp32"]["computing_pj"]["value"];
  EXPECT_NEAR(report["training_step"]["machines"]["fp32"]["computing_ratio"]["value"].get<double>(),
              (fp32 + total) / (computing + total), 1e-9);
  EXPECT_FALSE(report_of(results).contains("training_step"));
}

TEST(TrainingStepReport, RefusesResultsOfOtherLayers) {
  const auto network = [](const std::string& name, const std::string& padding) {
    return workloads::parse_network(
        R"({"schema": "mlsim.network/1", "name": "n", "input": {"channels": 16, "size": [16, 16]}, "layers": [{"name": ")" +
            name +
            R"(", "type": "conv2d", "inputs": ["input"], "in_channels": 16, "out_channels": 32, "in_size": [16, 16], "kernel": [3, 3], "stride": [1, 1], "groups": 1, "bias": false, "padding": )" +
            padding + "}]}",
        "n.json");
  };
  const Results results = run(kShape, Engine::kAnalytic);
  const auto error_with = [&](const workloads::Network& other, const Results& of) {
    return test::error_of([&] { training_step(other, of, "r.json", laws()); });
  };
  EXPECT_EQ(error_with(network("conv", "[1, 1]"), results), "nothing was thrown");
  EXPECT_THAT(error_with(network("other", "[1, 1]"), results), HasSubstr("r.json: has no layer 'other'"));
  EXPECT_THAT(error_with(network("conv", "[0, 0]"), results), HasSubstr("layer 'conv' is not that of n"));
  EXPECT_THAT(error_with(network("conv", "[1, 1]"), run(kShape, Engine::kAnalytic, R"("passes": ["forward"], )")),
              HasSubstr("all three passes"));
  Results more = results;
  more.layers.push_back(results.layers[0]);
  more.layers.back().name = "extra";
  EXPECT_THAT(error_with(network("conv", "[1, 1]"), more), HasSubstr("has 2 layers, expected the 1 convolutions"));
  more.layers.back().shape.batch = 5;
  EXPECT_THAT(error_with(network("conv", "[1, 1]"), more), HasSubstr("'extra' has a batch of 5, expected the 2"));
}

}  // namespace
}  // namespace mlsim::app
