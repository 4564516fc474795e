#include "app/report/accelergy.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/input_file.h"

namespace mlsim::app {
namespace {

using base::refuse;

using energy::Operation;
using evaluation::LayerRecord;
using evaluation::Machine;
using evaluation::machine_of;
using evaluation::OwnPrices;
using evaluation::Results;

constexpr const char* kVersion = "0.3";

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
  emitter << YAML::Key << "version" << YAML::Value << kVersion;
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

// The value of a key of a map that must have it.
YAML::Node member(const YAML::Node& map, const char* key, const std::string& file, const std::string& place) {
  if (!map.IsMap()) refuse(file, place, "expected a map");
  const YAML::Node value = map[key];
  if (!value) refuse(file, place, fmt::format("expected the key \"{}\"", key));
  return value;
}

std::string text_of(const YAML::Node& value, const std::string& file, const std::string& place) {
  if (!value.IsScalar()) refuse(file, place, "expected a text");
  return value.Scalar();
}

void read_action(const YAML::Node& action, const std::string& file, const std::string& place, OwnPrices& prices) {
  const std::string name = text_of(member(action, "name", file, place), file, place + "/name");
  if (name == "idle" || name == "leak") return;
  const std::optional<Operation> operation = energy::find_operation(name);
  if (!operation) {
    refuse(file, place + "/name", fmt::format("expected an operation of mlsim, idle or leak, found \"{}\"", name));
  }
  const YAML::Node arguments = action["arguments"];
  if (arguments && !arguments.IsNull()) refuse(file, place + "/arguments", "expected no arguments");
  double energy = 0;
  const YAML::Node value = member(action, "energy", file, place);
  if (!value.IsScalar() || !YAML::convert<double>::decode(value, energy) || !std::isfinite(energy) || energy < 0) {
    refuse(file, place + "/energy", "expected a number of at least 0");
  }
  if (!prices.emplace(*operation, energy).second) {
    refuse(file, place + "/name", fmt::format("a second energy of {}", name));
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
  YAML::Node root;
  try {
    root = YAML::Load(std::string(text));
  } catch (const YAML::Exception& error) {
    throw std::runtime_error(fmt::format("{}: at line {}: expected valid YAML", file, error.mark.line + 1));
  }
  const YAML::Node ert = member(root, "ERT", file, "");
  if (text_of(member(ert, "version", file, "/ERT"), file, "/ERT/version") != kVersion) {
    refuse(file, "/ERT/version", fmt::format("expected {}", kVersion));
  }
  const YAML::Node tables = member(ert, "tables", file, "/ERT");
  if (!tables.IsSequence()) refuse(file, "/ERT/tables", "expected a list of components");
  OwnPrices prices;
  for (std::size_t t = 0; t < tables.size(); ++t) {
    const std::string place = fmt::format("/ERT/tables/{}", t);
    const YAML::Node actions = member(tables[t], "actions", file, place);
    if (!actions.IsSequence()) refuse(file, place + "/actions", "expected a list of actions");
    for (std::size_t a = 0; a < actions.size(); ++a) {
      read_action(actions[a], file, fmt::format("{}/actions/{}", place, a), prices);
    }
  }
  if (prices.empty()) refuse(file, "/ERT/tables", "expected an action that is an operation of mlsim");
  return prices;
}

OwnPrices load_accelergy_ert(const std::string& path) {
  // A table of every action of a machine has some ten kilobytes; nested brackets cost the parser hundredfold.
  constexpr std::uint64_t kLargest = std::uint64_t{1} << 20;
  return parse_accelergy_ert(base::read_text(path, kLargest), path);
}

}  // namespace mlsim::app
