// The tables of a report, as cells: the text, Markdown and HTML reports only set them.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "app/report/report.h"
#include "energy/laws.h"
#include "energy/wide_count.h"
#include "evaluation/mean_decibels.h"
#include "evaluation/pricing.h"
#include "evaluation/results.h"

namespace mlsim::app {

using evaluation::Activity;
using evaluation::baseline_machines;
using evaluation::BaselineMachine;
using evaluation::count_to_json;
using evaluation::csv_cell;
using evaluation::CycleTotals;
using evaluation::decibels_to_json;
using evaluation::Engine;
using evaluation::kActivities;
using evaluation::LayerRecord;
using evaluation::MeasuredBaseline;
using evaluation::number_or_null;
using evaluation::PassDecibels;
using evaluation::PassPrice;
using evaluation::PassRecord;
using evaluation::Price;
using evaluation::Results;
using evaluation::Sharing;
using evaluation::StepPart;
using evaluation::ToggleShare;
using evaluation::ToggleTotals;
using evaluation::TrainingStep;
using evaluation::ZeroProducts;
// What passes have in common, over some of the layers.
struct Total {
  int layers = 0;
  energy::WideCount multiply_adds;
  energy::WideCount overflows;
  bool overflows_are_counted = true;  // in all passes
  CycleTotals cycles;
  PassPrice price;
  PassDecibels sqnr;
  std::vector<PassDecibels> baseline_sqnr = std::vector<PassDecibels>(baseline_machines().size());
  // Of the multiply-adds, those of a zero operand; whether all of them were counted.
  energy::WideCount zero_products;
  bool zeros_are_counted = true;
  // Of the passes whose toggled bits were counted.
  ToggleTotals toggles;
  std::vector<energy::WideCount> baseline_zero_products = std::vector<energy::WideCount>(baseline_machines().size());

  void add(const PassRecord& record, const PassPrice& pass_price);
  // None without a cycle of the array.
  std::optional<double> utilization(const sim::ArrayConfig& array) const;
};

// Each pass, all of them, and the 1×1 layers apart where there are both kinds.
std::vector<std::pair<std::string, Total>> totals_of(const Results& results, const Price& price);

// A machine and what it does in all passes of all layers.
struct MachineFigures {
  std::string name;     // "this format" or a baseline's
  double area_um2 = 0;  // of what computes: elements, group-scale units, quantizers; NaN without areas
  double seconds = 0;
  double multiply_adds = 0;
  energy::Breakdown energy;

  // Two operations to a multiply-add. Figures that divide by nothing are not finite.
  double pj_each(const energy::Range& pj) const { return pj.value / multiply_adds; }
  double tops() const { return 2 * multiply_adds / seconds / 1e12; }
  double tops_per_watt(const energy::Range& pj) const { return 2 * multiply_adds / pj.value; }
  double watts() const { return energy.computing().value * 1e-12 / seconds; }
  double tops_per_mm2() const { return tops() / (area_um2 / 1e6); }
};

// The results' machine, then the baselines.
std::vector<MachineFigures> machine_figures(const Results& results, const Price& price, const Total& all);

// Images of the results: the batch that all layers share, if they share one.
std::optional<std::int64_t> images_of(const Results& results);

// All passes of all layers, priced for each of kActivities.
std::array<PassPrice, kActivities.size()> price_activities(const ReportSource& source, const energy::Laws& laws);

// Multiply-adds for each element and array cycle of a pass; none without a cycle of the array.
std::optional<double> utilization_of(const PassRecord& record);

// The format of a layer, or those of its operands where they differ.
std::string format_name(const LayerRecord& layer);
// Every format of the layers, once.
std::string format_names(const Results& results);

struct ReportTable {
  std::string id;                // a word: work, errors, operations, computing, memory, ranges, ...
  std::string title;             // with units and what the columns mean
  std::size_t text_columns = 1;  // columns that name a row; the others are figures
  bool grouped = false;          // neighbours with the same first cell are one group
  std::vector<std::string> head{};
  std::vector<std::vector<std::string>> rows{};
};

// What is told of one source. A table that would be empty is left out.
struct ReportSection {
  std::string label;                                       // the formats, with the file where that is not enough
  std::string title;                                       // file: workload
  std::vector<std::pair<std::string, std::string>> facts;  // name and value
  std::vector<ReportTable> tables;
};
std::vector<ReportSection> report_sections(const std::vector<ReportSource>& sources, const energy::Laws& laws);

// All passes of each source in a column of its own.
ReportTable overview_table(const std::vector<ReportSource>& sources, const energy::Laws& laws);

// What must be known to read the figures, in sentences.
std::vector<std::string> report_notes(const std::vector<ReportSource>& sources);

// All passes of the results and the baselines', priced with one of the shipped tables.
struct TablePrice {
  std::string table;
  PassPrice all;
};
std::vector<TablePrice> price_with_every_table(const Results& results, Activity activity);

// The smallest and the largest of a ratio's stated values over the tables, if it is there in each.
std::optional<std::pair<double, double>> range_over(
    const std::vector<TablePrice>& prices,
    const std::function<std::optional<energy::Range>(const PassPrice&)>& ratio_of);

}  // namespace mlsim::app
