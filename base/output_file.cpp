#include "base/output_file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <ctime>
#include <map>
#include <set>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/hash.h"
#include "base/terminal.h"

namespace mlsim::base {
namespace fs = std::filesystem;
namespace {

[[noreturn]] void refuse_writing(const fs::path& path, const std::string& reason) {
  refuse(path.string(), "", "cannot be written: " + reason);
}

// Files of one target that are written at the same time.
constexpr int kWriters = 16;

// The name of a file on its way to `target`, hidden.
fs::path unfinished_name(const fs::path& target, int writer) {
  return name_beside(target, fmt::format(".mlsim-{}.part", writer), ".");
}

// What a path leads to, whether or not it is there.
fs::path behind_links(const fs::path& path) {
  constexpr int kMost = 40;  // as the system has it
  fs::path target = path;
  std::error_code problem;
  for (int links = 0; fs::is_symlink(fs::symlink_status(target, problem)); ++links) {
    if (links == kMost) refuse_writing(path, reason_of(ELOOP));
    const fs::path next = fs::read_symlink(target, problem);
    if (problem) refuse_writing(path, problem.message());
    target = next.is_absolute() ? next : target.parent_path() / next;
  }
  return target;
}

// Removes a file that a program of this user has left behind: one that is alive holds a lock.
void remove_if_left_behind(const fs::path& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (descriptor < 0) return;
  struct stat status {};
  if (fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == geteuid() &&
      status.st_nlink == 1 && flock(descriptor, LOCK_EX | LOCK_NB) == 0) {
    unlink(path.c_str());
  }
  close(descriptor);
}

// Gives a file the mode of the one that it is to replace, and its owner as far as that is allowed.
void take_over_mode(int descriptor, const struct stat& old) {
  // Without the right to give files away it becomes one's own, as with any program that replaces it.
  [[maybe_unused]] const int given = fchown(descriptor, old.st_uid, old.st_gid);
  fchmod(descriptor, old.st_mode & 0777);
}

// Signals wait while this lives.
class SignalBlock {
 public:
  SignalBlock() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old_);
  }
  ~SignalBlock() { pthread_sigmask(SIG_SETMASK, &old_, nullptr); }
  SignalBlock(const SignalBlock&) = delete;
  SignalBlock& operator=(const SignalBlock&) = delete;
  SignalBlock(SignalBlock&&) = delete;
  SignalBlock& operator=(SignalBlock&&) = delete;

 private:
  sigset_t old_{};
};

// Paths as a signal handler may read them: no memory is allocated, none moves.
struct Slot {
  enum State : int { kFree, kBusy, kCreating, kUsed };
  std::atomic<int> state = kFree;
  std::array<char, PATH_MAX> path{};
};
std::array<Slot, 64> slots;
std::atomic<bool> ending = false;
// What is said before the end, as a signal handler may read it.
std::array<char, 4096> farewell_text;
std::atomic<std::size_t> farewell_size = 0;
static_assert(std::atomic<std::size_t>::is_always_lock_free);
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

// -1 where there is no place for it.
int take_slot(const fs::path& path) {
  if (path.native().size() >= PATH_MAX) return -1;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    int free = Slot::kFree;
    if (!slots[i].state.compare_exchange_strong(free, Slot::kBusy)) continue;
    std::copy_n(path.c_str(), path.native().size() + 1, slots[i].path.begin());
    slots[i].state = Slot::kCreating;
    return static_cast<int>(i);
  }
  return -1;
}

void set_slot(int slot, Slot::State state) {
  if (slot >= 0) slots[static_cast<std::size_t>(slot)].state = state;
}

// A file whatever its name: device and number.
using FileId = std::pair<dev_t, ino_t>;

std::optional<FileId> id_of(const fs::path& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  return FileId{status.st_dev, status.st_ino};
}

// Waits for a file that another thread is creating; the thread that runs a handler creates none.
void wait_for(const std::atomic<int>& state) {
  for (int i = 0; i < 1000 && state == Slot::kCreating; ++i) {
    const timespec pause{0, 1'000'000};
    nanosleep(&pause, nullptr);
  }
}

