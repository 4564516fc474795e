#include "trainer/networks/vgg.h"

#include <fmt/format.h>

#include <array>
#include <stdexcept>

namespace mlsim::trainer {
namespace {

struct Stage {
  std::int64_t channels;
  int convolutions;
};
constexpr std::array kStages{Stage{64, 2}, Stage{128, 2}, Stage{256, 3}, Stage{512, 3}, Stage{512, 3}};
constexpr std::size_t kSmallestSide = 32;

}  // namespace

// The last pooling follows the last batch norm.
Vgg16::Vgg16(const DataShape& data) : Network(data.side >> (kStages.size() - 1)) {
  if (data.side < kSmallestSide) {
    throw std::runtime_error(fmt::format("--model vgg16-bn: the images are {0}×{0} pixels, expected at least {1}×{1}",
                                         data.side, kSmallestSide));
  }
  const auto features = register_module("features", std::make_shared<torch::nn::Module>());
  auto channels = static_cast<std::int64_t>(data.channels);
  int place = 0;
  for (const Stage& stage : kStages) {
    for (int i = 0; i < stage.convolutions; ++i) {
      const std::string number = std::to_string(place);
      layers_.push_back(
          {features->register_module(number, next_convolution("features." + number, channels, stage.channels, 3, 1)),
           features->register_module(std::to_string(place + 1), next_norm(stage.channels)),
           i + 1 == stage.convolutions});
      channels = stage.channels;
      place += 3;  // convolution, batch norm, ReLU
    }
    ++place;  // pooling
  }
  classifier_ =
      register_module("classifier", next_linear("classifier", channels, static_cast<std::int64_t>(data.classes)));
}

torch::Tensor Vgg16::forward(const torch::Tensor& images) {
  torch::Tensor output = images;
  for (Layer& layer : layers_) {
    output = layer.norm->forward(layer.convolution->forward(output)).relu_();
    if (layer.pooled) output = torch::max_pool2d(output, 2);
  }
  return classifier_->forward(output.mean({2, 3}));
}

}  // namespace mlsim::trainer
