// The metrics file: one JSON object a line for each epoch.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "trainer/training.h"

namespace mlsim::trainer {

// Keys: epoch, step, learning_rate, train_loss, train_accuracy, test_loss, test_accuracy, train_seconds, test_seconds,
// data_seconds, and in exact arithmetic overflows (an object: forward, backward_data, backward_weight).
// Accuracies are 0..1.
std::string metrics_line(const EpochReport& report);

// A file that is whole after every line.
class MetricsFile {
 public:
  // Without lines, which leaves a file that is there until the first is added. Throws std::runtime_error that names a
  // file that cannot be written. What is no regular file, such as a pipe, is opened once and gets line after line.
  explicit MetricsFile(std::filesystem::path path);
  // Writes the file with one more line. A line of the same or a later step goes first: training went back to a
  // checkpoint before it.
  void add(const EpochReport& report);
  // Keeps the lines that a regular file has. Throws std::runtime_error for a line that is no JSON object with a step.
  void continue_file();

 private:
  struct Line {
    std::uint64_t step;
    std::string text;
  };
  void check_stream() const;

  std::filesystem::path path_;
  std::ofstream stream_;  // open where path_ is no regular file
  std::vector<Line> lines_;
};

}  // namespace mlsim::trainer
