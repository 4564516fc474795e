// A sweep in parts, each run by a command of its own and written to a file, and the parts put together.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "evaluation/pareto.h"
#include "evaluation/sweep_collector.h"
#include "evaluation/sweep_points.h"

namespace mlsim::evaluation {

// What a file of a sweep says of all of its points.
struct SweepHead {
  std::string workload;
  std::string engine;
  std::string activity;
  std::string cost_table;
  std::vector<Objective> front;
  bool operator==(const SweepHead&) const = default;
};

struct Shard {
  std::size_t number = 1;  // from 1 on
  std::size_t count = 1;
  bool operator==(const Shard&) const = default;
};
inline constexpr std::size_t kMostShards = 1'000'000;
// `i/n`, such as 3/16; throws std::runtime_error with a sentence for anything else.
Shard parse_shard(const std::string& text);

// The points of a shard, in order: families in turn, or single points where they share nothing or there are fewer
// families than shards. Every point is of one shard.
std::vector<std::size_t> points_of(const Shard& shard, const SweepPoints& points, bool families_share);

// What a shard's file says before its points.
struct ShardHeader {
  std::string identity;  // of the sweep
  Shard shard;
  std::size_t points = 0;  // of the sweep
  std::size_t rows = 0;    // of the shard
  SweepHead head;
};

// Writes the rows of a shard, all of which are finished: a line of JSON that says what it is of
// (mlsim.sweep-shard/1, docs/sweep.md), and a line with a checksum for each point.
void write_shard(const std::filesystem::path& path, const ShardHeader& header, const std::vector<std::size_t>& own,
                 const SweepCollector& collector);

// All shards of one sweep. Of their rows the places alone are in memory.
class ShardSet {
 public:
  // Throws base::Error for a file that is no shard, is damaged or cut off, or is of another sweep than the first, for a
  // shard that is there twice and for those that are missing.
  explicit ShardSet(const std::vector<std::filesystem::path>& files);
  ~ShardSet();
  ShardSet(const ShardSet&) = delete;
  ShardSet& operator=(const ShardSet&) = delete;
  ShardSet(ShardSet&&) = delete;
  ShardSet& operator=(ShardSet&&) = delete;

  const SweepHead& head() const;
  std::size_t points() const;
  // As run_point() made it. Throws base::Error where it cannot be read.
  nlohmann::ordered_json row(std::size_t point) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace mlsim::evaluation
