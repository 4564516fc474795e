// mlsim report: see docs/report.md.
#pragma once

#include "base/command_line.h"

namespace mlsim::app {

const base::Command& report_command();
void run_report(const base::CommandLine& line);

}  // namespace mlsim::app
