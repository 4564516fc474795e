#include "app/cli/options.h"

#include <string_view>

#include "base/terminal.h"
#include "base/text.h"
#include "energy/cost_table.h"
#include "models/formats/format.h"

namespace mlsim::app {

using base::Option;

Option activity_option() {
  return {.name = "activity",
          .value_name = "A",
          .help =
              "operands that are priced: dense, zeros (as counted in the values), or gated (elements that hold "
              "still at a zero)",
          .kind = base::Choice{{"dense", "zeros", "gated"}},
          .preset = "dense"};
}

Option table_option(const std::string& help) {
  const std::vector<std::string_view> shipped = energy::shipped_cost_tables();
  return {.name = "table",
          .value_name = "TABLE",
          .help = help,
          .kind = base::File{{shipped.begin(), shipped.end()}},
          .preset = std::string(energy::kDefaultCostTable)};
}

Option jobs_option() {
  return {
      .name = "jobs", .value_name = "N", .help = "threads, all cores by default", .kind = base::WholeNumber{1, 1024}};
}

namespace {

// What completion offers.
std::vector<std::string> known_formats() {
  std::vector<std::string> names = models::format_names();
  names.insert(names.begin(), {"e2m4", "e2m1"});
  return names;
}

}  // namespace

base::Parsed operand_formats_kind() {
  std::vector<std::string> formats = known_formats();
  formats.insert(formats.end(), {"mxfp8", "fp8"});
  return {[](const std::string& text) { models::parse_operand_formats(text); }, formats};
}

base::Parsed list_of(std::function<void(const std::string&)> parse) {
  return {[parse = std::move(parse)](const std::string& text) {
    for (const std::string& part : base::split(text, ',')) parse(part);
  }};
}

energy::Laws find_laws(const std::string& table) {
  return energy::Laws(energy::find_cost_table(table));
}

base::Option quiet_option() {
  return {.name = "quiet", .help = "no progress and no warnings", .letter = "q"};
}

void print_warnings(const base::CommandLine& line, const std::vector<std::string>& warnings) {
  if (line.flag("quiet")) return;
  for (const std::string& warning : warnings) base::print_error("mlsim: warning: " + base::printable(warning) + "\n");
}

base::Operand source_operand(const std::string& name) {
  return {.name = name, .kind = base::File{workloads::shipped_networks()}};
}

base::Option batch_option() {
  return {.name = "batch",
          .value_name = "N",
          .help = "images of a step, where the source has no batch of its own; in place of an ONNX model's",
          .kind = base::WholeNumber{1, 1 << 20}};
}

base::Option step_batch_option() {
  base::Option option = batch_option();
  option.help = "batch of a network of --step whose own is open";
  option.needs_option = "step";
  return option;
}

base::Option values_option() {
  return {.name = "values",
          .value_name = "V",
          .help =
              "of a network: none (shapes alone), synthetic, or weights (those of the ONNX model, everything else "
              "synthetic), which is the default where a model has some",
          .kind = base::Choice{{"none", "weights", "synthetic"}}};
}

base::Option strict_option() {
  return {.name = "strict", .help = "refuse an ONNX model with operators that are not counted"};
}

workloads::SourceOptions source_options(const base::CommandLine& line) {
  workloads::SourceOptions options;
  const auto has = [&](const char* option) { return line.command().find(option) != nullptr && line.has(option); };
  if (has("batch")) options.batch = line.whole_number<std::int64_t>("batch");
  if (has("values")) options.values = workloads::parse_network_values(line.text("values"));
  options.strict = has("strict");
  return options;
}

std::string sources_text(const std::string& name) {
  std::string shipped;
  for (const std::string& network : workloads::shipped_networks()) shipped += (shipped.empty() ? "" : ", ") + network;
  return name +
         " is a workload file, a network file, a topology of SCALE-Sim (.csv), an ONNX model (.onnx), - for JSON "
         "on standard input, or the name of a shipped network: " +
         shipped + ".";
}

std::unique_ptr<tbb::global_control> limit_threads(const base::CommandLine& line) {
  if (!line.has("jobs")) return nullptr;
  return std::make_unique<tbb::global_control>(tbb::global_control::max_allowed_parallelism, line.whole_number("jobs"));
}

}  // namespace mlsim::app
