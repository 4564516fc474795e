#include "trainer/training.h"

#include <c10/util/Exception.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <oneapi/tbb/global_control.h>
#include <torch/nn/functional/loss.h>
#include <torch/optim/sgd.h>
#include <torch/serialize.h>
#include <torch/utils.h>

#include <algorithm>
#include <boost/crc.hpp>
#include <chrono>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <numbers>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string_view>
#include <type_traits>
#include <utility>

#include "base/hash.h"
#include "base/input_file.h"
#include "base/integers.h"
#include "base/json.h"
#include "base/output_file.h"
#include "base/text.h"
#include "trainer/batch_part.h"
#include "trainer/data/batch_queue.h"
#include "trainer/gpu.h"
#include "trainer/networks/network.h"
#include "trainer/ranks.h"
#include "trainer/step_sum.h"
#include "trainer/trace.h"

namespace mlsim::trainer {
namespace {

constexpr std::uint64_t kEvaluationBatch = 250;
// Steps on a GPU before one is recorded: the first ones choose algorithms and allocate what stays.
constexpr std::uint64_t kStepsBeforeRecording = 3;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Sums over images.
struct Tally {
  double loss = 0;
  std::int64_t correct = 0;
  std::int64_t images = 0;
  std::array<std::uint64_t, 3> overflows{};  // by models::Pass

  void add(double mean_loss, std::int64_t correct_labels, std::int64_t count) {
    loss += mean_loss * static_cast<double>(count);
    correct += correct_labels;
    images += count;
  }
  double mean_loss() const { return loss / static_cast<double>(images); }
  double accuracy() const { return static_cast<double>(correct) / static_cast<double>(images); }
};

torch::Tensor correct_labels(const torch::Tensor& logits, const torch::Tensor& labels) {
  return logits.argmax(1).eq(labels).sum();
}

// Everything of a run that a checkpoint must agree with. Most have the names of options; steps stand for epochs.
nlohmann::json to_json(const Recipe& recipe, const Dataset& data, int ranks) {
  nlohmann::json json{{"dataset", data.name()},
                      {"image-size", data.shape().side},
                      {"classes", data.shape().classes},
                      {"device", recipe.device == Device::kCpu ? "cpu" : "cuda"},
                      {"model", to_string(recipe.model)},
                      {"seed", recipe.seed},
                      {"batch", recipe.batch},
                      {"ranks", ranks},
                      {"scale-per-rank", recipe.scale_per_rank},
                      {"sync-batch-norm", recipe.sync_batch_norm},
                      {"steps", recipe.steps},
                      {"schedule", recipe.schedule == Schedule::kCosine ? "cosine" : "step"},
                      {"milestone-steps", recipe.milestones},
                      {"warmup-steps", recipe.warmup_steps},
                      {"learning-rate", recipe.learning_rate},
                      {"momentum", recipe.momentum},
                      {"weight-decay", recipe.weight_decay},
                      {"random-bits", recipe.quantization.random_bits},
                      {"arithmetic", recipe.quantization.arithmetic == Arithmetic::kExact ? "exact" : "dequantized"},
                      {"accumulator-bits", recipe.quantization.accumulator.bits},
                      {"overflow", to_string(recipe.quantization.accumulator.overflow)},
                      {"taps-per-cycle", recipe.quantization.accumulator.taps_per_cycle},
                      {"quantize-linear", recipe.quantize_linear},
                      {"float-layers", recipe.float_layers ? fmt::format("{}", fmt::join(*recipe.float_layers, ","))
                                                           : std::string("first")},
                      {"evaluation-rounding", recipe.quantization.evaluate_as_trained ? "training" : "nearest"}};
  for (const models::Operand operand : models::kOperands) {
    json[to_string(operand) + "-format"] = to_string(recipe.quantization[operand].format);
    json[to_string(operand) + "-rounding"] = to_string(recipe.quantization[operand].rounding);
  }
  return json;
}

// Many times as many as the largest network's has.
constexpr std::uint64_t kMostCheckpointBytes = std::uint64_t{1} << 32;

// The momentum of a parameter; undefined where it has none yet. Its state is found by the address, which older versions
// of libtorch write as a text.
template <typename States>
torch::Tensor momentum_of(const States& states, const torch::Tensor& parameter) {
  using Key = typename States::key_type;
  Key key{};
  if constexpr (std::is_same_v<Key, std::string>) {
    std::ostringstream text;
    text << parameter.unsafeGetTensorImpl();
    key = text.str();
  } else {
    key = parameter.unsafeGetTensorImpl();
  }
  const auto state = states.find(key);
  if (state == states.end()) return {};
  return static_cast<const torch::optim::SGDParamState&>(*state->second).momentum_buffer();
}

// What SGD::load reads, with the parameters' places where SGD::save has their addresses, and in their order: equal runs
// write equal bytes.
void save_optimizer(const torch::optim::SGD& optimizer, torch::serialize::OutputArchive& archive) {
  using Archive = torch::serialize::OutputArchive;
  const torch::optim::OptimizerParamGroup& group = optimizer.param_groups().front();
  Archive states(archive.compilation_unit());
  Archive parameters(archive.compilation_unit());
  parameters.write("params/size", torch::tensor(static_cast<std::int64_t>(group.params().size())));
  for (std::size_t i = 0; i < group.params().size(); ++i) {
    const std::string place = std::to_string(i);
    parameters.write("params/" + place, c10::IValue(place));
    const torch::Tensor momentum = momentum_of(optimizer.state(), group.params()[i]);
    if (!momentum.defined()) continue;
    Archive state(archive.compilation_unit());
    state.write("momentum_buffer", c10::IValue(momentum));
    states.write(place, state);
  }
  Archive options(archive.compilation_unit());
  group.options().serialize(options);
  parameters.write("options", options);
  Archive groups(archive.compilation_unit());
  groups.write("param_groups/size", torch::tensor(std::int64_t{1}));
  groups.write("param_groups/0", parameters);
  archive.write("pytorch_version", c10::IValue("1.5.0"));
  archive.write("state", states);
  archive.write("param_groups", groups);
}

// The last bytes of a checkpoint: the CRC-32 of all before. libtorch does not check those of its archive.
std::string checksum_line(std::string_view archive) {
  boost::crc_32_type crc;
  crc.process_bytes(archive.data(), archive.size());
  return fmt::format("\nmlsim-train CRC-32 {:08x}\n", crc.checksum());
}

// The archive in a checkpoint. Throws std::runtime_error for other bytes than were written; older checkpoints have no
// checksum.
std::string_view checked_archive(std::string_view checkpoint, const std::string& name) {
  const std::size_t length = checksum_line({}).size();
  const std::string_view archive = checkpoint.substr(0, checkpoint.size() - std::min(checkpoint.size(), length));
  const std::string_view line = checkpoint.substr(archive.size());
  if (!line.starts_with("\nmlsim-train CRC-32 ")) return checkpoint;
  if (line != checksum_line(archive)) {
    throw std::runtime_error(name + ": is damaged, its checksum is not that of its bytes");
  }
  return archive;
}

// How many threads libtorch takes, while it lives.
class TorchThreads {
 public:
  explicit TorchThreads(int threads) { torch::set_num_threads(threads); }
  ~TorchThreads() { torch::set_num_threads(before_); }
  TorchThreads(const TorchThreads&) = delete;
  TorchThreads& operator=(const TorchThreads&) = delete;
  TorchThreads(TorchThreads&&) = delete;
  TorchThreads& operator=(TorchThreads&&) = delete;

