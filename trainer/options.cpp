#include "trainer/options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/input_file.h"
#include "base/json.h"
#include "base/json_reader.h"
#include "base/output_file.h"
#include "base/text.h"

namespace mlsim::trainer {
namespace {

using models::Operand;

constexpr std::uint64_t kDefaultEpochs = 60;
constexpr std::uint64_t kMostImageSize = 4096;
constexpr std::uint64_t kMostBatch = std::uint64_t{1} << 20;
constexpr std::uint64_t kMostThreads = 1024;
constexpr std::uint64_t kMostTaps = 1024;

std::vector<std::uint64_t> parse_milestones(const std::string& list);

// A format of one operand, or of all of them.
base::Parsed format_kind() {
  std::vector<std::string> offered = models::format_names();
  offered.insert(offered.begin(), {"e2m4", "e2m1", "mxfp8", "fp8"});
  return {[](const std::string& text) { models::parse_operand_formats(text); }, offered};
}

base::Parsed anything() {
  return {[](const std::string& /*text*/) {}};
}

template <typename Values>
base::Choice names_of(const Values& values) {
  base::Choice choice;
  for (const auto& value : values) choice.names.push_back(to_string(value));
  return choice;
}

std::vector<base::Option> number_options() {
  const base::Choice roundings{{"nearest", "stochastic"}};
  return {
      {.name = "format",
       .value_name = "F",
       .help = "format of all operands: " + models::format_syntax() +
               "; mxfp8 and fp8 are e4m3, and e5m2 of errors. GROUPING: " + models::grouping_syntax(),
       .kind = format_kind(),
       .preset = "e2m1"},
      {.name = "activation-format", .value_name = "F", .help = "format of the activations", .kind = format_kind()},
      {.name = "weight-format", .value_name = "F", .help = "format of the weights", .kind = format_kind()},
      {.name = "error-format", .value_name = "F", .help = "format of the errors", .kind = format_kind()},
      {.name = "rounding",
       .value_name = "R",
       .help = "rounding of all operands: nearest or stochastic",
       .kind = roundings},
      {.name = "activation-rounding",
       .value_name = "R",
       .help = "rounding of the activations (nearest)",
       .kind = roundings},
      {.name = "weight-rounding", .value_name = "R", .help = "rounding of the weights (nearest)", .kind = roundings},
      {.name = "error-rounding", .value_name = "R", .help = "rounding of the errors (stochastic)", .kind = roundings},
      {.name = "evaluation-rounding",
       .value_name = "R",
       .help = "rounding in evaluation: nearest, or training for that of training",
       .kind = base::Choice{{"nearest", "training"}},
       .preset = "nearest"},
      {.name = "random-bits",
       .value_name = "N",
       .help = "random bits of stochastic rounding, 1 to 24",
       .kind = base::WholeNumber{1, 24},
       .preset = "16"},
      {.name = "float-layers",
       .value_name = "LAYERS",
       .help = "convolutions that stay binary32: a,b,c, or first, or none",
       .kind = anything(),
       .preset = "first"},
      {.name = "quantize-linear", .help = "quantize the linear layer too, its products in all three passes"},
      {.name = "arithmetic",
       .value_name = "A",
       .help = "dequantized: libtorch's convolutions; exact: the bits of the simulated machine (cpu)",
       .kind = base::Choice{{"dequantized", "exact"}},
       .preset = "dequantized"},
      {.name = "accumulator-bits",
       .value_name = "N",
       .help = "width of the accumulators of exact arithmetic, 2 to 64 (as wide as needed)",
       .kind = base::WholeNumber{2, 64},
       .needs_option = "arithmetic",
       .needs_value = "exact"},
      {.name = "overflow",
       .value_name = "O",
       .help = "what a sum does that leaves them: saturate, or wrap (saturate)",
       .kind = base::Choice{{"saturate", "wrap"}},
       .needs_option = "arithmetic",
       .needs_value = "exact"},
      {.name = "taps-per-cycle",
       .value_name = "L",
       .help = "products whose exact sum is one addition to an accumulator, 1 to 1024 (1)",
       .kind = base::WholeNumber{1, kMostTaps},
       .needs_option = "arithmetic",
       .needs_value = "exact"}};
}

std::vector<base::Option> training_options() {
  return {
      {.name = "model",
       .value_name = "NAME",
       .help = "resnet20, resnet18, resnet18-imagenet, vgg16-bn, or resnet8 for short runs",
       .kind = names_of(kModels),
       .preset = "resnet20"},
      {.name = "dataset",
       .value_name = "NAME",
       .help = "cifar10, mnist, or images for a folder of images by class",
       .kind = names_of(kDatasetKinds),
       .preset = "cifar10"},
      {.name = "data",
       .value_name = "FOLDER",
       .help = "folder of the data set (data/cifar-10-batches-bin, data/mnist)",
       .kind = base::Folder{}},
      {.name = "image-size",
       .value_name = "N",
       .help = "side of the images of --dataset images, 8 to 4096 (224)",
       .kind = base::WholeNumber{8, kMostImageSize},
       .needs_option = "dataset",
       .needs_value = "images"},
      {.name = "epochs",
       .value_name = "N",
       .help = "length of training in epochs (60)",
       .kind = base::WholeNumber{1, kMostSteps}},
      {.name = "steps",
       .value_name = "N",
       .help = "length of training in steps, instead of --epochs",
       .kind = base::WholeNumber{1, kMostSteps}},
      {.name = "batch",
       .value_name = "N",
       .help = "images in a step, 1 to 1048576",
       .kind = base::WholeNumber{1, kMostBatch},
       .preset = "128"},
      {.name = "learning-rate",
       .value_name = "X",
       .help = "learning rate at the start",
       .kind = base::Number{0, 1000},
       .preset = "0.1"},
      {.name = "schedule",
       .value_name = "S",
       .help = "cosine, or step: a tenth at each milestone",
       .kind = base::Choice{{"cosine", "step"}},
       .preset = "cosine"},
      {.name = "milestones",
       .value_name = "EPOCHS",
       .help = "epochs after which --schedule step takes a tenth, a,b,c (half and three quarters of the run)",
       .kind = base::Parsed{[](const std::string& list) { parse_milestones(list); }},
       .needs_option = "schedule",
       .needs_value = "step"},
      {.name = "warmup-epochs",
       .value_name = "N",
       .help = "epochs in which the learning rate rises to the schedule's",
       .kind = base::WholeNumber{0, kMostSteps},
       .preset = "0"},
      {.name = "momentum", .value_name = "X", .help = "momentum of SGD", .kind = base::Number{0, 1}, .preset = "0.9"},
      {.name = "weight-decay",
       .value_name = "X",
       .help = "weight decay",
       .kind = base::Number{0, 1},
       .preset = "0.0005"},
      {.name = "seed",
       .value_name = "N",
       .help = "seed of every random draw",
       .kind = base::WholeNumber{},
       .preset = "1"},
      {.name = "sync-batch-norm", .help = "of several ranks: batch norm over the images of all, not of each"},
      {.name = "scale-per-rank", .help = "of several ranks: scales of each one's images, not of the whole batch"},
      {.name = "device",
       .value_name = "D",
       .help = "cpu or cuda",
       .kind = base::Choice{{"cpu", "cuda"}},
       .preset = "cpu"},
      {.name = "threads",
       .value_name = "N",
       .help = "threads, 1 to 1024 (as many as the processor runs)",
       .kind = base::WholeNumber{1, kMostThreads}}};
}

std::vector<base::Option> output_options() {
  return {
      {.name = "recipe",
       .value_name = "FILE",
       .help = "JSON file with options of numbers and training; those given here win",
       .kind = base::File{}},
      {.name = "save-recipe", .value_name = "FILE", .help = "file for the recipe of this run", .kind = base::File{}},
      {.name = "metrics", .value_name = "FILE", .help = "file for one line of JSON an epoch", .kind = base::File{}},
      {.name = "checkpoint",
       .value_name = "FILE",
       .help = "file for the state after each epoch, at the end and when interrupted",
       .kind = base::File{}},
      {.name = "resume",
       .value_name = "FILE",
       .help = "checkpoint to go on from, with the same options and data",
       .kind = base::File{}},
      {.name = "weights",
       .value_name = "FILE",
       .help = "checkpoint whose network a new run begins with, whatever its schedule, formats and data were",
       .kind = base::File{}},
      {.name = "check-data", .help = "read all images once and list the broken ones, instead of training"},
      {.name = "trace-step",
       .value_name = "N",
       .help = "step whose operands are written as a workload; the first is 0",
       .kind = base::WholeNumber{0, kMostSteps - 1}},
      {.name = "trace", .value_name = "FOLDER", .help = "folder for the workload", .kind = base::Folder{}},
      {.name = "trace-samples",
       .value_name = "K",
       .help = "images of the batch in the workload, from the first on",
       .kind = base::WholeNumber{1, kMostBatch},
       .preset = "1"},
      {.name = "trace-layers",
       .value_name = "LAYERS",
       .help = "convolutions in the workload, a,b,c (all quantized ones)",
       .kind = anything()},
      {.name = "quiet", .help = "print no progress and no figures, which --metrics has", .letter = "q"},
      {.name = "version", .help = "print the version", .letter = "V"}};
}

template <typename Visitor>
void for_each_recipe_option(const Visitor& visit) {
  for (const base::OptionGroup& group : trainer_program().itself.groups) {
    if (!group.in_recipe) continue;
    for (const base::Option& option : group.options) visit(option);
  }
}

void read_arithmetic(const base::CommandLine& line, Quantization& quantization) {
  quantization.arithmetic = line.text("arithmetic") == "exact" ? Arithmetic::kExact : Arithmetic::kDequantized;
  if (line.has("accumulator-bits")) quantization.accumulator.bits = line.whole_number<int>("accumulator-bits");
  if (line.has("overflow")) {
    quantization.accumulator.overflow =
        line.text("overflow") == "wrap" ? models::Overflow::kWrap : models::Overflow::kSaturate;
  }
  if (line.has("taps-per-cycle")) {
    quantization.accumulator.taps_per_cycle = line.whole_number<int>("taps-per-cycle");
  }
}

Quantization read_quantization(const base::CommandLine& line) {
  Quantization quantization;
  for (const Operand operand : models::kOperands) {
    OperandQuantization& chosen = quantization[operand];
    const std::string own_format = to_string(operand) + "-format";
    chosen.format = models::parse_operand_formats(
        line.text(line.has(own_format) ? own_format : "format"))[static_cast<std::size_t>(operand)];
    for (const std::string& rounding : {std::string("rounding"), to_string(operand) + "-rounding"}) {
      if (line.has(rounding)) chosen.rounding = models::parse_rounding(line.text(rounding));
    }
  }
  quantization.evaluate_as_trained = line.text("evaluation-rounding") == "training";
  quantization.random_bits = line.whole_number<int>("random-bits");
  read_arithmetic(line, quantization);
  return quantization;
}

void read_data(const base::CommandLine& line, Options& options) {
  const bool folder_of_images = options.dataset == DatasetKind::kImages;
  options.data = line.path("data");
  if (options.data.empty() && !folder_of_images) {
    options.data = options.dataset == DatasetKind::kMnist ? "data/mnist" : "data/cifar-10-batches-bin";
  }
  if (line.has("image-size")) {
    options.image_size = line.whole_number("image-size");
  } else if (folder_of_images) {
    options.image_size = 224;
  }
}

std::vector<std::string> names_in(const std::string& list) {
  std::vector<std::string> names = base::split(list, ',');
  std::erase(names, "");
  return names;
}

std::vector<std::uint64_t> parse_milestones(const std::string& list) {
  std::vector<std::uint64_t> milestones;
  bool whole = true;
  for (const std::string& name : base::split(list, ',')) {
    const std::uint64_t epoch = base::number_of<std::uint64_t>(name).value_or(0);  // 0 rises above nothing
    whole = whole && epoch <= kMostSteps && epoch > (milestones.empty() ? 0 : milestones.back());
    milestones.push_back(epoch);
  }
  if (!whole) {
    throw std::runtime_error(
        fmt::format("is '{}', expected whole numbers from 1 to {} that rise, a,b,c", list, kMostSteps));
  }
  return milestones;
}

std::optional<TraceRequest> read_trace(const base::CommandLine& line) {
  if (line.has("trace") != line.has("trace-step")) {
    throw std::runtime_error("--trace FOLDER and --trace-step N: expected both or neither");
  }
  if (!line.has("trace")) {
    if (line.has("trace-layers") || line.given("trace-samples")) {
      throw std::runtime_error("--trace-layers and --trace-samples: expected only beside --trace FOLDER");
    }
    return std::nullopt;
  }
  TraceRequest trace;
  trace.step = line.whole_number("trace-step");
  trace.folder = line.path("trace");
  trace.samples = line.whole_number<std::int64_t>("trace-samples");
  if (line.has("trace-layers")) trace.layers = names_in(line.text("trace-layers"));
  if (static_cast<std::uint64_t>(trace.samples) > line.whole_number("batch")) {
    base::refuse("", "--trace-samples",
                 fmt::format("is {}, expected at most the batch of {}", trace.samples, line.whole_number("batch")));
  }
  return trace;
}

// Output goes to files of its own. What was read may be written anew: a recipe, a checkpoint. Returns the files that
// are read and not written.
std::vector<std::filesystem::path> check_files(const base::CommandLine& line) {
  std::vector<std::filesystem::path> inputs;
  std::map<std::filesystem::path, std::string> options;
  for (const std::string option : {"recipe", "save-recipe", "metrics", "checkpoint", "resume", "weights"}) {
    std::error_code problem;
    const std::filesystem::path file = line.path(option);
    const std::filesystem::file_status status = std::filesystem::status(file, problem);
    if (file.empty() || (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status))) continue;
    const auto [other, is_new] = options.emplace(base::place_of(file), option);
    if (is_new) {
      if (option == "recipe" || option == "resume" || option == "weights") inputs.push_back(file);
      continue;
    }
    const bool written_anew =
        (option == "save-recipe" && other->second == "recipe") || (option == "resume" && other->second == "checkpoint");
    if (!written_anew) {
      throw std::runtime_error(
          fmt::format("--{} and --{} {}: are one file, expected two", other->second, option, file.string()));
    }
    std::erase(inputs, line.path(other->second));
  }
  return inputs;
}

Recipe read_recipe_of_run(const base::CommandLine& line) {
  Recipe recipe;
  recipe.quantization = read_quantization(line);
  const std::string& float_layers = line.text("float-layers");
  if (float_layers == "none") {
    recipe.float_layers.emplace();
  } else if (float_layers != "first") {
    recipe.float_layers = names_in(float_layers);
  }
  recipe.quantize_linear = line.flag("quantize-linear");
  recipe.sync_batch_norm = line.flag("sync-batch-norm");
  recipe.scale_per_rank = line.flag("scale-per-rank");
  recipe.model = parse_model(line.text("model"));
  recipe.seed = line.whole_number("seed");
  recipe.batch = line.whole_number("batch");
  recipe.learning_rate = line.number("learning-rate");
  recipe.momentum = line.number("momentum");
  recipe.weight_decay = line.number("weight-decay");
  recipe.schedule = line.text("schedule") == "cosine" ? Schedule::kCosine : Schedule::kStep;
  recipe.device = line.text("device") == "cpu" ? Device::kCpu : Device::kCuda;
  if (line.has("steps")) recipe.steps = line.whole_number("steps");
  return recipe;
}

Options options_of(const base::CommandLine& line) {
  Options options;
  options.check_data = line.flag("check-data");
  options.quiet = line.flag("quiet");
  options.dataset = parse_dataset(line.text("dataset"));
  read_data(line, options);
  options.metrics = line.path("metrics");
  options.save_recipe = line.path("save-recipe");
  options.warmup_epochs = line.whole_number("warmup-epochs");
  if (line.has("milestones")) options.milestones = parse_milestones(line.text("milestones"));
  if (!line.has("steps")) options.epochs = kDefaultEpochs;
  if (line.has("epochs")) options.epochs = line.whole_number("epochs");
  options.threads_given = line.has("threads");
  TrainingRun& run = options.run;
  run.recipe = read_recipe_of_run(line);
  run.threads = line.has("threads")
                    ? line.whole_number<int>("threads")
                    : static_cast<int>(std::clamp<std::uint64_t>(std::thread::hardware_concurrency(), 1, kMostThreads));
  run.checkpoint = line.path("checkpoint");
  run.resume = line.path("resume");
  run.weights = line.path("weights");
  run.trace = read_trace(line);
  return options;
}

// Options of a recipe and their file.
struct RecipeOptions {
  std::string file;
  std::map<std::string, std::string> values;
};

RecipeOptions read_recipe(const std::filesystem::path& path) {
  const std::string file = path.string();
  const nlohmann::json document = base::parse_json(base::read_text(path), file);
  const base::JsonReader recipe(document, file);
  if (!document.is_object()) recipe.refuse("is no JSON object, expected options and values");
  std::vector<std::string> names;
  for_each_recipe_option([&](const base::Option& option) { names.push_back(option.name); });
  RecipeOptions result{file, {}};
  for (const auto& [key, value] : document.items()) {
    if (std::find(names.begin(), names.end(), key) == names.end()) {
      recipe[key].refuse(
          fmt::format("is no option that a recipe can have, expected some of {}", fmt::join(names, ", ")));
    }
    const base::Option& option = *trainer_program().itself.find(key);
    if (option.value_name.empty()) {
      if (!value.is_boolean()) recipe[key].refuse("is neither true nor false");
      if (value.get<bool>()) result.values[key] = "";
      continue;
    }
    if (!value.is_string() && !value.is_number()) {
      recipe[key].refuse("is neither a string nor a number, expected a value of --" + key);
    }
    const std::string text =
        value.is_string() ? value.get<std::string>() : base::as_integer(value).value_or(value).dump();
    const std::string reason = base::complaint(option.kind, text);
    if (!reason.empty()) recipe[key].refuse(reason);
    result.values[key] = text;
  }
  return result;
}

// The names of a recipe's options that the command line gives too, or leaves without meaning.
std::set<std::string> overridden(const RecipeOptions& recipe, const base::CommandLine& line) {
  const auto given = [&](const std::string& name) { return line.given(name); };
  std::set<std::string> names;
  for (const auto& [key, value] : recipe.values) {
    if (given(key)) names.insert(key);
  }
  // Each of the two lengths takes the place of the other.
  if (given("steps")) names.insert("epochs");
  if (given("epochs")) names.insert("steps");
  for (const std::string kind : {"format", "rounding"}) {
    for (const Operand operand : models::kOperands) {
      if (given(kind)) names.insert(to_string(operand) + "-" + kind);
    }
  }
  for_each_recipe_option([&](const base::Option& option) {
    const std::string& other = option.needs_option;
    if (!other.empty() && given(other) && line.text(other) != option.needs_value) names.insert(option.name);
  });
  // A folder holds the data set that stands beside it.
  const auto dataset = recipe.values.find("dataset");
  if (dataset != recipe.values.end() && given("dataset") && line.text("dataset") != dataset->second) {
    names.insert("data");
  }
  return names;
}

// Adds the options of a recipe that the command line leaves to it; the others are taken out of the recipe.
void add_recipe(RecipeOptions& recipe, base::CommandLine& line) {
  for (const std::string& name : overridden(recipe, line)) recipe.values.erase(name);
  for (const auto& [key, value] : recipe.values) line.set(key, value);
}

// Refuses values that do not go together, with the recipe's file where they are from there.
void check_together(const base::CommandLine& line, const RecipeOptions& recipe) {
  const auto refuse = [&](const std::string& option, const std::string& place, const std::string& reason) {
    base::refuse(recipe.values.contains(option) ? recipe.file : "", place, reason);
  };
  if (line.has("resume") && line.has("weights")) {
    throw std::runtime_error(
        "--resume and --weights: expected one of them, a run goes on with the weights that it has");
  }
  if (line.has("epochs") && line.has("steps")) refuse("epochs", "--epochs and --steps", "expected one of them");
  for_each_recipe_option([&](const base::Option& option) {
    const std::string& other = option.needs_option;
    if (other.empty() || !line.has(option.name) || line.text(other) == option.needs_value) return;
    refuse(option.name, "--" + option.name, fmt::format("expected only beside --{} {}", other, option.needs_value));
  });
}

// The recipe of a run, defaults included.
std::string recipe_text(const base::CommandLine& line) {
  nlohmann::ordered_json recipe;
  for_each_recipe_option([&](const base::Option& option) {
    const std::string& name = option.name;
    if (name == "epochs" && !line.has("epochs") && !line.has("steps")) recipe[name] = kDefaultEpochs;
    if (!line.has(name)) return;
    if (option.value_name.empty()) {
      recipe[name] = true;
      return;
    }
    const std::string& text = line.text(name);
    const nlohmann::json number = nlohmann::json::parse(text, nullptr, false);
    recipe[name] = number.is_number() && number.dump() == text ? number : nlohmann::json(text);
    try {
      recipe[name].dump();
    } catch (const nlohmann::json::type_error&) {
      throw std::runtime_error(
          fmt::format("--save-recipe: JSON has no way to write --{} {}, which is no UTF-8", name, text));
    }
  });
  return recipe.dump(2) + "\n";
}

}  // namespace

