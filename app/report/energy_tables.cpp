#include <fmt/format.h>

#include <cmath>

#include "app/report/cells.h"
#include "app/report/section_tables.h"
#include "app/report/table_columns.h"

namespace mlsim::app {
namespace {

using energy::Breakdown;
using energy::Range;
using evaluation::Evaluation;
using evaluation::PassPrice;
using evaluation::Total;

// `sum` and `ratio` are of the table's line.
ReportTable energy_table(const std::string& id, const std::string& what, const Evaluation& evaluated,
                         Range (Breakdown::*sum)() const, std::optional<Range> energy::Comparison::*ratio) {
  ReportTable table{id, what + ", and what the baselines take as a multiple of it"};
  TableColumns columns(table, evaluated.totals());
  const auto own = [&](const Total& total) { return (total.price.energy.*sum)().value; };
  columns.texts("pass", [](const Total& total) { return total.name; });
  columns.energies("energy", own);
  columns.numbers("pJ a multiply-add", [&](const Total& total) { return number(total.each(own(total))); });
  for (std::size_t b = 0; b < evaluation::baseline_machines().size(); ++b) {
    columns.texts(evaluation::baseline_machines()[b].name + " /",
                  [&](const Total& total) { return times(total.price.compared(b).*ratio); });
  }
  return table;
}

}  // namespace

std::vector<ReportTable> energy_tables(const Evaluation& evaluated) {
  const energy::CostTable& prices = evaluated.table();
  const char* const standing = prices.leakage              ? ", idle clocking and leakage"
                               : prices.idle_clocked_share ? ", and idle clocking"
                                                           : "";
  return {
      energy_table("energy-operations",
                   "Energy, operations only (multiply, exponent add, shift, accumulate; floats: multiply, add)",
                   evaluated, &Breakdown::operations_only, &energy::Comparison::operations_only),
      energy_table("energy-computing",
                   fmt::format("Energy with registers, group scaling, conversion and quantization{}", standing),
                   evaluated, &Breakdown::computing, &energy::Comparison::computing),
      energy_table("energy-memory",
                   fmt::format("Energy of memory (operand buffers, SRAM, DRAM{})", prices.leakage ? ", leakage" : ""),
                   evaluated, &Breakdown::memory, &energy::Comparison::memory)};
}

ReportTable range_table(const Evaluation& evaluated) {
  const energy::ErrorBars& bars = evaluated.table().error_bars;
  ReportTable table{"ranges", fmt::format("What the baselines take as a multiple, with error bars (worst case; integer "
                                          "±{:g} %, shifter ±{:g} %, floating point a factor {:g})",
                                          100 * bars.integer, 100 * bars.shifter, bars.float_factor)};
  table.head = {"baseline", "operations only", "with everything but memory"};
  const PassPrice& price = evaluated.all().price;
  for (std::size_t b = 0; b < price.baselines.size(); ++b) {
    const energy::Comparison comparison = price.compared(b);
    table.rows.push_back({evaluation::baseline_machines()[b].name + " /", times_range(comparison.operations_only),
                          times_range(comparison.computing)});
  }
  return table;
}

ReportTable table_range_table(const Evaluation& evaluated) {
  const evaluation::TableRanges& ranges = evaluated.table_ranges();
  ReportTable table{"table-ranges", fmt::format("Range over the shipped tables ({}), values without error bars",
                                                fmt::join(ranges.tables, ", "))};
  table.head = with_baselines({"line"}, " /");
  const auto row = [&](const char* name, const std::vector<std::optional<evaluation::TableRange>>& line) {
    std::vector<std::string> cells{name};
    for (const auto& range : line) cells.push_back(range ? fmt::format("{:.1f}-{:.1f}", range->low, range->high) : "-");
    table.rows.push_back(std::move(cells));
  };
  row("operations only", ranges.operations_only);
  row("with everything but memory", ranges.computing);
  return table;
}

ReportTable activity_table(const Evaluation& evaluated) {
  ReportTable table{
      "activity",
      "What zeros save: energy of all passes with everything but memory, and what the baselines take as a "
      "multiple of it, each with its own zeros on elements of the same kind"};
  const std::vector<evaluation::Activity> activities(evaluation::kActivities.begin(), evaluation::kActivities.end());
  TableColumns columns(table, activities);
  const auto own = [&](evaluation::Activity activity) { return evaluated.with(activity).energy.computing().value; };
  columns.texts("elements", described);
  columns.energies("computing", own);
  columns.numbers("pJ a multiply-add",
                  [&](evaluation::Activity activity) { return number(evaluated.all().each(own(activity))); });
  for (std::size_t b = 0; b < evaluation::baseline_machines().size(); ++b) {
    columns.texts(evaluation::baseline_machines()[b].name + " /",
                  [&](evaluation::Activity activity) { return times(evaluated.with(activity).compared(b).computing); });
  }
  return table;
}

ReportTable operation_table(const Evaluation& evaluated) {
  ReportTable table{"operations", "Energy by operation"};
  using Figures = evaluation::OperationFigures;
  TableColumns columns(table, evaluated.operations());
  columns.texts("operation", [](const Figures& figures) {
    const std::string unit(energy::unit(figures.operation));
    return std::string(energy::name(figures.operation)) + (unit.empty() ? "" : " (" + unit + ")");
  });
  columns.texts("count", [](const Figures& figures) { return count(figures.count); });
  columns.energies("energy", [](const Figures& figures) { return figures.pj; });
  columns.texts("share of its line", [](const Figures& figures) { return percent(figures.share); });
  return table;
}

}  // namespace mlsim::app
