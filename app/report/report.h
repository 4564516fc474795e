// Energy, area and error of results, against the float baselines.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "energy/laws.h"
#include "evaluation/pricing.h"
#include "evaluation/results.h"
#include "evaluation/training_step.h"

namespace mlsim::app {

struct ReportSource {
  std::string file;
  evaluation::Results results;
  evaluation::OwnPrices own_prices{};  // of the results' machine, where they are not the table's
  evaluation::Activity activity = evaluation::Activity::kDense;
  std::optional<evaluation::TrainingStep> step{};  // the rest of the step whose convolutions the results are
};

// For people: one section for each source, at most 120 columns wide.
std::string text_report(const std::vector<ReportSource>& sources, const energy::Laws& laws);

// The tables of the text, after one that has every source side by side.
std::string markdown_report(const std::vector<ReportSource>& sources, const energy::Laws& laws);

// Schema mlsim.report/1: every figure of the text and more, documented in docs/report.md.
nlohmann::ordered_json json_report(const std::vector<ReportSource>& sources, const energy::Laws& laws);

// A header and a line for each layer and pass.
std::string csv_report(const std::vector<ReportSource>& sources, const energy::Laws& laws);

}  // namespace mlsim::app
