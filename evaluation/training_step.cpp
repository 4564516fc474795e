#include "evaluation/training_step.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "workloads/training_counts.h"

namespace mlsim::evaluation {
namespace {

using models::BaselineFormat;
using workloads::StepCount;

// What an element, or a parameter, takes. Normalization: the sums of x and of x² and one multiply-add; on the way back
// a sum, a sum of products and two multiply-adds. An exponential: a multiply-add that reduces the argument and a
// polynomial of degree 6 (Horner), whose error is below a unit of binary32's last place. A reciprocal: two steps of
// Newton's iteration, each two products and a difference. A smooth activation: both and an addition; on the way back
// the derivative from the result and a product. Softmax: the maximum, a difference, an exponential, a sum and a
// product; on the way back y · (g − Σ g·y). An update: momentum and weight decay.
struct Arithmetic {
  std::uint64_t multiplies = 0;
  std::uint64_t adds = 0;
};
constexpr Arithmetic kNormForward{2, 3};
constexpr Arithmetic kNormBackward{3, 4};
constexpr Arithmetic kExponential{7, 7};
constexpr Arithmetic kReciprocal{4, 2};
constexpr Arithmetic kSmoothForward{kExponential.multiplies + kReciprocal.multiplies,
                                    kExponential.adds + kReciprocal.adds + 1};
constexpr Arithmetic kSmoothBackward{2, 1};
constexpr Arithmetic kSoftmaxForward{kExponential.multiplies + 1, kExponential.adds + 3};
constexpr Arithmetic kSoftmaxBackward{2, 2};
constexpr Arithmetic kUpdate{3, 3};

std::uint64_t both_ways(const StepCount& count) {
  return count.forward + count.backward;
}

const LayerRecord* record_of(const workloads::NetworkLayer& layer, const Results& results) {
  const auto found = std::find_if(results.layers.begin(), results.layers.end(),
                                  [&](const LayerRecord& record) { return record.name == layer.name; });
  return found == results.layers.end() ? nullptr : &*found;
}

// The images of the network that the results are of. Layers may have several rows for each.
std::int64_t batch_of(const workloads::Network& network, const Results& results, const std::string& file) {
  if (network.batch) return *network.batch;
  const LayerRecord& first = results.layers.at(0);
  const auto rows = [&](const LayerRecord& record) {
    const auto found = std::find_if(network.layers.begin(), network.layers.end(),
                                    [&](const workloads::NetworkLayer& layer) { return layer.name == record.name; });
    return found == network.layers.end() ? 1 : found->rows;
  };
  const std::int64_t batch = std::max<std::int64_t>(first.shape.batch / rows(first), 1);
  for (const LayerRecord& layer : results.layers) {
    if (layer.shape.batch == batch * rows(layer)) continue;
    throw std::runtime_error(fmt::format("{}: layer '{}' has a batch of {}, expected the {} of layer '{}'", file,
                                         layer.name, layer.shape.batch, batch * rows(layer), first.name));
  }
  return batch;
}

void check_record(const workloads::Network& network, const workloads::NetworkLayer& layer, const LayerRecord& record,
                  const std::string& file, std::int64_t images) {
  std::string wanted;
  bool has_passes = record.passes.size() == layer.passes.size();
  for (const models::Pass pass : layer.passes) {
    wanted += (wanted.empty() ? "" : ", ") + models::to_string(pass);
    has_passes = has_passes && std::any_of(record.passes.begin(), record.passes.end(),
                                           [&](const PassRecord& own) { return own.pass == pass; });
  }
  if (record.shape == layer.convolution_shape(images) && has_passes) return;
  throw std::runtime_error(fmt::format("{}: layer '{}' is not that of {}, expected its shape and {}", file, layer.name,
                                       network.name,
                                       layer.passes.size() == 3 ? "all three passes" : "the passes " + wanted));
}

// Multiply-adds of a step that the results do not have: of layers that stay in binary32.
struct FloatWork {
  std::uint64_t convolution = 0;
  std::uint64_t linear = 0;
};

FloatWork float_work(const workloads::Network& network, const Results& results, const std::string& file,
                     std::int64_t images) {
  FloatWork work;
  std::size_t found = 0;
  for (const workloads::NetworkLayer& layer : network.layers) {
    if (!layer.multiplies()) continue;
    if (const LayerRecord* const record = record_of(layer, results)) {
      check_record(network, layer, *record, file, images);
      ++found;
      continue;
    }
    // Linear layers are in the results of those alone who quantize them.
    if (!layer.stays_float() && !layer.is_linear()) {
      throw std::runtime_error(fmt::format("{}: has no layer '{}', expected every convolution of {} for a whole step",
                                           file, layer.name, network.name));
    }
    std::uint64_t& sum = layer.is_linear() ? work.linear : work.convolution;
    for (const models::Pass pass : layer.passes) sum += layer.convolution_shape(images).multiply_adds(pass);
  }
  if (found != results.layers.size()) {
    throw std::runtime_error(fmt::format("{}: has {} layers, expected the {} of {} alone", file, results.layers.size(),
                                         found, network.name));
  }
  return work;
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
  step.batch = batch_of(network, results, file);
  const FloatWork floats_left = float_work(network, results, file, network.images(step.batch));

  const workloads::TrainingCounts counts = workloads::count_training_step(network, step.batch);
  const double multiply = laws.float_multiplier(BaselineFormat::kFp32).energy_pj;
  const double add = laws.float_adder(BaselineFormat::kFp32).energy_pj;
  const double gate = laws.multiplier(energy::kFloatBits, 1).energy_pj;
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
  const auto by_element = [&](const char* name, const StepCount& count, const Arithmetic& forward,
                              const Arithmetic& backward) {
    if (count == StepCount()) return;
    part(name, forward.multiplies * count.forward + backward.multiplies * count.backward,
         forward.adds * count.forward + backward.adds * count.backward);
  };
  const StepCount& norm = counts.batch_norm;
  part("batch_norm", kNormForward.multiplies * norm.forward + kNormBackward.multiplies * norm.backward,
       kNormForward.adds * norm.forward + kNormBackward.adds * norm.backward);
  by_element("layer_norm", counts.layer_norm, kNormForward, kNormBackward);
  part("activation", 0, 0, both_ways(counts.activation));
  by_element("smooth", counts.smooth, kSmoothForward, kSmoothBackward);
  by_element("softmax", counts.softmax, kSoftmaxForward, kSoftmaxBackward);
  part("element_add", 0, both_ways(counts.element_add));
  part("gradient_add", 0, both_ways(counts.gradient_add));
  by_element("element_multiply", counts.element_multiply, {1, 0}, {1, 0});
  part("pooling", 0, both_ways(counts.pooling));
  if (floats_left.convolution != 0) part("convolution", floats_left.convolution, floats_left.convolution);
  part("linear", floats_left.linear, floats_left.linear);
  part("weight_update", kUpdate.multiplies * counts.parameters, kUpdate.adds * counts.parameters);
  return step;
}

}  // namespace mlsim::evaluation
