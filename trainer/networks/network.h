// A network whose layers take quantized operands.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/linear.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "trainer/model.h"
#include "trainer/networks/batch_norm.h"
#include "trainer/quantized_convolution.h"

namespace mlsim::trainer {

// A bias-free convolution with a square kernel, in binary32 unless told to quantize. Weights start as He et al.
// (ICCV 2015) have it, from Torch's generator: set its seed first.
class ConvolutionModule : public torch::nn::Module {
 public:
  ConvolutionModule(std::int64_t in_channels, std::int64_t out_channels, std::int64_t kernel, ConvolutionLayer layer);
  torch::Tensor forward(const torch::Tensor& input);
  const std::string& name() const { return layer_.name; }
  void quantize(std::size_t index, const PassState& state);
  void keep_float() { state_ = nullptr; }

 private:
  ConvolutionLayer layer_;
  const PassState* state_ = nullptr;
  torch::Tensor weight_;
};

// Torch's linear layer, in binary32 unless told to quantize; the bias is added in binary32 in either case.
class LinearModule : public torch::nn::LinearImpl {
 public:
  LinearModule(std::string name, std::int64_t in_features, std::int64_t out_features);
  torch::Tensor forward(const torch::Tensor& input);
  const std::string& name() const { return layer_.name; }
  void quantize(std::size_t index, const PassState& state);

 private:
  ConvolutionLayer layer_;
  const PassState* state_ = nullptr;
};

class Network : public torch::nn::Module {
 public:
  // Images (N, channels, side, side) to logits (N, classes).
  virtual torch::Tensor forward(const torch::Tensor& images) = 0;

  // Read by the quantized convolutions in both directions.
  PassState& state() { return state_; }
  // Names of the quantized layers, in the order of their indices.
  const std::vector<std::string>& quantized_layers() const { return quantized_layers_; }
  const std::string& first_layer() const { return convolutions_.front()->name(); }
  // Pixels a side of the smallest images that batch norm takes.
  std::size_t smallest_side() const { return smallest_side_; }
  // Chooses the convolutions that stay binary32, by name; all others are quantized and get an index in the order of the
  // network. Until then it is the first one alone. Throws std::runtime_error with the names for an unknown one.
  void keep_float(const std::vector<std::string>& layers);
  // Quantizes the linear layers too, whose indices follow those of the convolutions. Comes after keep_float.
  void quantize_linear();

 protected:
  explicit Network(std::size_t smallest_side) : smallest_side_(smallest_side) {}

  // The next convolution of the network; padding keeps the side where the stride is 1.
  std::shared_ptr<ConvolutionModule> next_convolution(const std::string& name, std::int64_t in_channels,
                                                      std::int64_t out_channels, std::int64_t kernel,
                                                      std::int64_t stride);
  std::shared_ptr<BatchNormModule> next_norm(std::int64_t channels) const;
  std::shared_ptr<LinearModule> next_linear(const std::string& name, std::int64_t in_features,
                                            std::int64_t out_features);

 private:
  std::size_t smallest_side_;
  PassState state_;
  std::vector<std::shared_ptr<ConvolutionModule>> convolutions_;
  std::vector<std::shared_ptr<LinearModule>> linear_layers_;
  std::vector<std::string> quantized_layers_;
};

// A network with new weights. Throws std::runtime_error for images that are too small for the model.
std::shared_ptr<Network> make_network(Model model, const DataShape& data);

}  // namespace mlsim::trainer
