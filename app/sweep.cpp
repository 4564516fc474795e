#include "app/sweep.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "app/mean_decibels.h"
#include "app/pricing.h"
#include "workloads/atomic_file.h"

namespace mlsim::app {
namespace {

using Json = nlohmann::ordered_json;

[[noreturn]] void fail(const std::filesystem::path& path, const char* what) {
  throw std::runtime_error(fmt::format("{}: {}: {}", path.string(), what, std::strerror(errno)));
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

std::string read_all(int file, const std::filesystem::path& path) {
  std::string text;
  char buffer[1 << 16];
  if (lseek(file, 0, SEEK_SET) < 0) fail(path, "cannot be read");
  while (true) {
    const ssize_t count = read(file, buffer, sizeof buffer);
    if (count < 0 && errno != EINTR) fail(path, "cannot be read");
    if (count == 0) return text;
    if (count > 0) text.append(buffer, static_cast<std::size_t>(count));
  }
}

}  // namespace

std::vector<SweepPoint> sweep_points(const SweepAxes& axes) {
  std::vector<SweepPoint> points;
  for (const PerOperand<models::Format>& formats : axes.formats) {
    for (const int bits : axes.accumulator_bits) {
      for (const auto& [name, array] : axes.arrays) {
        SweepPoint point{formats, bits, array, name};
        if (axes.elements_per_scaler.empty()) points.push_back(point);
        for (const int share : axes.elements_per_scaler) {
          point.array.elements_per_scaler = share;
          point.array.check(fmt::format("--sharing {} of {}", share, name));
          points.push_back(point);
        }
      }
    }
  }
  return points;
}

Json run_point(const workloads::Workload& workload, const SweepPoint& point, Engine engine, const energy::Laws& laws,
               Activity activity) {
  workloads::Workload varied = workload;
  varied.accumulator.bits = point.accumulator_bits;
  for (workloads::Layer& layer : varied.layers) {
    for (const models::Operand operand : models::kOperands) {
      layer.operands[static_cast<std::size_t>(operand)].format = point.formats[operand];
    }
  }
  SimulationOptions options;
  options.engine = engine;
  options.array = point.array;
  options.measure_baselines = false;
  const Results results = simulate(varied, options, [](const std::string&) {});
  const Price prices = price(results, laws, {{}, activity, false});

  Json row;
  for (const models::Operand operand : models::kOperands) {
    row[models::to_string(operand)] = models::to_string(point.formats[operand]);
  }
  row["array"] = point.array_name;
  row["rows"] = point.array.rows;
  row["columns"] = point.array.columns;
  row["elements_per_scaler"] = point.array.elements_per_scaler;
  row["accumulator_bits"] = prices.accumulator_bits;

  energy::WideCount multiply_adds;
  energy::WideCount cycles;
  energy::Breakdown total;
  PassDecibels sqnr;
  Json passes;
  for (const models::Pass pass : models::kPasses) {
    double cosine = 0;
    energy::WideCount overflows;
    bool overflows_are_counted = true;
    int measured = 0;
    for (const LayerRecord& layer : results.layers) {
      for (const PassRecord& record : layer.passes) {
        if (record.pass != pass) continue;
        multiply_adds += record.multiply_adds;
        cycles += record.cycles.total();
        overflows += record.counts.overflows;
        overflows_are_counted = overflows_are_counted && record.overflows_are_counted;
        sqnr.add(pass, record.sqnr_db);
        if (record.cosine_error) {
          cosine += *record.cosine_error;
          ++measured;
        }
      }
    }
    total += prices.sum(results, pass).energy;
    Json& entry = passes[models::to_string(pass)];
    entry["sqnr_db"] = decibels_to_json(sqnr.mean(pass));
    entry["cosine_error"] = measured > 0 ? Json(cosine / measured) : Json();
    entry["overflows"] = overflows_are_counted ? count_to_json(overflows) : Json();
  }
  row["multiply_adds"] = count_to_json(multiply_adds);
  row["cycles"] = count_to_json(cycles);
  row["operations_only_pj"] = total.operations_only().value;
  row["computing_pj"] = total.computing().value;
  row["memory_pj"] = total.memory().value;
  row["area_um2"] = number_or_null(prices.area.total());  // a table may have no areas
  row["mean_sqnr_db"] = decibels_to_json(sqnr.mean());
  row["passes"] = std::move(passes);
  return row;
}

void mark_pareto_front(std::vector<Json>& rows) {
  // Without a multiply-add there is neither an energy of one nor an error.
  const auto is_compared = [](const Json& row) {
    return !row["mean_sqnr_db"].is_null() && row.value("multiply_adds", 1.0) > 0;
  };
  for (Json& row : rows) {
    bool on_front = is_compared(row);
    for (const Json& other : rows) {
      if (!on_front || !is_compared(other)) continue;
      const auto energy = row["computing_pj"].get<double>();
      const double sqnr = decibels_from_json(row["mean_sqnr_db"]);
      const auto other_energy = other["computing_pj"].get<double>();
      const double other_sqnr = decibels_from_json(other["mean_sqnr_db"]);
      if (other_energy <= energy && other_sqnr >= sqnr && (other_energy < energy || other_sqnr > sqnr)) {
        on_front = false;
      }
    }
    row["pareto"] = on_front;
  }
}

struct SweepJournal::State {
  std::filesystem::path path;
  int file = -1;
  std::mutex mutex;
  std::vector<std::pair<std::size_t, Json>> finished;
};

SweepJournal::SweepJournal(const std::filesystem::path& output, const std::string& identity)
    : state_(std::make_unique<State>()) {
  State& state = *state_;
  state.path = output;
  state.path += ".journal";
  // A sweep that ends removes the journal while it holds the lock: a lock on a file that is gone is worth nothing.
  while (true) {
    workloads::require_regular_file(state.path);
    state.file = open(state.path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_APPEND, 0666);
    if (state.file < 0) fail(state.path, "cannot be written");
    if (flock(state.file, LOCK_EX | LOCK_NB) != 0) {
      close(state.file);
      throw std::runtime_error(fmt::format("{}: another sweep is writing {}", state.path.string(), output.string()));
    }
    struct stat held {};
    struct stat named {};
    if (fstat(state.file, &held) == 0 && stat(state.path.c_str(), &named) == 0 && held.st_ino == named.st_ino) break;
    close(state.file);
  }

  const std::string text = read_all(state.file, state.path);
  const std::string header = Json({{"sweep", identity}}).dump() + "\n";
  // A kill may have cut the header off.
  constexpr std::string_view kBegin = "{\"sweep\":";
  if (text.substr(0, kBegin.size()) != kBegin.substr(0, text.size())) {
    close(state.file);
    throw std::runtime_error(
        fmt::format("{}: is no journal of a sweep, expected none or another --out", state.path.string()));
  }
  std::size_t good = 0;  // bytes up to the end of the last whole line
  if (text.starts_with(header)) {
    good = header.size();
    while (true) {
      const std::size_t end = text.find('\n', good);
      if (end == std::string::npos) break;
      const Json line = Json::parse(text.substr(good, end - good), nullptr, false);
      if (line.is_discarded() || !line.contains("point") || !line.contains("row")) break;
      state.finished.emplace_back(line["point"].get<std::size_t>(), line["row"]);
      good = end + 1;
    }
  }
  if (ftruncate(state.file, static_cast<off_t>(good)) != 0) fail(state.path, "cannot be written");
  if (good == 0) write_all(state.file, header, state.path);
}

SweepJournal::~SweepJournal() {
  close(state_->file);
}

const std::vector<std::pair<std::size_t, Json>>& SweepJournal::finished() const {
  return state_->finished;
}

void SweepJournal::add(std::size_t point, const Json& row) {
  const std::string line = Json({{"point", point}, {"row", row}}).dump() + "\n";
  const std::lock_guard lock(state_->mutex);
  write_all(state_->file, line, state_->path);
}

void SweepJournal::remove() {
  std::filesystem::remove(state_->path);
}

}  // namespace mlsim::app