 private:
  int before_ = torch::get_num_threads();
};

class Session {
 public:
  Session(const Dataset& data, const TrainingRun& run)
      : data_(data),
        run_(run),
        recipe_(run.recipe),
        ranks_(run.ranks),
        images_(run.recipe.batch / static_cast<std::uint64_t>(ranks())) {
    if (recipe_.batch > data_.train_size()) {
      throw std::runtime_error(
          fmt::format("a batch of {} images is larger than the training set of {}", recipe_.batch, data_.train_size()));
    }
    check_arithmetic();
    check_ranks();
    torch::manual_seed(recipe_.seed);
    model_ = make_network(recipe_.model, data_.shape());
    if (recipe_.float_layers) model_->keep_float(*recipe_.float_layers);
    if (recipe_.quantize_linear) model_->quantize_linear();
    check_batch_norm();
    PassState& state = model_->state();
    if (recipe_.device == Device::kCuda) {
      gpu_ = make_gpu(ranks_ != nullptr ? ranks_->local_rank() : 0);
      if (const MemoryDataset* const memory = data_.in_memory()) {
        gpu_->keep_images(memory->train(), memory->normalization());
      }
      model_->to(gpu_->device());
      order_elements();
      state.gpu = gpu_.get();
    }
    state.quantization = recipe_.quantization;
    state.quantization.seed = recipe_.seed;
    optimizer_ = std::make_unique<torch::optim::SGD>(
        model_->parameters(),
        torch::optim::SGDOptions(recipe_.learning_rate).momentum(recipe_.momentum).weight_decay(recipe_.weight_decay));
    if (writes_checkpoints() || !run_.resume.empty()) data_fingerprint_ = data_.fingerprint();
    if (!run_.resume.empty()) {
      from_file(run_.resume, [&] { load_checkpoint(); });
    }
    if (!run_.weights.empty()) {
      from_file(run_.weights, [&] { load_weights(); });
    }
    // A file that cannot be written is better known now than after an epoch.
    if (writes_checkpoints()) base::AtomicFile{run_.checkpoint};
    if (run_.trace) check_trace();
    if (ranks_ != nullptr) join_ranks();
  }

