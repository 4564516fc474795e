#include "workloads/trainer/resnet.h"

#include <fmt/format.h>
#include <torch/nn/init.h>
#include <torch/nn/modules/container/sequential.h>

#include <array>
#include <utility>

namespace mlsim::trainer {

ConvolutionModule::ConvolutionModule(std::int64_t in_channels, std::int64_t out_channels, ConvolutionLayer layer,
                                     const PassState* state)
    : layer_(std::move(layer)),
      state_(state),
      weight_(register_parameter("weight", torch::empty({out_channels, in_channels, 3, 3}))) {
  torch::nn::init::kaiming_normal_(weight_, 0.0, torch::kFanOut, torch::kReLU);
}

torch::Tensor ConvolutionModule::forward(const torch::Tensor& input) {
  if (state_ != nullptr) return mls_convolution(input, weight_, layer_, *state_);
  return torch::conv2d(input, weight_, {}, layer_.stride, layer_.padding);
}

class ResidualBlock : public torch::nn::Module {
 public:
  ResidualBlock(std::int64_t in_channels, std::int64_t out_channels, std::int64_t stride, const std::string& name,
                std::size_t first_index, const PassState* state)
      : stride_(stride),
        new_channels_(out_channels - in_channels),
        conv1_(register_module(
            "conv1", std::make_shared<ConvolutionModule>(
                         in_channels, out_channels, ConvolutionLayer{name + ".conv1", first_index, stride}, state))),
        bn1_(register_module("bn1", torch::nn::BatchNorm2d(out_channels))),
        conv2_(register_module(
            "conv2", std::make_shared<ConvolutionModule>(out_channels, out_channels,
                                                         ConvolutionLayer{name + ".conv2", first_index + 1}, state))),
        bn2_(register_module("bn2", torch::nn::BatchNorm2d(out_channels))) {}

  torch::Tensor forward(const torch::Tensor& input) {
    torch::Tensor output = bn1_(conv1_->forward(input)).relu_();
    output = bn2_(conv2_->forward(output));
    return output.add_(shortcut(input)).relu_();
  }

  const ConvolutionModule& conv1() const { return *conv1_; }
  const ConvolutionModule& conv2() const { return *conv2_; }

 private:
  torch::Tensor shortcut(const torch::Tensor& input) const {
    if (new_channels_ == 0) return input;
    const auto end = input.size(2);
    const torch::Tensor pixels = input.slice(2, 0, end, stride_).slice(3, 0, end, stride_);
    return torch::constant_pad_nd(pixels, {0, 0, 0, 0, 0, new_channels_});
  }

  std::int64_t stride_;
  std::int64_t new_channels_;
  std::shared_ptr<ConvolutionModule> conv1_;
  torch::nn::BatchNorm2d bn1_;
  std::shared_ptr<ConvolutionModule> conv2_;
  torch::nn::BatchNorm2d bn2_;
};

ResNet::ResNet(int blocks_per_stage) {
  constexpr std::array<std::int64_t, 3> kChannels{16, 32, 64};
  conv1_ = register_module(
      "conv1", std::make_shared<ConvolutionModule>(3, kChannels[0], ConvolutionLayer{.name = "conv1"}, nullptr));
  bn1_ = register_module("bn1", torch::nn::BatchNorm2d(kChannels[0]));
  std::int64_t in_channels = kChannels[0];
  for (std::size_t stage = 0; stage < kChannels.size(); ++stage) {
    const std::string stage_name = fmt::format("layer{}", stage + 1);
    torch::nn::Sequential blocks;
    for (int i = 0; i < blocks_per_stage; ++i) {
      const auto block =
          std::make_shared<ResidualBlock>(in_channels, kChannels[stage], stage > 0 && i == 0 ? 2 : 1,
                                          fmt::format("{}.{}", stage_name, i), quantized_layers_.size(), &state_);
      quantized_layers_.push_back(block->conv1().layer().name);
      quantized_layers_.push_back(block->conv2().layer().name);
      blocks->push_back(block);
      blocks_.push_back(block);
      in_channels = kChannels[stage];
    }
    register_module(stage_name, blocks);
  }
  fc_ = register_module("fc", torch::nn::Linear(kChannels.back(), 10));
}

torch::Tensor ResNet::forward(const torch::Tensor& images) {
  torch::Tensor output = bn1_(conv1_->forward(images)).relu_();
  for (const auto& block : blocks_) output = block->forward(output);
  return fc_(output.mean({2, 3}));
}

}  // namespace mlsim::trainer
