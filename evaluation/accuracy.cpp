#include "evaluation/accuracy.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <numeric>
#include <sstream>
#include <utility>

#include "base/error.h"
#include "base/input_file.h"
#include "base/json.h"

namespace mlsim::evaluation {
namespace {

constexpr const char* kExpected = "expected metrics of mlsim-train, a JSON object for each epoch";

double accuracy_of(const std::string& line, const std::string& file, const std::string& place) {
  const auto refuse = [&](const std::string& reason) { base::refuse(file, place, reason); };
  nlohmann::json metrics;
  try {
    metrics = base::parse_json(line, file);
  } catch (const base::Error&) {
    refuse(fmt::format("is no JSON, {}", kExpected));
  }
  if (!metrics.is_object()) refuse(fmt::format("is {}, {}", base::shown(metrics), kExpected));
  const auto accuracy = metrics.find("test_accuracy");
  if (accuracy == metrics.end()) refuse(fmt::format("has no test_accuracy, {}", kExpected));
  if (!accuracy->is_number() || accuracy->get<double>() < 0 || accuracy->get<double>() > 1) {
    refuse(fmt::format("test_accuracy is {}, expected a number from 0 to 1", base::shown(*accuracy)));
  }
  return accuracy->get<double>();
}

}  // namespace

double parse_test_accuracy(const std::string& text, const std::string& file) {
  double last = -1;
  std::istringstream lines(text);
  std::size_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    last = accuracy_of(line, file, fmt::format("line {}", number));
  }
  if (last < 0) base::refuse(file, "", fmt::format("has no line, {}", kExpected));
  return last;
}

double load_test_accuracy(const std::string& path) {
  return parse_test_accuracy(base::read_text(path), path);
}

TestAccuracy test_accuracy(std::vector<double> runs) {
  assert(!runs.empty());
  const auto [low, high] = std::minmax_element(runs.begin(), runs.end());
  TestAccuracy accuracy{
      {}, std::accumulate(runs.begin(), runs.end(), 0.0) / static_cast<double>(runs.size()), *low, *high};
  accuracy.runs = std::move(runs);
  return accuracy;
}

}  // namespace mlsim::evaluation
