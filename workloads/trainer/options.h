// The command line of mlsim-train.
#pragma once

#include <filesystem>
#include <string>

#include "workloads/trainer/dataset.h"
#include "workloads/trainer/training.h"

namespace mlsim::trainer {

struct Options {
  bool help = false;
  DatasetKind dataset = DatasetKind::kCifar10;
  std::filesystem::path data;     // its folder
  std::size_t image_size = 0;     // of a folder of images; 0 for the others
  std::filesystem::path metrics;  // empty: none
  std::uint64_t epochs = 0;       // 0: the recipe's steps were given
  TrainingRun run;
};

// Throws std::runtime_error with the option and what was expected.
Options parse_options(int argc, const char* const* argv);

std::string help_text();

}  // namespace mlsim::trainer
