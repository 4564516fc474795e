// Runs the mlsim command as a user does.
#pragma once

#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "tests/support/temporary_folder.h"

namespace mlsim::test {

struct CommandResult {
  int status = -1;
  std::string out;
  std::string err;
};

// `arguments` are in the shell's language, run in `folder`.
inline CommandResult run_mlsim(const std::string& command, const TemporaryFolder& folder,
                               const std::string& arguments) {
  const std::string line =
      "cd '" + folder.path().string() + "' && '" + command + "' " + arguments + " >out.txt 2>err.txt";
  const int status = std::system(line.c_str());  // NOLINT(cert-env33-c): the shell is what is tested
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, folder.read("out.txt"), folder.read("err.txt")};
}

}  // namespace mlsim::test
