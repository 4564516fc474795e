// mlsim sweep: see docs/sweep.md.
// Tested in tests/app/sweep_test.cpp.
#pragma once

#include <string>
#include <vector>

#include "base/command_line.h"

namespace mlsim::app {

const base::Command& sweep_command();
void run_sweep(const base::CommandLine& line);

// As one of the processes that a launcher has started together: rank 0 writes and says everything, what goes wrong on
// another rank too. False, and nothing is done, where there is no launcher. Throws on rank 0 alone.
bool run_sweep_on_ranks(const std::vector<std::string>& arguments);

}  // namespace mlsim::app
