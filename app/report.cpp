#include "app/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

namespace mlsim::app {
namespace {

using energy::Breakdown;
using energy::Line;
using energy::Operation;
using energy::Range;
using models::Operand;
using models::Pass;
using Json = nlohmann::ordered_json;

std::string format_name(const LayerRecord& layer) {
  if (layer.formats[Operand::kActivation] == layer.formats[Operand::kWeight] &&
      layer.formats[Operand::kActivation] == layer.formats[Operand::kError]) {
    return models::to_string(layer.formats[Operand::kActivation]);
  }
  return fmt::format("activation {}, weight {}, error {}", models::to_string(layer.formats[Operand::kActivation]),
                     models::to_string(layer.formats[Operand::kWeight]),
                     models::to_string(layer.formats[Operand::kError]));
}

// Every format of the layers, once.
std::string format_names(const Results& results) {
  std::set<std::string> names;
  for (const LayerRecord& layer : results.layers) names.insert(format_name(layer));
  return fmt::format("{}", fmt::join(names, "; "));
}

// An energy of `pj` picojoules with a unit that suits it.
std::string joules(double pj) {
  if (pj < 1e3) return fmt::format("{:.3g} pJ", pj);
  if (pj < 1e6) return fmt::format("{:.3g} nJ", pj / 1e3);
  if (pj < 1e9) return fmt::format("{:.3g} µJ", pj / 1e6);
  if (pj < 1e12) return fmt::format("{:.3g} mJ", pj / 1e9);
  return fmt::format("{:.3g} J", pj / 1e12);
}

std::string count(double value) {
  return value < 1e5 ? fmt::format("{:.0f}", value) : fmt::format("{:.2E}", value);
}

std::string decibels(const std::optional<double>& value) {
  if (!value || std::isnan(*value)) return "-";
  if (std::isinf(*value)) return "exact";
  return fmt::format("{:.1f}", *value);
}

std::string times(const std::optional<Range>& ratio) {
  return ratio ? fmt::format("{:.2f}", ratio->value) : "-";
}

std::string times_range(const std::optional<Range>& ratio) {
  return ratio ? fmt::format("{:.1f} ({:.1f}-{:.1f})", ratio->value, ratio->low, ratio->high) : "-";
}

// Rows of cells; the first row is the header. The first `text_columns` are flush left, the others flush right.
class Table {
 public:
  explicit Table(std::size_t text_columns) : text_columns_(text_columns) {}

  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }

  std::string text() const {
    std::vector<std::size_t> widths;
    for (const auto& row : rows_) {
      widths.resize(std::max(widths.size(), row.size()));
      for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], columns(row[i]));
    }
    std::string text;
    for (const auto& row : rows_) {
      std::string line = "  ";
      for (std::size_t i = 0; i < row.size(); ++i) {
        const std::string gap(widths[i] - columns(row[i]), ' ');
        line += i < text_columns_ ? row[i] + gap : gap + row[i];
        if (i + 1 < row.size()) line += "  ";
      }
      line.erase(line.find_last_not_of(' ') + 1);
      text += line + "\n";
    }
    return text;
  }

 private:
  // Characters of UTF-8 text, all of them one column wide here.
  static std::size_t columns(const std::string& text) {
    return static_cast<std::size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
  }

  std::size_t text_columns_;
  std::vector<std::vector<std::string>> rows_;
};

// What passes have in common, over some of the layers.
struct Total {
  int layers = 0;
  std::uint64_t multiply_adds = 0;
  models::OperationCounts counts;
  sim::CycleCounts cycles;
  PassPrice price;
  double lowest_sqnr = std::numeric_limits<double>::infinity();
  double sqnr_sum = 0;
  int sqnr_count = 0;
  std::vector<double> baseline_sqnr_sums = std::vector<double>(baseline_machines().size(), 0.0);

