#include "app/report/sweep_report.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/report/report_tables.h"
#include "base/json.h"
#include "evaluation/results.h"

namespace mlsim::app {

using evaluation::count_text;
using evaluation::csv_cell;
using evaluation::decibels_text;
using evaluation::overflows_text;
using evaluation::picojoules_each;
using Json = nlohmann::ordered_json;

namespace {

std::string cell(const Json& value) {
  if (value.is_null()) return "";
  if (value.is_string()) return csv_cell(value.get<std::string>());
  return base::to_text(value);
}

std::vector<std::string> front_names(const evaluation::SweepSetting& setting) {
  std::vector<std::string> names;
  for (const evaluation::Objective objective : setting.front) names.emplace_back(to_string(objective));
  return names;
}

// Rows x columns, x multipliers of an element where they are several, / elements of a group-scale unit.
std::string array_text(const Json& point) {
  const int taps = point.value("taps_per_cycle", 1);
  return fmt::format("{}{}x{}{}/{}", point.value("dataflow", "") == "weight-stationary" ? "WS " : "",
                     point["rows"].get<int>(), point["columns"].get<int>(), taps > 1 ? fmt::format("x{}", taps) : "",
                     point["elements_per_scaler"].get<int>());
}

}  // namespace

std::string sweep_csv(const evaluation::SweepSetting& setting, const std::vector<Json>& rows) {
  std::string text;
  for (const Json& row : rows) {
    std::string header;
    std::string line;
    for (const auto& [key, value] : row.items()) {
      if (key == "passes") {
        for (const auto& [pass, entry] : value.items()) {
          for (const auto& [name, number] : entry.items()) {
            header += fmt::format(",{}_{}", pass, name);
            line += "," + cell(number);
          }
        }
      } else {
        header += "," + key;
        line += "," + cell(value);
      }
    }
    if (text.empty()) text = header.substr(1) + ",workload,engine,activity,cost_table,front\n";
    text += fmt::format("{},{},{},{},{},{}\n", line.substr(1), csv_cell(setting.workload.name),
                        to_string(setting.engine), to_string(setting.activity),
                        csv_cell(table_name(setting.laws.table())), fmt::join(front_names(setting), " "));
  }
  return text;
}

Json sweep_json(const evaluation::SweepSetting& setting, const std::vector<Json>& rows) {
  return {{"schema", "mlsim.sweep/1"},
          {"workload", setting.workload.name},
          {"engine", to_string(setting.engine)},
          {"activity", to_string(setting.activity)},
          {"cost_table", table_name(setting.laws.table())},
          {"front", front_names(setting)},
          {"points", rows}};
}

std::string sweep_table(const Json& sweep) {
  const Json& points = sweep["points"];
  std::size_t width = 18;
  for (const Json& point : points) width = std::max(width, point["format"].get_ref<const std::string&>().size());
  std::string text = fmt::format("{:<{}} {:>32}\n{:<{}} {:>5} {:>12} {:>10} {:>9} {:>11} {:>10} {:>9} {:>8} {:>9}\n",
                                 "", width + 18, "energy of a multiply-add, pJ", "format", width, "acc.", "array",
                                 "operations", "computing", "with memory", "cycles", "mm²", "SQNR dB", "overflows");
  for (const Json& point : points) {
    const Json& bits = point["accumulator_bits"];
    text += fmt::format(
        "{:<{}} {:>5} {:>12} {:>10} {:>9} {:>11} {:>10} {:>9} {:>8} {:>9}{}\n",
        point["format"].get_ref<const std::string&>(), width, bits.is_null() ? "-" : std::to_string(bits.get<int>()),
        array_text(point), picojoules_each(point, "operations_only_pj"), picojoules_each(point, "computing_pj"),
        picojoules_each(point, "with_memory_pj"), count_text(point["cycles"]),
        point["area_um2"].is_null() ? "-" : fmt::format("{:.4f}", point["area_um2"].get<double>() / 1e6),
        decibels_text(point["mean_sqnr_db"]), overflows_text(point["passes"]),
        point["pareto"].get<bool>() ? "  *" : "");
  }
  return text +
         fmt::format("* on the Pareto front of {}\n", front_text(sweep["front"].get<std::vector<std::string>>()));
}

std::string front_text(const std::vector<std::string>& front) {
  std::string text;
  for (std::size_t i = 0; i < front.size(); ++i) {
    text += i == 0 ? "" : i + 1 == front.size() ? " and " : ", ";
    text += evaluation::description_of(evaluation::parse_objective(front[i]));
  }
  return text;
}

}  // namespace mlsim::app
