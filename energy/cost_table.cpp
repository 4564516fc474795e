#include "energy/cost_table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <initializer_list>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/hash.h"
#include "base/input_file.h"
#include "base/json.h"

namespace mlsim::energy {
namespace {

using nlohmann::json;

constexpr auto kShipped = std::to_array<std::pair<std::string_view, std::string_view>>({
#include "shipped_cost_tables.inc"
});

constexpr std::string_view kSchema = "mlsim.cost_table/1";

struct FloatDescription {
  std::string_view name;
  int bits;
  int mantissa;
};
constexpr std::array<FloatDescription, kFloatFormats.size()> kFloatDescriptions{
    {{"fp32", 32, 23}, {"fp16", 16, 10}, {"bf16", 16, 7}, {"fp8-e4m3", 8, 3}, {"fp8-e5m2", 8, 2}}};

[[noreturn]] void refuse(const std::string& file, const std::string& place, const std::string& reason) {
  throw std::runtime_error(fmt::format("{}: at {}: {}", file, place.empty() ? "/" : place, reason));
}

// An object of the file, with its place in it as a JSON pointer.
class Node {
 public:
  Node(const json& value, std::string file, std::string place)
      : value_(&value), file_(std::move(file)), place_(std::move(place)) {
    if (!value.is_object()) refuse(file_, place_, "expected an object");
  }

  [[noreturn]] void refuse_key(const std::string& key, const std::string& reason) const {
    refuse(file_, place_ + "/" + key, reason);
  }
  [[noreturn]] void refuse_here(const std::string& reason) const { refuse(file_, place_, reason); }

  // Refuses keys other than these.
  void allow(std::initializer_list<std::string_view> keys) const {
    for (const auto& item : value_->items()) {
      if (std::find(keys.begin(), keys.end(), item.key()) == keys.end()) {
        refuse_key(item.key(), fmt::format("unknown key, expected one of {}", fmt::join(keys, ", ")));
      }
    }
  }

  bool has(const std::string& key) const { return value_->contains(key); }

  const json& at(const std::string& key) const {
    if (!has(key)) refuse_here(fmt::format("expected the key \"{}\"", key));
    return (*value_)[key];
  }

  Node object(const std::string& key) const { return {at(key), file_, place_ + "/" + key}; }

  std::string text(const std::string& key) const {
    const json& value = at(key);
    if (!value.is_string() || value.get_ref<const std::string&>().empty()) {
      refuse_key(key, "expected a text that is not empty");
    }
    return value.get<std::string>();
  }

  void constant(const std::string& key, std::string_view expected) const {
    const json& value = at(key);
    if (value != expected) refuse_key(key, fmt::format("expected \"{}\", found {}", expected, value.dump()));
  }

  double number(const std::string& key) const {
    const json& value = at(key);
    if (!value.is_number() || value.get<double>() < 0) {
      refuse_key(key, fmt::format("expected a number of at least 0, found {}", value.dump()));
    }
    return value.get<double>();
  }

  double positive(const std::string& key) const {
    const double value = number(key);
    if (value == 0) refuse_key(key, "expected a number above 0, found 0");
    return value;
  }

  int width(const std::string& key) const {
    const json& value = at(key);
    if (!value.is_number_integer() || value < 1 || value > 4096) {
      refuse_key(key, fmt::format("expected a whole number of bits from 1 to 4096, found {}", value.dump()));
    }
    return value.get<int>();
  }

  bool flag(const std::string& key) const {
    const json& value = at(key);
    if (!value.is_boolean()) refuse_key(key, fmt::format("expected true or false, found {}", value.dump()));
    return value.get<bool>();
  }

 private:
  const json* value_;
  std::string file_;
  std::string place_;
};

// Areas of a table: either everything has one or nothing has.
class Areas {
 public:
  explicit Areas(bool has_area) : has_area_(has_area) {}

  double of(const Node& node) const {
    if (has_area_) return node.positive("area_um2");
    refuse(node, "area_um2");
    return std::numeric_limits<double>::quiet_NaN();
  }
  Cost cost(const Node& node) const { return {node.positive("energy_pj"), of(node)}; }

  bool exist() const { return has_area_; }
  // Refuses a key that speaks of area where the table has none.
  void refuse(const Node& node, const std::string& key) const {
    if (!has_area_ && node.has(key)) {
      node.refuse_key(key, "expected no area, since the table's units name none");
    }
  }

