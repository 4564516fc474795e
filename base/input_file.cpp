#include "base/input_file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace mlsim::base {
namespace {

[[noreturn]] void refuse_reading(const std::string& name, const std::string& reason) {
  refuse(name, "", "cannot be read: " + reason);
}

// A number of bytes as a limit is written.
std::string bytes_text(std::uint64_t bytes) {
  for (const auto& [unit, shift] : {std::pair{"GiB", 30}, {"MiB", 20}, {"KiB", 10}}) {
    if (bytes >> shift != 0 && (bytes >> shift) << shift == bytes) return fmt::format("{} {}", bytes >> shift, unit);
  }
  return fmt::format("{} bytes", bytes);
}

// Why a file is no regular one; nothing where it is.
const char* fault_of(mode_t mode) {
  if (S_ISREG(mode)) return nullptr;
  return S_ISDIR(mode) ? "is a folder" : "is no regular file";
}

[[noreturn]] void refuse_file(const std::string& name, const std::string& reason, const std::string& expected) {
  refuse(name, "", fmt::format("{}, expected {}", reason, expected));
}

// The descriptor of a regular file.
int open_regular(const std::filesystem::path& path, const std::string& expected) {
  const auto refuse_it = [&](const char* reason) { refuse_file(path.string(), reason, expected); };
  // A look before opening leaves devices alone, which opening may set to work; without O_NONBLOCK, what has become a
  // pipe since then would wait for a writer.
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) refuse_it("cannot be opened");
  if (const char* const fault = fault_of(status.st_mode)) refuse_it(fault);
  const int descriptor = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (descriptor < 0) refuse_it("cannot be opened");
  if (const char* const fault = fstat(descriptor, &status) == 0 ? fault_of(status.st_mode) : "cannot be read") {
    close(descriptor);
    refuse_it(fault);
  }
  return descriptor;
}

}  // namespace

InputFile::InputFile(int descriptor, std::string name, bool is_owned)
    : name_(std::move(name)), descriptor_(descriptor), is_owned_(is_owned) {
  struct stat status {};
  if (fstat(descriptor_, &status) != 0) {
    const int error = errno;
    if (is_owned_) close(descriptor_);
    refuse_reading(name_, reason_of(error));
  }
  if (S_ISDIR(status.st_mode)) {
    if (is_owned_) close(descriptor_);
    refuse_reading(name_, "it is a folder");
  }
  // Files of /proc and the like say 0 and have more.
  if (S_ISREG(status.st_mode) && status.st_size > 0) size_ = static_cast<std::uint64_t>(status.st_size);
}

InputFile::InputFile(const std::filesystem::path& path)
    : InputFile(
          [&] {
            int descriptor = -1;
            do {
              descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
            } while (descriptor < 0 && errno == EINTR);
            if (descriptor < 0) refuse_reading(path.string(), reason_of(errno));
            return descriptor;
          }(),
          path.string(), true) {}

InputFile InputFile::standard_input() {
  return {STDIN_FILENO, "standard input", false};
}

InputFile::InputFile(InputFile&& other) noexcept
    : name_(std::move(other.name_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      is_owned_(other.is_owned_),
      size_(other.size_),
      position_(other.position_) {}

InputFile::~InputFile() {
  if (is_owned_ && descriptor_ >= 0) close(descriptor_);
}

std::size_t InputFile::read(void* data, std::size_t size) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t count = ::read(descriptor_, static_cast<char*>(data) + done, size - done);
    if (count == 0) break;
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) refuse_reading(name_, reason_of(errno));
    done += static_cast<std::size_t>(count);
  }
  position_ += done;
  return done;
}

std::optional<std::uint64_t> InputFile::left() const {
  if (!size_) return std::nullopt;
  return *size_ - std::min(*size_, position_);
}

RegularFile::RegularFile(const std::filesystem::path& path, std::string expected)
    : expected_(std::move(expected)), file_(open_regular(path, expected_), path.string(), true) {}

void RegularFile::read(std::span<std::uint8_t> bytes) {
  if (file_.read(bytes.data(), bytes.size()) < bytes.size()) refuse("cannot be read");
}

void RegularFile::skip(std::uint64_t bytes) {
  if (bytes > left()) refuse(fmt::format("has {} bytes, fewer than the {} to pass over", left(), bytes));
  if (lseek(file_.descriptor_, static_cast<off_t>(bytes), SEEK_CUR) < 0) refuse("cannot be read");
  file_.position_ += bytes;
}

std::vector<std::uint8_t> RegularFile::read_rest(std::uint64_t most) {
  if (size() > most) refuse(fmt::format("has {} bytes, more than {}", size(), most));
  std::vector<std::uint8_t> bytes(left());
  read(bytes);
  return bytes;
}

void RegularFile::refuse(const std::string& reason) const {
  refuse_file(file_.name(), reason, expected_);
}

FileStamp stamp_of(const std::filesystem::path& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) refuse_reading(path.string(), reason_of(errno));
  return {status.st_dev,
          status.st_ino,
          status.st_size,
          {status.st_mtim.tv_sec, status.st_mtim.tv_nsec, status.st_ctim.tv_sec, status.st_ctim.tv_nsec}};
}

std::size_t InputText::read(void* data, std::size_t size) {
  const std::size_t count = std::min(size, text_.size());
  if (count > 0) std::memcpy(data, text_.data(), count);
  text_.remove_prefix(count);
  return count;
}

std::string read_all(Input& input, std::uint64_t limit) {
  constexpr std::size_t kPiece = std::size_t{1} << 16;
  const auto refuse_length = [&] {
    refuse(input.name(), "", fmt::format("is longer than {}, the most that is read of such a file", bytes_text(limit)));
  };
  if (const std::optional<std::uint64_t> left = input.left(); left && *left > limit) refuse_length();
  std::string text;
  if (const std::optional<std::uint64_t> left = input.left()) text.reserve(static_cast<std::size_t>(*left) + kPiece);
  while (true) {
    const std::size_t have = text.size();
    text.resize(have + kPiece);
    const std::size_t count = input.read(text.data() + have, kPiece);
    text.resize(have + count);
    if (text.size() > limit) refuse_length();
    if (count < kPiece) return text;
  }
}

std::string read_text(const std::filesystem::path& path, std::uint64_t limit) {
  InputFile file(path);
  return read_all(file, limit);
}

std::string read_standard_input(std::uint64_t limit) {
  InputFile file = InputFile::standard_input();
  return read_all(file, limit);
}

}  // namespace mlsim::base
