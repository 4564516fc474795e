// mlsim simulate: see docs/simulate.md.
// Tested in tests/app/command_test.cpp.
#pragma once

#include "base/command_line.h"

namespace mlsim::app {

const base::Command& simulate_command();
void run_simulate(const base::CommandLine& line);

}  // namespace mlsim::app
