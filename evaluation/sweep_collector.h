// What is known of a sweep's finished points: their rows, the front so far, and what is to be said of them.
// Tested in tests/evaluation/sweep_shard_test.cpp.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "evaluation/pareto.h"
#include "evaluation/sweep_journal.h"

namespace mlsim::evaluation {

// Points with results that are infinite or NaN.
class NonFinitePoints {
 public:
  void add(std::size_t point, const nlohmann::ordered_json& row);
  // What to say of them: how many there are, and the first. Empty where none is.
  std::string remark() const;

 private:
  std::size_t count_ = 0;
  std::size_t first_ = 0;
  std::string format_of_first_;
};

// Rows are in the journal where there is one, else in memory as texts. Not for several threads at once.
class SweepCollector {
 public:
  // What the journal holds is taken up. Throws base::Error where it cannot be read.
  SweepCollector(std::size_t points, const std::vector<Objective>& front, SweepJournal* journal);

  bool has(std::size_t point) const;
  std::size_t finished() const { return finished_; }
  // A point that it lacks.
  void add(std::size_t point, const nlohmann::ordered_json& row);
  // Of a finished point, as files have it: with "pareto", whether it is on the front of those that are finished.
  nlohmann::ordered_json row(std::size_t point) const;
  const ParetoFront& front() const { return front_; }
  // NonFinitePoints::remark() of the finished points.
  std::string non_finite_remark() const { return non_finite_.remark(); }

 private:
  void take_up(std::size_t point, const nlohmann::ordered_json& row);

  SweepJournal* journal_;
  std::vector<std::string> texts_;  // by point, without a journal
  ParetoFront front_;
  std::size_t finished_ = 0;
  NonFinitePoints non_finite_;
};

}  // namespace mlsim::evaluation
