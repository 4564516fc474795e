#include "app/report/report_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "app/report/cells.h"
#include "app/report/section_tables.h"

namespace mlsim::app {
namespace {

using evaluation::Activity;
using evaluation::Evaluation;
using evaluation::LayerRecord;
using evaluation::Total;
using models::Operand;

std::string provenance_text(const evaluation::Provenance& provenance) {
  std::string text = fmt::format("mlsim {}, seed {}, step {}; workload {}", provenance.version, provenance.seed,
                                 provenance.step, evaluation::hash_text(provenance.workload_hash));
  if (provenance.tensors_hash) text += fmt::format(", tensors {}", evaluation::hash_text(*provenance.tensors_hash));
  return text + fmt::format(", array {}", evaluation::hash_text(provenance.array_hash));
}

std::vector<std::pair<std::string, std::string>> facts_of(const Evaluation& evaluated) {
  const evaluation::Results& results = evaluated.results();
  const sim::ArrayConfig& array = results.array;
  const bool simulated = is_systemc(results.engine);
  std::string machine =
      fmt::format("{} x {} elements, {} to a group-scale unit", array.rows, array.columns, array.elements_per_scaler);
  const int accumulator_bits = evaluated.price().accumulator_bits;
  if (accumulator_bits > 0) machine += fmt::format(", accumulators of {} bits", accumulator_bits);
  const std::string table = table_name(evaluated.table());
  const Activity activity = evaluated.source().activity;
  std::vector<std::pair<std::string, std::string>> facts{
      {"format", format_names(results)},
      {"engine",
       to_string(results.engine) + (simulated ? "" : " (cycles and traffic by the closed form of docs/dataflow.md)")},
      {"array", machine},
      {"prices",
       table + (evaluated.source().own_prices.empty() ? "" : ", those of this format from an Accelergy ERT")}};
  facts.emplace_back("operands", fmt::format("{}  (--activity {})", described(activity), to_string(activity)));
  if (results.provenance) facts.emplace_back("from", provenance_text(*results.provenance));
  if (!evaluated.table().has_area)
    facts.emplace_back("area", fmt::format("-  ({} has no areas)", evaluated.table().name));
  return facts;
}

// A column of the overview: names and cells, the names the same for every source.
std::vector<std::pair<std::string, std::string>> overview_of(const Evaluation& evaluated) {
  const Total& all = evaluated.all();
  const energy::Breakdown& energy = all.price.energy;
  const auto& baselines = evaluation::baseline_machines();
  std::vector<std::pair<std::string, std::string>> cells;
  cells.emplace_back("energy, operations only", joules_range(energy.operations_only()));
  for (std::size_t b = 0; b < baselines.size(); ++b) {
    cells.emplace_back(baselines[b].name + " / this format, operations only",
                       times_range(all.price.compared(b).operations_only));
  }
  cells.emplace_back("energy, with everything but memory", joules_range(energy.computing()));
  for (std::size_t b = 0; b < baselines.size(); ++b) {
    cells.emplace_back(baselines[b].name + " / this format, with everything but memory",
                       times_range(all.price.compared(b).computing));
  }
  cells.emplace_back("energy of memory", joules_range(energy.memory()));
  cells.emplace_back("SQNR, dB, mean over layers and passes", decibels(all.sqnr.mean()));
  cells.emplace_back("SQNR, dB, lowest", decibels(all.sqnr.lowest()));
  cells.emplace_back("accumulator overflows", all.overflows_are_counted ? count(all.overflows) : "-");
  cells.emplace_back("multiply-adds", count(all.multiply_adds));
  cells.emplace_back("cycles", count(all.cycles.total()));
  cells.emplace_back("time",
                     fmt::format("{:.3g} ms at {:g} GHz", all.milliseconds, evaluated.results().array.clock_ghz));
  cells.emplace_back("utilization", percent(all.utilization));
  cells.emplace_back(
      "area", evaluated.table().has_area ? fmt::format("{:.3f} mm²", evaluated.price().area.total() / 1e6) : "-");
  return cells;
}

}  // namespace

std::vector<std::string> labels_of(const std::vector<Evaluation>& evaluations) {
  std::vector<std::string> formats;
  formats.reserve(evaluations.size());
  for (const Evaluation& evaluated : evaluations) formats.push_back(format_names(evaluated.results()));
  const auto repeated = [](const std::vector<std::string>& names, const std::string& name) {
    return std::count(names.begin(), names.end(), name) > 1;
  };
  std::vector<std::string> labels = formats;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (repeated(formats, formats[i])) labels[i] += fmt::format(" ({})", evaluations[i].source().file);
  }
  const std::vector<std::string> with_files = labels;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (repeated(with_files, with_files[i])) labels[i] += fmt::format(" #{}", i + 1);
  }
  return labels;
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

std::string table_name(const energy::CostTable& table) {
  if (table.file.empty()) return table.name;
  return fmt::format("{} (of {}, hash {})", table.name, table.file.string(), evaluation::hash_text(table.content_hash));
}

