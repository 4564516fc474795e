// The rest of a training step: what a network does in binary32 beside the layers of the results, priced from the counts
// of `mlsim counts`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "energy/laws.h"
#include "energy/range.h"
#include "evaluation/results.h"
#include "workloads/network.h"

namespace mlsim::evaluation {

// A kind of layer, both ways: binary32 multiplications and additions, and elements that a sign passes or blocks.
struct StepPart {
  std::string name;
  std::uint64_t multiplies = 0;
  std::uint64_t adds = 0;
  std::uint64_t gated = 0;
  energy::Range energy_pj;
};

struct TrainingStep {
  std::string network;
  std::int64_t batch = 1;
  // batch_norm, activation, element_add, gradient_add, pooling, linear, weight_update; where a network has them
  // layer_norm, smooth, softmax, element_multiply, and convolution for those that stay in binary32.
  std::vector<StepPart> parts;

  energy::Range total_pj() const;
};

// The step of that network with the batch of the results. Throws std::runtime_error where the results are not of the
// network's layers, every convolution that does not stay in binary32 among them, each in all its passes with the same
// batch.
TrainingStep training_step(const workloads::Network& network, const Results& results, const std::string& file,
                           const energy::Laws& laws);

}  // namespace mlsim::evaluation
