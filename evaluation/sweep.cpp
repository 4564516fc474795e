#include "evaluation/sweep.h"

#include <fmt/core.h>
#include <oneapi/tbb/task_arena.h>

#include <algorithm>
#include <chrono>
#include <initializer_list>
#include <mutex>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <set>
#include <span>
#include <stdexcept>
#include <utility>

#include "base/error.h"
#include "base/hash.h"
#include "base/parallel.h"
#include "evaluation/machines.h"
#include "evaluation/mean_decibels.h"
#include "evaluation/pricing.h"
#include "evaluation/totals.h"

namespace mlsim::evaluation {
namespace {

using Json = nlohmann::ordered_json;

std::uint64_t hash_of_rest(base::RegularFile& file) {
  base::Hash hash;
  std::vector<std::uint8_t> piece(std::size_t{1} << 20);
  while (file.left() > 0) {
    const auto bytes = std::span(piece).first(std::min<std::uint64_t>(piece.size(), file.left()));
    file.read(bytes);
    hash.add({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  return hash.value();
}

constexpr const char* kTensor = "a tensor that each point of a sweep can read";

// Refuses a file whose content is another than it was.
void require_content(const std::filesystem::path& path, std::uint64_t hash) {
  base::RegularFile file(path, kTensor);
  if (hash_of_rest(file) == hash) return;
  base::refuse(path.string(), "", "has changed since the sweep began, expected it to stay as it was");
}

}  // namespace

Json run_point(const SweepSetting& setting, const SweepPoints& points, std::size_t number, const Progress& progress) {
  const SweepPoint point = points.at(number);
  workloads::Workload varied = setting.workload;
  varied.accumulator.bits = point.accumulator_bits;
  workloads::set_formats(varied, point.formats.values);
  SimulationOptions options;
  options.engine = setting.engine;
  options.array = point.array;
  options.measure_baselines = false;
  options.tells_provenance = false;
  options.measure_activity = setting.activity != Activity::kDense;
  options.shared = setting.engine == Engine::kFunctional ? setting.shared : nullptr;
  const Results results = simulate(varied, options, progress);
  const Price prices = price(work_of(results, Machines::kOwn), setting.laws, {{}, setting.activity});

  Json row = Json::object();
  row["format"] = models::to_string(point.formats.values);
  for (const models::Operand operand : models::kOperands) {
    row[models::to_string(operand)] = models::to_string(point.formats[operand]);
  }
  row["array"] = point.array_name;
  if (points.tell_dataflow()) row["dataflow"] = to_string(point.array.dataflow);
  row["rows"] = point.array.rows;
  row["columns"] = point.array.columns;
  row["elements_per_scaler"] = point.array.elements_per_scaler;
  if (points.tell_taps()) row["taps_per_cycle"] = point.array.taps_per_cycle;
  row["accumulator_bits"] = is_block_scaled(point.formats) ? Json(prices.accumulator_bits) : Json();

  energy::WideCount multiply_adds;
  energy::WideCount cycles;
  energy::Breakdown total;
  PassDecibels sqnr;
  Json passes = Json::object();
  for (const models::Pass pass : models::kPasses) {
    double cosine = 0;
    energy::WideCount overflows;
    energy::WideCount non_finite;
    bool overflows_are_counted = true;
    int measured = 0;
    for (const LayerRecord& layer : results.layers) {
      for (const PassRecord& record : layer.passes) {
        if (record.pass != pass) continue;
        multiply_adds += record.multiply_adds;
        cycles += record.cycles.total();
        overflows += record.counts.overflows;
        non_finite += record.counts.non_finite;
        overflows_are_counted = overflows_are_counted && record.overflows_are_counted;
        sqnr.add(pass, summed_sqnr(record));
        if (record.cosine_error) {
          cosine += *record.cosine_error;
          ++measured;
        }
      }
    }
    total += prices.sum(results, pass).energy;
    Json& entry = passes[models::to_string(pass)];
    entry["sqnr_db"] = decibels_to_json(sqnr.mean(pass));
    entry["cosine_error"] = measured > 0 ? cosine_error_to_json(cosine / measured) : Json();
    entry["overflows"] = overflows_are_counted ? count_to_json(overflows) : Json();
    entry["non_finite"] = measured > 0 || non_finite.narrow() != std::uint64_t{0} ? count_to_json(non_finite) : Json();
  }
  row["multiply_adds"] = count_to_json(multiply_adds);
  row["cycles"] = count_to_json(cycles);
  row["operations_only_pj"] = total.operations_only().value;
  row["computing_pj"] = total.computing().value;
  row["memory_pj"] = total.memory().value;
  row["with_memory_pj"] = total.with_memory().value;
  row["energy_delay_js"] =
      energy_delay_js(total.with_memory().value, static_cast<double>(cycles) / (point.array.clock_ghz * 1e9));
  row["area_um2"] = number_or_null(prices.area.total());  // a table may have no areas
  row["mean_sqnr_db"] = decibels_to_json(sqnr.mean());
  row["passes"] = std::move(passes);
  return row;
}

double computing_area_of(const SweepSetting& setting, const PerOperand<models::Format>& formats, int accumulator_bits,
                         const sim::ArrayConfig& array) {
  workloads::Workload varied = setting.workload;
  workloads::set_formats(varied, formats.values);
  varied.accumulator.bits = accumulator_bits;
  SimulationOptions options;
  options.engine = Engine::kAnalytic;
  options.array = array;
  options.measure_baselines = false;
  options.tells_provenance = false;
  const Results results = simulate(varied, options, {});
  return computing_area(price(work_of(results, Machines::kOwn), setting.laws, {{}, Activity::kDense}).area);
}

void require_row(const Json& row, const std::string& file) {
  const auto has = [](const Json& object, std::initializer_list<const char*> keys) {
    return object.is_object() && std::all_of(keys.begin(), keys.end(), [&](const char* key) {
             return object.contains(key) && !object[key].is_structured();
           });
  };
  const auto is_number = [&](const char* key) { return row[key].is_number(); };
  bool is_whole =
      has(row, {"format", "activation", "weight", "error", "array", "rows", "columns", "elements_per_scaler",
                "accumulator_bits", "multiply_adds", "cycles", "operations_only_pj", "computing_pj", "memory_pj",
                "with_memory_pj", "energy_delay_js", "area_um2", "mean_sqnr_db"}) &&
      row.contains("passes") && row["passes"].is_object() && row["format"].is_string() && is_number("multiply_adds") &&
      is_number("cycles") && is_number("operations_only_pj") && is_number("computing_pj") &&
      is_number("with_memory_pj") && is_number("rows") && is_number("columns") && is_number("elements_per_scaler") &&
      (row["area_um2"].is_null() || is_number("area_um2")) &&
      (row["accumulator_bits"].is_null() || is_number("accumulator_bits"));
  if (is_whole) {
    is_whole = std::all_of(row["passes"].begin(), row["passes"].end(), [&](const Json& pass) {
      return has(pass, {"sqnr_db", "cosine_error", "overflows", "non_finite"});
    });
  }
  try {
    if (is_whole && !row["mean_sqnr_db"].is_null()) decibels_from_json(row["mean_sqnr_db"]);
  } catch (const std::runtime_error&) {
    is_whole = false;
  }
  if (!is_whole) base::refuse(file, "", "has a row that is none of a sweep");
}

SweepTensors::SweepTensors(const workloads::Workload& workload) {
  // Several operands may be in one file, as those of a model are.
  std::set<std::filesystem::path> known;
  for (const workloads::Layer& layer : workload.layers) {
    for (const models::Operand operand : models::kOperands) {
      const workloads::OperandSource& source = layer.operand(operand).source;
      if (const auto* path = std::get_if<std::filesystem::path>(&source)) {
        constexpr std::uint64_t kLongestHeader = (std::uint64_t{1} << 20) + 12;
        const auto values = static_cast<std::uint64_t>(models::element_count(layer.shape.shape_of(operand)));
        base::RegularFile file(*path, kTensor);
        if (file.size() > sizeof(float) * values + kLongestHeader) {
          file.refuse(fmt::format("has {} bytes, more than the {} values of the {} of layer '{}' take", file.size(),
                                  values, models::to_string(operand), layer.name));
        }
        if (known.insert(*path).second) add(*path, file);
      } else if (const auto* stored = std::get_if<std::shared_ptr<const workloads::StoredTensor>>(&source)) {
        const std::filesystem::path beside = (*stored)->file();
        if (beside.empty() || !known.insert(beside).second) continue;
        base::RegularFile file(beside, "values that each point of a sweep can read");
        add(beside, file);
      }
    }
  }
  base::Hash hash;
  for (const File& file : files_) hash.add(std::to_string(file.hash));
  hash_ = hash.value();
}

void SweepTensors::add(const std::filesystem::path& path, base::RegularFile& file) {
  const base::FileStamp stamp = base::stamp_of(path);
  files_.push_back({path, stamp, hash_of_rest(file)});
}

void SweepTensors::require_unchanged() {
  for (File& file : files_) {
    const base::FileStamp stamp = base::stamp_of(file.path);
    if (stamp == file.stamp) continue;
    require_content(file.path, file.hash);
    file.stamp = stamp;
  }
}

void SweepTensors::require_unchanged_contents() const {
  for (const File& file : files_) require_content(file.path, file.hash);
}

std::function<std::size_t(std::size_t point)> family_of(const SweepSetting& setting, const SweepPoints& points) {
  if (setting.engine == Engine::kAnalytic) return [](std::size_t point) { return point; };
  return [&points](std::size_t point) { return points.family(point); };
}

std::vector<std::size_t> all_points(const SweepPoints& points) {
  std::vector<std::size_t> all(points.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  return all;
}

void run_points(const SweepSetting& setting, const SweepPoints& points, SweepTensors& tensors, const NextPoint& next,
                const DonePoint& done, const Progress& progress) {
  std::mutex asking;
  std::mutex telling;
  // Tensors are looked at in shared folders too, where that takes time.
  constexpr std::chrono::seconds kBetween{1};
  std::chrono::steady_clock::time_point looked{};
  const auto at_once = static_cast<std::size_t>(tbb::this_task_arena::max_concurrency());
  // As often as there may be something to run.
  base::in_order(points.size(), at_once, [&](std::size_t /*turn*/) {
    std::optional<std::size_t> point;
    {
      const std::lock_guard lock(asking);
      point = next();
    }
    if (!point) return;
    const Json row = run_point(setting, points, *point, progress);
    const std::lock_guard lock(telling);
    if (const auto now = std::chrono::steady_clock::now(); now - looked >= kBetween) {
      tensors.require_unchanged();
      looked = now;
    }
    done(*point, row);
  });
  tensors.require_unchanged_contents();
}

}  // namespace mlsim::evaluation
