// The points of a sweep as a table for people, CSV and JSON. Rows are those of evaluation::run_point.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "energy/laws.h"
#include "evaluation/sweep.h"

namespace mlsim::app {

// Of the document that sweep_json makes. At most 120 columns wide, but for long names of formats.
std::string sweep_table(const nlohmann::ordered_json& sweep);
// What a front is of, in words; `front` is that of the document.
std::string front_text(const std::vector<std::string>& front);

std::string sweep_csv(const evaluation::SweepSetting& setting, const std::vector<nlohmann::ordered_json>& rows);

// Schema mlsim.sweep/1 (docs/sweep.md).
nlohmann::ordered_json sweep_json(const evaluation::SweepSetting& setting,
                                  const std::vector<nlohmann::ordered_json>& rows);

}  // namespace mlsim::app
