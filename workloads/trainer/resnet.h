// The residual networks for CIFAR of He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR 2016,
// section 4.2: a 3×3 convolution, three stages of blocks with 16, 32 and 64 channels, average pooling and a linear
// layer; shortcuts without parameters (option A: every second pixel, new channels are 0).
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/linear.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "workloads/trainer/mls_convolution.h"

namespace mlsim::trainer {

// A bias-free convolution, quantized or, without `state`, in binary32.
class ConvolutionModule : public torch::nn::Module {
 public:
  ConvolutionModule(std::int64_t in_channels, std::int64_t out_channels, ConvolutionLayer layer,
                    const PassState* state);
  torch::Tensor forward(const torch::Tensor& input);
  const ConvolutionLayer& layer() const { return layer_; }

 private:
  ConvolutionLayer layer_;
  const PassState* state_;
  torch::Tensor weight_;
};

class ResidualBlock;

// 6 · blocks_per_stage + 2 layers with weights: 3 blocks make ResNet-20. Names of modules and layers are conv1, bn1,
// layer1.0.conv1, layer1.0.bn1, … fc. All convolutions but conv1 are quantized. Weights start as He et al. (ICCV 2015)
// have it, from Torch's generator: set its seed first.
class ResNet : public torch::nn::Module {
 public:
  explicit ResNet(int blocks_per_stage);

  // Images (N, 3, 32, 32) to logits (N, 10).
  torch::Tensor forward(const torch::Tensor& images);

  // Read by the quantized convolutions in both directions.
  PassState& state() { return state_; }
  // Names of the quantized convolutions, in the order of their indices.
  const std::vector<std::string>& quantized_layers() const { return quantized_layers_; }

 private:
  PassState state_;
  std::vector<std::string> quantized_layers_;
  std::shared_ptr<ConvolutionModule> conv1_;
  torch::nn::BatchNorm2d bn1_{nullptr};
  std::vector<std::shared_ptr<ResidualBlock>> blocks_;
  torch::nn::Linear fc_{nullptr};
};

}  // namespace mlsim::trainer
