#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>

#include "app/report/report.h"
#include "app/report/report_tables.h"

namespace mlsim::app {
namespace {

using evaluation::baseline_machines;
using evaluation::csv_cell;
using evaluation::Evaluation;

// Columns of arrays that have what is not the default of all.
struct Columns {
  bool memory = false;  // one waits for it
  bool taps = false;    // one has elements of several multipliers
};

Columns columns_of(const std::vector<Evaluation>& evaluations) {
  const auto any = [&](const auto& has) {
    return std::any_of(evaluations.begin(), evaluations.end(),
                       [&](const Evaluation& evaluated) { return has(evaluated.results().array); });
  };
  return {any([](const sim::ArrayConfig& array) { return array.waits_for_memory(); }),
          any([](const sim::ArrayConfig& array) { return array.taps_per_cycle > 1; })};
}

std::string header(const Columns& columns) {
  std::string text =
      "file,workload,layer,pass,format,multiply_adds,array_cycles,quantizer_cycles,fill_stalls,scaler_stalls,"
      "utilization,sqnr_db,overflows,operations_only_pj,computing_pj,memory_pj";
  for (const evaluation::BaselineMachine& machine : baseline_machines()) {
    text += fmt::format(",{0}_operations_only_pj,{0}_computing_pj,{0}_memory_pj,{0}_sqnr_db", machine.name);
  }
  return text +
         ",rows,columns,elements_per_scaler,accumulator_bits,zero_products,zero_products_are_counted,activity,cost_"
         "table" +
         (columns.memory ? ",dram_stalls,sram_stalls,quantizer_stalls" : "") +
         (columns.taps ? ",taps_per_cycle\n" : "\n");
}

std::string decibel_cell(const std::optional<double>& value) {
  if (!value) return "";
  if (std::isinf(*value)) return *value > 0 ? "inf" : "-inf";
  return std::isnan(*value) ? "nan" : fmt::format("{:.6g}", *value);
}

std::string lines_of(const energy::Breakdown& energy) {
  return fmt::format("{},{},{}", energy.operations_only().value, energy.computing().value, energy.memory().value);
}

std::string line_of(const Evaluation& evaluated, std::size_t l, std::size_t p, const Columns& columns) {
  const evaluation::LayerRecord& layer = evaluated.results().layers[l];
  const evaluation::PassRecord& record = layer.passes[p];
  const evaluation::PassPrice& price = evaluated.price().layers[l][p];
  const std::optional<double> utilization = evaluation::utilization_of(record);
  std::string text =
      fmt::format("{},{},{},{},{},{},{},{},{},{},{},{},{},{}", csv_cell(evaluated.source().file),
                  csv_cell(evaluated.results().workload), csv_cell(layer.name), models::to_string(record.pass),
                  csv_cell(format_name(layer)), record.multiply_adds, record.cycles.array, record.cycles.quantizer,
                  record.cycles.fill_stalls, record.cycles.scaler_stalls,
                  utilization ? fmt::format("{:.6g}", *utilization) : "", decibel_cell(record.sqnr_db),
                  record.overflows_are_counted ? std::to_string(record.counts.overflows) : "", lines_of(price.energy));
  for (std::size_t b = 0; b < price.baselines.size(); ++b) {
    text += fmt::format(",{},{}", lines_of(price.baselines[b]),
                        decibel_cell(evaluation::baseline_sqnr(record, baseline_machines()[b])));
  }
  const sim::ArrayConfig& array = evaluated.results().array;
  const evaluation::ZeroProducts zeros = evaluation::zero_products(record);
  text += fmt::format(",{},{},{},{},{},{},{},{}", array.rows, array.columns, array.elements_per_scaler,
                      evaluated.price().accumulator_bits, zeros.count, zeros.counted,
                      evaluation::to_string(evaluated.source().activity), csv_cell(table_name(evaluated.table())));
  if (columns.memory) {
    text +=
        fmt::format(",{},{},{}", record.cycles.dram_stalls, record.cycles.sram_stalls, record.cycles.quantizer_stalls);
  }
  if (columns.taps) text += fmt::format(",{}", array.taps_per_cycle);
  return text + "\n";
}

}  // namespace

std::string csv_report(const std::vector<Evaluation>& evaluations) {
  const Columns columns = columns_of(evaluations);
  std::string text = header(columns);
  for (const Evaluation& evaluated : evaluations) {
    for (std::size_t l = 0; l < evaluated.price().layers.size(); ++l) {
      for (std::size_t p = 0; p < evaluated.price().layers[l].size(); ++p) text += line_of(evaluated, l, p, columns);
    }
  }
  return text;
}

}  // namespace mlsim::app
