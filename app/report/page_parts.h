// The parts of the page that are read first, as HTML that needs no script.
// Tested in tests/app/html_report_test.cpp.
// Tested in tests/app/html_report_test.cpp.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "app/report/report_extras.h"
#include "evaluation/evaluation.h"

namespace mlsim::app {

// Text that HTML takes as it stands, in elements and in attributes.
std::string escaped(std::string_view text);

// The mark of a source: its colour everywhere, and past the colours another shape.
std::string swatch(std::size_t source);

// A sentence, or where there are many sources one of what stands out and the others folded; and five tiles.
std::string summary_html(const std::vector<evaluation::Evaluation>& evaluations);

// Energy with memory of each machine: a bar in its parts, the error bar, and the value beside it.
std::string energy_html(const std::vector<evaluation::Evaluation>& evaluations);

// Layers by passes for each source: energy, utilization, stalls and SQNR, tinted; what stands out is named.
std::string heat_map_html(const std::vector<evaluation::Evaluation>& evaluations);

// Where the figures come from, and the words.
std::string footer_html(const std::vector<evaluation::Evaluation>& evaluations, const ReportExtras& extras);

}  // namespace mlsim::app
