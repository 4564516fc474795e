#include "evaluation/sweep.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <oneapi/tbb/task_arena.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <span>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/hash.h"
#include "base/input_file.h"
#include "base/json.h"
#include "base/output_file.h"
#include "base/parallel.h"
#include "evaluation/machines.h"
#include "evaluation/mean_decibels.h"
#include "evaluation/pricing.h"
#include "evaluation/totals.h"

namespace mlsim::evaluation {
namespace {

using Json = nlohmann::ordered_json;

[[noreturn]] void fail(const std::filesystem::path& path, const char* what) {
  base::refuse(path.string(), "", fmt::format("{}: {}", what, std::strerror(errno)));
}

void write_all(int file, const std::string& text, const std::filesystem::path& path) {
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t count = write(file, text.data() + done, text.size() - done);
    if (count < 0 && errno != EINTR) fail(path, "cannot be written");
    if (count > 0) done += static_cast<std::size_t>(count);
  }
  if (fdatasync(file) != 0) fail(path, "cannot be written");
}

// Of a line of the sweep `identity`: lines of others do not have it.
std::string checksum(const std::string& identity, std::size_t point, const std::string& row) {
  return fmt::format("{:016x}", base::Hash().add(identity).add(std::to_string(point)).add(row).value());
}

// A finished point as a line of a journal.
std::string line_of(const std::string& identity, std::size_t point, const Json& row) {
  return base::to_text(
             Json({{"point", point}, {"row", row}, {"check", checksum(identity, point, base::to_text(row))}})) +
         "\n";
}

// The point of a line and its row; nothing where it is damaged or is none of the sweep's.
std::optional<std::pair<std::size_t, Json>> journal_line(std::string_view text, const std::string& identity,
                                                         std::size_t points) {
  try {
    const Json line = base::parse_ordered_json(text, "");
    const auto point = line.at("point").get<std::size_t>();
    if (!line.at("point").is_number_unsigned() || point >= points) return std::nullopt;
    if (line.at("check") != checksum(identity, point, base::to_text(line.at("row")))) return std::nullopt;
    return std::pair{point, line.at("row")};
  } catch (const base::Error&) {
  } catch (const Json::exception&) {
  }
  return std::nullopt;
}

// Of any operand.
bool is_block_scaled(const PerOperand<models::Format>& formats) {
  return std::any_of(formats.values.begin(), formats.values.end(),
                     [](const models::Format& format) { return std::holds_alternative<models::ScaledFormat>(format); });
}

// What is varied of an array's key, else as the array has it.
std::vector<int> choices(const std::vector<int>& varied, int own) {
  return varied.empty() ? std::vector<int>{own} : varied;
}

// Throws std::runtime_error for a combination that is no array.
void check_choices(const SweepAxes& axes, const SweepPoint& point) {
  std::string varied;
  if (!axes.elements_per_scaler.empty()) varied += fmt::format("--sharing {} ", point.array.elements_per_scaler);
  if (!axes.taps_per_cycle.empty()) varied += fmt::format("--taps-per-cycle {} ", point.array.taps_per_cycle);
  if (!varied.empty()) point.array.check(fmt::format("{}of {}", varied, point.array_name));
}

}  // namespace

bool differ_in_dataflow(const std::vector<SweepPoint>& points) {
  return std::any_of(points.begin(), points.end(), [](const SweepPoint& point) {
    return point.array.dataflow != sim::DataflowKind::kOutputStationary;
  });
}

bool differ_in_taps(const std::vector<SweepPoint>& points) {
  return std::any_of(points.begin(), points.end(),
                     [](const SweepPoint& point) { return point.array.taps_per_cycle != 1; });
}

std::vector<SweepPoint> sweep_points(const SweepAxes& axes) {
  std::vector<SweepPoint> points;
  for (const PerOperand<models::Format>& formats : axes.formats) {
    // Floating-point units and int8 have no accumulator of a width of their own.
    const bool has_accumulator = is_block_scaled(formats);
    for (const int bits : axes.accumulator_bits) {
      if (!has_accumulator && bits != axes.accumulator_bits.front()) continue;
      for (const auto& [name, array] : axes.arrays) {
        for (const int share : choices(axes.elements_per_scaler, array.elements_per_scaler)) {
          for (const int taps : choices(axes.taps_per_cycle, array.taps_per_cycle)) {
            SweepPoint& point = points.emplace_back(SweepPoint{formats, bits, array, name});
            point.array.elements_per_scaler = share;
            point.array.taps_per_cycle = taps;
            check_choices(axes, point);
          }
        }
      }
    }
  }
  return points;
}

