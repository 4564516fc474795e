// The networks that can be trained, by name, and what they take from the data. No Torch.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace mlsim::trainer {

enum class Model : std::uint8_t {
  kResNet8,           // one block a stage instead of ResNet-20's three: for short runs
  kResNet20,          // He et al., CVPR 2016, section 4.2
  kResNet18,          // the same authors' ImageNet network with a 3×3 stem, as is usual on CIFAR
  kResNet18ImageNet,  // He et al., CVPR 2016, table 1
  kVgg16Bn,           // Simonyan and Zisserman, ICLR 2015, with batch norm and one linear layer
};
inline constexpr std::array kModels{Model::kResNet8, Model::kResNet20, Model::kResNet18, Model::kResNet18ImageNet,
                                    Model::kVgg16Bn};

// resnet8, resnet20, resnet18, resnet18-imagenet, vgg16-bn.
std::string to_string(Model model);
// Throws std::runtime_error that tells the names.
Model parse_model(const std::string& name);

// What a network is made for: square images, and the classes to tell apart.
struct DataShape {
  std::size_t channels = 0;
  std::size_t side = 0;  // pixels
  std::size_t classes = 0;

  std::size_t plane() const { return side * side; }
  std::size_t image() const { return channels * plane(); }
  bool operator==(const DataShape&) const = default;
};

}  // namespace mlsim::trainer
