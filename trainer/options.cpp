#include "trainer/options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <boost/program_options.hpp>
#include <charconv>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/input_file.h"
#include "base/json.h"
#include "base/output_file.h"

namespace mlsim::trainer {
namespace {

namespace po = boost::program_options;
using models::Operand;

constexpr std::uint64_t kDefaultEpochs = 60;
constexpr std::uint64_t kMostImageSize = 4096;
constexpr std::uint64_t kMostBatch = std::uint64_t{1} << 20;
constexpr std::uint64_t kMostThreads = 1024;

// Options that mean something only beside one value of another.
struct Dependence {
  const char* option;
  const char* other;
  const char* value;
};
constexpr std::array kDependences{
    Dependence{"accumulator-bits", "arithmetic", "exact"}, Dependence{"overflow", "arithmetic", "exact"},
    Dependence{"image-size", "dataset", "images"}, Dependence{"milestones", "schedule", "step"}};

// The options, without those of output, which have no place in a recipe, unless told.
po::options_description description(bool with_output = true) {
  po::options_description numbers("Numbers", 100);
  numbers.add_options()  //
      ("format", po::value<std::string>()->value_name("F")->default_value("e2m1"),
       "format of all operands: eXmY[/gAmB][/GROUPING], fp32, bf16, fp16, int8, fp8-e4m3, fp8-e5m2, or fp8 (e4m3, "
       "errors e5m2)")                                                                                             //
      ("activation-format", po::value<std::string>()->value_name("F"), "format of the activations")                //
      ("weight-format", po::value<std::string>()->value_name("F"), "format of the weights")                        //
      ("error-format", po::value<std::string>()->value_name("F"), "format of the errors")                          //
      ("rounding", po::value<std::string>()->value_name("R"), "rounding of all operands: nearest or stochastic")   //
      ("activation-rounding", po::value<std::string>()->value_name("R"), "rounding of the activations (nearest)")  //
      ("weight-rounding", po::value<std::string>()->value_name("R"), "rounding of the weights (nearest)")          //
      ("error-rounding", po::value<std::string>()->value_name("R"), "rounding of the errors (stochastic)")         //
      ("evaluation-rounding", po::value<std::string>()->value_name("R")->default_value("nearest"),
       "rounding in evaluation: nearest, or training for that of training")  //
      ("random-bits", po::value<std::string>()->value_name("N")->default_value("16"),
       "random bits of stochastic rounding, 1 to 24")  //
      ("float-layers", po::value<std::string>()->value_name("LAYERS")->default_value("first"),
       "convolutions that stay binary32: a,b,c, or first, or none")  //
      ("arithmetic", po::value<std::string>()->value_name("A")->default_value("dequantized"),
       "dequantized: libtorch's convolutions; exact: the bits of the simulated machine (cpu)")  //
      ("accumulator-bits", po::value<std::string>()->value_name("N"),
       "width of the accumulators of exact arithmetic, 2 to 64 (as wide as needed)")  //
      ("overflow", po::value<std::string>()->value_name("O"),
       "what a sum does that leaves them: saturate, or wrap (saturate)");
  po::options_description training("Training", 100);
  training.add_options()  //
      ("model", po::value<std::string>()->value_name("NAME")->default_value("resnet20"),
       "resnet20, resnet18, resnet18-imagenet, vgg16-bn, or resnet8 for short runs")  //
      ("dataset", po::value<std::string>()->value_name("NAME")->default_value("cifar10"),
       "cifar10, mnist, or images for a folder of images by class")  //
      ("data", po::value<std::string>()->value_name("FOLDER"),
       "folder of the data set (data/cifar-10-batches-bin, data/mnist)")  //
      ("image-size", po::value<std::string>()->value_name("N"),
       "side of the images of --dataset images, 8 to 4096 (224)")                                                   //
      ("epochs", po::value<std::string>()->value_name("N"), "length of training in epochs (60)")                    //
      ("steps", po::value<std::string>()->value_name("N"), "length of training in steps, instead of --epochs")      //
      ("batch", po::value<std::string>()->value_name("N")->default_value("128"), "images in a step, 1 to 1048576")  //
      ("learning-rate", po::value<std::string>()->value_name("X")->default_value("0.1"),
       "learning rate at the start")  //
      ("schedule", po::value<std::string>()->value_name("S")->default_value("cosine"),
       "cosine, or step: a tenth at each milestone")  //
      ("milestones", po::value<std::string>()->value_name("EPOCHS"),
       "epochs after which --schedule step takes a tenth, a,b,c (half and three quarters of the run)")  //
      ("warmup-epochs", po::value<std::string>()->value_name("N")->default_value("0"),
       "epochs in which the learning rate rises to the schedule's")                                         //
      ("momentum", po::value<std::string>()->value_name("X")->default_value("0.9"), "momentum of SGD")      //
      ("weight-decay", po::value<std::string>()->value_name("X")->default_value("0.0005"), "weight decay")  //
      ("seed", po::value<std::string>()->value_name("N")->default_value("1"), "seed of every random draw")  //
      ("device", po::value<std::string>()->value_name("D")->default_value("cpu"), "cpu or cuda")            //
      ("threads", po::value<std::string>()->value_name("N"), "threads, 1 to 1024 (as many as the processor runs)");
  po::options_description output("Output", 100);
  output.add_options()  //
      ("recipe", po::value<std::string>()->value_name("FILE"),
       "JSON file with options of numbers and training; those given here win")                          //
      ("save-recipe", po::value<std::string>()->value_name("FILE"), "file for the recipe of this run")  //
      ("metrics", po::value<std::string>()->value_name("FILE"), "file for one line of JSON an epoch")   //
      ("checkpoint", po::value<std::string>()->value_name("FILE"),
       "file for the state after each epoch, at the end and when interrupted")                                     //
      ("resume", po::value<std::string>()->value_name("FILE"), "checkpoint to go on from, with the same options")  //
      ("trace-step", po::value<std::string>()->value_name("N"),
       "step whose operands are written as a workload; the first is 0")                     //
      ("trace", po::value<std::string>()->value_name("FOLDER"), "folder for the workload")  //
      ("trace-samples", po::value<std::string>()->value_name("K")->default_value("1"),
       "images of the batch in the workload, from the first on")  //
      ("trace-layers", po::value<std::string>()->value_name("LAYERS"),
       "convolutions in the workload, a,b,c (all quantized ones)")  //
      ("version", "print the version")                              //
      ("help,h", "print this text");
  po::options_description all;
  all.add(numbers).add(training);
  if (with_output) all.add(output);
  return all;
}

// A whole number; Boost's own conversion takes -1 for the largest one.
std::uint64_t whole_number(const po::variables_map& options, const std::string& name, std::uint64_t least,
                           std::uint64_t most = std::numeric_limits<std::uint64_t>::max()) {
  const auto& text = options[name].as<std::string>();
  std::uint64_t value = 0;
  std::istringstream stream(text);
  const bool digits = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
  if (!digits || !(stream >> value) || value < least || value > most) {
    const bool bounded = most != std::numeric_limits<std::uint64_t>::max();
    throw std::runtime_error(fmt::format("--{} {}: expected a whole number from {} {}", name, text, least,
                                         bounded ? fmt::format("to {}", most) : "on"));
  }
  return value;
}

double number(const po::variables_map& options, const std::string& name, double most) {
  const auto& text = options[name].as<std::string>();
  double value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc() || end != text.data() + text.size() || !(value >= 0 && value <= most)) {
    throw std::runtime_error(fmt::format("--{} {}: expected a number from 0 to {}", name, text, most));
  }
  return value;
}

// Empty where the option is not given.
std::filesystem::path path_of(const po::variables_map& options, const std::string& name) {
  if (options.count(name) == 0) return {};
  const auto& text = options[name].as<std::string>();
  if (text.empty()) throw std::runtime_error(fmt::format("--{}: is empty, expected a name", name));
  return text;
}

// fp8 stands for the two formats of the usual recipe: e4m3 forward, e5m2 for errors.
models::Format training_format(const std::string& option, const std::string& text, Operand operand) {
  if (text == "fp8") {
    return operand == Operand::kError ? models::BaselineFormat::kFp8E5m2 : models::BaselineFormat::kFp8E4m3;
  }
  try {
    return models::parse_format(text);
  } catch (const std::runtime_error& error) {
    throw std::runtime_error(fmt::format("--{}: {}", option, error.what()));
  }
}

models::Rounding training_rounding(const std::string& option, const std::string& text) {
  try {
    return models::parse_rounding(text);
  } catch (const std::runtime_error& error) {
    throw std::runtime_error(fmt::format("--{}: {}", option, error.what()));
  }
}

void read_arithmetic(const po::variables_map& options, Quantization& quantization) {
  const auto& arithmetic = options["arithmetic"].as<std::string>();
  if (arithmetic != "dequantized" && arithmetic != "exact") {
    throw std::runtime_error(fmt::format("--arithmetic {}: expected dequantized or exact", arithmetic));
  }
  quantization.arithmetic = arithmetic == "exact" ? Arithmetic::kExact : Arithmetic::kDequantized;
  if (options.count("accumulator-bits") > 0) {
    quantization.accumulator.bits = static_cast<int>(whole_number(options, "accumulator-bits", 2, 64));
  }
  if (options.count("overflow") > 0) {
    const auto& overflow = options["overflow"].as<std::string>();
    if (overflow != "saturate" && overflow != "wrap") {
      throw std::runtime_error(fmt::format("--overflow {}: expected saturate or wrap", overflow));
    }
    quantization.accumulator.overflow = overflow == "wrap" ? models::Overflow::kWrap : models::Overflow::kSaturate;
  }
}

Quantization read_quantization(const po::variables_map& options) {
  Quantization quantization;
  for (const Operand operand : models::kOperands) {
    OperandQuantization& chosen = quantization[operand];
    const std::string own_format = to_string(operand) + "-format";
    const std::string format = options.count(own_format) > 0 ? own_format : "format";
    chosen.format = training_format(format, options[format].as<std::string>(), operand);
    for (const std::string& rounding : {std::string("rounding"), to_string(operand) + "-rounding"}) {
      if (options.count(rounding) > 0) {
        chosen.rounding = training_rounding(rounding, options[rounding].as<std::string>());
      }
    }
  }
  const auto& evaluation = options["evaluation-rounding"].as<std::string>();
  if (evaluation != "nearest" && evaluation != "training") {
    throw std::runtime_error(fmt::format("--evaluation-rounding {}: expected nearest or training", evaluation));
  }
  quantization.evaluate_as_trained = evaluation == "training";
  quantization.random_bits = static_cast<int>(whole_number(options, "random-bits", 1, 24));
  read_arithmetic(options, quantization);
  return quantization;
}

// The value of an option that `parse` knows by name.
template <typename Value>
Value named(const std::string& option, const po::variables_map& options, Value (*parse)(const std::string&)) {
  try {
    return parse(options[option].as<std::string>());
  } catch (const std::runtime_error& error) {
    throw std::runtime_error(fmt::format("--{}: {}", option, error.what()));
  }
}

void read_data(const po::variables_map& values, Options& options) {
  const bool folder_of_images = options.dataset == DatasetKind::kImages;
  options.data = path_of(values, "data");
  if (options.data.empty() && !folder_of_images) {
    options.data = options.dataset == DatasetKind::kMnist ? "data/mnist" : "data/cifar-10-batches-bin";
  }
  if (values.count("image-size") > 0) {
    options.image_size = whole_number(values, "image-size", 8, kMostImageSize);
  } else if (folder_of_images) {
    options.image_size = 224;
  }
}

std::vector<std::string> names_in(const std::string& list) {
  std::vector<std::string> names;
  std::istringstream stream(list);
  for (std::string name; std::getline(stream, name, ',');) names.push_back(name);
  return names;
}

std::vector<std::uint64_t> read_milestones(const std::string& list) {
  std::vector<std::uint64_t> milestones;
  // getline makes nothing of an empty end.
  bool whole = !list.empty() && list.back() != ',';
  for (const std::string& name : names_in(list)) {
    std::uint64_t epoch = 0;
    const auto [end, problem] = std::from_chars(name.data(), name.data() + name.size(), epoch);
    whole = whole && problem == std::errc() && end == name.data() + name.size() && epoch <= kMostSteps &&
            epoch > (milestones.empty() ? 0 : milestones.back());
    milestones.push_back(epoch);
  }
  if (!whole) {
    throw std::runtime_error(
        fmt::format("--milestones {}: expected whole numbers from 1 to {} that rise, a,b,c", list, kMostSteps));
  }
  return milestones;
}

std::optional<TraceRequest> read_trace(const po::variables_map& options) {
  if (options.count("trace") != options.count("trace-step")) {
    throw std::runtime_error("--trace FOLDER and --trace-step N: expected both or neither");
  }
  if (options.count("trace") == 0) {
    if (options.count("trace-layers") > 0 || !options["trace-samples"].defaulted()) {
      throw std::runtime_error("--trace-layers and --trace-samples: expected only beside --trace FOLDER");
    }
    return std::nullopt;
  }
  TraceRequest trace;
  trace.step = whole_number(options, "trace-step", 0, kMostSteps - 1);
  trace.folder = path_of(options, "trace");
  trace.samples = static_cast<std::int64_t>(whole_number(options, "trace-samples", 1, kMostBatch));
  if (options.count("trace-layers") > 0) {
    trace.layers = names_in(options["trace-layers"].as<std::string>());
  }
  return trace;
}

// Output goes to files of its own. What was read may be written anew: a recipe, a checkpoint.
void check_files(const po::variables_map& values) {
  std::map<std::filesystem::path, std::string> options;
  for (const std::string option : {"recipe", "save-recipe", "metrics", "checkpoint", "resume"}) {
    std::error_code problem;
    const std::filesystem::path file = path_of(values, option);
    const std::filesystem::file_status status = std::filesystem::status(file, problem);
    if (file.empty() || (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status))) continue;
    const auto [other, is_new] = options.emplace(base::place_of(file), option);
    if (is_new) continue;
    const bool written_anew =
        (option == "save-recipe" && other->second == "recipe") || (option == "resume" && other->second == "checkpoint");
    if (!written_anew) {
      throw std::runtime_error(
          fmt::format("--{} and --{} {}: are one file, expected two", other->second, option, file.string()));
    }
    base::allow_replacing(file);
  }
}

