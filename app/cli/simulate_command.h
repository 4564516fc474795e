// mlsim simulate: see docs/simulate.md.
#pragma once

#include "base/command_line.h"

namespace mlsim::app {

const base::Command& simulate_command();
void run_simulate(const base::CommandLine& line);

}  // namespace mlsim::app
