#include "app/report/accelergy.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <stdexcept>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/input_file.h"
#include "base/json.h"
#include "base/json_reader.h"
#include "base/text.h"
#include "base/yaml.h"

namespace mlsim::app {
namespace {

using energy::Operation;
using evaluation::LayerRecord;
using evaluation::Machine;
using evaluation::machine_of;
using evaluation::OwnPrices;
using evaluation::Results;

constexpr const char* kVersionText = "0.3";
constexpr std::array kVersions{0.3, 0.4};  // that are read, as numbers or texts

std::int64_t units_of(const Machine& machine, std::string_view unit) {
  if (unit == "element") return machine.units.processing_elements;
  if (unit == "group_scale_unit") return machine.units.group_scale_units;
  if (unit == "quantizer") return machine.units.quantizers;
  if (unit == "operand_buffer") return machine.units.operand_buffers;
  return 1;
}

std::string name_of(const Machine& machine, const energy::Block& block) {
  std::string name = fmt::format("mlsim.{}", block.unit);
  const std::int64_t count = units_of(machine, block.unit);
  if (count > 1) name += fmt::format("[0..{}]", count - 1);
  return block.part.empty() ? name : fmt::format("{}.{}", name, block.part);
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

// A document of this kind has some ten kilobytes; nested brackets cost the parser hundredfold.
constexpr std::uint64_t kLargestYaml = std::uint64_t{1} << 20;

// pe for mlsim.pe[0..3]: a component without the ranges of its instances.
std::string without_ranges(const std::string& component) {
  std::string result;
  int depth = 0;
  for (const char c : component) {
    if (c == '[') ++depth;
    if (depth == 0) result += c;
    if (c == ']') --depth;
  }
  return result;
}

// Operations that an action may stand for, by the words in its name and its component's; all where none is told.
std::vector<std::string> fitting_operations(const std::string& component, const std::string& action) {
  using Words = std::vector<std::string_view>;
  // An action has a word of the first list, an operation then one of the second.
  static const std::vector<std::pair<Words, Words>> actions{{{"mac", "mul", "compute"}, {"multiply"}},
                                                            {{"accum", "add", "sum"}, {"accumulate", "add"}},
                                                            {{"shift"}, {"shift"}},
                                                            {{"reg", "latch"}, {"register"}},
                                                            {{"read", "load"}, {"_read"}},
                                                            {{"write", "update", "fill", "store"}, {"_write"}},
                                                            {{"quant", "round"}, {"quantize"}},
                                                            {{"random"}, {"random_bits"}}};
  static const std::vector<std::pair<Words, Words>> components{{{"dram", "lpddr", "hbm"}, {"dram"}},
                                                               {{"sram", "glb", "global", "shared"}, {"sram"}},
                                                               {{"buffer", "spad", "scratch"}, {"buffer"}}};
  const auto has = [](const std::string& text, const Words& words) {
    return std::any_of(words.begin(), words.end(), [&](auto word) { return text.find(word) != std::string::npos; });
  };
  const auto wanted = [&](const auto& table, const std::string& text) {
    const auto found = std::find_if(table.begin(), table.end(), [&](const auto& row) { return has(text, row.first); });
    return found == table.end() ? Words{""} : found->second;
  };
  const Words by_action = wanted(actions, base::lower(action));
  const bool memory = by_action == Words{"_read"} || by_action == Words{"_write"};
  const Words by_component = memory ? wanted(components, base::lower(component)) : Words{""};
  std::vector<std::string> names;
  for (const Operation operation : energy::kOperations) {
    if (energy::is_standing(operation)) continue;
    std::string name(energy::name(operation));
    if (has(name, by_action) && has(name, by_component)) names.push_back(std::move(name));
  }
  return names;
}

class ErtReader {
 public:
  ErtReader(std::string file, const ActionMap& map) : file_(std::move(file)), map_(map) {}

  OwnPrices read(const base::JsonReader& ert) {
    check_version(ert["version"]);
    const base::JsonReader tables = ert["tables"];
    for (std::size_t t = 0; t < tables.size(); ++t) {
      const std::string component = tables[t].has("name") ? tables[t]["name"].text() : "";
      const base::JsonReader actions = tables[t]["actions"];
      for (std::size_t a = 0; a < actions.size(); ++a) read_action(component, actions[a]);
    }
    refuse_foreign();
    for (const auto& [name, action] : map_.actions) {
      if (used_.contains(name)) continue;
      base::refuse(map_.file, "/" + base::pointer_token(name),
                   "is no action of " + file_ + ", expected one that it has");
    }
    if (prices_.empty()) tables.refuse("has no operation of mlsim, expected one or more");
    return std::move(prices_);
  }

 private:
  static void check_version(const base::JsonReader& version) {
    for (const double known : kVersions) {
      if (version.json() == known || version.json() == fmt::format("{}", known)) return;
    }
    version.refuse_value(fmt::format("{}", fmt::join(kVersions, " or ")));
  }

  const MappedAction* mapped(const std::string& component, const std::string& action) {
    for (const std::string& name :
         {fmt::format("{}.{}", component, action), fmt::format("{}.{}", without_ranges(component), action), action}) {
      const auto found = map_.actions.find(name);
      if (found == map_.actions.end()) continue;
      used_.insert(name);
      return &found->second;
    }
    return nullptr;
  }

  void read_action(const std::string& component, const base::JsonReader& action) {
    const base::JsonReader name = action["name"];
    const std::string text = name.text();
    double bits = 1;
    std::optional<Operation> operation;
    if (const MappedAction* const told = mapped(component, text)) {
      if (!told->operation) return;
      operation = told->operation;
      bits = told->bits;
    } else {
      if (text == "idle" || text == "leak") return;
      operation = energy::find_operation(text);
      if (!operation || energy::is_standing(*operation)) {
        foreign_.push_back(fmt::format("{}.{} ({})", without_ranges(component), text,
                                       fmt::join(fitting_operations(component, text), " or ")));
        return;
      }
    }
    check_arguments(action);
    const double price = action["energy"].number(0) / bits;
    if (!std::isfinite(price)) {
      action["energy"].refuse_value(fmt::format("an energy that is finite when divided by {} bits", bits));
    }
    if (!prices_.emplace(*operation, price).second) {
      name.refuse(fmt::format("gives a second energy of {}, expected one of each operation", energy::name(*operation)));
    }
  }

  // An action that depends on arguments has no one price.
  static void check_arguments(const base::JsonReader& action) {
    if (!action.has("arguments")) return;
    const nlohmann::json& arguments = action["arguments"].json();
    if (!arguments.is_null() && !(arguments.is_object() && arguments.empty())) {
      action["arguments"].refuse_value("null or {}, since an operation has one price");
    }
  }

  void refuse_foreign() const {
    if (foreign_.empty()) return;
    base::refuse(file_, "",
                 fmt::format("has actions that are no operations of mlsim, expected a map of them "
                             "(--ert-map) or the names of what they may stand for: {}",
                             fmt::join(foreign_, "; ")));
  }

  std::string file_;
  const ActionMap& map_;
  OwnPrices prices_;
  std::set<std::string> used_;
  std::vector<std::string> foreign_;
};

MappedAction mapped_action(const base::JsonReader& value) {
  MappedAction action;
  if (value.json().is_null()) return action;
  const bool with_bits = value.json().is_object();
  if (with_bits) value.refuse_unknown({"operation", "bits"});
  const base::JsonReader name = with_bits ? value["operation"] : value;
  if (name.json().is_string()) action.operation = energy::find_operation(name.text());
  if (!action.operation || energy::is_standing(*action.operation)) {
    name.refuse_value("an operation of mlsim (docs/energy.md)" + std::string(with_bits ? "" : " or null"));
  }
  if (with_bits && value.has("bits")) action.bits = value["bits"].number_above(0);
  return action;
}

}  // namespace

std::string accelergy_ert(const Results& results, const std::string& file, const energy::Laws& laws) {
  const Machine machine = one_machine(results, file, laws);
  std::vector<std::pair<std::string, YAML::Node>> tables;
  for (const Operation operation : energy::kOperations) {
    const double price = machine.cost.price_pj[operation].value;
    if (price == 0) continue;
    const std::string name = name_of(machine, energy::block_of(operation));
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
  const auto add = [&](const energy::Block& block, double area) {
    if (area == 0 || units_of(machine, block.unit) == 0) return;
    YAML::Node entry;
    entry["area"] = decimal(area);
    tables.emplace_back(name_of(machine, block), entry);
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

ActionMap parse_action_map(std::string_view text, const std::string& file) {
  const nlohmann::json document = base::parse_yaml(text, file);
  const base::JsonReader map(document, file);
  if (!document.is_object()) map.refuse_value("an object");
  ActionMap result{file, {}};
  for (const auto& [name, value] : document.items()) result.actions.emplace(name, mapped_action(map[name]));
  return result;
}

ActionMap load_action_map(const std::string& path) {
  return parse_action_map(base::read_text(path, kLargestYaml), path);
}

OwnPrices parse_accelergy_ert(std::string_view text, const std::string& file, const ActionMap& map) {
  const nlohmann::json document = base::parse_yaml(text, file);
  return ErtReader(file, map).read(base::JsonReader(document, file)["ERT"]);
}

OwnPrices load_accelergy_ert(const std::string& path, const ActionMap& map) {
  return parse_accelergy_ert(base::read_text(path, kLargestYaml), path, map);
}

}  // namespace mlsim::app