  TrainingResult train() {
    const std::uint64_t steps_before = step_;
    if (run_.on_start) run_.on_start();
    const std::uint64_t steps_per_epoch = data_.train_size() / recipe_.batch;
    std::optional<Epoch> epoch;
    auto start = std::chrono::steady_clock::now();
    const auto stop = [&]() -> TrainingResult {
      save_checkpoint();
      return {steps_before, step_, true};
    };
    const auto ends_epoch = [&] { return step_ % steps_per_epoch == 0 || step_ == recipe_.steps; };
    // The run before was stopped in the evaluation.
    if (tally_.images > 0 && ends_epoch()) {
      if (!report((step_ - 1) / steps_per_epoch + 1, seconds_since(start))) return stop();
      save_checkpoint();
    }
    while (step_ < recipe_.steps) {
      if (is_stopped()) return stop();
      const std::uint64_t number = step_ / steps_per_epoch;
      if (!epoch || epoch->number != number) epoch.emplace(*this, number, step_ % steps_per_epoch, steps_per_epoch);
      const double loss = train_step(*epoch, step_ % steps_per_epoch * recipe_.batch);
      ++step_;
      if (run_.on_step) run_.on_step({step_, steps_per_epoch, loss});
      if (ends_epoch()) {
        if (!report(number + 1, seconds_since(start))) return stop();
        save_checkpoint();
        start = std::chrono::steady_clock::now();
      }
    }
    return {steps_before, step_, false};
  }

 private:
  // The fastest order of the weights for TF32 convolutions; those in binary32 have faster algorithms without.
  void order_elements() {
    if (!gpu_ || !fits_tf32(recipe_.quantization)) return;
    const torch::NoGradGuard no_gradients;
    for (torch::Tensor& parameter : model_->parameters()) {
      if (parameter.dim() == 4) parameter.set_data(parameter.contiguous(at::MemoryFormat::ChannelsLast));
    }
  }

  int ranks() const { return ranks_ != nullptr ? ranks_->size() : 1; }
  std::size_t rank() const { return ranks_ != nullptr ? static_cast<std::size_t>(ranks_->rank()) : 0; }
  bool writes_checkpoints() const { return rank() == 0 && !run_.checkpoint.empty(); }

  bool is_asked_to_stop() const { return run_.stop != nullptr && run_.stop->load(); }
  // Whether all ranks are to stop, which they agree on in each step.
  bool is_stopped() const { return ranks_ != nullptr ? ranks_stop_ : is_asked_to_stop(); }

  void check_ranks() const {
    if (ranks_ == nullptr) return;
    if (recipe_.batch % static_cast<std::uint64_t>(ranks()) != 0) {
      throw std::runtime_error(
          fmt::format("--batch {}: is no multiple of the {} ranks (WORLD_SIZE), expected equal parts for them",
                      recipe_.batch, ranks()));
    }
    if (run_.trace) {
      throw std::runtime_error(fmt::format(
          "--trace: {} ranks (WORLD_SIZE) have each a part of the step's operands, expected one process", ranks()));
    }
  }

  void check_batch_norm() const {
    const std::uint64_t images = recipe_.sync_batch_norm ? recipe_.batch : images_;
    if (images * model_->smallest_side() * model_->smallest_side() >= 2) return;
    throw std::runtime_error(
        fmt::format("--batch {}: leaves one value of a channel to the last batch norm of {} on images of {}×{} pixels, "
                    "expected more images or larger ones{}",
                    recipe_.batch, to_string(recipe_.model), data_.shape().side, data_.shape().side,
                    ranks_ != nullptr ? " for each rank, or --sync-batch-norm" : ""));
  }

  // Once network and device are there, and every rank has read what it is to read.
  void join_ranks() {
    check_recipe_of_leader();
    ranks_->connect(gpu_ != nullptr);
    part_.emplace(*ranks_, static_cast<std::int64_t>(images_), recipe_.scale_per_rank);
    part_->check(recipe_.quantization);
    PassState& state = model_->state();
    state.part = &*part_;
    std::vector<torch::Tensor> statistics;
    if (recipe_.sync_batch_norm) {
      state.norm_ranks = ranks_;
    } else {
      for (const torch::Tensor& buffer : model_->buffers()) {
        if (buffer.is_floating_point()) statistics.push_back(buffer);
      }
    }
    step_sum_.emplace(*ranks_, model_->parameters(), std::move(statistics));
  }

  // Ranks that were started with other options would wait for each other, or learn nothing.
  void check_recipe_of_leader() {
    nlohmann::json ours = to_json(recipe_, data_, ranks());
    ours["images to train on"] = data_.train_size();
    ours["images to test on"] = data_.test_size();
    ours["steps done"] = step_;
    const nlohmann::json theirs = nlohmann::json::parse(ranks_->of_leader("recipe", ours.dump()));
    for (const auto& [key, value] : ours.items()) {
      const nlohmann::json other = theirs.value(key, nlohmann::json());
      if (other == value) continue;
      throw std::runtime_error(
          fmt::format("rank {} of {}: has {} {}, rank 0 has {}, expected the same run on all ranks", rank(), ranks(),
                      key, value.dump(), other.dump()));
    }
  }

