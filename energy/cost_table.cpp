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
#include "base/json_reader.h"

namespace mlsim::energy {
namespace {

using base::JsonReader;
using base::refuse;
using nlohmann::json;

constexpr auto kShipped = std::to_array<std::pair<std::string_view, std::string_view>>({
#include "shipped_cost_tables.inc"
});

constexpr auto kVariants = std::to_array<std::pair<std::string_view, std::string_view>>({
#include "cost_table_variants.inc"
});

constexpr std::string_view kSchema = "mlsim.cost_table/1";

constexpr std::string_view kDramFile = "dram.json";
constexpr std::string_view kDramSchema = "mlsim.dram/1";
constexpr std::string_view kDramFigures =
#include "dram_figures.inc"
    ;

// A figure of a table. Within these bounds no sum of a report leaves binary64.
double figure_at(const JsonReader& node) {
  constexpr double kSmallest = 1e-12;
  constexpr double kLargest = 1e12;
  const double value = node.number_above(0);
  if (value < kSmallest || value > kLargest) {
    node.refuse_value(fmt::format("a number from {:g} to {:g}", kSmallest, kLargest));
  }
  return value;
}

// Areas of a table: either everything has one or nothing has.
class Areas {
 public:
  explicit Areas(bool has_area) : has_area_(has_area) {}

  double of(const JsonReader& node) const {
    if (has_area_) return figure_at(node["area_um2"]);
    refuse_any(node, "area_um2");
    return std::numeric_limits<double>::quiet_NaN();
  }
  Cost cost(const JsonReader& node) const { return {figure_at(node["energy_pj"]), of(node)}; }

  bool exist() const { return has_area_; }
  // Refuses a key that speaks of area where the table has none.
  void refuse_any(const JsonReader& node, const std::string& key) const {
    if (!has_area_ && node.has(key)) node[key].refuse("expected no area, since the table's units name none");
  }

