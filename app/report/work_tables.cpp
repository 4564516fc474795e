#include <fmt/format.h>

#include <cmath>

#include "app/report/cells.h"
#include "app/report/section_tables.h"
#include "app/report/table_columns.h"

namespace mlsim::app {

using evaluation::Evaluation;
using evaluation::Total;

ReportTable work_table(const Evaluation& evaluated) {
  const sim::ArrayConfig& array = evaluated.results().array;
  ReportTable table{"work", "Work"};
  TableColumns columns(table, evaluated.totals());
  columns.texts("pass", [](const Total& total) { return total.name; });
  columns.texts("multiply-adds", [](const Total& total) { return count(total.multiply_adds); });
  columns.texts("array cycles", [](const Total& total) { return count(total.cycles.array); });
  columns.texts("utilization", [](const Total& total) { return percent(total.utilization); });
  columns.texts("fill stalls", [](const Total& total) { return count(total.cycles.fill_stalls); });
  columns.texts("scaler stalls", [](const Total& total) { return count(total.cycles.scaler_stalls); });
  if (array.waits_for_memory()) {
    columns.texts("DRAM stalls", [](const Total& total) { return count(total.cycles.dram_stalls); });
    columns.texts("SRAM stalls", [](const Total& total) { return count(total.cycles.sram_stalls); });
  }
  columns.texts("quantizer cycles", [](const Total& total) { return count(total.cycles.quantizer); });
  if (array.waits_for_memory()) {
    columns.texts("its stalls", [](const Total& total) { return count(total.cycles.quantizer_stalls); });
  }
  columns.numbers(fmt::format("ms at {:g} GHz", array.clock_ghz),
                  [](const Total& total) { return total.milliseconds; });
  return table;
}

ReportTable error_table(const Evaluation& evaluated) {
  ReportTable table{"errors", "SQNR against binary64, dB, mean over the layers"};
  table.head = with_baselines({"pass", "this format", "lowest layer"}, "");
  if (!evaluated.all().sqnr.mean()) return {};
  for (const Total& total : evaluated.totals()) {
    std::vector<std::string> cells{total.name, decibels(total.sqnr.mean()), decibels(total.sqnr.lowest())};
    for (const evaluation::PassDecibels& baseline : total.baseline_sqnr) cells.push_back(decibels(baseline.mean()));
    table.rows.push_back(std::move(cells));
  }
  return table;
}

ReportTable zeros_table(const Evaluation& evaluated) {
  ReportTable table{"zeros", evaluated.all().zeros_are_counted
                                 ? "Multiply-adds of a zero operand, counted from the values"
                                 : "Multiply-adds of a zero operand, assumed where there are no values (half of the "
                                   "activations are zero, no weight and no error)"};
  table.head = with_baselines({"pass", "this format"}, "");
  for (const Total& total : evaluated.totals()) {
    std::vector<std::string> cells{total.name, percent(total.share(total.zero_products))};
    for (const energy::WideCount& zeros : total.baseline_zero_products) cells.push_back(percent(total.share(zeros)));
    table.rows.push_back(std::move(cells));
  }
  return table;
}

ReportTable toggle_table(const Evaluation& evaluated) {
  ReportTable table{
      "toggles",
      "Bits of the operand registers that change with the codes they take, counted from the values (50 % of "
      "random codes do)"};
  table.head = {"pass", "rows", "columns"};
  for (const Total& total : evaluated.totals()) {
    const auto share = total.toggles.share();
    if (share) table.rows.push_back({total.name, percent(share->rows), percent(share->columns)});
  }
  return table;
}

namespace {

// A pass of a layer, where all that is known of it is.
struct LayerPass {
  const evaluation::LayerRecord* layer = nullptr;
  const evaluation::PassRecord* record = nullptr;
  const evaluation::PassPrice* price = nullptr;
  const evaluation::PassFigures* figures = nullptr;
};

std::vector<LayerPass> layer_passes(const Evaluation& evaluated) {
  std::vector<LayerPass> all;
  for (const evaluation::PassFigures& figures : evaluated.passes()) {
    const evaluation::LayerRecord& layer = evaluated.results().layers[figures.layer];
    all.push_back(
        {&layer, &layer.passes[figures.pass], &evaluated.price().layers[figures.layer][figures.pass], &figures});
  }
  return all;
}

std::string own_bandwidth_text(const Evaluation& evaluated) {
  const auto own = evaluation::own_bandwidth(evaluated.results().array);
  return own ? fmt::format("; {} gives {:g} GB/s", own->name, own->gigabytes_per_second) : "";
}

}  // namespace

ReportTable layer_table(const Evaluation& evaluated) {
  ReportTable table{
      "layers", "Layers (MACs: multiply-adds; dB: SQNR; ops: operations only; fp32 /: the ratio with all of computing)",
      2, true};
  const std::vector<LayerPass> rows = layer_passes(evaluated);
  TableColumns columns(table, rows);
  columns.texts("layer", [](const LayerPass& row) { return row.layer->name; });
  columns.texts("pass", [](const LayerPass& row) { return models::to_string(row.record->pass); });
  columns.texts("MACs", [](const LayerPass& row) { return count(row.record->multiply_adds); });
  columns.texts("cycles", [](const LayerPass& row) { return count(static_cast<double>(row.record->cycles.total())); });
  columns.texts("util.", [](const LayerPass& row) { return percent(row.figures->utilization, 0); });
  columns.texts("bound by", [](const LayerPass& row) { return evaluation::bound_in_a_word(row.figures->cycles); });
  columns.texts("dB", [](const LayerPass& row) { return decibels(row.record->sqnr_db); });
  columns.texts("overflows", [](const LayerPass& row) {
    return row.record->overflows_are_counted ? count(row.record->counts.overflows) : "-";
  });
  columns.energies("ops", [](const LayerPass& row) { return row.price->energy.operations_only().value; });
  columns.energies("computing", [](const LayerPass& row) { return row.price->energy.computing().value; });
  columns.energies("memory", [](const LayerPass& row) { return row.price->energy.memory().value; });
  columns.texts("fp32 /", [](const LayerPass& row) { return times(row.price->compared(0).computing); });
  return table;
}

ReportTable roofline_table(const Evaluation& evaluated) {
  ReportTable table{
      "roofline",
      fmt::format("Operations and DRAM (two operations a multiply-add; all elements busy would be {} TOPS; "
                  "needed: what DRAM must give for the machine not to wait for it{})",
                  three_digits(evaluation::peak_tops(evaluated.results().array)), own_bandwidth_text(evaluated)),
      2, true};
  const std::vector<LayerPass> rows = layer_passes(evaluated);
  TableColumns columns(table, rows);
  columns.texts("layer", [](const LayerPass& row) { return row.layer->name; });
  columns.texts("pass", [](const LayerPass& row) { return models::to_string(row.record->pass); });
  columns.numbers("DRAM, kB", [](const LayerPass& row) { return row.figures->dram_bytes / 1e3; });
  columns.numbers("operations a byte", [](const LayerPass& row) { return number(row.figures->operations_per_byte); });
  columns.numbers("TOPS", [](const LayerPass& row) { return number(row.figures->tops); });
  columns.numbers("needed, GB/s",
                  [](const LayerPass& row) { return number(row.figures->needed_gigabytes_per_second); });
  columns.texts("stalls", [](const LayerPass& row) { return percent(row.figures->stall_share); });
  return table;
}

}  // namespace mlsim::app