  void check_arithmetic() const {
    const Quantization& quantization = recipe_.quantization;
    if (quantization.arithmetic != Arithmetic::kExact) return;
    if (recipe_.device != Device::kCpu) {
      throw std::runtime_error("--arithmetic exact: is computed by the processor, expected --device cpu");
    }
    for (const models::Operand operand : models::kOperands) {
      const models::Format& format = quantization[operand].format;
      if (is_scaled(format)) continue;
      throw std::runtime_error(fmt::format("--arithmetic exact: the {} is in {}, expected block-scaled formats alone",
                                           to_string(operand), to_string(format)));
    }
  }

  // This rank's images of an epoch from a step on.
  struct Epoch {
    Epoch(const Session& session, std::uint64_t epoch, std::uint64_t first_step, std::uint64_t steps)
        : number(epoch),
          order(session.data_.train_size(), session.recipe_.seed, epoch),
          batches(
              [this, &session](std::size_t step) {
                const std::size_t first = step * session.recipe_.batch + session.rank() * session.images_;
                return session.data_.training_batch(order, first, session.images_);
              },
              first_step, steps) {}
    std::uint64_t number;
    TrainingOrder order;
    BatchQueue batches;
  };

  torch::Tensor images_of(Batch& batch) const {
    const DataShape& shape = data_.shape();
    const auto side = static_cast<std::int64_t>(shape.side);
    return torch::from_blob(batch.images.data(), {static_cast<std::int64_t>(batch.labels.size()),
                                                  static_cast<std::int64_t>(shape.channels), side, side});
  }
  static torch::Tensor labels_of(Batch& batch) {
    return torch::from_blob(batch.labels.data(), {static_cast<std::int64_t>(batch.labels.size())}, torch::kLong);
  }

  // The step on images first .. first + batch - 1 of the epoch; returns the loss.
  double train_step(Epoch& epoch, std::size_t first) {
    PassState& state = model_->state();
    state.step = step_;
    std::vector<TracedConvolution> trace;
    if (run_.trace && run_.trace->step == step_) {
      trace.resize(traced_layers_.size());
      for (std::size_t i = 0; i < trace.size(); ++i) trace[i].name = traced_layers_[i];
      state.trace = &trace;
      state.trace_samples = run_.trace->samples;
    }
    std::array<std::uint64_t, 3> overflows{};
    state.overflows = &overflows;
    model_->train();
    static_cast<torch::optim::SGDOptions&>(optimizer_->param_groups()[0].options())
        .lr(learning_rate_at(recipe_, step_));
    StepResult result = gpu_ ? step_on_gpu(epoch, first) : step_on_cpu(next_batch(epoch));
    state.overflows = nullptr;
    result.overflows = overflows;
    if (ranks_ != nullptr) add_ranks(result);
    check_loss(result.loss);
    tally_.add(result.loss, result.correct, static_cast<std::int64_t>(recipe_.batch));
    for (std::size_t pass = 0; pass < overflows.size(); ++pass) tally_.overflows[pass] += result.overflows[pass];
    if (state.trace != nullptr) {
      state.trace = nullptr;
      write_trace(run_.trace->folder, fmt::format("{}-{}", to_string(recipe_.model), data_.name()), state.quantization,
                  step_, trace);
      report_difference(trace);
    }
    return result.loss;
  }

  void report_difference(const std::vector<TracedConvolution>& trace) const {
    const Quantization& quantization = recipe_.quantization;
    if (!run_.on_difference || quantization.arithmetic == Arithmetic::kExact || !quantization.is_block_scaled()) return;
    std::array<Difference, 3> differences;
    for (const TracedConvolution& traced : trace) {
      for (std::size_t pass = 0; pass < differences.size(); ++pass) differences[pass] += traced.differences[pass];
    }
    run_.on_difference(differences);
  }

  struct StepResult {
    double loss = 0;  // of several ranks first this one's part of the mean
    std::int64_t correct = 0;
    std::array<std::uint64_t, 3> overflows{};  // by models::Pass
  };

  Batch next_batch(Epoch& epoch) {
    const auto start = std::chrono::steady_clock::now();
    Batch batch = epoch.batches.next();
    data_seconds_ += seconds_since(start);
    return batch;
  }

  // The mean over the batch, or what this rank's images add to it.
  torch::Tensor loss_of(const torch::Tensor& logits, const torch::Tensor& labels) const {
    namespace functional = torch::nn::functional;
    if (ranks_ == nullptr) return functional::cross_entropy(logits, labels);
    return functional::cross_entropy(logits, labels, functional::CrossEntropyFuncOptions().reduction(torch::kSum))
        .div(static_cast<double>(recipe_.batch));
  }

