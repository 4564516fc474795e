#include "app/report/accuracies.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <utility>

#include "app/report/report_tables.h"
#include "base/error.h"

namespace mlsim::app {
namespace {

using evaluation::Evaluation;

// The machines that a name stands for: sources by place, a baseline by name.
struct Named {
  std::vector<std::size_t> sources;
  bool baseline = false;
};

Named machines_of(const std::string& name, const std::vector<Evaluation>& evaluations) {
  const std::vector<std::string> labels = labels_of(evaluations);
  const auto& baselines = evaluation::baseline_machines();
  Named named;
  named.baseline = std::any_of(baselines.begin(), baselines.end(), [&](const auto& b) { return b.name == name; });
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] == name || format_names(evaluations[i].results()) == name) named.sources.push_back(i);
  }
  if (!named.sources.empty()) return named;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i].substr(0, labels[i].find('/')) == name) named.sources.push_back(i);
  }
  if (named.sources.size() > 1) {
    base::refuse("", "--accuracy",
                 fmt::format("'{}' stands for {} and for {}, expected one of them in full", name,
                             labels[named.sources[0]], labels[named.sources[1]]));
  }
  if (named.sources.empty() && !named.baseline) {
    std::vector<std::string> known = labels;
    for (const auto& baseline : baselines) known.push_back(baseline.name);
    base::refuse("", "--accuracy",
                 fmt::format("'{}' is no machine of this report, expected one of {}", name, fmt::join(known, ", ")));
  }
  return named;
}

}  // namespace

NamedMetrics parse_named_metrics(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size()) {
    throw std::runtime_error(fmt::format("is '{}', expected NAME=FILE, such as e2m1=run.jsonl", text));
  }
  return {text.substr(0, equals), text.substr(equals + 1)};
}

Accuracies load_accuracies(const std::vector<NamedMetrics>& metrics, const std::vector<Evaluation>& evaluations) {
  std::map<std::size_t, std::vector<double>> of_sources;
  std::map<std::string, std::vector<double>> of_baselines;
  for (const NamedMetrics& one : metrics) {
    const Named named = machines_of(one.name, evaluations);
    const double accuracy = evaluation::load_test_accuracy(one.file);
    for (const std::size_t source : named.sources) of_sources[source].push_back(accuracy);
    if (named.baseline) of_baselines[one.name].push_back(accuracy);
  }
  Accuracies accuracies;
  accuracies.sources.resize(evaluations.size());
  for (auto& [source, runs] : of_sources) accuracies.sources[source] = evaluation::test_accuracy(std::move(runs));
  for (auto& [name, runs] : of_baselines) accuracies.baselines[name] = evaluation::test_accuracy(std::move(runs));
  return accuracies;
}

}  // namespace mlsim::app
