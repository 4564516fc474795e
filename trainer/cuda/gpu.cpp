#include "trainer/gpu.h"

#include <ATen/Context.h>
#include <ATen/cuda/CUDAGraph.h>
#include <ATen/ops/_foreach_add.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_sub.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/cuda.h>

#include <cassert>
#include <optional>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

#include "models/baseline/baseline.h"
#include "trainer/cuda/kernels.h"

namespace mlsim::trainer {
namespace {

class CudaGpu : public Gpu {
 public:
  CudaGpu() : stream_(c10::cuda::getStreamFromPool()), guard_(stream_) {
    at::globalContext().setAllowTF32CuDNN(false);
    at::globalContext().setAllowTF32CuBLAS(false);
    at::globalContext().setDeterministicCuDNN(true);
    step_ = torch::zeros({}, torch::dtype(torch::kLong).device(device()));
    learning_rate_ = torch::zeros({}, torch::dtype(torch::kFloat).device(device()));
  }

  torch::Device device() const override { return {torch::kCUDA, stream_.device_index()}; }

  void set_step(std::uint64_t step, double learning_rate) override {
    step_.fill_(static_cast<std::int64_t>(step));
    learning_rate_.fill_(learning_rate);
  }

  ScaledValues quantize(const torch::Tensor& tensor, const models::Format& format,
                        const models::QuantizerOptions& options) override {
    const auto* const scaled = std::get_if<models::ScaledFormat>(&format);
    const bool channels_last =
        scaled != nullptr && tensor.dim() == 4 && tensor.is_contiguous(at::MemoryFormat::ChannelsLast);
    const torch::Tensor dense = channels_last ? tensor : tensor.contiguous();
    const auto order = channels_last ? cuda::ElementOrder::kChannelsLast : cuda::ElementOrder::kContiguous;
    ScaledValues result{at::empty_like(dense), at::empty({}, dense.options())};
    const auto extent = [&](std::int64_t d) { return static_cast<std::size_t>(d < dense.dim() ? dense.size(d) : 1); };
    const cuda::TensorShape shape{extent(0), extent(1), extent(2), extent(3)};
    const models::ScaleLayout layout = models::scale_layout_of(format);
    const torch::Tensor scratch =
        at::empty({static_cast<std::int64_t>(cuda::scratch_words(shape, layout))}, dense.options());
    const cuda::Memory memory{.input = dense.const_data_ptr<float>(),
                              .step = step_.const_data_ptr<std::int64_t>(),
                              .scratch = static_cast<std::uint32_t*>(scratch.data_ptr()),
                              .output = result.values.mutable_data_ptr<float>(),
                              .tensor_scale = result.scale.mutable_data_ptr<float>(),
                              .stream = c10::cuda::getCurrentCUDAStream()};
    if (scaled != nullptr) {
      cuda::quantize_scaled(memory, shape, order, *scaled, options);
    } else {
      const models::BaselineGrid grid = models::grid_of(std::get<models::BaselineFormat>(format));
      cuda::quantize_baseline_scaled(memory, shape, grid, options);
    }
    return result;
  }

  void keep_images(const ImageSet& set, const Normalization& normalization) override {
    const auto bytes_on_gpu = [&](const std::vector<std::uint8_t>& bytes) {
      // Only read.
      auto* const data = const_cast<std::uint8_t*>(bytes.data());
      return torch::from_blob(data, {static_cast<std::int64_t>(bytes.size())}, torch::kByte).to(device());
    };
    pixels_ = bytes_on_gpu(set.pixels);
    labels_ = bytes_on_gpu(set.labels);
    source_.pixels = pixels_.const_data_ptr<std::uint8_t>();
    source_.labels = labels_.const_data_ptr<std::uint8_t>();
    shape_ = set.shape;
    source_.channels = static_cast<unsigned>(shape_.channels);
    source_.side = static_cast<unsigned>(shape_.side);
    for (std::size_t channel = 0; channel < shape_.channels; ++channel) {
      source_.scale[channel] = normalization.scale(channel);
      source_.offset[channel] = normalization.offset(channel);
    }
  }