 private:
  bool has_area_;
};

// Figures as they are read, before completeness is checked.
struct Figures {
  std::vector<WidthPoint> integer_add;
  std::vector<WidthPoint> integer_multiply;
  std::array<std::optional<Cost>, kFloatFormats.size()> float_add;
  std::array<std::optional<Cost>, kFloatFormats.size()> float_multiply;
  std::vector<SramPoint> sram_read;
  std::optional<Range> dram_bit;
};

void read_integer(const Node& node, const Areas& areas, int smallest, std::vector<WidthPoint>& points) {
  node.allow({"operation", "width", "energy_pj", "area_um2", "source", "derived"});
  const WidthPoint point{node.width("width"), areas.cost(node)};
  if (point.width < smallest) {
    node.refuse_key("width", fmt::format("expected at least {} bits, found {}", smallest, point.width));
  }
  for (const WidthPoint& other : points) {
    if (other.width == point.width) node.refuse_key("width", fmt::format("a second figure of {} bits", point.width));
  }
  points.push_back(point);
}

void read_float(const Node& node, const Areas& areas, std::array<std::optional<Cost>, kFloatFormats.size()>& costs) {
  node.allow({"operation", "format", "width", "energy_pj", "area_um2", "source", "derived"});
  const std::string format = node.text("format");
  std::size_t index = 0;
  while (index < costs.size() && kFloatDescriptions[index].name != format) ++index;
  if (index == costs.size()) {
    node.refuse_key("format", fmt::format("expected fp32, fp16, bf16, fp8-e4m3 or fp8-e5m2, found \"{}\"", format));
  }
  if (costs[index]) node.refuse_key("format", fmt::format("a second figure of {}", format));
  if (node.width("width") != kFloatDescriptions[index].bits) {
    node.refuse_key("width", fmt::format("expected {}, the width of {}", kFloatDescriptions[index].bits, format));
  }
  costs[index] = areas.cost(node);
}

void read_sram(const Node& node, std::vector<SramPoint>& points) {
  node.allow({"operation", "capacity_bytes", "width", "energy_pj", "source", "derived"});
  const SramPoint point{node.positive("capacity_bytes"), node.width("width"), node.positive("energy_pj")};
  for (const SramPoint& other : points) {
    if (other.capacity_bytes == point.capacity_bytes) {
      node.refuse_key("capacity_bytes", fmt::format("a second figure of {} bytes", point.capacity_bytes));
    }
  }
  points.push_back(point);
}

void read_dram(const Node& node, std::optional<Range>& dram_bit) {
  node.allow({"operation", "width", "energy_pj", "energy_low_pj", "energy_high_pj", "source", "derived"});
  if (dram_bit) node.refuse_key("operation", "a second figure of dram_access");
  const double width = node.width("width");
  const Range energy{node.positive("energy_low_pj"), node.positive("energy_pj"), node.positive("energy_high_pj")};
  if (energy.low > energy.value || energy.value > energy.high) {
    node.refuse_here("expected energy_low_pj <= energy_pj <= energy_high_pj");
  }
  dram_bit = energy * (1 / width);
}

Figures read_figures(const json& list, const Areas& areas, const std::string& file) {
  if (!list.is_array()) refuse(file, "/figures", "expected an array");
  Figures figures;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const Node node(list[i], file, fmt::format("/figures/{}", i));
    const std::string operation = node.text("operation");
    node.text("source");
    if (node.has("derived")) node.flag("derived");
    if (operation == "integer_add") {
      read_integer(node, areas, 1, figures.integer_add);
    } else if (operation == "integer_multiply") {
      read_integer(node, areas, 2, figures.integer_multiply);
    } else if (operation == "float_add") {
      read_float(node, areas, figures.float_add);
    } else if (operation == "float_multiply") {
      read_float(node, areas, figures.float_multiply);
    } else if (operation == "sram_read") {
      read_sram(node, figures.sram_read);
    } else if (operation == "dram_access") {
      read_dram(node, figures.dram_bit);
    } else {
      node.refuse_key("operation",
                      fmt::format("expected integer_add, integer_multiply, float_add, float_multiply, sram_read or "
                                  "dram_access, found \"{}\"",
                                  operation));
    }
  }
  return figures;
}

std::vector<WidthPoint> complete_integer(std::vector<WidthPoint> points, std::string_view operation,
                                         const std::string& file) {
  if (points.empty()) refuse(file, "/figures", fmt::format("expected a figure of {} at some width", operation));
  std::sort(points.begin(), points.end(),
            [](const WidthPoint& left, const WidthPoint& right) { return left.width < right.width; });
  for (std::size_t i = 1; i < points.size(); ++i) {
    if (points[i].cost.energy_pj < points[i - 1].cost.energy_pj ||
        points[i].cost.area_um2 < points[i - 1].cost.area_um2) {
      refuse(file, "/figures",
             fmt::format("expected {} at {} bits to cost no less than at {} bits", operation, points[i].width,
                         points[i - 1].width));
    }
  }
  return points;
}

std::array<Cost, kFloatFormats.size()> complete_float(
    const std::array<std::optional<Cost>, kFloatFormats.size()>& costs, std::string_view operation,
    const std::string& file) {
  std::array<Cost, kFloatFormats.size()> result;
  for (std::size_t i = 0; i < costs.size(); ++i) {
    if (!costs[i]) {
      refuse(file, "/figures", fmt::format("expected a figure of {} in {}", operation, kFloatDescriptions[i].name));
    }
    result[i] = *costs[i];
  }
  const Cost& fp32 = result[static_cast<std::size_t>(FloatFormat::kFp32)];
  const Cost& fp16 = result[static_cast<std::size_t>(FloatFormat::kFp16)];
  if (fp32.energy_pj < fp16.energy_pj || fp32.area_um2 < fp16.area_um2) {
    refuse(file, "/figures", fmt::format("expected {} in fp32 to cost no less than in fp16", operation));
  }
  return result;
}

// The area law of float multipliers is a·f(M+1, M+1) + b·bits through fp16 (110, 16) and fp32 (552, 32); neither a nor
// b may be negative.
void check_multiplier_area(const CostTable& table, const std::string& file) {
  const double ratio = table.float_multiply[static_cast<std::size_t>(FloatFormat::kFp32)].area_um2 /
                       table.float_multiply[static_cast<std::size_t>(FloatFormat::kFp16)].area_um2;
  if (ratio < 2 || ratio > 552.0 / 110.0) {
    refuse(file, "/figures", "expected the area of float_multiply in fp32 to be 2 to 5.01 times that in fp16");
  }
}

std::vector<SramPoint> complete_sram(std::vector<SramPoint> points, const std::string& file) {
  std::sort(points.begin(), points.end(),
            [](const SramPoint& left, const SramPoint& right) { return left.capacity_bytes < right.capacity_bytes; });
  if (points.size() < 2) refuse(file, "/figures", "expected a figure of sram_read at two capacities or more");
  for (std::size_t i = 1; i < points.size(); ++i) {
    if (points[i].energy_pj / points[i].width < points[i - 1].energy_pj / points[i - 1].width) {
      refuse(file, "/figures",
             fmt::format("expected sram_read at {} bytes to cost no less a bit than at {} bytes",
                         points[i].capacity_bytes, points[i - 1].capacity_bytes));
    }
  }
  return points;
}

// A law's object: its constants, its source and its error.
Node law(const Node& laws, const std::string& key, std::initializer_list<std::string_view> keys) {
  Node node = laws.object(key);
  node.allow(keys);
  node.text("source");
  node.text("error");
  return node;
}

LawConstants read_laws(const Node& laws, const Areas& areas) {
  laws.allow({"multiplier_row", "shifter", "register", "sign_and_clear", "processing_element", "sram_area"});
  LawConstants constants;
  constants.multiplier_row = areas.cost(law(laws, "multiplier_row", {"energy_pj", "area_um2", "source", "error"}));
  constants.shifter = areas.cost(law(laws, "shifter", {"energy_pj", "area_um2", "source", "error"}));
  const Node registers = law(laws, "register", {"clock_energy_pj", "data_energy_pj", "area_um2", "source", "error"});
  constants.register_clock_pj = registers.positive("clock_energy_pj");
  constants.register_data_pj = registers.positive("data_energy_pj");
  constants.register_area = areas.of(registers);
  constants.sign_and_clear = areas.cost(law(laws, "sign_and_clear", {"energy_pj", "area_um2", "source", "error"}));
  const Node element =
      law(laws, "processing_element",
          {"multiplier_factor", "shift_energy_pj", "product_energy_pj", "accumulator_energy_pj", "source", "error"});
  constants.element_multiplier_factor = element.positive("multiplier_factor");
  constants.element_shift_pj = element.positive("shift_energy_pj");
  constants.element_product_pj = element.positive("product_energy_pj");
  constants.element_accumulator_pj = element.positive("accumulator_energy_pj");
  areas.refuse(laws, "sram_area");
  constants.sram_cell_area = std::numeric_limits<double>::quiet_NaN();
  constants.sram_array_efficiency = 1;
  if (areas.exist()) {
    const Node sram = law(laws, "sram_area", {"cell_area_um2", "array_efficiency", "source", "error"});
    constants.sram_cell_area = sram.positive("cell_area_um2");
    constants.sram_array_efficiency = sram.positive("array_efficiency");
    if (constants.sram_array_efficiency > 1) sram.refuse_key("array_efficiency", "expected a share of at most 1");
  }
  return constants;
}

ErrorBars read_error_bars(const Node& node) {
  node.allow({"integer", "shifter", "float_factor", "source"});
  node.text("source");
  const ErrorBars bars{node.number("integer"), node.number("shifter"), node.number("float_factor")};
  if (bars.integer >= 1) node.refuse_key("integer", "expected a relative error below 1");
  if (bars.shifter >= 1) node.refuse_key("shifter", "expected a relative error below 1");
  if (bars.float_factor < 1) node.refuse_key("float_factor", "expected a factor of at least 1");
  return bars;
}

}  // namespace

