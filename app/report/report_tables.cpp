#include "app/report/report_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string_view>

#include "energy/cost_table.h"

namespace mlsim::app {
namespace {

using energy::Breakdown;
using energy::Line;
using energy::Operation;
using energy::Range;
using models::Operand;
using models::Pass;

// Energies in pJ with a unit that suits them.
struct EnergyUnit {
  double pj;
  const char* name;
};
EnergyUnit unit_of(double pj) {
  constexpr double kNext = 999.5;  // is printed as 1000
  if (pj < kNext) return {1, "pJ"};
  if (pj < kNext * 1e3) return {1e3, "nJ"};
  if (pj < kNext * 1e6) return {1e6, "µJ"};
  if (pj < kNext * 1e9) return {1e9, "mJ"};
  return {1e12, "J"};
}

// Three digits, without an exponent; - for what is undefined, such as a figure for each of no multiply-adds.
std::string three_digits(double value) {
  if (!std::isfinite(value)) return "-";
  return value < 999.5 ? fmt::format("{:.3g}", value) : fmt::format("{:.0f}", value);
}

std::string joules(double pj) {
  const EnergyUnit unit = unit_of(pj);
  return fmt::format("{} {}", three_digits(pj / unit.pj), unit.name);
}

std::string joules_range(const Range& pj) {
  const EnergyUnit unit = unit_of(pj.value);
  return fmt::format("{} ({}-{})", joules(pj.value), three_digits(pj.low / unit.pj), three_digits(pj.high / unit.pj));
}

std::string count(double value) {
  return value < 1e5 ? fmt::format("{:.0f}", value) : fmt::format("{:.2E}", value);
}

std::string count(const energy::WideCount& value) {
  return count(static_cast<double>(value));
}

// A quotient as a percentage of `digits` digits behind the point; - for what is undefined.
std::string percent(const std::optional<double>& share, int digits = 1) {
  return share && std::isfinite(*share) ? fmt::format("{:.{}f} %", 100 * *share, digits) : "-";
}

std::string factor(double value) {
  return std::isfinite(value) ? fmt::format("{:.2f}", value) : "-";
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

using Totals = std::vector<std::pair<std::string, Total>>;

const Total& all_of(const Totals& totals) {
  return std::find_if(totals.begin(), totals.end(), [](const auto& entry) { return entry.first == "all"; })->second;
}

std::vector<std::string> with_baselines(std::vector<std::string> head, const std::string& suffix) {
  for (const BaselineMachine& machine : baseline_machines()) head.push_back(machine.name + suffix);
  return head;
}

double milliseconds(const CycleTotals& cycles, const sim::ArrayConfig& array) {
  return 1e3 * static_cast<double>(cycles.total()) / (array.clock_ghz * 1e9);
}

ReportTable work_table(const Results& results, const Totals& totals) {
  ReportTable table{"work", "Work"};
  table.head = {"pass",        "multiply-adds", "array cycles",     "utilization",
                "fill stalls", "scaler stalls", "quantizer cycles", ""};
  table.head.back() = fmt::format("ms at {:g} GHz", results.array.clock_ghz);
  for (const auto& [name, total] : totals) {
    table.rows.push_back({name, count(total.multiply_adds), count(total.cycles.array),
                          percent(total.utilization(results.array)), count(total.cycles.fill_stalls),
                          count(total.cycles.scaler_stalls), count(total.cycles.quantizer),
                          fmt::format("{:.3g}", milliseconds(total.cycles, results.array))});
  }
  return table;
}

ReportTable error_table(const Totals& totals) {
  ReportTable table{"errors", "SQNR against binary64, dB, mean over the layers"};
  table.head = with_baselines({"pass", "this format", "lowest layer"}, "");
  if (!all_of(totals).sqnr.mean()) return {};
  for (const auto& [name, total] : totals) {
    std::vector<std::string> cells{name, decibels(total.sqnr.mean()), decibels(total.sqnr.lowest())};
    for (const PassDecibels& baseline : total.baseline_sqnr) cells.push_back(decibels(baseline.mean()));
    table.rows.push_back(std::move(cells));
  }
  return table;
}

// pJ a multiply-add.
std::string each(double pj, const energy::WideCount& multiply_adds) {
  return multiply_adds == 0 ? "-" : fmt::format("{:.3g}", pj / static_cast<double>(multiply_adds));
}

template <typename Sum>
ReportTable energy_table(const std::string& id, const std::string& what, const Totals& totals, const Sum& sum_of) {
  ReportTable table{id, what + ", and what the baselines take as a multiple of it"};
  table.head = with_baselines({"pass", "energy", "pJ a multiply-add"}, " /");
  for (const auto& [name, total] : totals) {
    const Range own = sum_of(total.price.energy);
    std::vector<std::string> cells{name, joules(own.value), each(own.value, total.multiply_adds)};
    for (const Breakdown& baseline : total.price.baselines)
      cells.push_back(times(energy::ratio(sum_of(baseline), own)));
    table.rows.push_back(std::move(cells));
  }
  return table;
}

ReportTable range_table(const Total& all, const energy::Laws& laws) {
  const energy::ErrorBars& bars = laws.table().error_bars;
  ReportTable table{"ranges", fmt::format("What the baselines take as a multiple, with error bars (worst case; integer "
                                          "±{:g} %, shifter ±{:g} %, floating point a factor {:g})",
                                          100 * bars.integer, 100 * bars.shifter, bars.float_factor)};
  table.head = {"baseline", "operations only", "with everything but memory"};
  for (std::size_t b = 0; b < baseline_machines().size(); ++b) {
    const energy::Comparison comparison = energy::compare(all.price.baselines[b], all.price.energy);
    table.rows.push_back({baseline_machines()[b].name + " /", times_range(comparison.operations_only),
                          times_range(comparison.computing)});
  }
  return table;
}

ReportTable table_range_table(const std::vector<TablePrice>& prices) {
  std::vector<std::string> names;
  names.reserve(prices.size());
  for (const TablePrice& price : prices) names.push_back(price.table);
  ReportTable table{"table-ranges", fmt::format("Range over the shipped tables ({}), values without error bars",
                                                fmt::join(names, ", "))};
  table.head = with_baselines({"line"}, " /");
  const auto row = [&](const char* name, auto sum_of) {
    std::vector<std::string> cells{name};
    for (std::size_t b = 0; b < baseline_machines().size(); ++b) {
      const auto range = range_over(prices, [&](const PassPrice& price) {
        return energy::ratio(sum_of(price.baselines[b]), sum_of(price.energy));
      });
      cells.push_back(range ? fmt::format("{:.1f}-{:.1f}", range->first, range->second) : "-");
    }
    table.rows.push_back(std::move(cells));
  };
  row("operations only", [](const Breakdown& b) { return b.operations_only(); });
  row("with everything but memory", [](const Breakdown& b) { return b.computing(); });
  return table;
}

std::string share(const energy::WideCount& part, const energy::WideCount& whole) {
  return percent(static_cast<double>(part) / static_cast<double>(whole));
}

ReportTable zeros_table(const Totals& totals) {
  ReportTable table{"zeros", all_of(totals).zeros_are_counted
                                 ? "Multiply-adds of a zero operand, counted from the values"
                                 : "Multiply-adds of a zero operand, assumed where there are no values (half of the "
                                   "activations are zero, no weight and no error)"};
  table.head = with_baselines({"pass", "this format"}, "");
  for (const auto& [name, total] : totals) {
    std::vector<std::string> cells{name, share(total.zero_products, total.multiply_adds)};
    for (const energy::WideCount& zeros : total.baseline_zero_products)
      cells.push_back(share(zeros, total.multiply_adds));
    table.rows.push_back(std::move(cells));
  }
  return table;
}

ReportTable toggle_table(const Totals& totals) {
  ReportTable table{
      "toggles",
      "Bits of the operand registers that change with the codes they take, counted from the values (50 % of "
      "random codes do)"};
  table.head = {"pass", "rows", "columns"};
  for (const auto& [name, total] : totals) {
    const std::optional<ToggleShare> share = total.toggles.share();
    if (!share) continue;
    table.rows.push_back(
        {name, fmt::format("{:.1f} %", 100 * share->rows), fmt::format("{:.1f} %", 100 * share->columns)});
  }
  return table;
}

const char* described(Activity activity) {
  switch (activity) {
    case Activity::kDense:
      return "dense operands";
    case Activity::kZeros:
      return "zeros as they come";
    case Activity::kGated:
      break;
  }
  return "zero gating";
}

ReportTable activity_table(const std::array<PassPrice, kActivities.size()>& prices,
                           const energy::WideCount& multiply_adds) {
  ReportTable table{
      "activity",
      "What zeros save: energy of all passes with everything but memory, and what the baselines take as a "
      "multiple of it, each with its own zeros on elements of the same kind"};
  table.head = with_baselines({"elements", "energy", "pJ a multiply-add"}, " /");
  for (const Activity activity : kActivities) {
    const PassPrice& price = prices[static_cast<std::size_t>(activity)];
    const Range own = price.energy.computing();
    std::vector<std::string> cells{described(activity), joules(own.value), each(own.value, multiply_adds)};
    for (const Breakdown& baseline : price.baselines) cells.push_back(times(energy::ratio(baseline.computing(), own)));
    table.rows.push_back(std::move(cells));
  }
  return table;
}

std::string area(double um2) {
  return !std::isfinite(um2) ? "-" : fmt::format("{:.3f}", um2 / 1e6);
}

ReportTable machine_table(const std::vector<MachineFigures>& machines, const Results& results) {
  const std::optional<std::int64_t> images = images_of(results);
  ReportTable table{"machines",
                    fmt::format("Machines of {} x {} elements at {:g} GHz, all passes; a multiply-add is two "
                                "operations; the area is that of elements, group-scale units and "
                                "quantizers; /W without and with memory",
                                results.array.rows, results.array.columns, results.array.clock_ghz)};
  table.head = {"machine", "mm²",         "ms",
                "TOPS",    "TOPS/mm²",    "pJ a multiply-add",
                "TOPS/W",  "with memory", "all passes, with memory"};
  if (images) table.head.emplace_back("a sample");
  for (const MachineFigures& machine : machines) {
    const Range computing = machine.energy.computing();
    const Range all = computing + machine.energy.memory();
    table.rows.push_back({machine.name, area(machine.area_um2), three_digits(1e3 * machine.seconds),
                          three_digits(machine.tops()), three_digits(machine.tops_per_mm2()),
                          three_digits(machine.pj_each(computing)), three_digits(machine.tops_per_watt(computing)),
                          three_digits(machine.tops_per_watt(all)), joules(all.value)});
    if (images) table.rows.back().push_back(joules(all.value / static_cast<double>(*images)));
  }
  return table;
}

ReportTable equal_table(const std::vector<MachineFigures>& machines) {
  if (std::isnan(machines.front().area_um2)) return {};
  ReportTable table{
      "equal",
      "The same machines with as many elements as give them the area, or the throughput, of this format's "
      "(each kind scaled as a whole and as well used; power without memory)",
      1};
  table.head = {"machine",  "elements at its area",       "TOPS", "ms",
                "power, W", "elements at its throughput", "mm²",  "power, W"};
  const MachineFigures& own = machines.front();
  for (const MachineFigures& machine : machines) {
    const double by_area = own.area_um2 / machine.area_um2;
    const double by_rate = machine.seconds / own.seconds;
    const double watts = machine.watts();
    table.rows.push_back({machine.name, fmt::format("x {}", three_digits(by_area)),
                          three_digits(machine.tops() * by_area), three_digits(1e3 * machine.seconds / by_area),
                          three_digits(watts * by_area), fmt::format("x {}", three_digits(by_rate)),
                          area(machine.area_um2 * by_rate), three_digits(watts * by_rate)});
  }
  return table;
}

ReportTable step_table(const TrainingStep& step, const Total& all) {
  ReportTable table{"step",
                    fmt::format("One training step of {}, batch {}: the rest of it in binary32 for every format "
                                "(pJ by the cost table), without memory",
                                step.network, step.batch)};
  table.head = {"part", "multiplications", "additions", "gated elements", "energy"};
  const auto number = [](std::uint64_t value) { return count(static_cast<double>(value)); };
  for (const StepPart& part : step.parts) {
    table.rows.push_back(
        {part.name, number(part.multiplies), number(part.adds), number(part.gated), joules(part.energy_pj.value)});
  }
  table.rows.push_back({"convolutions", "", "", "", joules(all.price.energy.computing().value)});
  table.rows.push_back({"whole step", "", "", "", joules(all.price.energy.computing().value + step.total_pj().value)});
  return table;
}

ReportTable step_machine_table(const TrainingStep& step, const std::vector<MachineFigures>& machines) {
  ReportTable table{"step-machines",
                    "The whole step on each machine, without memory and with the memory of the "
                    "convolutions, and as a multiple of this format's"};
  table.head = {"machine",
                "a step",
                "a sample",
                "this format's x",
                "with memory",
                "a sample with memory",
                "this format's x with memory"};
  const auto samples = static_cast<double>(step.batch);
  const double rest = step.total_pj().value;
  const double own = machines.front().energy.computing().value + rest;
  const double own_all = own + machines.front().energy.memory().value;
  for (const MachineFigures& machine : machines) {
    const double computing = machine.energy.computing().value + rest;
    const double all = computing + machine.energy.memory().value;
    table.rows.push_back({machine.name, joules(computing), joules(computing / samples), factor(computing / own),
                          joules(all), joules(all / samples), factor(all / own_all)});
  }
  return table;
}

double computing_area(const energy::UnitArea& machine) {
  double sum = 0;
  for (const energy::AreaBlock& block : machine.blocks) {
    if (block.name != "operand_buffers" && block.name != "srams") sum += block.area_um2;
  }
  return sum;
}

double block_area(const energy::UnitArea& machine, std::string_view name) {
  for (const energy::AreaBlock& block : machine.blocks) {
    if (block.name == name) return block.area_um2;
  }
  return 0;
}

ReportTable sharing_table(const Results& results, const Price& price) {
  const std::vector<Sharing> all = sharings(results, price);
  ReportTable table{"sharing",
                    "What sharing a group-scale unit saves and stalls, all passes (cycles by the closed form; * as "
                    "simulated)"};
  if (all.empty()) return table;
  table.head = {"elements to a unit",
                "units",
                "units, mm²",
                "all computing, mm²",
                "saved",
                "scaler stalls",
                "cycles",
                "slower",
                "TOPS/mm²"};
  const double own_area = computing_area(all.front().area);
  const auto own_cycles = static_cast<double>(all.front().cycles.total());
  energy::WideCount multiply_adds;
  for (const LayerRecord& layer : results.layers) {
    for (const PassRecord& record : layer.passes) multiply_adds += record.multiply_adds;
  }
  for (const Sharing& sharing : all) {
    const double computing = computing_area(sharing.area);
    const auto cycles = static_cast<double>(sharing.cycles.total());
    const double tops = 2 * static_cast<double>(multiply_adds) * results.array.clock_ghz / cycles / 1e3;
    const bool has_area = !std::isnan(computing);
    table.rows.push_back({fmt::format("{}{}", sharing.elements_per_scaler,
                                      sharing.elements_per_scaler == results.array.elements_per_scaler ? " *" : ""),
                          fmt::format("{}", sharing.units), area(block_area(sharing.area, "group_scale_units")),
                          area(computing), percent(1 - computing / own_area), count(sharing.cycles.scaler_stalls),
                          count(cycles), percent(cycles / own_cycles - 1),
                          has_area ? three_digits(tops / (computing / 1e6)) : "-"});
  }
  return table;
}

ReportTable operation_table(const Total& all) {
  ReportTable table{"operations", "Energy by operation"};
  table.head = {"operation", "count", "energy", "share of its line"};
  const Breakdown& energy = all.price.energy;
  for (const Line line : {Line::kOperation, Line::kOverhead, Line::kMemory}) {
    const double sum = energy.sum(line).value;
    for (const Operation operation : energy::kOperations) {
      if (energy::line_of(operation) != line || energy.counts[operation] == 0) continue;
      const double pj = energy.energy_pj[operation].value;
      table.rows.push_back({std::string(energy::name(operation)) + (line == Line::kMemory ? " (bits)" : ""),
                            count(energy.counts[operation]), joules(pj),
                            sum > 0 ? fmt::format("{:.1f} %", 100 * pj / sum) : "-"});
    }
  }
  return table;
}

ReportTable area_table(const Price& price, const energy::Laws& laws) {
  if (!laws.table().has_area) return {};
  std::set<std::string> seen;
  std::vector<std::string> blocks;
  const auto note = [&](const energy::UnitArea& area) {
    for (const energy::AreaBlock& block : area.blocks) {
      if (seen.insert(block.name).second) blocks.push_back(block.name);
    }
  };
  note(price.area);
  for (const energy::UnitArea& area : price.baseline_areas) note(area);

  ReportTable table{"area", "Area, mm² (memories are an estimate, no area of theirs is published)"};
  table.head = with_baselines({"block", "this format"}, "");
  const auto row = [&](const std::string& name, auto value_of) {
    std::vector<std::string> cells{name, fmt::format("{:.4f}", value_of(price.area) / 1e6)};
    for (const energy::UnitArea& area : price.baseline_areas)
      cells.push_back(fmt::format("{:.4f}", value_of(area) / 1e6));
    table.rows.push_back(std::move(cells));
  };
  for (const std::string& name : blocks) {
    row(name, [&](const energy::UnitArea& area) {
      double sum = 0;
      for (const energy::AreaBlock& block : area.blocks) sum += block.name == name ? block.area_um2 : 0;
      return sum;
    });
  }
  row("total", [](const energy::UnitArea& area) { return area.total(); });
  return table;
}

ReportTable layer_table(const Results& results, const Price& price) {
  ReportTable table{"layers", "Layers (fp32 / is the ratio with all of computing)", 2, true};
  table.head = {"layer",     "pass",       "multiply-adds", "cycles", "util.", "SQNR dB",
                "overflows", "operations", "all computing", "memory", "fp32 /"};
  for (std::size_t l = 0; l < results.layers.size(); ++l) {
    for (std::size_t p = 0; p < results.layers[l].passes.size(); ++p) {
      const PassRecord& record = results.layers[l].passes[p];
      const PassPrice& pass_price = price.layers[l][p];
      table.rows.push_back({results.layers[l].name, models::to_string(record.pass),
                            count(static_cast<double>(record.multiply_adds)),
                            count(static_cast<double>(record.cycles.total())), percent(utilization_of(record), 0),
                            decibels(record.sqnr_db),
                            record.overflows_are_counted ? count(static_cast<double>(record.counts.overflows)) : "-",
                            joules(pass_price.energy.operations_only().value),
                            joules(pass_price.energy.computing().value), joules(pass_price.energy.memory().value),
                            times(energy::ratio(pass_price.baselines[0].computing(), pass_price.energy.computing()))});
    }
  }
  return table;
}

std::vector<std::pair<std::string, std::string>> facts_of(const ReportSource& source, const Price& price,
                                                          const energy::Laws& laws) {
  const Results& results = source.results;
  const sim::ArrayConfig& array = results.array;
  const bool simulated = results.engine == Engine::kCycle || results.engine == Engine::kStructural;
  std::string machine =
      fmt::format("{} x {} elements, {} to a group-scale unit", array.rows, array.columns, array.elements_per_scaler);
  if (price.accumulator_bits > 0) machine += fmt::format(", accumulators of {} bits", price.accumulator_bits);
  std::vector<std::pair<std::string, std::string>> facts{
      {"format", format_names(results)},
      {"engine",
       to_string(results.engine) + (simulated ? "" : " (cycles and traffic by the closed form of docs/dataflow.md)")},
      {"array", machine},
      {"prices",
       laws.table().name + (source.own_prices.empty() ? "" : ", those of this format from an Accelergy ERT")}};
  facts.emplace_back("operands",
                     fmt::format("{}  (--activity {})", described(source.activity), to_string(source.activity)));
  if (!laws.table().has_area) facts.emplace_back("area", fmt::format("-  ({} has no areas)", laws.table().name));
  return facts;
}

// The formats of each source; where two have the same, the file too, and where that is not enough its place.
std::vector<std::string> labels_of(const std::vector<ReportSource>& sources) {
  std::vector<std::string> formats;
  formats.reserve(sources.size());
  for (const ReportSource& source : sources) formats.push_back(format_names(source.results));
  const auto repeated = [](const std::vector<std::string>& names, const std::string& name) {
    return std::count(names.begin(), names.end(), name) > 1;
  };
  std::vector<std::string> labels = formats;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    if (repeated(formats, formats[i])) labels[i] += fmt::format(" ({})", sources[i].file);
  }
  const std::vector<std::string> with_files = labels;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    if (repeated(with_files, with_files[i])) labels[i] += fmt::format(" #{}", i + 1);
  }
  return labels;
}

}  // namespace

