// Layers and operands that the benchmarks share.
#pragma once

#include <random>
#include <string>

#include "models/convolution/convolution.h"
#include "models/quantizer/quantizer.h"

namespace mlsim::bench {

// A 3×3 layer of ResNet-20's first stage.
inline models::ConvolutionShape resnet20_layer(std::int64_t batch) {
  models::ConvolutionShape shape;
  shape.batch = batch;
  shape.in_channels = 16;
  shape.out_channels = 16;
  shape.in_size = {32, 32};
  shape.kernel = {3, 3};
  shape.padding = {1, 1};
  return shape;
}

// Normal deviates; for activations negative values are replaced by 0.
inline models::Tensor<float> random_operand(const models::ConvolutionShape& shape, models::Operand operand) {
  std::mt19937 random(static_cast<unsigned>(operand) + 1);
  std::normal_distribution<float> normal(0, 1);
  models::Tensor<float> tensor{shape.shape_of(operand), {}};
  tensor.values.resize(static_cast<std::size_t>(models::element_count(tensor.shape)));
  for (float& x : tensor.values) {
    x = normal(random);
    if (operand == models::Operand::kActivation && x < 0) x = 0;
  }
  return tensor;
}

inline models::ScaledTensor quantized_operand(const models::ConvolutionShape& shape, models::Operand operand,
                                              const std::string& format) {
  return models::quantize(random_operand(shape, operand), models::parse_scaled_format(format), {}, "operand").tensor;
}

}  // namespace mlsim::bench
