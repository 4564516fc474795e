#include "evaluation/cluster_sweep.h"

#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <deque>
#include <exception>
#include <map>
#include <mutex>
#include <new>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/json.h"

namespace mlsim::evaluation {
namespace {

using Json = nlohmann::ordered_json;
using Message = base::Ranks::Message;

enum Tag : int {
  // To rank 0:
  kReady = 1,  // threads, and the identity of the sweep
  kProblem,    // a sentence, in place of kReady
  kRows,       // points and their rows
  kFailure,    // a sentence
  kGone,       // runs nothing more
  // From rank 0:
  kPoints,  // one or more
  kFinish,  // runs what it has been given, and nothing more
  kStop,    // begins nothing more
  kEnd,     // all have said all
};

std::string bytes_of(const std::vector<std::uint64_t>& numbers) {
  std::string text(numbers.size() * sizeof numbers[0], '\0');
  std::memcpy(text.data(), numbers.data(), text.size());
  return text;
}

std::uint64_t number_at(const std::string& text, std::size_t index) {
  std::uint64_t number = 0;
  std::memcpy(&number, text.data() + index * sizeof number, sizeof number);
  return number;
}

std::string after_number(const std::string& text) {
  return text.substr(sizeof(std::uint64_t));
}

// Points and texts of rows, one after another.
void append_row(std::string& text, std::size_t point, const std::string& row) {
  text += bytes_of({point, row.size()}) + row;
}

template <typename Use>
void for_each_row(const std::string& text, const Use& use) {
  constexpr std::size_t kHead = 2 * sizeof(std::uint64_t);
  for (std::size_t at = 0; at < text.size();) {
    const std::string head = text.substr(at, kHead);
    const auto size = static_cast<std::size_t>(number_at(head, 1));
    use(static_cast<std::size_t>(number_at(head, 0)), std::string_view(text).substr(at + kHead, size));
    at += kHead + size;
  }
}

// How long to sleep before one looks again for messages, which MPI itself would spin for: the longer, the longer
// nothing has come.
class Pause {
 public:
  explicit Pause(std::chrono::microseconds longest) : longest_(longest) {}
  void restart() { next_ = kShortest; }
  std::chrono::microseconds next() { return std::exchange(next_, std::min(2 * next_, longest_)); }

 private:
  static constexpr std::chrono::microseconds kShortest{20};
  std::chrono::microseconds longest_;
  std::chrono::microseconds next_ = kShortest;
};
constexpr std::chrono::microseconds kLongestOfLeader{500};
constexpr std::chrono::microseconds kLongestOfFollower{2000};

// A sentence for what is being handled.
std::string sentence_of_failure() {
  try {
    throw;
  } catch (const std::bad_alloc&) {
    return "more memory is needed than there is";
  } catch (const std::exception& error) {
    return error.what();
  }
}

}  // namespace

SweepLeader::SweepLeader(base::Ranks& ranks) : ranks_(ranks), threads_(static_cast<std::size_t>(ranks.size()), 1) {
  for (int rank = 1; rank < ranks.size(); ++rank) here_.insert(rank);
}

SweepLeader::~SweepLeader() {
  dismiss();
}

void SweepLeader::refuse(int rank, const std::string& reason) const {
  throw std::runtime_error(fmt::format("rank {} of {}: {}", rank, ranks_.size(), reason));
}

Message SweepLeader::wait() {
  Pause pause(kLongestOfLeader);
  while (true) {
    if (std::optional<Message> message = ranks_.receive()) return std::move(*message);
    std::this_thread::sleep_for(pause.next());
  }
}

void SweepLeader::gather(const std::string& identity) {
  std::map<int, std::string> problems;
  for (std::size_t ready = 1; ready < threads_.size(); ++ready) {
    const Message message = wait();
    if (message.tag == kProblem) {
      problems[message.rank] = message.text;
    } else if (after_number(message.text) != identity) {
      problems[message.rank] =
          "sees another workload, table, array or program than rank 0, expected the same files everywhere";
    } else {
      threads_[static_cast<std::size_t>(message.rank)] = static_cast<std::size_t>(number_at(message.text, 0));
    }
  }
  if (!problems.empty()) refuse(problems.begin()->first, problems.begin()->second);
}

void SweepLeader::handle_end(const Message& message) {
  if (message.tag == kGone) here_.erase(message.rank);
}

void SweepLeader::dismiss() {
  for (const int rank : here_) ranks_.send(rank, kStop, "");
  while (!here_.empty()) handle_end(wait());
  for (int rank = 1; rank < ranks_.size() && !ended_; ++rank) ranks_.send(rank, kEnd, "");
  ended_ = true;
}

// What is handed out to whom, and what comes back.
class SweepLeader::Run {
 public:
  Run(SweepLeader& leader, PointDispenser& dispenser, const DonePoint& take)
      : leader_(leader), dispenser_(dispenser), take_(take), given_(leader.threads_.size(), 0) {
    for (const std::size_t threads : leader.threads_) all_threads_ += threads;
  }

