#include "app/cli/simulate_command.h"

#include <fmt/core.h>

#include <cstdint>
#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "app/cli/options.h"
#include "app/report/report.h"
#include "base/error.h"
#include "base/json.h"
#include "base/output_file.h"
#include "base/terminal.h"
#include "base/text.h"
#include "evaluation/evaluation.h"
#include "evaluation/simulate.h"

namespace mlsim::app {
using evaluation::parse_engine;
using evaluation::Results;
using evaluation::simulate;
using evaluation::SimulationOptions;

namespace {

// A:B, both included.
std::pair<std::uint64_t, std::uint64_t> parse_cycles(const std::string& text) {
  const std::vector<std::string> parts = base::split(text, ':');
  const auto cycle = [&](const std::string& part) { return base::complaint(base::WholeNumber{}, part).empty(); };
  if (parts.size() != 2 || !cycle(parts[0]) || !cycle(parts[1]) || std::stoull(parts[0]) > std::stoull(parts[1])) {
    throw std::runtime_error(fmt::format("is '{}', expected the first and the last cycle, A:B", text));
  }
  return {std::stoull(parts[0]), std::stoull(parts[1])};
}

sim::TraceRequest trace_of(const base::CommandLine& line) {
  sim::TraceRequest trace;
  trace.file = line.text("trace");
  if (sim::gtkw_file(trace.file) == trace.file) {
    base::refuse("", "--trace", "is the name of the save file beside it, expected FILE.vcd");
  }
  if (line.has("trace-cycles")) std::tie(trace.first_cycle, trace.last_cycle) = parse_cycles(line.text("trace-cycles"));
  if (line.has("trace-scope")) trace.scopes = base::split(line.text("trace-scope"), ',');
  return trace;
}

std::string bytes_text(double bytes) {
  for (const auto& [unit, size] : {std::pair{"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}}) {
    if (bytes >= size) return fmt::format("{:.3g} {}", bytes / size, unit);
  }
  return fmt::format("{:.0f} bytes", bytes);
}

// Says how large the trace will be, before it is written.
void foretell(const evaluation::TraceForecast& forecast) {
  base::print_error(fmt::format("mlsim: the trace has {} signals and {} cycles, about {} ({} a cycle)\n",
                                forecast.signals, forecast.cycles, bytes_text(forecast.bytes),
                                bytes_text(forecast.bytes / static_cast<double>(forecast.cycles))));
}

SimulationOptions options_of(const base::CommandLine& line) {
  SimulationOptions options;
  options.engine = parse_engine(line.text("engine"));
  options.measure_baselines = !line.flag("no-baselines");
  if (line.has("array")) options.array = sim::load_array_config(line.text("array"));
  if (line.has("tensors")) options.tensors = line.path("tensors");
  if (line.has("trace")) options.trace = trace_of(line);
  for (const char* const option : {"trace-cycles", "trace-scope"}) {
    if (line.has(option) && !line.has("trace")) {
      throw std::runtime_error(fmt::format("--{}: expected only beside --trace", option));
    }
  }
  if (!line.flag("quiet")) options.on_trace = foretell;
  options.layers_at_once = 2;
  return options;
}

workloads::Workload workload_of(const base::CommandLine& line) {
  workloads::Workload workload = workloads::open_workload(line.operands().front(), source_options(line));
  print_warnings(line, workload.remarks);
  if (line.has("format")) workloads::set_formats(workload, models::parse_operand_formats(line.text("format")));
  return workload;
}

// The file of the results, opened before the work, so that a place that cannot be written to is known at once; null
// where they go elsewhere. Refuses outputs of which two are one file, or one is among the inputs.
std::unique_ptr<base::AtomicFile> open_results(const base::CommandLine& line, const SimulationOptions& options,
                                               const workloads::Workload& workload,
                                               const std::vector<std::filesystem::path>& inputs) {
  const std::filesystem::path results = line.path("results");
  const bool to_file = !results.empty() && results != "-";
  std::vector<std::filesystem::path> outputs = evaluation::output_files(options, workload);
  if (to_file) outputs.insert(outputs.begin(), results);
  base::check_outputs(outputs, inputs);
  if (!to_file) return nullptr;
  base::create_folder_of(results);
  return std::make_unique<base::AtomicFile>(results);
}

// Says once where results are no numbers: scales reach as far as binary32 does.
void warn_of_non_finite(const base::CommandLine& line, const Results& results) {
  const std::string remark = evaluation::non_finite_remark(results);
  if (!remark.empty()) print_warnings(line, {remark});
}

}  // namespace

const base::Command& simulate_command() {
  static const base::Command command{
      .name = "mlsim simulate",
      .synopsis = "WORKLOAD [options]",
      .summary = "run a workload's training convolutions and count every operation, cycle and bit moved",
      .description =
          "Quantizes the workload's tensors, runs its training convolutions, and counts every operation, cycle and bit "
          "moved. Without --results a report is printed. Layers without values are counted and priced, but not "
          "computed.\n"
          "\n"
          "Engines: functional (fast; cycles by the closed form), cycle and structural (SystemC; the same bits, cycles "
          "and counts), analytic (the closed form alone: no values).\n"
          "\n" +
          sources_text("WORKLOAD"),
      .operands = {source_operand("WORKLOAD")},
      .groups = {{.title = "options",
                  .options = {{.name = "engine",
                               .value_name = "E",
                               .help = "functional, cycle, structural or analytic",
                               .kind = base::Choice{{"functional", "cycle", "structural", "analytic"}},
                               .preset = "functional"},
                              {.name = "format",
                               .value_name = "F",
                               .help = "the format of every operand, in place of the workload's",
                               .kind = operand_formats_kind()},
                              batch_option(),
                              values_option(),
                              strict_option(),
                              {.name = "array",
                               .value_name = "FILE",
                               .help = "the array, such as sim/configs/default-16x16.json",
                               .kind = base::File{}},
                              {.name = "results",
                               .value_name = "FILE",
                               .help = "write the results as JSON (- for standard output)",
                               .kind = base::File{}},
                              {.name = "tensors",
                               .value_name = "DIR",
                               .help = "write every computed tensor to DIR/LAYER.PASS.npy",
                               .kind = base::Folder{}},
                              {.name = "trace",
                               .value_name = "FILE",
                               .help = "write a VCD of every signal (structural engine), and FILE.gtkw for GTKWave",
                               .kind = base::File{}},
                              {.name = "trace-cycles",
                               .value_name = "A:B",
                               .help = "only the cycles A to B of the run, counted from 0",
                               .kind = base::Parsed{[](const std::string& text) { parse_cycles(text); }}},
                              {.name = "trace-scope",
                               .value_name = "NAMES",
                               .help = "only signals of these names or in modules of these names, a,b,c; * stands for "
                                       "any text: accelerator.array.element_0_*"},
                              {.name = "no-baselines", .help = "do not compute the float baselines' errors"},
                              table_option("cost table of the printed report: a shipped one by name, or a file"),
                              jobs_option(),
                              quiet_option()}}}};
  return command;
}

void run_simulate(const base::CommandLine& line) {
  const SimulationOptions options = options_of(line);
  const energy::Laws laws = find_laws(line.text("table"));
  const std::unique_ptr<tbb::global_control> limit = limit_threads(line);
  const workloads::Workload workload = workload_of(line);
  std::vector<std::filesystem::path> inputs = workload.files;
  inputs.insert(inputs.end(), {line.path("array"), laws.table().file});
  const std::unique_ptr<base::AtomicFile> file = open_results(line, options, workload, inputs);
  const Results results = [&] {
    const base::StatusLine progress("mlsim simulate", line.flag("quiet"));
    return simulate(workload, options, [&](const std::string& what) { progress.show(what); });
  }();
  warn_of_non_finite(line, results);
  if (!line.has("results")) {
    std::cout << base::printable_lines(text_report({evaluation::Evaluation({line.operands().front(), results}, laws)}))
              << std::flush;
  } else if (file) {
    file->stream() << base::to_text(to_json(results), 2) << "\n";
    file->commit();
  } else {
    std::cout << base::to_text(to_json(results), 2) << std::endl;
  }
}

}  // namespace mlsim::app
