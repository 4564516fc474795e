#include "workloads/atomic_file.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
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
  return std::error_code(error, std::generic_category()).message();
}

// Names of unfinished files, where a signal handler may read them.
struct Slot {
  enum State : int { kFree, kTaken, kNamed };
  std::atomic<int> state = kFree;
  std::array<char, PATH_MAX> name{};
};
std::array<Slot, 64> slots;
static_assert(std::atomic<int>::is_always_lock_free);
constexpr std::size_t kNoSlot = std::tuple_size_v<decltype(slots)>;

std::size_t take_slot(const std::string& name) {
  for (std::size_t i = 0; i < slots.size() && name.size() < PATH_MAX; ++i) {
    int expected = Slot::kFree;
    if (!slots[i].state.compare_exchange_strong(expected, Slot::kTaken)) continue;
    std::copy_n(name.c_str(), name.size() + 1, slots[i].name.begin());
    slots[i].state = Slot::kNamed;
    return i;
  }
  return kNoSlot;
}

void free_slot(std::size_t& slot) {
  if (slot != kNoSlot) slots[slot].state = Slot::kFree;
  slot = kNoSlot;
}

// The signal, whose default is in place again, ends the process when this returns.
extern "C" void remove_unfinished_files(int signal) {
  for (const Slot& slot : slots) {
    if (slot.state == Slot::kNamed) unlink(slot.name.data());
  }
  raise(signal);
}

}  // namespace

void remove_unfinished_files_on_interrupt() {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action {};
    if (sigaction(signal, nullptr, &action) != 0 || action.sa_handler == SIG_IGN) continue;
    action.sa_handler = remove_unfinished_files;
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    sigaction(signal, &action, nullptr);
  }
}

AtomicFile::AtomicFile(const fs::path& path) : path_(path), target_(path), slot_(kNoSlot) {
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
  slot_ = take_slot(temporary_);
  stream_.open(temporary_, std::ios::binary | std::ios::trunc);
  if (!stream_) {
    const int cause = errno;
    free_slot(slot_);
    temporary_.clear();
    refuse(path, reason_of(cause));
  }
}

AtomicFile::~AtomicFile() {
  if (temporary_.empty()) return;
  stream_.close();
  std::error_code ignored;
  fs::remove(temporary_, ignored);
  free_slot(slot_);
}

void AtomicFile::commit() {
  errno = 0;
  stream_.close();
  if (!stream_) refuse(path_, errno == 0 ? "the write failed" : reason_of(errno));
  if (temporary_.empty()) return;
  std::error_code error;
  fs::rename(temporary_, target_, error);
  if (error) refuse(path_, error.message());
  temporary_.clear();
  free_slot(slot_);
}

void write_file(const fs::path& path, std::string_view content) {
  AtomicFile file(path);
  file.stream().write(content.data(), static_cast<std::streamsize>(content.size()));
  file.commit();
}

void create_directories(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (!error && !fs::is_directory(path, error)) error = std::make_error_code(std::errc::not_a_directory);
  if (error) throw std::runtime_error(path.string() + ": cannot be made a folder: " + error.message());
}

}  // namespace mlsim::workloads
