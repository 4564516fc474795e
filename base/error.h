// What a user gave and cannot be used: a file, the place in it, the reason.
// Tested in tests/base/json_reader_test.cpp.
#pragma once

#include <stdexcept>
#include <string>

namespace mlsim::base {

// Reads as "FILE: PLACE: REASON", without what is empty. A place is a JSON pointer such as /layers/0/stride, a line and
// column, or whatever else finds it in the file.
class Error : public std::runtime_error {
 public:
  Error(std::string file, std::string place, std::string reason);

  const std::string& file() const { return file_; }
  const std::string& place() const { return place_; }
  const std::string& reason() const { return reason_; }

 private:
  std::string file_;
  std::string place_;
  std::string reason_;
};

// What the system calls an errno: "No such file or directory".
std::string reason_of(int error);

[[noreturn]] void refuse(const std::string& file, const std::string& place, const std::string& reason);

}  // namespace mlsim::base
