// Files that appear whole or not at all: written beside their place, then renamed.
#pragma once

#include <filesystem>
#include <fstream>
#include <optional>
#include <ostream>
#include <string_view>

namespace mlsim::workloads {

// A file under a name for the time being. It is removed with this object, or by the signal that ends the program (see
// remove_unfinished_files_on_signals()), unless it has got its final name before.
class UnfinishedFile {
 public:
  explicit UnfinishedFile(std::filesystem::path path);
  ~UnfinishedFile();
  UnfinishedFile(const UnfinishedFile&) = delete;
  UnfinishedFile& operator=(const UnfinishedFile&) = delete;
  UnfinishedFile(UnfinishedFile&&) = delete;
  UnfinishedFile& operator=(UnfinishedFile&&) = delete;

  const std::filesystem::path& path() const { return path_; }
  // Throws std::runtime_error, which names `target`, where that fails.
  void rename_to(const std::filesystem::path& target);

 private:
  std::filesystem::path path_;
  int slot_;  // of those that a signal removes; -1 for none
};

// From now on SIGHUP, SIGINT and SIGTERM end the program as they would, but remove its unfinished files first.
void remove_unfinished_files_on_signals();

// A path that files of one place have in common: absolute, behind links as far as it exists. The path as it is where
// that cannot be told.
std::filesystem::path place_of(const std::filesystem::path& path);

// Notes a file that the program reads: what is written below refuses to replace it, whatever name leads there. Threads
// may call it.
void protect_input(const std::filesystem::path& path);

// The user has asked for this input to be written anew.
void allow_replacing(const std::filesystem::path& path);

// Throws std::runtime_error for a path that is there, but is no regular file, and for an input.
void require_regular_file(const std::filesystem::path& path);

// A file that is being written. Without a commit() the destructor leaves what was there before. What is no regular
// file, such as a pipe or a device, is written to directly; an input is refused. Every error is a std::runtime_error
// that names the file.
class AtomicFile {
 public:
  explicit AtomicFile(const std::filesystem::path& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  AtomicFile(AtomicFile&&) = delete;
  AtomicFile& operator=(AtomicFile&&) = delete;

  std::ostream& stream() { return stream_; }
  // Closes the file and puts it into its place.
  void commit();

 private:
  std::filesystem::path path_;    // as the user named it
  std::filesystem::path target_;  // behind symbolic links
  std::optional<UnfinishedFile> temporary_;
  std::ofstream stream_;
};

// Writes all of a file.
void write_file(const std::filesystem::path& path, std::string_view content);

// Makes a folder for output, and its parents, unless it is there.
void create_directories(const std::filesystem::path& path);

}  // namespace mlsim::workloads
