#include "evaluation/accuracy.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "base/input_file.h"
#include "base/json.h"
#include "base/json_lines.h"

namespace mlsim::evaluation {
namespace {

constexpr const char* kExpected = "expected metrics of mlsim-train, a JSON object for each epoch";

}  // namespace

double parse_test_accuracy(const std::string& text, const std::string& file) {
  double last = -1;
  base::for_json_lines(text, file, kExpected, [&](const base::JsonReader& line, const std::string& /*text*/) {
    if (!line.has("test_accuracy")) line.refuse(fmt::format("has no test_accuracy, {}", kExpected));
    const nlohmann::json& accuracy = line.json()["test_accuracy"];
    if (!accuracy.is_number() || accuracy.get<double>() < 0 || accuracy.get<double>() > 1) {
      line.refuse(fmt::format("test_accuracy is {}, expected a number from 0 to 1", base::shown(accuracy)));
    }
    last = accuracy.get<double>();
  });
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
