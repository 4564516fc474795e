#include "app/cli/sweep_merge.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

#include "app/cli/options.h"
#include "app/cli/sweep_job.h"
#include "app/cli/sweep_output.h"
#include "app/report/sweep_report.h"
#include "base/error.h"
#include "base/output_file.h"
#include "evaluation/sweep_collector.h"
#include "evaluation/sweep_shard.h"

namespace mlsim::app {

void merge_sweep(const base::CommandLine& line) {
  for (const base::OptionGroup& group : line.command().groups) {
    for (const base::Option& option : group.options) {
      const bool belongs = option.name == "merge" || option.name == "out" || option.name == "quiet";
      if (belongs || !line.given(option.name)) continue;
      base::refuse("", "--" + option.name, "is given beside --merge, expected --out and --quiet alone");
    }
  }
  const std::filesystem::path out = output_ending_in({".csv", ".json"}, line);
  const std::vector<std::filesystem::path> files(line.operands().begin(), line.operands().end());
  base::check_outputs({out}, files);
  const evaluation::ShardSet shards(files);
  evaluation::ParetoFront front(shards.head().front);
  evaluation::NonFinitePoints non_finite;
  for (std::size_t point = 0; point < shards.points(); ++point) {
    const nlohmann::ordered_json row = shards.row(point);
    front.add(point, row);
    non_finite.add(point, row);
  }
  if (!non_finite.remark().empty()) print_warnings(line, {non_finite.remark()});
  const SweepRows rows{shards.points(), [&](std::size_t point) {
                         nlohmann::ordered_json row = shards.row(point);
                         row["pareto"] = front.contains(point);
                         return row;
                       }};
  base::create_folder_of(out);
  tell_sweep(line, out, shards.head(), rows, front);
}

}  // namespace mlsim::app
