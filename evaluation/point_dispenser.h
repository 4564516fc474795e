// Which point of a sweep is run next, and by which process.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <vector>

namespace mlsim::evaluation {

// Hands points out as runners, processes of any number of threads, become free. Points of one family share work
// (SweepPoints::family()), so its first point runs before the others, and they go to who has run it; where nothing else
// is left, to anyone. Safe to call from several threads.
class PointDispenser {
 public:
  // `open` are points in order; those of a family follow one another.
  PointDispenser(std::vector<std::size_t> open, const std::function<std::size_t(std::size_t point)>& family_of);

  // Nothing where all are handed out.
  std::optional<std::size_t> next(std::size_t runner);
  // A runner has finished a point.
  void done(std::size_t runner, std::size_t point);
  // Points that are not handed out.
  std::size_t left();
  // Hands out nothing more.
  void stop();

 private:
  struct Family {
    std::size_t next = 0;  // place in open_ of what is handed out next
    std::size_t end = 0;
  };
  std::size_t take(std::size_t family);

  std::mutex mutex_;
  std::vector<std::size_t> open_;
  std::vector<Family> families_;
  std::size_t untouched_ = 0;                                // the first family of which nothing is handed out
  std::set<std::size_t> begun_;                              // families of which something is left
  std::map<std::size_t, std::deque<std::size_t>> prepared_;  // by runner, families that it has run points of
  std::size_t left_ = 0;
  bool stopped_ = false;
};

}  // namespace mlsim::evaluation
