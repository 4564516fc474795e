// Pages of the manual and completion in bash, made from the tables of command lines.
// Tested in tests/base/command_line_test.cpp.
#pragma once

#include <string>
#include <vector>

#include "base/command_line.h"

namespace mlsim::base {

// A program: one with commands, or, where there are none, what `itself` describes.
struct Program {
  Command itself;
  std::vector<Command> commands;  // named "PROGRAM COMMAND"
  std::string version;
};

// What a program with commands says of itself and of them.
std::string help_text(const Program& program, std::size_t columns = help_columns());
// In the language of man(7), section 1.
std::string man_page(const Program& program);
std::string bash_completion(const Program& program);

}  // namespace mlsim::base
