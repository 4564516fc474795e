#include "app/cli/simulate_command.h"

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
#include "energy/cost_table.h"
#include "evaluation/evaluation.h"
#include "evaluation/simulate.h"

namespace mlsim::app {
using evaluation::parse_engine;
using evaluation::Results;
using evaluation::simulate;
using evaluation::SimulationOptions;
using evaluation::tensor_file;
namespace po = boost::program_options;

int run_simulate(const std::vector<std::string>& arguments) {
  const Usage usage{
      "mlsim simulate WORKLOAD.json [options]",
      "Quantizes the workload's tensors, runs its training convolutions, and counts every operation, cycle and bit "
      "moved.\n"
      "Without --results a report is printed. Layers without values are counted and priced, but not computed.\n"
      "engines: functional (fast; cycles by the closed form), cycle and structural (SystemC; the same bits, cycles "
      "and\n"
      "counts), analytic (the closed form alone: no values)."};
  po::options_description visible("options");
  // clang-format off
  visible.add_options()
      ("engine", po::value<std::string>()->value_name("E")->default_value("functional"),
       "functional, cycle, structural or analytic")
      ("format", po::value<std::string>()->value_name("F"), "the format of every operand, in place of the workload's")
      ("array", po::value<std::string>()->value_name("FILE"), "the array, such as sim/configs/default-16x16.json")
      ("results", po::value<std::string>()->value_name("FILE"), "write the results as JSON (- for standard output)")
      ("tensors", po::value<std::string>()->value_name("DIR"), "write every computed tensor to DIR/LAYER.PASS.npy")
      ("trace", po::value<std::string>()->value_name("FILE"), "write a VCD of every signal (structural engine)")
      ("no-baselines", po::bool_switch(), "do not compute the float baselines' errors")
      ("table", po::value<std::string>()->value_name("TABLE")->default_value(std::string(energy::kDefaultCostTable)),
       "cost table of the printed report: a shipped one by name, or a file")
      ("jobs", po::value<std::string>()->value_name("N"), "threads, all cores by default");
  po::options_description hidden;
  hidden.add_options()("workload", po::value<std::string>()->required());
  // clang-format on
  po::positional_options_description positional;
  positional.add("workload", 1);
  po::variables_map values;
  if (!parse_command_line(usage, visible, hidden, positional, arguments, values)) return 0;
  const auto text = [&](const char* option) { return values[option].as<std::string>(); };

  SimulationOptions options;
  options.engine = parse_engine(text("engine"));
  options.measure_baselines = !values["no-baselines"].as<bool>();
  if (values.count("array") != 0) options.array = sim::load_array_config(text("array"));
  if (values.count("tensors") != 0) options.tensors = text("tensors");
  if (values.count("trace") != 0) options.trace = text("trace");
  options.layers_at_once = 2;
  const energy::Laws laws = find_laws(text("table"));
  const std::unique_ptr<tbb::global_control> limit = limit_threads(values);

  workloads::Workload workload = workloads::load_workload(text("workload"));
  if (values.count("format") != 0) {
    const models::Format format = models::parse_format(text("format"));
    for (workloads::Layer& layer : workload.layers) {
      for (workloads::LayerOperand& operand : layer.operands) operand.format = format;
    }
  }

  // Opened before the work, so that a place that cannot be written to is known at once.
  const bool to_file = values.count("results") != 0 && text("results") != "-";
  std::vector<std::filesystem::path> outputs;
  if (to_file) outputs.emplace_back(text("results"));
  if (options.trace) outputs.push_back(*options.trace);
  if (options.tensors) {
    for (const workloads::Layer& layer : workload.layers) {
      for (const models::Pass pass : layer.passes) outputs.push_back(tensor_file(options, layer, pass));
    }
  }
  base::require_distinct(outputs);
  std::unique_ptr<base::AtomicFile> file;
  if (to_file) {
    const std::filesystem::path path = text("results");
    if (path.has_parent_path()) base::create_directories(path.parent_path());
    file = std::make_unique<base::AtomicFile>(path);
  }
  const Results results = [&] {
    const base::StatusLine progress("mlsim simulate");
    return simulate(workload, options, [&](const std::string& what) { progress.show(what); });
  }();
  if (values.count("results") == 0) {
    std::cout << base::printable_lines(text_report({evaluation::evaluate({text("workload"), results}, laws)}))
              << std::flush;
  } else if (to_file) {
    file->stream() << base::to_text(to_json(results), 2) << "\n";
    file->commit();
  } else {
    std::cout << base::to_text(to_json(results), 2) << std::endl;
  }
  return 0;
}

}  // namespace mlsim::app
