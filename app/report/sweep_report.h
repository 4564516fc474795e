// The points of a sweep as a table for people, CSV and JSON. Rows are those of evaluation::run_point.
// Tested in tests/app/html_report_test.cpp.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <vector>

#include "evaluation/sweep.h"
#include "evaluation/sweep_shard.h"

namespace mlsim::app {

// Of the document that sweep_json makes. At most 120 columns wide, but for long names of formats.
std::string sweep_table(const nlohmann::ordered_json& sweep);
// What a front is of, in words; `front` is that of the document.
std::string front_text(const std::vector<std::string>& front);

evaluation::SweepHead head_of(const evaluation::SweepSetting& setting);

// Schema mlsim.sweep/1 (docs/sweep.md).
nlohmann::ordered_json sweep_json(const evaluation::SweepHead& head, const std::vector<nlohmann::ordered_json>& rows);

// The rows of a sweep, each made when it is asked for, by its point.
struct SweepRows {
  std::size_t points = 0;
  std::function<nlohmann::ordered_json(std::size_t point)> row;
};

// Writes a file a row at a time: CSV or, with the bytes of sweep_json(), JSON, by its name's ending.
void write_sweep(const std::filesystem::path& path, const evaluation::SweepHead& head, const SweepRows& rows);

// The most points of which a table is printed; of more, those on the front.
constexpr std::size_t kMostPrinted = 1000;
// The table as it is printed. `front` are the points on it, in order.
std::string printed_table(const evaluation::SweepHead& head, const SweepRows& rows, const std::set<std::size_t>& front);

}  // namespace mlsim::app
