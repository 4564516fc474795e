#include "app/report/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "app/report/cells.h"
#include "app/report/section_tables.h"
#include "app/report/table_columns.h"

namespace mlsim::app {
namespace {

using evaluation::Evaluation;
using evaluation::MachineFigures;

bool is_named_in_sentences(const std::string& baseline) {
  const auto& machines = evaluation::baseline_machines();
  return std::any_of(machines.begin(), machines.end(), [&](const evaluation::BaselineMachine& machine) {
    return machine.in_summary && machine.name == baseline;
  });
}

// "3.49 times below fp32", or above it where the ratio is below one.
std::string against(const MachineFigures& baseline) {
  if (!baseline.all_ratio) return "";
  const double ratio = baseline.all_ratio->value;
  return ratio >= 1 ? fmt::format("{:.2f} times below {}", ratio, baseline.baseline)
                    : fmt::format("{:.2f} times above {}", 1 / ratio, baseline.baseline);
}

std::string sentence_of(const Evaluation& evaluated, const std::string& label) {
  const MachineFigures& own = evaluated.machines().front();
  const EnergyColumn energy = energy_column({own.all_pj.value});
  std::string text = fmt::format("{} takes {} {} with memory", label, energy.cells.front(), energy.unit);
  if (own.memory_share) text += fmt::format(", which is {} of it", percent(own.memory_share, 0));
  std::string separator = ": ";
  for (const MachineFigures& machine : evaluated.machines()) {
    if (!is_named_in_sentences(machine.baseline)) continue;
    const std::string comparison = against(machine);
    if (comparison.empty()) continue;
    text += separator + comparison;
    separator = ", ";
  }
  const evaluation::Total& all = evaluated.all();
  text += fmt::format("; {} ms at {:g} GHz", three_digits(all.milliseconds), evaluated.results().array.clock_ghz);
  if (own.utilization) text += fmt::format(", {} utilization", percent(own.utilization));
  if (!own.sqnr_db) return text + ", error not measured.";
  return text + (std::isinf(*own.sqnr_db) ? std::string(", results exact.")
                                          : fmt::format(", error {:.1f} dB below the results (SQNR).", *own.sqnr_db));
}

// What the convolutions and the rest of their step take together.
std::string step_sentence(const Evaluation& evaluated) {
  const std::vector<evaluation::StepMachine>& machines = evaluated.step()->machines;
  const EnergyColumn energy = energy_column({machines.front().all_pj.value});
  std::string text = fmt::format(" The whole step of {}, with its rest in binary32, takes {} {} with memory",
                                 evaluated.source().step->network, energy.cells.front(), energy.unit);
  std::string separator = ": ";
  for (const evaluation::StepMachine& machine : machines) {
    if (!is_named_in_sentences(machine.baseline)) continue;
    text += fmt::format("{}{} times that with {}", separator, factor(machine.all_factor), machine.baseline);
    separator = ", ";
  }
  return text + ".";
}

// What the second of two results takes of the first, where both are of one workload.
std::string comparison_sentence(const std::vector<Evaluation>& evaluations, const std::vector<std::string>& names) {
  if (evaluations.size() != 2 || evaluations[0].results().workload != evaluations[1].results().workload) return "";
  const MachineFigures& first = evaluations[0].machines().front();
  const MachineFigures& second = evaluations[1].machines().front();
  if (!(first.energy_delay_js > 0)) return "";
  return fmt::format(
      " It takes {} times the energy with memory of {}, {} times its time and {} times its energy-delay product.",
      factor(second.all_pj.value / first.all_pj.value), names[0], factor(second.seconds / first.seconds),
      factor(second.energy_delay_js / first.energy_delay_js));
}

bool agree(const MachineFigures& one, const MachineFigures& other) {
  return one.computing_pj == other.computing_pj && one.memory_pj == other.memory_pj && one.seconds == other.seconds &&
         one.sqnr_db == other.sqnr_db;
}

// Whether every source has the same figures of a baseline.
bool agree_about(std::size_t machine, const std::vector<Evaluation>& evaluations) {
  return std::all_of(evaluations.begin(), evaluations.end(), [&](const Evaluation& evaluated) {
    return agree(evaluations.front().machines()[machine], evaluated.machines()[machine]);
  });
}

constexpr std::size_t kLongestName = 32;

// Names of the sources: their labels, with a number where one does not fit into the table or baselines differ.
struct Names {
  std::vector<std::string> full;  // in sentences
  std::vector<std::string> rows;
};

Names names_of(const std::vector<Evaluation>& evaluations) {
  Names names{labels_of(evaluations), {}};
  bool numbered = false;
  for (const std::string& label : names.full) numbered = numbered || label.size() > kLongestName;
  for (std::size_t m = 1; m < evaluations.front().machines().size(); ++m) {
    numbered = numbered || !agree_about(m, evaluations);
  }
  for (std::size_t i = 0; i < evaluations.size(); ++i) {
    std::string& full = names.full[i];
    const std::string number = fmt::format("#{}", i + 1);
    if (numbered) full = fmt::format("{} {}", number, full);
    names.rows.push_back(full.size() > kLongestName ? number : full);
  }
  return names;
}

}  // namespace

std::vector<SummaryRow> summary_rows(const std::vector<Evaluation>& evaluations) {
  const Names names = names_of(evaluations);
  std::vector<SummaryRow> rows;
  for (std::size_t i = 0; i < evaluations.size(); ++i) {
    rows.push_back({names.rows[i], i, &evaluations[i].machines().front()});
  }
  for (std::size_t m = 1; m < evaluations.front().machines().size(); ++m) {
    const bool same = agree_about(m, evaluations);
    for (std::size_t i = 0; i < (same ? 1 : evaluations.size()); ++i) {
      const MachineFigures& machine = evaluations[i].machines()[m];
      rows.push_back({same ? machine.baseline : fmt::format("{} (#{})", machine.baseline, i + 1), {}, &machine});
    }
  }
  return rows;
}

std::vector<std::string> summary_sentences(const std::vector<Evaluation>& evaluations) {
  const Names names = names_of(evaluations);
  std::vector<std::string> sentences;
  for (std::size_t i = 0; i < evaluations.size(); ++i) {
    sentences.push_back(sentence_of(evaluations[i], names.full[i]));
    if (evaluations[i].step()) sentences.back() += step_sentence(evaluations[i]);
  }
  sentences.back() += comparison_sentence(evaluations, names.full);
  return sentences;
}

ReportTable summary_table(const std::vector<Evaluation>& evaluations) {
  const std::vector<SummaryRow> rows = summary_rows(evaluations);
  ReportTable table;
  TableColumns columns(table, rows);
  columns.texts("machine", [](const SummaryRow& row) { return row.name; });
  columns.energies("with memory", [](const SummaryRow& row) { return row.machine->all_pj.value; });
  columns.energies("computing", [](const SummaryRow& row) { return row.machine->computing_pj.value; });
  columns.texts("memory", [](const SummaryRow& row) { return percent(row.machine->memory_share, 0); });
  columns.numbers("pJ/MAC", [](const SummaryRow& row) { return row.machine->pj_each_with_memory; });
  columns.numbers("ms", [](const SummaryRow& row) { return 1e3 * row.machine->seconds; });
  columns.texts("util.", [](const SummaryRow& row) { return percent(row.machine->utilization); });
  columns.texts("SQNR, dB", [](const SummaryRow& row) { return decibels(row.machine->sqnr_db); });
  columns.numbers("computing mm²", [](const SummaryRow& row) { return row.machine->computing_area_um2 / 1e6; });
  std::set<std::string> workloads;
  for (const Evaluation& evaluated : evaluations) workloads.insert(evaluated.results().workload);
  table.id = "summary";
  const evaluation::Source& source = evaluations.front().source();
  const energy::CostTable& prices = evaluations.front().table();
  table.title = fmt::format(
      "{}: energy, time and error of all passes of all layers; prices of {}{}{}, {}", fmt::join(workloads, ", "),
      table_name(prices), source.own_prices.empty() ? "" : ", those of this format from an Accelergy ERT",
      prices.has_area ? "" : fmt::format(" ({} has no areas)", prices.name), described(source.activity));
  return table;
}

}  // namespace mlsim::app
