#include "app/cli/sweep_command.h"

#include <fmt/core.h>
#include <oneapi/tbb/task_arena.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <iostream>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <vector>

#include "app/cli/options.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/output_file.h"
#include "base/parallel.h"
#include "base/terminal.h"
#include "evaluation/sweep.h"

namespace mlsim::app {
namespace {

using evaluation::Activity;
using evaluation::array_to_json;
using evaluation::count_text;
using evaluation::csv_cell;
using evaluation::decibels_text;
using evaluation::Engine;
using evaluation::mark_pareto_front;
using evaluation::overflows_text;
using evaluation::parse_activity;
using evaluation::parse_engine;
using evaluation::PerOperand;
using evaluation::picojoules_each;
using evaluation::run_point;
using evaluation::shape_to_json;
using evaluation::sweep_points;
using evaluation::SweepAxes;
using evaluation::SweepJournal;
using evaluation::SweepPoint;
using evaluation::SweepTensors;
using Json = nlohmann::ordered_json;
using models::Operand;

// `low:high` or one number.
std::pair<int, int> parse_range(const std::string& text, const base::WholeNumber& limits) {
  const std::vector<std::string> ends = split(text, ':');
  if (ends.size() > 2) throw std::runtime_error(fmt::format("is '{}', expected LOW:HIGH or a number", text));
  for (const std::string& end : ends) {
    const std::string reason = base::complaint(limits, end);
    if (!reason.empty()) throw std::runtime_error(reason);
  }
  const std::pair<int, int> range{std::stoi(ends.front()), std::stoi(ends.back())};
  if (range.first > range.second) throw std::runtime_error(fmt::format("is '{}', expected the lower end first", text));
  return range;
}

base::Parsed range_within(base::WholeNumber limits) {
  return {[limits](const std::string& text) { parse_range(text, limits); }};
}

constexpr base::WholeNumber kExponentBits{0, 4};
constexpr base::WholeNumber kMantissaBits{0, 10};
constexpr base::WholeNumber kScaleExponentBits{0, 8};
constexpr base::WholeNumber kScaleFractionBits{0, 3};
constexpr base::WholeNumber kAccumulatorBits{2, 64};
constexpr base::WholeNumber kSharing{1, 1 << 20};

base::Parsed list_within(const base::WholeNumber& limits, const std::string& also = "") {
  return list_of([=](const std::string& part) {
    const std::string reason = part == also && !also.empty() ? "" : base::complaint(limits, part);
    if (!reason.empty()) throw std::runtime_error(reason);
  });
}

// `F`, or `A+W+E` for activation, weight and error.
PerOperand<models::Format> parse_formats(const std::string& text) {
  const std::vector<std::string> parts = split(text, '+');
  if (parts.size() != 1 && parts.size() != 3) {
    throw std::runtime_error(fmt::format("has '{}', expected a format, or three as ACTIVATION+WEIGHT+ERROR", text));
  }
  if (parts.size() == 1) return {models::parse_operand_formats(text)};
  PerOperand<models::Format> formats;
  for (const Operand operand : models::kOperands) {
    formats[operand] = models::parse_format(parts[static_cast<std::size_t>(operand)]);
  }
  return formats;
}

// The format with each of the groupings, where it takes one: it has none yet and is no baseline.
std::vector<PerOperand<models::Format>> with_groupings(const std::string& format,
                                                       const std::vector<std::string>& groupings) {
  std::vector<PerOperand<models::Format>> formats;
  try {
    for (const std::string& grouping : groupings) {
      std::string text;
      for (const std::string& part : split(format, '+')) {
        text += fmt::format("{}{}/{}", text.empty() ? "" : "+", part, grouping);
      }
      formats.push_back(parse_formats(text));
    }
  } catch (const std::runtime_error&) {
    return {parse_formats(format)};
  }
  return formats;
}

std::vector<PerOperand<models::Format>> formats_of(const base::CommandLine& line) {
  std::vector<PerOperand<models::Format>> formats;
  if (line.has("formats")) {
    for (const char* option : {"exponent-bits", "mantissa-bits", "scale-exponent-bits", "scale-fraction-bits"}) {
      if (line.given(option)) {
        throw std::runtime_error(fmt::format("--formats and --{} are given, expected one of them", option));
      }
    }
    for (const std::string& one : split(line.text("formats"), ',')) {
      if (!line.given("grouping")) {
        formats.push_back(parse_formats(one));
        continue;
      }
      for (const auto& grouped : with_groupings(one, split(line.text("grouping"), ','))) formats.push_back(grouped);
    }
    return formats;
  }
  if (!line.has("exponent-bits") || !line.has("mantissa-bits")) {
    throw std::runtime_error("nothing to sweep: expected --formats, or --exponent-bits with --mantissa-bits");
  }
  const auto [first_ex, last_ex] = parse_range(line.text("exponent-bits"), kExponentBits);
  const auto [first_mx, last_mx] = parse_range(line.text("mantissa-bits"), kMantissaBits);
  const auto [first_eg, last_eg] = parse_range(line.text("scale-exponent-bits"), kScaleExponentBits);
  const auto [first_mg, last_mg] = parse_range(line.text("scale-fraction-bits"), kScaleFractionBits);
  for (const std::string& grouping : split(line.text("grouping"), ',')) {
    for (int eg = first_eg; eg <= last_eg; ++eg) {
      for (int mg = first_mg; mg <= last_mg; ++mg) {
        for (int ex = first_ex; ex <= last_ex; ++ex) {
          for (int mx = first_mx; mx <= last_mx; ++mx) {
            // Corners of the rectangle that are no format.
            if (ex + mx == 0 || (ex == 4 && mx > 4)) continue;
            formats.push_back(parse_formats(fmt::format("e{}m{}/g{}m{}/{}", ex, mx, eg, mg, grouping)));
          }
        }
      }
    }
  }
  if (formats.empty()) throw std::runtime_error("nothing to sweep: no width in the ranges makes a format");
  return formats;
}

SweepAxes axes_of(const base::CommandLine& line, const workloads::Workload& workload) {
  const auto parts = [&](const char* option) {
    return line.has(option) ? split(line.text(option), ',') : std::vector<std::string>();
  };
  SweepAxes axes;
  axes.formats = formats_of(line);
  axes.accumulator_bits = {workload.accumulator.bits};
  if (line.has("accumulator-bits")) axes.accumulator_bits.clear();
  for (const std::string& bits : parts("accumulator-bits")) {
    axes.accumulator_bits.push_back(bits == "full" ? 0 : std::stoi(bits));
  }
  if (line.has("array")) axes.arrays.clear();
  for (const std::string& file : parts("array")) axes.arrays.emplace_back(file, sim::load_array_config(file));
  for (const std::string& share : parts("sharing")) axes.elements_per_scaler.push_back(std::stoi(share));
  return axes;
}

// Refuses formats of which a pass of the workload multiplies two that do not go together.
void check_products(const SweepPoint& point, const workloads::Workload& workload) {
  for (const workloads::Layer& layer : workload.layers) {
    for (const models::Pass pass : layer.passes) {
      const models::Format& left = point.formats[models::left_operand(pass)];
      const models::Format& right = point.formats[models::right_operand(pass)];
      if (models::family_of(left) == models::family_of(right)) continue;
      throw std::runtime_error(
          fmt::format("--formats: {} would multiply {} by {}, expected block-scaled, floating-point or int8 for both",
                      models::to_string(pass), models::to_string(left), models::to_string(right)));
    }
  }
}

// What a journal must have been written for to be taken up again: this program, the inputs' contents and everything
// that is varied.
std::string identity_of(const workloads::Workload& workload, const SweepTensors& tensors,
                        const std::vector<SweepPoint>& points, const std::string& engine, const energy::Laws& laws,
                        Activity activity) {
  base::Hash hash;
  const auto mix = [&](const std::string& text) { hash.add(text); };
  mix(MLSIM_VERSION);
  mix("rows of any number of multiply-adds");
  mix(fmt::format("{:016x}", workload.content_hash));
  mix(engine);
  mix(to_string(activity));
  mix(fmt::format("{} {:016x}", laws.table().name, laws.table().content_hash));
  for (const workloads::Layer& layer : workload.layers) {
    // They may come from a network in a file of its own.
    mix(layer.name);
    mix(shape_to_json(layer.shape).dump());
  }
  mix(fmt::format("{:016x}", tensors.hash()));
  for (const SweepPoint& point : points) {
    for (const Operand operand : models::kOperands) mix(models::to_string(point.formats[operand]));
    mix(fmt::format("{} {} {}", point.accumulator_bits, point.array_name, array_to_json(point.array).dump()));
  }
  return fmt::format("{:016x}", hash.value());
}

std::string cell(const Json& value) {
  if (value.is_null()) return "";
  if (value.is_string()) return csv_cell(value.get<std::string>());
  return base::to_text(value);
}

std::string to_csv(Engine engine, Activity activity, const energy::Laws& laws, const std::vector<Json>& rows) {
  std::string text;
  for (const Json& row : rows) {
    std::string header;
    std::string line;
    for (const auto& [key, value] : row.items()) {
      if (key == "passes") {
        for (const auto& [pass, entry] : value.items()) {
          for (const auto& [name, number] : entry.items()) {
            header += fmt::format(",{}_{}", pass, name);
            line += "," + cell(number);
          }
        }
      } else {
        header += "," + key;
        line += "," + cell(value);
      }
    }
    if (text.empty()) text = header.substr(1) + ",engine,activity,cost_table\n";
    text += fmt::format("{},{},{},{}\n", line.substr(1), to_string(engine), to_string(activity),
                        csv_cell(laws.table().name));
  }
  return text;
}

std::string to_json_text(const std::string& workload, Engine engine, Activity activity, const energy::Laws& laws,
                         const std::vector<Json>& rows) {
  return base::to_text(Json({{"schema", "mlsim.sweep/1"},
                             {"workload", workload},
                             {"engine", to_string(engine)},
                             {"activity", to_string(activity)},
                             {"cost_table", laws.table().name},
                             {"points", rows}}),
                       2) +
         "\n";
}

std::string to_table(const std::vector<Json>& rows) {
  const auto format_of = [](const Json& row) {
    std::string format = row["activation"];
    if (row["weight"] == row["activation"] && row["error"] == row["activation"]) return format;
    return fmt::format("{}+{}+{}", format, row["weight"].get<std::string>(), row["error"].get<std::string>());
  };
  std::size_t width = 18;
  for (const Json& row : rows) width = std::max(width, format_of(row).size());
  std::string text = fmt::format("{:<{}} {:>5} {:>7} {:>10} {:>10} {:>10} {:>9} {:>8} {:>9}\n", "format", width, "acc.",
                                 "array", "ops pJ/MAC", "all pJ/MAC", "cycles", "mm²", "SQNR dB", "overflows");
  for (const Json& row : rows) {
    text += fmt::format(
        "{:<{}} {:>5} {:>7} {:>10} {:>10} {:>10} {:>9} {:>8} {:>9}{}\n", format_of(row), width,
        row["accumulator_bits"].get<int>(),
        fmt::format("{}x{}/{}", row["rows"].get<int>(), row["columns"].get<int>(),
                    row["elements_per_scaler"].get<int>()),
        picojoules_each(row, "operations_only_pj"), picojoules_each(row, "computing_pj"), count_text(row["cycles"]),
        row["area_um2"].is_null() ? "-" : fmt::format("{:.4f}", row["area_um2"].get<double>() / 1e6),
        decibels_text(row["mean_sqnr_db"]), overflows_text(row["passes"]), row["pareto"].get<bool>() ? "  *" : "");
  }
  return text + "* on the Pareto front of energy (all computing) and mean SQNR\n";
}

class SweepProgress {
 public:
  explicit SweepProgress(std::size_t points) : points_(points) {}

