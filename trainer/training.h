// Training: the loop over steps and epochs, evaluation, checkpoints, traces. No Torch in this header.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "trainer/data/batches.h"
#include "trainer/model.h"
#include "trainer/quantization.h"
#include "trainer/trace.h"

namespace mlsim::trainer {

enum class Schedule : std::uint8_t {
  kCosine,  // half a cosine from the learning rate to 0
  kStep,    // a tenth of what it was from each milestone on
};

enum class Device : std::uint8_t { kCpu, kCuda };

class Ranks;

// What decides the bits of a training run, besides the data and the numbers of threads and of ranks.
struct Recipe {
  Device device = Device::kCpu;
  Model model = Model::kResNet20;
  Quantization quantization;
  // Names of the convolutions that stay binary32; nothing: the first one.
  std::optional<std::vector<std::string>> float_layers;
  bool quantize_linear = false;  // the linear layer's operands too
  // Of several ranks: whether each quantizes its part of a batch by itself; whether batch norm takes their parts
  // together.
  bool scale_per_rank = false;
  bool sync_batch_norm = false;
  std::uint64_t seed = 0;  // of initial weights, order and augmentation; quantization has the same
  std::uint64_t batch = 128;
  std::uint64_t steps = 1;
  Schedule schedule = Schedule::kCosine;
  std::vector<std::uint64_t> milestones;  // of kStep, in steps; empty: half and three quarters of the steps
  std::uint64_t warmup_steps = 0;         // in which the learning rate rises in equal parts to that of the schedule
  double learning_rate = 0.1;
  double momentum = 0.9;
  double weight_decay = 5e-4;
};

// The step is the upper half of a random stream; the upper half of those belongs to the order of the images.
inline constexpr std::uint64_t kMostSteps = (std::uint64_t{1} << 31) - 1;

double learning_rate_at(const Recipe& recipe, std::uint64_t step);

// The operands of one step, written as a workload.
struct TraceRequest {
  std::uint64_t step = 0;  // the first is 0
  std::filesystem::path folder;
  std::int64_t samples = 1;         // the first of the batch
  std::vector<std::string> layers;  // quantized ones; empty: all of them
};

struct StepReport {
  std::uint64_t steps_done = 0;
  std::uint64_t steps_per_epoch = 1;
  double loss = 0;
};

// After each epoch, and after the last step. Means are over the images of the epoch so far.
struct EpochReport {
  std::uint64_t epoch = 0;  // counted from 1
  std::uint64_t steps_done = 0;
  double learning_rate = 0;  // of the last step
  double train_loss = 0;
  double train_accuracy = 0;  // 0..1
  double test_loss = 0;
  double test_accuracy = 0;
  double train_seconds = 0;  // since the last report, or since this run began
  double test_seconds = 0;
  double data_seconds = 0;  // of the train_seconds, in which steps waited for their images
  // Of accumulators in training, by models::Pass; in exact arithmetic only.
  std::optional<std::array<std::uint64_t, 3>> overflows{};
};

struct TrainingRun {
  Recipe recipe;
  int threads = 1;
  Ranks* ranks = nullptr;                     // that train together, each with a part of every batch; null: alone
  std::filesystem::path checkpoint;           // written after each epoch, at the end and when stopped; empty: never
  std::filesystem::path resume;               // a checkpoint of the same recipe to go on from; empty: start
  std::filesystem::path weights;              // a checkpoint whose network is the first; empty: a random one
  std::vector<std::filesystem::path> inputs;  // that a trace must not replace
  std::optional<TraceRequest> trace;
  std::function<void()> on_start;  // once everything is checked, before the first step
  std::function<void(const StepReport&)> on_step;
  std::function<void(const EpochReport&)> on_epoch;
  // At a traced step of dequantized arithmetic with block-scaled operands, by models::Pass: how far the results of the
  // traced layers are from exact arithmetic.
  std::function<void(const std::array<Difference, 3>&)> on_difference;
  const std::atomic<bool>* stop =
      nullptr;  // when it becomes true, training ends after the step at hand, evaluation at once
};

struct TrainingResult {
  std::uint64_t steps_before = 0;  // of the checkpoint
  std::uint64_t steps_done = 0;    // those included
  bool stopped = false;            // by TrainingRun::stop, before the last step
};

// Trains a network on the data. Of several ranks all call it with the same recipe, data, resume and weights, and all
// get the same reports; rank 0 alone writes the checkpoint. Throws std::runtime_error with a sentence for exact
// arithmetic with other operands than block-scaled ones or on a GPU, for an unknown name of a layer, for a trace that
// cannot be made (a step that is not reached, operands of several kinds, a folder that cannot be written or has files
// of another trace), for a checkpoint that cannot be read or written, was damaged or is one of another recipe, other
// data or another network, for images that cannot be read or do not fit the model, for a device that is not there, for
// a loss that is no number any more, for ranks that cannot share the batch or a trace, that have other recipes or are
// gone, and for what libtorch refuses.
TrainingResult train(const Dataset& data, const TrainingRun& run);

}  // namespace mlsim::trainer
