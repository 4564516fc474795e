// What users name to be read: never past a limit, and a read that fails is never taken for the end of a file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

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
  // Throws Error for what is not there, cannot be read or is a folder. From now on nothing that is written below
  // replaces the file (output_file.h).
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
  // Throws Error for a pipe, a terminal or a device, with what was expected.
  void require_regular(const std::string& expected) const;

 private:
  InputFile(int descriptor, std::string name, bool is_owned);

  std::string name_;
  int descriptor_ = -1;
  bool is_owned_ = true;
  std::optional<std::uint64_t> size_;  // of a regular file
  std::uint64_t position_ = 0;
};

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
constexpr std::uint64_t kLargestResults = std::uint64_t{1} << 30;

// All of an input. Throws Error where it is longer than `limit` bytes.
std::string read_all(Input& input, std::uint64_t limit);
// All of a file, or of standard input for "-" where that is said.
std::string read_text(const std::filesystem::path& path, std::uint64_t limit = kLargestDocument);
std::string read_standard_input(std::uint64_t limit = kLargestDocument);

}  // namespace mlsim::base
