#include "evaluation/training_step.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "workloads/training_counts.h"

namespace mlsim::evaluation {
namespace {

using models::BaselineFormat;
using workloads::StepCount;

constexpr int kFloatBits = 32;

// What an element, or a parameter, takes. Batch normalization: the sums of x and of x² and one multiply-add; on the way
// back a sum, a sum of products and two multiply-adds. An update: momentum and weight decay.
struct Work {
  std::uint64_t multiplies = 0;
  std::uint64_t adds = 0;
};
constexpr Work kBatchNormForward{2, 3};
constexpr Work kBatchNormBackward{3, 4};
constexpr Work kUpdate{3, 3};

std::uint64_t both_ways(const StepCount& count) {
  return count.forward + count.backward;
}

std::int64_t batch_of(const Results& results, const std::string& file) {
  const std::int64_t batch = results.layers.at(0).shape.batch;
  for (const LayerRecord& layer : results.layers) {
    if (layer.shape.batch == batch) continue;
    throw std::runtime_error(fmt::format("{}: layer '{}' has a batch of {}, expected the {} of layer '{}'", file,
                                         layer.name, layer.shape.batch, batch, results.layers[0].name));
  }
  return batch;
}

void check_layers(const workloads::Network& network, const Results& results, const std::string& file,
                  std::int64_t batch) {
  std::size_t convolutions = 0;
  for (const workloads::NetworkLayer& layer : network.layers) {
    if (layer.type != workloads::LayerType::kConvolution) continue;
    ++convolutions;
    const auto found = std::find_if(results.layers.begin(), results.layers.end(),
                                    [&](const LayerRecord& record) { return record.name == layer.name; });
    if (found == results.layers.end()) {
      throw std::runtime_error(fmt::format("{}: has no layer '{}', expected every convolution of {} for a whole step",
                                           file, layer.name, network.name));
    }
    if (found->shape != layer.convolution_shape(batch) || found->passes.size() != models::kPasses.size()) {
      throw std::runtime_error(fmt::format("{}: layer '{}' is not that of {}, expected its shape and all three passes",
                                           file, layer.name, network.name));
    }
  }
  if (convolutions != results.layers.size()) {
    throw std::runtime_error(fmt::format("{}: has {} layers, expected the {} convolutions of {}", file,
                                         results.layers.size(), convolutions, network.name));
  }
}

}  // namespace

energy::Range TrainingStep::total_pj() const {
  energy::Range total;
  for (const StepPart& part : parts) total += part.energy_pj;
  return total;
}

TrainingStep training_step(const workloads::Network& network, const Results& results, const std::string& file,
                           const energy::Laws& laws) {
  TrainingStep step;
  step.network = network.name;
  step.batch = batch_of(results, file);
  check_layers(network, results, file, step.batch);

  const workloads::TrainingCounts counts = workloads::count_training_step(network, step.batch);
  const double multiply = laws.float_multiplier(BaselineFormat::kFp32).energy_pj;
  const double add = laws.float_adder(BaselineFormat::kFp32).energy_pj;
  const double gate = laws.multiplier(kFloatBits, 1).energy_pj;
  const energy::ErrorBars& bars = laws.table().error_bars;
  const auto part = [&](const char* name, std::uint64_t multiplies, std::uint64_t adds, std::uint64_t gated = 0) {
    const double floats = static_cast<double>(multiplies) * multiply + static_cast<double>(adds) * add;
    const double gates = static_cast<double>(gated) * gate;
    step.parts.push_back({name,
                          multiplies,
                          adds,
                          gated,
                          {floats / bars.float_factor + gates * (1 - bars.integer), floats + gates,
                           floats * bars.float_factor + gates * (1 + bars.integer)}});
  };
  const StepCount& norm = counts.batch_norm;
  part("batch_norm", kBatchNormForward.multiplies * norm.forward + kBatchNormBackward.multiplies * norm.backward,
       kBatchNormForward.adds * norm.forward + kBatchNormBackward.adds * norm.backward);
  part("activation", 0, 0, both_ways(counts.activation));
  part("element_add", 0, both_ways(counts.element_add));
  part("gradient_add", 0, both_ways(counts.gradient_add));
  part("pooling", 0, both_ways(counts.pooling));
  part("linear", both_ways(counts.linear), both_ways(counts.linear));
  part("weight_update", kUpdate.multiplies * counts.parameters, kUpdate.adds * counts.parameters);
  return step;
}

}  // namespace mlsim::evaluation
