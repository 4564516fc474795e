// mlsim simulate: see docs/simulate.md.
#pragma once

#include <string>
#include <vector>

namespace mlsim::app {

// Runs the command; returns the exit status. User errors are thrown as std::runtime_error.
int run_simulate(const std::vector<std::string>& arguments);

}  // namespace mlsim::app
