#include "trainer/networks/network.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/nn/init.h>

#include <algorithm>
#include <cassert>
#include <stdexcept>
#include <utility>

#include "trainer/networks/resnet.h"
#include "trainer/networks/vgg.h"

namespace mlsim::trainer {

ConvolutionModule::ConvolutionModule(std::int64_t in_channels, std::int64_t out_channels, std::int64_t kernel,
                                     ConvolutionLayer layer)
    : layer_(std::move(layer)),
      weight_(register_parameter("weight", torch::empty({out_channels, in_channels, kernel, kernel}))) {
  torch::nn::init::kaiming_normal_(weight_, 0.0, torch::kFanOut, torch::kReLU);
}

void ConvolutionModule::quantize(std::size_t index, const PassState& state) {
  layer_.index = index;
  state_ = &state;
}

torch::Tensor ConvolutionModule::forward(const torch::Tensor& input) {
  if (state_ != nullptr) return quantized_convolution(input, weight_, layer_, *state_);
  return torch::conv2d(input, weight_, {}, layer_.stride, layer_.padding);
}

LinearModule::LinearModule(std::string name, std::int64_t in_features, std::int64_t out_features)
    : torch::nn::LinearImpl(in_features, out_features), layer_{.name = std::move(name)} {}

void LinearModule::quantize(std::size_t index, const PassState& state) {
  layer_.index = index;
  state_ = &state;
}

torch::Tensor LinearModule::forward(const torch::Tensor& input) {
  if (state_ != nullptr) return quantized_product(input, weight, layer_, *state_) + bias;
  return torch::nn::LinearImpl::forward(input);
}

std::shared_ptr<ConvolutionModule> Network::next_convolution(const std::string& name, std::int64_t in_channels,
                                                             std::int64_t out_channels, std::int64_t kernel,
                                                             std::int64_t stride) {
  ConvolutionLayer layer{.name = name, .index = 0, .stride = stride, .padding = kernel / 2};
  auto convolution = std::make_shared<ConvolutionModule>(in_channels, out_channels, kernel, std::move(layer));
  if (!convolutions_.empty()) {
    convolution->quantize(quantized_layers_.size(), state_);
    quantized_layers_.push_back(name);
  }
  convolutions_.push_back(convolution);
  return convolution;
}

std::shared_ptr<BatchNormModule> Network::next_norm(std::int64_t channels) const {
  return std::make_shared<BatchNormModule>(channels, state_);
}

std::shared_ptr<LinearModule> Network::next_linear(const std::string& name, std::int64_t in_features,
                                                   std::int64_t out_features) {
  linear_layers_.push_back(std::make_shared<LinearModule>(name, in_features, out_features));
  return linear_layers_.back();
}

void Network::quantize_linear() {
  for (const auto& linear : linear_layers_) {
    linear->quantize(quantized_layers_.size(), state_);
    quantized_layers_.push_back(linear->name());
  }
}

void Network::keep_float(const std::vector<std::string>& layers) {
  std::vector<std::string> known;
  for (const auto& convolution : convolutions_) known.push_back(convolution->name());
  for (const std::string& layer : layers) {
    if (std::ranges::find(known, layer) == known.end()) {
      throw std::runtime_error(fmt::format("--float-layers: '{}' is no convolution of the network, expected some of {}",
                                           layer, fmt::join(known, ", ")));
    }
  }
  quantized_layers_.clear();
  for (const auto& convolution : convolutions_) {
    if (std::ranges::find(layers, convolution->name()) != layers.end()) {
      convolution->keep_float();
    } else {
      convolution->quantize(quantized_layers_.size(), state_);
      quantized_layers_.push_back(convolution->name());
    }
  }
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