  void add(const PassRecord& record, const PassPrice& pass_price) {
    ++layers;
    multiply_adds += record.multiply_adds;
    counts += record.counts;
    cycles += record.cycles;
    price.energy += pass_price.energy;
    price.baselines.resize(pass_price.baselines.size());
    for (std::size_t b = 0; b < price.baselines.size(); ++b) price.baselines[b] += pass_price.baselines[b];
    if (record.sqnr_db && std::isfinite(*record.sqnr_db)) {
      lowest_sqnr = std::min(lowest_sqnr, *record.sqnr_db);
      sqnr_sum += *record.sqnr_db;
      ++sqnr_count;
      for (std::size_t b = 0; b < baseline_machines().size(); ++b) {
        for (const MeasuredError& error : record.baselines) {
          if (error.name == baseline_machines()[b].name) baseline_sqnr_sums[b] += error.sqnr_db;
        }
      }
    }
  }
  std::optional<double> mean_sqnr() const {
    return sqnr_count == 0 ? std::nullopt : std::optional(sqnr_sum / sqnr_count);
  }
  std::optional<double> mean_baseline_sqnr(std::size_t b) const {
    return sqnr_count == 0 || baseline_sqnr_sums[b] == 0 ? std::nullopt
                                                         : std::optional(baseline_sqnr_sums[b] / sqnr_count);
  }
  double utilization(const sim::ArrayConfig& array) const {
    if (cycles.array == 0) return 0;
    return static_cast<double>(multiply_adds) /
           (static_cast<double>(cycles.array) * static_cast<double>(array.rows) * static_cast<double>(array.columns));
  }
};

template <typename Filter>
Total total_of(const Results& results, const Price& price, const Filter& filter) {
  Total total;
  for (std::size_t l = 0; l < results.layers.size(); ++l) {
    for (std::size_t p = 0; p < results.layers[l].passes.size(); ++p) {
      const PassRecord& record = results.layers[l].passes[p];
      if (filter(results.layers[l], record)) total.add(record, price.layers[l][p]);
    }
  }
  return total;
}

bool is_pointwise(const LayerRecord& layer) {
  return layer.shape.kernel == std::array<std::int64_t, 2>{1, 1};
}

// The rows of the tables: each pass, all of them, and the 1×1 layers apart where there are both kinds.
std::vector<std::pair<std::string, Total>> totals_of(const Results& results, const Price& price) {
  std::vector<std::pair<std::string, Total>> totals;
  for (const Pass pass : models::kPasses) {
    Total total = total_of(results, price, [&](const LayerRecord&, const PassRecord& r) { return r.pass == pass; });
    if (total.layers > 0) totals.emplace_back(models::to_string(pass), std::move(total));
  }
  totals.emplace_back("all", total_of(results, price, [](const LayerRecord&, const PassRecord&) { return true; }));
  Total pointwise =
      total_of(results, price, [](const LayerRecord& layer, const PassRecord&) { return is_pointwise(layer); });
  if (pointwise.layers > 0 && pointwise.layers < totals.back().second.layers) {
    totals.emplace_back("of which 1x1", std::move(pointwise));
  }
  return totals;
}

std::string header(const ReportSource& source, const Price& price, const energy::Laws& laws) {
  const Results& results = source.results;
  const sim::ArrayConfig& array = results.array;
  std::string text = fmt::format("{}: {}\n", source.file, results.workload);
  text += fmt::format("  format   {}\n", format_names(results));
  text += fmt::format("  engine   {}{}\n", to_string(results.engine),
                      results.engine == Engine::kCycle || results.engine == Engine::kStructural
                          ? ""
                          : " (cycles and traffic by the closed form of docs/dataflow.md)");
  text += fmt::format("  array    {} x {} elements, {} to a group-scale unit", array.rows, array.columns,
                      array.elements_per_scaler);
  if (price.accumulator_bits > 0) text += fmt::format(", accumulators of {} bits", price.accumulator_bits);
  text += fmt::format("\n  prices   {}{}\n", laws.table().name,
                      source.own_prices.empty() ? "" : ", those of this format from an Accelergy ERT");
  return text;
}

std::string work_table(const Results& results, const std::vector<std::pair<std::string, Total>>& totals) {
  Table table(1);
  std::vector<std::string> head{"pass",        "multiply-adds", "array cycles",    "utilization",
                                "fill stalls", "scaler stalls", "quantizer cycles"};
  const double clock = results.array.clock_ghz * 1e9;
  head.push_back(fmt::format("ms at {:g} GHz", results.array.clock_ghz));
  table.row(head);
  for (const auto& [name, total] : totals) {
    table.row({name, count(static_cast<double>(total.multiply_adds)), count(static_cast<double>(total.cycles.array)),
               fmt::format("{:.1f} %", 100 * total.utilization(results.array)),
               count(static_cast<double>(total.cycles.fill_stalls)),
               count(static_cast<double>(total.cycles.scaler_stalls)),
               count(static_cast<double>(total.cycles.quantizer)),
               fmt::format("{:.3g}", 1e3 * static_cast<double>(total.cycles.total()) / clock)});
  }
  return "\nWork\n" + table.text();
}

