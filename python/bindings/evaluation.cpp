// simulate, report, sweep and counts of mlsim._native: each takes a request as JSON, which the package's Python side
// writes, and returns the document that the command of that name writes.
#include "evaluation/evaluation.h"

#include <fmt/format.h>

#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <vector>

#include "app/report/report.h"
#include "app/report/sweep_reader.h"
#include "app/report/sweep_report.h"
#include "base/json.h"
#include "base/json_reader.h"
#include "base/output_file.h"
#include "energy/cost_table.h"
#include "evaluation/point_dispenser.h"
#include "evaluation/simulate.h"
#include "evaluation/sweep_axes.h"
#include "evaluation/sweep_collector.h"
#include "python/bindings/arguments.h"
#include "python/bindings/interruptible.h"
#include "python/bindings/module.h"
#include "sim/simulate.h"
#include "workloads/source.h"
#include "workloads/training_counts.h"

namespace mlsim::python {
namespace {

using base::JsonReader;
using Json = nlohmann::ordered_json;

// What is missing or null is nothing.
bool has(const JsonReader& request, const char* key) {
  return request.has(key) && !request[key].json().is_null();
}

std::vector<std::string> texts_of(const JsonReader& list) {
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < list.size(); ++i) texts.push_back(list[i].text());
  return texts;
}

std::optional<int> threads_asked_for(const JsonReader& request) {
  if (!has(request, "threads")) return std::nullopt;
  return request["threads"].integer<int>(1, 1024);
}

// A document is given as its text, with a name for errors and a folder for its paths, or as a file.
workloads::Workload workload_of(const JsonReader& source) {
  const std::string file = source["file"].text();
  if (!has(source, "text")) return workloads::open_workload(file);
  return workloads::parse_workload(source["text"].text(), file, source["folder"].text());
}

workloads::Network network_of(const JsonReader& source, std::optional<std::int64_t> batch = {}) {
  const std::string file = source["file"].text();
  if (!has(source, "text")) return workloads::open_network(file, {.batch = batch}).network;
  return workloads::parse_network(source["text"].text(), file);
}

sim::ArrayConfig array_of(const JsonReader& source) {
  const std::string file = source["file"].text();
  if (!has(source, "text")) return sim::load_array_config(file);
  return sim::read_array_config(base::parse_json(source["text"].text(), file), file);
}

energy::Laws laws_of(const JsonReader& request) {
  return energy::Laws(energy::find_cost_table(request["table"].text()));
}

// The text and what there is to say about it.
Json with_remark(Json document, std::string remark) {
  return {{"document", std::move(document)}, {"remark", std::move(remark)}};
}

std::string simulate(const JsonReader& request, const evaluation::Progress& progress) {
  evaluation::SimulationOptions options;
  options.engine = evaluation::parse_engine(request["engine"].text());
  options.measure_baselines = request["baselines"].flag();
  options.layers_at_once = 2;
  if (has(request, "array")) options.array = array_of(request["array"]);
  if (has(request, "tensors")) options.tensors = request["tensors"].text();
  if (has(request, "trace")) options.trace = sim::TraceRequest{request["trace"].text()};
  workloads::Workload workload = workload_of(request["workload"]);
  if (has(request, "format")) {
    workloads::set_formats(workload, models::parse_operand_formats(request["format"].text()));
  }
  std::vector<std::filesystem::path> inputs = workload.files;
  if (has(request, "array") && !has(request["array"], "text")) inputs.emplace_back(request["array"]["file"].text());
  base::check_outputs(evaluation::output_files(options, workload), inputs);
  const evaluation::Results results = evaluation::simulate(workload, options, progress);
  return base::to_text(with_remark(evaluation::to_json(results), evaluation::non_finite_remark(results)));
}

// ---- Reports

// Results as their text or a file.
evaluation::Results results_of(const JsonReader& source) {
  const std::string file = source["file"].text();
  return has(source, "text") ? evaluation::parse_results(source["text"].text(), file) : evaluation::load_results(file);
}

std::string report(const JsonReader& request, const evaluation::Progress& progress) {
  const energy::Laws laws = laws_of(request);
  const evaluation::Activity activity = evaluation::parse_activity(request["activity"].text());
  const std::string format = request["format"].text();
  app::ReportExtras extras;
  extras.detail = request["detail"].flag();
  if (has(request, "sweep")) extras.sweep = app::parse_sweep(request["sweep"].text(), "sweep");
  if (has(request, "accuracy")) {
    const JsonReader accuracies = request["accuracy"];
    for (std::size_t i = 0; i < accuracies.size(); ++i) {
      extras.accuracies.push_back({accuracies[i]["name"].text(), accuracies[i]["file"].text()});
    }
  }
  std::optional<workloads::Network> network;
  if (has(request, "step")) network = network_of(request["step"]);
  std::vector<evaluation::Evaluation> evaluations;
  const JsonReader list = request["results"];
  for (std::size_t i = 0; i < list.size(); ++i) {
    progress("pricing");
    evaluation::Source source{list[i]["file"].text(), results_of(list[i]), {}, activity, {}};
    if (network) source.step = evaluation::training_step(*network, source.results, source.file, laws);
    evaluations.emplace_back(std::move(source), laws);
  }
  return app::report_as(format, evaluations, extras);
}

// ---- Sweeps

evaluation::WidthRange range_of(const JsonReader& request, const char* key, const evaluation::WidthRange& widths) {
  const JsonReader pair = request[key];
  const auto end = [&](std::size_t i) {
    return pair[i].integer<int>(static_cast<std::uint64_t>(widths.low), static_cast<std::uint64_t>(widths.high));
  };
  if (pair.size() != 2) pair.refuse_value("a whole number or a pair of them");
  const evaluation::WidthRange range{end(0), end(1)};
  if (range.low > range.high) pair.refuse_value("the lower end first");
  return range;
}

std::vector<evaluation::PerOperand<models::Format>> formats_of(const JsonReader& request) {
  std::vector<std::string> groupings;
  if (has(request, "grouping")) {
    groupings = texts_of(request["grouping"]);
    for (const std::string& grouping : groupings) evaluation::check_grouping(grouping);
  }
  const bool has_widths = has(request, "exponent_bits") && has(request, "mantissa_bits");
  if (!has_widths) {
    for (const char* key : {"exponent_bits", "mantissa_bits", "scale_exponent_bits", "scale_fraction_bits"}) {
      if (!has(request, key)) continue;
      throw std::runtime_error(
          fmt::format("{} is given, expected both exponent_bits and mantissa_bits beside it", key));
    }
  }
  std::vector<evaluation::PerOperand<models::Format>> formats;
  if (has(request, "formats")) {
    formats = evaluation::joined({}, evaluation::sweep_formats(texts_of(request["formats"]), groupings));
    if (!has_widths) return formats;
  } else if (!has_widths) {
    throw std::runtime_error("nothing to sweep: expected formats, or exponent_bits with mantissa_bits");
  }
  evaluation::WidthRanges ranges;
  ranges.exponent = range_of(request, "exponent_bits", evaluation::kExponentWidths);
  ranges.mantissa = range_of(request, "mantissa_bits", evaluation::kMantissaWidths);
  if (has(request, "scale_exponent_bits")) {
    ranges.scale_exponent = range_of(request, "scale_exponent_bits", evaluation::kScaleExponentWidths);
  }
  if (has(request, "scale_fraction_bits")) {
    ranges.scale_fraction = range_of(request, "scale_fraction_bits", evaluation::kScaleFractionWidths);
  }
  if (groupings.empty()) groupings.emplace_back("nc");
  return evaluation::joined(std::move(formats), evaluation::sweep_formats(ranges, groupings));
}

std::vector<evaluation::Objective> front_of(const JsonReader& request, evaluation::Engine engine) {
  if (!has(request, "pareto")) return evaluation::default_front(engine);
  const JsonReader list = request["pareto"];
  std::vector<evaluation::Objective> objectives;
  for (const std::string& name : texts_of(list)) {
    objectives.push_back(list.guarded([&] { return evaluation::parse_objective(name); }));
  }
  list.guarded([&] { evaluation::check_front(objectives, engine); });
  return objectives;
}

evaluation::SweepAxes axes_of(const JsonReader& request, const workloads::Workload& workload) {
  evaluation::SweepAxes axes;
  axes.formats = formats_of(request);
  axes.accumulator_bits = {workload.accumulator.bits};
  if (has(request, "accumulator_bits")) {
    axes.accumulator_bits.clear();
    const JsonReader list = request["accumulator_bits"];
    for (std::size_t i = 0; i < list.size(); ++i) {
      axes.accumulator_bits.push_back(
          list[i].json() == "full"
              ? 0
              : list[i].integer<int>(static_cast<std::uint64_t>(evaluation::kAccumulatorWidths.low),
                                     static_cast<std::uint64_t>(evaluation::kAccumulatorWidths.high), "full"));
    }
  }
  if (has(request, "array")) {
    axes.arrays.clear();
    const JsonReader list = request["array"];
    for (std::size_t i = 0; i < list.size(); ++i) {
      axes.arrays.emplace_back(list[i]["file"].text(), array_of(list[i]));
    }
  }
  if (has(request, "sharing")) {
    const JsonReader list = request["sharing"];
    for (std::size_t i = 0; i < list.size(); ++i) {
      axes.elements_per_scaler.push_back(list[i].integer<int>(1, evaluation::kMostSharing));
    }
  }
  if (has(request, "taps_per_cycle")) {
    const JsonReader list = request["taps_per_cycle"];
    for (std::size_t i = 0; i < list.size(); ++i) {
      axes.taps_per_cycle.push_back(list[i].integer<int>(1, evaluation::kMostTapsPerCycle));
    }
  }
  return axes;
}

std::optional<evaluation::SweepSample> sample_of(const JsonReader& request) {
  if (!has(request, "sample")) return std::nullopt;
  evaluation::SweepSample sample;
  sample.points = request["sample"].integer<std::uint64_t>(1, evaluation::kMostSweepPoints);
  sample.seed = request["seed"].integer<std::uint64_t>(0, std::numeric_limits<std::uint64_t>::max());
  const std::string sampling = request["sampling"].text();
  sample.sampling = request["sampling"].guarded([&] { return evaluation::parse_sampling(sampling); });
  return sample;
}

std::string sweep(const JsonReader& request, const evaluation::Progress& progress) {
  const evaluation::Engine engine = evaluation::parse_engine(request["engine"].text());
  if (evaluation::is_systemc(engine)) request["engine"].refuse_value("functional or analytic");
  const energy::Laws laws = laws_of(request);
  const workloads::Workload workload = workload_of(request["workload"]);
  evaluation::SharedWork shared(evaluation::kSharedBytes);
  const evaluation::SweepSetting setting{
      workload, engine, laws, evaluation::parse_activity(request["activity"].text()), front_of(request, engine),
      &shared};
  const evaluation::SweepPoints points(axes_of(request, workload), sample_of(request));
  for (const auto& formats : points.axes().formats) evaluation::check_products(formats, workload);
  evaluation::SweepTensors tensors(workload);
  evaluation::SweepCollector collector(points.size(), setting.front, nullptr);
  evaluation::PointDispenser dispenser(evaluation::all_points(points), evaluation::family_of(setting, points));
  evaluation::run_points(
      setting, points, tensors, [&] { return dispenser.next(0); },
      [&](std::size_t point, const Json& row) {
        collector.add(point, row);
        dispenser.done(0, point);
      },
      progress);
  std::vector<Json> rows;
  for (std::size_t point = 0; point < points.size(); ++point) rows.push_back(collector.row(point));
  return base::to_text(with_remark(app::sweep_json(app::head_of(setting), rows), collector.non_finite_remark()));
}

std::string counts(const JsonReader& request, const evaluation::Progress& /*progress*/) {
  const auto batch = request["batch"].integer<std::int64_t>(1, 1 << 20);
  return base::to_text(
      workloads::to_json(workloads::count_training_step(network_of(request["network"], batch), batch)));
}

// ---- Documents as the command writes and shows them

std::string results_file(const JsonReader& request, const evaluation::Progress& /*progress*/) {
  return base::to_text(evaluation::to_json(results_of(request)), 2) + "\n";
}

std::string sweep_file(const JsonReader& request, const evaluation::Progress& /*progress*/) {
  return base::to_text(base::parse_ordered_json(request["text"].text(), "sweep"), 2) + "\n";
}

std::string sweep_table(const JsonReader& request, const evaluation::Progress& /*progress*/) {
  const std::string text = request["text"].text();
  constexpr std::size_t kAll = std::numeric_limits<std::size_t>::max();
  return app::sweep_table(app::parse_sweep(text, "sweep", kAll).document);
}

using Task = std::string (*)(const JsonReader& request, const evaluation::Progress& progress);

template <Task task>
std::string run(const std::string& request, const char* name) {
  const nlohmann::json document = base::parse_json(request, name);
  const JsonReader reader(document, name);
  return run_interruptibly(threads_asked_for(reader),
                           [&](const evaluation::Progress& progress) { return task(reader, progress); });
}

template <Task task>
void define(py::module_& module, const char* name) {
  module.def(
      name, [name](const std::string& request) { return run<task>(request, name); }, py::arg("request"));
}

}  // namespace

void bind_evaluation(py::module_& module) {
  define<simulate>(module, "simulate");
  define<report>(module, "report");
  define<sweep>(module, "sweep");
  define<counts>(module, "counts");
  define<results_file>(module, "results_file");
  define<sweep_file>(module, "sweep_file");
  define<sweep_table>(module, "sweep_table");
  module.def(
      "write_file",
      [](const std::string& path, const std::string& text) {
        const py::gil_scoped_release release;
        base::write_file(path, text);
      },
      py::arg("path"), py::arg("text"));
  module.def("remove_unfinished_files_on_signals", base::remove_unfinished_files_on_signals);
  module.def("keep_systemc_quiet", sim::keep_systemc_quiet);
}

}  // namespace mlsim::python
