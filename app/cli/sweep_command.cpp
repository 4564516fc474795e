#include "app/cli/sweep_command.h"

#include <oneapi/tbb/task_arena.h>

#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "app/cli/options.h"
#include "app/cli/sweep_job.h"
#include "app/cli/sweep_merge.h"
#include "app/cli/sweep_output.h"
#include "base/ranks.h"
#include "evaluation/cluster_sweep.h"
#include "evaluation/point_dispenser.h"
#include "evaluation/sweep.h"
#include "evaluation/sweep_axes.h"

namespace mlsim::app {
namespace {

using evaluation::DonePoint;
using evaluation::NextPoint;
using evaluation::PointDispenser;
using evaluation::PointRunner;
using evaluation::WidthRange;
using Json = nlohmann::ordered_json;

base::Parsed range_within(const WidthRange& widths) {
  return {[widths](const std::string& text) { parse_range(text, widths); }};
}

base::Parsed list_within(const base::WholeNumber& limits, const std::string& also = "") {
  return list_of([=](const std::string& part) {
    const std::string reason = part == also && !also.empty() ? "" : base::complaint(limits, part);
    if (!reason.empty()) throw std::runtime_error(reason);
  });
}

// What is computed in.
std::vector<base::Option> number_options() {
  return {
      {.name = "formats",
       .value_name = "F,...",
       .help = "formats, such as e2m4, mxfp8 or nvfp4/b16; ACTIVATION+WEIGHT+ERROR gives each operand its own",
       .kind = list_of([](const std::string& part) { evaluation::parse_sweep_formats(part); })},
      {.name = "exponent-bits",
       .value_name = "A:B",
       .help = "widths of the element's exponent, 0 to 4",
       .kind = range_within(evaluation::kExponentWidths)},
      {.name = "mantissa-bits",
       .value_name = "C:D",
       .help = "widths of the element's mantissa, 0 to 10",
       .kind = range_within(evaluation::kMantissaWidths)},
      {.name = "scale-exponent-bits",
       .value_name = "A:B",
       .help = "widths of the group scale's exponent, 0 to 8; beside --exponent-bits",
       .kind = range_within(evaluation::kScaleExponentWidths),
       .preset = "8"},
      {.name = "scale-fraction-bits",
       .value_name = "C:D",
       .help = "widths of the group scale's fraction, 0 to 3; likewise",
       .kind = range_within(evaluation::kScaleFractionWidths),
       .preset = "1"},
      {.name = "grouping",
       .value_name = "G,...",
       .help = models::grouping_syntax() + ": of the widths, and of each of --formats that names none",
       .kind = list_of(evaluation::check_grouping),
       .preset = "nc"},
      {.name = "accumulator-bits",
       .value_name = "N,...",
       .help = "widths of the accumulator, 2 to 64; full is the one that no sum can overflow",
       .kind = list_within(limits_of(evaluation::kAccumulatorWidths), "full")},
  };
}

// What it is computed on.
std::vector<base::Option> machine_options() {
  return {
      {.name = "array",
       .value_name = "A,...",
       .help = "arrays: files, or auto:N, every shape of N elements, or auto:Xmm2, the shapes that fit in an area; "
               "auto:N:FILE has the other keys of a file",
       .kind = list_of([](const std::string& part) { evaluation::parse_array_choice(part); })},
      {.name = "dataflow",
       .value_name = "D,...",
       .help = "output-stationary, weight-stationary: in the place of what the arrays have",
       .kind = list_of([](const std::string& part) { sim::parse_dataflow_kind(part); })},
      {.name = "sharing",
       .value_name = "N,...",
       .help = "elements that share a group-scale unit",
       .kind = list_within({1, evaluation::kMostSharing})},
      {.name = "taps-per-cycle",
       .value_name = "N,...",
       .help = "multipliers of an element, whose products are one addition",
       .kind = list_within({1, evaluation::kMostTapsPerCycle})},
  };
}

// How, how much of it, and where to.
std::vector<base::Option> run_options() {
  return {
      {.name = "engine",
       .value_name = "E",
       .help = "functional, or analytic: no values, so no errors",
       .kind = base::Choice{{"functional", "analytic"}},
       .preset = "functional"},
      batch_option(),
      values_option(),
      strict_option(),
      activity_option(),
      table_option(),
      {.name = "pareto",
       .value_name = "O,...",
       .help = "what the front is of: energy (with memory), computing (without), time, edp (energy times time), area, "
               "error; if not given, computing and error, and of the analytic engine energy and time",
       .kind = list_of([](const std::string& part) { evaluation::parse_objective(part); })},
      {.name = "sample",
       .value_name = "N",
       .help = "so many of all combinations, drawn at random",
       .kind = base::WholeNumber{1, evaluation::kMostSweepPoints}},
      {.name = "sampling",
       .value_name = "HOW",
       .help = "of --sample: random, or latin-hypercube, which draws the values of each axis equally often",
       .kind = base::Choice{{std::begin(evaluation::kSamplings), std::end(evaluation::kSamplings)}},
       .preset = evaluation::kSamplings[0]},
      {.name = "seed", .value_name = "S", .help = "of --sample", .kind = base::WholeNumber{}, .preset = "1"},
      {.name = "out",
       .value_name = "FILE",
       .help = "FILE.csv or FILE.json, of a shard FILE.jsonl",
       .kind = base::File{}},
      {.name = "shard",
       .value_name = "I/N",
       .help = "part I of N of the points, for jobs that run side by side; --merge puts the files together",
       .kind = base::Parsed{[](const std::string& text) { evaluation::parse_shard(text); }}},
      {.name = "merge", .help = "write the file of a sweep whose shards, all of them, are given in place of WORKLOAD"},
      {.name = "cache",
       .value_name = "MIB",
       .help = "the most memory for what points have in common",
       .kind = base::WholeNumber{0, 1 << 20},
       .preset = std::to_string(evaluation::kSharedBytes >> 20)},
      jobs_option(),
      quiet_option(),
  };
}

std::vector<base::Option> sweep_options() {
  std::vector<base::Option> options;
  for (const std::vector<base::Option>& part : {number_options(), machine_options(), run_options()}) {
    options.insert(options.end(), part.begin(), part.end());
  }
  return options;
}

base::Operand sweep_operand() {
  base::Operand operand = source_operand("WORKLOAD");
  operand.many = true;  // shards
  operand.many_with = "merge";
  operand.many_name = "SHARD.jsonl";
  return operand;
}

// Runs points in this process.
PointRunner runner_of(SweepJob& job) {
  return [&job](const NextPoint& next, const DonePoint& done) {
    run_points(job.setting(), job.points(), job.tensors(), next, done);
  };
}

// Rank 0 of several: reads, runs and writes.
void lead_sweep(const base::CommandLine& line, std::unique_ptr<base::Ranks> ranks) {
  std::optional<evaluation::SweepLeader> leader(*ranks);
  const std::unique_ptr<tbb::global_control> limit = limit_threads(line);
  SweepJob job(line);
  print_warnings(line, job.setting().workload.remarks);
  leader->gather(job.identity());
  SweepOutput output(line, job, ranks->size());
  PointDispenser dispenser(output.open(), family_of(job.setting(), job.points()));
  leader->run(dispenser, runner_of(job), [&](std::size_t point, const Json& row) { output.take(point, row); });
  // The others need not wait for the file.
  leader.reset();
  ranks.reset();
  output.finish();
}

// Any other rank: says nothing itself.
void follow_sweep(const base::CommandLine& line, base::Ranks& ranks) {
  evaluation::SweepFollower follower(ranks);
  std::unique_ptr<tbb::global_control> limit;
  std::optional<SweepJob> job;
  try {
    limit = limit_threads(line);
    job.emplace(line);
  } catch (const std::exception&) {
    follower.report_problem();
    return follower.run(nullptr);
  }
  follower.report_ready(static_cast<std::size_t>(tbb::this_task_arena::max_concurrency()), job->identity());
  follower.run(runner_of(*job));
}

}  // namespace

const base::Command& sweep_command() {
  static const base::Command command{
      .name = "mlsim sweep",
      .synopsis = "WORKLOAD [--formats F,...] [--exponent-bits A:B --mantissa-bits C:D] [options]",
      .summary = "price and measure many formats and arrays on one workload",
      .description =
          "Prices and measures every combination of formats and arrays on one workload, and marks the Pareto front of "
          "what --pareto names. With --out the points are written as CSV or JSON, by the name's ending; a sweep that "
          "was "
          "stopped goes on where it was when the same command is given again. Lists are separated by commas.\n"
          "\n"
          "Started by mpirun or srun, the processes run one sweep together. --shard I/N runs a part by itself; mlsim "
          "sweep --merge SHARD.jsonl... --out FILE puts the parts together.\n"
          "\n" +
          sources_text("WORKLOAD"),
      .operands = {sweep_operand()},
      .groups = {{.title = "options", .options = sweep_options()}}};
  return command;
}

void run_sweep(const base::CommandLine& line) {
  if (line.flag("merge")) return merge_sweep(line);
  const std::unique_ptr<tbb::global_control> limit = limit_threads(line);
  SweepJob job(line);
  print_warnings(line, job.setting().workload.remarks);
  SweepOutput output(line, job, 1);
  PointDispenser dispenser(output.open(), family_of(job.setting(), job.points()));
  runner_of(job)([&] { return dispenser.next(0); },
                 [&](std::size_t point, const Json& row) {
                   output.take(point, row);
                   dispenser.done(0, point);
                 });
  output.finish();
}

bool run_sweep_on_ranks(const std::vector<std::string>& arguments) {
  const std::optional<base::Launch> launch = base::launch();
  if (!launch) return false;
  std::optional<base::CommandLine> line;
  std::unique_ptr<base::Ranks> ranks;
  try {
    line.emplace(sweep_command(), arguments);
    // One process answers for all.
    if (line->flag("help") || line->flag("merge")) return launch->rank > 0;
    if (line->operands().front() == "-") {
      throw std::runtime_error("WORKLOAD is -, standard input, which one rank alone has; expected a file");
    }
    ranks = base::start_ranks(*launch);
  } catch (const std::runtime_error&) {
    // What one rank cannot, none can; rank 0 says so.
    if (launch->rank > 0) return true;
    throw;
  }
  if (ranks->rank() == 0) {
    lead_sweep(*line, std::move(ranks));
  } else {
    follow_sweep(*line, *ranks);
  }
  return true;
}

}  // namespace mlsim::app
