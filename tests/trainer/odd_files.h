// What stands in place of a file, and what reading takes.
#pragma once

#include <sys/resource.h>
#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <stdexcept>

namespace mlsim::test {

// A pipe that nobody writes to: opening it as a file waits for ever.
inline std::filesystem::path make_pipe(const std::filesystem::path& path) {
  if (mkfifo(path.c_str(), 0600) != 0) throw std::runtime_error("no pipe was made");
  return path;
}

// The largest memory of this process so far, in bytes.
inline std::uint64_t most_memory() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace mlsim::test