extern "C" void remove_and_end(int signal) {
  remove_unfinished_files();
  if (signal != SIGPIPE) print_error({farewell_text.data(), farewell_size});
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

}  // namespace

// Delegates, so that the destructor takes back what was begun before an exception.
UnfinishedFile::UnfinishedFile(const fs::path& target) : UnfinishedFile() {
  target_ = behind_links(target);
  std::error_code problem;
  const fs::path folder = target_.has_parent_path() ? target_.parent_path() : fs::path(".");
  if (!fs::is_directory(folder, problem)) refuse_writing(target, "there is no folder " + folder.string());

  for (int writer = 0; writer < kWriters; ++writer) {
    fs::path path = unfinished_name(target_, writer);
    remove_if_left_behind(path);
    if (exists_) continue;
    path_ = std::move(path);
    if (!create() && errno != EEXIST && errno != EWOULDBLOCK) refuse_writing(target, reason_of(errno));
  }
  if (!exists_) refuse_writing(target, "too many programs are writing it at this moment");
}

// False, with errno, where it cannot be made or is another's.
bool UnfinishedFile::create() {
  const SignalBlock block;
  struct stat old {};
  const bool replaces = stat(target_.c_str(), &old) == 0;
  slot_ = take_slot(path_);
  while (ending) {
    set_slot(slot_, Slot::kFree);
    pause();
  }
  descriptor_ = open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, replaces ? 0600 : 0666);
  int error = errno;
  if (descriptor_ >= 0) {
    // One that cleans up may have had a hand on it before the lock; where there are no locks nobody cleans up.
    struct stat status {};
    const bool locked = flock(descriptor_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
    const bool known = fstat(descriptor_, &status) == 0;
    error = known ? EWOULDBLOCK : errno;
    if (locked && known && status.st_nlink == 1) {
      set_slot(slot_, Slot::kUsed);
      exists_ = true;
      if (replaces) take_over_mode(descriptor_, old);
      return true;
    }
    if (locked && !known) unlink(path_.c_str());
    close(std::exchange(descriptor_, -1));
  }
  set_slot(std::exchange(slot_, -1), Slot::kFree);
  errno = error;
  return false;
}

UnfinishedFile::~UnfinishedFile() {
  if (exists_) unlink(path_.c_str());
  if (descriptor_ >= 0) close(descriptor_);
  set_slot(slot_, Slot::kFree);
}

void UnfinishedFile::rename() {
  if (::rename(path_.c_str(), target_.c_str()) != 0) {
    const int error = errno;
    // A signal that is ending the program has removed it.
    while (ending) pause();
    refuse_writing(target_, reason_of(error));
  }
  exists_ = false;
}

void remove_unfinished_files() noexcept {
  ending = true;
  for (const Slot& slot : slots) {
    wait_for(slot.state);
    if (slot.state == Slot::kUsed) unlink(slot.path.data());
  }
}

Farewell::Farewell(std::string_view text) {
  const std::size_t size = std::min(text.size(), farewell_text.size());
  std::copy_n(text.begin(), size, farewell_text.begin());
  farewell_size = size;
}

Farewell::~Farewell() {
  farewell_size = 0;
}

void remove_unfinished_files_on_signals() {
  for (const int signal : {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGXCPU}) {
    // What the program was told to ignore, as by nohup, stays ignored.
    if (std::signal(signal, remove_and_end) == SIG_IGN) std::signal(signal, SIG_IGN);
  }
  std::signal(SIGXFSZ, SIG_IGN);
}

fs::path place_of(const fs::path& path) {
  std::error_code problem;
  const fs::path place = fs::weakly_canonical(fs::absolute(path, problem), problem);
  return problem ? path : place;
}

void require_regular_file(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (fs::is_directory(status)) refuse_writing(path, "it is a folder");
  if (fs::exists(status) && !fs::is_regular_file(status)) refuse_writing(path, "it is no regular file");
}

