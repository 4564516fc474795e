#include "app/cli/report_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <utility>

#include "app/cli/options.h"
#include "app/report/accelergy.h"
#include "app/report/html_report.h"
#include "app/report/report.h"
#include "base/json.h"
#include "base/output_file.h"
#include "base/terminal.h"
#include "energy/cost_table.h"
#include "evaluation/evaluation.h"
#include "workloads/network.h"

namespace mlsim::app {

using evaluation::Activity;
using evaluation::Evaluation;
using evaluation::load_results;
using evaluation::OwnPrices;
using evaluation::parse_activity;
using evaluation::Source;
using evaluation::training_step;
namespace po = boost::program_options;

int run_report(const std::vector<std::string>& arguments) {
  const Usage usage{
      "mlsim report RESULTS.json... [options]",
      "Prices what mlsim simulate has counted: energy and area, each against the float baselines, with cycles,\n"
      "utilization and SQNR. RESULTS.json - reads standard input."};
  po::options_description visible("options");
  // clang-format off
  visible.add_options()
      ("format", po::value<std::string>()->value_name("F")->default_value("text"), "text, markdown, html, json, csv, accelergy-ert or accelergy-art")
      ("sweep", po::value<std::string>()->value_name("SWEEP.json"), "what mlsim sweep has written, to plot in html")
      ("activity", po::value<std::string>()->value_name("A")->default_value("dense"),
       "operands that are priced: dense, zeros (as counted in the values), or gated (elements that hold still at a zero)")
      ("step", po::value<std::string>()->value_name("NETWORK"),
       "add the rest of a training step of that network, a file or a shipped one, whose convolutions the results are")
      ("table", po::value<std::string>()->value_name("TABLE")->default_value(std::string(energy::kDefaultCostTable)),
       "cost table: a shipped one by name, or a file")
      ("ert", po::value<std::string>()->value_name("FILE"),
       "Accelergy ERT whose energies stand in the place of the table's for the results' own machine")
      ("out", po::value<std::string>()->value_name("FILE"), "write to FILE and not to standard output (-)");
  po::options_description hidden;
  hidden.add_options()("results", po::value<std::vector<std::string>>()->required());
  // clang-format on
  po::positional_options_description positional;
  positional.add("results", -1);
  po::variables_map values;
  if (!parse_command_line(usage, visible, hidden, positional, arguments, values)) return 0;

  const std::string format = values["format"].as<std::string>();
  const std::vector<std::string> formats{"text", "markdown", "html", "json", "csv", "accelergy-ert", "accelergy-art"};
  if (std::find(formats.begin(), formats.end(), format) == formats.end()) {
    throw std::runtime_error(fmt::format("--format is '{}', expected one of {}", format, fmt::join(formats, ", ")));
  }
  const std::vector<std::string> files = values["results"].as<std::vector<std::string>>();
  const bool accelergy = format.starts_with("accelergy-");
  if (accelergy && files.size() != 1) {
    throw std::runtime_error(fmt::format("--format {} expects one file of results, found {}", format, files.size()));
  }
  if (accelergy && values.count("ert") != 0) {
    throw std::runtime_error(fmt::format("--format {} expects no --ert beside it", format));
  }
  std::optional<SweepSource> sweep;
  if (values.count("sweep") != 0) {
    if (format != "html") throw std::runtime_error(fmt::format("--format {} expects no --sweep beside it", format));
    sweep = load_sweep(values["sweep"].as<std::string>());
  }
  const Activity activity = parse_activity(values["activity"].as<std::string>());
  if (accelergy && !values["activity"].defaulted()) {
    throw std::runtime_error(fmt::format("--format {} expects no --activity beside it", format));
  }
  std::optional<workloads::Network> network;
  if (values.count("step") != 0) {
    if (accelergy || format == "csv") {
      throw std::runtime_error(fmt::format("--format {} expects no --step beside it", format));
    }
    network = workloads::load_network(values["step"].as<std::string>());
  }
  OwnPrices own_prices;
  if (values.count("ert") != 0) own_prices = load_accelergy_ert(values["ert"].as<std::string>());
  const energy::Laws laws = find_laws(values["table"].as<std::string>());
  if (std::count(files.begin(), files.end(), "-") > 1) {
    throw std::runtime_error("results are to be read from standard input twice, expected one -");
  }
  std::vector<Source> sources;
  sources.reserve(files.size());
  for (const std::string& file : files) {
    Source& source =
        sources.emplace_back(Source{file == "-" ? "standard input" : file, load_results(file), own_prices, activity});
    if (network) source.step = training_step(*network, source.results, source.file, laws);
  }
  std::vector<Evaluation> evaluations;
  if (!accelergy) {
    for (Source& source : sources) evaluations.push_back(evaluate(std::move(source), laws));
  }
  std::string text;
  if (format == "text") text = base::printable_lines(text_report(evaluations));
  if (format == "markdown") text = markdown_report(evaluations);
  if (format == "html") text = html_report(evaluations, sweep);
  if (format == "json") text = base::to_text(json_report(evaluations), 2) + "\n";
  if (format == "csv") text = csv_report(evaluations);
  if (format == "accelergy-ert") text = accelergy_ert(sources[0].results, sources[0].file, laws);
  if (format == "accelergy-art") text = accelergy_art(sources[0].results, sources[0].file, laws);
  if (values.count("out") != 0 && values["out"].as<std::string>() != "-") {
    base::write_file(values["out"].as<std::string>(), text);
  } else {
    std::cout << text << std::flush;
  }
  return 0;
}

}  // namespace mlsim::app
