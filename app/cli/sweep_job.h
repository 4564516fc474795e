// What a command line asks a sweep for.
// Tested in tests/app/sweep_test.cpp.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/command_line.h"
#include "evaluation/array_shapes.h"
#include "evaluation/sweep.h"
#include "evaluation/sweep_axes.h"
#include "evaluation/sweep_shard.h"

namespace mlsim::app {

base::WholeNumber limits_of(const evaluation::WidthRange& widths);
// `low:high` or one number; throws std::runtime_error with a sentence for anything else.
evaluation::WidthRange parse_range(const std::string& text, const evaluation::WidthRange& widths);

// --out, whose name ends in one of these, such as .csv; throws base::Error with a sentence where it does not, or is not
// given.
std::filesystem::path output_ending_in(const std::vector<std::string>& endings, const base::CommandLine& line,
                                       const std::string& of = "");

// Everything that a sweep is made of, read and checked. The same files and options make the same everywhere.
class SweepJob {
 public:
  // Throws std::runtime_error with a sentence for what cannot be swept.
  explicit SweepJob(const base::CommandLine& line);
  SweepJob(const SweepJob&) = delete;
  SweepJob& operator=(const SweepJob&) = delete;
  SweepJob(SweepJob&&) = delete;
  SweepJob& operator=(SweepJob&&) = delete;
  ~SweepJob() = default;

  const evaluation::SweepSetting& setting() const { return setting_; }
  const evaluation::SweepPoints& points() const { return points_; }
  evaluation::SweepTensors& tensors() { return tensors_; }
  // Of the output, all of it or a shard.
  const std::filesystem::path& out() const { return out_; }
  const std::optional<evaluation::Shard>& shard() const { return shard_; }
  // The points of the shard, or all.
  const std::vector<std::size_t>& own() const { return own_; }
  // The same for all shards of the same sweep, and for no other.
  const std::string& identity() const { return identity_; }

 private:
  std::string identity_of() const;

  std::filesystem::path out_;
  std::optional<evaluation::Shard> shard_;
  energy::Laws laws_;
  workloads::Workload workload_;
  evaluation::SharedWork shared_;
  evaluation::SweepSetting setting_;
  std::vector<evaluation::ArrayChoice> choices_;
  evaluation::SweepPoints points_;
  evaluation::SweepTensors tensors_;
  std::vector<std::size_t> own_;
  std::string identity_;
};

}  // namespace mlsim::app
