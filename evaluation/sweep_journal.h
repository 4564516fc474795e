// Rows of a sweep that survive a kill at any moment.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace mlsim::evaluation {

// A journal beside the output, a line with a checksum for each finished point. Two sweeps with the same output exclude
// each other. Of its rows the places alone are in memory.
class SweepJournal {
 public:
  // Opens OUTPUT.journal of a sweep of `points` points. What it holds is taken up again if it was written for the same
  // `identity`; else it is begun anew. Lines that are damaged or of no such point are dropped. Throws base::Error where
  // another sweep holds it or it cannot be written.
  SweepJournal(const std::filesystem::path& output, const std::string& identity, std::size_t points);
  ~SweepJournal();
  static std::filesystem::path file_of(const std::filesystem::path& output);
  SweepJournal(const SweepJournal&) = delete;
  SweepJournal& operator=(const SweepJournal&) = delete;
  SweepJournal(SweepJournal&&) = delete;
  SweepJournal& operator=(SweepJournal&&) = delete;

  // Whether the row of a point is there.
  bool has(std::size_t point) const;
  // Points whose rows are there.
  std::size_t finished() const;
  // The row of such a point. Throws base::Error where it cannot be read.
  nlohmann::ordered_json row(std::size_t point) const;
  // Lines that were dropped.
  std::size_t dropped() const;
  // Whether it held points of another sweep, which are gone.
  bool was_of_another() const;
  // Whether its folder, as some shared ones, has no locks, so that nothing excludes another sweep.
  bool is_unlocked() const;
  // Adds the row of a point that it lacks. Safe to call from several threads.
  void add(std::size_t point, const nlohmann::ordered_json& row);
  // The output is written: nothing is left to resume.
  void remove();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace mlsim::evaluation
