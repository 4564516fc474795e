// Energy, area and error of results, against the float baselines.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "app/report/report_extras.h"
#include "evaluation/evaluation.h"

namespace mlsim::app {

// For people, at most 120 columns wide: a sentence for each source and one table of all machines.
std::string text_report(const std::vector<evaluation::Evaluation>& evaluations);

// Every table: one section for each source.
std::string detailed_text_report(const std::vector<evaluation::Evaluation>& evaluations);

// The tables of the text, after one that has every source side by side.
std::string markdown_report(const std::vector<evaluation::Evaluation>& evaluations);

// json_report.cpp. Schema mlsim.report/1: every figure of the text and more, documented in docs/report.md.
nlohmann::ordered_json json_report(const std::vector<evaluation::Evaluation>& evaluations);

// csv_report.cpp. A header and a line for each layer and pass.
std::string csv_report(const std::vector<evaluation::Evaluation>& evaluations);

// One of them, or html_report, by the name of its format: text, markdown, html, json, csv; as it is written to a file.
std::string report_as(const std::string& format, const std::vector<evaluation::Evaluation>& evaluations,
                      const ReportExtras& extras);

}  // namespace mlsim::app
