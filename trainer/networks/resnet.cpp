#include "trainer/networks/resnet.h"

#include <fmt/format.h>
#include <torch/nn/modules/container/sequential.h>

#include <utility>

namespace mlsim::trainer {

class ResidualBlock : public torch::nn::Module {
 public:
  // A convolution and the batch norm behind it.
  struct Stage {
    std::shared_ptr<ConvolutionModule> convolution;
    std::shared_ptr<BatchNormModule> norm;
  };

  // Without `projection` a shortcut that changes shape has no parameters.
  ResidualBlock(std::int64_t new_channels, std::int64_t stride, const Stage& first, const Stage& second,
                const Stage& projection)
      : stride_(stride),
        new_channels_(new_channels),
        conv1_(register_module("conv1", first.convolution)),
        bn1_(register_module("bn1", first.norm)),
        conv2_(register_module("conv2", second.convolution)),
        bn2_(register_module("bn2", second.norm)) {
    if (projection.convolution == nullptr) return;
    downsample_ = register_module("downsample", torch::nn::Sequential());
    downsample_->push_back(projection.convolution);
    downsample_->push_back(projection.norm);
  }

  torch::Tensor forward(const torch::Tensor& input) {
    torch::Tensor output = bn1_->forward(conv1_->forward(input)).relu_();
    output = bn2_->forward(conv2_->forward(output));
    return output.add_(shortcut(input)).relu_();
  }

 private:
  torch::Tensor shortcut(const torch::Tensor& input) {
    if (!downsample_.is_empty()) return downsample_->forward(input);
    if (new_channels_ == 0) return input;
    const auto end = input.size(2);
    const torch::Tensor pixels = input.slice(2, 0, end, stride_).slice(3, 0, end, stride_);
    return torch::constant_pad_nd(pixels, {0, 0, 0, 0, 0, new_channels_});
  }

  std::int64_t stride_;
  std::int64_t new_channels_;
  std::shared_ptr<ConvolutionModule> conv1_;
  std::shared_ptr<BatchNormModule> bn1_;
  std::shared_ptr<ConvolutionModule> conv2_;
  std::shared_ptr<BatchNormModule> bn2_;
  torch::nn::Sequential downsample_{nullptr};
};

namespace {

// Of the last stage: strides halve the side, rounded up.
std::size_t last_side(const ResNetFamily& family, std::size_t side) {
  const int halvings = family.stages - 1 + (family.large_stem ? 2 : 0);
  for (int i = 0; i < halvings; ++i) side = (side + 1) / 2;
  return side;
}

}  // namespace

ResNet::ResNet(const ResNetFamily& family, int blocks_per_stage, const DataShape& data)
    : Network(last_side(family, data.side)), large_stem_(family.large_stem) {
  std::int64_t channels = family.first_channels;
  conv1_ = register_module("conv1", next_convolution("conv1", static_cast<std::int64_t>(data.channels), channels,
                                                     large_stem_ ? 7 : 3, large_stem_ ? 2 : 1));
  bn1_ = register_module("bn1", next_norm(channels));
  for (int stage = 0; stage < family.stages; ++stage) {
    const std::string stage_name = fmt::format("layer{}", stage + 1);
    torch::nn::Sequential blocks;
    for (int i = 0; i < blocks_per_stage; ++i) {
      const bool narrows = stage > 0 && i == 0;
      const std::string name = fmt::format("{}.{}", stage_name, i);
      const std::int64_t in_channels = channels;
      if (narrows) channels *= 2;
      const std::int64_t stride = narrows ? 2 : 1;
      const auto next_stage = [&](const char* convolution, std::int64_t from, std::int64_t kernel, std::int64_t by) {
        return ResidualBlock::Stage{next_convolution(name + convolution, from, channels, kernel, by),
                                    next_norm(channels)};
      };
      const ResidualBlock::Stage first = next_stage(".conv1", in_channels, 3, stride);
      const ResidualBlock::Stage second = next_stage(".conv2", channels, 3, 1);
      const ResidualBlock::Stage projection =
          narrows && family.projections ? next_stage(".downsample.0", in_channels, 1, stride) : ResidualBlock::Stage{};
      blocks_.push_back(std::make_shared<ResidualBlock>(channels - in_channels, stride, first, second, projection));
      blocks->push_back(blocks_.back());
    }
    register_module(stage_name, blocks);
  }
  fc_ = register_module("fc", next_linear("fc", channels, static_cast<std::int64_t>(data.classes)));
}

torch::Tensor ResNet::forward(const torch::Tensor& images) {
  torch::Tensor output = bn1_->forward(conv1_->forward(images)).relu_();
  if (large_stem_) output = torch::max_pool2d(output, 3, 2, 1);
  for (const auto& block : blocks_) output = block->forward(output);
  return fc_->forward(output.mean({2, 3}));
}

}  // namespace mlsim::trainer
