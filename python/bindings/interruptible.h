// Long work that Ctrl-C ends.
// Tested in tests/python/evaluation_test.py.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "evaluation/simulate.h"

namespace mlsim::python {

// Work that calls `progress` every now and then, which throws where the interpreter was interrupted.
using Work = std::function<std::string(const evaluation::Progress& progress)>;

// What the work returns, done beside the interpreter, without its lock, on so many threads at most. Throws what the
// work throws, and what a signal's handler in Python raises, KeyboardInterrupt above all, once the work has stopped.
std::string run_interruptibly(std::optional<int> threads, const Work& work);

}  // namespace mlsim::python
