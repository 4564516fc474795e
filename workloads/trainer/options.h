// The command line of mlsim-train.
#pragma once

#include <filesystem>
#include <string>

#include "workloads/trainer/training.h"

namespace mlsim::trainer {

struct Options {
  bool help = false;
  std::filesystem::path data;
  std::filesystem::path metrics;  // empty: none
  std::uint64_t epochs = 0;       // 0: the recipe's steps were given
  TrainingRun run;
};

// Throws std::runtime_error with the option and what was expected.
Options parse_options(int argc, const char* const* argv);

std::string help_text();

}  // namespace mlsim::trainer
