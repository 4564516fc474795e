#include "app/report/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string_view>

#include "app/report/report_tables.h"

namespace mlsim::app {
namespace {

using energy::Breakdown;
using energy::Operation;
using energy::Range;
using Json = nlohmann::ordered_json;

// Characters of UTF-8 text, all of them one column wide here.
std::size_t columns(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

// Words on lines of at most `width` columns, each behind `indent`.
std::string wrapped(const std::string& text, const std::string& indent, std::size_t width) {
  std::string result;
  std::string line = indent;
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    const std::string word = text.substr(begin, end - begin);
    if (line.size() > indent.size() && columns(line) + 1 + columns(word) > width) {
      result += line + "\n";
      line = indent;
    }
    if (line.size() > indent.size()) line += ' ';
    line += word;
    begin = end + 1;
  }
  return result + line + "\n";
}

constexpr std::size_t kTextWidth = 116;

std::string to_text(const ReportTable& table) {
  std::vector<std::vector<std::string>> rows{table.head};
  rows.insert(rows.end(), table.rows.begin(), table.rows.end());
  if (table.grouped) {
    for (std::size_t r = rows.size() - 1; r > 1; --r) {
      if (rows[r][0] == rows[r - 1][0]) rows[r][0].clear();
    }
  }
  std::vector<std::size_t> widths(table.head.size());
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], columns(row[i]));
  }
  std::string text = "\n" + wrapped(table.title, "", kTextWidth);
  for (const auto& row : rows) {
    std::string line = "  ";
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string gap(widths[i] - columns(row[i]), ' ');
      line += i < table.text_columns ? row[i] + gap : gap + row[i];
      if (i + 1 < row.size()) line += "  ";
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

// Text that Markdown takes as it stands, on one line.
std::string markdown(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (std::string_view("\\`*[]<>|&").find(c) != std::string_view::npos) result += '\\';
    result += c == '\n' || c == '\r' ? ' ' : c;
  }
  return result;
}

std::string to_markdown(const ReportTable& table) {
  std::string text = fmt::format("\n### {}\n\n|", markdown(table.title));
  for (const std::string& cell : table.head) text += fmt::format(" {} |", markdown(cell));
  text += "\n|";
  for (std::size_t i = 0; i < table.head.size(); ++i) text += i < table.text_columns ? " --- |" : " ---: |";
  text += "\n";
  for (const auto& row : table.rows) {
    text += "|";
    for (const std::string& cell : row) text += fmt::format(" {} |", markdown(cell));
    text += "\n";
  }
  return text;
}

Json to_json(const Range& range) {
  return {{"low", range.low}, {"value", range.value}, {"high", range.high}};
}

Json to_json(const std::optional<Range>& range) {
  return range ? to_json(*range) : Json();
}

Json to_json(const energy::UnitArea& area) {
  if (std::isnan(area.total())) return nullptr;
  Json json = Json::object();
  for (const energy::AreaBlock& block : area.blocks) json[block.name] = block.area_um2;
  json["total"] = area.total();
  return json;
}

Json optional_to_json(const std::optional<double>& value) {
  return value ? Json(*value) : Json();
}

const char* line_name(Operation operation) {
  switch (energy::line_of(operation)) {
    case energy::Line::kOperation:
      return "operation";
    case energy::Line::kOverhead:
      return "overhead";
    case energy::Line::kMemory:
      break;
  }
  return "memory";
}

// The parts of what is called cycles; stalls are parts of array_cycles.
void add_cycles(const CycleTotals& cycles, Json& json) {
  json["cycles"] = count_to_json(cycles.total());
  json["array_cycles"] = count_to_json(cycles.array);
  json["fill_stalls"] = count_to_json(cycles.fill_stalls);
  json["scaler_stalls"] = count_to_json(cycles.scaler_stalls);
  json["quantizer_cycles"] = count_to_json(cycles.quantizer);
}

Json to_json(const Breakdown& breakdown, bool with_operations = true) {
  Json json = Json::object();
  json["operations_only_pj"] = to_json(breakdown.operations_only());
  json["computing_pj"] = to_json(breakdown.computing());
  json["memory_pj"] = to_json(breakdown.memory());
  if (!with_operations) return json;
  for (const Operation operation : energy::kOperations) {
    if (breakdown.counts[operation] == 0) continue;
    json["operations"][std::string(energy::name(operation))] = {{"line", line_name(operation)},
                                                                {"count", count_to_json(breakdown.counts[operation])},
                                                                {"pj", to_json(breakdown.energy_pj[operation])}};
  }
  return json;
}

