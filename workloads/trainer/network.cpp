#include "workloads/trainer/network.h"

#include <torch/nn/init.h>

#include <cassert>
#include <utility>

#include "workloads/trainer/resnet.h"
#include "workloads/trainer/vgg.h"

namespace mlsim::trainer {

ConvolutionModule::ConvolutionModule(std::int64_t in_channels, std::int64_t out_channels, std::int64_t kernel,
                                     ConvolutionLayer layer, const PassState* state)
    : layer_(std::move(layer)),
      state_(state),
      weight_(register_parameter("weight", torch::empty({out_channels, in_channels, kernel, kernel}))) {
  torch::nn::init::kaiming_normal_(weight_, 0.0, torch::kFanOut, torch::kReLU);
}

torch::Tensor ConvolutionModule::forward(const torch::Tensor& input) {
  if (state_ != nullptr) return mls_convolution(input, weight_, layer_, *state_);
  return torch::conv2d(input, weight_, {}, layer_.stride, layer_.padding);
}

std::shared_ptr<ConvolutionModule> Network::next_convolution(const std::string& name, std::int64_t in_channels,
                                                             std::int64_t out_channels, std::int64_t kernel,
                                                             std::int64_t stride) {
  ConvolutionLayer layer{.name = name, .index = 0, .stride = stride, .padding = kernel / 2};
  const bool first = !std::exchange(any_convolution_, true);
  if (!first) {
    layer.index = quantized_layers_.size();
    quantized_layers_.push_back(name);
  }
  return std::make_shared<ConvolutionModule>(in_channels, out_channels, kernel, std::move(layer),
                                             first ? nullptr : &state_);
}

std::shared_ptr<Network> make_network(Model model, const DataShape& data) {
  switch (model) {
    case Model::kResNet8:
      return std::make_shared<ResNet>(kCifarResNet, 1, data);
    case Model::kResNet20:
      return std::make_shared<ResNet>(kCifarResNet, 3, data);
    case Model::kResNet18:
      return std::make_shared<ResNet>(kSmallStemResNet, 2, data);
    case Model::kResNet18ImageNet:
      return std::make_shared<ResNet>(kImageNetResNet, 2, data);
    case Model::kVgg16Bn:
      return std::make_shared<Vgg16>(data);
  }
  assert(false);
  return nullptr;
}

}  // namespace mlsim::trainer
