// The CUDA kernels of training. No Torch; pointers are to the GPU's memory, and nothing waits for the GPU.
// Tested in tests/trainer/gpu_test.cpp.
#pragma once

#include <cuda_runtime_api.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "models/baseline/baseline.h"
#include "models/quantizer/quantizer.h"
#include "trainer/cuda/quantizer_core.h"
#include "trainer/data/batches.h"

namespace mlsim::trainer::cuda {

// Words of scratch memory that quantize_scaled needs: one for the tensor and one for each of its tiles.
std::size_t scratch_words(const TensorShape& shape, const models::ScaleLayout& layout);

// Where a quantizer reads and writes, in the GPU's memory.
struct Memory {
  const float* input = nullptr;
  const std::int64_t* step = nullptr;  // null: 0
  std::uint32_t* scratch = nullptr;
  float* output = nullptr;
  float* tensor_scale = nullptr;
  cudaStream_t stream = nullptr;
};

// models::quantize_scaled on the GPU, bit by bit: `output` gets S_g · x of every element, in the order of the input,
// and `*tensor_scale` S_t. Random words go to the elements in C order whatever their order in memory. Instead of a
// refusal, a NaN or an infinity in the input makes S_t NaN, in any format. The stream of random words is that of the
// options plus *step · 2^32, so that a captured graph reads the step of its replay. Where the tensor is a part, the
// maxima to raise are those in `scratch`.
void quantize_scaled(const Memory& memory, const TensorShape& shape, ElementOrder order,
                     const models::ScaledFormat& format, const models::QuantizerOptions& options);

// models::quantize_baseline_scaled on the GPU for the format of a grid, in the same way; scratch as for one tile.
void quantize_baseline_scaled(const Memory& memory, const TensorShape& shape, const models::BaselineGrid& grid,
                              const models::QuantizerOptions& options);

// Images of a set in the GPU's memory, placed as MemoryDataset places them, bit by bit.
struct ImageSource {
  const std::uint8_t* pixels = nullptr;  // channels · side · side for each image
  const std::uint8_t* labels = nullptr;
  unsigned channels = 0;
  unsigned side = 0;
  std::array<float, kMostChannels> scale{};  // pixel · scale - offset
  std::array<float, kMostChannels> offset{};
};
void place_images(const ImageSource& source, const Placement* placements, std::size_t count, float* images,
                  std::int64_t* labels, cudaStream_t stream);

}  // namespace mlsim::trainer::cuda
