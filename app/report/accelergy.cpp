#include "app/report/accelergy.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "base/input_file.h"
#include "base/json_reader.h"
#include "base/yaml.h"

namespace mlsim::app {
namespace {

using energy::Operation;
using evaluation::LayerRecord;
using evaluation::Machine;
using evaluation::machine_of;
using evaluation::OwnPrices;
using evaluation::Results;

// Written as a number, and read as a text, too.
constexpr double kVersion = 0.3;
constexpr const char* kVersionText = "0.3";

// The component that does an operation: a unit of the machine and, in most, a block of it.
struct Component {
  std::string unit;
  std::string block;
  bool operator==(const Component&) const = default;
};

Component component_of(Operation operation) {
  switch (operation) {
    case Operation::kMantissaMultiply:
    case Operation::kFloatMultiply:
    case Operation::kIntegerMultiply:
      return {"element", "multiplier"};
    case Operation::kExponentAdd:
      return {"element", "exponent_adder"};
    case Operation::kShift:
      return {"element", "shifter"};
    case Operation::kIntegerAccumulate:
    case Operation::kFloatAccumulate:
      return {"element", "accumulator_adder"};
    case Operation::kRegister:
      return {"element", "registers"};
    case Operation::kGroupExponentAdd:
      return {"group_scale_unit", "exponent_adder"};
    case Operation::kShiftAndAdd:
      return {"group_scale_unit", "shift_and_add"};
    case Operation::kConvertToFloat:
      return {"group_scale_unit", "converter"};
    case Operation::kFloatAdd:
      return {"group_scale_unit", "float_adder"};
    case Operation::kTensorScale:
      return {"group_scale_unit", "tensor_scale"};
    case Operation::kQuantize:
    case Operation::kGroupQuantize:
    case Operation::kRandomBits:
      return {"quantizer", ""};
    case Operation::kBufferRead:
    case Operation::kBufferWrite:
      return {"operand_buffer", ""};
    case Operation::kSramRead:
    case Operation::kSramWrite:
      return {"sram", ""};
    case Operation::kDramRead:
    case Operation::kDramWrite:
      break;
  }
  return {"dram", ""};
}

std::int64_t units_of(const Machine& machine, const std::string& unit) {
  if (unit == "element") return machine.units.processing_elements;
  if (unit == "group_scale_unit") return machine.units.group_scale_units;
  if (unit == "quantizer") return machine.units.quantizers;
  if (unit == "operand_buffer") return machine.units.operand_buffers;
  return 1;
}

std::string name_of(const Machine& machine, const Component& component) {
  std::string name = "mlsim." + component.unit;
  const std::int64_t count = units_of(machine, component.unit);
  if (count > 1) name += fmt::format("[0..{}]", count - 1);
  return component.block.empty() ? name : name + "." + component.block;
}

// The shortest decimal that reads back as the same number. YAML 1.1 takes an exponent only after a decimal point.
std::string decimal(double value) {
  std::string text = fmt::format("{}", value);
  const std::size_t exponent = text.find('e');
  if (exponent != std::string::npos && text.find('.') == std::string::npos) text.insert(exponent, ".0");
  return text;
}

std::string document(const char* kind, const std::vector<std::pair<std::string, YAML::Node>>& tables) {
  YAML::Emitter emitter;
  emitter.SetNullFormat(YAML::LowerNull);
  emitter << YAML::BeginMap << YAML::Key << kind << YAML::Value << YAML::BeginMap;
  emitter << YAML::Key << "version" << YAML::Value << kVersionText;
  emitter << YAML::Key << "tables" << YAML::Value << YAML::BeginSeq;
  for (const auto& [name, entry] : tables) {
    emitter << YAML::BeginMap << YAML::Key << "name" << YAML::Value << name;
    for (const auto& item : entry) emitter << YAML::Key << item.first << YAML::Value << item.second;
    emitter << YAML::EndMap;
  }
  emitter << YAML::EndSeq << YAML::EndMap << YAML::EndMap;
  return std::string(emitter.c_str()) + "\n";
}

Machine one_machine(const Results& results, const std::string& file, const energy::Laws& laws) {
  const models::Format& format = results.layers.at(0).formats[models::Operand::kActivation];
  for (const LayerRecord& layer : results.layers) {
    for (const models::Operand operand : models::kOperands) {
      if (layer.formats[operand] == format) continue;
      throw std::runtime_error(fmt::format(
          "{}: at layer {}: expected the format {} of the first layer, since Accelergy's tables describe one machine, "
          "found {} for the {}",
          file, layer.name, models::to_string(format), models::to_string(layer.formats[operand]),
          models::to_string(operand)));
    }
  }
  return machine_of(results, laws);
}

void read_action(const base::JsonReader& action, OwnPrices& prices) {
  const base::JsonReader name = action["name"];
  const std::string text = name.text();
  if (text == "idle" || text == "leak") return;
  const std::optional<Operation> operation = energy::find_operation(text);
  if (!operation) name.refuse_value("an operation of mlsim, idle or leak");
  if (action.has("arguments") && !action["arguments"].json().is_null()) action["arguments"].refuse_value("null");
  if (!prices.emplace(*operation, action["energy"].number(0)).second) {
    name.refuse(fmt::format("has a second energy of {}, expected one of each operation", text));
  }
}

}  // namespace

std::string accelergy_ert(const Results& results, const std::string& file, const energy::Laws& laws) {
  const Machine machine = one_machine(results, file, laws);
  std::vector<std::pair<std::string, YAML::Node>> tables;
  for (const Operation operation : energy::kOperations) {
    const double price = machine.cost.price_pj[operation].value;
    if (price == 0) continue;
    const std::string name = name_of(machine, component_of(operation));
    auto table = std::find_if(tables.begin(), tables.end(), [&](const auto& entry) { return entry.first == name; });
    if (table == tables.end()) table = tables.insert(tables.end(), {name, YAML::Node()});
    YAML::Node action;
    action["name"] = std::string(energy::name(operation));
    action["arguments"] = YAML::Node(YAML::NodeType::Null);
    action["energy"] = decimal(price);
    table->second["actions"].push_back(action);
  }
  return document("ERT", tables);
}

std::string accelergy_art(const Results& results, const std::string& file, const energy::Laws& laws) {
  if (!laws.table().has_area) {
    throw std::runtime_error(fmt::format("the cost table {} has no areas, expected one that has", laws.table().name));
  }
  const Machine machine = one_machine(results, file, laws);
  std::vector<std::pair<std::string, YAML::Node>> tables;
  const auto add = [&](const Component& component, double area) {
    if (area == 0 || units_of(machine, component.unit) == 0) return;
    YAML::Node entry;
    entry["area"] = decimal(area);
    tables.emplace_back(name_of(machine, component), entry);
  };
  double registers = 0;
  for (const energy::AreaBlock& block : machine.cost.processing_element.blocks) {
    const bool stores = block.name.ends_with("_register") || block.name.ends_with("_registers");
    if (stores || block.name == "sign_and_clear") {
      registers += block.area_um2;
    } else {
      add({"element", block.name}, block.area_um2);
    }
  }
  add({"element", "registers"}, registers);
  for (const energy::AreaBlock& block : machine.cost.group_scale_unit.blocks) {
    add({"group_scale_unit", block.name}, block.area_um2);
  }
  add({"quantizer", ""}, machine.cost.quantizer.total());
  add({"operand_buffer", ""}, machine.cost.operand_buffer_area_um2);
  add({"sram", ""}, machine.cost.sram_area_um2);
  return document("ART", tables);
}

OwnPrices parse_accelergy_ert(std::string_view text, const std::string& file) {
  const nlohmann::json document = base::parse_yaml(text, file);
  const base::JsonReader ert = base::JsonReader(document, file)["ERT"];
  if (const base::JsonReader version = ert["version"]; version.json() != kVersion && version.json() != kVersionText) {
    version.refuse_value(kVersionText);
  }
  OwnPrices prices;
  const base::JsonReader tables = ert["tables"];
  for (std::size_t t = 0; t < tables.size(); ++t) {
    const base::JsonReader actions = tables[t]["actions"];
    for (std::size_t a = 0; a < actions.size(); ++a) read_action(actions[a], prices);
  }
  if (prices.empty()) tables.refuse("has no operation of mlsim, expected one or more");
  return prices;
}

OwnPrices load_accelergy_ert(const std::string& path) {
  // A table of every action of a machine has some ten kilobytes; nested brackets cost the parser hundredfold.
  constexpr std::uint64_t kLargest = std::uint64_t{1} << 20;
  return parse_accelergy_ert(base::read_text(path, kLargest), path);
}

}  // namespace mlsim::app
