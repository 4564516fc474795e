// What training in a format came to: the last test accuracy of metrics files as mlsim-train writes them.
#pragma once

#include <string>
#include <vector>

namespace mlsim::evaluation {

// The test accuracy of the last line, 0 to 1. `file` names the text in errors. Throws base::Error with the line for
// what is not metrics of mlsim-train.
double parse_test_accuracy(const std::string& text, const std::string& file);
double load_test_accuracy(const std::string& path);

// The runs of one machine, 0 to 1.
struct TestAccuracy {
  std::vector<double> runs;
  double mean = 0;
  double low = 0;
  double high = 0;
};
TestAccuracy test_accuracy(std::vector<double> runs);  // of one or more

}  // namespace mlsim::evaluation