// Each value by itself, all but the recipe's file.
Options options_of(const po::variables_map& values) {
  Options options;
  options.dataset = named("dataset", values, parse_dataset);
  read_data(values, options);
  options.metrics = path_of(values, "metrics");
  options.save_recipe = path_of(values, "save-recipe");
  options.warmup_epochs = whole_number(values, "warmup-epochs", 0, kMostSteps);

  TrainingRun& run = options.run;
  Recipe& recipe = run.recipe;
  recipe.quantization = read_quantization(values);
  const auto& float_layers = values["float-layers"].as<std::string>();
  if (float_layers == "none") {
    recipe.float_layers.emplace();
  } else if (float_layers != "first") {
    recipe.float_layers = names_in(float_layers);
  }
  recipe.model = named("model", values, parse_model);
  recipe.seed = whole_number(values, "seed", 0);
  recipe.batch = whole_number(values, "batch", 1, kMostBatch);
  recipe.learning_rate = number(values, "learning-rate", 1000);
  recipe.momentum = number(values, "momentum", 1);
  recipe.weight_decay = number(values, "weight-decay", 1);
  const auto& schedule = values["schedule"].as<std::string>();
  if (schedule != "cosine" && schedule != "step") {
    throw std::runtime_error(fmt::format("--schedule {}: expected cosine or step", schedule));
  }
  recipe.schedule = schedule == "cosine" ? Schedule::kCosine : Schedule::kStep;
  if (values.count("milestones") > 0) options.milestones = read_milestones(values["milestones"].as<std::string>());
  const auto& device = values["device"].as<std::string>();
  if (device != "cpu" && device != "cuda") {
    throw std::runtime_error(fmt::format("--device {}: expected cpu or cuda", device));
  }
  recipe.device = device == "cpu" ? Device::kCpu : Device::kCuda;
  if (values.count("steps") > 0) {
    recipe.steps = whole_number(values, "steps", 1, kMostSteps);
  } else {
    options.epochs = kDefaultEpochs;
  }
  if (values.count("epochs") > 0) options.epochs = whole_number(values, "epochs", 1, kMostSteps);
  const std::uint64_t threads = values.count("threads") > 0
                                    ? whole_number(values, "threads", 1, kMostThreads)
                                    : std::clamp<std::uint64_t>(std::thread::hardware_concurrency(), 1, kMostThreads);
  run.threads = static_cast<int>(threads);
  run.checkpoint = path_of(values, "checkpoint");
  run.resume = path_of(values, "resume");
  run.trace = read_trace(values);
  if (run.trace && static_cast<std::uint64_t>(run.trace->samples) > recipe.batch) {
    throw std::runtime_error(
        fmt::format("--trace-samples {}: expected at most the batch of {}", run.trace->samples, recipe.batch));
  }
  return options;
}

