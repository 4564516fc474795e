#include "app/cli/counts_command.h"

#include <iostream>
#include <nlohmann/json.hpp>

#include "app/cli/options.h"
#include "base/json.h"
#include "base/terminal.h"
#include "workloads/source.h"
#include "workloads/training_counts.h"

namespace mlsim::app {

const base::Command& counts_command() {
  static const base::Command command{
      .name = "mlsim counts",
      .synopsis = "NETWORK [options]",
      .summary = "operations of one training step of a network, by type",
      .description = "Operations of one training step of a network, by type.\n\n" + sources_text("NETWORK"),
      .operands = {source_operand("NETWORK")},
      .groups = {{.title = "options",
                  .options = {batch_option(),
                              strict_option(),
                              {.name = "format",
                               .value_name = "F",
                               .help = "text or json",
                               .kind = base::Choice{{"text", "json"}},
                               .preset = "text"},
                              quiet_option()}}}};
  return command;
}

void run_counts(const base::CommandLine& line) {
  const workloads::NetworkStep step = workloads::open_network(line.operands().front(), source_options(line));
  print_warnings(line, step.network.remarks);
  const workloads::TrainingCounts counts = workloads::count_training_step(step.network, step.batch.value_or(1));
  if (line.text("format") == "json") {
    std::cout << base::to_text(workloads::to_json(counts), 2) << std::endl;
  } else {
    std::cout << base::printable_lines(workloads::to_text(counts)) << std::flush;
  }
}

}  // namespace mlsim::app