std::string error_table(const std::vector<std::pair<std::string, Total>>& totals) {
  Table table(1);
  std::vector<std::string> head{"pass", "this format", "lowest layer"};
  for (const BaselineMachine& machine : baseline_machines()) head.push_back(machine.name);
  table.row(head);
  for (const auto& [name, total] : totals) {
    if (total.sqnr_count == 0) return "";
    std::vector<std::string> cells{name, decibels(total.mean_sqnr()), decibels(total.lowest_sqnr)};
    for (std::size_t b = 0; b < baseline_machines().size(); ++b) cells.push_back(decibels(total.mean_baseline_sqnr(b)));
    table.row(cells);
  }
  return "\nSQNR against binary64, dB, mean over the layers\n" + table.text();
}

std::string energy_table(const std::vector<std::pair<std::string, Total>>& totals) {
  std::string text;
  const auto one = [&](const char* title, auto sum_of) {
    Table table(1);
    std::vector<std::string> head{"pass", "energy", "pJ a multiply-add"};
    for (const BaselineMachine& machine : baseline_machines()) head.push_back(machine.name + " /");
    table.row(head);
    for (const auto& [name, total] : totals) {
      const Range own = sum_of(total.price.energy);
      std::vector<std::string> cells{name, joules(own.value),
                                     fmt::format("{:.3g}", own.value / static_cast<double>(total.multiply_adds))};
      for (const Breakdown& baseline : total.price.baselines)
        cells.push_back(times(energy::ratio(sum_of(baseline), own)));
      table.row(cells);
    }
    text += fmt::format("\n{}\n", title) + table.text();
  };
  one("Energy, operations only (multiply, exponent add, shift, accumulate; floats: multiply, add), and what the\n"
      "baselines take as a multiple of it",
      [](const Breakdown& b) { return b.operations_only(); });
  one("Energy with registers, group scaling, conversion and quantization, likewise",
      [](const Breakdown& b) { return b.computing(); });
  one("Energy of memory (operand buffers, SRAM, DRAM), likewise", [](const Breakdown& b) { return b.memory(); });
  return text;
}

std::string range_lines(const Total& all, const energy::Laws& laws) {
  const energy::ErrorBars& bars = laws.table().error_bars;
  std::string text =
      fmt::format("\nWith error bars (worst case; integer ±{:g} %, shifter ±{:g} %, floating point a factor {:g})\n",
                  100 * bars.integer, 100 * bars.shifter, bars.float_factor);
  Table table(1);
  std::vector<std::string> head{"line"};
  for (const BaselineMachine& machine : baseline_machines()) head.push_back(machine.name + " /");
  table.row(head);
  std::vector<std::string> operations{"operations only"};
  std::vector<std::string> computing{"with everything but memory"};
  for (const Breakdown& baseline : all.price.baselines) {
    const energy::Comparison comparison = energy::compare(baseline, all.price.energy);
    operations.push_back(times_range(comparison.operations_only));
    computing.push_back(times_range(comparison.computing));
  }
  table.row(operations);
  table.row(computing);
  return text + table.text();
}

// All passes of the results and the baselines', priced with one of the shipped tables.
struct TablePrice {
  std::string table;
  PassPrice all;
};

std::vector<TablePrice> price_with_every_table(const Results& results) {
  std::vector<TablePrice> prices;
  for (const std::string_view table : energy::shipped_cost_tables()) {
    const Price priced = price(results, energy::Laws(energy::find_cost_table(std::string(table))));
    const Total all = total_of(results, priced, [](const LayerRecord&, const PassRecord&) { return true; });
    prices.push_back({std::string(table), all.price});
  }
  return prices;
}