// Options of a recipe and their file.
struct RecipeOptions {
  std::string file;
  std::map<std::string, std::string> values;
};

RecipeOptions read_recipe(const std::filesystem::path& path) {
  const std::string file = path.string();
  const nlohmann::json recipe = base::parse_json(base::read_text(path), file);
  if (!recipe.is_object()) base::refuse(file, "", "is no JSON object, expected options and values");
  const po::options_description known = description(false);
  std::vector<std::string> names;
  for (const auto& option : known.options()) names.push_back(option->long_name());
  RecipeOptions result{file, {}};
  for (const auto& [key, value] : recipe.items()) {
    if (std::find(names.begin(), names.end(), key) == names.end()) {
      base::refuse(file, "/" + key,
                   fmt::format("is no option that a recipe can have, expected some of {}", fmt::join(names, ", ")));
    }
    if (!value.is_string() && !value.is_number()) {
      base::refuse(file, "/" + key, "is neither a string nor a number, expected a value of --" + key);
    }
    result.values[key] = value.is_string() ? value.get<std::string>() : value.dump();
  }
  return result;
}

void store(const RecipeOptions& recipe, const po::options_description& all, po::variables_map& values) {
  po::parsed_options parsed(&all);
  for (const auto& [key, value] : recipe.values) parsed.options.emplace_back(key, std::vector{value});
  po::store(parsed, values);
}

