// The tables of a report's section, by subject. One of which nothing is to be told has no rows.
// Tested in tests/app/report_test.cpp.
#pragma once

#include <string>
#include <vector>

#include "app/report/report_tables.h"
#include "evaluation/evaluation.h"

namespace mlsim::app {

// work_tables.cpp: what is done, and how exactly.
ReportTable work_table(const evaluation::Evaluation& evaluated);
ReportTable error_table(const evaluation::Evaluation& evaluated);
ReportTable zeros_table(const evaluation::Evaluation& evaluated);
ReportTable toggle_table(const evaluation::Evaluation& evaluated);
ReportTable layer_table(const evaluation::Evaluation& evaluated);
ReportTable roofline_table(const evaluation::Evaluation& evaluated);

// energy_tables.cpp: what it takes.
std::vector<ReportTable> energy_tables(const evaluation::Evaluation& evaluated);  // a table for each line
ReportTable range_table(const evaluation::Evaluation& evaluated);
ReportTable table_range_table(const evaluation::Evaluation& evaluated);
ReportTable activity_table(const evaluation::Evaluation& evaluated);
ReportTable operation_table(const evaluation::Evaluation& evaluated);

// machine_tables.cpp: on which machines.
ReportTable machine_table(const evaluation::Evaluation& evaluated);
ReportTable equal_table(const evaluation::Evaluation& evaluated);
ReportTable step_table(const evaluation::Evaluation& evaluated);
ReportTable step_machine_table(const evaluation::Evaluation& evaluated);
ReportTable sharing_table(const evaluation::Evaluation& evaluated);
ReportTable area_table(const evaluation::Evaluation& evaluated);

// Heads with a column for each baseline.
std::vector<std::string> with_baselines(std::vector<std::string> head, const std::string& suffix);

// What an activity is called.
const char* described(evaluation::Activity activity);

}  // namespace mlsim::app
