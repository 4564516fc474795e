// Which machines of a report a network was trained on, and to what test accuracy.
// Tested in tests/app/command_test.cpp.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "evaluation/accuracy.h"
#include "evaluation/evaluation.h"

namespace mlsim::app {

// "NAME=FILE". Throws std::runtime_error with what is wrong with it.
struct NamedMetrics {
  std::string name;
  std::string file;
};
NamedMetrics parse_named_metrics(const std::string& text);

struct Accuracies {
  std::vector<std::optional<evaluation::TestAccuracy>> sources;  // of each of a report
  std::map<std::string, evaluation::TestAccuracy> baselines;     // by name
};

// Reads the files. A name is a source's format, or what precedes its first slash, or a baseline; several files of one
// name are runs of one machine. Throws base::Error for a name that is none of them, or more than one.
Accuracies load_accuracies(const std::vector<NamedMetrics>& metrics,
                           const std::vector<evaluation::Evaluation>& evaluations);

}  // namespace mlsim::app
