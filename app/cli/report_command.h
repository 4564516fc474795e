// mlsim report: see docs/report.md.
// Tested in tests/app/command_test.cpp.
#pragma once

#include "base/command_line.h"

namespace mlsim::app {

const base::Command& report_command();
void run_report(const base::CommandLine& line);

}  // namespace mlsim::app
