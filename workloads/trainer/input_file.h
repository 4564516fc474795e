// Files that a user names as data.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <span>
#include <string>
#include <vector>

namespace mlsim::trainer {

// A regular file, or a link to one, read from its start on. Anything else, such as a pipe, is refused, and never waited
// for. Every error is a std::runtime_error "FILE: REASON, expected EXPECTED".
class InputFile {
 public:
  InputFile(std::filesystem::path path, std::string expected);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;
  InputFile(InputFile&&) = delete;
  InputFile& operator=(InputFile&&) = delete;

  std::uint64_t size() const { return size_; }
  // The next bytes. Throws where the file has not as many.
  void read(std::span<std::uint8_t> bytes);
  // All that follows. Throws, before anything is allocated, where the file has more than `most` bytes.
  std::vector<std::uint8_t> read_rest(std::uint64_t most = std::numeric_limits<std::uint64_t>::max());
  [[noreturn]] void refuse(const std::string& reason) const;

 private:
  std::filesystem::path path_;
  std::string expected_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
  std::uint64_t place_ = 0;
};

}  // namespace mlsim::trainer