void Total::add(const PassRecord& record, const PassPrice& pass_price) {
  ++layers;
  multiply_adds += record.multiply_adds;
  overflows += record.counts.overflows;
  overflows_are_counted = overflows_are_counted && record.overflows_are_counted;
  cycles += record.cycles;
  price += pass_price;
  const ZeroProducts zeros = evaluation::zero_products(record);
  zero_products += zeros.count;
  zeros_are_counted &= zeros.counted;
  if (record.toggles) toggles.add(*record.toggles, record.traffic);
  for (std::size_t b = 0; b < baseline_machines().size(); ++b) {
    baseline_zero_products[b] += evaluation::zero_products(record, baseline_machines()[b]).count;
  }
  sqnr.add(record.pass, record.sqnr_db);
  for (std::size_t b = 0; b < baseline_machines().size(); ++b) {
    for (const MeasuredBaseline& error : record.baselines) {
      if (error.name == baseline_machines()[b].name) baseline_sqnr[b].add(record.pass, error.sqnr_db);
    }
  }
}

std::optional<double> Total::utilization(const sim::ArrayConfig& array) const {
  if (cycles.array == 0) return std::nullopt;
  return static_cast<double>(multiply_adds) /
         (static_cast<double>(cycles.array) * static_cast<double>(array.rows) * static_cast<double>(array.columns));
}