  void show(std::size_t done, std::size_t done_here) const {
    if (!line_.is_on_terminal()) return;
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    const std::string left = done_here == 0 ? ""
                                            : fmt::format(", {:.0f} s left", seconds / static_cast<double>(done_here) *
                                                                                 static_cast<double>(points_ - done));
    line_.show(fmt::format("{} of {} points{}", done, points_, left));
    if (done == points_) line_.clear();
  }

 private:
  std::size_t points_;
  base::StatusLine line_{"mlsim sweep"};
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// The points that a stopped sweep has computed, with its journal, where the sweep has an output; else no rows.
std::unique_ptr<SweepJournal> open_journal(const std::filesystem::path& out, const std::string& identity,
                                           std::vector<Json>& rows) {
  if (out.empty()) return nullptr;
  if (out.has_parent_path()) base::create_directories(out.parent_path());
  // A place that cannot be written to is known at once.
  { const base::AtomicFile probe(out); }
  auto journal = std::make_unique<SweepJournal>(out, identity, rows.size());
  if (journal->was_of_another()) {
    base::print_error(fmt::format("mlsim: warning: {}: its journal was of another sweep and is begun anew\n",
                                  base::printable(out.string())));
  }
  if (journal->dropped() > 0) {
    base::print_error(fmt::format("mlsim: warning: {}: {} damaged or foreign lines of its journal are dropped\n",
                                  base::printable(out.string()), journal->dropped()));
  }
  for (const auto& [point, row] : journal->finished()) rows.at(point) = row;
  return journal;
}

// Computes the rows that are not there.
void compute_rows(const std::function<Json(std::size_t)>& row_of, SweepJournal* journal, std::vector<Json>& rows) {
  std::vector<std::size_t> open;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].is_null()) open.push_back(i);
  }
  const SweepProgress progress(rows.size());
  std::mutex mutex;
  std::size_t done_here = 0;
  const auto at_once = static_cast<std::size_t>(tbb::this_task_arena::max_concurrency());
  base::in_order(open.size(), at_once, [&](std::size_t o) {
    const std::size_t i = open[o];
    Json row = row_of(i);
    if (journal != nullptr) journal->add(i, row);
    const std::lock_guard lock(mutex);
    rows[i] = std::move(row);
    ++done_here;
    progress.show(rows.size() - open.size() + done_here, done_here);
  });
}

