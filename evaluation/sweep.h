// Many formats and arrays over one workload: every point priced and measured.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "base/input_file.h"
#include "energy/laws.h"
#include "evaluation/array_shapes.h"
#include "evaluation/pareto.h"
#include "evaluation/pricing.h"
#include "evaluation/results.h"
#include "evaluation/simulate.h"
#include "workloads/workload.h"

namespace mlsim::evaluation {

// One combination of what a sweep varies.
struct SweepPoint {
  PerOperand<models::Format> formats;
  int accumulator_bits = 0;  // 0: the width that no sum can overflow; means nothing to baselines
  sim::ArrayConfig array;
  std::string array_name;
};

struct SweepAxes {
  std::vector<PerOperand<models::Format>> formats;
  std::vector<int> accumulator_bits{0};
  std::vector<std::pair<std::string, sim::ArrayConfig>> arrays{{"default", {}}};
  std::vector<int> elements_per_scaler;  // empty: as the arrays have it
  std::vector<int> taps_per_cycle;       // likewise
};

// Whether any point's array is not output-stationary.
bool differ_in_dataflow(const std::vector<SweepPoint>& points);

// Every combination, formats slowest; formats without an accumulator of a width of their own have each combination
// once. Throws std::runtime_error for a combination that is no array.
std::vector<SweepPoint> sweep_points(const SweepAxes& axes);

// Whether any has elements of several multipliers.
bool differ_in_taps(const std::vector<SweepPoint>& points);

// What all points of a sweep have in common.
struct SweepSetting {
  const workloads::Workload& workload;
  Engine engine = Engine::kFunctional;
  const energy::Laws& laws;
  Activity activity = Activity::kDense;
  std::vector<Objective> front;  // what mark_pareto_front compared the points in
  bool tells_dataflow = false;   // of each point
  bool tells_taps = false;       // of each point, its taps_per_cycle
};

// Runs one point: an object with what varies, energies in pJ, area in µm², cycles, and for each pass SQNR in dB, cosine
// error and overflows (docs/sweep.md).
nlohmann::ordered_json run_point(
    const SweepSetting& setting, const SweepPoint& point, const Progress& progress = [](const std::string&) {});

// The area of what computes in a machine of such formats for the workload, without memories, in µm²; not finite where
// the table has no areas.
double computing_area_of(const SweepSetting& setting, const PerOperand<models::Format>& formats,
                         const sim::ArrayConfig& array);

// Fills the rows that are null, some points at a time; `done` is told of each, one call at a time. What a call of
// `done` or `progress` throws ends the sweep.
void run_points(
    const SweepSetting& setting, const std::vector<SweepPoint>& points, std::vector<nlohmann::ordered_json>& rows,
    const std::function<void(std::size_t point)>& done, const Progress& progress = [](const std::string&) {});

// The tensors of a workload as a sweep found them. Each point reads them anew.
class SweepTensors {
 public:
  // Throws base::Error for what is no regular file or longer than its layer's shape asks for.
  explicit SweepTensors(const workloads::Workload& workload);
  // Of all their contents.
  std::uint64_t hash() const { return hash_; }
  // Throws base::Error for one that has changed since.
  void require_unchanged() const;

 private:
  void add(const std::filesystem::path& path, base::RegularFile& file, base::Hash& hash);

  std::uint64_t hash_ = 0;
  std::vector<std::pair<std::filesystem::path, base::FileStamp>> stamps_;
};

// What to say where results of points are infinite or NaN: how many points, and the first. Empty where none is.
std::string non_finite_remark(const std::vector<nlohmann::ordered_json>& rows);

// Rows that survive a kill at any moment: a journal beside the output, a line with a checksum for each finished point.
// Two sweeps with the same output exclude each other.
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

  // Finished before this journal was opened: a row for each such point.
  const std::vector<std::pair<std::size_t, nlohmann::ordered_json>>& finished() const;
  // Lines that were dropped.
  std::size_t dropped() const;
  // Whether it held points of another sweep, which are gone.
  bool was_of_another() const;
  // Safe to call from several threads.
  void add(std::size_t point, const nlohmann::ordered_json& row);
  // The output is written: nothing is left to resume.
  void remove();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace mlsim::evaluation
