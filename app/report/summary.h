// What is read first: a sentence for each source and one table of all machines, with memory. Its test is
// tests/app/summary_test.cpp.
#pragma once

#include <string>
#include <vector>

#include "app/report/report_tables.h"
#include "evaluation/evaluation.h"

namespace mlsim::app {

std::vector<std::string> summary_sentences(const std::vector<evaluation::Evaluation>& evaluations);

// Each source's machine, then the baselines, each once where the sources agree about it.
ReportTable summary_table(const std::vector<evaluation::Evaluation>& evaluations);

}  // namespace mlsim::app
