#include "evaluation/results.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "evaluation/pricing.h"
#include "sim/dataflow.h"
#include "tests/support/run_layers.h"
#include "tests/support/temporary_folder.h"

namespace mlsim::evaluation {
namespace {

using nlohmann::json;
using test::kLayer;
using test::kShape;
using test::run_layers;
using test::without_engine;
using testing::HasSubstr;

TEST(Results, ArraysOfGroupsSideBySideSurviveTheirFile) {
  const char* const layer = R"([{ "name": "depthwise", "type": "conv2d", "batch": 1, "in_channels": 6,
    "out_channels": 6, "in_size": [5, 5], "kernel": [3, 3], "padding": [1, 1], "groups": 6 }])";
  sim::ArrayConfig array;
  array.depthwise = sim::DepthwiseMapping::kRows;
  const Results before = run_layers(layer, Engine::kAnalytic, "", array);
  const nlohmann::json document = nlohmann::json::parse(to_json(before).dump());
  EXPECT_EQ(document["array"]["depthwise"], "rows");
  const Results after = parse_results(document.dump(), "r.json");
  EXPECT_EQ(after.array, before.array);
  EXPECT_EQ(to_json(after), to_json(before));
  const Results off = run_layers(layer, Engine::kAnalytic);
  EXPECT_FALSE(to_json(off)["array"].contains("depthwise"));
  EXPECT_LT(before.layers[0].passes[0].cycles.array, off.layers[0].passes[0].cycles.array);
}

TEST(Zeros, OfTheFunctionalAndTheCycleEngineAreEqual) {
  const Results functional = run_layers(kLayer, Engine::kFunctional);
  const Results cycle = run_layers(kLayer, Engine::kCycle);
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
  EXPECT_EQ(run_layers(kLayer, Engine::kStructural).layers[0].passes[1].zero_products,
            run_layers(kLayer, Engine::kFunctional).layers[0].passes[1].zero_products);
}

TEST(Memory, StallsSurviveTheirFile) {
  Results before = run_layers(kLayer, Engine::kAnalytic);
  EXPECT_FALSE(json::parse(to_json(before).dump())["array"].contains("dram_bytes_per_cycle"));
  EXPECT_FALSE(json::parse(to_json(before).dump())["layers"][0]["passes"][0]["cycles"].contains("dram_stalls"));
  before.array.dram_bytes_per_cycle = {12800};
  before.array.dram_latency_cycles = 7;
  sim::CycleCounts& cycles = before.layers[0].passes[0].cycles;
  cycles.array += 25;
  cycles.dram_stalls = 20;
  cycles.sram_stalls = 5;
  cycles.quantizer_stalls = 3;
  PassRecord& record = before.layers[0].passes[0];
  record.utilization = sim::utilization(record.counts, record.cycles, before.array);
  json document = json::parse(to_json(before).dump());
  EXPECT_EQ(document["array"]["dram_bytes_per_cycle"], 12.8);
  const Results after = parse_results(document.dump(), "r.json");
  EXPECT_EQ(after.array, before.array);
  EXPECT_EQ(after.layers[0].passes[0].cycles, cycles);
  EXPECT_EQ(to_json(after), to_json(before));
  const auto refused = [&](const char* key, std::uint64_t value) {
    json broken = document;
    broken["layers"][0]["passes"][0]["cycles"][key] = value;
    return test::error_of([&] { parse_results(broken.dump(), "r.json"); });
  };
  EXPECT_THAT(refused("dram_stalls", cycles.array + 1),
              HasSubstr("r.json: /layers/0/passes/0/cycles: has more stalls than cycles of the array"));
  EXPECT_THAT(refused("quantizer_stalls", cycles.quantizer + 1),
              HasSubstr("r.json: /layers/0/passes/0/cycles: has more stalls than cycles of the quantizer"));
}

