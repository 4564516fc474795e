#include "app/cli/sweep_command.h"

#include <fmt/core.h>
#include <oneapi/tbb/task_arena.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <span>
#include <stdexcept>

#include "app/cli/options.h"
#include "base/hash.h"
#include "base/input_file.h"
#include "base/json.h"
#include "base/output_file.h"
#include "base/parallel.h"
#include "base/terminal.h"
#include "energy/cost_table.h"
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
namespace po = boost::program_options;
using Json = nlohmann::ordered_json;
using models::Operand;

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  while (true) {
    const std::size_t end = text.find(separator, begin);
    parts.push_back(text.substr(begin, end - begin));
    if (end == std::string::npos) return parts;
    begin = end + 1;
  }
}

// `low:high` or one number.
std::pair<int, int> parse_range(const std::string& option, const std::string& text, int low, int high) {
  const std::vector<std::string> ends = split(text, ':');
  if (ends.size() > 2) throw std::runtime_error(fmt::format("{} is '{}', expected LOW:HIGH or a number", option, text));
  const auto end = [&](const std::string& part) {
    return static_cast<int>(
        parse_whole_number(option, part, static_cast<std::uint64_t>(low), static_cast<std::uint64_t>(high)));
  };
  const std::pair<int, int> range{end(ends.front()), end(ends.back())};
  if (range.first > range.second) {
    throw std::runtime_error(fmt::format("{} is '{}', expected the lower end first", option, text));
  }
  return range;
}

// `F`, or `A+W+E` for activation, weight and error.
PerOperand<models::Format> parse_formats(const std::string& text) {
  const std::vector<std::string> parts = split(text, '+');
  if (parts.size() != 1 && parts.size() != 3) {
    throw std::runtime_error(
        fmt::format("--formats has '{}', expected a format, or three as ACTIVATION+WEIGHT+ERROR", text));
  }
  PerOperand<models::Format> formats;
  for (const Operand operand : models::kOperands) {
    formats[operand] = models::parse_format(parts[parts.size() == 1 ? 0 : static_cast<std::size_t>(operand)]);
  }
  return formats;
}

std::vector<PerOperand<models::Format>> formats_of(const po::variables_map& values) {
  const auto text = [&](const char* option) { return values[option].as<std::string>(); };
  std::vector<PerOperand<models::Format>> formats;
  if (values.count("formats") != 0) {
    for (const char* option :
         {"exponent-bits", "mantissa-bits", "scale-exponent-bits", "scale-fraction-bits", "grouping"}) {
      if (values.count(option) != 0 && !values[option].defaulted()) {
        throw std::runtime_error(fmt::format("--formats and --{} are given, expected one of them", option));
      }
    }
    for (const std::string& one : split(text("formats"), ',')) formats.push_back(parse_formats(one));
    return formats;
  }
  if (values.count("exponent-bits") == 0 || values.count("mantissa-bits") == 0) {
    throw std::runtime_error("nothing to sweep: expected --formats, or --exponent-bits with --mantissa-bits");
  }
  const auto [first_ex, last_ex] = parse_range("--exponent-bits", text("exponent-bits"), 0, 4);
  const auto [first_mx, last_mx] = parse_range("--mantissa-bits", text("mantissa-bits"), 0, 10);
  const auto [first_eg, last_eg] = parse_range("--scale-exponent-bits", text("scale-exponent-bits"), 0, 8);
  const auto [first_mg, last_mg] = parse_range("--scale-fraction-bits", text("scale-fraction-bits"), 0, 3);
  for (const std::string& grouping : split(text("grouping"), ',')) {
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

SweepAxes axes_of(const po::variables_map& values, const workloads::Workload& workload) {
  const auto text = [&](const char* option) { return values[option].as<std::string>(); };
  SweepAxes axes;
  axes.formats = formats_of(values);
  axes.accumulator_bits = {workload.accumulator.bits};
  if (values.count("accumulator-bits") != 0) {
    axes.accumulator_bits.clear();
    for (const std::string& bits : split(text("accumulator-bits"), ',')) {
      axes.accumulator_bits.push_back(
          bits == "full" ? 0 : static_cast<int>(parse_whole_number("--accumulator-bits", bits, 2, 64)));
    }
  }
  if (values.count("array") != 0) {
    axes.arrays.clear();
    for (const std::string& file : split(text("array"), ',')) {
      axes.arrays.emplace_back(file, sim::load_array_config(file));
    }
  }
  if (values.count("sharing") != 0) {
    for (const std::string& share : split(text("sharing"), ',')) {
      axes.elements_per_scaler.push_back(static_cast<int>(parse_whole_number("--sharing", share, 1, 1 << 20)));
    }
  }
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
          fmt::format("--formats: {} would multiply {} by {}, expected MLS, floating-point or int8 for both",
                      models::to_string(pass), models::to_string(left), models::to_string(right)));
    }
  }
}

