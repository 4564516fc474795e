// The tables of a report, as cells: the text, Markdown and HTML reports only set them.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "app/pricing.h"
#include "app/report.h"
#include "app/results.h"
#include "energy/laws.h"

namespace mlsim::app {

// What passes have in common, over some of the layers.
struct Total {
  int layers = 0;
  std::uint64_t multiply_adds = 0;
  models::OperationCounts counts;
  bool overflows_are_counted = true;  // in all passes
  sim::CycleCounts cycles;
  PassPrice price;
  double lowest_sqnr = std::numeric_limits<double>::infinity();
  double sqnr_sum = 0;
  int sqnr_count = 0;
  std::vector<double> baseline_sqnr_sums = std::vector<double>(baseline_machines().size(), 0.0);
  // Of the multiply-adds, those of a zero operand; whether all of them were counted.
  std::uint64_t zero_products = 0;
  bool zeros_are_counted = true;
  // Of the passes whose toggled bits were counted.
  sim::OperandToggles toggles;
  sim::Traffic toggle_traffic;
  std::vector<std::uint64_t> baseline_zero_products = std::vector<std::uint64_t>(baseline_machines().size(), 0);

  void add(const PassRecord& record, const PassPrice& pass_price);
  std::optional<double> mean_sqnr() const;
  std::optional<double> mean_baseline_sqnr(std::size_t b) const;
  double utilization(const sim::ArrayConfig& array) const;
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

  // Two operations to a multiply-add.
  double tops() const { return 2 * multiply_adds / seconds / 1e12; }
  double tops_per_watt(const energy::Range& pj) const { return 2 * multiply_adds / pj.value; }
  double tops_per_mm2() const { return tops() / (area_um2 / 1e6); }
};

// The results' machine, then the baselines.
std::vector<MachineFigures> machine_figures(const Results& results, const Price& price, const Total& all);

// Images of the results: the batch that all layers share, if they share one.
std::optional<std::int64_t> images_of(const Results& results);

// All passes of all layers, priced for each of kActivities.
std::array<PassPrice, kActivities.size()> price_activities(const ReportSource& source, const energy::Laws& laws);

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