std::optional<double> utilization_of(const PassRecord& record) {
  return record.cycles.array == 0 ? std::nullopt : std::optional(record.utilization);
}

std::string format_name(const LayerRecord& layer) {
  if (layer.formats[Operand::kActivation] == layer.formats[Operand::kWeight] &&
      layer.formats[Operand::kActivation] == layer.formats[Operand::kError]) {
    return models::to_string(layer.formats[Operand::kActivation]);
  }
  return fmt::format("activation {}, weight {}, error {}", models::to_string(layer.formats[Operand::kActivation]),
                     models::to_string(layer.formats[Operand::kWeight]),
                     models::to_string(layer.formats[Operand::kError]));
}

std::string format_names(const Results& results) {
  std::set<std::string> names;
  for (const LayerRecord& layer : results.layers) names.insert(format_name(layer));
  return fmt::format("{}", fmt::join(names, "; "));
}

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

std::vector<MachineFigures> machine_figures(const Results& results, const Price& price, const Total& all) {
  const auto seconds = [&](const CycleTotals& cycles) { return milliseconds(cycles, results.array) / 1e3; };
  const auto multiply_adds = static_cast<double>(all.multiply_adds);
  std::vector<MachineFigures> machines{
      {"this format", computing_area(price.area), seconds(all.cycles), multiply_adds, all.price.energy}};
  for (std::size_t b = 0; b < baseline_machines().size(); ++b) {
    machines.push_back({baseline_machines()[b].name, computing_area(price.baseline_areas[b]),
                        seconds(all.price.baseline_cycles[b]), multiply_adds, all.price.baselines[b]});
  }
  return machines;
}