// The contents of a tensor. Every point of a sweep reads it anew, which a pipe does not allow.
std::uint64_t hash_of_tensor(const std::filesystem::path& path) {
  base::RegularFile file(path, "a tensor that each point of a sweep can read");
  base::Hash hash;
  std::vector<std::uint8_t> piece(std::size_t{1} << 20);
  while (file.left() > 0) {
    const std::span<std::uint8_t> bytes = std::span(piece).first(std::min<std::uint64_t>(piece.size(), file.left()));
    file.read(bytes);
    hash.add({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  return hash.value();
}

// What a journal must have been written for to be taken up again: this program, the inputs' contents and everything
// that is varied.
std::string identity_of(const workloads::Workload& workload, const std::vector<SweepPoint>& points,
                        const std::string& engine, const energy::Laws& laws, Activity activity) {
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
    for (const workloads::LayerOperand& operand : layer.operands) {
      if (const auto* path = std::get_if<std::filesystem::path>(&operand.source)) {
        mix(fmt::format("{:016x}", hash_of_tensor(*path)));
      }
    }
  }
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
  std::string text = fmt::format("{:<18} {:>5} {:>7} {:>10} {:>10} {:>10} {:>9} {:>8} {:>9}\n", "format", "acc.",
                                 "array", "ops pJ/MAC", "all pJ/MAC", "cycles", "mm²", "SQNR dB", "overflows");
  for (const Json& row : rows) {
    std::string format = row["activation"];
    if (row["weight"] != row["activation"] || row["error"] != row["activation"]) {
      format = fmt::format("{}+{}+{}", format, row["weight"].get<std::string>(), row["error"].get<std::string>());
    }
    text += fmt::format(
        "{:<18} {:>5} {:>7} {:>10} {:>10} {:>10} {:>9} {:>8} {:>9}{}\n", format, row["accumulator_bits"].get<int>(),
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

}  // namespace

int run_sweep(const std::vector<std::string>& arguments) {
  const Usage usage{"mlsim sweep WORKLOAD.json --formats F,... | --exponent-bits A:B --mantissa-bits C:D [options]",
                    "Prices and measures every combination of formats and arrays on one workload, and marks the Pareto "
                    "front of energy\n"
                    "and error. With --out the points are written as CSV or JSON, by the name's ending; a sweep that "
                    "was stopped goes on\n"
                    "where it was when the same command is given again. Lists are separated by commas."};
  po::options_description visible("options");
  // clang-format off
  visible.add_options()
      ("formats", po::value<std::string>()->value_name("F,..."),
       "formats; ACTIVATION+WEIGHT+ERROR gives each operand its own")
      ("exponent-bits", po::value<std::string>()->value_name("A:B"), "widths of the element's exponent, 0 to 4")
      ("mantissa-bits", po::value<std::string>()->value_name("C:D"), "widths of the element's mantissa, 0 to 10")
      ("scale-exponent-bits", po::value<std::string>()->value_name("A:B")->default_value("8"),
       "widths of the group scale's exponent, 0 to 8; beside --exponent-bits")
      ("scale-fraction-bits", po::value<std::string>()->value_name("C:D")->default_value("1"),
       "widths of the group scale's fraction, 0 to 3; likewise")
      ("grouping", po::value<std::string>()->value_name("G,...")->default_value("nc"), "nc, n, c, none; likewise")
      ("accumulator-bits", po::value<std::string>()->value_name("N,..."),
       "widths of the accumulator, 2 to 64; full is the one that no sum can overflow")
      ("array", po::value<std::string>()->value_name("FILE,..."), "arrays")
      ("sharing", po::value<std::string>()->value_name("N,..."), "elements that share a group-scale unit")
      ("engine", po::value<std::string>()->value_name("E")->default_value("functional"),
       "functional, or analytic: no values, so no errors")
      ("activity", po::value<std::string>()->value_name("A")->default_value("dense"),
       "operands that are priced: dense, zeros (as counted in the values), or gated (elements that hold still at a zero)")
      ("table", po::value<std::string>()->value_name("TABLE")->default_value(std::string(energy::kDefaultCostTable)),
       "cost table: a shipped one by name, or a file")
      ("out", po::value<std::string>()->value_name("FILE"), "FILE.csv or FILE.json")
      ("jobs", po::value<std::string>()->value_name("N"), "threads, all cores by default");
  po::options_description hidden;
  hidden.add_options()("workload", po::value<std::string>()->required());
  // clang-format on
  po::positional_options_description positional;
  positional.add("workload", 1);
  po::variables_map values;
  if (!parse_command_line(usage, visible, hidden, positional, arguments, values)) return 0;
  const auto text = [&](const char* option) { return values[option].as<std::string>(); };

  const Engine engine = parse_engine(text("engine"));
  if (engine != Engine::kFunctional && engine != Engine::kAnalytic) {
    throw std::runtime_error("--engine is '" + text("engine") + "', expected functional or analytic");
  }
  const Activity activity = parse_activity(text("activity"));
  const std::filesystem::path out = values.count("out") != 0 ? text("out") : "";
  if (!out.empty() && out.extension() != ".csv" && out.extension() != ".json") {
    throw std::runtime_error("--out is '" + out.string() + "', expected a name that ends in .csv or .json");
  }
  const std::unique_ptr<tbb::global_control> limit = limit_threads(values);
  const energy::Laws laws = find_laws(text("table"));
  const workloads::Workload workload = workloads::load_workload(text("workload"));
  const std::vector<SweepPoint> points = sweep_points(axes_of(values, workload));

  for (const SweepPoint& point : points) check_products(point, workload);

  std::vector<Json> rows(points.size());
  std::unique_ptr<SweepJournal> journal;
  if (!out.empty()) {
    if (out.has_parent_path()) base::create_directories(out.parent_path());
    // A place that cannot be written to is known at once.
    { const base::AtomicFile probe(out); }
    journal = std::make_unique<SweepJournal>(out, identity_of(workload, points, text("engine"), laws, activity),
                                             points.size());
    if (journal->dropped() > 0) {
      base::print_error(fmt::format("mlsim: warning: {}.journal: {} damaged or foreign lines are dropped\n",
                                    base::printable(out.string()), journal->dropped()));
    }
    for (const auto& [point, row] : journal->finished()) rows.at(point) = row;
  }
  std::vector<std::size_t> open;
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (rows[i].is_null()) open.push_back(i);
  }
  const SweepProgress progress(points.size());
  std::mutex mutex;
  std::size_t done_here = 0;
  const auto at_once = static_cast<std::size_t>(tbb::this_task_arena::max_concurrency());
  base::in_order(open.size(), at_once, [&](std::size_t o) {
    const std::size_t i = open[o];
    Json row = run_point(workload, points[i], engine, laws, activity);
    if (journal) journal->add(i, row);
    const std::lock_guard lock(mutex);
    rows[i] = std::move(row);
    ++done_here;
    progress.show(points.size() - open.size() + done_here, done_here);
  });

  mark_pareto_front(rows);
  if (journal) {
    base::write_file(out, out.extension() == ".csv" ? to_csv(engine, activity, laws, rows)
                                                    : to_json_text(workload.name, engine, activity, laws, rows));
    journal->remove();
  }
  std::cout << base::printable_lines(to_table(rows)) << std::flush;
  return 0;
}

}  // namespace mlsim::app
