#include "app/cli/simulate_command.h"

#include <fmt/core.h>

#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "app/cli/options.h"
#include "app/report/report.h"
#include "base/json.h"
#include "base/output_file.h"
#include "base/terminal.h"
#include "evaluation/evaluation.h"
#include "evaluation/simulate.h"

namespace mlsim::app {
using evaluation::parse_engine;
using evaluation::Results;
using evaluation::simulate;
using evaluation::SimulationOptions;

namespace {

SimulationOptions options_of(const base::CommandLine& line) {
  SimulationOptions options;
  options.engine = parse_engine(line.text("engine"));
  options.measure_baselines = !line.flag("no-baselines");
  if (line.has("array")) options.array = sim::load_array_config(line.text("array"));
  if (line.has("array")) evaluation::check_array(options, line.text("array"));
  if (line.has("tensors")) options.tensors = line.path("tensors");
  if (line.has("trace")) options.trace = line.path("trace");
  options.layers_at_once = 2;
  return options;
}

workloads::Workload workload_of(const base::CommandLine& line) {
  workloads::Workload workload = workloads::open_workload(line.operands().front(), source_options(line));
  print_warnings(workload.remarks);
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
  if (results.has_parent_path()) base::create_directories(results.parent_path());
  return std::make_unique<base::AtomicFile>(results);
}

// Says once where results are no numbers: scales reach as far as binary32 does.
void warn_of_non_finite(const Results& results) {
  const std::string remark = evaluation::non_finite_remark(results);
  if (!remark.empty()) base::print_error(fmt::format("mlsim: warning: {}\n", base::printable(remark)));
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
                               .help = "write a VCD of every signal (structural engine)",
                               .kind = base::File{}},
                              {.name = "no-baselines", .help = "do not compute the float baselines' errors"},
                              table_option("cost table of the printed report: a shipped one by name, or a file"),
                              jobs_option()}}}};
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
    const base::StatusLine progress("mlsim simulate");
    return simulate(workload, options, [&](const std::string& what) { progress.show(what); });
  }();
  warn_of_non_finite(results);
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
