// Batch norm over the images of one rank or of all.
// Tested in tests/trainer/ranks_test.cpp.
#pragma once

#include <torch/nn/module.h>

#include <cstdint>

#include "trainer/quantized_convolution.h"

namespace mlsim::trainer {

// Torch's batch norm, with its names of parameters and statistics. In training, where the pass has ranks to share it
// with (PassState::norm_ranks), mean and variance are those of all ranks' images together: sums in binary64, over each
// rank's images and then over the ranks in their order. What `state` says is read in every pass.
class BatchNormModule : public torch::nn::Module {
 public:
  BatchNormModule(std::int64_t channels, const PassState& state);
  torch::Tensor forward(const torch::Tensor& input);

 private:
  torch::Tensor shared(const torch::Tensor& input);

  const PassState* state_;
  torch::Tensor weight_;
  torch::Tensor bias_;
  torch::Tensor running_mean_;
  torch::Tensor running_variance_;
  torch::Tensor batches_;  // seen in training
};

}  // namespace mlsim::trainer
