// What training needs of a GPU.
#pragma once

#include <torch/optim/sgd.h>
#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "models/formats/format.h"
#include "models/quantizer/quantizer.h"
#include "trainer/data/batches.h"

namespace mlsim::trainer {

// A tensor as values times a tensor scale of no dimensions; without a scale it is 1.
struct ScaledValues {
  torch::Tensor values;
  torch::Tensor scale;
};

// One batch in the GPU's memory.
struct DeviceBatch {
  torch::Tensor images;
  torch::Tensor labels;
};

// A GPU and what training keeps in its memory. While one lives, work of the thread that made it goes to a stream of its
// own. Binary32 stays binary32: TF32, which keeps 11 significant bits of an operand, is off in cuDNN and cuBLAS except
// for convolutions whose operands have no more (quantized_convolution.h).
class Gpu {
 public:
  Gpu() = default;
  virtual ~Gpu() = default;
  Gpu(const Gpu&) = delete;
  Gpu& operator=(const Gpu&) = delete;
  Gpu(Gpu&&) = delete;
  Gpu& operator=(Gpu&&) = delete;

  virtual torch::Device device() const = 0;

  // The step and the learning rate that quantize and update read: from the GPU's memory, so that a recorded step uses
  // those that are set at its replay.
  virtual void set_step(std::uint64_t step, double learning_rate) = 0;

  // Values and scale, bit by bit those of models::quantize_scaled (S_g · x and S_t) or of
  // models::quantize_baseline_scaled, but with a scale of NaN in place of a refusal. The step that was set is added to
  // the upper half of the options' stream. The tiles are those of the format's layout. Where the tensor is a part, the
  // maxima to raise lie in the GPU's memory. The result is in channels-last
  // order where a tensor in a block-scaled format is.
  virtual ScaledValues quantize(const torch::Tensor& tensor, const models::Format& format,
                                const models::QuantizerOptions& options) = 0;

  // Keeps a set in the GPU's memory and makes batches of it, equal to those of MemoryDataset; each is valid until the
  // next.
  virtual void keep_images(const ImageSet& set, const Normalization& normalization) = 0;
  virtual const DeviceBatch& place(std::span<const Placement> placements) = 0;
  // Copies a batch of images of a shape, to where `place` puts them.
  virtual const DeviceBatch& copy(const Batch& batch, const DataShape& shape) = 0;

  // One step of SGD with the learning rate that was set; momenta are those of the optimizer.
  virtual void update(torch::optim::SGD& optimizer) = 0;

  // Runs work and keeps its kernels, then runs them again. Work must not wait for the GPU.
  virtual void record(const std::function<void()>& work) = 0;
  virtual bool recorded() const = 0;
  virtual void replay() = 0;
};

// The GPU of an index, which becomes the current one. Throws std::runtime_error where this build or the machine has no
// CUDA, or fewer GPUs.
std::unique_ptr<Gpu> make_gpu(int index = 0);

}  // namespace mlsim::trainer
