// Files that appear whole or not at all: written beside their place, then renamed.
#pragma once

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <ostream>
#include <string_view>

namespace mlsim::workloads {

// A file that is being written. Without a commit() the destructor leaves what was there before. What is no regular
// file, such as a pipe or a device, is written to directly. Every error is a std::runtime_error that names the file.
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
  std::filesystem::path path_;       // as the user named it
  std::filesystem::path target_;     // behind symbolic links
  std::filesystem::path temporary_;  // empty once nothing is left to remove
  std::size_t slot_;                 // where the temporary file's name is known to the handler of interrupts
  std::ofstream stream_;
};

// Where SIGINT, SIGTERM or SIGHUP would end the process, it first removes what AtomicFiles, 64 of them at most, have
// written so far. For programs without handlers of their own, to be called once.
void remove_unfinished_files_on_interrupt();

// Writes all of a file.
void write_file(const std::filesystem::path& path, std::string_view content);

// Makes a folder for output, and its parents, unless it is there.
void create_directories(const std::filesystem::path& path);

}  // namespace mlsim::workloads