std::vector<base::Option> sweep_options() {
  return {{.name = "formats",
           .value_name = "F,...",
           .help = "formats, such as e2m4, mxfp8 or nvfp4/b16; ACTIVATION+WEIGHT+ERROR gives each operand its own",
           .kind = list_of([](const std::string& part) { parse_formats(part); })},
          {.name = "exponent-bits",
           .value_name = "A:B",
           .help = "widths of the element's exponent, 0 to 4",
           .kind = range_within(kExponentBits)},
          {.name = "mantissa-bits",
           .value_name = "C:D",
           .help = "widths of the element's mantissa, 0 to 10",
           .kind = range_within(kMantissaBits)},
          {.name = "scale-exponent-bits",
           .value_name = "A:B",
           .help = "widths of the group scale's exponent, 0 to 8; beside --exponent-bits",
           .kind = range_within(kScaleExponentBits),
           .preset = "8"},
          {.name = "scale-fraction-bits",
           .value_name = "C:D",
           .help = "widths of the group scale's fraction, 0 to 3; likewise",
           .kind = range_within(kScaleFractionBits),
           .preset = "1"},
          {.name = "grouping",
           .value_name = "G,...",
           .help = "nc, n, c, none, bB, kB or a tile, such as b16, k32 or t16x16x1x1: of the widths, and of each of "
                   "--formats that names none",
           .kind = list_of([](const std::string& part) {
             try {
               parse_formats("e2m1/g8m1/" + part);
             } catch (const std::runtime_error&) {
               throw std::runtime_error(
                   fmt::format("grouping '{}' is none of nc, n, c, none, bB and kB such as b16 or "
                               "k32, nor a tile such as t16x16x1x1",
                               part));
             }
           }),
           .preset = "nc"},
          {.name = "accumulator-bits",
           .value_name = "N,...",
           .help = "widths of the accumulator, 2 to 64; full is the one that no sum can overflow",
           .kind = list_within(kAccumulatorBits, "full")},
          {.name = "array", .value_name = "FILE,...", .help = "arrays", .kind = base::File{}},
          {.name = "sharing",
           .value_name = "N,...",
           .help = "elements that share a group-scale unit",
           .kind = list_within(kSharing)},
          {.name = "engine",
           .value_name = "E",
           .help = "functional, or analytic: no values, so no errors",
           .kind = base::Choice{{"functional", "analytic"}},
           .preset = "functional"},
          activity_option(),
          table_option(),
          {.name = "out", .value_name = "FILE", .help = "FILE.csv or FILE.json", .kind = base::File{}},
          jobs_option()};
}

