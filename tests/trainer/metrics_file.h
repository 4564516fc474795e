// The metrics file of a run.
#pragma once

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/temporary_folder.h"

namespace mlsim::test {

// Its lines without what the clock tells.
inline std::vector<nlohmann::json> metrics_of(const TemporaryFolder& folder, const std::string& file) {
  std::vector<nlohmann::json> lines;
  std::istringstream text(folder.read(file));
  for (std::string line; std::getline(text, line);) {
    nlohmann::json values = nlohmann::json::parse(line);
    for (const char* const key : {"train_seconds", "test_seconds", "data_seconds"}) values.erase(key);
    lines.push_back(values);
  }
  return lines;
}

}  // namespace mlsim::test
