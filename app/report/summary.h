// What is read first: a sentence for each source and one table of all machines, with memory. Its test is
// tests/app/summary_test.cpp.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "app/report/report_tables.h"
#include "evaluation/evaluation.h"

namespace mlsim::app {

std::vector<std::string> summary_sentences(const std::vector<evaluation::Evaluation>& evaluations);

// Each source's machine, then the baselines, each once where the sources agree about it.
struct SummaryRow {
  std::string name;
  std::optional<std::size_t> source;  // of a source's own machine
  const evaluation::MachineFigures* machine = nullptr;
};
std::vector<SummaryRow> summary_rows(const std::vector<evaluation::Evaluation>& evaluations);

// Those rows.
ReportTable summary_table(const std::vector<evaluation::Evaluation>& evaluations);

}  // namespace mlsim::app