// Says once where results are no numbers.
void warn_of_non_finite(const std::vector<Json>& rows) {
  std::size_t points = 0;
  std::string first;
  for (const Json& row : rows) {
    const auto has_some = [](const auto& entry) { return entry["non_finite"].is_number() && entry["non_finite"] != 0; };
    if (std::none_of(row["passes"].begin(), row["passes"].end(), has_some)) continue;
    if (points++ == 0) first = row["activation"];
  }
  if (points == 0) return;
  base::print_error(fmt::format("mlsim: warning: points with results that are infinite or NaN: {}, the first of {}\n",
                                points, first));
}

}  // namespace

const base::Command& sweep_command() {
  static const base::Command command{
      .name = "mlsim sweep",
      .synopsis = "WORKLOAD.json --formats F,... | --exponent-bits A:B --mantissa-bits C:D [options]",
      .summary = "price and measure many formats and arrays on one workload",
      .description =
          "Prices and measures every combination of formats and arrays on one workload, and marks the Pareto front of "
          "energy and error. With --out the points are written as CSV or JSON, by the name's ending; a sweep that was "
          "stopped goes on where it was when the same command is given again. Lists are separated by commas.",
      .operands = {{.name = "WORKLOAD.json"}},
      .groups = {{.title = "options", .options = sweep_options()}}};
  return command;
}