std::optional<std::int64_t> images_of(const Results& results) {
  if (results.layers.empty()) return std::nullopt;
  const std::int64_t batch = results.layers.front().shape.batch;
  const bool shared = std::all_of(results.layers.begin(), results.layers.end(),
                                  [&](const LayerRecord& layer) { return layer.shape.batch == batch; });
  return shared ? std::optional(batch) : std::nullopt;
}

std::array<PassPrice, kActivities.size()> price_activities(const ReportSource& source, const energy::Laws& laws) {
  std::array<PassPrice, kActivities.size()> prices;
  for (const Activity activity : kActivities) {
    const Price priced = price(source.results, laws, {source.own_prices, activity});
    prices[static_cast<std::size_t>(activity)] =
        total_of(source.results, priced, [](const LayerRecord&, const PassRecord&) { return true; }).price;
  }
  return prices;
}

std::vector<TablePrice> price_with_every_table(const Results& results, Activity activity) {
  std::vector<TablePrice> prices;
  for (const std::string_view table : energy::shipped_cost_tables()) {
    const Price priced = price(results, energy::Laws(energy::find_cost_table(std::string(table))), {{}, activity});
    const Total all = total_of(results, priced, [](const LayerRecord&, const PassRecord&) { return true; });
    prices.push_back({std::string(table), all.price});
  }
  return prices;
}

