#include "app/report/accelergy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>

#include "energy/cost_table.h"
#include "evaluation/simulate.h"
#include "tests/support/laws.h"
#include "tests/support/temporary_folder.h"
#include "workloads/workload.h"

namespace mlsim::app {
namespace {

using energy::Operation;
using evaluation::Engine;
using evaluation::Machine;
using evaluation::machine_of;
using evaluation::OwnPrices;
using evaluation::PassPrice;
using evaluation::Price;
using evaluation::Results;
using evaluation::simulate;
using evaluation::SimulationOptions;
using test::error_of;
using test::laws;
using testing::HasSubstr;

Results results(const std::string& format = "\"e2m4\"") {
  const std::string text = R"({"schema": "mlsim.workload/1", "name": "w", "seed": 1, "format": )" + format + R"(,
    "layers": [{"name": "conv", "type": "conv2d", "batch": 1, "in_channels": 4, "out_channels": 4, "in_size": [8, 8],
                "kernel": [3, 3], "padding": [1, 1]}]})";
  SimulationOptions options;
  options.engine = Engine::kAnalytic;
  return simulate(workloads::parse_workload(text, "workload", "."), options, [](const std::string&) {});
}

// Units that a component's name stands for: mlsim.element[0..255].multiplier are 256.
std::int64_t instances(const std::string& name) {
  const std::size_t range = name.find("[0..");
  return range == std::string::npos ? 1 : std::stoll(name.substr(range + 4)) + 1;
}

TEST(AccelergyErt, HasEveryPriceOfTheMachineOnce) {
  const Machine machine = machine_of(results(), laws());
  const YAML::Node ert = YAML::Load(accelergy_ert(results(), "r.json", laws()))["ERT"];
  EXPECT_EQ(ert["version"].as<double>(), 0.3);
  std::map<std::string, double> energies;
  for (const YAML::Node& table : ert["tables"]) {
    for (const YAML::Node& action : table["actions"]) {
      EXPECT_TRUE(action["arguments"].IsNull());
      EXPECT_TRUE(energies.emplace(action["name"].as<std::string>(), action["energy"].as<double>()).second);
    }
  }
  for (const Operation operation : energy::kOperations) {
    const double price = machine.cost.price_pj[operation].value;
    const auto found = energies.find(std::string(name(operation)));
    ASSERT_EQ(found != energies.end(), price > 0) << name(operation);
    if (price > 0) {
      EXPECT_EQ(found->second, price) << name(operation);
    }
  }
  EXPECT_EQ(ert["tables"][0]["name"].as<std::string>(), "mlsim.element[0..255].multiplier");
}

TEST(AccelergyArt, AddsUpToTheMachine) {
  for (const std::string format : {"\"e2m4\"", "\"int8\"", "\"fp32\""}) {
    const Results run = results(format);
    const Machine machine = machine_of(run, laws());
    const YAML::Node art = YAML::Load(accelergy_art(run, "r.json", laws()))["ART"];
    EXPECT_EQ(art["version"].as<double>(), 0.3);
    double sum = 0;
    for (const YAML::Node& table : art["tables"]) {
      sum += table["area"].as<double>() * static_cast<double>(instances(table["name"].as<std::string>()));
    }
    EXPECT_NEAR(sum, energy::machine_area(machine.cost, machine.units).total(), 1e-9 * sum) << format;
  }
}

TEST(AccelergyTables, RefuseWhatIsNoSingleMachine) {
  const Results mixed = results(R"({"activation": "e2m4", "weight": "e2m4", "error": "e2m1"})");
  EXPECT_THAT(error_of([&] { accelergy_ert(mixed, "r.json", laws()); }),
              HasSubstr("r.json: at layer conv: expected the format e2m4"));
  EXPECT_THAT(error_of([&] { accelergy_art(mixed, "r.json", laws()); }), HasSubstr("one machine"));
  EXPECT_EQ(error_of([] { accelergy_art(results(), "r.json", energy::Laws(energy::find_cost_table("tpuv4i-7nm"))); }),
            "the cost table tpuv4i-7nm has no areas, expected one that has");
}

TEST(AccelergyErt, ReadsBackTheSamePrices) {
  const Results run = results();
  const OwnPrices own = parse_accelergy_ert(accelergy_ert(run, "r.json", laws()), "own.yaml");
  const Price from_table = price(work_of(run), laws());
  const Price from_ert = price(work_of(run), laws(), {own});
  for (std::size_t pass = 0; pass < 3; ++pass) {
    const PassPrice& left = from_table.layers[0][pass];
    const PassPrice& right = from_ert.layers[0][pass];
    EXPECT_DOUBLE_EQ(left.energy.computing().value, right.energy.computing().value);
    EXPECT_DOUBLE_EQ(left.energy.memory().value, right.energy.memory().value);
    EXPECT_EQ(right.energy.computing().low, right.energy.computing().high) << "an ERT has no error bars";
    EXPECT_EQ(left.baselines[0].energy_pj, right.baselines[0].energy_pj);
  }
}

