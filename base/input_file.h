// What users name to be read: never past a limit, and a read that fails is never taken for the end of a file.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlsim::base {

// Bytes in order.
class Input {
 public:
  virtual ~Input() = default;
  // The next bytes: fewer than `size` at the end alone. Throws Error where they cannot be read.
  virtual std::size_t read(void* data, std::size_t size) = 0;
  // Bytes that are left, where that is known before they are read.
  virtual std::optional<std::uint64_t> left() const = 0;
  // What errors call it.
  virtual const std::string& name() const = 0;

 protected:
  Input() = default;
  Input(const Input&) = default;
  Input& operator=(const Input&) = default;
  Input(Input&&) = default;
  Input& operator=(Input&&) = default;
};

class InputFile : public Input {
 public:
  // Throws Error for what is not there, cannot be read or is a folder.
  explicit InputFile(const std::filesystem::path& path);
  static InputFile standard_input();
  ~InputFile() override;
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;
  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&&) = delete;

  std::size_t read(void* data, std::size_t size) override;
  std::optional<std::uint64_t> left() const override;
  const std::string& name() const override { return name_; }

 private:
  friend class RegularFile;
  InputFile(int descriptor, std::string name, bool is_owned);

  std::string name_;
  int descriptor_ = -1;
  bool is_owned_ = true;
  std::optional<std::uint64_t> size_;  // of a regular file
  std::uint64_t position_ = 0;
};

// A regular file of data, or a link to one, read from its start on. Anything else, such as a pipe, is refused, and
// never waited for. What it is not is an Error "FILE: REASON, expected EXPECTED".
class RegularFile {
 public:
  RegularFile(const std::filesystem::path& path, std::string expected);

  std::uint64_t size() const { return file_.size_.value_or(0); }
  std::uint64_t left() const { return file_.left().value_or(0); }
  // The next bytes. Throws where the file has not as many.
  void read(std::span<std::uint8_t> bytes);
  // Passes over as many bytes. Throws where the file has not as many.
  void skip(std::uint64_t bytes);
  // All that follows. Throws, before anything is allocated, where the file has more than `most` bytes.
  std::vector<std::uint8_t> read_rest(std::uint64_t most = std::numeric_limits<std::uint64_t>::max());
  [[noreturn]] void refuse(const std::string& reason) const;

 private:
  std::string expected_;
  InputFile file_;
};

// What changes when a file is written to or replaced.
struct FileStamp {
  std::uint64_t device = 0;
  std::uint64_t number = 0;
  std::int64_t size = 0;
  std::array<std::int64_t, 4> times{};  // modified, changed: seconds, nanoseconds
  bool operator==(const FileStamp&) const = default;
};
// Throws Error where there is no such file.
FileStamp stamp_of(const std::filesystem::path& path);

class InputText : public Input {
 public:
  InputText(std::string_view text, std::string name) : text_(text), name_(std::move(name)) {}
  std::size_t read(void* data, std::size_t size) override;
  std::optional<std::uint64_t> left() const override { return text_.size(); }
  const std::string& name() const override { return name_; }

 private:
  std::string_view text_;
  std::string name_;
};

// The most that is read of a document: a workload, a network, an array, a table, a recipe, ...
constexpr std::uint64_t kLargestDocument = std::uint64_t{64} << 20;
// The most of results, sweeps and journals, which the program itself writes.
constexpr std::uint64_t kLargestResults = std::uint64_t{256} << 20;

// All of an input. Throws Error where it is longer than `limit` bytes.
std::string read_all(Input& input, std::uint64_t limit);
// All of a file, or of standard input for "-" where that is said.
std::string read_text(const std::filesystem::path& path, std::uint64_t limit = kLargestDocument);
std::string read_standard_input(std::uint64_t limit = kLargestDocument);

}  // namespace mlsim::base
