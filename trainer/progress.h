// What mlsim-train tells about its progress.
// Tested in tests/trainer/metrics_test.cpp.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>

#include "trainer/training.h"

namespace mlsim::trainer {

// One line for an epoch.
std::string epoch_line(const EpochReport& report, std::uint64_t epochs);

// How far a traced step was from exact arithmetic, a line for each pass.
std::string difference_text(const std::array<Difference, 3>& differences);

// Seconds as 1:02:03 or 02:03.
std::string duration_text(double seconds);

// Lines of epochs on standard output, whether or not it can be written, and, where that is a terminal, a line that is
// rewritten as steps are made.
class Progress {
 public:
  Progress(std::uint64_t steps, bool terminal);
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  Progress(Progress&&) = delete;
  Progress& operator=(Progress&&) = delete;

  void step(const StepReport& report);
  void epoch(const EpochReport& report);
  // Takes the line away, so that something else can be told.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  std::uint64_t steps_;
  bool terminal_;
  std::uint64_t first_step_ = 0;
  std::uint64_t steps_per_epoch_ = 1;
  Clock::time_point start_{};
  Clock::time_point shown_{};
};

}  // namespace mlsim::trainer