TEST(AccelergyErt, TakesTheOperationsThatItNames) {
  const OwnPrices own = parse_accelergy_ert(R"(
ERT:
  version: 0.3
  tables:
  - name: chip.pe[0..3].mac
    actions:
    - {name: mantissa_multiply, arguments: null, energy: 0.5}
    - {name: idle, energy: 0.1}
)",
                                            "own.yaml");
  EXPECT_EQ(own, (OwnPrices{{Operation::kMantissaMultiply, 0.5}}));
  const Price priced = price(work_of(results()), laws(), {own});
  const energy::Breakdown& forward = priced.layers[0][0].energy;
  EXPECT_DOUBLE_EQ(forward.energy_pj[Operation::kMantissaMultiply].value,
                   0.5 * static_cast<double>(forward.counts[Operation::kMantissaMultiply]));
  EXPECT_DOUBLE_EQ(forward.energy_pj[Operation::kExponentAdd].value,
                   0.0075 * static_cast<double>(forward.counts[Operation::kExponentAdd]));
}

// Every format, with values whose zeros and changing bits are counted, under every activity.
TEST(AccelergyErt, ReadBackGivesTheFiguresThatItWasMadeOf) {
  for (const char* const format : {"e2m4", "e2m1/k16", "nvfp4", "mxfp4", "mxint8", "fp32", "int8"}) {
    for (const char* const rounding : {"nearest", "stochastic"}) {
      const std::string text = R"({"schema": "mlsim.workload/1", "name": "w", "seed": 1, "format": ")" +
                               std::string(format) + R"(", "rounding": {"error": ")" + rounding + R"("},
        "layers": [{"name": "conv", "type": "conv2d", "batch": 2, "in_channels": 20, "out_channels": 4, "in_size": [8, 8],
                    "kernel": [3, 3], "padding": [1, 1], "values": {}}]})";
      const Results run = simulate(workloads::parse_workload(text, "workload", "."), {}, [](const std::string&) {});
      const OwnPrices own = parse_accelergy_ert(accelergy_ert(run, "r.json", laws()), "own.yaml");
      for (const evaluation::Activity activity : evaluation::kActivities) {
        const Price from_table = price(work_of(run), laws(), {{}, activity});
        const Price from_ert = price(work_of(run), laws(), {own, activity});
        for (std::size_t pass = 0; pass < 3; ++pass) {
          const energy::Breakdown& left = from_table.layers[0][pass].energy;
          const energy::Breakdown& right = from_ert.layers[0][pass].energy;
          for (const Operation operation : energy::kOperations) {
            EXPECT_NEAR(right.energy_pj[operation].value, left.energy_pj[operation].value,
                        1e-12 * left.energy_pj[operation].value)
                << format << " " << rounding << " " << to_string(activity) << " " << pass << " " << name(operation);
          }
        }
      }
    }
  }
}

TEST(AccelergyErt, ReadsBothVersionsAndEmptyArguments) {
  for (const char* const version : {"0.3", "0.4", "'0.3'", "'0.4'"}) {
    for (const char* const arguments : {"", ", arguments: null", ", arguments: ~", ", arguments: {}"}) {
      const std::string text = std::string("ERT: {version: ") + version +
                               ", tables: [{name: a, actions: [{name: shift, energy: 1" + arguments + "}]}]}";
      EXPECT_EQ(parse_accelergy_ert(text, "own.yaml"), (OwnPrices{{Operation::kShift, 1}})) << text;
    }
  }
}

constexpr const char* kForeign = R"(
ERT:
  version: '0.4'
  tables:
  - name: chip.pe[0..3].mac
    actions:
    - {name: compute, arguments: {}, energy: 0.5}
    - {name: leak, arguments: {cycles: 1}, energy: 0.1}
  - name: chip.glb[0..1]
    actions:
    - {name: read, energy: 32}
    - {name: update, energy: 64}
    - {name: power_gate, energy: 1}
)";

TEST(AccelergyErt, ListsForeignActionsWithWhatWouldFit) {
  const std::string error = error_of([] { parse_accelergy_ert(kForeign, "own.yaml"); });
  EXPECT_THAT(error,
              testing::StartsWith("own.yaml: has actions that are no operations of mlsim, expected a map of them "
                                  "(--ert-map)"));
  EXPECT_THAT(error,
              HasSubstr("chip.pe.mac.compute (mantissa_multiply or float_multiply or integer_multiply); "
                        "chip.glb.read (sram_read); chip.glb.update (sram_write); chip.glb.power_gate (mantissa"));
}

