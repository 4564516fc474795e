// mlsim-train: the reference trainer.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>

#include "base/output_file.h"
#include "workloads/trainer/metrics.h"
#include "workloads/trainer/options.h"
#include "workloads/trainer/progress.h"

namespace {

using namespace mlsim::trainer;

// What shells report for a program that SIGINT ended.
constexpr int kInterrupted = 130;

std::atomic<bool> stop{false};
static_assert(std::atomic<bool>::is_always_lock_free);

// The first signal asks for an orderly end, a second one ends the program.
void ask_to_stop(int signal) {
  stop.store(true);
  std::signal(signal, SIG_DFL);
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

int run(const Options& given) {
  Options options = given;
  const std::unique_ptr<Dataset> data = open_dataset(options.dataset, options.data, options.image_size);
  if (options.dataset == DatasetKind::kImages) keep_images(options);
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
  options.run.on_start = [&] {
    if (!options.save_recipe.empty()) mlsim::base::write_file(options.save_recipe, options.recipe_text);
  };
  options.run.on_step = [&](const StepReport& report) { progress.step(report); };
  options.run.on_epoch = [&](const EpochReport& report) {
    progress.epoch(report);
    if (metrics) metrics->add(report);
  };
  options.run.on_difference = [&](const std::array<Difference, 3>& differences) {
    progress.clear();
    fmt::print("{}", difference_text(differences));
  };
  options.run.stop = &stop;
  std::signal(SIGINT, ask_to_stop);
  std::signal(SIGTERM, ask_to_stop);

  const TrainingResult result = train(*data, options.run);
  if (!result.stopped && result.steps_before == result.steps_done) {
    fmt::print("{}: has all {} steps of the run, nothing is left to train\n", options.run.resume.string(),
               result.steps_done);
  }
  if (!result.stopped) return 0;
  progress.clear();
  fmt::print(stderr, "mlsim-train: interrupted after step {}{}\n", result.steps_done,
             options.run.checkpoint.empty() ? ", nothing is saved without --checkpoint"
                                            : ", go on with --resume " + options.run.checkpoint.string());
  return kInterrupted;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const Options options = parse_options(argc, argv);
    int status = 0;
    if (options.help) {
      fmt::print("{}", help_text());
    } else if (options.version) {
      fmt::print("mlsim-train {}\n", MLSIM_VERSION);
    } else {
      status = run(options);
    }
    // What was printed may wait to be written; an error before stays known.
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
      throw std::runtime_error("standard output cannot be written");
    }
    return status;
  } catch (const std::runtime_error& error) {
    fmt::print(stderr, "mlsim-train: error: {}\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    fmt::print(stderr, "mlsim-train: error: {}\n", error.what());
    return 1;
  }
}
