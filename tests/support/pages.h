// What programs say of themselves: the page of the manual and bash's completion.
#pragma once

#include <gmock/gmock.h>

#include <string>

#include "base/command_line.h"
#include "tests/support/command.h"

namespace mlsim::test {

// From where `begin` begins up to the next `end` behind it, or to the end of the text.
inline std::string part_of(const std::string& text, const std::string& begin, const std::string& end) {
  const std::size_t first = text.find(begin);
  EXPECT_NE(first, std::string::npos) << begin;
  return first == std::string::npos ? "" : text.substr(first, text.find(end, first + begin.size()) - first);
}

// Every option of a command is in its part of the manual and in that of the completion, and has a help.
inline void expect_options(const base::Command& command, const std::string& manual, const std::string& completion) {
  for (const base::OptionGroup& group : command.groups) {
    for (const base::Option& option : group.options) {
      std::string escaped;
      for (const char c : "--" + option.name) escaped += c == '-' ? "\\-" : std::string(1, c);
      const std::string letter = option.letter.empty() ? "" : "\\fB\\-" + option.letter + "\\fR, ";
      EXPECT_THAT(manual, testing::HasSubstr("\n" + letter + "\\fB" + escaped + "\\fR")) << command.name;
      EXPECT_THAT(completion, testing::ContainsRegex("compgen -W '[^']*--" + option.name + " ")) << command.name;
      EXPECT_FALSE(option.help.empty()) << command.name << " --" << option.name;
    }
  }
}

// What bash offers for the last of some words behind the program's name, a line each.
inline std::string completed(const TemporaryFolder& folder, const std::string& program, const std::string& completion,
                             const std::string& words) {
  std::string function = "_" + program;
  for (char& c : function) c = c == '-' ? '_' : c;
  folder.write("completion.bash", completion);
  folder.write("complete.sh", "source completion.bash\nCOMP_WORDS=(" + program + " " + words +
                                  ")\nCOMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n" + function +
                                  "\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n");
  const CommandResult result = run_mlsim("/bin/bash", folder, "complete.sh");
  EXPECT_EQ(result.err, "") << words;
  return result.out;
}

}  // namespace mlsim::test