void check_outputs(const std::vector<fs::path>& outputs, const std::vector<fs::path>& inputs) {
  std::set<FileId> read;
  for (const fs::path& input : inputs) {
    if (const std::optional<FileId> id = id_of(input)) read.insert(*id);
  }
  std::map<fs::path, fs::path> places;
  for (const fs::path& output : outputs) {
    std::error_code error;
    const fs::file_status status = fs::status(output, error);
    if (output.empty() || (fs::exists(status) && !fs::is_regular_file(status))) continue;
    const auto [other, is_new] = places.emplace(place_of(output), output);
    if (!is_new) {
      refuse(other->second.string() + " and " + output.string(), "", "are one file, expected another for each output");
    }
    const std::optional<FileId> id = id_of(output);
    if (id && read.contains(*id)) refuse_writing(output, "it is an input, expected another file");
  }
}

fs::path name_beside(const fs::path& path, std::string_view suffix, std::string_view prefix) {
  constexpr std::size_t kLongest = 180;
  std::string name = path.filename().string();
  if (name.size() > kLongest) name = name.substr(0, kLongest) + fmt::format("-{:016x}", Hash().add(name).value());
  return path.parent_path() / fmt::format("{}{}{}", prefix, name, suffix);
}

DescriptorBuffer::DescriptorBuffer(int descriptor) : descriptor_(descriptor) {
  setp(buffer_.data(), buffer_.data() + buffer_.size());
}

bool DescriptorBuffer::write_out(const char* text, std::size_t size) {
  while (size > 0 && error_ == 0) {
    const ssize_t count = write(descriptor_, text, size);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      error_ = count < 0 ? errno : EIO;
      break;
    }
    text += count;
    size -= static_cast<std::size_t>(count);
  }
  return error_ == 0;
}

DescriptorBuffer::int_type DescriptorBuffer::overflow(int_type c) {
  if (sync() != 0) return traits_type::eof();
  if (!traits_type::eq_int_type(c, traits_type::eof())) sputc(traits_type::to_char_type(c));
  return traits_type::not_eof(c);
}

std::streamsize DescriptorBuffer::xsputn(const char* text, std::streamsize size) {
  if (size < epptr() - pptr()) return std::streambuf::xsputn(text, size);
  return sync() == 0 && write_out(text, static_cast<std::size_t>(size)) ? size : 0;
}

int DescriptorBuffer::sync() {
  const bool done = write_out(pbase(), static_cast<std::size_t>(pptr() - pbase()));
  setp(buffer_.data(), buffer_.data() + buffer_.size());
  return done ? 0 : -1;
}

AtomicFile::AtomicFile(const fs::path& path) : path_(path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (fs::is_directory(status)) refuse_writing(path, "it is a folder");
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    device_ = open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (device_ < 0) refuse_writing(path, reason_of(errno));
  } else {
    temporary_.emplace(path);
  }
  buffer_.emplace(temporary_ ? temporary_->descriptor() : device_);
  stream_.emplace(&*buffer_);
}

AtomicFile::~AtomicFile() {
  if (device_ >= 0) close(device_);
}

void AtomicFile::finish() {
  stream_->flush();
  if (!*stream_ || buffer_->error() != 0) {
    refuse_writing(path_, buffer_->error() != 0 ? reason_of(buffer_->error()) : "the write failed");
  }
  // Some file systems tell of writes that failed when a descriptor is closed.
  const int copy = dup(temporary_ ? temporary_->descriptor() : device_);
  if (copy >= 0 && close(copy) != 0) refuse_writing(path_, reason_of(errno));
}

void AtomicFile::commit() {
  finish();
  if (!temporary_) return;
  temporary_->rename();
  temporary_.reset();
}

AtomicFile& FileSet::add(const fs::path& path) {
  return files_.emplace_back(path);
}

void FileSet::commit() {
  for (AtomicFile& file : files_) file.finish();
  for (AtomicFile& file : files_) file.commit();
  files_.clear();
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
  if (error) refuse(path.string(), "", "cannot be made a folder: " + error.message());
}

void create_folder_of(const fs::path& file) {
  if (file.has_parent_path()) base::create_directories(file.parent_path());
}

}  // namespace mlsim::base
