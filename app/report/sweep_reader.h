// Sweeps as files have them.
// Tested in tests/app/html_report_test.cpp.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "app/report/report_extras.h"

namespace mlsim::app {

// The most points that a page shows.
constexpr std::size_t kMostPointsShown = 2000;

// Of a sweep of more than `most` points, the front and as many of the others, drawn at random and always the same, as
// make `most`; where the front alone is more, as many of it. Throws std::runtime_error with file and place for anything
// but a sweep; of points that are left out, for what is no JSON or no row of CSV alone.
SweepSource load_sweep(const std::string& path, std::size_t most = kMostPointsShown);
// The same of a text; `file` stands for it in errors.
SweepSource parse_sweep(std::string_view text, const std::string& file, std::size_t most = kMostPointsShown);

}  // namespace mlsim::app
