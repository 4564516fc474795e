// Sweeps as files have them. Its tests are those of html_report and sweep.
#pragma once

#include <string>
#include <string_view>

#include "app/report/report_extras.h"

namespace mlsim::app {

// Throws std::runtime_error with file and place for anything but a sweep.
SweepSource load_sweep(const std::string& path);
// The same of a text; `file` stands for it in errors.
SweepSource parse_sweep(std::string_view text, const std::string& file);

}  // namespace mlsim::app
