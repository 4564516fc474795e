// Times of work that takes turns.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <ctime>
#include <functional>
#include <vector>

namespace mlsim::bench {

// Wall-clock time.
template <typename Action>
double seconds_of(const Action& action) {
  const auto begin = std::chrono::steady_clock::now();
  action();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// The calling thread's own time: others may run beside it.
template <typename Action>
double thread_seconds_of(const Action& action) {
  const auto now = [] {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
  };
  const double begin = now();
  action();
  return now() - begin;
}

inline double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

// Median seconds of each action on this thread, all of them in turn, so that a change of the machine's speed meets all.
// A measurement repeats a short action until it takes some milliseconds.
inline std::vector<double> medians_in_turn(int rounds, const std::vector<std::function<void()>>& actions) {
  constexpr double kShortest = 3e-3;
  std::vector<int> repetitions;
  for (const std::function<void()>& action : actions) {
    action();
    const double once = std::max(thread_seconds_of(action), 1e-7);
    repetitions.push_back(static_cast<int>(std::ceil(kShortest / once)));
  }
  std::vector<std::vector<double>> times(actions.size());
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < actions.size(); ++i) {
      actions[i]();  // its memory is at hand
      const double time = thread_seconds_of([&] {
        for (int r = 0; r < repetitions[i]; ++r) actions[i]();
      });
      times[i].push_back(time / repetitions[i]);
    }
  }
  std::vector<double> medians;
  medians.reserve(times.size());
  for (const std::vector<double>& all : times) medians.push_back(median(all));
  return medians;
}

}  // namespace mlsim::bench