// The names of a recipe's options that the command line gives too, or leaves without meaning.
std::set<std::string> overridden(const RecipeOptions& recipe, const po::variables_map& command_line) {
  const auto given = [&](const std::string& name) {
    return command_line.count(name) > 0 && !command_line[name].defaulted();
  };
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
  for (const Dependence& dependence : kDependences) {
    if (given(dependence.other) && command_line[dependence.other].as<std::string>() != dependence.value) {
      names.insert(dependence.option);
    }
  }
  // A folder holds the data set that stands beside it.
  const auto dataset = recipe.values.find("dataset");
  if (dataset != recipe.values.end() && given("dataset") &&
      command_line["dataset"].as<std::string>() != dataset->second) {
    names.insert("data");
  }
  return names;
}

// Adds the options of a recipe that the command line leaves to it; the others are taken out of the recipe.
void add_recipe(RecipeOptions& recipe, const po::options_description& all, po::variables_map& values) {
  try {
    po::variables_map alone;
    store(recipe, all, alone);
    options_of(alone);
  } catch (const std::runtime_error& error) {
    throw std::runtime_error(fmt::format("{}: {}", recipe.file, error.what()));
  }
  for (const std::string& name : overridden(recipe, values)) recipe.values.erase(name);
  store(recipe, all, values);
}

