#include "app/cli/report_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

#include "app/cli/options.h"
#include "app/report/accelergy.h"
#include "app/report/report.h"
#include "app/report/sweep_reader.h"
#include "base/output_file.h"
#include "evaluation/evaluation.h"

namespace mlsim::app {

using evaluation::Activity;
using evaluation::Evaluation;
using evaluation::load_results;
using evaluation::OwnPrices;
using evaluation::parse_activity;
using evaluation::Source;
using evaluation::training_step;

namespace {

struct Documents {
  ReportExtras extras;
  std::optional<workloads::Network> network;
  OwnPrices own_prices;
};

// Refuses options that do not go together.
void check_together(const base::CommandLine& line) {
  const std::string& format = line.text("format");
  const std::vector<std::string>& files = line.operands();
  const bool accelergy = format.starts_with("accelergy-");
  if (accelergy && files.size() != 1) {
    throw std::runtime_error(fmt::format("--format {} expects one file of results, found {}", format, files.size()));
  }
  const auto refuse_beside = [&](const char* option, bool wrong) {
    if (wrong && line.given(option)) {
      throw std::runtime_error(fmt::format("--format {} expects no --{} beside it", format, option));
    }
  };
  refuse_beside("ert", accelergy);
  refuse_beside("sweep", format != "html");
  refuse_beside("accuracy", format != "html");
  refuse_beside("detail", format != "text");
  refuse_beside("activity", accelergy);
  refuse_beside("step", accelergy || format == "csv");
  if (std::count(files.begin(), files.end(), "-") > 1) {
    throw std::runtime_error("results are to be read from standard input twice, expected one -");
  }
}

// The command as a shell takes it, without the file that it is written to: that of a report does not change with it.
std::string command_of(const base::CommandLine& line) {
  const auto quoted = [](const std::string& text) {
    constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=,:+@%";
    if (!text.empty() && text.find_first_not_of(kPlain) == std::string::npos) return text;
    std::string result = "'";
    for (const char c : text) result += c == '\'' ? "'\\''" : std::string(1, c);
    return result + "'";
  };
  std::string command = line.command().name;
  for (const std::string& file : line.operands()) command += " " + quoted(file);
  for (const base::OptionGroup& group : line.command().groups) {
    for (const base::Option& option : group.options) {
      if (!line.given(option.name) || option.name == "out") continue;
      for (const std::string& text : line.texts(option.name)) {
        command += " --" + option.name;
        if (!option.value_name.empty()) command += " " + quoted(text);
      }
    }
  }
  return command;
}

Documents read_documents(const base::CommandLine& line) {
  Documents documents;
  documents.extras.detail = line.flag("detail");
  if (line.has("sweep")) documents.extras.sweep = load_sweep(line.text("sweep"));
  for (const std::string& text : line.texts("accuracy")) {
    documents.extras.accuracies.push_back(parse_named_metrics(text));
  }
  documents.extras.command = command_of(line);
  if (line.has("step")) {
    documents.network = workloads::open_network(line.text("step"), source_options(line)).network;
    print_warnings(line, documents.network->remarks);
  }
  if (line.has("ert")) {
    const ActionMap map = line.has("ert-map") ? load_action_map(line.text("ert-map")) : ActionMap{};
    documents.own_prices = load_accelergy_ert(line.text("ert"), map);
  }
  return documents;
}

std::vector<Source> read_sources(const base::CommandLine& line, const Documents& documents, const energy::Laws& laws) {
  const Activity activity = parse_activity(line.text("activity"));
  std::vector<Source> sources;
  sources.reserve(line.operands().size());
  for (const std::string& file : line.operands()) {
    Source& source = sources.emplace_back(
        Source{file == "-" ? "standard input" : file, load_results(file), documents.own_prices, activity});
    if (documents.network) source.step = training_step(*documents.network, source.results, source.file, laws);
  }
  return sources;
}

std::string report_text(const base::CommandLine& line, std::vector<Source> sources, const ReportExtras& extras,
                        const energy::Laws& laws) {
  const std::string& format = line.text("format");
  if (format == "accelergy-ert") return accelergy_ert(sources[0].results, sources[0].file, laws);
  if (format == "accelergy-art") return accelergy_art(sources[0].results, sources[0].file, laws);
  std::vector<Evaluation> evaluations;
  evaluations.reserve(sources.size());
  for (Source& source : sources) evaluations.emplace_back(std::move(source), laws);
  return report_as(format, evaluations, extras);
}

}  // namespace

const base::Command& report_command() {
  static const base::Command command{
      .name = "mlsim report",
      .synopsis = "RESULTS.json... [options]",
      .summary = "energy, area and error of results, against the float baselines",
      .description =
          "Prices what mlsim simulate has counted: energy and area, each against the float baselines, with "
          "cycles, utilization and SQNR. RESULTS.json - reads standard input.",
      .operands = {{.name = "RESULTS.json", .many = true}},
      .groups = {{.title = "options",
                  .options = {{.name = "format",
                               .value_name = "F",
                               .help = "text, markdown, html, json, csv, accelergy-ert or accelergy-art",
                               .kind = base::Choice{{"text", "markdown", "html", "json", "csv", "accelergy-ert",
                                                     "accelergy-art"}},
                               .preset = "text"},
                              {.name = "detail", .help = "in text, every table and not the summary alone"},
                              {.name = "sweep",
                               .value_name = "SWEEP",
                               .help = "what mlsim sweep has written as JSON or CSV, to plot in html",
                               .kind = base::File{}},
                              {.name = "accuracy",
                               .value_name = "NAME=FILE",
                               .help = "test accuracy of training in a format of the results or a baseline, to plot in "
                                       "html: metrics of mlsim-train; given again for another run or format",
                               .kind = base::Parsed{[](const std::string& text) { parse_named_metrics(text); }},
                               .many = true},
                              activity_option(),
                              {.name = "step",
                               .value_name = "NETWORK",
                               .help = "add the rest of a training step of that network, whose layers the results "
                                       "are: a file of any kind that mlsim simulate takes, or a shipped one",
                               .kind = base::File{workloads::shipped_networks()}},
                              step_batch_option(),
                              table_option(),
                              {.name = "ert",
                               .value_name = "FILE",
                               .help = "Accelergy ERT whose energies stand in the place of the table's for the "
                                       "results' own machine",
                               .kind = base::File{}},
                              {.name = "ert-map",
                               .value_name = "FILE",
                               .help = "YAML or JSON that says which operations the actions of the ERT are",
                               .kind = base::File{},
                               .needs_option = "ert"},
                              {.name = "out",
                               .value_name = "FILE",
                               .help = "write to FILE and not to standard output (-)",
                               .kind = base::File{}},
                              quiet_option()}}}};
  return command;
}

void run_report(const base::CommandLine& line) {
  check_together(line);
  const Documents documents = read_documents(line);
  const energy::Laws laws = find_laws(line.text("table"));
  const bool to_file = line.has("out") && line.text("out") != "-";
  if (to_file) {
    std::vector<std::filesystem::path> inputs(line.operands().begin(), line.operands().end());
    inputs.insert(inputs.end(), {line.path("sweep"), line.path("ert"), line.path("ert-map"), laws.table().file});
    for (const NamedMetrics& metrics : documents.extras.accuracies) inputs.emplace_back(metrics.file);
    if (documents.network) {
      inputs.insert(inputs.end(), documents.network->files.begin(), documents.network->files.end());
    }
    base::check_outputs({line.path("out")}, inputs);
  }
  const std::string text = report_text(line, read_sources(line, documents, laws), documents.extras, laws);
  if (to_file) {
    base::create_folder_of(line.path("out"));
    base::write_file(line.path("out"), text);
  } else {
    std::cout << text << std::flush;
  }
}

}  // namespace mlsim::app
