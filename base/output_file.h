// Files that appear whole or not at all: written beside their place, then renamed.
#pragma once

#include <array>
#include <deque>
#include <filesystem>
#include <optional>
#include <ostream>
#include <streambuf>
#include <string>
#include <string_view>
#include <vector>

namespace mlsim::base {

// A file under a hidden name of its own in the folder of `target`, which is behind symbolic links. No link and no file
// that was there is written through. It is removed with this object, by the signal that ends the program (see
// remove_unfinished_files_on_signals()), or, after a crash, by the next UnfinishedFile of the same target, unless it
// has got its final name before. Its mode is that of the file that it is to replace.
class UnfinishedFile {
 public:
  // Throws Error, which names `target`.
  explicit UnfinishedFile(const std::filesystem::path& target);
  ~UnfinishedFile();
  UnfinishedFile(const UnfinishedFile&) = delete;
  UnfinishedFile& operator=(const UnfinishedFile&) = delete;
  UnfinishedFile(UnfinishedFile&&) = delete;
  UnfinishedFile& operator=(UnfinishedFile&&) = delete;

  const std::filesystem::path& path() const { return path_; }
  int descriptor() const { return descriptor_; }
  // Gives it the name of the target. Throws Error where that fails.
  void rename();

 private:
  UnfinishedFile() = default;
  bool create();

  std::filesystem::path target_;
  std::filesystem::path path_;
  bool exists_ = false;
  int descriptor_ = -1;
  int slot_ = -1;  // of those that a signal removes; -1 for none
};

// From now on signals that end the program do so after its unfinished files are removed, and a file that outgrows what
// is allowed is an error like others.
void remove_unfinished_files_on_signals();

// While it lives, a signal that ends the program says so much on standard error before; one at a time.
class Farewell {
 public:
  explicit Farewell(std::string_view text);  // up to 4,096 bytes
  ~Farewell();
  Farewell(const Farewell&) = delete;
  Farewell& operator=(const Farewell&) = delete;
  Farewell(Farewell&&) = delete;
  Farewell& operator=(Farewell&&) = delete;
};

// Removes the program's unfinished files; a signal handler may call it.
void remove_unfinished_files() noexcept;

// A path that files of one place have in common: absolute, behind links as far as it exists. The path as it is where
// that cannot be told.
std::filesystem::path place_of(const std::filesystem::path& path);

// Throws Error for a path that is there, but is no regular file.
void require_regular_file(const std::filesystem::path& path);

// Throws Error where two outputs of a run are one place, and where one is a file that the run reads, whatever name
// leads there. Empty paths stand for none; a pipe or a device may be several.
void check_outputs(const std::vector<std::filesystem::path>& outputs, const std::vector<std::filesystem::path>& inputs);

// A name for what belongs to a file, in its folder: its own with `suffix`, shortened where it would be too long.
std::filesystem::path name_beside(const std::filesystem::path& path, std::string_view suffix,
                                  std::string_view prefix = "");

// Writes to a file descriptor.
class DescriptorBuffer : public std::streambuf {
 public:
  explicit DescriptorBuffer(int descriptor);
  // errno of the first write that failed, 0 for none.
  int error() const { return error_; }

 protected:
  int_type overflow(int_type c) override;
  std::streamsize xsputn(const char* text, std::streamsize size) override;
  int sync() override;

 private:
  bool write_out(const char* text, std::size_t size);

  int descriptor_;
  int error_ = 0;
  std::array<char, std::size_t{1} << 16> buffer_;
};

// A file that is being written. Without a commit() the destructor leaves what was there before. What is no regular
// file, such as a pipe or a device, is written to directly. Every error is an Error that names the file.
class AtomicFile {
 public:
  explicit AtomicFile(const std::filesystem::path& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  AtomicFile(AtomicFile&&) = delete;
  AtomicFile& operator=(AtomicFile&&) = delete;

  std::ostream& stream() { return *stream_; }
  // All of it is in the file system, under its name for the time being.
  void finish();
  // The same, and puts the file into its place.
  void commit();

 private:
  std::filesystem::path path_;  // as the user named it
  std::optional<UnfinishedFile> temporary_;
  int device_ = -1;  // where it is no regular file
  std::optional<DescriptorBuffer> buffer_;
  std::optional<std::ostream> stream_;
};

// Files that get their places together, once all of them are written.
class FileSet {
 public:
  AtomicFile& add(const std::filesystem::path& path);
  void commit();

 private:
  std::deque<AtomicFile> files_;
};

// Writes all of a file.
void write_file(const std::filesystem::path& path, std::string_view content);

// Makes a folder for output, and its parents, unless it is there.
void create_directories(const std::filesystem::path& path);

// Makes the folder of a file that is to be written, likewise.
void create_folder_of(const std::filesystem::path& file);

}  // namespace mlsim::base
