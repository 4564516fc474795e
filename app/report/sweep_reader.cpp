#include "app/report/sweep_reader.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>
#include <vector>

#include "base/delimited_text.h"
#include "base/error.h"
#include "base/input_file.h"
#include "base/json.h"
#include "base/text.h"
#include "evaluation/sweep_points.h"
#include "models/formats/format.h"
#include "workloads/network.h"

namespace mlsim::app {
namespace {

// What of a sweep is shown; it may hold more.
constexpr const char* kSweepSchema = R"json({
  "type": "object",
  "required": ["schema", "workload", "points"],
  "definitions": {
    "pass": {
      "type": "object",
      "required": ["overflows"],
      "properties": { "overflows": { "type": ["number", "null"] } }
    }
  },
  "properties": {
    "schema": { "enum": ["mlsim.sweep/1"] },
    "workload": { "type": "string" },
    "front": {
      "type": "array",
      "minItems": 1,
      "items": { "enum": ["energy", "computing", "time", "edp", "area", "error"] }
    },
    "points": {
      "type": "array",
      "minItems": 1,
      "items": {
        "type": "object",
        "required": ["activation", "weight", "error", "rows", "columns", "elements_per_scaler", "accumulator_bits",
                     "multiply_adds", "cycles", "operations_only_pj", "computing_pj", "memory_pj", "area_um2",
                     "mean_sqnr_db", "passes", "pareto"],
        "properties": {
          "format": { "type": "string" },
          "activation": { "type": "string" },
          "weight": { "type": "string" },
          "error": { "type": "string" },
          "dataflow": { "enum": ["output-stationary", "weight-stationary"] },
          "rows": { "type": "integer", "minimum": 1, "maximum": 1024 },
          "columns": { "type": "integer", "minimum": 1, "maximum": 1024 },
          "elements_per_scaler": { "type": "integer", "minimum": 1, "maximum": 1048576 },
          "taps_per_cycle": { "type": "integer", "minimum": 1, "maximum": 1024 },
          "accumulator_bits": { "type": ["integer", "null"], "minimum": 0, "maximum": 128 },
          "multiply_adds": { "type": "number" },
          "cycles": { "type": "number" },
          "operations_only_pj": { "type": "number", "minimum": 0 },
          "computing_pj": { "type": "number", "minimum": 0 },
          "memory_pj": { "type": "number", "minimum": 0 },
          "with_memory_pj": { "type": "number", "minimum": 0 },
          "energy_delay_js": { "type": "number", "minimum": 0 },
          "area_um2": { "type": ["number", "null"] },
          "mean_sqnr_db": { "anyOf": [{ "type": ["number", "null"] }, { "enum": ["exact", "infinite error", "undefined"] }] },
          "passes": {
            "type": "object",
            "additionalProperties": false,
            "properties": {
              "forward": { "$ref": "#/definitions/pass" },
              "backward_data": { "$ref": "#/definitions/pass" },
              "backward_weight": { "$ref": "#/definitions/pass" }
            }
          },
          "pareto": { "type": "boolean" }
        }
      }
    }
  }
})json";

// A sum of counts, which a sweep writes as an integer up to 2^64 - 1 and as binary64 above; a schema's minimum would
// take integers from 2^63 for negative ones.
void check_count(const nlohmann::json& value, const std::string& file, const std::string& pointer) {
  if (value.is_number_unsigned() || (value.is_number_float() && value.get<double>() >= 0x1p64)) return;
  base::refuse(file, pointer, fmt::format("is {}, expected an integer of 0 or more", value.dump()));
}

// What sweeps of earlier versions did not say.
void complete(nlohmann::json& sweep) {
  if (!sweep.contains("front")) sweep["front"] = {"computing", "error"};
  for (nlohmann::json& point : sweep["points"]) {
    if (!point.contains("format")) {
      std::array<std::string, 3> names;
      for (const models::Operand operand : models::kOperands) {
        names[static_cast<std::size_t>(operand)] = point[models::to_string(operand)];
      }
      point["format"] = names[0];
      if (names[1] != names[0] || names[2] != names[0]) point["format"] = fmt::format("{}", fmt::join(names, "+"));
    }
    if (!point.contains("with_memory_pj")) {
      point["with_memory_pj"] = point["computing_pj"].get<double>() + point["memory_pj"].get<double>();
    }
  }
}

// A cell of a CSV file as the value that JSON has.
nlohmann::json value_of_cell(const std::string& name, const std::string& cell, const std::string& file,
                             std::size_t line) {
  constexpr std::string_view kTexts[] = {"format",   "activation", "weight",   "error",    "array",
                                         "dataflow", "engine",     "workload", "activity", "cost_table"};
  if (std::find(std::begin(kTexts), std::end(kTexts), name) != std::end(kTexts)) {
    // Written before what a spreadsheet would take for a formula.
    return cell.starts_with('\'') ? cell.substr(1) : cell;
  }
  if (name == "front") return base::split(cell, ' ');
  if (cell.empty()) return nullptr;
  if (cell == "exact" || cell == "infinite error" || cell == "undefined") return cell;
  nlohmann::json value = nlohmann::json::parse(cell, nullptr, false);
  if (value.is_number() || value.is_boolean()) return value;
  base::refuse(file, fmt::format("line {}, {}", line, name), fmt::format("is '{}', expected a number", cell));
}

