#include "app/cli/counts_command.h"

#include <iostream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "app/cli/options.h"
#include "base/json.h"
#include "base/terminal.h"
#include "workloads/network.h"
#include "workloads/training_counts.h"

namespace mlsim::app {

namespace po = boost::program_options;

int run_counts(const std::vector<std::string>& arguments) {
  std::string shipped;
  for (const std::string& name : workloads::shipped_networks()) shipped += (shipped.empty() ? "" : ", ") + name;
  const Usage usage{"mlsim counts NETWORK.json [options]",
                    "Operations of one training step of a network, by type.\n"
                    "NETWORK.json is a file or one of the shipped networks:\n" +
                        shipped + "."};
  po::options_description visible("options");
  // clang-format off
  visible.add_options()
      ("batch", po::value<std::string>()->value_name("N")->default_value("1"), "images of the step")
      ("format", po::value<std::string>()->value_name("F")->default_value("text"), "text or json");
  po::options_description hidden;
  hidden.add_options()("network", po::value<std::string>()->required());
  // clang-format on
  po::positional_options_description positional;
  positional.add("network", 1);
  po::variables_map values;
  if (!parse_command_line(usage, visible, hidden, positional, arguments, values)) return 0;

  const std::string format = values["format"].as<std::string>();
  if (format != "text" && format != "json") {
    throw std::runtime_error("--format is '" + format + "', expected text or json");
  }
  const auto batch =
      static_cast<std::int64_t>(parse_whole_number("--batch", values["batch"].as<std::string>(), 1, 1 << 20));
  const workloads::TrainingCounts counts =
      workloads::count_training_step(workloads::load_network(values["network"].as<std::string>()), batch);
  if (format == "json") {
    std::cout << base::to_text(workloads::to_json(counts), 2) << std::endl;
  } else {
    std::cout << base::printable_lines(workloads::to_text(counts)) << std::flush;
  }
  return 0;
}

}  // namespace mlsim::app
