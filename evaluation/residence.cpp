#include "evaluation/residence.h"

#include <algorithm>
#include <optional>
#include <variant>

#include "base/integers.h"
#include "models/convolution/datapath.h"
#include "models/formats/tensor.h"

namespace mlsim::evaluation {
namespace {

using models::Format;
using models::Operand;
using models::Pass;
using workloads::InputLink;

bool has(const StepLayer& layer, Pass pass) {
  return std::find(layer.passes.begin(), layer.passes.end(), pass) != layer.passes.end();
}

bool contains(const std::vector<Format>& formats, const Format& format) {
  return std::find(formats.begin(), formats.end(), format) != formats.end();
}

// Of an operand, packed, in a third of the SRAM.
bool fits(const Format& format, const models::Shape& shape, const sim::ArrayConfig& array) {
  return 3 * models::packed_bits(format, shape) <= base::Int128{8} * array.global_sram_bytes;
}

}  // namespace

// The step in one choice of formats.
class Residences::Step {
 public:
  Step(const Residences& all, const PerOperand<Format>* formats) : all_(all), formats_(formats) {}

  // In which an activation stays for the forward pass of a layer.
  std::optional<Format> kept_activation(std::size_t layer) const {
    if (!follows(layer) || !has(at(layer), Pass::kForward) || !has(at(layer - 1), Pass::kForward)) return std::nullopt;
    return kept(format_of(layer, Operand::kActivation, Pass::kForward), results_of(layer - 1, Pass::kForward),
                at(layer).shape.activation_shape());
  }

  // In which the errors of a layer stay that the one behind it has made. Its backward weight runs before its backward
  // data, and all of them have to be errors of this layer: a path that parts adds others.
  std::optional<Format> kept_error(std::size_t layer) const {
    if (layer + 1 >= all_.layers_.size() || !follows(layer + 1)) return std::nullopt;
    if (at(layer + 1).link != InputLink::kAlone || !has(at(layer + 1), Pass::kBackwardData)) return std::nullopt;
    const std::optional<Pass> first = first_of_errors(layer);
    if (!first) return std::nullopt;
    return kept(format_of(layer, Operand::kError, *first), results_of(layer + 1, Pass::kBackwardData),
                at(layer).shape.error_shape());
  }

  std::vector<Format> results_of(std::size_t layer, Pass pass) const {
    return models::next_formats(formats(layer)[models::result_operand(pass)], pass);
  }
  Format format_of(std::size_t layer, Operand operand, Pass pass) const {
    return models::format_of(formats(layer)[operand], operand, pass);
  }
  const StepLayer& at(std::size_t layer) const { return all_.layers_[layer]; }

 private:
  const PerOperand<Format>& formats(std::size_t layer) const {
    return formats_ == nullptr ? at(layer).formats : *formats_;
  }

  // Whether a layer takes what the one before it in the step gives.
  bool follows(std::size_t layer) const {
    return layer > 0 && at(layer).link != InputLink::kNone &&
           at(layer - 1).shape.result_shape(Pass::kForward) == at(layer).shape.activation_shape();
  }

  std::optional<Pass> first_of_errors(std::size_t layer) const {
    for (const Pass pass : {Pass::kBackwardWeight, Pass::kBackwardData}) {
      if (has(at(layer), pass)) return pass;
    }
    return std::nullopt;
  }

  std::optional<Format> kept(const Format& wanted, const std::vector<Format>& made, const models::Shape& shape) const {
    if (!contains(made, wanted) || !fits(wanted, shape, all_.array_)) return std::nullopt;
    return wanted;
  }

  const Residences& all_;
  const PerOperand<Format>* formats_;
};

sim::Exchange Residences::exchange(std::size_t layer, Pass pass, const PerOperand<Format>* formats) const {
  const Step step(*this, formats);
  sim::Exchange exchange(step.results_of(layer, pass));
  if (!array_.keep_between_layers) return exchange;
  sim::Residence& residence = exchange.residence;
  residence.codes.resize(exchange.results.size());
  if (pass == Pass::kForward) {
    residence.columns = step.kept_activation(layer).has_value();
    const std::size_t next = layer + 1;
    const std::optional<Format> kept = next < layers_.size() ? step.kept_activation(next) : std::nullopt;
    for (std::size_t i = 0; kept && i < exchange.results.size(); ++i) {
      if (exchange.results[i] != *kept) continue;
      // Its backward weight takes the activation again, long after.
      const bool again = has(layers_[next], Pass::kBackwardWeight) &&
                         step.format_of(next, Operand::kActivation, Pass::kBackwardWeight) == *kept;
      residence.codes[i] = {again || layers_[next].link == InputLink::kShared, true};
    }
    return exchange;
  }
  const std::optional<Format> error = step.kept_error(layer);
  const bool is_there = error && step.format_of(layer, Operand::kError, pass) == *error;
  (pass == Pass::kBackwardWeight ? residence.rows : residence.columns) = is_there;
  if (pass == Pass::kBackwardWeight || layer == 0) return exchange;
  const std::optional<Format> kept = step.kept_error(layer - 1);
  for (std::size_t i = 0; kept && i < exchange.results.size(); ++i) {
    if (exchange.results[i] == *kept) residence.codes[i] = {false, true};
  }
  return exchange;
}

std::vector<StepLayer> step_layers(const workloads::Workload& workload) {
  std::vector<StepLayer> layers;
  for (const workloads::Layer& layer : workload.layers) {
    StepLayer& step = layers.emplace_back();
    step.shape = layer.shape;
    step.passes = layer.passes;
    step.link = layer.link;
    for (const Operand operand : models::kOperands) step.formats[operand] = layer.operand(operand).format;
  }
  return layers;
}

std::vector<StepLayer> step_layers(const Results& results) {
  std::vector<StepLayer> layers;
  for (const LayerRecord& layer : results.layers) {
    StepLayer& step = layers.emplace_back(StepLayer{layer.shape, layer.formats, {}, layer.link});
    for (const PassRecord& record : layer.passes) step.passes.push_back(record.pass);
  }
  return layers;
}

}  // namespace mlsim::evaluation