// The smallest and the largest of a ratio's stated values over the tables.
template <typename RatioOf>
std::optional<std::pair<double, double>> range_over(const std::vector<TablePrice>& prices, const RatioOf& ratio_of) {
  std::optional<std::pair<double, double>> range;
  for (const TablePrice& price : prices) {
    const std::optional<Range> ratio = ratio_of(price.all);
    if (!ratio) return std::nullopt;
    if (!range) range = {ratio->value, ratio->value};
    range = {std::min(range->first, ratio->value), std::max(range->second, ratio->value)};
  }
  return range;
}

std::string table_range_lines(const std::vector<TablePrice>& prices) {
  std::vector<std::string> names;
  names.reserve(prices.size());
  for (const TablePrice& price : prices) names.push_back(price.table);
  Table table(1);
  std::vector<std::string> head{"line"};
  for (const BaselineMachine& machine : baseline_machines()) head.push_back(machine.name + " /");
  table.row(head);
  const auto row = [&](const char* name, auto sum_of) {
    std::vector<std::string> cells{name};
    for (std::size_t b = 0; b < baseline_machines().size(); ++b) {
      const auto range = range_over(prices, [&](const PassPrice& price) {
        return energy::ratio(sum_of(price.baselines[b]), sum_of(price.energy));
      });
      cells.push_back(range ? fmt::format("{:.1f}-{:.1f}", range->first, range->second) : "-");
    }
    table.row(cells);
  };
  row("operations only", [](const Breakdown& b) { return b.operations_only(); });
  row("with everything but memory", [](const Breakdown& b) { return b.computing(); });
  return fmt::format("\nRange over the shipped tables ({}), values without error bars\n", fmt::join(names, ", ")) +
         table.text();
}

std::string operation_table(const Total& all) {
  Table table(1);
  table.row({"operation", "count", "energy", "share of its line"});
  const Breakdown& energy = all.price.energy;
  for (const Line line : {Line::kOperation, Line::kOverhead, Line::kMemory}) {
    const double sum = energy.sum(line).value;
    for (const Operation operation : energy::kOperations) {
      if (energy::line_of(operation) != line || energy.counts[operation] == 0) continue;
      const double pj = energy.energy_pj[operation].value;
      table.row({std::string(energy::name(operation)) + (line == Line::kMemory ? " (bits)" : ""),
                 count(static_cast<double>(energy.counts[operation])), joules(pj),
                 sum > 0 ? fmt::format("{:.1f} %", 100 * pj / sum) : "-"});
    }
  }
  return "\nEnergy by operation\n" + table.text();
}

std::string area_table(const Price& price, const energy::Laws& laws) {
  if (!laws.table().has_area) return fmt::format("\nArea\n  -  ({} has no areas)\n", laws.table().name);
  std::set<std::string> seen;
  std::vector<std::string> blocks;
  const auto note = [&](const energy::UnitArea& area) {
    for (const energy::AreaBlock& block : area.blocks) {
      if (seen.insert(block.name).second) blocks.push_back(block.name);
    }
  };
  note(price.area);
  for (const energy::UnitArea& area : price.baseline_areas) note(area);

  Table table(1);
  std::vector<std::string> head{"block", "this format"};
  for (const BaselineMachine& machine : baseline_machines()) head.push_back(machine.name);
  table.row(head);
  const auto row = [&](const std::string& name, auto value_of) {
    std::vector<std::string> cells{name, fmt::format("{:.4f}", value_of(price.area) / 1e6)};
    for (const energy::UnitArea& area : price.baseline_areas)
      cells.push_back(fmt::format("{:.4f}", value_of(area) / 1e6));
    table.row(cells);
  };
  for (const std::string& name : blocks) {
    row(name, [&](const energy::UnitArea& area) {
      double sum = 0;
      for (const energy::AreaBlock& block : area.blocks) sum += block.name == name ? block.area_um2 : 0;
      return sum;
    });
  }
  row("total", [](const energy::UnitArea& area) { return area.total(); });
  return "\nArea, mm² (memories are an estimate, no area of theirs is published)\n" + table.text();
}

