#include "app/report/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "app/report/cells.h"
#include "app/report/section_tables.h"

namespace mlsim::app {
namespace {

using evaluation::Evaluation;
using evaluation::MachineFigures;

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
    if (machine.baseline != "fp32" && machine.baseline != "fp8" && machine.baseline != "int8") continue;
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
    if (machine.baseline != "fp32" && machine.baseline != "fp8" && machine.baseline != "int8") continue;
    text += fmt::format("{}{} times that with {}", separator, factor(machine.all_factor), machine.baseline);
    separator = ", ";
  }
  return text + ".";
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

struct Row {
  std::string name;
  const MachineFigures* machine = nullptr;
};

// Baselines behind formats; one that differs between sources has a row for each.
std::vector<Row> rows_of(const std::vector<Evaluation>& evaluations) {
  const Names names = names_of(evaluations);
  std::vector<Row> rows;
  for (std::size_t i = 0; i < evaluations.size(); ++i) {
    rows.push_back({names.rows[i], &evaluations[i].machines().front()});
  }
  for (std::size_t m = 1; m < evaluations.front().machines().size(); ++m) {
    const bool same = agree_about(m, evaluations);
    for (std::size_t i = 0; i < (same ? 1 : evaluations.size()); ++i) {
      const MachineFigures& machine = evaluations[i].machines()[m];
      rows.push_back({same ? machine.baseline : fmt::format("{} (#{})", machine.baseline, i + 1), &machine});
    }
  }
  return rows;
}

// A column of the table, filled from one figure of each row.
class Columns {
 public:
  explicit Columns(const std::vector<Row>& rows) : rows_(rows) {
    table_.head = {"machine"};
    for (const Row& row : rows) table_.rows.push_back({row.name});
  }
  template <typename Figure>
  void energies(const char* name, const Figure& figure) {
    const EnergyColumn column = energy_column(figures(figure));
    add(fmt::format("{}, {}", name, column.unit), column.cells);
  }
  template <typename Figure>
  void numbers(const char* name, const Figure& figure) {
    add(name, fixed_column(figures(figure)));
  }
  template <typename Text>
  void texts(const char* name, const Text& text) {
    std::vector<std::string> cells;
    for (const Row& row : rows_) cells.push_back(text(*row.machine));
    add(name, cells);
  }
  ReportTable take() { return std::move(table_); }

 private:
  template <typename Figure>
  std::vector<double> figures(const Figure& figure) const {
    std::vector<double> values;
    for (const Row& row : rows_) values.push_back(figure(*row.machine));
    return values;
  }
  void add(const std::string& head, const std::vector<std::string>& cells) {
    table_.head.push_back(head);
    for (std::size_t r = 0; r < cells.size(); ++r) table_.rows[r].push_back(cells[r]);
  }

  const std::vector<Row>& rows_;
  ReportTable table_;
};

}  // namespace

std::vector<std::string> summary_sentences(const std::vector<Evaluation>& evaluations) {
  const Names names = names_of(evaluations);
  std::vector<std::string> sentences;
  for (std::size_t i = 0; i < evaluations.size(); ++i) {
    sentences.push_back(sentence_of(evaluations[i], names.full[i]));
    if (evaluations[i].step()) sentences.back() += step_sentence(evaluations[i]);
  }
  return sentences;
}

ReportTable summary_table(const std::vector<Evaluation>& evaluations) {
  const std::vector<Row> rows = rows_of(evaluations);
  Columns columns(rows);
  columns.energies("with memory", [](const MachineFigures& m) { return m.all_pj.value; });
  columns.energies("computing", [](const MachineFigures& m) { return m.computing_pj.value; });
  columns.texts("memory", [](const MachineFigures& m) { return percent(m.memory_share, 0); });
  columns.numbers("pJ/MAC", [](const MachineFigures& m) { return m.pj_each_with_memory; });
  columns.numbers("ms", [](const MachineFigures& m) { return 1e3 * m.seconds; });
  columns.texts("util.", [](const MachineFigures& m) { return percent(m.utilization); });
  columns.texts("SQNR, dB", [](const MachineFigures& m) { return decibels(m.sqnr_db); });
  columns.numbers("computing mm²", [](const MachineFigures& m) { return m.computing_area_um2 / 1e6; });
  ReportTable table = columns.take();
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
