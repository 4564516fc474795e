// A sweep by several processes: rank 0 hands points out, takes their rows, and runs points too; the others run what
// they are given. They share nothing but messages.
#pragma once

#include <cstddef>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "base/ranks.h"
#include "evaluation/point_dispenser.h"
#include "evaluation/sweep.h"

namespace mlsim::evaluation {

// Runs what `next` gives, which may wait, until it gives nothing, and tells `done`, one call at a time.
using PointRunner = std::function<void(const NextPoint& next, const DonePoint& done)>;

// Rank 0. However it ends, all other ranks end, too.
class SweepLeader {
 public:
  explicit SweepLeader(base::Ranks& ranks);
  ~SweepLeader();
  SweepLeader(const SweepLeader&) = delete;
  SweepLeader& operator=(const SweepLeader&) = delete;
  SweepLeader(SweepLeader&&) = delete;
  SweepLeader& operator=(SweepLeader&&) = delete;

  // Waits until all other ranks are ready. Throws std::runtime_error, with the rank, for one that could not make ready,
  // and for one that sees another sweep than `identity`.
  void gather(const std::string& identity);

  // Runs all points of the dispenser, here and elsewhere; `take` gets their rows, one call at a time. Where a point
  // fails anywhere, or `take` does, nothing more is begun, rows of what has begun are taken still, and it is thrown: a
  // failure elsewhere as std::runtime_error with its rank. All other ranks have ended afterwards.
  void run(PointDispenser& dispenser, const PointRunner& runner, const DonePoint& take);

 private:
  class Run;
  base::Ranks::Message wait();
  void handle_end(const base::Ranks::Message& message);
  // Lets all ranks end that have not been let.
  void dismiss();
  [[noreturn]] void refuse(int rank, const std::string& reason) const;

  base::Ranks& ranks_;
  std::set<int> here_;                // other ranks that run, or may
  std::vector<std::size_t> threads_;  // of each rank
  bool ended_ = false;
};

// Any other rank.
class SweepFollower {
 public:
  explicit SweepFollower(base::Ranks& ranks) : ranks_(ranks) {}

  // Tells rank 0 of this rank's threads and what sweep it sees.
  void report_ready(std::size_t threads, const std::string& identity);
  // Tells it why this rank could not make ready: the exception that is being handled.
  void report_problem();
  // Runs points until rank 0 says that it is over. What the runner throws goes to rank 0. Without a runner it waits for
  // the end alone.
  void run(const PointRunner& runner);

 private:
  base::Ranks& ranks_;
};

}  // namespace mlsim::evaluation
