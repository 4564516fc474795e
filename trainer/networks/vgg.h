// Configuration D (16 layers) of Simonyan and Zisserman, "Very deep convolutional networks for large-scale image
// recognition", ICLR 2015, as it is usual on CIFAR: batch norm after each convolution, whose biases it makes needless,
// and one linear layer on the mean over the last pixels, which is one pixel for 32×32 images.
// Tested in tests/trainer/network_test.cpp.
#pragma once

#include <memory>
#include <vector>

#include "trainer/networks/network.h"

namespace mlsim::trainer {

// Names of modules and layers are features.0 (the first convolution), features.1 (its batch norm), features.3, … as in
// torchvision's vgg16_bn, and classifier.
class Vgg16 : public Network {
 public:
  // Throws std::runtime_error for images of less than 32 pixels a side: five poolings leave nothing of them.
  explicit Vgg16(const DataShape& data);

  torch::Tensor forward(const torch::Tensor& images) override;

 private:
  struct Layer {
    std::shared_ptr<ConvolutionModule> convolution;
    std::shared_ptr<BatchNormModule> norm;
    bool pooled;  // 2×2 max pooling follows
  };
  std::vector<Layer> layers_;
  std::shared_ptr<LinearModule> classifier_;
};

}  // namespace mlsim::trainer
