// Many formats and arrays over one workload: every point priced and measured.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/input_file.h"
#include "energy/laws.h"
#include "evaluation/pareto.h"
#include "evaluation/pricing.h"
#include "evaluation/results.h"
#include "evaluation/shared_work.h"
#include "evaluation/simulate.h"
#include "evaluation/sweep_points.h"
#include "workloads/workload.h"

namespace mlsim::evaluation {

// What all points of a sweep have in common.
struct SweepSetting {
  const workloads::Workload& workload;
  Engine engine = Engine::kFunctional;
  const energy::Laws& laws;
  Activity activity = Activity::kDense;
  std::vector<Objective> front;  // what points are compared in
  SharedWork* shared = nullptr;  // by the points that one process runs; none: each is on its own
};

// What a process keeps of its points' work where nothing else is said.
constexpr std::size_t kSharedBytes = std::size_t{512} << 20;

// Runs one point: an object with what varies, energies in pJ, area in µm², cycles, and for each pass SQNR in dB, cosine
// error and overflows (docs/sweep.md).
nlohmann::ordered_json run_point(const SweepSetting& setting, const SweepPoints& points, std::size_t number,
                                 const Progress& progress = {});

// The area of what computes in a machine of such formats for the workload, without memories, in µm²; not finite where
// the table has no areas.
double computing_area_of(const SweepSetting& setting, const PerOperand<models::Format>& formats, int accumulator_bits,
                         const sim::ArrayConfig& array);

// Throws base::Error, with the file that a row was read from, for what is none of run_point().
void require_row(const nlohmann::ordered_json& row, const std::string& file);

// The points that share work: where values are run the families, else each on its own.
std::function<std::size_t(std::size_t point)> family_of(const SweepSetting& setting, const SweepPoints& points);
std::vector<std::size_t> all_points(const SweepPoints& points);

// The tensors of a workload as a sweep found them. Each point reads them anew.
class SweepTensors {
 public:
  // Throws base::Error for what is no regular file or longer than its layer's shape asks for.
  explicit SweepTensors(const workloads::Workload& workload);
  // Of all their contents.
  std::uint64_t hash() const { return hash_; }
  // Throws base::Error for one that has changed since. Contents are read again where a file's times or place are
  // others, which a shared folder may make up.
  void require_unchanged();
  // The same, by all contents.
  void require_unchanged_contents() const;

 private:
  struct File {
    std::filesystem::path path;
    base::FileStamp stamp;
    std::uint64_t hash = 0;
  };
  void add(const std::filesystem::path& path, base::RegularFile& file);

  std::uint64_t hash_ = 0;
  std::vector<File> files_;
};

// The point to run next, which may take a wait; nothing where there is none.
using NextPoint = std::function<std::optional<std::size_t>()>;
using DonePoint = std::function<void(std::size_t point, const nlohmann::ordered_json& row)>;

// Runs points as long as `next` has some, some of them at a time; `done` is told of each, one call at a time. Calls of
// `next` come from any thread, one at a time. What `next`, `done` or `progress` throws ends the sweep once the points
// are ended that have begun. Throws base::Error for a tensor that has changed: looked for now and then before `done`,
// and by all contents at the end.
void run_points(const SweepSetting& setting, const SweepPoints& points, SweepTensors& tensors, const NextPoint& next,
                const DonePoint& done, const Progress& progress = {});

}  // namespace mlsim::evaluation