  // Sums of the figures of all ranks; they also agree on whether to stop after the step.
  void add_ranks(StepResult& result) {
    const auto number = [](auto value) { return static_cast<double>(value); };
    const torch::Tensor figures =
        torch::tensor({result.loss, number(result.correct), number(is_asked_to_stop()), number(result.overflows[0]),
                       number(result.overflows[1]), number(result.overflows[2])},
                      torch::kDouble)
            .to(device());
    ranks_->sum(figures);
    const torch::Tensor sums = figures.cpu();
    const double* const sum = sums.data_ptr<double>();
    result.loss = sum[0];
    result.correct = static_cast<std::int64_t>(sum[1]);
    ranks_stop_ = ranks_stop_ || sum[2] > 0;
    for (std::size_t pass = 0; pass < 3; ++pass) result.overflows[pass] = static_cast<std::uint64_t>(sum[3 + pass]);
  }

  torch::Device device() const { return gpu_ ? gpu_->device() : torch::Device(torch::kCPU); }

  StepResult step_on_cpu(Batch batch) {
    if (step_sum_) {
      forget_gradients();
    } else {
      optimizer_->zero_grad();
    }
    const torch::Tensor labels = labels_of(batch);
    const torch::Tensor logits = model_->forward(images_of(batch));
    const torch::Tensor loss = loss_of(logits, labels);
    const auto loss_value = loss.item<double>();
    // Ranks know only the whole one.
    if (ranks_ == nullptr) check_loss(loss_value);
    loss.backward();
    if (step_sum_) step_sum_->add();
    optimizer_->step();
    return {loss_value, correct_labels(logits.detach(), labels).item<std::int64_t>(), {}};
  }

  // This rank's part of the epoch's batch that begins at image `first`, in the GPU's memory.
  const DeviceBatch& batch_on_gpu(Epoch& epoch, std::size_t first) {
    const MemoryDataset* const memory = data_.in_memory();
    if (memory == nullptr) return gpu_->copy(next_batch(epoch), data_.shape());
    first += rank() * images_;
    std::vector<Placement> placements;
    for (std::size_t i = 0; i < images_; ++i) placements.push_back(memory->placement(epoch.order, first + i));
    return gpu_->place(placements);
  }

  StepResult step_on_gpu(Epoch& epoch, std::size_t first) {
    const DeviceBatch& batch = batch_on_gpu(epoch, first);
    gpu_->set_step(step_, learning_rate_at(recipe_, step_));
    const auto work = [&] {
      const torch::Tensor logits = model_->forward(batch.images);
      const torch::Tensor loss = loss_of(logits, batch.labels);
      loss.backward();
      if (step_sum_) step_sum_->add();
      gpu_->update(*optimizer_);
      const torch::Tensor correct = correct_labels(logits.detach(), batch.labels);
      step_figures_ = torch::stack({loss.detach().to(torch::kDouble), correct.to(torch::kDouble)});
    };
    // A traced step copies its operands to the processor, which a recording cannot; what goes between ranks is not
    // recorded.
    const bool traced = model_->state().trace != nullptr;
    if (traced || ranks_ != nullptr || steps_here_ < kStepsBeforeRecording) {
      forget_gradients();
      work();
    } else if (!gpu_->recorded()) {
      forget_gradients();
      gpu_->record(work);
      recorded_figures_ = step_figures_;
    } else {
      gpu_->replay();
      step_figures_ = recorded_figures_;
    }
    ++steps_here_;
    const torch::Tensor figures = step_figures_.cpu();
    return {figures[0].item<double>(), static_cast<std::int64_t>(figures[1].item<double>()), {}};
  }

  // The next backward pass stores gradients instead of adding to them.
  void forget_gradients() {
    for (torch::Tensor& parameter : model_->parameters()) parameter.mutable_grad().reset();
  }

  void check_loss(double loss) const {
    if (!std::isfinite(loss)) {
      throw std::runtime_error(fmt::format("training diverged: the loss at step {} is {}", step_, loss));
    }
  }

  // Evaluates and tells of an epoch, and begins the next tally. False where evaluation was stopped: nothing is told
  // then.
  bool report(std::uint64_t epoch, double train_seconds) {
    const auto start = std::chrono::steady_clock::now();
    const std::optional<Tally> evaluation = evaluate();
    if (!evaluation) return false;
    if (ranks_ != nullptr) check_equal_weights();
    const Tally& test = *evaluation;
    const Tally training = std::exchange(tally_, {});
    const double data_seconds = std::exchange(data_seconds_, 0);
    if (!run_.on_epoch) return true;
    run_.on_epoch({.epoch = epoch,
                   .steps_done = step_,
                   .learning_rate = learning_rate_at(recipe_, step_ - 1),
                   .train_loss = training.mean_loss(),
                   .train_accuracy = training.accuracy(),
                   .test_loss = test.mean_loss(),
                   .test_accuracy = test.accuracy(),
                   .train_seconds = train_seconds,
                   .test_seconds = seconds_since(start),
                   .data_seconds = data_seconds,
                   .overflows = recipe_.quantization.arithmetic == Arithmetic::kExact
                                    ? std::optional(training.overflows)
                                    : std::nullopt});
    return true;
  }

