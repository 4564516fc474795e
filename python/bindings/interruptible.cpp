#include "python/bindings/interruptible.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

#include "python/bindings/arguments.h"

namespace mlsim::python {
namespace {

class Interrupted : public std::exception {};

constexpr std::chrono::milliseconds kPatience{50};

// The work on a thread of its own: only the interpreter's main thread runs handlers of signals.
class Worker {
 public:
  Worker(std::optional<int> threads, const Work& work) : thread_([this, threads, &work] { run(threads, work); }) {}
  ~Worker() { thread_.join(); }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  Worker(Worker&&) = delete;
  Worker& operator=(Worker&&) = delete;

  bool wait() {
    std::unique_lock lock(mutex_);
    return ended_.wait_for(lock, kPatience, [&] { return has_ended_; });
  }
  void stop() { is_stopped_ = true; }
  // Once it has ended.
  std::string result() {
    if (error_) std::rethrow_exception(error_);
    return std::move(result_);
  }

 private:
  void run(std::optional<int> threads, const Work& work) {
    try {
      const auto progress = [this](const std::string&) {
        if (is_stopped_) throw Interrupted();
      };
      result_ = bounded(threads, [&] { return work(progress); });
    } catch (...) {
      error_ = std::current_exception();
    }
    const std::lock_guard lock(mutex_);
    has_ended_ = true;
    ended_.notify_one();
  }

  std::atomic<bool> is_stopped_ = false;
  std::mutex mutex_;
  std::condition_variable ended_;
  bool has_ended_ = false;
  std::string result_;
  std::exception_ptr error_;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace

std::string run_interruptibly(std::optional<int> threads, const Work& work) {
  Worker worker(threads, work);
  std::optional<py::error_already_set> raised;
  while (true) {
    const bool has_ended = [&] {
      const py::gil_scoped_release release;
      return worker.wait();
    }();
    if (!raised && PyErr_CheckSignals() != 0) {
      raised.emplace();
      worker.stop();
    }
    if (has_ended) break;
  }
  if (raised) throw py::error_already_set(*raised);
  return worker.result();
}

}  // namespace mlsim::python