std::string_view name(FloatFormat format) {
  return kFloatDescriptions[static_cast<std::size_t>(format)].name;
}
int total_bits(FloatFormat format) {
  return kFloatDescriptions[static_cast<std::size_t>(format)].bits;
}
int mantissa_bits(FloatFormat format) {
  return kFloatDescriptions[static_cast<std::size_t>(format)].mantissa;
}

CostTable parse_cost_table(std::string_view text, const std::string& file) {
  const json document = base::parse_json(text, file);
  const Node root(document, file, "");
  root.allow({"schema", "name", "node_nm", "voltage_v", "units", "source", "figures", "laws", "error_bars"});
  root.constant("schema", kSchema);
  const Node units = root.object("units");
  units.allow({"energy", "area"});
  units.constant("energy", "pJ");
  if (units.has("area")) units.constant("area", "um2");
  const Areas areas(units.has("area"));

  const Figures figures = read_figures(root.at("figures"), areas, file);
  CostTable table;
  table.name = root.text("name");
  table.content_hash = base::Hash().add(text).value();
  table.node_nm = root.positive("node_nm");
  if (root.has("voltage_v")) table.voltage_v = root.positive("voltage_v");
  table.source = root.text("source");
  table.has_area = areas.exist();
  table.integer_add = complete_integer(figures.integer_add, "integer_add", file);
  table.integer_multiply = complete_integer(figures.integer_multiply, "integer_multiply", file);
  table.float_add = complete_float(figures.float_add, "float_add", file);
  table.float_multiply = complete_float(figures.float_multiply, "float_multiply", file);
  check_multiplier_area(table, file);
  table.sram_read = complete_sram(figures.sram_read, file);
  if (!figures.dram_bit) refuse(file, "/figures", "expected a figure of dram_access");
  table.dram_bit_pj = *figures.dram_bit;
  table.laws = read_laws(root.object("laws"), areas);
  table.error_bars = read_error_bars(root.object("error_bars"));
  return table;
}

CostTable load_cost_table(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) {
    base::refuse(path.string(), "",
                 fmt::format("cannot be read, expected the file of a cost table, or one of the shipped {}",
                             fmt::join(shipped_cost_tables(), ", ")));
  }
  return parse_cost_table(base::read_text(path), path.string());
}

std::vector<std::string_view> shipped_cost_tables() {
  std::vector<std::string_view> names;
  names.reserve(kShipped.size());
  for (const auto& [table, text] : kShipped) names.push_back(table);
  return names;
}

CostTable find_cost_table(const std::string& name_or_file) {
  for (const auto& [table, text] : kShipped) {
    if (table == name_or_file) return parse_cost_table(text, name_or_file);
  }
  return load_cost_table(name_or_file);
}

}  // namespace mlsim::energy
