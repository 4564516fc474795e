#include "evaluation/sweep_journal.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/input_file.h"
#include "base/json.h"
#include "base/output_file.h"
#include "evaluation/sweep_lines.h"

namespace mlsim::evaluation {
namespace {

using Json = nlohmann::ordered_json;

[[noreturn]] void fail(const std::filesystem::path& path, const char* what) {
  base::refuse(path.string(), "", fmt::format("{}: {}", what, std::strerror(errno)));
}

void write_all(int file, const std::string& text, const std::filesystem::path& path) {
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t count = write(file, text.data() + done, text.size() - done);
    if (count < 0 && errno != EINTR) fail(path, "cannot be written");
    if (count > 0) done += static_cast<std::size_t>(count);
  }
}

std::string header_of(const std::string& identity) {
  return base::to_text(Json({{"sweep", identity}})) + "\n";
}

}  // namespace

struct SweepJournal::State {
  // A journal without a point is nothing to take up.
  ~State() {
    if (file < 0) return;
    if (is_empty) unlink(path.c_str());
    close(file);
  }

  // Opens the journal and locks it. A sweep that ends removes its journal while it holds the lock: a lock on a file
  // that is gone is worth nothing.
  void open_locked(const std::filesystem::path& output) {
    while (true) {
      base::require_regular_file(path);
      file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_APPEND | O_NOFOLLOW, 0666);
      if (file < 0) fail(path, "cannot be written");
      lock(output);
      struct stat held {};
      struct stat named {};
      if (fstat(file, &held) == 0 && stat(path.c_str(), &named) == 0 && held.st_ino == named.st_ino) return;
      close(std::exchange(file, -1));
    }
  }

  void lock(const std::filesystem::path& output) {
    while (flock(file, LOCK_EX | LOCK_NB) != 0) {
      if (errno == EINTR) continue;
      if (errno == EWOULDBLOCK) base::refuse(path.string(), "", "another sweep is writing " + output.string());
      if (errno != EOPNOTSUPP && errno != ENOSYS && errno != ENOLCK) fail(path, "cannot be locked");
      is_unlocked = true;
      return;
    }
  }

  // Takes up the whole lines of a journal; the bytes of it that are good.
  std::uint64_t take_up() {
    const std::string header = header_of(identity);
    // A kill may have cut the header off.
    constexpr std::string_view kBegin = "{\"sweep\":";
    base::InputFile input(path);
    std::string begin(header.size(), '\0');
    begin.resize(input.read(begin.data(), begin.size()));
    if (begin.substr(0, kBegin.size()) != kBegin.substr(0, begin.size())) {
      base::refuse(path.string(), "", "is no journal of a sweep, expected none or another --out");
    }
    bool has_points = false;
    const std::uint64_t lines = for_each_line(input, [&](std::string_view line, std::uint64_t offset) {
      has_points = has_points || line.starts_with("{\"point\":");
      if (begin == header) take_up(line, header.size() + offset);
    });
    if (begin == header) return header.size() + lines;
    was_of_another = has_points;
    return 0;
  }

  void take_up(std::string_view text, std::uint64_t offset) {
    const std::optional<PointLine> line = parse_line(text, identity, places.size());
    if (!line || places[line->point].length > 0) {
      ++dropped;
      return;
    }
    places[line->point] = {offset + line->row.offset, line->row.length};
    ++finished;
  }

  // Half a line, of a disk that is full, would have the next one glued to it.
  void append(const std::string& line) {
    try {
      write_all(file, line, path);
    } catch (const base::Error&) {
      if (ftruncate(file, static_cast<off_t>(size)) != 0) fail(path, "cannot be written");
      throw;
    }
    size += line.size();
  }

  // The system keeps what a killed process has written; of a machine that stops, half a second at the most is lost.
  void sync_now_and_then() {
    const auto now = std::chrono::steady_clock::now();
    if (now - synced < std::chrono::milliseconds(500)) return;
    if (fdatasync(file) != 0) fail(path, "cannot be written");
    synced = now;
  }

  std::string identity;
  std::filesystem::path path;
  int file = -1;
  mutable std::mutex mutex;
  std::vector<RowPlace> places;  // by point
  std::uint64_t size = 0;
  std::size_t finished = 0;
  std::size_t dropped = 0;
  bool is_empty = false;  // known to be a journal without a point
  bool was_of_another = false;
  bool is_unlocked = false;
  std::chrono::steady_clock::time_point synced;
};

SweepJournal::SweepJournal(const std::filesystem::path& output, const std::string& identity, std::size_t points)
    : state_(std::make_unique<State>()) {
  State& state = *state_;
  state.identity = identity;
  state.path = file_of(output);
  state.places.resize(points);
  state.open_locked(output);
  state.size = state.take_up();
  state.is_empty = state.finished == 0;
  if (ftruncate(state.file, static_cast<off_t>(state.size)) != 0) fail(state.path, "cannot be written");
  if (state.size > 0) return;
  state.append(header_of(identity));
}

SweepJournal::~SweepJournal() = default;

std::filesystem::path SweepJournal::file_of(const std::filesystem::path& output) {
  return base::name_beside(output, ".journal");
}

bool SweepJournal::has(std::size_t point) const {
  const std::lock_guard lock(state_->mutex);
  return state_->places[point].length > 0;
}

std::size_t SweepJournal::finished() const {
  const std::lock_guard lock(state_->mutex);
  return state_->finished;
}

Json SweepJournal::row(std::size_t point) const {
  RowPlace place;
  {
    const std::lock_guard lock(state_->mutex);
    place = state_->places[point];
  }
  return read_row(state_->file, place, state_->identity, point, state_->path.string());
}

std::size_t SweepJournal::dropped() const {
  return state_->dropped;
}

bool SweepJournal::was_of_another() const {
  return state_->was_of_another;
}

bool SweepJournal::is_unlocked() const {
  return state_->is_unlocked;
}

void SweepJournal::add(std::size_t point, const Json& row) {
  State& state = *state_;
  const std::string text = base::to_text(row);
  const std::string line = line_of(state.identity, point, text);
  const std::lock_guard lock(state.mutex);
  const RowPlace place{state.size + row_offset(point), static_cast<std::uint32_t>(text.size())};
  state.append(line);
  state.is_empty = false;
  state.places[point] = place;
  ++state.finished;
  state.sync_now_and_then();
}

void SweepJournal::remove() {
  std::filesystem::remove(state_->path);
  state_->is_empty = false;
}

}  // namespace mlsim::evaluation