std::optional<std::pair<double, double>> range_over(
    const std::vector<TablePrice>& prices, const std::function<std::optional<Range>(const PassPrice&)>& ratio_of) {
  std::optional<std::pair<double, double>> range;
  for (const TablePrice& price : prices) {
    const std::optional<Range> ratio = ratio_of(price.all);
    if (!ratio) return std::nullopt;
    if (!range) range = {ratio->value, ratio->value};
    range = {std::min(range->first, ratio->value), std::max(range->second, ratio->value)};
  }
  return range;
}

std::vector<ReportSection> report_sections(const std::vector<ReportSource>& sources, const energy::Laws& laws) {
  const std::vector<std::string> labels = labels_of(sources);
  std::vector<ReportSection> sections;
  for (const ReportSource& source : sources) {
    const Results& results = source.results;
    const Price prices = price(results, laws, {source.own_prices, source.activity});
    const Totals totals = totals_of(results, prices);
    const std::vector<MachineFigures> machines = machine_figures(results, prices, all_of(totals));
    ReportSection& section = sections.emplace_back();
    section.label = labels[sections.size() - 1];
    section.title = fmt::format("{}: {}", source.file, results.workload);
    section.facts = facts_of(source, prices, laws);
    section.tables = {
        work_table(results, totals),
        error_table(totals),
        energy_table("energy-operations",
                     "Energy, operations only (multiply, exponent add, shift, accumulate; floats: multiply, add)",
                     totals, [](const Breakdown& b) { return b.operations_only(); }),
        energy_table("energy-computing", "Energy with registers, group scaling, conversion and quantization", totals,
                     [](const Breakdown& b) { return b.computing(); }),
        energy_table("energy-memory", "Energy of memory (operand buffers, SRAM, DRAM)", totals,
                     [](const Breakdown& b) { return b.memory(); }),
        range_table(all_of(totals), laws),
        table_range_table(price_with_every_table(results, source.activity)),
        zeros_table(totals),
        toggle_table(totals),
        activity_table(price_activities(source, laws), all_of(totals).multiply_adds),
        machine_table(machines, results),
        equal_table(machines),
        source.step ? step_table(*source.step, all_of(totals)) : ReportTable{},
        source.step ? step_machine_table(*source.step, machines) : ReportTable{},
        sharing_table(results, prices),
        operation_table(all_of(totals)),
        area_table(prices, laws),
        layer_table(results, prices),
    };
    std::erase_if(section.tables, [](const ReportTable& table) { return table.rows.empty(); });
  }
  return sections;
}

