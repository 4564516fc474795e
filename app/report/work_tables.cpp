#include <fmt/format.h>

#include "app/report/cells.h"
#include "app/report/section_tables.h"

namespace mlsim::app {

using evaluation::Evaluation;
using evaluation::Total;

ReportTable work_table(const Evaluation& evaluated) {
  const sim::ArrayConfig& array = evaluated.results().array;
  ReportTable table{"work", "Work"};
  table.head = {"pass", "multiply-adds", "array cycles", "utilization", "fill stalls", "scaler stalls"};
  if (array.waits_for_memory()) table.head.insert(table.head.end(), {"DRAM stalls", "SRAM stalls"});
  table.head.emplace_back("quantizer cycles");
  if (array.waits_for_memory()) table.head.emplace_back("its stalls");
  table.head.push_back(fmt::format("ms at {:g} GHz", array.clock_ghz));
  for (const Total& total : evaluated.totals()) {
    std::vector<std::string> cells{total.name,
                                   count(total.multiply_adds),
                                   count(total.cycles.array),
                                   percent(total.utilization),
                                   count(total.cycles.fill_stalls),
                                   count(total.cycles.scaler_stalls)};
    if (array.waits_for_memory()) {
      cells.push_back(count(total.cycles.dram_stalls));
      cells.push_back(count(total.cycles.sram_stalls));
    }
    cells.push_back(count(total.cycles.quantizer));
    if (array.waits_for_memory()) cells.push_back(count(total.cycles.quantizer_stalls));
    cells.push_back(fmt::format("{:.3g}", total.milliseconds));
    table.rows.push_back(std::move(cells));
  }
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

ReportTable layer_table(const Evaluation& evaluated) {
  ReportTable table{"layers", "Layers (fp32 / is the ratio with all of computing)", 2, true};
  table.head = {"layer",     "pass",       "multiply-adds", "cycles", "util.", "SQNR dB",
                "overflows", "operations", "all computing", "memory", "fp32 /"};
  for (std::size_t l = 0; l < evaluated.price().layers.size(); ++l) {
    const evaluation::LayerRecord& layer = evaluated.results().layers[l];
    for (std::size_t p = 0; p < layer.passes.size(); ++p) {
      const evaluation::PassRecord& record = layer.passes[p];
      const evaluation::PassPrice& price = evaluated.price().layers[l][p];
      table.rows.push_back({layer.name, models::to_string(record.pass), count(record.multiply_adds),
                            count(static_cast<double>(record.cycles.total())),
                            percent(evaluation::utilization_of(record), 0), decibels(record.sqnr_db),
                            record.overflows_are_counted ? count(record.counts.overflows) : "-",
                            joules(price.energy.operations_only().value), joules(price.energy.computing().value),
                            joules(price.energy.memory().value), times(price.compared(0).computing)});
    }
  }
  return table;
}

}  // namespace mlsim::app
