#include "app/report/sweep_report.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <ostream>

#include "app/report/report_tables.h"
#include "base/json.h"
#include "base/output_file.h"
#include "evaluation/results.h"

namespace mlsim::app {

using evaluation::count_text;
using evaluation::csv_cell;
using evaluation::decibels_text;
using evaluation::overflows_text;
using evaluation::picojoules_each;

namespace {

using Json = nlohmann::ordered_json;

std::string cell(const Json& value) {
  if (value.is_null()) return "";
  if (value.is_string()) return csv_cell(value.get<std::string>());
  return base::to_text(value);
}

std::vector<std::string> front_names(const evaluation::SweepHead& head) {
  std::vector<std::string> names;
  for (const evaluation::Objective objective : head.front) names.emplace_back(to_string(objective));
  return names;
}

// Rows x columns, x multipliers of an element where they are several, / elements of a group-scale unit.
std::string array_text(const Json& point) {
  const int taps = point.value("taps_per_cycle", 1);
  return fmt::format("{}{}x{}{}/{}", point.value("dataflow", "") == "weight-stationary" ? "WS " : "",
                     point["rows"].get<int>(), point["columns"].get<int>(), taps > 1 ? fmt::format("x{}", taps) : "",
                     point["elements_per_scaler"].get<int>());
}

// A row as a line of CSV, and the names of its columns.
struct CsvRow {
  std::string names;
  std::string cells;

  explicit CsvRow(const Json& row) {
    for (const auto& [key, value] : row.items()) {
      if (key == "passes") {
        for (const auto& [pass, entry] : value.items()) {
          for (const auto& [name, number] : entry.items()) {
            names += fmt::format("{}_{},", pass, name);
            cells += cell(number) + ",";
          }
        }
      } else {
        names += key + ",";
        cells += cell(value) + ",";
      }
    }
  }
};

void write_csv(std::ostream& stream, const evaluation::SweepHead& head, const SweepRows& rows) {
  const std::string last = fmt::format("{},{},{},{},{}\n", csv_cell(head.workload), head.engine, head.activity,
                                       csv_cell(head.cost_table), fmt::join(front_names(head), " "));
  for (std::size_t point = 0; point < rows.points; ++point) {
    const CsvRow row(rows.row(point));
    if (point == 0) stream << row.names << "workload,engine,activity,cost_table,front\n";
    stream << row.cells << last;
  }
}

// The document without points is written around them.
void write_json(std::ostream& stream, const evaluation::SweepHead& head, const SweepRows& rows) {
  const std::string frame = base::to_text(sweep_json(head, {}), 2) + "\n";
  const std::size_t place = frame.rfind("[]");
  stream << frame.substr(0, place) << "[";
  for (std::size_t point = 0; point < rows.points; ++point) {
    stream << (point == 0 ? "\n    " : ",\n    ");
    // Texts within JSON have no ends of lines.
    for (const char c : base::to_text(rows.row(point), 2)) {
      stream << c;
      if (c == '\n') stream << "    ";
    }
  }
  stream << "\n  ]" << frame.substr(place + 2);
}

}  // namespace

evaluation::SweepHead head_of(const evaluation::SweepSetting& setting) {
  return {setting.workload.name, to_string(setting.engine), to_string(setting.activity),
          table_name(setting.laws.table()), setting.front};
}

Json sweep_json(const evaluation::SweepHead& head, const std::vector<Json>& rows) {
  return {{"schema", "mlsim.sweep/1"},
          {"workload", head.workload},
          {"engine", head.engine},
          {"activity", head.activity},
          {"cost_table", head.cost_table},
          {"front", front_names(head)},
          {"points", rows}};
}

void write_sweep(const std::filesystem::path& path, const evaluation::SweepHead& head, const SweepRows& rows) {
  base::AtomicFile file(path);
  if (path.extension() == ".csv") {
    write_csv(file.stream(), head, rows);
  } else {
    write_json(file.stream(), head, rows);
  }
  file.commit();
}

std::string printed_table(const evaluation::SweepHead& head, const SweepRows& rows,
                          const std::set<std::size_t>& front) {
  std::vector<Json> shown;
  if (rows.points <= kMostPrinted) {
    for (std::size_t point = 0; point < rows.points; ++point) shown.push_back(rows.row(point));
    return sweep_table(sweep_json(head, shown));
  }
  for (const std::size_t point : front) {
    if (shown.size() == kMostPrinted) break;
    shown.push_back(rows.row(point));
  }
  const std::string which = front.size() > shown.size()
                                ? fmt::format("the first {} of the {} on the front", shown.size(), front.size())
                                : fmt::format("the {} on the front", front.size());
  return sweep_table(sweep_json(head, shown)) + fmt::format("of {} points, {} are shown\n", rows.points, which);
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
