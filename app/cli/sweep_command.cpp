#include "app/cli/sweep_command.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <vector>

#include "app/cli/options.h"
#include "app/report/sweep_report.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/output_file.h"
#include "base/terminal.h"
#include "base/text.h"
#include "evaluation/sweep.h"
#include "evaluation/sweep_axes.h"

namespace mlsim::app {
namespace {

using evaluation::Activity;
using evaluation::array_to_json;
using evaluation::ArrayChoice;
using evaluation::arrays_of;
using evaluation::check_products;
using evaluation::differ_in_dataflow;
using evaluation::Engine;
using evaluation::joined;
using evaluation::mark_pareto_front;
using evaluation::NamedArrays;
using evaluation::Objective;
using evaluation::parse_activity;
using evaluation::parse_array_choice;
using evaluation::parse_engine;
using evaluation::PerOperand;
using evaluation::run_points;
using evaluation::shape_to_json;
using evaluation::sweep_formats;
using evaluation::sweep_points;
using evaluation::SweepAxes;
using evaluation::SweepJournal;
using evaluation::SweepPoint;
using evaluation::SweepSetting;
using evaluation::SweepTensors;
using evaluation::WidthRange;
using evaluation::WidthRanges;
using evaluation::with_dataflows;
using Json = nlohmann::ordered_json;
using models::Operand;

base::WholeNumber limits_of(const WidthRange& widths) {
  return {static_cast<std::uint64_t>(widths.low), static_cast<std::uint64_t>(widths.high)};
}

// `low:high` or one number.
WidthRange parse_range(const std::string& text, const WidthRange& widths) {
  const std::vector<std::string> ends = base::split(text, ':');
  if (ends.size() > 2) throw std::runtime_error(fmt::format("is '{}', expected LOW:HIGH or a number", text));
  for (const std::string& end : ends) {
    const std::string reason = base::complaint(limits_of(widths), end);
    if (!reason.empty()) throw std::runtime_error(reason);
  }
  const WidthRange range{std::stoi(ends.front()), std::stoi(ends.back())};
  if (range.low > range.high) throw std::runtime_error(fmt::format("is '{}', expected the lower end first", text));
  return range;
}

base::Parsed range_within(const WidthRange& widths) {
  return {[widths](const std::string& text) { parse_range(text, widths); }};
}

base::Parsed list_within(const base::WholeNumber& limits, const std::string& also = "") {
  return list_of([=](const std::string& part) {
    const std::string reason = part == also && !also.empty() ? "" : base::complaint(limits, part);
    if (!reason.empty()) throw std::runtime_error(reason);
  });
}

std::vector<PerOperand<models::Format>> formats_of(const base::CommandLine& line) {
  const auto groupings = [&] { return base::split(line.text("grouping"), ','); };
  const bool has_widths = line.has("exponent-bits") && line.has("mantissa-bits");
  if (!has_widths) {
    for (const char* option : {"exponent-bits", "mantissa-bits", "scale-exponent-bits", "scale-fraction-bits"}) {
      if (!line.given(option)) continue;
      throw std::runtime_error(
          fmt::format("--{} is given, expected both --exponent-bits and --mantissa-bits beside it", option));
    }
  }
  std::vector<PerOperand<models::Format>> formats;
  if (line.has("formats")) {
    formats = joined({}, sweep_formats(base::split(line.text("formats"), ','),
                                       line.given("grouping") ? groupings() : std::vector<std::string>()));
    if (!has_widths) return formats;
  } else if (!has_widths) {
    throw std::runtime_error("nothing to sweep: expected --formats, or --exponent-bits with --mantissa-bits");
  }
  WidthRanges ranges;
  ranges.exponent = parse_range(line.text("exponent-bits"), evaluation::kExponentWidths);
  ranges.mantissa = parse_range(line.text("mantissa-bits"), evaluation::kMantissaWidths);
  ranges.scale_exponent = parse_range(line.text("scale-exponent-bits"), evaluation::kScaleExponentWidths);
  ranges.scale_fraction = parse_range(line.text("scale-fraction-bits"), evaluation::kScaleFractionWidths);
  return joined(std::move(formats), sweep_formats(ranges, groupings()));
}

std::vector<Objective> front_of(const base::CommandLine& line, Engine engine) {
  if (!line.has("pareto")) return evaluation::default_front(engine);
  std::vector<Objective> objectives;
  for (const std::string& name : base::split(line.text("pareto"), ',')) {
    objectives.push_back(evaluation::parse_objective(name));
  }
  try {
    evaluation::check_front(objectives, engine);
  } catch (const std::runtime_error& error) {
    base::refuse("", "--pareto", error.what());
  }
  return objectives;
}

// Of --array and --dataflow.
std::vector<ArrayChoice> array_choices(const base::CommandLine& line) {
  std::vector<ArrayChoice> choices;
  std::vector<sim::DataflowKind> dataflows;
  if (!line.has("array")) choices.emplace_back();
  if (line.has("array")) {
    for (const std::string& part : base::split(line.text("array"), ',')) choices.push_back(parse_array_choice(part));
  }
  if (line.has("dataflow")) {
    for (const std::string& part : base::split(line.text("dataflow"), ',')) {
      dataflows.push_back(sim::parse_dataflow_kind(part));
    }
  }
  return with_dataflows(choices, dataflows);
}

// Arrays of a given area, which depends on the format.
void add_arrays_of_area(const base::CommandLine& line, const SweepSetting& setting, SweepAxes& axes) {
  for (const ArrayChoice& choice : array_choices(line)) {
    if (choice.area_mm2 == 0) continue;
    if (axes.formats.size() != 1) {
      throw std::runtime_error(
          fmt::format("--array {}: has the area of {} formats, expected one", choice.text, axes.formats.size()));
    }
    const auto area = [&](const sim::ArrayConfig& array) {
      return evaluation::computing_area_of(setting, axes.formats.front(), array);
    };
    for (auto& array : arrays_of(choice, area)) axes.arrays.push_back(std::move(array));
  }
}

SweepAxes axes_of(const base::CommandLine& line, const workloads::Workload& workload) {
  const auto parts = [&](const char* option) {
    return line.has(option) ? base::split(line.text(option), ',') : std::vector<std::string>();
  };
  SweepAxes axes;
  axes.formats = formats_of(line);
  axes.accumulator_bits = {workload.accumulator.bits};
  if (line.has("accumulator-bits")) axes.accumulator_bits.clear();
  for (const std::string& bits : parts("accumulator-bits")) {
    axes.accumulator_bits.push_back(bits == "full" ? 0 : std::stoi(bits));
  }
  axes.arrays.clear();
  for (const ArrayChoice& choice : array_choices(line)) {
    if (choice.area_mm2 > 0) continue;
    for (auto& array : arrays_of(choice, {})) axes.arrays.push_back(std::move(array));
  }
  for (const std::string& share : parts("sharing")) axes.elements_per_scaler.push_back(std::stoi(share));
  for (const std::string& taps : parts("taps-per-cycle")) axes.taps_per_cycle.push_back(std::stoi(taps));
  return axes;
}

// What a journal must have been written for to be taken up again: this program, the inputs' contents and everything
// that is varied.
std::string identity_of(const workloads::Workload& workload, const SweepTensors& tensors,
                        const std::vector<SweepPoint>& points, const std::string& engine, const energy::Laws& laws,
                        Activity activity) {
  base::Hash hash;
  const auto mix = [&](const std::string& text) { hash.add(text); };
  mix(MLSIM_VERSION);
  mix("rows with the names of their formats");
  mix(fmt::format("{:016x}", workload.content_hash));
  mix(engine);
  mix(to_string(activity));
  mix(fmt::format("{} {:016x}", laws.table().name, laws.table().content_hash));
  for (const workloads::Layer& layer : workload.layers) {
    // They may come from a network in a file of its own.
    mix(layer.name);
    mix(shape_to_json(layer.shape).dump());
    for (const models::Pass pass : layer.passes) mix(models::to_string(pass));
  }
  mix(fmt::format("{:016x}", tensors.hash()));
  for (const SweepPoint& point : points) {
    for (const Operand operand : models::kOperands) mix(models::to_string(point.formats[operand]));
    mix(fmt::format("{} {} {}", point.accumulator_bits, point.array_name, array_to_json(point.array).dump()));
  }
  return fmt::format("{:016x}", hash.value());
}

class SweepProgress {
 public:
  SweepProgress(std::size_t points, bool quiet) : points_(points), line_("mlsim sweep", quiet) {}

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
  base::StatusLine line_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// The points that a stopped sweep has computed, with its journal, where the sweep has an output; else no rows.
std::unique_ptr<SweepJournal> open_journal(const base::CommandLine& line, const std::string& identity,
                                           std::vector<Json>& rows) {
  const std::filesystem::path out = line.path("out");
  if (out.empty()) return nullptr;
  base::create_folder_of(out);
  // A place that cannot be written to is known at once.
  { const base::AtomicFile probe(out); }
  auto journal = std::make_unique<SweepJournal>(out, identity, rows.size());
  if (journal->was_of_another()) {
    print_warnings(line, {fmt::format("{}: its journal was of another sweep and is begun anew", out.string())});
  }
  if (journal->dropped() > 0) {
    print_warnings(line, {fmt::format("{}: {} damaged or foreign lines of its journal are dropped", out.string(),
                                      journal->dropped())});
  }
  for (const auto& [point, row] : journal->finished()) rows.at(point) = row;
  return journal;
}

std::vector<base::Option> sweep_options() {
  return {{.name = "formats",
           .value_name = "F,...",
           .help = "formats, such as e2m4, mxfp8 or nvfp4/b16; ACTIVATION+WEIGHT+ERROR gives each operand its own",
           .kind = list_of([](const std::string& part) { evaluation::parse_sweep_formats(part); })},
          {.name = "exponent-bits",
           .value_name = "A:B",
           .help = "widths of the element's exponent, 0 to 4",
           .kind = range_within(evaluation::kExponentWidths)},
          {.name = "mantissa-bits",
           .value_name = "C:D",
           .help = "widths of the element's mantissa, 0 to 10",
           .kind = range_within(evaluation::kMantissaWidths)},
          {.name = "scale-exponent-bits",
           .value_name = "A:B",
           .help = "widths of the group scale's exponent, 0 to 8; beside --exponent-bits",
           .kind = range_within(evaluation::kScaleExponentWidths),
           .preset = "8"},
          {.name = "scale-fraction-bits",
           .value_name = "C:D",
           .help = "widths of the group scale's fraction, 0 to 3; likewise",
           .kind = range_within(evaluation::kScaleFractionWidths),
           .preset = "1"},
          {.name = "grouping",
           .value_name = "G,...",
           .help = "nc, n, c, none, bB, kB or a tile, such as b16, k32 or t16x16x1x1: of the widths, and of each of "
                   "--formats that names none",
           .kind = list_of(evaluation::check_grouping),
           .preset = "nc"},
          {.name = "accumulator-bits",
           .value_name = "N,...",
           .help = "widths of the accumulator, 2 to 64; full is the one that no sum can overflow",
           .kind = list_within(limits_of(evaluation::kAccumulatorWidths), "full")},
          {.name = "array",
           .value_name = "A,...",
           .help = "arrays: files, or auto:N, every shape of N elements, or auto:Xmm2, the shapes that fit in an area; "
                   "auto:N:FILE has the other keys of a file",
           .kind = list_of([](const std::string& part) { evaluation::parse_array_choice(part); })},
          {.name = "dataflow",
           .value_name = "D,...",
           .help = "output-stationary, weight-stationary: in the place of what the arrays have",
           .kind = list_of([](const std::string& part) { sim::parse_dataflow_kind(part); })},
          {.name = "sharing",
           .value_name = "N,...",
           .help = "elements that share a group-scale unit",
           .kind = list_within({1, evaluation::kMostSharing})},
          {.name = "taps-per-cycle",
           .value_name = "N,...",
           .help = "multipliers of an element, whose products are one addition",
           .kind = list_within({1, evaluation::kMostTapsPerCycle})},
          {.name = "engine",
           .value_name = "E",
           .help = "functional, or analytic: no values, so no errors",
           .kind = base::Choice{{"functional", "analytic"}},
           .preset = "functional"},
          batch_option(),
          values_option(),
          strict_option(),
          activity_option(),
          table_option(),
          {.name = "pareto",
           .value_name = "O,...",
           .help = "what the front is of: energy (with memory), computing (without), time, edp (energy times time), "
                   "area, error; if "
                   "not given, computing and error, and of the analytic engine energy and time",
           .kind = list_of([](const std::string& part) { evaluation::parse_objective(part); })},
          {.name = "out", .value_name = "FILE", .help = "FILE.csv or FILE.json", .kind = base::File{}},
          jobs_option(),
          quiet_option()};
}

// What an interrupted sweep says.
std::string farewell_of(const std::filesystem::path& out) {
  if (out.empty()) return "\nmlsim: sweep interrupted, nothing is kept without --out\n";
  return fmt::format("\nmlsim: sweep interrupted, its finished points are in {}: the same command goes on from there\n",
                     base::printable(SweepJournal::file_of(out).string()));
}

}  // namespace

const base::Command& sweep_command() {
  static const base::Command command{
      .name = "mlsim sweep",
      .synopsis = "WORKLOAD [--formats F,...] [--exponent-bits A:B --mantissa-bits C:D] [options]",
      .summary = "price and measure many formats and arrays on one workload",
      .description =
          "Prices and measures every combination of formats and arrays on one workload, and marks the Pareto front of "
          "what --pareto names. With --out the points are written as CSV or JSON, by the name's ending; a sweep that "
          "was "
          "stopped goes on where it was when the same command is given again. Lists are separated by commas.\n"
          "\n" +
          sources_text("WORKLOAD"),
      .operands = {source_operand("WORKLOAD")},
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
  const workloads::Workload workload = workloads::open_workload(line.operands().front(), source_options(line));
  print_warnings(line, workload.remarks);
  SweepSetting setting{workload, engine, laws, activity, front_of(line, engine)};
  SweepAxes axes = axes_of(line, workload);
  add_arrays_of_area(line, setting, axes);
  const std::vector<SweepPoint> points = sweep_points(axes);
  setting.tells_dataflow = differ_in_dataflow(points);
  setting.tells_taps = differ_in_taps(points);
  for (const SweepPoint& point : points) check_products(point, workload);

  std::vector<std::filesystem::path> inputs = workload.files;
  inputs.push_back(laws.table().file);
  if (line.has("array")) {
    for (const ArrayChoice& choice : array_choices(line)) {
      if (!choice.file.empty()) inputs.emplace_back(choice.file);
    }
  }
  if (!out.empty()) base::check_outputs({out, SweepJournal::file_of(out)}, inputs);

  std::vector<Json> rows(points.size());
  const SweepTensors tensors(workload);
  const std::string identity =
      out.empty() ? "" : identity_of(workload, tensors, points, line.text("engine"), laws, activity);
  const std::unique_ptr<SweepJournal> journal = open_journal(line, identity, rows);
  const base::Farewell farewell(farewell_of(out));
  const SweepProgress progress(rows.size(), line.flag("quiet"));
  const auto finished =
      static_cast<std::size_t>(std::count_if(rows.begin(), rows.end(), [](const Json& row) { return !row.is_null(); }));
  std::size_t done_here = 0;
  run_points(setting, points, rows, [&](std::size_t point) {
    tensors.require_unchanged();
    if (journal) journal->add(point, rows[point]);
    ++done_here;
    progress.show(finished + done_here, done_here);
  });
  mark_pareto_front(rows, setting.front);
  const std::string remark = evaluation::non_finite_remark(rows);
  if (!remark.empty()) print_warnings(line, {remark});
  const Json document = sweep_json(setting, rows);
  if (journal) {
    base::write_file(out, out.extension() == ".csv" ? sweep_csv(setting, rows) : base::to_text(document, 2) + "\n");
    journal->remove();
  }
  // What is written to a file is not said as well where quiet is asked for.
  if (!journal || !line.flag("quiet")) std::cout << base::printable_lines(sweep_table(document)) << std::flush;
}

}  // namespace mlsim::app