// Which points are kept, in order, of those of which it is known whether they are on the front.
std::vector<std::size_t> chosen_points(const std::vector<bool>& is_on_front, std::size_t most) {
  std::vector<std::size_t> front;
  std::vector<std::size_t> others;
  for (std::size_t i = 0; i < is_on_front.size(); ++i) (is_on_front[i] ? front : others).push_back(i);
  constexpr std::uint64_t kSeed = 1;
  std::vector<std::size_t> chosen;
  const std::size_t of_front = std::min(most, front.size());
  for (const std::uint64_t i : evaluation::random_subset(front.size(), of_front, kSeed)) chosen.push_back(front[i]);
  for (const std::uint64_t i : evaluation::random_subset(others.size(), most - of_front, kSeed)) {
    chosen.push_back(others[i]);
  }
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

std::size_t count_of(const std::vector<bool>& is_on_front) {
  return static_cast<std::size_t>(std::count(is_on_front.begin(), is_on_front.end(), true));
}

// What mlsim sweep writes as CSV, in the form that it has as JSON.
SweepSource document_of_csv(std::string_view text, const std::string& file, std::size_t most) {
  const std::vector<base::TextRow> rows = base::read_rows(text, file);
  if (rows.size() < 2) base::refuse(file, "", "has no points, expected what mlsim sweep writes as CSV");
  // It would stand in the place of what the columns of the passes become.
  const std::vector<std::string>& names = rows[0].cells;
  if (std::find(names.begin(), names.end(), "passes") != names.end()) {
    base::refuse(file, fmt::format("line {}", rows[0].line),
                 "has a column 'passes', expected one for each figure, such as forward_overflows");
  }
  nlohmann::json sweep = {{"schema", "mlsim.sweep/1"}, {"points", nlohmann::json::array()}};
  std::vector<bool> is_on_front(rows.size() - 1, false);
  const auto pareto = static_cast<std::size_t>(std::find(names.begin(), names.end(), "pareto") - names.begin());
  for (std::size_t r = 1; r < rows.size(); ++r) is_on_front[r - 1] = rows[r].cell(pareto) == "true";
  for (const std::size_t chosen : chosen_points(is_on_front, most)) {
    const std::size_t r = chosen + 1;
    nlohmann::json point = {{"passes", nlohmann::json::object()}};
    for (std::size_t c = 0; c < rows[0].cells.size(); ++c) {
      const std::string& name = rows[0].cells[c];
      nlohmann::json value = value_of_cell(name, rows[r].cell(c), file, rows[r].line);
      nlohmann::json* owner = &point;
      std::string key = name;
      for (const models::Pass pass : models::kPasses) {
        const std::string start = std::string(models::to_string(pass)) + "_";
        if (!name.starts_with(start)) continue;
        owner = &point["passes"][models::to_string(pass)];
        key = name.substr(start.size());
      }
      constexpr std::string_view kOfAll[] = {"workload", "engine", "activity", "cost_table", "front"};
      if (std::find(std::begin(kOfAll), std::end(kOfAll), name) != std::end(kOfAll)) owner = &sweep;
      (*owner)[key] = std::move(value);
    }
    sweep["points"].push_back(std::move(point));
  }
  return {file, std::move(sweep), is_on_front.size(), count_of(is_on_front)};
}

// A document with a part of its points.
SweepSource thinned(nlohmann::json document, const std::string& file, std::size_t most) {
  if (!document.is_object() || !document.contains("points") || !document["points"].is_array()) {
    return {file, std::move(document), 0, 0};
  }
  nlohmann::json& points = document["points"];
  std::vector<bool> is_on_front;
  for (const nlohmann::json& point : points) {
    is_on_front.push_back(point.is_object() && point.contains("pareto") && point["pareto"] == true);
  }
  if (points.size() > most) {
    nlohmann::json kept = nlohmann::json::array();
    for (const std::size_t i : chosen_points(is_on_front, most)) kept.push_back(std::move(points[i]));
    points = std::move(kept);
  }
  return {file, std::move(document), is_on_front.size(), count_of(is_on_front)};
}

SweepSource checked(SweepSource sweep) {
  base::check_schema(sweep.document, nlohmann::json::parse(kSweepSchema), sweep.file);
  const nlohmann::json& points = sweep.document["points"];
  const nlohmann::json front = sweep.document.value("front", nlohmann::json::array());
  const bool needs_delay = std::find(front.begin(), front.end(), "edp") != front.end();
  for (std::size_t i = 0; i < points.size(); ++i) {
    const std::string pointer = fmt::format("/points/{}", i);
    if (needs_delay && !points[i].contains("energy_delay_js")) {
      base::refuse(sweep.file, pointer, "has no energy_delay_js, expected one of each point where the front is of edp");
    }
    check_count(points[i]["multiply_adds"], sweep.file, pointer + "/multiply_adds");
    check_count(points[i]["cycles"], sweep.file, pointer + "/cycles");
    for (const auto& [pass, entry] : points[i]["passes"].items()) {
      if (entry["overflows"].is_null()) continue;
      check_count(entry["overflows"], sweep.file, fmt::format("{}/passes/{}/overflows", pointer, pass));
    }
  }
  complete(sweep.document);
  return sweep;
}

}  // namespace

SweepSource parse_sweep(std::string_view text, const std::string& file, std::size_t most) {
  return checked(thinned(base::parse_json(text, file), file, most));
}

SweepSource load_sweep(const std::string& path, std::size_t most) {
  const std::string text = base::read_text(path, base::kLargestResults);
  if (workloads::has_extension(path, ".csv")) return checked(document_of_csv(text, path, most));
  return parse_sweep(text, path, most);
}

}  // namespace mlsim::app