Json run_point(const SweepSetting& setting, const SweepPoint& point, const Progress& progress) {
  workloads::Workload varied = setting.workload;
  varied.accumulator.bits = point.accumulator_bits;
  workloads::set_formats(varied, point.formats.values);
  SimulationOptions options;
  options.engine = setting.engine;
  options.array = point.array;
  options.measure_baselines = false;
  const Results results = simulate(varied, options, progress);
  const Price prices = price(work_of(results, Machines::kOwn), setting.laws, {{}, setting.activity});

  Json row = Json::object();
  row["format"] = models::to_string(point.formats.values);
  for (const models::Operand operand : models::kOperands) {
    row[models::to_string(operand)] = models::to_string(point.formats[operand]);
  }
  row["array"] = point.array_name;
  if (setting.tells_dataflow) row["dataflow"] = to_string(point.array.dataflow);
  row["rows"] = point.array.rows;
  row["columns"] = point.array.columns;
  row["elements_per_scaler"] = point.array.elements_per_scaler;
  if (setting.tells_taps) row["taps_per_cycle"] = point.array.taps_per_cycle;
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

double computing_area_of(const SweepSetting& setting, const PerOperand<models::Format>& formats,
                         const sim::ArrayConfig& array) {
  workloads::Workload varied = setting.workload;
  workloads::set_formats(varied, formats.values);
  SimulationOptions options;
  options.engine = Engine::kAnalytic;
  options.array = array;
  options.measure_baselines = false;
  const Results results = simulate(varied, options, [](const std::string&) {});
  return computing_area(price(work_of(results, Machines::kOwn), setting.laws, {{}, Activity::kDense}).area);
}

SweepTensors::SweepTensors(const workloads::Workload& workload) {
  base::Hash hash;
  std::set<std::filesystem::path> models;
  for (const workloads::Layer& layer : workload.layers) {
    for (const models::Operand operand : models::kOperands) {
      const workloads::OperandSource& source = layer.operand(operand).source;
      if (const auto* path = std::get_if<std::filesystem::path>(&source)) {
        constexpr std::uint64_t kLongestHeader = (std::uint64_t{1} << 20) + 12;
        const auto values = static_cast<std::uint64_t>(models::element_count(layer.shape.shape_of(operand)));
        base::RegularFile file(*path, "a tensor that each point of a sweep can read");
        if (file.size() > sizeof(float) * values + kLongestHeader) {
          file.refuse(fmt::format("has {} bytes, more than the {} values of the {} of layer '{}' take", file.size(),
                                  values, models::to_string(operand), layer.name));
        }
        add(*path, file, hash);
      } else if (const auto* stored = std::get_if<std::shared_ptr<const workloads::StoredTensor>>(&source)) {
        // Many tensors of a model are in one file.
        const std::filesystem::path beside = (*stored)->file();
        if (beside.empty() || !models.insert(beside).second) continue;
        base::RegularFile file(beside, "values that each point of a sweep can read");
        add(beside, file, hash);
      }
    }
  }
  hash_ = hash.value();
}

void SweepTensors::add(const std::filesystem::path& path, base::RegularFile& file, base::Hash& hash) {
  stamps_.emplace_back(path, base::stamp_of(path));
  std::vector<std::uint8_t> piece(std::size_t{1} << 20);
  while (file.left() > 0) {
    const auto bytes = std::span(piece).first(std::min<std::uint64_t>(piece.size(), file.left()));
    file.read(bytes);
    hash.add({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
}

void SweepTensors::require_unchanged() const {
  for (const auto& [path, stamp] : stamps_) {
    if (base::stamp_of(path) != stamp) {
      base::refuse(path.string(), "", "has changed since the sweep began, expected it to stay as it was");
    }
  }
}

void run_points(const SweepSetting& setting, const std::vector<SweepPoint>& points, std::vector<Json>& rows,
                const std::function<void(std::size_t point)>& done, const Progress& progress) {
  std::vector<std::size_t> open;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].is_null()) open.push_back(i);
  }
  std::mutex mutex;
  const auto at_once = static_cast<std::size_t>(tbb::this_task_arena::max_concurrency());
  base::in_order(open.size(), at_once, [&](std::size_t o) {
    Json row = run_point(setting, points[open[o]], progress);
    const std::lock_guard lock(mutex);
    rows[open[o]] = std::move(row);
    done(open[o]);
  });
}

std::string non_finite_remark(const std::vector<Json>& rows) {
  std::size_t points = 0;
  std::string first;
  for (const Json& row : rows) {
    const auto has_some = [](const auto& entry) { return entry["non_finite"].is_number() && entry["non_finite"] != 0; };
    if (std::none_of(row["passes"].begin(), row["passes"].end(), has_some)) continue;
    if (points++ == 0) first = row["format"];
  }
  if (points == 0) return "";
  return fmt::format("points with results that are infinite or NaN: {}, the first of {}", points, first);
}

struct SweepJournal::State {
  // A journal without a point is nothing to take up.
  ~State() {
    if (file < 0) return;
    if (is_empty) unlink(path.c_str());
    close(file);
  }

  // Opens the journal and locks it. A sweep that ends removes its journal while it holds the lock: a lock on a file
  // that is gone is worth nothing.
  void open_locked(const std::filesystem::path& output) {
    while (true) {
      base::require_regular_file(path);
      file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_APPEND | O_NOFOLLOW, 0666);
      if (file < 0) fail(path, "cannot be written");
      if (flock(file, LOCK_EX | LOCK_NB) != 0) {
        base::refuse(path.string(), "", "another sweep is writing " + output.string());
      }
      struct stat held {};
      struct stat named {};
      if (fstat(file, &held) == 0 && stat(path.c_str(), &named) == 0 && held.st_ino == named.st_ino) return;
      close(std::exchange(file, -1));
    }
  }

  // Takes up the whole lines behind the header; the bytes that they have.
  std::size_t take_up(std::string_view lines, std::size_t points) {
    std::vector<bool> known(points, false);
    std::size_t whole = 0;
    while (true) {
      const std::size_t end = lines.find('\n', whole);
      // A kill may have cut the last line off.
      if (end == std::string_view::npos) return whole;
      std::optional<std::pair<std::size_t, Json>> line =
          journal_line(lines.substr(whole, end - whole), identity, points);
      whole = end + 1;
      if (!line || known[line->first]) {
        ++dropped;
        continue;
      }
      known[line->first] = true;
      finished.push_back(std::move(*line));
    }
  }

  std::string identity;
  std::filesystem::path path;
  int file = -1;
  std::mutex mutex;
  std::vector<std::pair<std::size_t, Json>> finished;
  std::size_t dropped = 0;
  bool is_empty = false;  // known to be a journal without a point
  bool was_of_another = false;
};

