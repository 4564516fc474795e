// mlsim sweep: see docs/sweep.md.
#pragma once

#include "base/command_line.h"

namespace mlsim::app {

const base::Command& sweep_command();
void run_sweep(const base::CommandLine& line);

}  // namespace mlsim::app