std::string layer_table(const Results& results, const Price& price) {
  Table table(2);
  table.row({"layer", "pass", "multiply-adds", "cycles", "util.", "SQNR dB", "overflows", "operations", "all computing",
             "memory", "fp32 /"});
  for (std::size_t l = 0; l < results.layers.size(); ++l) {
    for (std::size_t p = 0; p < results.layers[l].passes.size(); ++p) {
      const PassRecord& record = results.layers[l].passes[p];
      const PassPrice& pass_price = price.layers[l][p];
      table.row({p == 0 ? results.layers[l].name : "", models::to_string(record.pass),
                 count(static_cast<double>(record.multiply_adds)), count(static_cast<double>(record.cycles.total())),
                 fmt::format("{:.0f} %", 100 * record.utilization), decibels(record.sqnr_db),
                 count(static_cast<double>(record.counts.overflows)), joules(pass_price.energy.operations_only().value),
                 joules(pass_price.energy.computing().value), joules(pass_price.energy.memory().value),
                 times(energy::ratio(pass_price.baselines[0].computing(), pass_price.energy.computing()))});
    }
  }
  return "\nLayers (fp32 / is the ratio with all of computing)\n" + table.text();
}

std::string notes(const std::vector<TablePrice>& prices) {
  std::string text =
      "\nNotes\n"
      "  A baseline is the same array and dataflow with elements of its own format, accumulating in binary32 (int8 in "
      "32\n"
      "  bits). fp8 is e4m3 for activations and weights and e5m2 for errors. \"Operations only\" is what publications\n"
      "  quote. Every operand costs the same here, zeros included: a ReLU stream costs an integer multiply-add about "
      "a\n"
      "  third less and an MLS one a fifth less.\n";
  const auto range = range_over(prices, [](const PassPrice& price) {
    return energy::ratio(price.baselines.front().operations_only(), price.baselines.back().operations_only());
  });
  if (range) {
    text += fmt::format("  The choice of table alone moves {} : {} from {:.1f} to {:.1f} (operations only).\n",
                        baseline_machines().front().name, baseline_machines().back().name, range->first, range->second);
  }
  return text + "  Laws, sources and error bars: docs/energy.md.\n";
}

Json to_json(const Range& range) {
  return {{"low", range.low}, {"value", range.value}, {"high", range.high}};
}

Json to_json(const std::optional<Range>& range) {
  return range ? to_json(*range) : Json();
}

Json to_json(const energy::UnitArea& area) {
  if (std::isnan(area.total())) return nullptr;
  Json json;
  for (const energy::AreaBlock& block : area.blocks) json[block.name] = block.area_um2;
  json["total"] = area.total();
  return json;
}

Json to_json(const Breakdown& breakdown) {
  Json json;
  json["operations_only_pj"] = to_json(breakdown.operations_only());
  json["computing_pj"] = to_json(breakdown.computing());
  json["memory_pj"] = to_json(breakdown.memory());
  for (const Operation operation : energy::kOperations) {
    if (breakdown.counts[operation] == 0) continue;
    json["operations"][std::string(energy::name(operation))] = {{"count", breakdown.counts[operation]},
                                                                {"pj", to_json(breakdown.energy_pj[operation])}};
  }
  return json;
}

