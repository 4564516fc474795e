#include "evaluation/sweep_shard.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <fmt/ranges.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>

#include "base/command_line.h"
#include "base/error.h"
#include "base/input_file.h"
#include "base/json.h"
#include "base/json_reader.h"
#include "base/output_file.h"
#include "base/text.h"
#include "evaluation/pricing.h"
#include "evaluation/sweep.h"
#include "evaluation/sweep_lines.h"

namespace mlsim::evaluation {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kShardSchema = "mlsim.sweep-shard/1";
constexpr const char* kNoShard = "is no shard of a sweep, expected a file that mlsim sweep --shard has written";

// Names that are too many to be said are left out.
std::string some_of(const std::vector<std::size_t>& numbers) {
  constexpr std::size_t kMost = 8;
  const std::vector<std::size_t> first(numbers.begin(),
                                       numbers.begin() + static_cast<std::ptrdiff_t>(std::min(kMost, numbers.size())));
  return fmt::format("{}{}", fmt::join(first, ", "),
                     numbers.size() > kMost ? fmt::format(" and {} more", numbers.size() - kMost) : "");
}

Json to_json(const ShardHeader& header) {
  Json front = Json::array();
  for (const Objective objective : header.head.front) front.push_back(to_string(objective));
  return {{"schema", kShardSchema},           {"sweep", header.identity},
          {"shard", header.shard.number},     {"shards", header.shard.count},
          {"points", header.points},          {"rows", header.rows},
          {"workload", header.head.workload}, {"engine", header.head.engine},
          {"activity", header.head.activity}, {"cost_table", header.head.cost_table},
          {"front", std::move(front)}};
}

ShardHeader parse_header(std::string_view line, const std::string& file) {
  const nlohmann::json json = base::parse_json(line, file);
  const base::JsonReader reader(json, file);
  if (!json.is_object() || !reader.has("schema") || json["schema"] != kShardSchema) base::refuse(file, "", kNoShard);
  ShardHeader header;
  header.identity = reader["sweep"].nonempty_text();
  header.shard.count = reader["shards"].integer<std::size_t>(1, kMostShards);
  header.shard.number = reader["shard"].integer<std::size_t>(1, header.shard.count);
  header.points = reader["points"].integer<std::size_t>(1, kMostSweepPoints);
  header.rows = reader["rows"].integer<std::size_t>(0, header.points);
  header.head.workload = reader["workload"].text();
  header.head.engine = reader["engine"].text();
  const Engine engine = reader["engine"].guarded([&] { return parse_engine(header.head.engine); });
  header.head.activity = reader["activity"].text();
  reader["activity"].guarded([&] { parse_activity(header.head.activity); });
  header.head.cost_table = reader["cost_table"].text();
  const base::JsonReader front = reader["front"];
  for (std::size_t i = 0; i < front.size(); ++i) {
    header.head.front.push_back(front[i].guarded([&] { return parse_objective(front[i].text()); }));
  }
  front.guarded([&] { check_front(header.head.front, engine); });
  return header;
}

// As many files as there are shards are open.
void allow_open_files(std::size_t count) {
  rlimit limit{};
  constexpr std::size_t kOthers = 64;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= count + kOthers) return;
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, count + kOthers);
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

Shard parse_shard(const std::string& text) {
  const std::vector<std::string> parts = base::split(text, '/');
  const base::WholeNumber numbers{1, kMostShards};
  if (parts.size() == 2 && base::complaint(numbers, parts[0]).empty() && base::complaint(numbers, parts[1]).empty()) {
    const Shard shard{std::stoul(parts[0]), std::stoul(parts[1])};
    if (shard.number <= shard.count) return shard;
  }
  throw std::runtime_error(fmt::format("is '{}', expected I/N, shard I of N, such as 1/16 to 16/16", text));
}

std::vector<std::size_t> points_of(const Shard& shard, const SweepPoints& points, bool families_share) {
  const std::size_t count = points.size();
  std::size_t families = 0;
  for (std::size_t point = 0; point < count; ++point) {
    if (point == 0 || points.family(point) != points.family(point - 1)) ++families;
  }
  const bool by_family = families_share && families >= shard.count;
  std::vector<std::size_t> own;
  std::size_t unit = 0;
  for (std::size_t point = 0; point < count; ++point) {
    if (point > 0 && (!by_family || points.family(point) != points.family(point - 1))) ++unit;
    if (unit % shard.count == shard.number - 1) own.push_back(point);
  }
  return own;
}

