#include "app/report/report_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <set>

#include "app/report/cells.h"
#include "app/report/section_tables.h"

namespace mlsim::app {
namespace {

using evaluation::Activity;
using evaluation::Evaluation;
using evaluation::LayerRecord;
using models::Operand;

std::vector<std::pair<std::string, std::string>> facts_of(const Evaluation& evaluated) {
  const evaluation::Results& results = evaluated.results();
  const sim::ArrayConfig& array = results.array;
  const bool simulated = is_systemc(results.engine);
  std::string machine =
      fmt::format("{} x {} elements, {} to a group-scale unit", array.rows, array.columns, array.elements_per_scaler);
  if (array.taps_per_cycle > 1) machine += fmt::format(", {} multipliers in each", array.taps_per_cycle);
  if (array.dataflow != sim::DataflowKind::kOutputStationary) machine += ", " + to_string(array.dataflow);
  if (array.depthwise != sim::DepthwiseMapping::kOff) machine += ", convolution groups side by side";
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

// A row of the overview: a figure of each source.
class OverviewRows {
 public:
  OverviewRows(ReportTable& table, const std::vector<Evaluation>& evaluations)
      : table_(table), evaluations_(evaluations) {}

  template <typename Text>
  void texts(const std::string& name, const Text& text) {
    std::vector<std::string> cells;
    for (const Evaluation& evaluated : evaluations_) cells.push_back(text(evaluated));
    add(name, std::move(cells));
  }
  template <typename Figure>
  void numbers(const std::string& name, const Figure& figure) {
    std::vector<double> values;
    for (const Evaluation& evaluated : evaluations_) values.push_back(figure(evaluated));
    add(name, fixed_column(values));
  }
  template <typename Figure>
  void energies(const std::string& name, const Figure& figure) {
    std::vector<energy::Range> ranges;
    for (const Evaluation& evaluated : evaluations_) ranges.push_back(figure(evaluated));
    EnergyColumn column = energy_ranges(ranges);
    add(fmt::format("{}, {}", name, column.unit), std::move(column.cells));
  }
  // Of energies with memory times the time, in J·s.
  template <typename Figure>
  void energy_delays(const std::string& name, const Figure& figure) {
    std::vector<double> values;
    for (const Evaluation& evaluated : evaluations_) values.push_back(figure(evaluated) * 1e12);
    EnergyColumn column = energy_column(values);
    add(fmt::format("{}, {}·s", name, column.unit), std::move(column.cells));
  }
  // A row for each baseline; error bars of the others are in the table of ranges.
  enum class Bars : std::uint8_t { kShown, kLeftOut };
  template <typename Ratio>
  void ratios(const std::string& name, Bars bars, const Ratio& ratio) {
    for (std::size_t b = 0; b < evaluation::baseline_machines().size(); ++b) {
      std::vector<std::optional<energy::Range>> ranges;
      for (const Evaluation& evaluated : evaluations_) ranges.push_back(ratio(evaluated, b));
      std::vector<double> values;
      values.reserve(ranges.size());
      for (const auto& range : ranges) values.push_back(range ? range->value : std::nan(""));
      add(fmt::format("{} / this format, {}", evaluation::baseline_machines()[b].name, name),
          bars == Bars::kShown ? fixed_ranges(ranges) : fixed_column(values));
    }
  }

 private:
  void add(const std::string& name, std::vector<std::string> cells) {
    std::vector<std::string>& row = table_.rows.emplace_back(std::vector<std::string>{name});
    row.insert(row.end(), cells.begin(), cells.end());
  }

  ReportTable& table_;
  const std::vector<Evaluation>& evaluations_;
};

void add_energies(OverviewRows& rows, const std::vector<Evaluation>& evaluations) {
  using Parts = evaluation::EnergyParts;
  const auto own = [](const Evaluation& e) -> const evaluation::MachineFigures& { return e.machines().front(); };
  rows.energies("energy with memory", [&](const Evaluation& e) { return own(e).all_pj; });
  const std::pair<const char*, energy::Range Parts::*> parts[] = {{"operations", &Parts::operations},
                                                                  {"overhead", &Parts::overhead},
                                                                  {"buffers", &Parts::buffers},
                                                                  {"SRAM", &Parts::sram},
                                                                  {"DRAM", &Parts::dram},
                                                                  {"idle clocking and leakage", &Parts::standing}};
  for (const auto& [name, part] : parts) {
    const bool is_anywhere = std::any_of(evaluations.begin(), evaluations.end(), [&, part = part](const Evaluation& e) {
      return (own(e).parts.*part).value > 0;
    });
    if (part == &Parts::standing && !is_anywhere) continue;
    const energy::Range Parts::*range = part;
    rows.energies(fmt::format("of which {}", name), [&](const Evaluation& e) { return own(e).parts.*range; });
  }
  rows.texts("share of memory", [&](const Evaluation& e) { return percent(own(e).memory_share); });
  rows.numbers("pJ a multiply-add, with memory", [&](const Evaluation& e) { return own(e).pj_each_with_memory; });
  rows.ratios("with memory", OverviewRows::Bars::kShown,
              [](const Evaluation& e, std::size_t b) { return e.machines()[b + 1].all_ratio; });
  rows.energies("energy of computing", [&](const Evaluation& e) { return own(e).computing_pj; });
  rows.ratios("computing", OverviewRows::Bars::kLeftOut,
              [](const Evaluation& e, std::size_t b) { return e.all().price.compared(b).computing; });
  rows.ratios("operations only", OverviewRows::Bars::kLeftOut,
              [](const Evaluation& e, std::size_t b) { return e.all().price.compared(b).operations_only; });
}

void add_work(OverviewRows& rows) {
  rows.numbers("time, ms", [](const Evaluation& e) { return e.all().milliseconds; });
  rows.energy_delays("energy-delay product", [](const Evaluation& e) { return e.machines().front().energy_delay_js; });
  rows.texts("bound by", [](const Evaluation& e) { return evaluation::bound_in_a_word(e.machines().front().cycles); });
  rows.texts("clock, GHz", [](const Evaluation& e) { return fmt::format("{:g}", e.results().array.clock_ghz); });
  rows.texts("cycles", [](const Evaluation& e) { return count(e.all().cycles.total()); });
  rows.texts("utilization", [](const Evaluation& e) { return percent(e.all().utilization); });
  rows.texts("multiply-adds", [](const Evaluation& e) { return count(e.all().multiply_adds); });
  rows.texts("SQNR, dB, mean over layers and passes",
             [](const Evaluation& e) { return decibels(e.all().sqnr.mean()); });
  rows.texts("SQNR, dB, lowest", [](const Evaluation& e) { return decibels(e.all().sqnr.lowest()); });
  rows.texts("accumulator overflows", [](const Evaluation& e) {
    return e.all().overflows_are_counted ? count(e.all().overflows) : std::string("-");
  });
  rows.texts("area of computing, mm²",
             [](const Evaluation& e) { return area(e.machines().front().computing_area_um2); });
  rows.texts("area with memory (an estimate), mm²",
             [](const Evaluation& e) { return e.table().has_area ? area(e.price().area.total()) : std::string("-"); });
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
  std::string name = models::to_string(models::OperandFormats{
      layer.formats[Operand::kActivation], layer.formats[Operand::kWeight], layer.formats[Operand::kError]});
  if (name.find('+') == std::string::npos) return name;
  return fmt::format("activation {}, weight {}, error {}", models::to_string(layer.formats[Operand::kActivation]),
                     models::to_string(layer.formats[Operand::kWeight]),
                     models::to_string(layer.formats[Operand::kError]));
}

std::string provenance_text(const evaluation::Provenance& provenance) {
  std::string text = fmt::format("mlsim {}, seed {}, step {}; workload {}", provenance.version, provenance.seed,
                                 provenance.step, evaluation::hash_text(provenance.workload_hash));
  if (provenance.tensors_hash) text += fmt::format(", tensors {}", evaluation::hash_text(*provenance.tensors_hash));
  return text + fmt::format(", array {}", evaluation::hash_text(provenance.array_hash));
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
          step_table, step_machine_table, sharing_table, operation_table, area_table, layer_table, roofline_table}) {
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
  OverviewRows rows(table, evaluations);
  add_energies(rows, evaluations);
  add_work(rows);
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