  // Nothing where it was stopped. Ranks take turns with the batches.
  std::optional<Tally> evaluate() {
    const torch::NoGradGuard no_gradients;
    model_->eval();
    model_->state().evaluating = true;
    model_->state().overflows = nullptr;
    const std::size_t batches = base::ceiling(data_.test_size(), kEvaluationBatch);
    const auto count = static_cast<std::size_t>(ranks());
    const std::size_t turns = batches > rank() ? base::ceiling(batches - rank(), count) : 0;
    BatchQueue queue(
        [&](std::size_t turn) {
          const std::size_t first = (turn * count + rank()) * kEvaluationBatch;
          return data_.test_batch(first, std::min(kEvaluationBatch, data_.test_size() - first));
        },
        test_batches_.size(), turns);
    // Mean loss, correct labels and images of each batch.
    torch::Tensor figures = torch::zeros({static_cast<std::int64_t>(batches), 3}, torch::kDouble);
    for (std::size_t turn = 0; turn < turns && !is_stopped() && !is_asked_to_stop(); ++turn) {
      const DeviceBatch batch = test_batch(turn, queue);
      const torch::Tensor logits = model_->forward(batch.images);
      const torch::Tensor own = figures[static_cast<std::int64_t>(turn * count + rank())];
      own[0] = torch::nn::functional::cross_entropy(logits, batch.labels).item<double>();
      own[1] = static_cast<double>(correct_labels(logits, batch.labels).item<std::int64_t>());
      own[2] = static_cast<double>(batch.labels.size(0));
    }
    model_->state().evaluating = false;
    if (ranks_ != nullptr) figures = added(figures);
    Tally tally;
    for (std::size_t number = 0; number < batches; ++number) {
      const torch::Tensor batch = figures[static_cast<std::int64_t>(number)];
      tally.add(batch[0].item<double>(), static_cast<std::int64_t>(batch[1].item<double>()),
                static_cast<std::int64_t>(batch[2].item<double>()));
    }
    // The last image may have come before the signal.
    if (static_cast<std::size_t>(tally.images) < data_.test_size()) {
      ranks_stop_ = ranks_ != nullptr;
      return std::nullopt;
    }
    return tally;
  }

  // Ranks whose networks were no longer the same would go on side by side.
  void check_equal_weights() const {
    base::Hash hash;
    for (const auto& tensors : {model_->parameters(), model_->buffers()}) {
      for (const torch::Tensor& tensor : tensors) {
        const torch::Tensor dense = tensor.detach().cpu().contiguous();
        hash.add({static_cast<const char*>(dense.data_ptr()), dense.nbytes()});
      }
    }
    const auto low = static_cast<std::int32_t>(hash.value() & 0x7FFFFFFF);
    const auto high = static_cast<std::int32_t>(hash.value() >> 33);
    // The largest of all is the smallest of all.
    torch::Tensor numbers = torch::tensor({low, high, -low, -high}, torch::kInt).to(device());
    ranks_->maximum(numbers);
    numbers = numbers.cpu();
    const std::int32_t* const largest = numbers.data_ptr<std::int32_t>();
    if (largest[0] == -largest[2] && largest[1] == -largest[3]) return;
    throw std::runtime_error(fmt::format(
        "after step {} the ranks have different weights, expected the same machine, program and threads for all",
        step_));
  }

  // Figures of which each is 0 on all ranks but one.
  torch::Tensor added(const torch::Tensor& figures) const {
    const torch::Tensor flat = figures.flatten().to(device());
    ranks_->sum(flat);
    return flat.cpu().view(figures.sizes());
  }

  // One of this rank's batches of the test set where the model is. A GPU keeps those of images that are in memory.
  DeviceBatch test_batch(std::size_t number, BatchQueue& queue) {
    if (number < test_batches_.size()) return test_batches_[number];
    Batch batch = queue.next();
    DeviceBatch result{images_of(batch).to(device(), torch::kFloat, false, true),
                       labels_of(batch).to(device(), torch::kLong, false, true)};
    if (gpu_ && data_.in_memory() != nullptr) test_batches_.push_back(result);
    return result;
  }