// Refuses values that do not go together, with the recipe's file where they are from there.
void check_together(const po::variables_map& values, const RecipeOptions& recipe) {
  const auto refuse = [&](const std::string& option, const std::string& reason) {
    throw std::runtime_error((recipe.values.count(option) > 0 ? recipe.file + ": " : "") + reason);
  };
  if (values.count("epochs") > 0 && values.count("steps") > 0) {
    refuse("epochs", "--epochs and --steps: expected one of them");
  }
  for (const auto& [option, other, value] : kDependences) {
    if (values.count(option) > 0 && values[other].as<std::string>() != value) {
      refuse(option, fmt::format("--{}: expected only beside --{} {}", option, other, value));
    }
  }
}

// The recipe of a run, defaults included.
std::string recipe_text(const po::variables_map& values) {
  const po::options_description known = description(false);
  nlohmann::ordered_json recipe;
  for (const auto& option : known.options()) {
    const std::string& name = option->long_name();
    if (name == "epochs" && values.count("epochs") == 0 && values.count("steps") == 0) recipe[name] = kDefaultEpochs;
    if (values.count(name) == 0) continue;
    const auto& text = values[name].as<std::string>();
    const nlohmann::json number = nlohmann::json::parse(text, nullptr, false);
    recipe[name] = number.is_number() && number.dump() == text ? number : nlohmann::json(text);
    try {
      recipe[name].dump();
    } catch (const nlohmann::json::type_error&) {
      throw std::runtime_error(
          fmt::format("--save-recipe: JSON has no way to write --{} {}, which is no UTF-8", name, text));
    }
  }
  return recipe.dump(2) + "\n";
}

}  // namespace

