// mlsim-train: the reference trainer.
#include <fmt/format.h>
#include <oneapi/tbb/global_control.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string_view>

#include "base/memory.h"
#include "base/output_file.h"
#include "base/terminal.h"
#include "trainer/data/image_folder.h"
#include "trainer/metrics.h"
#include "trainer/options.h"
#include "trainer/print.h"
#include "trainer/progress.h"
#include "trainer/rank_environment.h"
#include "trainer/ranks.h"

namespace {

using namespace mlsim::trainer;

// What shells report for a program that SIGINT ended.
constexpr int kInterrupted = 130;
// Where another rank is gone.
constexpr int kLost = 2;

std::atomic<bool> stop{false};
static_assert(std::atomic<bool>::is_always_lock_free);

constexpr std::array kStopSignals{SIGINT, SIGTERM};
std::array<struct sigaction, kStopSignals.size()> usual_actions{};

void restore_actions() {
  for (std::size_t i = 0; i < kStopSignals.size(); ++i) sigaction(kStopSignals[i], &usual_actions[i], nullptr);
}

extern "C" void ask_to_stop(int) {
  stop.store(true);
  restore_actions();
}

// While it lives the first SIGINT or SIGTERM asks for an orderly end. A second one ends the program, as each does
// before and after: nothing is lost then that waiting would save.
class StopOnSignals {
 public:
  StopOnSignals() {
    for (std::size_t i = 0; i < kStopSignals.size(); ++i) sigaction(kStopSignals[i], nullptr, &usual_actions[i]);
    struct sigaction asking {};
    asking.sa_handler = ask_to_stop;
    asking.sa_flags = SA_RESTART;
    for (std::size_t i = 0; i < kStopSignals.size(); ++i) {
      // What the program was told to ignore, as by nohup, stays ignored.
      if (usual_actions[i].sa_handler != SIG_IGN) sigaction(kStopSignals[i], &asking, nullptr);
    }
  }
  ~StopOnSignals() { restore_actions(); }
  StopOnSignals(const StopOnSignals&) = delete;
  StopOnSignals& operator=(const StopOnSignals&) = delete;
  StopOnSignals(StopOnSignals&&) = delete;
  StopOnSignals& operator=(StopOnSignals&&) = delete;
};

int fail(const std::string& reason, int status) {
  mlsim::base::print_error("mlsim-train: error: " + mlsim::base::printable(reason) + "\n");
  return status;
}

// Refuses outputs among the images of a folder.
void keep_images(const Options& options) {
  for (const std::filesystem::path& output : {options.metrics, options.run.checkpoint, options.save_recipe}) {
    if (output.empty()) continue;
    const std::filesystem::path file = mlsim::base::place_of(output);
    for (const char* part : {"train", "val"}) {
      const std::filesystem::path within = file.lexically_relative(mlsim::base::place_of(options.data / part));
      if (within.empty() || *within.begin() == "..") continue;
      throw std::runtime_error(output.string() + ": lies among the images of --data, expected another place");
    }
  }
}

// Lists the images that cannot be read. The exit status.
int check_data(const Dataset& data, int threads, bool quiet) {
  const oneapi::tbb::global_control limit(oneapi::tbb::global_control::max_allowed_parallelism,
                                          static_cast<std::size_t>(threads));
  const std::vector<std::string> damages = data.damages();
  for (const std::string& damage : damages) fail(damage, 2);
  const std::size_t images = data.train_size() + data.test_size();
  if (!quiet) print(stdout, fmt::format("{} of {} images can be read\n", images - damages.size(), images));
  return damages.empty() ? 0 : 2;
}

// What the other ranks leave to rank 0.
void follow(Options& options) {
  options.quiet = true;
  options.metrics.clear();
  options.save_recipe.clear();
  options.run.checkpoint.clear();
}

// Meets the other ranks, if the process is one of several.
std::unique_ptr<Ranks> meet(const RankEnvironment& environment, Options& options) {
  if (environment.size == 1 || options.check_data) return nullptr;
  if (environment.rank != 0) follow(options);
  if (!options.threads_given) options.run.threads = std::max(options.run.threads / environment.local_size, 1);
  return std::make_unique<Ranks>(environment, [](const std::string& sentence) {
    fail(sentence, kLost);
    mlsim::base::remove_unfinished_files();
    std::_Exit(kLost);
  });
}

int run(const Options& given) {
  Options options = given;
  const std::unique_ptr<Ranks> ranks = meet(read_rank_environment(std::getenv), options);
  options.run.ranks = ranks.get();
  const std::unique_ptr<Dataset> data = open_dataset(options.dataset, options.data, options.image_size);
  if (const auto* const images = dynamic_cast<const ImageFolder*>(data.get()); images != nullptr && !options.quiet) {
    mlsim::base::print_error("mlsim-train: " + mlsim::base::printable(images->findings()) + "\n");
  }
  if (options.check_data) return check_data(*data, options.run.threads, options.quiet);
  if (options.dataset == DatasetKind::kImages) keep_images(options);
  std::vector<std::filesystem::path>& inputs = options.run.inputs;
  const std::vector<std::filesystem::path> files = files_of(options.dataset, options.data);
  inputs.insert(inputs.end(), files.begin(), files.end());
  const std::vector<std::filesystem::path> outputs{options.metrics, options.run.checkpoint, options.save_recipe};
  mlsim::base::check_outputs(outputs, inputs);
  for (const std::filesystem::path& output : outputs) mlsim::base::create_folder_of(output);
  Recipe& recipe = options.run.recipe;
  const std::uint64_t steps_per_epoch = data->train_size() / recipe.batch;
  if (options.epochs > 0) {
    recipe.steps = std::max<std::uint64_t>(options.epochs * steps_per_epoch, 1);
    if (recipe.steps > kMostSteps) {
      throw std::runtime_error(
          fmt::format("--epochs {}: makes {} steps, expected at most {}", options.epochs, recipe.steps, kMostSteps));
    }
  }

  recipe.warmup_steps = options.warmup_epochs * steps_per_epoch;
  if (recipe.warmup_steps > kMostSteps) {
    throw std::runtime_error(fmt::format("--warmup-epochs {}: makes {} steps, expected at most {}",
                                         options.warmup_epochs, recipe.warmup_steps, kMostSteps));
  }

  for (const std::uint64_t epochs : options.milestones) recipe.milestones.push_back(epochs * steps_per_epoch);

  std::optional<MetricsFile> metrics;
  if (!options.metrics.empty()) {
    metrics.emplace(options.metrics);
    if (!options.run.resume.empty()) metrics->continue_file();
  }
  Progress progress(recipe.steps, isatty(STDOUT_FILENO) == 1);
  std::optional<StopOnSignals> stop_on_signals;
  bool evaluated = false;
  options.run.on_start = [&] {
    if (!options.save_recipe.empty()) mlsim::base::write_file(options.save_recipe, options.recipe_text);
    stop_on_signals.emplace();
  };
  if (!options.quiet) options.run.on_step = [&](const StepReport& report) { progress.step(report); };
  options.run.on_epoch = [&](const EpochReport& report) {
    evaluated = true;
    if (!options.quiet) progress.epoch(report);
    if (metrics) metrics->add(report);
  };
  options.run.on_difference = [&](const std::array<Difference, 3>& differences) {
    progress.clear();
    if (!options.quiet) print(stdout, difference_text(differences));
  };
  options.run.stop = &stop;

  const TrainingResult result = train(*data, options.run);
  if (ranks) ranks->leave();
  stop_on_signals.reset();
  const bool nothing_left = !result.stopped && result.steps_before == result.steps_done && !evaluated;
  if (nothing_left && !options.quiet) {
    print(stdout, fmt::format("{}: has all {} steps of the run, nothing is left to train\n",
                              options.run.resume.string(), result.steps_done));
  }
  if (!result.stopped) return 0;
  progress.clear();
  if (ranks && !ranks->leads()) return kInterrupted;
  mlsim::base::print_error(fmt::format("mlsim-train: interrupted after step {}{}\n", result.steps_done,
                                       options.run.checkpoint.empty()
                                           ? ", nothing is saved without --checkpoint"
                                           : ", go on with --resume " + options.run.checkpoint.string()));
  return kInterrupted;
}

}  // namespace

int main(int argc, char** argv) {
  mlsim::base::keep_freed_memory();
  mlsim::base::keep_standard_streams();
  mlsim::base::remove_unfinished_files_on_signals();
  try {
    // For the build, which installs them.
    const std::string_view page = argc == 2 ? argv[1] : "";
    const bool is_page = page == "--man-page" || page == "--bash-completion";
    const Options options = is_page ? Options() : parse_options(argc, argv);
    int status = 0;
    if (is_page) {
      print(stdout, page == "--man-page" ? mlsim::base::man_page(trainer_program())
                                         : mlsim::base::bash_completion(trainer_program()));
    } else if (options.help) {
      print(stdout, mlsim::base::help_text(trainer_program().itself));
    } else if (options.version) {
      print(stdout, fmt::format("mlsim-train {}\n", MLSIM_VERSION));
    } else {
      status = run(options);
    }
    // What was printed may wait to be written; an error before stays known.
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
      throw std::runtime_error("standard output cannot be written");
    }
    return status;
  } catch (const std::runtime_error& error) {
    return fail(error.what(), 2);
  } catch (const std::bad_alloc&) {
    return fail("there is not enough memory", 2);
  } catch (const std::exception& error) {
    return fail(error.what(), 1);
  }
}
