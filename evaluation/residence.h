// What stays in the SRAM between the layers of a step, where the array keeps it (docs/memory.md).
#pragma once

#include <cstddef>
#include <vector>

#include "evaluation/results.h"
#include "models/convolution/convolution.h"
#include "sim/exchange.h"
#include "workloads/workload.h"

namespace mlsim::evaluation {

// A layer of a step as its neighbours see it.
struct StepLayer {
  models::ConvolutionShape shape;
  PerOperand<models::Format> formats;
  std::vector<models::Pass> passes;
  workloads::InputLink link = workloads::InputLink::kNone;  // to the layer before it
};
std::vector<StepLayer> step_layers(const workloads::Workload& workload);
std::vector<StepLayer> step_layers(const Results& results);

class Residences {
 public:
  Residences(std::vector<StepLayer> layers, const sim::ArrayConfig& array)
      : layers_(std::move(layers)), array_(array) {}

  // What a pass of the layer takes and leaves, in the layers' own formats, or with all of them in others.
  sim::Exchange exchange(std::size_t layer, models::Pass pass,
                         const PerOperand<models::Format>* formats = nullptr) const;

 private:
  class Step;

  std::vector<StepLayer> layers_;
  const sim::ArrayConfig& array_;
};

}  // namespace mlsim::evaluation