const base::Program& trainer_program() {
  static const base::Program program{
      .itself = {.name = "mlsim-train",
                 .synopsis = "[OPTION]...",
                 .summary = "train a network with quantized operands",
                 .description = "Trains a network on images with block-scaled (MLS, MX, NVFP4) or baseline operands in "
                                "all three passes of its convolutions.",
                 .operands = {},
                 .groups = {{.title = "Numbers", .options = number_options(), .in_recipe = true},
                            {.title = "Training", .options = training_options(), .in_recipe = true},
                            {.title = "Output", .options = output_options()}}},
      .commands = {},
      .version = MLSIM_VERSION};
  return program;
}

Options parse_options(int argc, const char* const* argv) {
  base::CommandLine line(trainer_program().itself, {argv + 1, argv + argc});
  Options options;
  options.help = line.flag("help");
  options.version = line.flag("version");
  if (options.help || options.version) return options;
  RecipeOptions recipe;
  if (line.has("recipe")) {
    recipe = read_recipe(line.path("recipe"));
    add_recipe(recipe, line);
  }
  options = options_of(line);
  check_together(line, recipe);
  options.run.inputs = check_files(line);
  if (options.data.empty()) throw std::runtime_error("--dataset images: expected --data FOLDER beside it");
  if (!options.save_recipe.empty()) options.recipe_text = recipe_text(line);
  return options;
}

}  // namespace mlsim::trainer