SweepJournal::SweepJournal(const std::filesystem::path& output, const std::string& identity, std::size_t points)
    : state_(std::make_unique<State>()) {
  State& state = *state_;
  state.identity = identity;
  state.path = file_of(output);
  state.open_locked(output);

  const std::string text = base::read_text(state.path, base::kLargestResults);
  const std::string header = base::to_text(Json({{"sweep", identity}})) + "\n";
  // A kill may have cut the header off.
  constexpr std::string_view kBegin = "{\"sweep\":";
  if (text.substr(0, kBegin.size()) != kBegin.substr(0, text.size())) {
    base::refuse(state.path.string(), "", "is no journal of a sweep, expected none or another --out");
  }
  std::size_t good = 0;
  if (text.starts_with(header)) {
    good = header.size() + state.take_up(std::string_view(text).substr(header.size()), points);
  }
  state.is_empty = state.finished.empty();
  state.was_of_another = good == 0 && text.find('\n') != std::string::npos && text.find('\n') + 1 < text.size();
  if (ftruncate(state.file, static_cast<off_t>(good)) != 0) fail(state.path, "cannot be written");
  if (good == 0) write_all(state.file, header, state.path);
}

SweepJournal::~SweepJournal() = default;

std::filesystem::path SweepJournal::file_of(const std::filesystem::path& output) {
  return base::name_beside(output, ".journal");
}

bool SweepJournal::was_of_another() const {
  return state_->was_of_another;
}

std::size_t SweepJournal::dropped() const {
  return state_->dropped;
}

const std::vector<std::pair<std::size_t, Json>>& SweepJournal::finished() const {
  return state_->finished;
}

void SweepJournal::add(std::size_t point, const Json& row) {
  const std::string line = line_of(state_->identity, point, row);
  const std::lock_guard lock(state_->mutex);
  write_all(state_->file, line, state_->path);
  state_->is_empty = false;
}

void SweepJournal::remove() {
  std::filesystem::remove(state_->path);
  state_->is_empty = false;
}

}  // namespace mlsim::evaluation
