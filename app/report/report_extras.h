// What goes into a report beside the results that it is of.
// Tested in tests/app/report_test.cpp.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "app/report/accuracies.h"

namespace mlsim::app {

struct SweepSource {
  std::string file;
  nlohmann::json document;  // schema mlsim.sweep/1, as mlsim sweep writes it, with a part of the points
  std::size_t points = 0;   // that the file has
  std::size_t front = 0;    // of them on the front
};

struct ReportExtras {
  bool detail = false;  // in text, every table and not the summary alone
  // On the page:
  std::optional<SweepSource> sweep;
  std::vector<NamedMetrics> accuracies;
  std::string command;  // that made it; empty for none
};

}  // namespace mlsim::app