void run_sweep(const base::CommandLine& line) {
  const Engine engine = parse_engine(line.text("engine"));
  const Activity activity = parse_activity(line.text("activity"));
  const std::filesystem::path out = line.path("out");
  if (!out.empty() && out.extension() != ".csv" && out.extension() != ".json") {
    base::refuse("", "--out", fmt::format("is '{}', expected a name that ends in .csv or .json", out.string()));
  }
  const std::unique_ptr<tbb::global_control> limit = limit_threads(line);
  const energy::Laws laws = find_laws(line.text("table"));
  const workloads::Workload workload = workloads::load_workload(line.operands().front());
  const std::vector<SweepPoint> points = sweep_points(axes_of(line, workload));
  for (const SweepPoint& point : points) check_products(point, workload);

  std::vector<std::filesystem::path> inputs = workload.files;
  inputs.push_back(laws.table().file);
  if (line.has("array")) {
    for (const std::string& file : split(line.text("array"), ',')) inputs.emplace_back(file);
  }
  if (!out.empty()) base::check_outputs({out, SweepJournal::file_of(out)}, inputs);

  std::vector<Json> rows(points.size());
  const SweepTensors tensors(workload);
  const std::string identity =
      out.empty() ? "" : identity_of(workload, tensors, points, line.text("engine"), laws, activity);
  const std::unique_ptr<SweepJournal> journal = open_journal(out, identity, rows);
  const auto row_of = [&](std::size_t i) {
    Json row = run_point(workload, points[i], engine, laws, activity);
    tensors.require_unchanged();
    return row;
  };
  compute_rows(row_of, journal.get(), rows);
  mark_pareto_front(rows);
  warn_of_non_finite(rows);
  if (journal) {
    base::write_file(out, out.extension() == ".csv" ? to_csv(engine, activity, laws, rows)
                                                    : to_json_text(workload.name, engine, activity, laws, rows));
    journal->remove();
  }
  std::cout << base::printable_lines(to_table(rows)) << std::flush;
}

}  // namespace mlsim::app
