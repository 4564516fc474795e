#include "workloads/atomic_file.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <stdexcept>
#include <string>
#include <system_error>

namespace mlsim::workloads {
namespace fs = std::filesystem;
namespace {

[[noreturn]] void refuse(const fs::path& path, const std::string& reason) {
  throw std::runtime_error(path.string() + ": cannot be written: " + reason);
}

std::string reason_of(int error) {
  if (error == 0) return "the write failed";
  return std::error_code(error, std::generic_category()).message();
}

}  // namespace

AtomicFile::AtomicFile(const fs::path& path) : path_(path), target_(path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (fs::is_directory(status)) refuse(path, "it is a folder");
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    stream_.open(path, std::ios::binary);
    if (!stream_) refuse(path, reason_of(errno));
    return;
  }
  if (fs::exists(status)) target_ = fs::canonical(path, error);
  const fs::path folder = target_.has_parent_path() ? target_.parent_path() : fs::path(".");
  if (!fs::is_directory(folder, error)) refuse(path, "there is no folder " + folder.string());

  static std::atomic<unsigned> serial = 0;
  temporary_ = target_;
  temporary_ += ".part-" + std::to_string(getpid()) + "-" + std::to_string(serial++);
  stream_.open(temporary_, std::ios::binary | std::ios::trunc);
  if (!stream_) {
    const int cause = errno;
    temporary_.clear();
    refuse(path, reason_of(cause));
  }
}

AtomicFile::~AtomicFile() {
  if (temporary_.empty()) return;
  stream_.close();
  std::error_code ignored;
  fs::remove(temporary_, ignored);
}

void AtomicFile::commit() {
  errno = 0;
  stream_.close();
  if (!stream_) refuse(path_, reason_of(errno));
  if (temporary_.empty()) return;
  std::error_code error;
  fs::rename(temporary_, target_, error);
  if (error) refuse(path_, error.message());
  temporary_.clear();
}

void write_file(const fs::path& path, std::string_view content) {
  AtomicFile file(path);
  errno = 0;
  if (!file.stream().write(content.data(), static_cast<std::streamsize>(content.size())))
    refuse(path, reason_of(errno));
  file.commit();
}

void create_directories(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (!error && !fs::is_directory(path, error)) error = std::make_error_code(std::errc::not_a_directory);
  if (error) throw std::runtime_error(path.string() + ": cannot be made a folder: " + error.message());
}

}  // namespace mlsim::workloads
