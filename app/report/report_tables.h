// The tables of a report, as cells: the text, Markdown and HTML reports only set them.
// Tested in tests/app/report_test.cpp.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "evaluation/evaluation.h"

namespace mlsim::app {

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
std::vector<ReportSection> report_sections(const std::vector<evaluation::Evaluation>& evaluations);

// All passes of each source in a column of its own.
ReportTable overview_table(const std::vector<evaluation::Evaluation>& evaluations);

// What must be known to read the figures, in sentences.
std::vector<std::string> report_notes(const std::vector<evaluation::Evaluation>& evaluations);

// The format of a layer, or those of its operands where they differ.
std::string format_name(const evaluation::LayerRecord& layer);
// Those of them that only these results call for.
std::vector<std::string> result_notes(const std::vector<evaluation::Evaluation>& evaluations);

// The formats of each source; where two have the same, the file too, and where that is not enough its place.
std::vector<std::string> labels_of(const std::vector<evaluation::Evaluation>& evaluations);

// Version, seed, step and hashes.
std::string provenance_text(const evaluation::Provenance& provenance);

// The table's name; where it is no shipped one its file and its hash too.
std::string table_name(const energy::CostTable& table);
// Every format of the layers, once.
std::string format_names(const evaluation::Results& results);

}  // namespace mlsim::app