ReportTable overview_table(const std::vector<ReportSource>& sources, const energy::Laws& laws) {
  ReportTable table{"overview", "All passes of all layers; in brackets the worst case of the prices' error bars"};
  table.head = {"quantity"};
  table.head.insert(table.head.end(), sources.size(), "");
  const std::vector<std::string> labels = labels_of(sources);
  std::copy(labels.begin(), labels.end(), table.head.begin() + 1);
  for (const ReportSource& source : sources) {
    const Price prices = price(source.results, laws, {source.own_prices, source.activity});
    const Total all = all_of(totals_of(source.results, prices));
    const Breakdown& energy = all.price.energy;
    std::size_t next = 0;
    const auto row = [&](const std::string& name, const std::string& value) {
      if (next == table.rows.size()) table.rows.push_back({name});
      table.rows[next++].push_back(value);
    };
    row("energy, operations only", joules_range(energy.operations_only()));
    for (std::size_t b = 0; b < baseline_machines().size(); ++b) {
      row(baseline_machines()[b].name + " / this format, operations only",
          times_range(energy::compare(all.price.baselines[b], energy).operations_only));
    }
    row("energy, with everything but memory", joules_range(energy.computing()));
    for (std::size_t b = 0; b < baseline_machines().size(); ++b) {
      row(baseline_machines()[b].name + " / this format, with everything but memory",
          times_range(energy::compare(all.price.baselines[b], energy).computing));
    }
    row("energy of memory", joules_range(energy.memory()));
    row("SQNR, dB, mean over layers and passes", decibels(all.sqnr.mean()));
    row("SQNR, dB, lowest", decibels(all.sqnr.lowest()));
    row("accumulator overflows", all.overflows_are_counted ? count(all.overflows) : "-");
    row("multiply-adds", count(all.multiply_adds));
    row("cycles", count(all.cycles.total()));
    row("time", fmt::format("{:.3g} ms at {:g} GHz", milliseconds(all.cycles, source.results.array),
                            source.results.array.clock_ghz));
    row("utilization", percent(all.utilization(source.results.array)));
    row("area", laws.table().has_area ? fmt::format("{:.3f} mm²", prices.area.total() / 1e6) : "-");
  }
  return table;
}

