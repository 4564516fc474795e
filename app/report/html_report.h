// The report as one page that asks nothing of a network: its tables are plain HTML, its plots are drawn from the data
// in the page by a library in the page.
#pragma once

#include <string>
#include <vector>

#include "app/report/report_extras.h"
#include "evaluation/evaluation.h"

namespace mlsim::app {

std::string html_report(const std::vector<evaluation::Evaluation>& evaluations, const ReportExtras& extras);

}  // namespace mlsim::app
