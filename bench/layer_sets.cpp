#include "bench/layer_sets.h"

#include <algorithm>

#include "models/formats/format.h"
#include "workloads/network.h"

namespace mlsim::bench {
namespace {

using models::ConvolutionShape;

bool is_kernel(const ConvolutionShape& shape, std::int64_t size) {
  return shape.groups == 1 && shape.kernel == std::array<std::int64_t, 2>{size, size};
}

bool is_image(const ConvolutionShape& shape) {
  return shape.in_size != std::array<std::int64_t, 2>{1, 1};
}

bool takes_3x3(const ConvolutionShape& shape) {
  return is_kernel(shape, 3);
}

bool takes_1x1(const ConvolutionShape& shape) {
  return is_kernel(shape, 1) && is_image(shape);
}

bool takes_3x3_and_1x1(const ConvolutionShape& shape) {
  return takes_3x3(shape) || takes_1x1(shape);
}

bool takes_depthwise(const ConvolutionShape& shape) {
  return shape.groups > 1;
}

bool takes_linear(const ConvolutionShape& shape) {
  return is_kernel(shape, 1) && !is_image(shape);
}

// Linear layers are convolutions of 1×1 images.
ConvolutionShape shape_of(const workloads::NetworkLayer& layer, std::int64_t batch) {
  if (layer.type == workloads::LayerType::kConvolution) return layer.convolution_shape(batch);
  return {.batch = batch, .in_channels = layer.input.channels, .out_channels = layer.output.channels};
}

}  // namespace

const std::vector<LayerSet>& layer_sets() {
  static const std::vector<LayerSet> sets{
      {"3x3", "3x3 of ResNet-18 and ResNet-20", {"resnet18", "resnet20"}, takes_3x3, {"e2m4"}},
      {"1x1", "1x1 of ResNet-50 and MobileNetV2", {"resnet50", "mobilenetv2"}, takes_1x1, {"e2m4"}},
      {"blocks",
       "3x3 and 1x1 of ResNet-18 and ResNet-50",
       {"resnet18", "resnet50"},
       takes_3x3_and_1x1,
       {"e2m4/b32", "mxfp4", "nvfp4"}},
      {"depthwise", "depthwise of MobileNetV2", {"mobilenetv2"}, takes_depthwise, {"e2m4"}},
      {"linear",
       "linear of ResNet-18, ResNet-50 and VGG-16",
       {"resnet18", "resnet50", "vgg16"},
       takes_linear,
       {"e2m4", "e2m4/b32", "mxfp4", "nvfp4"}},
  };
  return sets;
}

std::vector<SetLayer> layers_of(const LayerSet& set, std::int64_t batch) {
  std::vector<SetLayer> layers;
  for (const std::string& network : set.networks) {
    for (const workloads::NetworkLayer& layer : workloads::load_network(network).layers) {
      if (layer.type != workloads::LayerType::kConvolution && layer.type != workloads::LayerType::kLinear) continue;
      const ConvolutionShape shape = shape_of(layer, batch);
      if (!set.takes(shape)) continue;
      const auto known = std::ranges::find(layers, shape, &SetLayer::shape);
      if (known != layers.end()) {
        ++known->count;
      } else {
        layers.push_back({network + " " + layer.name, shape, 1});
      }
    }
  }
  return layers;
}

std::int64_t usual_batch(const LayerSet& set, const std::string& format) {
  const models::ScaledFormat backward_weight =
      models::parse_scaled_format(format).of(models::Operand::kError, models::Pass::kBackwardWeight);
  const bool in_blocks = backward_weight.layout.tile[0] > 1;
  return set.takes == takes_linear || in_blocks ? 32 : 1;
}

}  // namespace mlsim::bench
