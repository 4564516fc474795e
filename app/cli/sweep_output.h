// Where the rows of a command's sweep go: a journal while it runs, a line on the terminal, and at the end a file and a
// table.
// Tested in tests/app/sweep_test.cpp.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "app/cli/sweep_job.h"
#include "app/report/sweep_report.h"
#include "base/command_line.h"
#include "base/output_file.h"
#include "base/terminal.h"
#include "evaluation/sweep_collector.h"
#include "evaluation/sweep_journal.h"

namespace mlsim::app {

// Writes a sweep to a file, if there is one, and prints its table.
void tell_sweep(const base::CommandLine& line, const std::filesystem::path& out, const evaluation::SweepHead& head,
                const SweepRows& rows, const evaluation::ParetoFront& front);

class SweepOutput {
 public:
  // Takes up what a stopped sweep has left. `processes` run it. Throws std::runtime_error with a sentence where the
  // output cannot be written, or another sweep is writing it.
  SweepOutput(const base::CommandLine& line, const SweepJob& job, int processes);

  // The points that are to be run.
  std::vector<std::size_t> open() const;
  // The row of one of them, one call at a time.
  void take(std::size_t point, const nlohmann::ordered_json& row);
  // All have been taken: writes the file and prints the table.
  void finish();

 private:
  std::string journal_identity() const;
  void show();

  const base::CommandLine& line_;
  const SweepJob& job_;
  int processes_;
  std::unique_ptr<evaluation::SweepJournal> journal_;
  std::optional<evaluation::SweepCollector> collector_;
  std::optional<base::Farewell> farewell_;
  base::StatusLine status_;
  std::size_t done_here_ = 0;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point shown_{};
};

}  // namespace mlsim::app