 private:
  bool has_area_;
};

int width_of(const JsonReader& node, std::uint64_t least = 1) {
  constexpr std::uint64_t kMostBits = 4096;
  return node["width"].integer<int>(least, kMostBits, " bits");
}

// Reading or writing a bit of DRAM: of a technology, or where a table names none.
struct DramFigures {
  std::optional<Range> any;
  std::array<std::optional<Range>, kDramTechnologyCount> by_technology;
};

// Figures as they are read, before completeness is checked.
struct Figures {
  std::vector<WidthPoint> integer_add;
  std::vector<WidthPoint> integer_multiply;
  std::array<std::optional<Cost>, kFloatFormats.size()> float_add;
  std::array<std::optional<Cost>, kFloatFormats.size()> float_multiply;
  std::vector<SramPoint> sram_read;
  DramFigures dram;
};

void read_integer(const JsonReader& node, const Areas& areas, std::uint64_t smallest, std::vector<WidthPoint>& points) {
  node.refuse_unknown({"operation", "width", "energy_pj", "area_um2", "source", "derived"});
  const WidthPoint point{width_of(node, smallest), areas.cost(node)};
  for (const WidthPoint& other : points) {
    if (other.width == point.width) node["width"].refuse(fmt::format("a second figure of {} bits", point.width));
  }
  points.push_back(point);
}

void read_float(const JsonReader& node, const Areas& areas,
                std::array<std::optional<Cost>, kFloatFormats.size()>& costs) {
  node.refuse_unknown({"operation", "format", "width", "energy_pj", "area_um2", "source", "derived"});
  std::array<std::string, kFloatFormats.size()> names;
  std::transform(kFloatFormats.begin(), kFloatFormats.end(), names.begin(),
                 [](models::BaselineFormat format) { return models::to_string(format); });
  const std::vector<std::string_view> views(names.begin(), names.end());
  const std::size_t index = node["format"].one_of(views);
  const int bits = models::element_bits(kFloatFormats[index]);
  if (costs[index]) node["format"].refuse(fmt::format("a second figure of {}", names[index]));
  if (width_of(node) != bits) {
    node["width"].refuse_value(fmt::format("{}, the width of {}", bits, names[index]));
  }
  costs[index] = areas.cost(node);
}

void read_sram(const JsonReader& node, std::vector<SramPoint>& points) {
  node.refuse_unknown({"operation", "capacity_bytes", "width", "energy_pj", "source", "derived"});
  const SramPoint point{figure_at(node["capacity_bytes"]), width_of(node), figure_at(node["energy_pj"])};
  for (const SramPoint& other : points) {
    if (other.capacity_bytes == point.capacity_bytes) {
      node["capacity_bytes"].refuse(fmt::format("a second figure of {} bytes", point.capacity_bytes));
    }
  }
  points.push_back(point);
}

void read_dram(const JsonReader& node, DramFigures& figures) {
  node.refuse_unknown(
      {"operation", "technology", "width", "energy_pj", "energy_low_pj", "energy_high_pj", "source", "derived"});
  const std::optional<std::size_t> technology =
      node.has("technology") ? std::optional(node["technology"].one_of(kDramTechnologyNames)) : std::nullopt;
  std::optional<Range>& dram_bit = technology ? figures.by_technology[*technology] : figures.any;
  if (dram_bit) {
    node[technology ? "technology" : "operation"].refuse(
        fmt::format("a second figure of {}", technology ? kDramTechnologyNames[*technology] : "dram_access"));
  }
  const double width = width_of(node);
  const Range energy{figure_at(node["energy_low_pj"]), figure_at(node["energy_pj"]), figure_at(node["energy_high_pj"])};
  if (energy.low > energy.value || energy.value > energy.high) {
    node.refuse("expected energy_low_pj <= energy_pj <= energy_high_pj");
  }
  dram_bit = energy * (1 / width);
}

Figures read_figures(const JsonReader& list, const Areas& areas) {
  Figures figures;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const JsonReader node = list[i];
    const std::size_t operation = node["operation"].one_of(
        {"integer_add", "integer_multiply", "float_add", "float_multiply", "sram_read", "dram_access"});
    node["source"].nonempty_text();
    if (node.has("derived")) node["derived"].flag();
    switch (operation) {
      case 0:
        read_integer(node, areas, 1, figures.integer_add);
        break;
      case 1:
        read_integer(node, areas, 2, figures.integer_multiply);
        break;
      case 2:
        read_float(node, areas, figures.float_add);
        break;
      case 3:
        read_float(node, areas, figures.float_multiply);
        break;
      case 4:
        read_sram(node, figures.sram_read);
        break;
      default:
        read_dram(node, figures.dram);
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
      refuse(file, "/figures",
             fmt::format("expected a figure of {} in {}", operation, models::to_string(kFloatFormats[i])));
    }
    result[i] = *costs[i];
  }
  const Cost& fp32 = result[static_cast<std::size_t>(models::BaselineFormat::kFp32)];
  const Cost& fp16 = result[static_cast<std::size_t>(models::BaselineFormat::kFp16)];
  if (fp32.energy_pj < fp16.energy_pj || fp32.area_um2 < fp16.area_um2) {
    refuse(file, "/figures", fmt::format("expected {} in fp32 to cost no less than in fp16", operation));
  }
  return result;
}

// The area law of float multipliers is a·f(M+1, M+1) + b·bits through fp16 (110, 16) and fp32 (552, 32); neither a nor
// b may be negative.
void check_multiplier_area(const CostTable& table, const std::string& file) {
  const double ratio = table.float_multiply[static_cast<std::size_t>(models::BaselineFormat::kFp32)].area_um2 /
                       table.float_multiply[static_cast<std::size_t>(models::BaselineFormat::kFp16)].area_um2;
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

Range densities(const JsonReader& node, const std::string& name) {
  const Range range{figure_at(node[name + "_low_mw_per_mm2"]), figure_at(node[name + "_mw_per_mm2"]),
                    figure_at(node[name + "_high_mw_per_mm2"])};
  if (range.low > range.value || range.value > range.high) {
    node.refuse(fmt::format("expected {0}_low_mw_per_mm2 <= {0}_mw_per_mm2 <= {0}_high_mw_per_mm2", name));
  }
  return range;
}

bool is_given(const JsonReader& root, const std::string& key) {
  return root.has(key) && !root[key].json().is_null();
}

// What time costs, where the table says so.
void read_standing(const JsonReader& root, CostTable& table) {
  if (is_given(root, "leakage")) {
    const JsonReader node = root["leakage"];
    if (!table.has_area) node.refuse("expected none, since the table has no areas");
    node.refuse_unknown({"logic_mw_per_mm2", "logic_low_mw_per_mm2", "logic_high_mw_per_mm2", "memory_mw_per_mm2",
                         "memory_low_mw_per_mm2", "memory_high_mw_per_mm2", "source", "error"});
    node["source"].nonempty_text();
    node["error"].nonempty_text();
    table.leakage = {densities(node, "logic"), densities(node, "memory")};
  }
  if (is_given(root, "idle_clocking")) {
    const JsonReader node = root["idle_clocking"];
    node.refuse_unknown({"clocked_share", "source"});
    node["source"].nonempty_text();
    table.idle_clocked_share = node["clocked_share"].number(0, 1);
  }
}

// A shipped table with what this one says beside.
CostTable read_based(const JsonReader& root, std::string_view text) {
  root.refuse_unknown({"schema", "name", "based_on", "source", "leakage", "idle_clocking"});
  const std::vector<std::string_view> names = shipped_cost_tables();
  const std::size_t base = root["based_on"].one_of(names);
  CostTable table = parse_cost_table(kShipped.at(base).second, std::string(names[base]));
  table.name = root["name"].nonempty_text();
  table.content_hash = base::Hash().add(kShipped.at(base).second).add(text).value();
  if (root.has("source")) table.source += "; " + root["source"].nonempty_text();
  read_standing(root, table);
  return table;
}

// The table's own figures and, of other technologies, the common ones.
std::array<Range, kDramTechnologyCount> complete_dram(const DramFigures& own) {
  const json document = base::parse_json(kDramFigures, std::string(kDramFile));
  const JsonReader root(document, std::string(kDramFile));
  root.refuse_unknown({"schema", "figures"});
  root["schema"].one_of({kDramSchema});
  const Figures common = read_figures(root["figures"], Areas(false));
  std::array<Range, kDramTechnologyCount> complete;
  for (std::size_t i = 0; i < complete.size(); ++i) {
    const std::optional<Range>& figure = own.by_technology[i] ? own.by_technology[i] : common.dram.by_technology[i];
    if (!figure) {
      refuse(root.file(), "/figures", fmt::format("expected a figure of dram_access in {}", kDramTechnologyNames[i]));
    }
    complete[i] = *figure;
  }
  return complete;
}

// A law's object: its constants, its source and its error.
JsonReader law(const JsonReader& laws, const std::string& key, std::initializer_list<std::string_view> keys) {
  JsonReader node = laws[key];
  node.refuse_unknown(keys);
  node["source"].nonempty_text();
  node["error"].nonempty_text();
  return node;
}

LawConstants read_laws(const JsonReader& laws, const Areas& areas) {
  laws.refuse_unknown({"multiplier_row", "shifter", "register", "sign_and_clear", "processing_element", "sram_area"});
  LawConstants constants;
  constants.multiplier_row = areas.cost(law(laws, "multiplier_row", {"energy_pj", "area_um2", "source", "error"}));
  constants.shifter = areas.cost(law(laws, "shifter", {"energy_pj", "area_um2", "source", "error"}));
  const JsonReader registers =
      law(laws, "register", {"clock_energy_pj", "data_energy_pj", "area_um2", "source", "error"});
  constants.register_clock_pj = figure_at(registers["clock_energy_pj"]);
  constants.register_data_pj = figure_at(registers["data_energy_pj"]);
  constants.register_area = areas.of(registers);
  constants.sign_and_clear = areas.cost(law(laws, "sign_and_clear", {"energy_pj", "area_um2", "source", "error"}));
  const JsonReader element =
      law(laws, "processing_element",
          {"multiplier_factor", "shift_energy_pj", "product_energy_pj", "accumulator_energy_pj", "source", "error"});
  constants.element_multiplier_factor = figure_at(element["multiplier_factor"]);
  constants.element_shift_pj = figure_at(element["shift_energy_pj"]);
  constants.element_product_pj = figure_at(element["product_energy_pj"]);
  constants.element_accumulator_pj = figure_at(element["accumulator_energy_pj"]);
  areas.refuse_any(laws, "sram_area");
  constants.sram_cell_area = std::numeric_limits<double>::quiet_NaN();
  constants.sram_array_efficiency = 1;
  if (areas.exist()) {
    const JsonReader sram = law(laws, "sram_area", {"cell_area_um2", "array_efficiency", "source", "error"});
    constants.sram_cell_area = figure_at(sram["cell_area_um2"]);
    constants.sram_array_efficiency = figure_at(sram["array_efficiency"]);
    if (constants.sram_array_efficiency > 1) sram["array_efficiency"].refuse_value("a share of at most 1");
  }
  return constants;
}

ErrorBars read_error_bars(const JsonReader& node) {
  node.refuse_unknown({"integer", "shifter", "float_factor", "source"});
  node["source"].nonempty_text();
  const ErrorBars bars{node["integer"].number(0), node["shifter"].number(0), node["float_factor"].number(0)};
  if (bars.integer >= 1) node["integer"].refuse_value("a relative error below 1");
  if (bars.shifter >= 1) node["shifter"].refuse_value("a relative error below 1");
  if (bars.float_factor < 1) node["float_factor"].refuse_value("a factor of 1 or more");
  return bars;
}

}  // namespace

CostTable parse_cost_table(std::string_view text, const std::string& file) {
  const json document = base::parse_json(text, file);
  const JsonReader root(document, file);
  if (root.has("based_on")) {
    root["schema"].one_of({kSchema});
    return read_based(root, text);
  }
  root.refuse_unknown({"schema", "name", "node_nm", "voltage_v", "units", "source", "figures", "laws", "error_bars",
                       "leakage", "idle_clocking"});
  root["schema"].one_of({kSchema});
  const JsonReader units = root["units"];
  units.refuse_unknown({"energy", "area"});
  units["energy"].one_of({"pJ"});
  if (units.has("area")) units["area"].one_of({"um2"});
  const Areas areas(units.has("area"));

  const Figures figures = read_figures(root["figures"], areas);
  CostTable table;
  table.name = root["name"].nonempty_text();
  table.content_hash = base::Hash().add(text).value();
  table.node_nm = figure_at(root["node_nm"]);
  if (root.has("voltage_v")) table.voltage_v = figure_at(root["voltage_v"]);
  table.source = root["source"].nonempty_text();
  table.has_area = areas.exist();
  table.integer_add = complete_integer(figures.integer_add, "integer_add", file);
  table.integer_multiply = complete_integer(figures.integer_multiply, "integer_multiply", file);
  table.float_add = complete_float(figures.float_add, "float_add", file);
  table.float_multiply = complete_float(figures.float_multiply, "float_multiply", file);
  check_multiplier_area(table, file);
  table.sram_read = complete_sram(figures.sram_read, file);
  if (!figures.dram.any) refuse(file, "/figures", "expected a figure of dram_access without a technology");
  table.dram_bit_pj = *figures.dram.any;
  table.dram_technology_bit_pj = complete_dram(figures.dram);
  table.laws = read_laws(root["laws"], areas);
  table.error_bars = read_error_bars(root["error_bars"]);
  read_standing(root, table);
  return table;
}

CostTable load_cost_table(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) {
    std::vector<std::string_view> names = shipped_cost_tables();
    for (const auto& [table, text] : kVariants) names.push_back(table);
    base::refuse(path.string(), "",
                 fmt::format("cannot be read, expected the file of a cost table, or one of the shipped {}",
                             fmt::join(names, ", ")));
  }
  CostTable table = parse_cost_table(base::read_text(path), path.string());
  table.file = path;
  return table;
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
  for (const auto& [table, text] : kVariants) {
    if (table == name_or_file) return parse_cost_table(text, name_or_file);
  }
  return load_cost_table(name_or_file);
}

}  // namespace mlsim::energy
