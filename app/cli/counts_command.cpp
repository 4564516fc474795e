#include "app/cli/counts_command.h"

#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "base/json.h"
#include "base/terminal.h"
#include "workloads/network.h"
#include "workloads/training_counts.h"

namespace mlsim::app {

const base::Command& counts_command() {
  static const base::Command command = [] {
    std::string shipped;
    for (const std::string& name : workloads::shipped_networks()) shipped += (shipped.empty() ? "" : ", ") + name;
    return base::Command{
        .name = "mlsim counts",
        .synopsis = "NETWORK.json [options]",
        .summary = "operations of one training step of a network, by type",
        .description =
            "Operations of one training step of a network, by type. NETWORK.json is a file or one of the "
            "shipped networks: " +
            shipped + ".",
        .operands = {{.name = "NETWORK.json", .kind = base::File{workloads::shipped_networks()}}},
        .groups = {{.title = "options",
                    .options = {{.name = "batch",
                                 .value_name = "N",
                                 .help = "images of the step",
                                 .kind = base::WholeNumber{1, 1 << 20},
                                 .preset = "1"},
                                {.name = "format",
                                 .value_name = "F",
                                 .help = "text or json",
                                 .kind = base::Choice{{"text", "json"}},
                                 .preset = "text"}}}}};
  }();
  return command;
}

void run_counts(const base::CommandLine& line) {
  const workloads::TrainingCounts counts = workloads::count_training_step(
      workloads::load_network(line.operands().front()), line.whole_number<std::int64_t>("batch"));
  if (line.text("format") == "json") {
    std::cout << base::to_text(workloads::to_json(counts), 2) << std::endl;
  } else {
    std::cout << base::printable_lines(workloads::to_text(counts)) << std::flush;
  }
}

}  // namespace mlsim::app
