#include "workloads/atomic_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <mutex>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <system_error>
#include <tuple>
#include <utility>

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

// Paths as a signal handler may read them: no memory is allocated, none moves.
struct Slot {
  enum State : int { kFree, kBusy, kUsed };
  std::atomic<int> state = kFree;
  std::array<char, PATH_MAX> path{};
};
std::array<Slot, 64> slots;
static_assert(std::atomic<int>::is_always_lock_free);

// -1 where there is no place for it.
int take_slot(const fs::path& path) {
  if (path.native().size() >= PATH_MAX) return -1;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    int free = Slot::kFree;
    if (!slots[i].state.compare_exchange_strong(free, Slot::kBusy)) continue;
    std::copy_n(path.c_str(), path.native().size() + 1, slots[i].path.begin());
    slots[i].state = Slot::kUsed;
    return static_cast<int>(i);
  }
  return -1;
}

void free_slot(int slot) {
  if (slot >= 0) slots[static_cast<std::size_t>(slot)].state = Slot::kFree;
}

// A file whatever its name: device and number, which a later file may have again, and when it was written.
using FileId = std::tuple<dev_t, ino_t, time_t, long>;

std::optional<FileId> id_of(const fs::path& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  return FileId{status.st_dev, status.st_ino, status.st_mtim.tv_sec, status.st_mtim.tv_nsec};
}

std::mutex inputs_mutex;
std::set<FileId> inputs;

void refuse_input(const fs::path& path) {
  const std::optional<FileId> id = id_of(path);
  const std::lock_guard lock(inputs_mutex);
  if (id && inputs.count(*id) > 0) refuse(path, "it is an input, expected another file");
}

extern "C" void remove_and_end(int signal) {
  for (const Slot& slot : slots) {
    if (slot.state == Slot::kUsed) unlink(slot.path.data());
  }
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

}  // namespace

UnfinishedFile::UnfinishedFile(fs::path path) : path_(std::move(path)), slot_(take_slot(path_)) {}

UnfinishedFile::~UnfinishedFile() {
  if (!path_.empty()) {
    std::error_code ignored;
    fs::remove(path_, ignored);
  }
  free_slot(slot_);
}

void UnfinishedFile::rename_to(const fs::path& target) {
  std::error_code error;
  fs::rename(path_, target, error);
  if (error) refuse(target, error.message());
  path_.clear();
}

void remove_unfinished_files_on_signals() {
  for (const int signal : {SIGHUP, SIGINT, SIGTERM}) {
    // What the program was told to ignore, as by nohup, stays ignored.
    if (std::signal(signal, remove_and_end) == SIG_IGN) std::signal(signal, SIG_IGN);
  }
}

fs::path place_of(const fs::path& path) {
  std::error_code problem;
  const fs::path place = fs::weakly_canonical(fs::absolute(path, problem), problem);
  return problem ? path : place;
}

void protect_input(const fs::path& path) {
  if (const std::optional<FileId> id = id_of(path)) {
    const std::lock_guard lock(inputs_mutex);
    inputs.insert(*id);
  }
}

void allow_replacing(const fs::path& path) {
  if (const std::optional<FileId> id = id_of(path)) {
    const std::lock_guard lock(inputs_mutex);
    inputs.erase(*id);
  }
}

void require_regular_file(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (fs::is_directory(status)) refuse(path, "it is a folder");
  if (fs::exists(status) && !fs::is_regular_file(status)) refuse(path, "it is no regular file");
  refuse_input(path);
}

AtomicFile::AtomicFile(const fs::path& path) : path_(path), target_(path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (fs::is_directory(status)) refuse(path, "it is a folder");
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    stream_.open(path, std::ios::binary);
    if (!stream_) refuse(path, reason_of(errno));
    return;
  }
  refuse_input(path);
  if (fs::exists(status)) target_ = fs::canonical(path, error);
  const fs::path folder = target_.has_parent_path() ? target_.parent_path() : fs::path(".");
  if (!fs::is_directory(folder, error)) refuse(path, "there is no folder " + folder.string());

  static std::atomic<unsigned> serial = 0;
  fs::path temporary = target_;
  temporary += ".part-" + std::to_string(getpid()) + "-" + std::to_string(serial++);
  temporary_.emplace(std::move(temporary));
  stream_.open(temporary_->path(), std::ios::binary | std::ios::trunc);
  if (!stream_) refuse(path, reason_of(errno));
}

AtomicFile::~AtomicFile() = default;

void AtomicFile::commit() {
  errno = 0;
  stream_.close();
  if (!stream_) refuse(path_, reason_of(errno));
  if (!temporary_) return;
  temporary_->rename_to(target_);
  temporary_.reset();
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