Json to_json(const PassPrice& price, bool with_operations = true) {
  Json json = Json::object();
  json["energy"] = to_json(price.energy, with_operations);
  for (std::size_t b = 0; b < price.baselines.size(); ++b) {
    const energy::Comparison comparison = energy::compare(price.baselines[b], price.energy);
    Json& baseline = json["baselines"][baseline_machines()[b].name];
    baseline["operations_only_pj"] = to_json(price.baselines[b].operations_only());
    baseline["computing_pj"] = to_json(price.baselines[b].computing());
    baseline["memory_pj"] = to_json(price.baselines[b].memory());
    baseline["operations_only_ratio"] = to_json(comparison.operations_only);
    baseline["computing_ratio"] = to_json(comparison.computing);
  }
  return json;
}

// Of each machine at equal elements, and scaled to the area and to the throughput of the results' own.
Json machines_json(const std::vector<MachineFigures>& machines, const Results& results) {
  const MachineFigures& own = machines.front();
  const std::optional<std::int64_t> images = images_of(results);
  Json json = Json::object();
  for (const MachineFigures& machine : machines) {
    const Range computing = machine.energy.computing();
    const Range all = computing + machine.energy.memory();
    const double watts = machine.watts();
    const double by_area = own.area_um2 / machine.area_um2;
    const double by_rate = machine.seconds / own.seconds;
    Json& entry = json[&machine == &own ? "own" : machine.name];
    entry["computing_area_um2"] = number_or_null(machine.area_um2);
    entry["seconds"] = machine.seconds;
    entry["tops"] = number_or_null(machine.tops());
    entry["tops_per_mm2"] = number_or_null(machine.tops_per_mm2());
    entry["tops_per_watt"] = number_or_null(machine.tops_per_watt(computing));
    entry["tops_per_watt_with_memory"] = number_or_null(machine.tops_per_watt(all));
    entry["pj_per_multiply_add"] = number_or_null(machine.pj_each(computing));
    entry["pj_per_multiply_add_with_memory"] = number_or_null(machine.pj_each(all));
    entry["step_pj"] = all.value;
    entry["sample_pj"] = images ? Json(all.value / static_cast<double>(*images)) : Json();
    entry["equal_area"] = {{"elements_factor", number_or_null(by_area)},
                           {"tops", number_or_null(machine.tops() * by_area)},
                           {"seconds", number_or_null(machine.seconds / by_area)},
                           {"watts", number_or_null(watts * by_area)}};
    entry["equal_throughput"] = {{"elements_factor", number_or_null(by_rate)},
                                 {"computing_area_um2", number_or_null(machine.area_um2 * by_rate)},
                                 {"watts", number_or_null(watts * by_rate)}};
  }
  return json;
}

Json to_json(const TrainingStep& step, const std::vector<MachineFigures>& machines) {
  Json json = Json::object();
  json["network"] = step.network;
  json["batch"] = step.batch;
  for (const StepPart& part : step.parts) {
    json["parts"][part.name] = {{"float_multiplies", part.multiplies},
                                {"float_adds", part.adds},
                                {"gated_elements", part.gated},
                                {"pj", to_json(part.energy_pj)}};
  }
  const Range rest = step.total_pj();
  const Range own = machines.front().energy.computing() + rest;
  json["rest_pj"] = to_json(rest);
  for (const MachineFigures& machine : machines) {
    const Range computing = machine.energy.computing() + rest;
    const Range all = computing + machine.energy.memory();
    Json& entry = json["machines"][&machine == &machines.front() ? "own" : machine.name];
    entry["computing_pj"] = to_json(computing);
    entry["computing_ratio"] = to_json(energy::ratio(computing, own));
    entry["with_memory_pj"] = to_json(all);
    entry["sample_computing_pj"] = computing.value / static_cast<double>(step.batch);
    entry["sample_with_memory_pj"] = all.value / static_cast<double>(step.batch);
  }
  return json;
}

Json sharing_json(const Results& results, const Price& price) {
  Json json = Json::array();
  for (const Sharing& sharing : sharings(results, price)) {
    Json& entry = json.emplace_back();
    entry["elements_per_scaler"] = sharing.elements_per_scaler;
    entry["group_scale_units"] = sharing.units;
    entry["area_um2"] = to_json(sharing.area);
    add_cycles(sharing.cycles, entry);
  }
  return json;
}

