// The report as one page that asks nothing of a network: its tables are plain HTML, its plots are drawn from the data
// in the page by a library in the page.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "app/report/report_extras.h"
#include "evaluation/evaluation.h"

namespace mlsim::app {

// Throws std::runtime_error with file and place for anything but a sweep.
SweepSource load_sweep(const std::string& path);
// The same of a text; `file` stands for it in errors.
SweepSource parse_sweep(std::string_view text, const std::string& file);

std::string html_report(const std::vector<evaluation::Evaluation>& evaluations, const ReportExtras& extras);

}  // namespace mlsim::app
