#include <algorithm>
#include <stdexcept>
#include <string>

#include "trainer/cuda/kernels.h"

namespace mlsim::trainer::cuda {
namespace {

constexpr unsigned kThreads = 256;
constexpr unsigned kWarp = 32;
constexpr std::uint32_t kInfinityBits = 0x7F800000;

void check(cudaError_t error, const std::string& what) {
  if (error != cudaSuccess) throw std::runtime_error("the GPU refuses " + what + ": " + cudaGetErrorString(error));
}

void check_launch(const char* kernel) {
  check(cudaGetLastError(), std::string("the kernel ") + kernel);
}

void clear(std::uint32_t* words, std::size_t count, cudaStream_t stream) {
  check(cudaMemsetAsync(words, 0, count * sizeof(std::uint32_t), stream), "to clear memory");
}

std::size_t group_count(const PairedShape& shape, const models::ScaleLayout& layout) {
  return static_cast<std::size_t>(
      layout.count(static_cast<std::int64_t>(shape.d0), static_cast<std::int64_t>(shape.d1)));
}

__device__ std::size_t group_of(std::size_t pair, std::size_t d1, const models::ScaleLayout& layout) {
  return static_cast<std::size_t>(layout.index(static_cast<std::int64_t>(pair / d1),
                                               static_cast<std::int64_t>(pair % d1), static_cast<std::int64_t>(d1)));
}

__device__ bool is_one_group(const models::ScaleLayout& layout) {
  return layout.constant_over(0) && layout.constant_over(1);
}

// Words 1 .. 4 of one block (base/philox.cpp).
__device__ uint4 philox(std::uint64_t block, std::uint64_t stream, std::uint64_t seed) {
  uint4 c{static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(block >> 32),
          static_cast<std::uint32_t>(stream), static_cast<std::uint32_t>(stream >> 32)};
  std::uint32_t key0 = static_cast<std::uint32_t>(seed);
  std::uint32_t key1 = static_cast<std::uint32_t>(seed >> 32);
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const std::uint32_t high0 = __umulhi(0xD2511F53U, c.x);
    const std::uint32_t low0 = 0xD2511F53U * c.x;
    const std::uint32_t high1 = __umulhi(0xCD9E8D57U, c.z);
    const std::uint32_t low1 = 0xCD9E8D57U * c.z;
    c = {high1 ^ c.y ^ key0, low1, high0 ^ c.w ^ key1, low0};
    key0 += 0x9E3779B9U;
    key1 += 0xBB67AE85U;
  }
  return c;
}

__device__ std::uint32_t word_of(const uint4& words, unsigned index) {
  return index == 0 ? words.x : index == 1 ? words.y : index == 2 ? words.z : words.w;
}

__device__ std::uint32_t magnitude_bits(float x) {
  return __float_as_uint(x) & 0x7FFFFFFFU;
}

// A warp for each pair of indices of dimensions 0 and 1: scratch[0] becomes the largest magnitude of the tensor, as
// bits, and scratch[1 + g] that of group g. Both start at 0.
__global__ void find_maxima(const float* __restrict__ input, PairedShape shape, models::ScaleLayout layout,
                            std::uint32_t* __restrict__ scratch) {
  __shared__ std::uint32_t block_maximum;
  if (threadIdx.x == 0) block_maximum = 0;
  __syncthreads();
  const std::size_t pairs = shape.d0 * shape.d1;
  const std::size_t pair = (static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x) / kWarp;
  const unsigned lane = threadIdx.x % kWarp;
  std::uint32_t largest = 0;
  if (pair < pairs) {
    const float* const first = input + pair * shape.inner;
    if (shape.inner % 4 == 0 && reinterpret_cast<std::uintptr_t>(input) % 16 == 0) {
      const auto* const quads = reinterpret_cast<const float4*>(first);
      for (std::size_t i = lane; i < shape.inner / 4; i += kWarp) {
        const float4 quad = quads[i];
        largest = max(largest, max(max(magnitude_bits(quad.x), magnitude_bits(quad.y)),
                                   max(magnitude_bits(quad.z), magnitude_bits(quad.w))));
      }
    } else {
      for (std::size_t i = lane; i < shape.inner; i += kWarp) largest = max(largest, magnitude_bits(first[i]));
    }
    for (unsigned other = kWarp / 2; other > 0; other /= 2) {
      largest = max(largest, __shfl_xor_sync(0xFFFFFFFFU, largest, other));
    }
    if (lane == 0) {
      if (!is_one_group(layout)) atomicMax(scratch + 1 + group_of(pair, shape.d1, layout), largest);
      atomicMax(&block_maximum, largest);
    }
  }
  __syncthreads();
  if (threadIdx.x == 0) atomicMax(scratch, block_maximum);
}

// The same for a tensor in channels-last order: a block for some positions of one index of dimension 0. `maxima`, as
// many words as dimension 1 is long, is shared memory.
__global__ void find_maxima_channels_last(const float* __restrict__ input, PairedShape shape,
                                          std::size_t positions_of_block, models::ScaleLayout layout,
                                          std::uint32_t* __restrict__ scratch) {
  extern __shared__ std::uint32_t maxima[];
  for (std::size_t channel = threadIdx.x; channel < shape.d1; channel += blockDim.x) maxima[channel] = 0;
  __syncthreads();
  const std::size_t first = blockIdx.x * positions_of_block;
  const std::size_t count = min(positions_of_block, shape.inner - first) * shape.d1;
  const float* const values = input + (blockIdx.y * shape.inner + first) * shape.d1;
  // A thread keeps its channel where the block's threads are a multiple of the channels.
  std::size_t channel = threadIdx.x % shape.d1;
  const std::size_t stride = blockDim.x % shape.d1;
  std::uint32_t largest = 0;
  for (std::size_t i = threadIdx.x; i < count; i += blockDim.x) {
    largest = max(largest, magnitude_bits(values[i]));
    if (stride != 0) {
      atomicMax(maxima + channel, largest);
      largest = 0;
      channel = (channel + stride) % shape.d1;
    }
  }
  if (stride == 0 && largest != 0) atomicMax(maxima + channel, largest);
  __syncthreads();
  largest = 0;
  for (std::size_t c = threadIdx.x; c < shape.d1; c += blockDim.x) {
    const std::uint32_t maximum = maxima[c];
    largest = max(largest, maximum);
    if (!is_one_group(layout) && maximum != 0) {
      atomicMax(scratch + 1 + group_of(blockIdx.y * shape.d1 + c, shape.d1, layout), maximum);
    }
  }
  for (unsigned other = kWarp / 2; other > 0; other /= 2) {
    largest = max(largest, __shfl_xor_sync(0xFFFFFFFFU, largest, other));
  }
  if (threadIdx.x % kWarp == 0 && largest != 0) atomicMax(scratch, largest);
}

// What the elements of a tensor have in common; constants as in models/quantizer/quantizer_kernels.cpp.
struct Constants {
  std::size_t size;
  PairedShape shape;
  models::ScaleLayout layout;
  int fraction_bits;      // Mg
  int smallest_exponent;  // hmax
  int mantissa_bits;      // Mx
  float unit;             // 2^U
  float inverse_unit;
  float first_normal;  // 2^Mx
  float largest;       // kmax
  int random_bits;     // R
  std::uint64_t seed;
  std::uint64_t stream;
};

// The group's S_g from its largest magnitude.
__device__ float group_scale(const Constants& c, std::uint32_t group_maximum, float tensor_scale) {
  const std::uint32_t ratio = __float_as_uint(__fdiv_rn(__uint_as_float(group_maximum), tensor_scale));
  const int mg = c.fraction_bits;
  const std::uint32_t rounded_up = (ratio + ((1U << (23 - mg)) - 1)) >> (23 - mg);
  const int exponent = 127 - static_cast<int>(rounded_up >> mg);
  if (exponent > c.smallest_exponent)
    return __uint_as_float(static_cast<std::uint32_t>(127 - c.smallest_exponent) << 23);
  return __uint_as_float(static_cast<std::uint32_t>(127 - exponent) << 23 | (rounded_up & ((1U << mg) - 1))
                                                                                << (23 - mg));
}

// 1 where a part 0 <= part < 1 is rounded up by the word's top R bits.
__device__ float stochastic_unit(float part, int random_bits, std::uint32_t word) {
  const std::uint32_t rho = word >> (32 - random_bits);
  const float threshold =
      __fmul_rn(static_cast<float>((std::int32_t{1} << random_bits) - static_cast<std::int32_t>(rho)),
                __uint_as_float(static_cast<std::uint32_t>(127 - random_bits) << 23));
  return part >= threshold ? 1.0F : 0.0F;
}

template <bool kStochastic>
__device__ float rounded_value(const Constants& c, float x, float tensor_scale, float scale, std::uint32_t word) {
  const float w = __fmul_rn(__fdiv_rn(__fdiv_rn(fabsf(x), tensor_scale), scale), c.unit);
  const std::uint32_t binade = __float_as_uint(fmaxf(w, c.first_normal)) & 0x7F800000U;
  float rounded = 0;
  if constexpr (kStochastic) {
    const float step = __uint_as_float(binade - (static_cast<std::uint32_t>(c.mantissa_bits) << 23));
    const float inverse_step = __uint_as_float((static_cast<std::uint32_t>(254 + c.mantissa_bits) << 23) - binade);
    const float n = __fmul_rn(w, inverse_step);
    const float floor = floorf(n);
    rounded = __fmul_rn(__fadd_rn(floor, stochastic_unit(__fsub_rn(n, floor), c.random_bits, word)), step);
  } else {
    const float magic = __uint_as_float(binade + (static_cast<std::uint32_t>(23 - c.mantissa_bits) << 23));
    rounded = __fsub_rn(__fadd_rn(w, magic), magic);
  }
  const float k = fminf(rounded, c.largest);
  if (k == 0) return 0;
  return copysignf(__fmul_rn(k, __fmul_rn(scale, c.inverse_unit)), x);
}

// S_t, or NaN for a tensor with an infinity or a NaN.
__device__ float tensor_scale_of(std::uint32_t maximum) {
  return __uint_as_float(maximum < kInfinityBits ? maximum : 0x7FC00000U);
}

__device__ std::uint64_t stream_of(std::uint64_t stream, const std::int64_t* step) {
  return stream + (step == nullptr ? 0 : static_cast<std::uint64_t>(*step) << 32);
}

__device__ float scale_of_pair(const Constants& c, std::size_t pair, const std::uint32_t* scratch, float tensor_scale) {
  const std::uint32_t group_maximum =
      is_one_group(c.layout) ? scratch[0] : scratch[1 + group_of(pair, c.shape.d1, c.layout)];
  return group_scale(c, group_maximum, tensor_scale);
}

// Scales and rounding in one: a thread for four elements, which are one block of random words.
template <bool kStochastic>
__global__ void round_elements(const float* __restrict__ input, Constants c, const std::int64_t* step,
                               const std::uint32_t* __restrict__ scratch, float* __restrict__ output,
                               float* __restrict__ tensor_scale_output) {
  const std::size_t block = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const std::uint32_t maximum = scratch[0];
  const float tensor_scale = tensor_scale_of(maximum);
  if (block == 0) *tensor_scale_output = tensor_scale;
  const std::size_t first = block * 4;
  if (first >= c.size) return;
  if (maximum == 0) {
    for (std::size_t i = first; i < min(first + 4, c.size); ++i) output[i] = 0;
    return;
  }
  uint4 words{};
  if constexpr (kStochastic) {
    words = philox(block, stream_of(c.stream, step), c.seed);
  }
  std::size_t pair = first / c.shape.inner;
  float scale = scale_of_pair(c, pair, scratch, tensor_scale);
  if (c.shape.inner % 4 == 0 && reinterpret_cast<std::uintptr_t>(input) % 16 == 0 &&
      reinterpret_cast<std::uintptr_t>(output) % 16 == 0) {
    const float4 quad = reinterpret_cast<const float4*>(input)[block];
    reinterpret_cast<float4*>(output)[block] = {rounded_value<kStochastic>(c, quad.x, tensor_scale, scale, words.x),
                                                rounded_value<kStochastic>(c, quad.y, tensor_scale, scale, words.y),
                                                rounded_value<kStochastic>(c, quad.z, tensor_scale, scale, words.z),
                                                rounded_value<kStochastic>(c, quad.w, tensor_scale, scale, words.w)};
    return;
  }
  std::size_t end = (pair + 1) * c.shape.inner;
#pragma unroll
  for (unsigned j = 0; j < 4; ++j) {
    const std::size_t i = first + j;
    if (i >= c.size) return;
    if (i == end) {
      scale = scale_of_pair(c, ++pair, scratch, tensor_scale);
      end += c.shape.inner;
    }
    output[i] = rounded_value<kStochastic>(c, input[i], tensor_scale, scale, word_of(words, j));
  }
}

// The same for a tensor in channels-last order: a thread for kPositions elements of one pair, four where they are one
// block of random words. Neighbouring threads have neighbouring channels, which lie side by side.
template <bool kStochastic, unsigned kPositions>
__global__ void round_elements_channels_last(const float* __restrict__ input, Constants c, const std::int64_t* step,
                                             const std::uint32_t* __restrict__ scratch, float* __restrict__ output,
                                             float* __restrict__ tensor_scale_output) {
  const std::size_t thread = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const std::uint32_t maximum = scratch[0];
  const float tensor_scale = tensor_scale_of(maximum);
  if (thread == 0) *tensor_scale_output = tensor_scale;
  if (thread * kPositions >= c.size) return;
  const std::size_t channel = thread % c.shape.d1;
  const std::size_t rest = thread / c.shape.d1;
  const std::size_t position = rest % (c.shape.inner / kPositions) * kPositions;
  const std::size_t n = rest / (c.shape.inner / kPositions);
  const std::size_t pair = n * c.shape.d1 + channel;
  const std::size_t element = pair * c.shape.inner + position;  // in C order
  const std::size_t first = (n * c.shape.inner + position) * c.shape.d1 + channel;
  const float scale = maximum == 0 ? 0 : scale_of_pair(c, pair, scratch, tensor_scale);
  uint4 words{};
  if constexpr (kStochastic) {
    if (maximum != 0) words = philox(element / 4, stream_of(c.stream, step), c.seed);
  }
#pragma unroll
  for (unsigned j = 0; j < kPositions; ++j) {
    const std::size_t i = first + j * c.shape.d1;
    const std::uint32_t word = word_of(words, kPositions == 4 ? j : static_cast<unsigned>(element % 4));
    output[i] = maximum == 0 ? 0 : rounded_value<kStochastic>(c, input[i], tensor_scale, scale, word);
  }
}

template <unsigned kPositions>
void round_channels_last(const float* input, const Constants& constants, const models::QuantizerOptions& options,
                         const std::int64_t* step, const std::uint32_t* scratch, float* output, float* tensor_scale,
                         cudaStream_t stream) {
  const std::size_t threads = std::max<std::size_t>(constants.size / kPositions, 1);
  const auto blocks = static_cast<unsigned>((threads + kThreads - 1) / kThreads);
  if (options.rounding == models::Rounding::kStochastic) {
    round_elements_channels_last<true, kPositions>
        <<<blocks, kThreads, 0, stream>>>(input, constants, step, scratch, output, tensor_scale);
  } else {
    round_elements_channels_last<false, kPositions>
        <<<blocks, kThreads, 0, stream>>>(input, constants, step, scratch, output, tensor_scale);
  }
  check_launch("round_elements_channels_last");
}

// scale_of in models/baseline/baseline.cpp, from the bits of the largest magnitude.
__device__ float baseline_scale(const models::BaselineGrid& grid, std::uint32_t maximum) {
  if (maximum >= kInfinityBits) return __uint_as_float(0x7FC00000U);
  if (maximum == 0 || grid.scaling == models::BaselineScaling::kNone) return 1;
  if (grid.scaling == models::BaselineScaling::kInteger) {
    return fmaxf(__fdiv_rn(__uint_as_float(maximum), 127.0F), __uint_as_float(1));
  }
  // Both are normal numbers, or else the result is the smallest scale.
  int exponent = static_cast<int>(maximum >> 23) - static_cast<int>(grid.largest >> 23);
  if ((maximum & 0x7FFFFFU) > (grid.largest & 0x7FFFFFU)) ++exponent;
  return __uint_as_float(static_cast<std::uint32_t>(127 + max(exponent, -126)) << 23);
}

// round_to_grid in models/baseline/baseline.cpp.
template <bool kStochastic>
__device__ float on_grid(const models::BaselineGrid& grid, float y, int random_bits, std::uint32_t word) {
  const std::uint32_t bits = magnitude_bits(y);
  if (bits < grid.smallest_normal) {
    const float n = __fmul_rn(fabsf(y), grid.inverse_step);
    float places = 0;
    if constexpr (kStochastic) {
      const float floor = floorf(n);
      places = __fadd_rn(floor, stochastic_unit(__fsub_rn(n, floor), random_bits, word));
    } else {
      places = rintf(n);
    }
    const float magnitude = fminf(__fmul_rn(places, grid.step), __uint_as_float(grid.largest));
    return grid.negative_zero || magnitude != 0 ? copysignf(magnitude, y) : 0.0F;
  }
  const int dropped = 23 - grid.mantissa_bits;
  const std::uint32_t kept = bits >> dropped;
  const std::uint32_t rest = bits & ((1U << dropped) - 1);
  bool up = false;
  if constexpr (kStochastic) {
    const std::uint64_t rho = word >> (32 - random_bits);
    up = std::uint64_t{rest} << random_bits >= ((std::uint64_t{1} << random_bits) - rho) << dropped;
  } else {
    const std::uint32_t half = 1U << (dropped - 1);
    up = rest > half || (rest == half && kept % 2 == 1);
  }
  return copysignf(__uint_as_float(min((kept + (up ? 1 : 0)) << dropped, grid.largest)), y);
}

// A thread for four elements, as in round_elements.
template <bool kStochastic>
__global__ void round_to_baseline(const float* __restrict__ input, std::size_t size, models::BaselineGrid grid,
                                  models::QuantizerOptions options, const std::int64_t* step,
                                  const std::uint32_t* __restrict__ scratch, float* __restrict__ output,
                                  float* __restrict__ scale_output) {
  const std::size_t block = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const float scale = baseline_scale(grid, scratch[0]);
  if (block == 0) *scale_output = scale;
  const std::size_t first = block * 4;
  if (first >= size) return;
  uint4 words{};
  if constexpr (kStochastic) {
    words = philox(block, stream_of(options.stream, step), options.seed);
  }
  const auto rounded = [&](float x, std::uint32_t word) {
    return on_grid<kStochastic>(grid, __fdiv_rn(x, scale), options.random_bits, word);
  };
  if (first + 4 <= size && reinterpret_cast<std::uintptr_t>(input) % 16 == 0 &&
      reinterpret_cast<std::uintptr_t>(output) % 16 == 0) {
    const float4 quad = reinterpret_cast<const float4*>(input)[block];
    reinterpret_cast<float4*>(output)[block] = {rounded(quad.x, words.x), rounded(quad.y, words.y),
                                                rounded(quad.z, words.z), rounded(quad.w, words.w)};
    return;
  }
#pragma unroll
  for (unsigned j = 0; j < 4; ++j) {
    if (first + j >= size) return;
    output[first + j] = rounded(input[first + j], word_of(words, j));
  }
}

// A block for each plane of an image.
__global__ void place_planes(ImageSource source, const Placement* __restrict__ placements, float* __restrict__ images,
                             std::int64_t* __restrict__ labels) {
  const auto side = static_cast<int>(source.side);
  const std::size_t plane_size = std::size_t{source.side} * source.side;
  const std::size_t position = blockIdx.x / source.channels;
  const unsigned channel = blockIdx.x % source.channels;
  const Placement placement = placements[position];
  const std::uint8_t* const plane =
      source.pixels + (static_cast<std::size_t>(placement.image) * source.channels + channel) * plane_size;
  const float scale = channel == 0 ? source.scale[0] : channel == 1 ? source.scale[1] : source.scale[2];
  const float offset = channel == 0 ? source.offset[0] : channel == 1 ? source.offset[1] : source.offset[2];
  for (int i = static_cast<int>(threadIdx.x); i < side * side; i += static_cast<int>(blockDim.x)) {
    const int y = i / side + placement.dy;
    const int x = (placement.mirrored ? side - 1 - i % side : i % side) + placement.dx;
    const bool inside = y >= 0 && y < side && x >= 0 && x < side;
    images[blockIdx.x * plane_size + static_cast<std::size_t>(i)] =
        inside ? __fsub_rn(__fmul_rn(static_cast<float>(plane[y * side + x]), scale), offset) : 0.0F;
  }
  if (channel == 0 && threadIdx.x == 0) labels[position] = source.labels[placement.image];
}

}  // namespace

