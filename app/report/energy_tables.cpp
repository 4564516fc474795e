#include <fmt/format.h>

#include "app/report/cells.h"
#include "app/report/section_tables.h"

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
  table.head = with_baselines({"pass", "energy", "pJ a multiply-add"}, " /");
  for (const Total& total : evaluated.totals()) {
    const double own = (total.price.energy.*sum)().value;
    std::vector<std::string> cells{total.name, joules(own), each(total.each(own))};
    for (std::size_t b = 0; b < total.price.baselines.size(); ++b) {
      cells.push_back(times(total.price.compared(b).*ratio));
    }
    table.rows.push_back(std::move(cells));
  }
  return table;
}

}  // namespace

std::vector<ReportTable> energy_tables(const Evaluation& evaluated) {
  return {energy_table("energy-operations",
                       "Energy, operations only (multiply, exponent add, shift, accumulate; floats: multiply, add)",
                       evaluated, &Breakdown::operations_only, &energy::Comparison::operations_only),
          energy_table("energy-computing", "Energy with registers, group scaling, conversion and quantization",
                       evaluated, &Breakdown::computing, &energy::Comparison::computing),
          energy_table("energy-memory", "Energy of memory (operand buffers, SRAM, DRAM)", evaluated, &Breakdown::memory,
                       &energy::Comparison::memory)};
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
  table.head = with_baselines({"elements", "energy", "pJ a multiply-add"}, " /");
  for (const evaluation::Activity activity : evaluation::kActivities) {
    const PassPrice& price = evaluated.with(activity);
    const double own = price.energy.computing().value;
    std::vector<std::string> cells{described(activity), joules(own), each(evaluated.all().each(own))};
    for (std::size_t b = 0; b < price.baselines.size(); ++b) cells.push_back(times(price.compared(b).computing));
    table.rows.push_back(std::move(cells));
  }
  return table;
}

ReportTable operation_table(const Evaluation& evaluated) {
  ReportTable table{"operations", "Energy by operation"};
  table.head = {"operation", "count", "energy", "share of its line"};
  for (const evaluation::OperationFigures& figures : evaluated.operations()) {
    const std::string unit(energy::unit(figures.operation));
    table.rows.push_back({std::string(energy::name(figures.operation)) + (unit.empty() ? "" : " (" + unit + ")"),
                          count(figures.count), joules(figures.pj), percent(figures.share)});
  }
  return table;
}

}  // namespace mlsim::app