  void check_trace() {
    const TraceRequest& trace = *run_.trace;
    if (trace.step < step_ || trace.step >= recipe_.steps) {
      throw std::runtime_error(fmt::format("--trace-step {}: is no step of this run, expected {} to {}", trace.step,
                                           step_, recipe_.steps - 1));
    }
    const auto& operands = recipe_.quantization.operands;
    std::set<std::string> kinds;
    for (const OperandQuantization& operand : operands) kinds.insert(models::family_of(operand.format));
    if (kinds.size() > 1) {
      throw std::runtime_error(fmt::format(
          "--trace: a workload cannot mix {} operands, expected one kind for all three", fmt::join(kinds, " and ")));
    }
    const std::vector<std::string>& known = model_->quantized_layers();
    for (const std::string& layer : trace.layers) {
      if (std::find(known.begin(), known.end(), layer) == known.end()) {
        throw std::runtime_error(fmt::format("--trace-layers: '{}' is no quantized layer, expected some of {}", layer,
                                             fmt::join(known, ", ")));
      }
    }
    for (const std::string& layer : known) {
      const bool chosen =
          trace.layers.empty() || std::find(trace.layers.begin(), trace.layers.end(), layer) != trace.layers.end();
      if (chosen) traced_layers_.push_back(layer);
    }
    const bool with_results = static_cast<std::uint64_t>(trace.samples) == recipe_.batch;
    check_trace_folder(trace.folder, traced_layers_, with_results, run_.inputs);
    base::create_directories(trace.folder);
  }

  std::uint64_t& overflows_of(models::Pass pass) { return tally_.overflows[static_cast<std::size_t>(pass)]; }

  void save_checkpoint() {
    if (!writes_checkpoints()) return;
    torch::serialize::OutputArchive model;
    model_->save(model);
    torch::serialize::OutputArchive optimizer;
    save_optimizer(*optimizer_, optimizer);
    torch::serialize::OutputArchive archive;
    archive.write("model", model);
    archive.write("optimizer", optimizer);
    archive.write("recipe", c10::IValue(to_json(recipe_, data_, ranks()).dump()));
    archive.write("data", c10::IValue(fingerprint_text()));
    archive.write("step", c10::IValue(static_cast<std::int64_t>(step_)));
    archive.write("loss", c10::IValue(tally_.loss));
    archive.write("correct", c10::IValue(tally_.correct));
    archive.write("images", c10::IValue(tally_.images));
    for (const models::Pass pass : models::kPasses) {
      archive.write(to_string(pass) + "_overflows", c10::IValue(static_cast<std::int64_t>(overflows_of(pass))));
    }
    // Where a stream fails, libtorch's writer throws from its destructor, which ends the process.
    std::ostringstream bytes;
    archive.save_to(bytes);
    std::string content = std::move(bytes).str();
    content += checksum_line(content);
    base::write_file(run_.checkpoint, content);
  }

  // The convolutions that a checkpoint's text names.
  std::set<std::string> float_layers(const std::string& text) const {
    if (text == "first") return {model_->first_layer()};
    const std::vector<std::string> split = base::split(text, ',');
    std::set<std::string> names(split.begin(), split.end());
    names.erase("");
    return names;
  }

  std::string fingerprint_text() const { return fmt::format("{:016x}", data_fingerprint_); }

  // What libtorch finds wrong in a checkpoint, as a refusal of the file.
  template <typename Function>
  static void from_file(const std::filesystem::path& file, const Function& load) {
    try {
      load();
    } catch (const std::runtime_error&) {
      throw;
    } catch (const std::exception&) {
      throw std::runtime_error(fmt::format("{}: cannot be read, expected a checkpoint of mlsim-train", file.string()));
    }
  }

  // Opens the archive of a checkpoint and returns its recipe.
  nlohmann::json open_checkpoint(const std::filesystem::path& file, torch::serialize::InputArchive& archive) const {
    const std::string name = file.string();
    const std::vector<std::uint8_t> checkpoint =
        base::RegularFile(file, "a checkpoint of mlsim-train").read_rest(kMostCheckpointBytes);
    const std::string_view bytes =
        checked_archive({reinterpret_cast<const char*>(checkpoint.data()), checkpoint.size()}, name);
    try {
      archive.load_from(bytes.data(), bytes.size(), device());
      c10::IValue value;
      archive.read("recipe", value);
      nlohmann::json recipe = nlohmann::json::parse(value.toStringRef());
      // Earlier checkpoints have none of these.
      recipe.emplace("classes", data_.shape().classes);
      recipe.emplace("milestone-steps", nlohmann::json::array());
      recipe.emplace("taps-per-cycle", 1);
      recipe.emplace("quantize-linear", false);
      recipe.emplace("ranks", 1);
      recipe.emplace("scale-per-rank", false);
      recipe.emplace("sync-batch-norm", false);
      return recipe;
    } catch (const std::exception&) {
      throw std::runtime_error(fmt::format("{}: cannot be read, expected a checkpoint of mlsim-train", name));
    }
  }