Json table_range_json(const std::vector<TablePrice>& prices) {
  Json json = Json::object();
  for (std::size_t b = 0; b < baseline_machines().size(); ++b) {
    const auto add = [&](const char* name, auto sum_of) {
      const auto ratio_of = [&](const PassPrice& price) {
        return energy::ratio(sum_of(price.baselines[b]), sum_of(price.energy));
      };
      const auto range = range_over(prices, ratio_of);
      if (!range) return;
      Json& entry = json[baseline_machines()[b].name][name];
      entry = {{"low", range->first}, {"high", range->second}};
      for (const TablePrice& price : prices) entry["by_table"][price.table] = ratio_of(price.all)->value;
    };
    add("operations_only_ratio", [](const Breakdown& breakdown) { return breakdown.operations_only(); });
    add("computing_ratio", [](const Breakdown& breakdown) { return breakdown.computing(); });
  }
  return json;
}

}  // namespace

std::string text_report(const std::vector<ReportSource>& sources, const energy::Laws& laws) {
  std::string text;
  for (const ReportSection& section : report_sections(sources, laws)) {
    if (!text.empty()) text += "\n";
    text += section.title + "\n";
    for (const auto& [name, value] : section.facts) text += fmt::format("  {:<8} {}\n", name, value);
    for (const ReportTable& table : section.tables) text += to_text(table);
  }
  text += "\nNotes\n";
  return text + wrapped(fmt::format("{}", fmt::join(report_notes(sources), " ")), "  ", kTextWidth);
}

std::string markdown_report(const std::vector<ReportSource>& sources, const energy::Laws& laws) {
  std::string text = "# mlsim report\n" + to_markdown(overview_table(sources, laws));
  for (const ReportSection& section : report_sections(sources, laws)) {
    text += fmt::format("\n## {}\n\n", markdown(section.title));
    for (const auto& [name, value] : section.facts) text += fmt::format("- {}: {}\n", name, markdown(value));
    for (const ReportTable& table : section.tables) text += to_markdown(table);
  }
  text += "\n## Notes\n\n";
  for (const std::string& note : report_notes(sources)) text += fmt::format("- {}\n", markdown(note));
  return text;
}

Json json_report(const std::vector<ReportSource>& sources, const energy::Laws& laws) {
  Json json = Json::object();
  json["schema"] = "mlsim.report/1";
  json["cost_table"] = laws.table().name;
  json["results"] = Json::array();
  for (const ReportSource& source : sources) {
    const Results& results = source.results;
    const Price prices = price(results, laws, {source.own_prices, source.activity});
    Json& entry = json["results"].emplace_back();
    entry["file"] = source.file;
    entry["workload"] = results.workload;
    entry["engine"] = to_string(results.engine);
    entry["formats"] = format_names(results);
    if (prices.accumulator_bits > 0) entry["accumulator_bits"] = prices.accumulator_bits;
    entry["activity"] = to_string(source.activity);
    entry["area_um2"] = to_json(prices.area);
    for (std::size_t b = 0; b < prices.baseline_areas.size(); ++b) {
      entry["baseline_area_um2"][baseline_machines()[b].name] = to_json(prices.baseline_areas[b]);
    }
    const std::vector<std::pair<std::string, Total>> totals = totals_of(results, prices);
    for (const auto& [name, total] : totals) {
      Json& sum = entry["totals"][name];
      sum["multiply_adds"] = count_to_json(total.multiply_adds);
      add_cycles(total.cycles, sum);
      sum["utilization"] = optional_to_json(total.utilization(results.array));
      sum["mean_sqnr_db"] = decibels_to_json(total.sqnr.mean());
      for (std::size_t b = 0; b < baseline_machines().size(); ++b) {
        if (const std::optional<double> sqnr = total.baseline_sqnr[b].mean()) {
          sum["baseline_mean_sqnr_db"][baseline_machines()[b].name] = decibels_to_json(sqnr);
        }
      }
      sum["zero_products"] = count_to_json(total.zero_products);
      sum["zero_products_are_counted"] = total.zeros_are_counted;
      for (std::size_t b = 0; b < baseline_machines().size(); ++b) {
        sum["baseline_zero_products"][baseline_machines()[b].name] = count_to_json(total.baseline_zero_products[b]);
      }
      if (const auto toggles = total.toggles.share()) {
        sum["toggle_share"] = {{"rows", toggles->rows}, {"columns", toggles->columns}};
      }
      sum.update(to_json(total.price));
    }
    const Total& all =
        std::find_if(totals.begin(), totals.end(), [](const auto& t) { return t.first == "all"; })->second;
    const std::array<PassPrice, kActivities.size()> activities = price_activities(source, laws);
    for (const Activity activity : kActivities) {
      entry["activities"][to_string(activity)] = to_json(activities[static_cast<std::size_t>(activity)], false);
    }
    const std::vector<MachineFigures> machines = machine_figures(results, prices, all);
    entry["machines"] = machines_json(machines, results);
    if (source.step) entry["training_step"] = to_json(*source.step, machines);
    entry["sharing"] = sharing_json(results, prices);
    entry["table_range"] = table_range_json(price_with_every_table(results, source.activity));
    entry["layers"] = Json::array();
    for (std::size_t l = 0; l < results.layers.size(); ++l) {
      Json& layer = entry["layers"].emplace_back();
      layer["name"] = results.layers[l].name;
      layer["format"] = format_name(results.layers[l]);
      for (std::size_t p = 0; p < results.layers[l].passes.size(); ++p) {
        const PassRecord& record = results.layers[l].passes[p];
        Json& pass = layer["passes"][models::to_string(record.pass)];
        pass["multiply_adds"] = record.multiply_adds;
        add_cycles(record.cycles, pass);
        pass["utilization"] = optional_to_json(utilization_of(record));
        pass["overflows"] = record.overflows_are_counted ? Json(record.counts.overflows) : Json();
        const ZeroProducts zeros = zero_products(record);
        pass["zero_products"] = zeros.count;
        pass["zero_products_are_counted"] = zeros.counted;
        pass["sqnr_db"] = decibels_to_json(record.sqnr_db);
        for (const MeasuredBaseline& error : record.baselines) {
          pass["baseline_sqnr_db"][error.name] = decibels_to_json(error.sqnr_db);
        }
        pass.update(to_json(prices.layers[l][p]));
      }
    }
  }
  return json;
}