std::string format_names(const evaluation::Results& results) {
  std::set<std::string> names;
  for (const LayerRecord& layer : results.layers) names.insert(format_name(layer));
  return fmt::format("{}", fmt::join(names, "; "));
}

std::vector<std::string> with_baselines(std::vector<std::string> head, const std::string& suffix) {
  for (const evaluation::BaselineMachine& machine : evaluation::baseline_machines()) {
    head.push_back(machine.name + suffix);
  }
  return head;
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

std::vector<ReportSection> report_sections(const std::vector<Evaluation>& evaluations) {
  const std::vector<std::string> labels = labels_of(evaluations);
  std::vector<ReportSection> sections;
  for (const Evaluation& evaluated : evaluations) {
    ReportSection& section = sections.emplace_back();
    section.label = labels[sections.size() - 1];
    section.title = fmt::format("{}: {}", evaluated.source().file, evaluated.results().workload);
    section.facts = facts_of(evaluated);
    section.tables = {work_table(evaluated), error_table(evaluated)};
    for (ReportTable& table : energy_tables(evaluated)) section.tables.push_back(std::move(table));
    for (const auto table_of :
         {range_table, table_range_table, zeros_table, toggle_table, activity_table, machine_table, equal_table,
          step_table, step_machine_table, sharing_table, operation_table, area_table, layer_table}) {
      section.tables.push_back(table_of(evaluated));
    }
    std::erase_if(section.tables, [](const ReportTable& table) { return table.rows.empty(); });
  }
  return sections;
}

ReportTable overview_table(const std::vector<Evaluation>& evaluations) {
  ReportTable table{"overview", "All passes of all layers; in brackets the worst case of the prices' error bars"};
  table.head = {"quantity"};
  for (const std::string& label : labels_of(evaluations)) table.head.push_back(label);
  for (const Evaluation& evaluated : evaluations) {
    const auto cells = overview_of(evaluated);
    for (std::size_t i = 0; i < cells.size(); ++i) {
      if (i == table.rows.size()) table.rows.push_back({cells[i].first});
      table.rows[i].push_back(cells[i].second);
    }
  }
  return table;
}

namespace {

// Where tiles are so small that scales cost as much as products.
struct SmallTiles {
  int single = 0;                // linear layers with a scale for each element
  std::uint64_t non_finite = 0;  // results
  int short_blocks = 0;          // passes of backward weight whose blocks are longer than the batch

  void add(const evaluation::LayerRecord& layer) {
    bool is_single = false;
    for (const evaluation::PassRecord& record : layer.passes) {
      non_finite += record.counts.non_finite;
      for (const models::Operand operand : {models::left_operand(record.pass), models::right_operand(record.pass)}) {
        const models::Format format = models::format_of(layer.formats[operand], operand, record.pass);
        const auto* const scaled = std::get_if<models::ScaledFormat>(&format);
        if (scaled == nullptr) continue;
        const models::Shape shape = layer.shape.shape_of(operand);
        if (layer.linear && scaled->layout.count(shape) == models::element_count(shape)) is_single = true;
        if (record.pass == models::Pass::kBackwardWeight && operand == models::Operand::kError &&
            scaled->blocks == models::BlockKind::kReduction && layer.shape.batch < scaled->block) {
          ++short_blocks;
        }
      }
    }
    single += is_single ? 1 : 0;
  }
};

}  // namespace

std::vector<std::string> result_notes(const std::vector<Evaluation>& evaluations) {
  SmallTiles tiles;
  for (const Evaluation& evaluation : evaluations) {
    for (const evaluation::LayerRecord& layer : evaluation.results().layers) tiles.add(layer);
  }
  std::vector<std::string> notes;
  if (tiles.single > 0) {
    notes.push_back(fmt::format(
        "Linear layers with a scale for each element: {}. A grouping of whole planes does that to a matrix; b32 or k32 "
        "share scales there (docs/blocks.md).",
        tiles.single));
  }
  if (tiles.non_finite > 0) {
    notes.push_back(
        fmt::format("Results that are infinite or NaN: {}. Errors of passes that have one are infinite or undefined.",
                    tiles.non_finite));
  }
  if (tiles.short_blocks > 0) {
    notes.push_back(fmt::format(
        "Passes of backward weight whose blocks are longer than the batch: {}. They pay a scale and an addition for "
        "fewer products than a block has (docs/blocks.md).",
        tiles.short_blocks));
  }
  return notes;
}

std::vector<std::string> report_notes(const std::vector<Evaluation>& evaluations) {
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
  if (const auto& range = evaluations.front().table_ranges().fp32_to_int8) {
    notes.push_back(fmt::format("The choice of table alone moves fp32 : int8 from {:.1f} to {:.1f} (operations only).",
                                range->low, range->high));
  }
  for (const std::string& note : result_notes(evaluations)) notes.push_back(note);
  notes.emplace_back("Laws, sources and error bars: docs/energy.md.");
  return notes;
}

}  // namespace mlsim::app