  // The network of a checkpoint, whatever else its run was.
  void load_weights() {
    const std::string name = run_.weights.string();
    torch::serialize::InputArchive archive;
    const nlohmann::json theirs = open_checkpoint(run_.weights, archive);
    const nlohmann::json ours = to_json(recipe_, data_, ranks());
    for (const char* const key : {"model", "classes"}) {
      const nlohmann::json value = theirs.value(key, nlohmann::json());
      if (value == ours[key]) continue;
      throw std::runtime_error(
          fmt::format("{}: is of a network with {} {}, this run has {}", name, key, value.dump(), ours[key].dump()));
    }
    // Loading takes tensors of any shape.
    std::vector<std::vector<std::int64_t>> shapes;
    for (const torch::Tensor& parameter : model_->parameters()) shapes.push_back(parameter.sizes().vec());
    torch::serialize::InputArchive model;
    archive.read("model", model);
    model_->load(model);
    std::size_t i = 0;
    for (const auto& parameter : model_->named_parameters()) {
      if (parameter->sizes().vec() != shapes[i++]) {
        throw std::runtime_error(
            fmt::format("{}: is of a network for other images, whose {} has other sizes", name, parameter.key()));
      }
    }
    order_elements();
  }

  void load_checkpoint() {
    const std::string name = run_.resume.string();
    torch::serialize::InputArchive archive;
    const nlohmann::json ours = to_json(recipe_, data_, ranks());
    const nlohmann::json recipe = open_checkpoint(run_.resume, archive);
    for (const auto& [key, value] : ours.items()) {
      const nlohmann::json theirs = recipe.value(key, nlohmann::json());
      if (theirs == value) continue;
      if (key == "float-layers" && theirs.is_string() && float_layers(theirs) == float_layers(value)) continue;
      throw std::runtime_error(
          fmt::format("{}: was made with {} {}, this run has {}", name, key, theirs.dump(), value.dump()));
    }
    c10::IValue value;
    // Earlier checkpoints do not tell it.
    if (archive.try_read("data", value) && value.toStringRef() != fingerprint_text()) {
      throw std::runtime_error(
          fmt::format("{}: was made with other images than those of --data, expected the same ones", name));
    }
    torch::serialize::InputArchive model;
    torch::serialize::InputArchive optimizer;
    archive.read("model", model);
    archive.read("optimizer", optimizer);
    model_->load(model);
    optimizer_->load(optimizer);
    archive.read("step", value);
    step_ = static_cast<std::uint64_t>(value.toInt());
    archive.read("loss", value);
    tally_.loss = value.toDouble();
    archive.read("correct", value);
    tally_.correct = value.toInt();
    archive.read("images", value);
    tally_.images = value.toInt();
    for (const models::Pass pass : models::kPasses) {
      archive.read(to_string(pass) + "_overflows", value);
      overflows_of(pass) = static_cast<std::uint64_t>(value.toInt());
    }
  }

  const Dataset& data_;
  const TrainingRun& run_;
  const Recipe& recipe_;
  Ranks* ranks_;                   // null for a process that is alone
  std::uint64_t images_;           // of a batch that are this rank's
  std::optional<BatchPart> part_;  // of several ranks
  std::optional<StepSum> step_sum_;
  bool ranks_stop_ = false;
  std::unique_ptr<Gpu> gpu_;  // null on the processor
  std::shared_ptr<Network> model_;
  std::unique_ptr<torch::optim::SGD> optimizer_;
  std::vector<std::string> traced_layers_;
  std::uint64_t data_fingerprint_ = 0;     // where a checkpoint tells it
  std::uint64_t step_ = 0;                 // steps done
  Tally tally_;                            // of the epoch at hand
  double data_seconds_ = 0;                // in which its steps waited for their images
  std::uint64_t steps_here_ = 0;           // steps of this process
  torch::Tensor step_figures_;             // loss and correct labels of the last step on a GPU
  torch::Tensor recorded_figures_;         // where a replay writes them
  std::vector<DeviceBatch> test_batches_;  // in the GPU's memory
};

}  // namespace

double learning_rate_at(const Recipe& recipe, std::uint64_t step) {
  const double progress = static_cast<double>(step) / static_cast<double>(recipe.steps);
  double part = 1;
  switch (recipe.schedule) {
    case Schedule::kCosine:
      part = (1 + std::cos(std::numbers::pi * progress)) / 2;
      break;
    case Schedule::kStep: {
      std::vector<std::uint64_t> milestones = recipe.milestones;
      if (milestones.empty()) milestones = {(recipe.steps + 1) / 2, (3 * recipe.steps + 3) / 4};
      part = 1 / std::pow(10, std::upper_bound(milestones.begin(), milestones.end(), step) - milestones.begin());
      break;
    }
  }
  if (step < recipe.warmup_steps) part *= static_cast<double>(step + 1) / static_cast<double>(recipe.warmup_steps);
  return recipe.learning_rate * part;
}

TrainingResult train(const Dataset& data, const TrainingRun& run) {
  const oneapi::tbb::global_control threads(oneapi::tbb::global_control::max_allowed_parallelism,
                                            static_cast<std::size_t>(run.threads));
  const TorchThreads torch_threads(run.threads);
  try {
    return Session(data, run).train();
  } catch (const c10::Error& error) {
    // A sentence, then lines on where in libtorch it was thrown.
    const std::string text = error.what_without_backtrace();
    throw std::runtime_error("libtorch: " + text.substr(0, text.find('\n')));
  }
}

}  // namespace mlsim::trainer