TEST(AccelergyErt, TakesForeignActionsByAMap) {
  const auto read = [](const std::string& map) {
    return parse_accelergy_ert(kForeign, "own.yaml", parse_action_map(map, "map.yaml"));
  };
  const OwnPrices expected{
      {Operation::kMantissaMultiply, 0.5}, {Operation::kSramRead, 0.5}, {Operation::kSramWrite, 1.0}};
  const std::string rest = R"(
chip.glb.read: {operation: sram_read, bits: 64}
update: {operation: sram_write, bits: 64.0}
power_gate: null
)";
  for (const char* const name : {"chip.pe.mac.compute", "'chip.pe[0..3].mac.compute'", "compute"}) {
    EXPECT_EQ(read(name + std::string(": mantissa_multiply") + rest), expected) << name;
  }
  EXPECT_EQ(read(R"({"compute": "mantissa_multiply", "chip.glb.read": {"operation": "sram_read", "bits": 64},
                     "update": {"operation": "sram_write", "bits": 64}, "power_gate": null})"),
            expected);
  const auto error = [&](const std::string& map) { return error_of([&] { read(map); }); };
  EXPECT_EQ(error("compute: multiply" + rest),
            "map.yaml: /compute: is \"multiply\", expected an operation of mlsim (docs/energy.md) or null");
  EXPECT_EQ(error("compute: {operation: shift, bits: 0}" + rest),
            "map.yaml: /compute/bits: is 0, expected a number above 0");
  EXPECT_THAT(error("compute: {operation: shift, per: 2}" + rest),
              HasSubstr("map.yaml: /compute/per: is an unknown key"));
  EXPECT_EQ(error("compute: shift\nmac: shift" + rest),
            "map.yaml: /mac: is no action of own.yaml, expected one that it has");
  EXPECT_THAT(error("compute: sram_read" + rest),
              HasSubstr("own.yaml: /ERT/tables/1/actions/0/name: gives a second energy"));
  EXPECT_EQ(
      error("compute: {operation: shift, bits: 1.0e-320}" + rest),
      "own.yaml: /ERT/tables/0/actions/0/energy: is 0.5, expected an energy that is finite when divided by 1e-320 "
      "bits");
  EXPECT_EQ(error("[1]"), "map.yaml: is [1], expected an object");
  EXPECT_THAT(error("compute: mantissa_multiply"),
              HasSubstr("chip.glb.read (sram_read); chip.glb.update (sram_write)"));
}

TEST(AccelergyErt, RefusesWhatItCannotRead) {
  const auto sentence = [](const std::string& text) {
    return error_of([&] { parse_accelergy_ert(text, "own.yaml"); });
  };
  const auto action = [&](const std::string& keys) {
    return sentence("ERT: {version: 0.3, tables: [{name: a, actions: [" + keys + "]}]}");
  };
  EXPECT_EQ(sentence("ERT: [1"), "own.yaml: line 1, column 1: is no YAML: end of sequence flow not found");
  EXPECT_EQ(sentence("[]"), "own.yaml: is [], expected an object");
  EXPECT_EQ(sentence("{}"), "own.yaml: the key \"ERT\" is missing");
  EXPECT_EQ(sentence("ERT: {version: 0.2, tables: []}"), "own.yaml: /ERT/version: is 0.2, expected 0.3 or 0.4");
  EXPECT_EQ(sentence("ERT: {version: 0.3, tables: {}}"), "own.yaml: /ERT/tables: is {}, expected a list");
  EXPECT_EQ(sentence("ERT: {version: '0.3', tables: []}"),
            "own.yaml: /ERT/tables: has no operation of mlsim, expected one or more");
  EXPECT_EQ(sentence("ERT: {version: 0.3, tables: [{name: a}]}"),
            "own.yaml: /ERT/tables/0: the key \"actions\" is missing");
  EXPECT_EQ(action("{name: mac_random, energy: 1}"),
            "own.yaml: has actions that are no operations of mlsim, expected a map of them (--ert-map) or the names of "
            "what they may stand for: a.mac_random (mantissa_multiply or float_multiply or integer_multiply)");
  EXPECT_EQ(action("{name: shift, energy: -1}"),
            "own.yaml: /ERT/tables/0/actions/0/energy: is -1, expected a number of 0 or more");
  for (const char* wrong : {"nan", ".nan", ".inf", "[1]", "'1'", "~"}) {
    EXPECT_THAT(action("{name: shift, energy: " + std::string(wrong) + "}"),
                HasSubstr(", expected a number of 0 or more"))
        << wrong;
  }
  EXPECT_THAT(action("{name: shift}"), HasSubstr("/actions/0: the key \"energy\" is missing"));
  EXPECT_THAT(action("{name: shift, energy: 1, arguments: {delta: 1}}"),
              HasSubstr("/arguments: is {\"delta\":1}, expected null or {}"));
  EXPECT_THAT(action("{name: shift, energy: 1}, {name: shift, energy: 1}"),
              HasSubstr("/actions/1/name: gives a second energy of shift, expected one"));
  EXPECT_THROW(load_accelergy_ert("no-such.yaml"), std::runtime_error);
}

}  // namespace
}  // namespace mlsim::app