std::vector<std::string> report_notes(const std::vector<ReportSource>& sources) {
  std::vector<std::string> notes = {
      "A baseline is the same array and dataflow with elements of its own format, accumulating in binary32 (int8 in 32 "
      "bits).",
      "fp8 is e4m3 for activations and weights and e5m2 for errors; fp8-acc16 is the same with sums in fp16, priced "
      "alone.",
      "\"Operations only\" is what publications quote.",
      "Dense operands have no zeros, as the published prices have it. Zeros save by themselves what a netlist with "
      "half "
      "zeros was measured to save: a third of an integer multiply-add, a fifth of an MLS one, and as much is taken for "
      "floats. Zero gating holds an element still instead, for a register and a zero detector of its own.",
  };
  const std::vector<BaselineMachine>& machines = baseline_machines();
  const auto int8 = static_cast<std::size_t>(
      std::find_if(machines.begin(), machines.end(), [](const BaselineMachine& m) { return m.name == "int8"; }) -
      machines.begin());
  const auto range = range_over(
      price_with_every_table(sources.front().results, sources.front().activity), [&](const PassPrice& price) {
        return energy::ratio(price.baselines[0].operations_only(), price.baselines[int8].operations_only());
      });
  if (range) {
    notes.push_back(fmt::format("The choice of table alone moves {} : {} from {:.1f} to {:.1f} (operations only).",
                                machines[0].name, machines[int8].name, range->first, range->second));
  }
  notes.emplace_back("Laws, sources and error bars: docs/energy.md.");
  return notes;
}

}  // namespace mlsim::app