  void run(const PointRunner& runner) {
    std::thread own([&] { run_here(runner); });
    Pause pause(kLongestOfLeader);
    while (true) {
      give_to_all();
      bool came = false;
      while (std::optional<Message> message = leader_.ranks_.receive()) {
        came = true;
        handle(*message);
      }
      if (came) pause.restart();
      std::unique_lock lock(mutex_);
      if (own_ended_ && leader_.here_.empty()) break;
      if (!came) wake_.wait_for(lock, pause.next());
    }
    own.join();
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  void run_here(const PointRunner& runner) {
    try {
      runner([&] { return dispenser_.next(0); },
             [&](std::size_t point, const Json& row) {
               {
                 const std::lock_guard lock(mutex_);
                 take_(point, row);
               }
               dispenser_.done(0, point);
             });
    } catch (...) {
      fail();
    }
    const std::lock_guard lock(mutex_);
    own_ended_ = true;
    wake_.notify_one();
  }

  // What is being handled ends the sweep.
  void fail() {
    const std::lock_guard lock(mutex_);
    if (!failure_) failure_ = std::current_exception();
    is_failed_ = true;  // first: give() takes a dispenser without points for one that is through
    dispenser_.stop();
  }

  // Points that a rank has beside those that it runs, so that none waits for a message: fewer towards the end, when
  // others could run them.
  std::size_t ahead() const {
    constexpr std::size_t kMost = 64;
    return std::min(kMost, dispenser_.left() / (4 * all_threads_));
  }

  void give_to_all() {
    for (const int rank : leader_.here_) give(rank);
  }

  void give(int rank) {
    if (stopped_.contains(rank)) return;
    const auto index = static_cast<std::size_t>(rank);
    std::vector<std::uint64_t> points;
    const std::size_t threads = leader_.threads_[index];
    const std::size_t more = ahead();
    // Many at a time where there are many.
    const bool has_enough = given_[index] > threads + more / 2;
    while (!has_enough && given_[index] + points.size() < threads + more) {
      const std::optional<std::size_t> point = dispenser_.next(index);
      if (!point) break;
      points.push_back(*point);
    }
    given_[index] += points.size();
    if (!points.empty()) leader_.ranks_.send(rank, kPoints, bytes_of(points));
    if (dispenser_.left() > 0) return;
    stopped_.insert(rank);
    leader_.ranks_.send(rank, is_failed_ ? kStop : kFinish, "");
  }

  void handle(const Message& message) {
    const auto index = static_cast<std::size_t>(message.rank);
    if (message.tag == kRows) {
      for_each_row(message.text, [&](std::size_t point, std::string_view row) {
        --given_[index];
        dispenser_.done(index, point);
        take(point, row);
      });
    } else if (message.tag == kFailure) {
      try {
        leader_.refuse(message.rank, message.text);
      } catch (const std::runtime_error&) {
        fail();
      }
    } else {
      leader_.handle_end(message);
    }
  }

  void take(std::size_t point, std::string_view text) {
    if (take_failed_) return;
    try {
      const Json row = base::parse_ordered_json(text, "row");
      const std::lock_guard lock(mutex_);
      take_(point, row);
    } catch (const std::exception&) {
      take_failed_ = true;
      fail();
    }
  }

  SweepLeader& leader_;
  PointDispenser& dispenser_;
  const DonePoint& take_;
  std::vector<std::size_t> given_;  // points that a rank has not finished
  std::set<int> stopped_;           // ranks that have been told to begin nothing more, or nothing more than they have
  std::size_t all_threads_ = 0;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::exception_ptr failure_;
  std::atomic<bool> is_failed_ = false;
  bool own_ended_ = false;
  bool take_failed_ = false;
};

void SweepLeader::run(PointDispenser& dispenser, const PointRunner& runner, const DonePoint& take) {
  try {
    Run(*this, dispenser, take).run(runner);
  } catch (...) {
    dismiss();
    throw;
  }
  dismiss();
}

namespace {

// Points that a follower has been given, and rows that it has to send.
class Exchange {
 public:
  // Waits for a point.
  std::optional<std::size_t> next() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !points_.empty() || is_closed_; });
    if (points_.empty()) return std::nullopt;
    const std::size_t point = points_.front();
    points_.pop_front();
    return point;
  }
  void add(std::size_t point, const std::string& row) {
    const std::lock_guard lock(mutex_);
    append_row(rows_, point, row);
    changed_.notify_all();
  }
  void give(const std::string& points) {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < points.size() / sizeof(std::uint64_t); ++i) {
      points_.push_back(static_cast<std::size_t>(number_at(points, i)));
    }
    changed_.notify_all();
  }
  // Nothing more comes; what has not begun is given up where that is said.
  void close(bool give_up) {
    const std::lock_guard lock(mutex_);
    if (give_up) points_.clear();
    is_closed_ = true;
    changed_.notify_all();
  }
  void end() {
    const std::lock_guard lock(mutex_);
    has_ended_ = true;
    changed_.notify_all();
  }

  // Rows to send, after a while at the most; whether more may come.
  bool wait_for(std::chrono::microseconds pause, std::string& rows) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, pause, [&] { return !rows_.empty() || has_ended_; });
    rows = std::exchange(rows_, {});
    return !has_ended_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::size_t> points_;
  std::string rows_;
  bool is_closed_ = false;
  bool has_ended_ = false;
};

