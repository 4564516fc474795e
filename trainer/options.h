// The command line of mlsim-train.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/command_pages.h"
#include "trainer/data/dataset.h"
#include "trainer/training.h"

namespace mlsim::trainer {

struct Options {
  bool help = false;
  bool version = false;
  bool check_data = false;  // read all data once instead of training
  bool quiet = false;       // say nothing but errors
  bool threads_given = false;
  DatasetKind dataset = DatasetKind::kCifar10;
  std::filesystem::path data;         // its folder
  std::size_t image_size = 0;         // of a folder of images; 0 for the others
  std::filesystem::path metrics;      // empty: none
  std::filesystem::path save_recipe;  // empty: not to be written
  std::string recipe_text;            // the JSON to write there; empty without
  std::uint64_t epochs = 0;           // 0: the recipe's steps were given
  std::uint64_t warmup_epochs = 0;
  std::vector<std::uint64_t> milestones;  // epochs; empty: none were given
  TrainingRun run;
};

// Options are taken from the command line and then, where --recipe names one, from a file: a JSON object with the names
// of options as keys. Those of the file that the command line leaves without meaning are left out. Throws
// std::runtime_error with the option, or with the file and the option, and what was expected.
Options parse_options(int argc, const char* const* argv);

// What the program says of itself.
const base::Program& trainer_program();

}  // namespace mlsim::trainer