Json to_json(const PassPrice& price) {
  Json json;
  json["energy"] = to_json(price.energy);
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

Json table_range_json(const std::vector<TablePrice>& prices) {
  Json json;
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

Json decibels_json(const std::optional<double>& value) {
  if (!value || std::isnan(*value)) return nullptr;
  if (std::isinf(*value)) return "exact";
  return *value;
}

}  // namespace

std::string text_report(const std::vector<ReportSource>& sources, const energy::Laws& laws) {
  std::string text;
  std::string note;
  for (const ReportSource& source : sources) {
    const Price prices = price(source.results, laws, source.own_prices);
    const auto totals = totals_of(source.results, prices);
    const auto all = std::find_if(totals.begin(), totals.end(), [](const auto& t) { return t.first == "all"; });
    if (!text.empty()) text += "\n";
    text += header(source, prices, laws);
    text += work_table(source.results, totals);
    text += error_table(totals);
    text += energy_table(totals);
    text += range_lines(all->second, laws);
    const std::vector<TablePrice> by_table = price_with_every_table(source.results);
    text += table_range_lines(by_table);
    text += operation_table(all->second);
    text += area_table(prices, laws);
    text += layer_table(source.results, prices);
    if (note.empty()) note = notes(by_table);
  }
  return text + note;
}

Json json_report(const std::vector<ReportSource>& sources, const energy::Laws& laws) {
  Json json;
  json["schema"] = "mlsim.report/1";
  json["cost_table"] = laws.table().name;
  json["results"] = Json::array();
  for (const ReportSource& source : sources) {
    const Results& results = source.results;
    const Price prices = price(results, laws, source.own_prices);
    Json& entry = json["results"].emplace_back();
    entry["file"] = source.file;
    entry["workload"] = results.workload;
    entry["engine"] = to_string(results.engine);
    entry["formats"] = format_names(results);
    if (prices.accumulator_bits > 0) entry["accumulator_bits"] = prices.accumulator_bits;
    entry["area_um2"] = to_json(prices.area);
    for (std::size_t b = 0; b < prices.baseline_areas.size(); ++b) {
      entry["baseline_area_um2"][baseline_machines()[b].name] = to_json(prices.baseline_areas[b]);
    }
    for (const auto& [name, total] : totals_of(results, prices)) {
      Json& sum = entry["totals"][name];
      sum["multiply_adds"] = total.multiply_adds;
      sum["cycles"] = total.cycles.total();
      sum["utilization"] = total.utilization(results.array);
      sum["mean_sqnr_db"] = decibels_json(total.mean_sqnr());
      sum.update(to_json(total.price));
    }
    entry["table_range"] = table_range_json(price_with_every_table(results));
    entry["layers"] = Json::array();
    for (std::size_t l = 0; l < results.layers.size(); ++l) {
      Json& layer = entry["layers"].emplace_back();
      layer["name"] = results.layers[l].name;
      layer["format"] = format_name(results.layers[l]);
      for (std::size_t p = 0; p < results.layers[l].passes.size(); ++p) {
        const PassRecord& record = results.layers[l].passes[p];
        Json& pass = layer["passes"][models::to_string(record.pass)];
        pass["multiply_adds"] = record.multiply_adds;
        pass["cycles"] = record.cycles.total();
        pass["utilization"] = record.utilization;
        pass["overflows"] = record.counts.overflows;
        pass["sqnr_db"] = decibels_json(record.sqnr_db);
        for (const MeasuredError& error : record.baselines) {
          pass["baseline_sqnr_db"][error.name] = decibels_json(error.sqnr_db);
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
  text += "\n";
  const auto quoted = [](const std::string& cell) {
    if (cell.find_first_of(",\"\n\r") == std::string::npos) return cell;
    std::string result = "\"";
    for (const char c : cell) result += c == '"' ? std::string("\"\"") : std::string(1, c);
    return result + "\"";
  };
  const auto decibel_cell = [](const std::optional<double>& value) {
    if (!value || std::isnan(*value)) return std::string();
    return std::isinf(*value) ? std::string("inf") : fmt::format("{:.6g}", *value);
  };
  for (const ReportSource& source : sources) {
    const Price prices = price(source.results, laws, source.own_prices);
    for (std::size_t l = 0; l < source.results.layers.size(); ++l) {
      const LayerRecord& layer = source.results.layers[l];
      for (std::size_t p = 0; p < layer.passes.size(); ++p) {
        const PassRecord& record = layer.passes[p];
        const PassPrice& pass_price = prices.layers[l][p];
        text += fmt::format("{},{},{},{},{},{},{},{},{},{},{:.6g},{},{},{},{},{}", quoted(source.file),
                            quoted(source.results.workload), quoted(layer.name), models::to_string(record.pass),
                            quoted(format_name(layer)), record.multiply_adds, record.cycles.array,
                            record.cycles.quantizer, record.cycles.fill_stalls, record.cycles.scaler_stalls,
                            record.utilization, decibel_cell(record.sqnr_db), record.counts.overflows,
                            pass_price.energy.operations_only().value, pass_price.energy.computing().value,
                            pass_price.energy.memory().value);
        for (std::size_t b = 0; b < pass_price.baselines.size(); ++b) {
          std::optional<double> sqnr;
          for (const MeasuredError& error : record.baselines) {
            if (error.name == baseline_machines()[b].name) sqnr = error.sqnr_db;
          }
          const Breakdown& baseline = pass_price.baselines[b];
          text += fmt::format(",{},{},{},{}", baseline.operations_only().value, baseline.computing().value,
                              baseline.memory().value, decibel_cell(sqnr));
        }
        text += "\n";
      }
    }
  }
  return text;
}

}  // namespace mlsim::app