// Runs in a thread of its own, beside the one that sends and receives.
std::string run_points_of(Exchange& exchange, const PointRunner& runner) {
  std::string failure;
  try {
    runner([&] { return exchange.next(); },
           [&](std::size_t point, const Json& row) { exchange.add(point, base::to_text(row)); });
  } catch (...) {
    failure = sentence_of_failure();
  }
  exchange.end();
  return failure;
}

}  // namespace

void SweepFollower::report_ready(std::size_t threads, const std::string& identity) {
  ranks_.send(0, kReady, bytes_of({threads}) + identity);
}

void SweepFollower::report_problem() {
  ranks_.send(0, kProblem, sentence_of_failure());
}

void SweepFollower::run(const PointRunner& runner) {
  Exchange exchange;
  std::string failure;
  std::thread own([&] {
    if (runner) {
      failure = run_points_of(exchange, runner);
    } else {
      while (exchange.next()) continue;
      exchange.end();
    }
  });
  Pause pause(kLongestOfFollower);
  bool is_over = false;
  bool runs = true;
  std::string rows;
  while (!is_over) {
    while (const std::optional<Message> message = ranks_.receive()) {
      pause.restart();
      if (message->tag == kPoints) exchange.give(message->text);
      if (message->tag == kFinish || message->tag == kStop) exchange.close(message->tag == kStop);
      is_over = message->tag == kEnd;
    }
    if (!runs) {
      if (!is_over) std::this_thread::sleep_for(pause.next());
      continue;
    }
    runs = exchange.wait_for(pause.next(), rows);
    if (!rows.empty()) {
      ranks_.send(0, kRows, rows);
      pause.restart();
    }
    if (runs) continue;
    own.join();
    if (!failure.empty()) ranks_.send(0, kFailure, failure);
    ranks_.send(0, kGone, "");
  }
}

}  // namespace mlsim::evaluation