std::string csv_report(const std::vector<ReportSource>& sources, const energy::Laws& laws) {
  std::string text =
      "file,workload,layer,pass,format,multiply_adds,array_cycles,quantizer_cycles,fill_stalls,scaler_stalls,"
      "utilization,sqnr_db,overflows,operations_only_pj,computing_pj,memory_pj";
  for (const BaselineMachine& machine : baseline_machines()) {
    text += fmt::format(",{0}_operations_only_pj,{0}_computing_pj,{0}_memory_pj,{0}_sqnr_db", machine.name);
  }
  text +=
      ",rows,columns,elements_per_scaler,accumulator_bits,zero_products,zero_products_are_counted,activity,cost_"
      "table\n";
  const auto decibel_cell = [](const std::optional<double>& value) {
    if (!value || std::isnan(*value)) return std::string();
    return std::isinf(*value) ? std::string("inf") : fmt::format("{:.6g}", *value);
  };
  for (const ReportSource& source : sources) {
    const Price prices = price(source.results, laws, {source.own_prices, source.activity});
    for (std::size_t l = 0; l < source.results.layers.size(); ++l) {
      const LayerRecord& layer = source.results.layers[l];
      for (std::size_t p = 0; p < layer.passes.size(); ++p) {
        const PassRecord& record = layer.passes[p];
        const PassPrice& pass_price = prices.layers[l][p];
        const std::optional<double> utilization = utilization_of(record);
        text += fmt::format("{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}", csv_cell(source.file),
                            csv_cell(source.results.workload), csv_cell(layer.name), models::to_string(record.pass),
                            csv_cell(format_name(layer)), record.multiply_adds, record.cycles.array,
                            record.cycles.quantizer, record.cycles.fill_stalls, record.cycles.scaler_stalls,
                            utilization ? fmt::format("{:.6g}", *utilization) : "", decibel_cell(record.sqnr_db),
                            record.overflows_are_counted ? std::to_string(record.counts.overflows) : "",
                            pass_price.energy.operations_only().value, pass_price.energy.computing().value,
                            pass_price.energy.memory().value);
        for (std::size_t b = 0; b < pass_price.baselines.size(); ++b) {
          std::optional<double> sqnr;
          for (const MeasuredBaseline& error : record.baselines) {
            if (error.name == baseline_machines()[b].name) sqnr = error.sqnr_db;
          }
          const Breakdown& baseline = pass_price.baselines[b];
          text += fmt::format(",{},{},{},{}", baseline.operations_only().value, baseline.computing().value,
                              baseline.memory().value, decibel_cell(sqnr));
        }
        const sim::ArrayConfig& array = source.results.array;
        const ZeroProducts zeros = zero_products(record);
        text += fmt::format(",{},{},{},{},{},{},{},{}\n", array.rows, array.columns, array.elements_per_scaler,
                            prices.accumulator_bits, zeros.count, zeros.counted, to_string(source.activity),
                            csv_cell(laws.table().name));
      }
    }
  }
  return text;
}

}  // namespace mlsim::app
