#include "app/cli/sweep_job.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "app/cli/options.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/output_file.h"
#include "base/text.h"

namespace mlsim::app {

using evaluation::ArrayChoice;
using evaluation::Engine;
using evaluation::joined;
using evaluation::Objective;
using evaluation::PerOperand;
using evaluation::sweep_formats;
using evaluation::SweepAxes;
using evaluation::SweepJournal;
using evaluation::SweepSample;
using evaluation::WidthRange;
using evaluation::WidthRanges;

base::WholeNumber limits_of(const WidthRange& widths) {
  return {static_cast<std::uint64_t>(widths.low), static_cast<std::uint64_t>(widths.high)};
}

// `low:high` or one number.
WidthRange parse_range(const std::string& text, const WidthRange& widths) {
  const std::vector<std::string> ends = base::split(text, ':');
  if (ends.size() > 2) throw std::runtime_error(fmt::format("is '{}', expected LOW:HIGH or a number", text));
  for (const std::string& end : ends) {
    const std::string reason = base::complaint(limits_of(widths), end);
    if (!reason.empty()) throw std::runtime_error(reason);
  }
  const WidthRange range{std::stoi(ends.front()), std::stoi(ends.back())};
  if (range.low > range.high) throw std::runtime_error(fmt::format("is '{}', expected the lower end first", text));
  return range;
}

std::filesystem::path output_ending_in(const std::vector<std::string>& endings, const base::CommandLine& line,
                                       const std::string& of) {
  std::filesystem::path out = line.path("out");
  if (std::find(endings.begin(), endings.end(), out.extension()) != endings.end()) return out;
  base::refuse(
      "", "--out",
      fmt::format("{}, expected a name that ends in {}{}",
                  out.empty() ? "is missing" : fmt::format("is '{}'", out.string()), fmt::join(endings, " or "), of));
}

namespace {

std::vector<PerOperand<models::Format>> formats_of(const base::CommandLine& line) {
  const auto groupings = [&] { return base::split(line.text("grouping"), ','); };
  const bool has_widths = line.has("exponent-bits") && line.has("mantissa-bits");
  if (!has_widths) {
    for (const char* option : {"exponent-bits", "mantissa-bits", "scale-exponent-bits", "scale-fraction-bits"}) {
      if (!line.given(option)) continue;
      throw std::runtime_error(
          fmt::format("--{} is given, expected both --exponent-bits and --mantissa-bits beside it", option));
    }
  }
  std::vector<PerOperand<models::Format>> formats;
  if (line.has("formats")) {
    formats = joined({}, sweep_formats(base::split(line.text("formats"), ','),
                                       line.given("grouping") ? groupings() : std::vector<std::string>()));
    if (!has_widths) return formats;
  } else if (!has_widths) {
    throw std::runtime_error("nothing to sweep: expected --formats, or --exponent-bits with --mantissa-bits");
  }
  WidthRanges ranges;
  ranges.exponent = parse_range(line.text("exponent-bits"), evaluation::kExponentWidths);
  ranges.mantissa = parse_range(line.text("mantissa-bits"), evaluation::kMantissaWidths);
  ranges.scale_exponent = parse_range(line.text("scale-exponent-bits"), evaluation::kScaleExponentWidths);
  ranges.scale_fraction = parse_range(line.text("scale-fraction-bits"), evaluation::kScaleFractionWidths);
  return joined(std::move(formats), sweep_formats(ranges, groupings()));
}

std::vector<Objective> front_of(const base::CommandLine& line, Engine engine) {
  if (!line.has("pareto")) return evaluation::default_front(engine);
  std::vector<Objective> objectives;
  for (const std::string& name : base::split(line.text("pareto"), ',')) {
    objectives.push_back(evaluation::parse_objective(name));
  }
  try {
    evaluation::check_front(objectives, engine);
  } catch (const std::runtime_error& error) {
    base::refuse("", "--pareto", error.what());
  }
  return objectives;
}

// Of an option that is a list; empty where it is not given.
std::vector<std::string> parts_of(const base::CommandLine& line, const char* option) {
  return line.has(option) ? base::split(line.text(option), ',') : std::vector<std::string>();
}

// Of --array and --dataflow, those of an area last.
std::vector<ArrayChoice> array_choices(const base::CommandLine& line) {
  std::vector<ArrayChoice> choices;
  std::vector<sim::DataflowKind> dataflows;
  if (!line.has("array")) choices.emplace_back();
  for (const std::string& part : parts_of(line, "array")) choices.push_back(evaluation::parse_array_choice(part));
  for (const std::string& part : parts_of(line, "dataflow")) dataflows.push_back(sim::parse_dataflow_kind(part));
  std::stable_partition(choices.begin(), choices.end(), [](const ArrayChoice& one) { return one.area_mm2 == 0; });
  return evaluation::with_dataflows(choices, dataflows);
}

// Shapes of an area with what else it depends on.
ArrayChoice sized(ArrayChoice choice, const SweepAxes& axes) {
  const auto expect_one = [&](const char* what, std::size_t count) {
    if (count <= 1) return;
    throw std::runtime_error(fmt::format("--array {}: has the area of {} {}, expected one", choice.text, count, what));
  };
  expect_one("formats", axes.formats.size());
  expect_one("values of --sharing", axes.elements_per_scaler.size());
  expect_one("values of --taps-per-cycle", axes.taps_per_cycle.size());
  if (!axes.elements_per_scaler.empty()) choice.elements_per_scaler = axes.elements_per_scaler.front();
  if (!axes.taps_per_cycle.empty()) choice.taps_per_cycle = axes.taps_per_cycle.front();
  return choice;
}

SweepAxes axes_of(const base::CommandLine& line, const std::vector<ArrayChoice>& choices,
                  const evaluation::SweepSetting& setting) {
  SweepAxes axes;
  axes.formats = formats_of(line);
  for (const auto& formats : axes.formats) evaluation::check_products(formats, setting.workload);
  axes.accumulator_bits = {setting.workload.accumulator.bits};
  if (line.has("accumulator-bits")) axes.accumulator_bits.clear();
  for (const std::string& bits : parts_of(line, "accumulator-bits")) {
    axes.accumulator_bits.push_back(bits == "full" ? 0 : std::stoi(bits));
  }
  for (const std::string& share : parts_of(line, "sharing")) axes.elements_per_scaler.push_back(std::stoi(share));
  for (const std::string& taps : parts_of(line, "taps-per-cycle")) axes.taps_per_cycle.push_back(std::stoi(taps));
  axes.arrays.clear();
  const auto area = [&](const sim::ArrayConfig& array) {
    double largest = 0;
    for (const int bits : axes.accumulator_bits) {
      const double one = evaluation::computing_area_of(setting, axes.formats.front(), bits, array);
      if (!(one <= largest)) largest = one;
    }
    return largest;
  };
  for (const ArrayChoice& choice : choices) {
    const ArrayChoice varied = choice.area_mm2 > 0 ? sized(choice, axes) : choice;
    for (auto& array : evaluation::arrays_of(varied, area)) axes.arrays.push_back(std::move(array));
  }
  return axes;
}

std::optional<SweepSample> sample_of(const base::CommandLine& line) {
  if (!line.has("sample")) {
    for (const char* option : {"seed", "sampling"}) {
      if (line.given(option)) base::refuse("", std::string("--") + option, "is given, expected --sample beside it");
    }
    return std::nullopt;
  }
  SweepSample sample;
  sample.points = line.whole_number("sample");
  sample.seed = line.whole_number("seed");
  sample.sampling = evaluation::parse_sampling(line.text("sampling"));
  return sample;
}

// The output, whose name's ending says what it is.
std::filesystem::path output_of(const base::CommandLine& line) {
  if (line.has("shard")) return output_ending_in({".jsonl"}, line, " for a shard");
  return line.path("out").empty() ? "" : output_ending_in({".csv", ".json"}, line);
}

// Files that the command reads, which an output must not be.
std::vector<std::filesystem::path> inputs_of(const workloads::Workload& workload, const energy::Laws& laws,
                                             const std::vector<ArrayChoice>& choices) {
  std::vector<std::filesystem::path> inputs = workload.files;
  inputs.push_back(laws.table().file);
  for (const ArrayChoice& choice : choices) {
    if (!choice.file.empty()) inputs.emplace_back(choice.file);
  }
  return inputs;
}

}  // namespace

SweepJob::SweepJob(const base::CommandLine& line)
    : out_(output_of(line)),
      laws_(find_laws(line.text("table"))),
      workload_(workloads::open_workload(line.operands().front(), source_options(line))),
      shared_(line.whole_number("cache") << 20),
      setting_{workload_,
               evaluation::parse_engine(line.text("engine")),
               laws_,
               evaluation::parse_activity(line.text("activity")),
               front_of(line, evaluation::parse_engine(line.text("engine"))),
               &shared_},
      choices_(array_choices(line)),
      points_(axes_of(line, choices_, setting_), sample_of(line)),
      tensors_(workload_) {
  if (!out_.empty()) base::check_outputs({out_, SweepJournal::file_of(out_)}, inputs_of(workload_, laws_, choices_));
  if (line.has("shard")) shard_ = evaluation::parse_shard(line.text("shard"));
  own_ = shard_ ? points_of(*shard_, points_, setting_.engine == Engine::kFunctional) : all_points(points_);
  identity_ = identity_of();
}

// This program, the inputs' contents and everything that is varied.
std::string SweepJob::identity_of() const {
  base::Hash hash;
  hash.add(MLSIM_VERSION);
  hash.add("rows with the names of their formats");
  hash.add(fmt::format("{:016x}", workload_.content_hash));
  hash.add(to_string(setting_.engine));
  hash.add(to_string(setting_.activity));
  hash.add(fmt::format("{} {:016x}", laws_.table().name, laws_.table().content_hash));
  for (const workloads::Layer& layer : workload_.layers) {
    // They may come from a network in a file of its own.
    hash.add(layer.name);
    hash.add(evaluation::shape_to_json(layer.shape).dump()).add(std::to_string(static_cast<int>(layer.link)));
    for (const models::Pass pass : layer.passes) hash.add(models::to_string(pass));
  }
  hash.add(fmt::format("{:016x}", tensors_.hash()));
  points_.add_to(hash);
  return fmt::format("{:016x}", hash.value());
}

}  // namespace mlsim::app
