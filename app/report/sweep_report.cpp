#include "app/report/sweep_report.h"

#include <fmt/core.h>

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
    if (text.empty()) text = header.substr(1) + ",engine,activity,cost_table\n";
    text += fmt::format("{},{},{},{}\n", line.substr(1), to_string(setting.engine), to_string(setting.activity),
                        csv_cell(table_name(setting.laws.table())));
  }
  return text;
}

Json sweep_json(const evaluation::SweepSetting& setting, const std::vector<Json>& rows) {
  return {{"schema", "mlsim.sweep/1"},
          {"workload", setting.workload.name},
          {"engine", to_string(setting.engine)},
          {"activity", to_string(setting.activity)},
          {"cost_table", table_name(setting.laws.table())},
          {"points", rows}};
}

std::string sweep_table(const std::vector<Json>& rows) {
  const auto format_of = [](const Json& row) {
    std::string format = row["activation"];
    if (row["weight"] == row["activation"] && row["error"] == row["activation"]) return format;
    return fmt::format("{}+{}+{}", format, row["weight"].get<std::string>(), row["error"].get<std::string>());
  };
  std::size_t width = 18;
  for (const Json& row : rows) width = std::max(width, format_of(row).size());
  std::string text = fmt::format("{:<{}} {:>5} {:>7} {:>10} {:>10} {:>10} {:>9} {:>8} {:>9}\n", "format", width, "acc.",
                                 "array", "ops pJ/MAC", "all pJ/MAC", "cycles", "mm²", "SQNR dB", "overflows");
  for (const Json& row : rows) {
    text += fmt::format(
        "{:<{}} {:>5} {:>7} {:>10} {:>10} {:>10} {:>9} {:>8} {:>9}{}\n", format_of(row), width,
        row["accumulator_bits"].get<int>(),
        fmt::format("{}x{}/{}", row["rows"].get<int>(), row["columns"].get<int>(),
                    row["elements_per_scaler"].get<int>()),
        picojoules_each(row, "operations_only_pj"), picojoules_each(row, "computing_pj"), count_text(row["cycles"]),
        row["area_um2"].is_null() ? "-" : fmt::format("{:.4f}", row["area_um2"].get<double>() / 1e6),
        decibels_text(row["mean_sqnr_db"]), overflows_text(row["passes"]), row["pareto"].get<bool>() ? "  *" : "");
  }
  return text + "* on the Pareto front of energy (all computing) and mean SQNR\n";
}

}  // namespace mlsim::app
