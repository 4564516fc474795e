// mlsim sweep --merge: the shards of a sweep as the file that one command would have written.
// Tested in tests/app/sweep_test.cpp.
#pragma once

#include "base/command_line.h"

namespace mlsim::app {

void merge_sweep(const base::CommandLine& line);

}  // namespace mlsim::app
