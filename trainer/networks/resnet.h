// The residual networks with two 3×3 convolutions a block of He, Zhang, Ren, Sun, "Deep residual learning for image
// recognition", CVPR 2016: a stem, stages of blocks, average pooling and a linear layer.
// Tested in tests/trainer/network_test.cpp.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "trainer/networks/network.h"

namespace mlsim::trainer {

struct ResNetFamily {
  std::int64_t first_channels;  // of the first stage; each further one has twice as many and half the side
  int stages;
  // Shortcuts that change shape: a strided 1×1 convolution with batch norm (option B), or without parameters (option A:
  // every second pixel, new channels are 0).
  bool projections;
  bool large_stem;  // 7×7 with stride 2, then 3×3 max pooling with stride 2; otherwise 3×3
};
inline constexpr ResNetFamily kCifarResNet{16, 3, false, false};     // section 4.2
inline constexpr ResNetFamily kSmallStemResNet{64, 4, true, false};  // that of ImageNet, for small images
inline constexpr ResNetFamily kImageNetResNet{64, 4, true, true};    // table 1

class ResidualBlock;

// Names of modules and layers are conv1, bn1, layer1.0.conv1, layer1.0.bn1, … layer2.0.downsample.0, … fc, as in
// torchvision.
class ResNet : public Network {
 public:
  ResNet(const ResNetFamily& family, int blocks_per_stage, const DataShape& data);

  torch::Tensor forward(const torch::Tensor& images) override;

 private:
  bool large_stem_;
  std::shared_ptr<ConvolutionModule> conv1_;
  std::shared_ptr<BatchNormModule> bn1_;
  std::vector<std::shared_ptr<ResidualBlock>> blocks_;
  std::shared_ptr<LinearModule> fc_;
};

}  // namespace mlsim::trainer
