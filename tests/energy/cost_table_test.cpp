#include "energy/cost_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <functional>
#include <iterator>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>

namespace mlsim::energy {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

const char* const kShippedFile = MLSIM_SOURCE_DIR "/energy/tables/horowitz-45nm.json";

json shipped(const std::string& name = "horowitz-45nm") {
  std::ifstream stream(std::string(MLSIM_SOURCE_DIR "/energy/tables/") + name + ".json");
  return json::parse(stream);
}

// The sentence with which a changed table is refused.
std::string refusal(const std::function<void(json&)>& change) {
  json document = shipped();
  change(document);
  try {
    parse_cost_table(document.dump(), "own.json");
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "accepted";
}

json& figure(json& document, const std::string& operation, const std::string& key, const json& value) {
  for (json& candidate : document["figures"]) {
    if (candidate["operation"] == operation && candidate.value(key, json()) == value) return candidate;
  }
  throw std::logic_error("no such figure");
}

void remove(json& document, const std::string& operation, const std::string& key, const json& value) {
  const std::ptrdiff_t index = &figure(document, operation, key, value) - &document["figures"][0];
  document["figures"].erase(static_cast<std::size_t>(index));
}

TEST(CostTable, KnowsTechnologiesOfDram) {
  const auto range = [](const CostTable& table, DramTechnology technology) {
    return table.dram_technology_bit_pj[static_cast<std::size_t>(technology)] * 64;
  };
  for (const std::string_view name : shipped_cost_tables()) {
    const CostTable table = find_cost_table(std::string(name));
    EXPECT_NEAR(range(table, DramTechnology::kHbm2).low, 250, 1e-9) << name;
    EXPECT_NEAR(range(table, DramTechnology::kHbm2).high, 450, 1e-9) << name;
    EXPECT_EQ(range(table, DramTechnology::kHbm2e), range(table, DramTechnology::kHbm2)) << name;
    EXPECT_NEAR(range(table, DramTechnology::kLpddr4).value, 11 * 64, 1e-9) << name;
    EXPECT_NEAR(range(table, DramTechnology::kLpddr5).value, 0.7 * 11 * 64, 1e-9) << name;
    EXPECT_NEAR(range(table, DramTechnology::kDdr4).value, 1300, 1e-9) << name;
    EXPECT_NEAR(range(table, DramTechnology::kGddr6).value, 415, 1e-9) << name;
  }
  json own = shipped();
  json figure_of_own = figure(own, "dram_access", "width", 64);
  figure_of_own["technology"] = "LPDDR5";
  own["figures"].push_back(figure_of_own);
  const CostTable table = parse_cost_table(own.dump(), "own.json");
  EXPECT_EQ(range(table, DramTechnology::kLpddr5), (Range{1300, 1950, 2600}));
  EXPECT_NEAR(range(table, DramTechnology::kLpddr4).value, 11 * 64, 1e-9);
  EXPECT_THAT(refusal([&](json& d) {
                d["figures"].push_back(figure_of_own);
                d["figures"].push_back(figure_of_own);
              }),
              HasSubstr("/technology: a second figure of LPDDR5"));
  EXPECT_THAT(refusal([&](json& d) { figure(d, "dram_access", "width", 64)["technology"] = "LPDDR5"; }),
              HasSubstr("expected a figure of dram_access without a technology"));
  EXPECT_THAT(refusal([&](json& d) { figure(d, "dram_access", "width", 64)["technology"] = "core"; }),
              HasSubstr("/technology: is \"core\", expected one of \"DDR4\", \"GDDR6\""));
}

TEST(CostTable, TimeCostsNothingUnlessTold) {
  for (const std::string_view name : shipped_cost_tables()) {
    EXPECT_FALSE(find_cost_table(std::string(name)).leakage);
    EXPECT_FALSE(find_cost_table(std::string(name)).idle_clocked_share);
  }
  const CostTable table = find_cost_table("horowitz-45nm-leakage");
  EXPECT_EQ(table.name, "horowitz-45nm-leakage");
  EXPECT_EQ(table.node_nm, 45);
  EXPECT_EQ(table.leakage.value().logic_mw_mm2, (Range{17, 22, 27}));
  EXPECT_EQ(table.idle_clocked_share, 1);
  EXPECT_NE(table.content_hash, find_cost_table().content_hash);
  EXPECT_EQ(table.dram_bit_pj, find_cost_table().dram_bit_pj);
  json nulls = shipped();
  nulls["leakage"] = nullptr;
  nulls["idle_clocking"] = nullptr;
  EXPECT_FALSE(parse_cost_table(nulls.dump(), "own.json").leakage);

  const json variant = shipped("horowitz-45nm-leakage");
  const auto refused = [&](const std::function<void(json&)>& change) {
    json document = variant;
    change(document);
    try {
      parse_cost_table(document.dump(), "own.json");
    } catch (const std::runtime_error& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  EXPECT_EQ(refused([](json&) {}), "accepted");
  EXPECT_THAT(refused([](json& d) { d["based_on"] = "own"; }), HasSubstr("/based_on: is \"own\", expected one of"));
  EXPECT_THAT(refused([](json& d) { d["figures"] = json::array(); }), HasSubstr("/figures: is an unknown key"));
  EXPECT_THAT(refused([](json& d) { d["based_on"] = "tpuv4i-7nm"; }),
              HasSubstr("/leakage: expected none, since the table has no areas"));
  EXPECT_THAT(refused([](json& d) { d["leakage"]["logic_low_mw_per_mm2"] = 23; }),
              HasSubstr("expected logic_low_mw_per_mm2 <= logic_mw_per_mm2"));
  EXPECT_THAT(refused([](json& d) { d["idle_clocking"]["clocked_share"] = 1.5; }),
              HasSubstr("/idle_clocking/clocked_share"));
  EXPECT_THAT(refused([](json& d) { d["leakage"].erase("source"); }), HasSubstr("source"));
}

TEST(CostTable, ShippedTableHoldsThePublishedFigures) {
  const CostTable table = load_cost_table(kShippedFile);
  EXPECT_EQ(table.name, "horowitz-45nm");
  EXPECT_EQ(table.node_nm, 45);
  EXPECT_EQ(table.voltage_v, 0.9);
  EXPECT_TRUE(table.has_area);
  ASSERT_EQ(table.integer_add.size(), 3U);
  EXPECT_EQ(table.integer_add[1].width, 16);
  EXPECT_EQ(table.integer_add[1].cost, (Cost{0.05, 67}));
  ASSERT_EQ(table.integer_multiply.size(), 2U);
  EXPECT_EQ(table.integer_multiply[1].cost, (Cost{3.1, 3495}));
  EXPECT_EQ(table.float_add[0], (Cost{0.9, 4184}));
  EXPECT_EQ(table.float_multiply[1], (Cost{1.1, 1640}));
  ASSERT_EQ(table.sram_read.size(), 3U);
  EXPECT_EQ(table.sram_read[2].energy_pj, 100);
  EXPECT_DOUBLE_EQ(table.dram_bit_pj.low * 64, 1300);
  EXPECT_DOUBLE_EQ(table.dram_bit_pj.value * 64, 1950);
  EXPECT_DOUBLE_EQ(table.dram_bit_pj.high * 64, 2600);
}

TEST(CostTable, AladdinHoldsTheReleasedFiguresAtFiveNanoseconds) {
  const CostTable table = find_cost_table("aladdin-40nm");
  EXPECT_EQ(table.node_nm, 40);
  EXPECT_FALSE(table.voltage_v);
  ASSERT_EQ(table.integer_multiply.size(), 1U);
  EXPECT_EQ(table.integer_multiply[0].cost, (Cost{8.625412, 4595}));
  EXPECT_EQ(table.float_multiply[0], (Cost{24.35215, 4905.719}));
  EXPECT_EQ(table.float_add[0], (Cost{7.928188, 2063.594}));
}

TEST(CostTable, SevenNanometresHaveNoArea) {
  const CostTable table = find_cost_table("tpuv4i-7nm");
  EXPECT_FALSE(table.has_area);
  EXPECT_TRUE(std::isnan(table.integer_add[0].cost.area_um2));
  EXPECT_EQ(table.integer_add[1].width, 32);
  EXPECT_EQ(table.integer_add[1].cost.energy_pj, 0.03);
  EXPECT_EQ(table.float_multiply[2].energy_pj, 0.21);
  EXPECT_DOUBLE_EQ(table.dram_bit_pj.value * 64, 350);
}

// What a figure of a float is derived from stands in its source: the same ratio as in the default table.
TEST(CostTable, DerivedFloatsKeepTheRatiosOfTheDefaultTable) {
  const CostTable horowitz = find_cost_table();
  for (const std::string_view name : shipped_cost_tables()) {
    const CostTable table = find_cost_table(std::string(name));
    const std::size_t base = name == "tpuv4i-7nm" ? 1 : 0;  // fp16 where it is published, else fp32
    for (const std::size_t i : {std::size_t{3}, std::size_t{4}}) {
      EXPECT_NEAR(table.float_add[i].energy_pj / table.float_add[base].energy_pj,
                  horowitz.float_add[i].energy_pj / horowitz.float_add[base].energy_pj, 2e-4);
      EXPECT_NEAR(table.float_multiply[i].energy_pj / table.float_multiply[base].energy_pj,
                  horowitz.float_multiply[i].energy_pj / horowitz.float_multiply[base].energy_pj, 2e-4);
    }
  }
}

TEST(CostTable, EveryFigureAndLawNamesItsSource) {
  for (const std::string_view name : shipped_cost_tables()) {
    const json document = shipped(std::string(name));
    for (const json& figure : document["figures"]) EXPECT_FALSE(figure["source"].get<std::string>().empty()) << figure;
    for (const json& law : document["laws"]) {
      EXPECT_FALSE(law["source"].get<std::string>().empty()) << law;
      EXPECT_FALSE(law["error"].get<std::string>().empty()) << law;
    }
  }
}

TEST(CostTable, AreasAreAllOrNone) {
  const auto without_areas = [](json& d) {
    d["units"].erase("area");
    for (json& figure : d["figures"]) figure.erase("area_um2");
    for (json& law : d["laws"]) law.erase("area_um2");
    d["laws"].erase("sram_area");
  };
  EXPECT_EQ(refusal(without_areas), "accepted");
  const auto changed = [&](const std::function<void(json&)>& change) {
    return refusal([&](json& d) {
      without_areas(d);
      change(d);
    });
  };
  EXPECT_EQ(changed([](json& d) { d["figures"][0]["area_um2"] = 36; }),
            "own.json: /figures/0/area_um2: expected no area, since the table's units name none");
  EXPECT_THAT(changed([](json& d) { d["laws"]["register"]["area_um2"] = 4; }),
              HasSubstr(": /laws/register/area_um2: expected no area"));
  EXPECT_THAT(changed([](json& d) { d["laws"]["sram_area"] = shipped()["laws"]["sram_area"]; }),
              HasSubstr(": /laws/sram_area: expected no area"));
  EXPECT_THAT(refusal([](json& d) { d["units"].erase("area"); }), HasSubstr(": /figures/0/area_um2"));
}

TEST(CostTable, BuiltInTablesAreFoundByName) {
  EXPECT_THAT(shipped_cost_tables(), ::testing::Contains(kDefaultCostTable));
  for (const std::string_view name : shipped_cost_tables()) EXPECT_EQ(find_cost_table(std::string(name)).name, name);
  EXPECT_EQ(find_cost_table(kShippedFile).name, "horowitz-45nm");
  try {
    find_cost_table("horowitz-45nm-leaks");
    ADD_FAILURE() << "accepted";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(),
                 "horowitz-45nm-leaks: cannot be read, expected the file of a cost table, or one of the shipped "
                 "horowitz-45nm, aladdin-40nm, tpuv4i-7nm, horowitz-45nm-leakage");
  }
}

TEST(CostTable, TakesMorePoints) {
  json document = shipped();
  document["figures"].push_back(
      {{"operation", "integer_add"}, {"width", 24}, {"energy_pj", 0.08}, {"area_um2", 100}, {"source", "own"}});
  const CostTable table = parse_cost_table(document.dump(), "own.json");
  ASSERT_EQ(table.integer_add.size(), 4U);
  EXPECT_EQ(table.integer_add[2].width, 24);
}

TEST(CostTable, RefusesUnknownKeysByPlace) {
  EXPECT_THAT(refusal([](json& d) { d["colour"] = 1; }), AllOf(HasSubstr("own.json: /colour: is an unknown key")));
  EXPECT_THAT(refusal([](json& d) { d["figures"][3]["widht"] = 1; }),
              HasSubstr(": /figures/3/widht: is an unknown key"));
  EXPECT_THAT(refusal([](json& d) { d["laws"]["shifter"]["bits"] = 1; }), HasSubstr(": /laws/shifter/bits"));
  EXPECT_THAT(refusal([](json& d) { d["laws"]["rotator"] = json::object(); }), HasSubstr(": /laws/rotator"));
  EXPECT_THAT(refusal([](json& d) { d["units"]["time"] = "s"; }), HasSubstr(": /units/time"));
  EXPECT_THAT(refusal([](json& d) { d["error_bars"]["dram"] = 1; }), HasSubstr(": /error_bars/dram"));
}

TEST(CostTable, RefusesMissingKeysAndFigures) {
  for (const char* key : {"schema", "name", "node_nm", "units", "source", "figures", "laws", "error_bars"}) {
    EXPECT_THAT(refusal([&](json& d) { d.erase(key); }), HasSubstr("the key \"" + std::string(key) + "\" is missing"));
  }
  const json figures = shipped()["figures"];
  for (std::size_t i = 0; i < figures.size(); ++i) {
    const std::string operation = figures[i]["operation"];
    if (operation.starts_with("float") || operation == "dram_access") {
      EXPECT_THAT(refusal([&](json& d) { d["figures"].erase(i); }),
                  AllOf(HasSubstr("own.json: /figures: expected a figure of "), HasSubstr(operation)));
    }
    for (const auto& item : figures[i].items()) {
      if (item.key() == "derived") continue;
      EXPECT_THAT(refusal([&](json& d) { d["figures"][i].erase(item.key()); }),
                  AllOf(HasSubstr(": /figures/" + std::to_string(i)), HasSubstr(item.key())));
    }
  }
  EXPECT_EQ(refusal([](json& d) { remove(d, "integer_multiply", "width", 32); }), "accepted");
  EXPECT_EQ(refusal([](json& d) {
              remove(d, "integer_multiply", "width", 32);
              remove(d, "integer_multiply", "width", 8);
            }),
            "own.json: /figures: expected a figure of integer_multiply at some width");
  EXPECT_EQ(refusal([](json& d) {
              for (const int width : {8, 16, 32}) remove(d, "integer_add", "width", width);
            }),
            "own.json: /figures: expected a figure of integer_add at some width");
  EXPECT_EQ(refusal([](json& d) {
              remove(d, "sram_read", "capacity_bytes", 8192);
              remove(d, "sram_read", "capacity_bytes", 32768);
            }),
            "own.json: /figures: expected a figure of sram_read at two capacities or more");
  const json laws = shipped()["laws"];
  for (const auto& law : laws.items()) {
    EXPECT_THAT(refusal([&](json& d) { d["laws"].erase(law.key()); }), HasSubstr(law.key()));
    for (const auto& item : law.value().items()) {
      EXPECT_THAT(refusal([&](json& d) { d["laws"][law.key()].erase(item.key()); }), HasSubstr(item.key()));
    }
  }
}

TEST(CostTable, RefusesBadNumbers) {
  EXPECT_EQ(refusal([](json& d) { d["figures"][0]["energy_pj"] = -0.03; }),
            "own.json: /figures/0/energy_pj: is -0.03, expected a number above 0");
  EXPECT_THAT(refusal([](json& d) { d["figures"][0]["area_um2"] = "36"; }), HasSubstr(": /figures/0/area_um2"));
  EXPECT_THAT(refusal([](json& d) { d["figures"][0]["energy_pj"] = 0; }), HasSubstr("expected a number above 0"));
  EXPECT_THAT(refusal([](json& d) { d["figures"][0]["width"] = 8.5; }),
              HasSubstr("is 8.5, expected an integer from 1 to 4096 bits"));
  EXPECT_THAT(refusal([](json& d) { d["figures"][3]["width"] = 1; }),
              HasSubstr("is 1, expected an integer from 2 to 4096 bits"));
  EXPECT_THAT(refusal([](json& d) { d["node_nm"] = -45; }), HasSubstr(": /node_nm"));
  EXPECT_THAT(refusal([](json& d) { d["voltage_v"] = "0.9"; }), HasSubstr(": /voltage_v"));
  EXPECT_THAT(refusal([](json& d) { d["figures"][0]["derived"] = 1; }),
              HasSubstr(": /figures/0/derived: is 1, expected true or false"));
  EXPECT_THAT(refusal([](json& d) { d["laws"]["sram_area"]["array_efficiency"] = 1.5; }), HasSubstr("at most 1"));
  EXPECT_THAT(refusal([](json& d) { d["error_bars"]["float_factor"] = 0.5; }),
              HasSubstr("is 0.5, expected a factor of 1 or more"));
  EXPECT_THAT(refusal([](json& d) { d["error_bars"]["integer"] = 1.0; }), HasSubstr("below 1"));
  EXPECT_THAT(refusal([](json& d) { figure(d, "dram_access", "width", 64)["energy_low_pj"] = 2000; }),
              HasSubstr("energy_low_pj <= energy_pj"));
}

TEST(CostTable, RefusesOtherUnitsAndSchemas) {
  EXPECT_EQ(refusal([](json& d) { d["units"]["energy"] = "nJ"; }),
            "own.json: /units/energy: is \"nJ\", expected \"pJ\"");
  EXPECT_THAT(refusal([](json& d) { d["units"]["area"] = "mm2"; }), HasSubstr("expected \"um2\""));
  EXPECT_THAT(refusal([](json& d) { d["schema"] = "mlsim.cost_table/2"; }), HasSubstr(": /schema"));
}

TEST(CostTable, RefusesFiguresThatLeaveBinary64InSums) {
  EXPECT_EQ(refusal([](json& d) { d["laws"]["processing_element"]["product_energy_pj"] = 1e308; }),
            "own.json: /laws/processing_element/product_energy_pj: is 1e+308, expected a number from 1e-12 to 1e+12");
  EXPECT_THAT(refusal([](json& d) { d["laws"]["shifter"]["area_um2"] = 1e-300; }), HasSubstr("from 1e-12 to 1e+12"));
}

TEST(CostTable, RefusesFiguresThatContradictEachOther) {
  EXPECT_THAT(refusal([](json& d) { d["figures"].push_back(d["figures"][0]); }),
              HasSubstr("a second figure of 8 bits"));
  EXPECT_THAT(refusal([](json& d) { d["figures"].push_back(figure(d, "float_add", "format", "bf16")); }),
              HasSubstr("a second figure of bf16"));
  EXPECT_THAT(refusal([](json& d) { d["figures"].push_back(figure(d, "sram_read", "capacity_bytes", 8192)); }),
              HasSubstr("a second figure of 8192 bytes"));
  EXPECT_THAT(refusal([](json& d) { d["figures"].push_back(figure(d, "dram_access", "width", 64)); }),
              HasSubstr("a second figure of dram_access"));
  EXPECT_THAT(refusal([](json& d) { figure(d, "integer_add", "width", 32)["energy_pj"] = 0.04; }),
              HasSubstr("expected integer_add at 32 bits to cost no less than at 16 bits"));
  EXPECT_THAT(refusal([](json& d) { figure(d, "sram_read", "capacity_bytes", 32768)["energy_pj"] = 5; }),
              HasSubstr("expected sram_read at 32768 bytes"));
  EXPECT_THAT(refusal([](json& d) { figure(d, "float_add", "format", "fp32")["energy_pj"] = 0.1; }),
              HasSubstr("expected float_add in fp32"));
  EXPECT_THAT(refusal([](json& d) { figure(d, "float_multiply", "format", "fp32")["area_um2"] = 3000; }),
              HasSubstr("2 to 5.01 times"));
  EXPECT_THAT(refusal([](json& d) { figure(d, "float_add", "format", "bf16")["width"] = 8; }),
              HasSubstr("expected 16, the width of bf16"));
  EXPECT_THAT(refusal([](json& d) { d["figures"][5]["format"] = "fp64"; }),
              HasSubstr("is \"fp64\", expected one of \"fp32\", \"fp16\""));
  EXPECT_THAT(refusal([](json& d) { d["figures"][0]["operation"] = "square_root"; }), HasSubstr("square_root"));
}

TEST(CostTable, RefusesWhatIsNoTable) {
  const auto sentence = [](const std::string& text) -> std::string {
    try {
      parse_cost_table(text, "own.json");
    } catch (const std::runtime_error& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_EQ(sentence("{\n \"schema\": ,\n}"),
            "own.json: line 2, column 12: is no JSON: unexpected ','; expected '[', '{', or a literal");
  EXPECT_EQ(sentence(""),
            "own.json: line 1, column 1: is no JSON: unexpected end of input; expected '[', '{', or a literal");
  EXPECT_EQ(sentence("{ \"node_nm\": 1e999 }"), "own.json: is no JSON: number overflow parsing '1e999'");
  EXPECT_EQ(sentence("[]"), "own.json: is [], expected an object");
  EXPECT_THAT(refusal([](json& d) { d["figures"] = json::object(); }), HasSubstr(": /figures: is {}, expected a list"));
  EXPECT_THAT(refusal([](json& d) { d["figures"][2] = 7; }), HasSubstr(": /figures/2: is 7, expected an object"));
  try {
    find_cost_table("no-such-table.json");
    FAIL();
  } catch (const std::runtime_error& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("no-such-table.json"), Not(HasSubstr("\n"))));
  }
  EXPECT_THROW(load_cost_table(MLSIM_SOURCE_DIR "/energy"), std::runtime_error);
}

}  // namespace
}  // namespace mlsim::energy