TEST(Results, AreRefusedWhereTheyCannotBe) {
  const json document = json::parse(to_json(run_layers(kLayer, Engine::kCycle)).dump());
  ASSERT_NO_THROW(parse_results(document.dump(), "r.json"));
  const auto refused = [&](const std::string& pointer, const json& value) {
    json broken = document;
    broken[json::json_pointer(pointer)] = value;
    return test::error_of([&] { parse_results(broken.dump(), "r.json"); });
  };
  const std::string pass = "/layers/0/passes/0";
  for (const std::string& object :
       {std::string(), std::string("/provenance"), std::string("/array"), std::string("/layers/0"),
        std::string("/layers/0/shape"), std::string("/layers/0/format"), std::string("/layers/0/rounding"),
        std::string("/layers/0/operands"), std::string("/layers/0/operands/weight"), pass, pass + "/cycles",
        pass + "/counts", pass + "/traffic_bits", pass + "/toggled_bits", pass + "/baseline_sqnr_db",
        pass + "/baseline_zero_products"}) {
    ASSERT_TRUE(document.contains(json::json_pointer(object))) << object;
    EXPECT_THAT(refused(object + "/sqnr_bd", 1), HasSubstr("r.json: " + object + "/sqnr_bd: is an unknown key"));
    EXPECT_THAT(refused(object, 3), HasSubstr(object + ": is 3, expected an object"));
  }
  EXPECT_THAT(refused(pass + "/cosine_error", -1), HasSubstr("/cosine_error: is -1, expected a number from "));
  EXPECT_THAT(refused(pass + "/cosine_error", 1e9), HasSubstr("/cosine_error: is 1000000000.0, expected a number"));
  const double utilization = document[json::json_pointer(pass + "/utilization")].get<double>();
  EXPECT_THAT(refused(pass + "/utilization", utilization / 2), HasSubstr(pass + "/utilization: is "));
}

TEST(ResultsProvenance, IsThatOfTheInputsAndNotOfTheEngine) {
  const Results functional = run_layers(kLayer, Engine::kFunctional);
  ASSERT_TRUE(functional.provenance.has_value());
  EXPECT_EQ(functional.provenance->seed, 3U);
  EXPECT_TRUE(functional.provenance->tensors_hash.has_value());
  EXPECT_EQ(without_engine(run_layers(kLayer, Engine::kFunctional)), without_engine(functional));
  EXPECT_EQ(without_engine(run_layers(kLayer, Engine::kCycle)), without_engine(functional));
  EXPECT_FALSE(run_layers(kShape, Engine::kAnalytic).provenance->tensors_hash.has_value()) << "of no values";
}

TEST(ResultsProvenance, ChangesWithWhatItIsOf) {
  const Provenance first = *run_layers(kLayer, Engine::kFunctional).provenance;
  sim::ArrayConfig array;
  array.rows = 8;
  const Provenance narrower = *run_layers(kLayer, Engine::kFunctional, "", array).provenance;
  EXPECT_NE(narrower.array_hash, first.array_hash);
  EXPECT_EQ(narrower.workload_hash, first.workload_hash);
  EXPECT_EQ(narrower.tensors_hash, first.tensors_hash);
  const Provenance later = *run_layers(kLayer, Engine::kFunctional, R"("step": 7, )").provenance;
  EXPECT_EQ(later.step, 7U);
  EXPECT_NE(later.workload_hash, first.workload_hash);
  EXPECT_EQ(later.array_hash, first.array_hash);
  std::string other = kLayer;
  other.replace(other.find("conv"), 4, "anew");
  EXPECT_NE(run_layers(other, Engine::kFunctional).provenance->workload_hash, first.workload_hash);
}

TEST(ResultsProvenance, SurvivesItsFileAndMayBeMissing) {
  const Results before = run_layers(kLayer, Engine::kFunctional);
  EXPECT_EQ(parse_results(to_json(before).dump(), "r.json").provenance, before.provenance);
  json document = json::parse(to_json(before).dump());
  const auto refused = [&](const char* key, const json& value, const char* reason) {
    json broken = document;
    broken["provenance"][key] = value;
    EXPECT_THAT(test::error_of([&] { parse_results(broken.dump(), "r.json"); }),
                HasSubstr(std::string("r.json: /provenance/") + key + reason));
  };
  refused("array_hash", "12", ": is \"12\", expected 16 hexadecimal digits");
  refused("tensors_hash", "00000000000000AB", ": is \"00000000000000AB\", expected 16 hexadecimal digits");
  refused("step", -1, ": is -1, expected an integer from 0 to 4294967295");
  refused("version", 3, ": is 3, expected ");
  document.erase("provenance");
  EXPECT_FALSE(parse_results(document.dump(), "old.json").provenance.has_value());
}

TEST(Zeros, SurviveTheirFile) {
  const Results before = run_layers(kLayer, Engine::kFunctional);
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

}  // namespace
}  // namespace mlsim::evaluation