Options parse_options(int argc, const char* const* argv) {
  const po::options_description all = description();
  po::variables_map values;
  try {
    po::store(po::command_line_parser(argc, argv)
                  .options(all)
                  .positional(po::positional_options_description())
                  .style(po::command_line_style::unix_style & ~po::command_line_style::allow_guessing)
                  .run(),
              values);
  } catch (const po::error& error) {
    throw std::runtime_error(fmt::format("{} (see mlsim-train --help)", error.what()));
  }
  if (values.count("help") > 0) {
    Options options;
    options.help = true;
    return options;
  }
  if (values.count("version") > 0) {
    Options options;
    options.version = true;
    return options;
  }
  RecipeOptions recipe;
  if (const std::filesystem::path file = path_of(values, "recipe"); !file.empty()) {
    recipe = read_recipe(file);
    add_recipe(recipe, all, values);
  }
  Options options = options_of(values);
  check_together(values, recipe);
  check_files(values);
  if (options.data.empty()) throw std::runtime_error("--dataset images: expected --data FOLDER beside it");
  if (!options.save_recipe.empty()) options.recipe_text = recipe_text(values);
  return options;
}

std::string help_text() {
  std::ostringstream text;
  text << "usage: mlsim-train [OPTION]...\n\n"
          "Trains a network on images with MLS operands in all three passes of its convolutions.\n"
       << description();
  return text.str();
}

}  // namespace mlsim::trainer