std::size_t scratch_words(const PairedShape& shape, const models::ScaleLayout& layout) {
  return 1 + group_count(shape, layout);
}

namespace {

void launch_find_maxima(const float* input, const PairedShape& shape, models::ScaleLayout layout,
                        std::uint32_t* scratch, cudaStream_t stream) {
  clear(scratch, scratch_words(shape, layout), stream);
  constexpr std::size_t kPairsOfBlock = kThreads / kWarp;
  const std::size_t pairs = shape.d0 * shape.d1;
  const auto blocks = static_cast<unsigned>(std::max<std::size_t>((pairs + kPairsOfBlock - 1) / kPairsOfBlock, 1));
  find_maxima<<<blocks, kThreads, 0, stream>>>(input, shape, layout, scratch);
  check_launch("find_maxima");
}

unsigned blocks_of_quads(std::size_t size) {
  const std::size_t quads = (size + 3) / 4;
  return static_cast<unsigned>(std::max<std::size_t>((quads + kThreads - 1) / kThreads, 1));
}

}  // namespace

void quantize_scaled(const float* input, const PairedShape& shape, ElementOrder order, const models::ScaledFormat& format,
                     const models::QuantizerOptions& options, const std::int64_t* step, std::uint32_t* scratch,
                     float* output, float* tensor_scale, cudaStream_t stream) {
  const std::size_t pairs = shape.d0 * shape.d1;
  const models::ElementFormat& element = format.element;
  const auto power = [](int exponent) { return __builtin_ldexpf(1.0F, exponent); };
  const Constants constants{
      .size = pairs * shape.inner,
      .shape = shape,
      .layout = format.layout,
      .fraction_bits = format.scale.fraction_bits,
      .smallest_exponent = format.scale.max_exponent(),
      .mantissa_bits = element.mantissa_bits,
      .unit = power(element.unit_exponent()),
      .inverse_unit = power(-element.unit_exponent()),
      .first_normal = power(element.mantissa_bits),
      .largest = static_cast<float>(element.max_integer()),
      .random_bits = options.random_bits,
      .seed = options.seed,
      .stream = options.stream,
  };
  clear(scratch, scratch_words(shape, format.layout), stream);
  if (order == ElementOrder::kChannelsLast) {
    // Some 16,384 elements a block: many blocks for a batch of activations, few atomic updates of a maximum.
    const std::size_t positions_of_block = std::max<std::size_t>(16384 / std::max<std::size_t>(shape.d1, 1), 1);
    const dim3 grid(
        static_cast<unsigned>(std::max<std::size_t>((shape.inner + positions_of_block - 1) / positions_of_block, 1)),
        static_cast<unsigned>(shape.d0));
    if (constants.size > 0) {
      find_maxima_channels_last<<<grid, kThreads, shape.d1 * sizeof(std::uint32_t), stream>>>(
          input, shape, positions_of_block, format.layout, scratch);
      check_launch("find_maxima_channels_last");
    }
    if (shape.inner % 4 == 0) {
      round_channels_last<4>(input, constants, options, step, scratch, output, tensor_scale, stream);
    } else {
      round_channels_last<1>(input, constants, options, step, scratch, output, tensor_scale, stream);
    }
    return;
  }
  launch_find_maxima(input, shape, format.layout, scratch, stream);
  const unsigned blocks = blocks_of_quads(constants.size);
  if (options.rounding == models::Rounding::kStochastic) {
    round_elements<true><<<blocks, kThreads, 0, stream>>>(input, constants, step, scratch, output, tensor_scale);
  } else {
    round_elements<false><<<blocks, kThreads, 0, stream>>>(input, constants, step, scratch, output, tensor_scale);
  }
  check_launch("round_elements");
}

void quantize_baseline_scaled(const float* input, const PairedShape& shape, const models::BaselineGrid& grid,
                              const models::QuantizerOptions& options, const std::int64_t* step, std::uint32_t* scratch,
                              float* output, float* scale, cudaStream_t stream) {
  launch_find_maxima(input, shape, models::grouping::kNone, scratch, stream);
  const std::size_t size = shape.d0 * shape.d1 * shape.inner;
  const unsigned blocks = blocks_of_quads(size);
  if (options.rounding == models::Rounding::kStochastic) {
    round_to_baseline<true><<<blocks, kThreads, 0, stream>>>(input, size, grid, options, step, scratch, output, scale);
  } else {
    round_to_baseline<false><<<blocks, kThreads, 0, stream>>>(input, size, grid, options, step, scratch, output, scale);
  }
  check_launch("round_to_baseline");
}

void place_images(const ImageSource& source, const Placement* placements, std::size_t count, float* images,
                  std::int64_t* labels, cudaStream_t stream) {
  if (count == 0) return;
  place_planes<<<static_cast<unsigned>(count * source.channels), kThreads, 0, stream>>>(source, placements, images,
                                                                                        labels);
  check_launch("place_planes");
}

}  // namespace mlsim::trainer::cuda
