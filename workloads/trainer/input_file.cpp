#include "workloads/trainer/input_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>
#include <utility>

namespace mlsim::trainer {
namespace {

// Why a file is no regular one; nothing where it is.
const char* fault_of(mode_t mode) {
  if (S_ISREG(mode)) return nullptr;
  return S_ISDIR(mode) ? "is a folder" : "is no regular file";
}

}  // namespace

InputFile::InputFile(std::filesystem::path path, std::string expected)
    : path_(std::move(path)), expected_(std::move(expected)) {
  // A look before opening leaves devices alone, which opening may set to work; without O_NONBLOCK, what has become a
  // pipe since then would wait for a writer.
  struct stat status {};
  if (stat(path_.c_str(), &status) != 0) refuse("cannot be opened");
  if (const char* const fault = fault_of(status.st_mode)) refuse(fault);
  descriptor_ = open(path_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (descriptor_ < 0) refuse("cannot be opened");
  const char* fault = fstat(descriptor_, &status) == 0 ? fault_of(status.st_mode) : "cannot be read";
  if (fault != nullptr) {
    close(descriptor_);
    refuse(fault);
  }
  size_ = static_cast<std::uint64_t>(status.st_size);
}

InputFile::~InputFile() {
  close(descriptor_);
}

void InputFile::read(std::span<std::uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::read(descriptor_, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) refuse("cannot be read");
    bytes = bytes.subspan(static_cast<std::size_t>(count));
    place_ += static_cast<std::uint64_t>(count);
  }
}

std::vector<std::uint8_t> InputFile::read_rest(std::uint64_t most) {
  if (size_ > most) refuse(fmt::format("has {} bytes, more than {}", size_, most));
  std::vector<std::uint8_t> bytes(size_ - place_);
  read(bytes);
  return bytes;
}

void InputFile::refuse(const std::string& reason) const {
  throw std::runtime_error(fmt::format("{}: {}, expected {}", path_.string(), reason, expected_));
}

}  // namespace mlsim::trainer
