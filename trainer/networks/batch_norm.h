// Batch norm over the images of one rank or of all.
#pragma once

#include <torch/nn/modules/batchnorm.h>

#include <cstdint>

#include "trainer/mls_convolution.h"

namespace mlsim::trainer {

// Torch's batch norm. In training, where the pass has ranks to share it with (PassState::norm_ranks), mean and variance
// are those of all ranks' images together: sums in binary64, over each rank's images and then over the ranks in their
// order. What `state` says is read in every pass.
class BatchNormModule : public torch::nn::BatchNorm2dImpl {
 public:
  BatchNormModule(std::int64_t channels, const PassState& state)
      : torch::nn::BatchNorm2dImpl(channels), state_(&state) {}
  torch::Tensor forward(const torch::Tensor& input);

 private:
  const PassState* state_;
};

}  // namespace mlsim::trainer
