// The convolution of quantized training: block-scaled or baseline operands in all three passes, straight-through
// gradients.
// Tested in tests/trainer/network_test.cpp.
#pragma once

#include <torch/types.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "trainer/gpu.h"
#include "trainer/quantization.h"
#include "trainer/trace.h"

namespace mlsim::trainer {

class BatchPart;
class Ranks;

// What a network's convolutions share during a pass through it.
struct PassState {
  Quantization quantization;
  std::uint64_t step = 0;
  // Where to copy the operands of the convolutions that are named in it; null at a step that is not traced.
  std::vector<TracedConvolution>* trace = nullptr;
  std::int64_t trace_samples = 0;
  // Where to add how often accumulators overflowed in exact arithmetic, by models::Pass; null: nowhere.
  std::array<std::uint64_t, 3>* overflows = nullptr;
  bool evaluating = false;  // every operand is rounded to nearest unless Quantization tells otherwise
  Gpu* gpu = nullptr;       // where the tensors are; null: in the processor's memory
  // The part of the batch that a training pass has; null: all of it.
  const BatchPart* part = nullptr;
  Ranks* norm_ranks = nullptr;  // with which batch norm shares its statistics in training; null: with none
};

// What tells one convolution from another.
struct ConvolutionLayer {
  std::string name;
  // Among the quantized layers of the network: with the step and the operand it chooses the stream of random
  // bits, as the index of a layer does in a workload.
  std::size_t index = 0;
  std::int64_t stride = 1;
  std::int64_t padding = 1;
  bool linear = false;  // a matrix product, as the 1×1 convolution of 1×1 images
};

// The convolution of (N, Cin, H, W) with (Cout, Cin, Kh, Kw). Its result, and the gradients of both, are those of
// quantized operands: each pass convolves S_g · x (in a baseline format: the values of its codes), which binary32 holds
// exactly, and multiplies the result by the product of the two tensor scales. Exact arithmetic gives the bits of
// models::functional_convolution instead. An operand that two passes take in the same tiles is quantized once, another
// one for each pass, each time from binary32. The gradient of quantization itself is taken as 1. `state` is read in
// both directions and must outlive the backward pass. Of a part of a batch, activation and error are quantized as the
// batch is; the gradient of the weight is that of the part. Throws std::runtime_error with the layer and the operand
// for a NaN or an infinity; on a GPU the result is NaN instead. There the convolutions run in TF32 where fits_tf32
// tells that it keeps the operands.
torch::Tensor quantized_convolution(const torch::Tensor& activation, const torch::Tensor& weight,
                                    const ConvolutionLayer& layer, const PassState& state);

// The product of (N, Cin) with the transpose of (Cout, Cin) in the same way: the 1×1 convolution of N images of one
// pixel.
torch::Tensor quantized_product(const torch::Tensor& activation, const torch::Tensor& weight, ConvolutionLayer layer,
                                const PassState& state);

}  // namespace mlsim::trainer
