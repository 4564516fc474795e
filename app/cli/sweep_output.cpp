#include "app/cli/sweep_output.h"

#include <fmt/core.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "app/cli/options.h"
#include "base/ranks.h"

namespace mlsim::app {

using evaluation::SweepJournal;

namespace {

// What an interrupted sweep says.
std::string farewell_of(const std::filesystem::path& out) {
  if (out.empty()) return "\nmlsim: sweep interrupted, nothing is kept without --out\n";
  return fmt::format("\nmlsim: sweep interrupted, its finished points are in {}: the same command goes on from there\n",
                     base::printable(SweepJournal::file_of(out).string()));
}

}  // namespace

void tell_sweep(const base::CommandLine& line, const std::filesystem::path& out, const evaluation::SweepHead& head,
                const SweepRows& rows, const evaluation::ParetoFront& front) {
  if (!out.empty()) write_sweep(out, head, rows);
  // What is written to a file is not said as well where quiet is asked for.
  if (!out.empty() && line.flag("quiet")) return;
  std::cout << base::printable_lines(printed_table(head, rows, front.points())) << std::flush;
}

SweepOutput::SweepOutput(const base::CommandLine& line, const SweepJob& job, int processes)
    : line_(line),
      job_(job),
      processes_(processes),
      status_("mlsim sweep", line.flag("quiet"), processes > 1 && base::launcher_is_on_terminal()) {
  const std::filesystem::path& out = job.out();
  if (!out.empty()) {
    base::create_folder_of(out);
    // A place that cannot be written to is known at once.
    { const base::AtomicFile probe(out); }
    journal_ = std::make_unique<SweepJournal>(out, journal_identity(), job.points().size());
    std::vector<std::string> warnings;
    if (journal_->was_of_another()) {
      warnings.push_back(fmt::format("{}: its journal was of another sweep and is begun anew", out.string()));
    }
    if (journal_->dropped() > 0) {
      warnings.push_back(
          fmt::format("{}: {} damaged or foreign lines of its journal are dropped", out.string(), journal_->dropped()));
    }
    if (journal_->is_unlocked()) {
      warnings.push_back(
          fmt::format("{}: its folder has no locks: nothing keeps another sweep from writing it", out.string()));
    }
    print_warnings(line, warnings);
  }
  collector_.emplace(job.points().size(), job.setting().front, journal_.get());
  farewell_.emplace(farewell_of(out));
}

// Shards of one sweep may have journals of one name, one after the other.
std::string SweepOutput::journal_identity() const {
  if (!job_.shard()) return job_.identity();
  return fmt::format("{} shard {}/{}", job_.identity(), job_.shard()->number, job_.shard()->count);
}

std::vector<std::size_t> SweepOutput::open() const {
  std::vector<std::size_t> points;
  for (const std::size_t point : job_.own()) {
    if (!collector_->has(point)) points.push_back(point);
  }
  return points;
}

void SweepOutput::take(std::size_t point, const nlohmann::ordered_json& row) {
  collector_->add(point, row);
  ++done_here_;
  show();
}

void SweepOutput::show() {
  constexpr std::chrono::milliseconds kBetween{100};
  const auto now = std::chrono::steady_clock::now();
  if (!status_.is_on_terminal() || now - shown_ < kBetween) return;
  shown_ = now;
  const std::size_t left = job_.own().size() - collector_->finished();
  const double seconds = std::chrono::duration<double>(now - began_).count();
  const std::string processes = processes_ > 1 ? fmt::format(" by {} processes", processes_) : "";
  status_.show(fmt::format("{} of {} points{}, {} on the front, {:.0f} s left", collector_->finished(),
                           job_.own().size(), processes, collector_->front().size(),
                           seconds / static_cast<double>(done_here_) * static_cast<double>(left)));
}

void SweepOutput::finish() {
  status_.clear();
  const std::string remark = collector_->non_finite_remark();
  if (!remark.empty()) print_warnings(line_, {remark});
  const evaluation::SweepHead head = head_of(job_.setting());
  if (job_.shard()) {
    write_shard(job_.out(), {job_.identity(), *job_.shard(), job_.points().size(), job_.own().size(), head}, job_.own(),
                *collector_);
    journal_->remove();
    if (!line_.flag("quiet")) {
      std::cout << fmt::format("{}: shard {} of {}, {} of {} points\n", base::printable(job_.out().string()),
                               job_.shard()->number, job_.shard()->count, job_.own().size(), job_.points().size());
    }
    return;
  }
  const SweepRows rows{job_.points().size(), [&](std::size_t point) { return collector_->row(point); }};
  tell_sweep(line_, job_.out(), head, rows, collector_->front());
  if (journal_) journal_->remove();
}

}  // namespace mlsim::app