void write_shard(const std::filesystem::path& path, const ShardHeader& header, const std::vector<std::size_t>& own,
                 const SweepCollector& collector) {
  base::AtomicFile file(path);
  file.stream() << base::to_text(to_json(header)) << "\n";
  for (const std::size_t point : own) {
    Json row = collector.row(point);
    row.erase("pareto");
    file.stream() << line_of(header.identity, point, base::to_text(row));
  }
  file.commit();
}

struct ShardSet::State {
  struct File {
    std::string name;
    int descriptor = -1;
    Shard shard;
  };
  struct Place {
    RowPlace row;  // of no length as long as the point is not there
    std::uint32_t file = 0;
  };

  ~State() {
    for (const File& file : files) {
      if (file.descriptor >= 0) close(file.descriptor);
    }
  }

  void add(const std::filesystem::path& path) {
    const std::string name = path.string();
    base::require_regular_file(path);
    base::InputFile input(path);
    std::optional<ShardHeader> header;
    std::size_t rows = 0;
    for_each_line(input, [&](std::string_view line, std::uint64_t offset) {
      if (!header) {
        header = parse_header(line, name);
        take(*header, name);
        return;
      }
      rows += take(line, offset) ? 1 : 0;
    });
    if (!header) base::refuse(name, "", kNoShard);
    if (rows != header->rows) {
      base::refuse(name, "", fmt::format("has {} whole points, expected the {} that were written", rows, header->rows));
    }
  }

  void take(const ShardHeader& header, const std::string& name) {
    if (files.empty()) {
      first = header;
      places.resize(header.points);
    }
    if (header.identity != first.identity || header.shard.count != first.shard.count || header.points != first.points ||
        header.head != first.head) {
      base::refuse(name, "", fmt::format("is of another sweep than {}, expected shards of one", files.front().name));
    }
    for (const File& other : files) {
      if (other.shard != header.shard) continue;
      base::refuse(name, "",
                   fmt::format("is shard {} of {}, as {} is, expected each once", header.shard.number,
                               header.shard.count, other.name));
    }
    const int descriptor = open(name.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) base::refuse(name, "", fmt::format("cannot be read: {}", std::strerror(errno)));
    files.push_back({name, descriptor, header.shard});
  }

  // Whether it is a whole line of a point that no other has.
  bool take(std::string_view text, std::uint64_t offset) {
    const std::optional<PointLine> line = parse_line(text, first.identity, places.size());
    if (!line || places[line->point].row.length > 0) return false;
    places[line->point] = {{offset + line->row.offset, line->row.length}, static_cast<std::uint32_t>(files.size() - 1)};
    return true;
  }

  void require_all() const {
    std::vector<bool> is_there(first.shard.count, false);
    for (const File& file : files) is_there[file.shard.number - 1] = true;
    std::vector<std::size_t> missing;
    for (std::size_t i = 0; i < is_there.size(); ++i) {
      if (!is_there[i]) missing.push_back(i + 1);
    }
    const std::string& name = files.front().name;
    if (!missing.empty()) {
      base::refuse(name, "",
                   fmt::format("is of a sweep of {} shards, of which {} {} missing, expected all of them",
                               first.shard.count, some_of(missing), missing.size() == 1 ? "is" : "are"));
    }
    const auto lacking = std::find_if(places.begin(), places.end(), [](const Place& p) { return p.row.length == 0; });
    if (lacking == places.end()) return;
    base::refuse(name, "",
                 fmt::format("is of a sweep of {} points, of which {} is in no shard, expected all of them",
                             places.size(), lacking - places.begin()));
  }

  ShardHeader first;
  std::vector<File> files;
  std::vector<Place> places;  // by point
};

ShardSet::ShardSet(const std::vector<std::filesystem::path>& files) : state_(std::make_unique<State>()) {
  allow_open_files(files.size());
  for (const std::filesystem::path& file : files) state_->add(file);
  state_->require_all();
}

ShardSet::~ShardSet() = default;

const SweepHead& ShardSet::head() const {
  return state_->first.head;
}

std::size_t ShardSet::points() const {
  return state_->places.size();
}

Json ShardSet::row(std::size_t point) const {
  const State::Place& place = state_->places[point];
  const State::File& file = state_->files[place.file];
  Json row = read_row(file.descriptor, place.row, state_->first.identity, point, file.name);
  require_row(row, file.name);
  return row;
}

}  // namespace mlsim::evaluation
