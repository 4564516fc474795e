// mlsim quantize: see docs/quantize.md.
// Tested in tests/app/command_test.cpp.
#pragma once

#include "base/command_line.h"

namespace mlsim::app {

const base::Command& quantize_command();
void run_quantize(const base::CommandLine& line);

}  // namespace mlsim::app
