// mlsim counts: see docs/counts.md.
// Tested in tests/app/command_test.cpp.
#pragma once

#include "base/command_line.h"

namespace mlsim::app {

const base::Command& counts_command();
void run_counts(const base::CommandLine& line);

}  // namespace mlsim::app