  const DeviceBatch& place(std::span<const Placement> placements) override {
    const auto count = static_cast<std::int64_t>(placements.size());
    if (make_room(count, shape_)) {
      const auto bytes = static_cast<std::int64_t>(placements.size_bytes());
      placements_ = at::empty({bytes}, torch::dtype(torch::kByte).device(device()));
    }
    // From pageable memory: it may be changed as soon as the call returns.
    C10_CUDA_CHECK(cudaMemcpyAsync(placements_.data_ptr(), placements.data(), placements.size_bytes(),
                                   cudaMemcpyHostToDevice, c10::cuda::getCurrentCUDAStream()));
    cuda::place_images(source_, static_cast<const Placement*>(placements_.data_ptr()), placements.size(),
                       batch_.images.mutable_data_ptr<float>(), batch_.labels.mutable_data_ptr<std::int64_t>(),
                       c10::cuda::getCurrentCUDAStream());
    return batch_;
  }

  const DeviceBatch& copy(const Batch& batch, const DataShape& shape) override {
    const auto count = static_cast<std::int64_t>(batch.labels.size());
    make_room(count, shape);
    // Only read.
    auto* const images = const_cast<float*>(batch.images.data());
    auto* const labels = const_cast<std::int64_t*>(batch.labels.data());
    batch_.images.copy_(torch::from_blob(images, batch_.images.sizes()));
    batch_.labels.copy_(torch::from_blob(labels, batch_.labels.sizes(), torch::kLong));
    return batch_;
  }

  void update(torch::optim::SGD& optimizer) override {
    const torch::NoGradGuard no_gradients;
    torch::optim::OptimizerParamGroup& group = optimizer.param_groups()[0];
    const auto& options = static_cast<const torch::optim::SGDOptions&>(group.options());
    std::vector<torch::Tensor> gradients;
    std::vector<torch::Tensor> momenta;
    for (const torch::Tensor& parameter : group.params()) {
      gradients.push_back(parameter.grad());
      momenta.push_back(momentum_of(optimizer, parameter));
    }
    gradients = at::_foreach_add(gradients, group.params(), options.weight_decay());
    at::_foreach_mul_(momenta, options.momentum());
    at::_foreach_add_(momenta, gradients);
    at::_foreach_sub_(group.params(), at::_foreach_mul(momenta, learning_rate_));
  }

  void record(const std::function<void()>& work) override {
    assert(!graph_);
    graph_.emplace();
    graph_->capture_begin();
    work();
    graph_->capture_end();
    graph_->replay();
  }
  bool recorded() const override { return graph_.has_value(); }
  void replay() override { graph_->replay(); }

 private:
  // Tells whether the batch at hand had another number of images, and was made anew.
  bool make_room(std::int64_t count, const DataShape& shape) {
    if (batch_.labels.defined() && batch_.labels.size(0) == count) return false;
    const auto side = static_cast<std::int64_t>(shape.side);
    batch_.images = at::empty({count, static_cast<std::int64_t>(shape.channels), side, side},
                              torch::dtype(torch::kFloat).device(device()));
    batch_.labels = at::empty({count}, torch::dtype(torch::kLong).device(device()));
    return true;
  }

  static torch::Tensor momentum_of(torch::optim::SGD& optimizer, const torch::Tensor& parameter) {
    auto& state = optimizer.state()[parameter.unsafeGetTensorImpl()];
    if (state == nullptr) {
      auto fresh = std::make_unique<torch::optim::SGDParamState>();
      fresh->momentum_buffer(torch::zeros_like(parameter));
      state = std::move(fresh);
    }
    return static_cast<torch::optim::SGDParamState&>(*state).momentum_buffer();
  }

  c10::cuda::CUDAStream stream_;
  c10::cuda::CUDAStreamGuard guard_;
  torch::Tensor step_;
  torch::Tensor learning_rate_;
  torch::Tensor pixels_;
  torch::Tensor labels_;
  cuda::ImageSource source_;
  DataShape shape_;  // of the set that is kept
  torch::Tensor placements_;
  DeviceBatch batch_;
  std::optional<at::cuda::CUDAGraph> graph_;
};

}  // namespace

std::unique_ptr<Gpu> make_gpu(int index) {
  if (!torch::cuda::is_available()) {
    throw std::runtime_error("--device cuda: no GPU was found that CUDA can use, expected cpu");
  }
  const auto count = static_cast<int>(torch::cuda::device_count());
  if (index >= count) {
    throw std::runtime_error("--device cuda: LOCAL_RANK is " + std::to_string(index) + ", expected less than " +
                             std::to_string(count) + ", the GPUs of this machine");
  }
  c10::cuda::set_device(static_cast<c10::DeviceIndex>(index));
  return std::make_unique<CudaGpu>();
}

}  // namespace mlsim::trainer
