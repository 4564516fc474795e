#include <algorithm>
#include <stdexcept>
#include <string>

#include "trainer/cuda/kernels.h"

namespace mlsim::trainer::cuda {
namespace {

constexpr unsigned kThreads = 256;
constexpr unsigned kWarp = 32;
// Whose maxima fit the shared memory that every kernel may have.
constexpr std::size_t kMostSharedChannels = 8192;
void check(cudaError_t error, const std::string& what) {
  if (error != cudaSuccess) throw std::runtime_error("the GPU refuses " + what + ": " + cudaGetErrorString(error));
}

void check_launch(const char* kernel) {
  check(cudaGetLastError(), std::string("the kernel ") + kernel);
}

void clear(std::uint32_t* words, std::size_t count, cudaStream_t stream) {
  check(cudaMemsetAsync(words, 0, count * sizeof(std::uint32_t), stream), "to clear memory");
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

// The larger one of a warp's numbers, in every lane.
__device__ std::uint32_t largest_of_warp(std::uint32_t largest) {
  for (unsigned other = kWarp / 2; other > 0; other /= 2) {
    largest = max(largest, __shfl_xor_sync(0xFFFFFFFFU, largest, other));
  }
  return largest;
}

// A warp for each pair of indices of dimensions 0 and 1, whose plane lies in one tile: scratch[0] becomes the largest
// magnitude of the tensor, as bits, and scratch[1 + t] that of tile t, if there are several. All start at 0.
__global__ void find_maxima(const float* __restrict__ input, TensorShape shape, Tiles tiles,
                            std::uint32_t* __restrict__ scratch) {
  __shared__ std::uint32_t block_maximum;
  if (threadIdx.x == 0) block_maximum = 0;
  __syncthreads();
  const std::size_t pairs = shape.d0 * shape.d1;
  const std::size_t plane = shape.plane();
  const std::size_t pair = (static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x) / kWarp;
  const unsigned lane = threadIdx.x % kWarp;
  std::uint32_t largest = 0;
  if (pair < pairs) {
    const float* const first = input + pair * plane;
    if (plane % 4 == 0 && reinterpret_cast<std::uintptr_t>(input) % 16 == 0) {
      const auto* const quads = reinterpret_cast<const float4*>(first);
      for (std::size_t i = lane; i < plane / 4; i += kWarp) {
        const float4 quad = quads[i];
        largest = max(largest, max(max(magnitude_bits(quad.x), magnitude_bits(quad.y)),
                                   max(magnitude_bits(quad.z), magnitude_bits(quad.w))));
      }
    } else {
      for (std::size_t i = lane; i < plane; i += kWarp) largest = max(largest, magnitude_bits(first[i]));
    }
    largest = largest_of_warp(largest);
    if (lane == 0) {
      if (tiles.kept_apart()) atomicMax(scratch + 1 + tiles.of_pair(pair / shape.d1, pair % shape.d1), largest);
      atomicMax(&block_maximum, largest);
    }
  }
  __syncthreads();
  if (threadIdx.x == 0) atomicMax(scratch, block_maximum);
}

// Where a tile lies in memory: its first element, the elements along each dimension, and their distances.
struct TilePlace {
  std::size_t first;
  unsigned extent[4];
  std::size_t stride[4];
};

__device__ TilePlace place_of(const TensorShape& shape, const Tiles& tiles, bool channels_last, std::size_t tile) {
  const std::size_t tile0 = divided(tile, tiles.stride0);
  const std::size_t rest = tile - tile0 * tiles.stride0;
  const std::size_t outer = divided(rest, channels_last ? tiles.grid1 : tiles.positions);
  const std::size_t inner = rest - outer * (channels_last ? tiles.grid1 : tiles.positions);
  const std::size_t position = channels_last ? outer : inner;
  const std::size_t i0 = tile0 * tiles.block0;
  const std::size_t i1 = (channels_last ? inner : outer) * tiles.block1;
  const bool apart = tiles.rows_apart && tiles.columns_apart;
  const std::size_t row = apart ? divided(position, shape.d3) : tiles.rows_apart ? position : 0;
  const std::size_t column = apart ? position - row * shape.d3 : tiles.columns_apart ? position : 0;
  const std::size_t pixel = channels_last ? shape.d1 : 1;
  TilePlace place{
      0,
      {static_cast<unsigned>(min(tiles.block0, shape.d0 - i0)), static_cast<unsigned>(min(tiles.block1, shape.d1 - i1)),
       static_cast<unsigned>(tiles.rows_apart ? 1 : shape.d2),
       static_cast<unsigned>(tiles.columns_apart ? 1 : shape.d3)},
      {shape.d1 * shape.plane(), channels_last ? 1 : shape.plane(), shape.d3 * pixel, pixel}};
  place.first = i0 * place.stride[0] + i1 * place.stride[1] + row * place.stride[2] + column * place.stride[3];
  return place;
}

// The same for any tiles: a thread for up to kTilePart elements of one. Neighbouring threads have neighbouring tiles.
constexpr std::size_t kTilePart = 128;
__global__ void find_tile_maxima(const float* __restrict__ input, TensorShape shape, Tiles tiles, bool channels_last,
                                 std::size_t parts, std::uint32_t* __restrict__ scratch) {
  __shared__ std::uint32_t block_maximum;
  if (threadIdx.x == 0) block_maximum = 0;
  __syncthreads();
  const std::size_t thread = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const std::size_t part = divided(thread, tiles.count());
  std::uint32_t largest = 0;
  if (part < parts) {
    const std::size_t tile = thread - part * tiles.count();
    const TilePlace place = place_of(shape, tiles, channels_last, tile);
    // The last dimensions run fastest.
    std::size_t i = part * kTilePart;
    unsigned at[4];
#pragma unroll
    for (int d = 3; d > 0; --d) {
      at[d] = static_cast<unsigned>(i % place.extent[d]);
      i /= place.extent[d];
    }
    at[0] = static_cast<unsigned>(i);
    for (std::size_t count = 0; count < kTilePart && at[0] < place.extent[0]; ++count) {
      const float x = input[place.first + at[0] * place.stride[0] + at[1] * place.stride[1] + at[2] * place.stride[2] +
                            at[3] * place.stride[3]];
      largest = max(largest, magnitude_bits(x));
      ++at[3];
#pragma unroll
      for (int d = 3; d > 0; --d) {
        if (at[d] < place.extent[d]) break;
        at[d] = 0;
        ++at[d - 1];
      }
    }
    if (parts == 1) {
      scratch[1 + tile] = largest;
    } else if (largest != 0) {
      atomicMax(scratch + 1 + tile, largest);
    }
  }
  largest = largest_of_warp(largest);
  if (threadIdx.x % kWarp == 0) atomicMax(&block_maximum, largest);
  __syncthreads();
  if (threadIdx.x == 0) atomicMax(scratch, block_maximum);
}

// What find_maxima does for a tensor in channels-last order: a block for some positions of one index of dimension 0.
// `maxima`, as many words as dimension 1 is long, is shared memory.
__global__ void find_maxima_channels_last(const float* __restrict__ input, TensorShape shape,
                                          std::size_t positions_of_block, Tiles tiles,
                                          std::uint32_t* __restrict__ scratch) {
  extern __shared__ std::uint32_t maxima[];
  for (std::size_t channel = threadIdx.x; channel < shape.d1; channel += blockDim.x) maxima[channel] = 0;
  __syncthreads();
  const std::size_t first = blockIdx.x * positions_of_block;
  const std::size_t count = min(positions_of_block, shape.plane() - first) * shape.d1;
  const float* const values = input + (blockIdx.y * shape.plane() + first) * shape.d1;
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
    if (tiles.kept_apart() && maximum != 0) atomicMax(scratch + 1 + tiles.of_pair(blockIdx.y, c), maximum);
  }
  largest = largest_of_warp(largest);
  if (threadIdx.x % kWarp == 0 && largest != 0) atomicMax(scratch, largest);
}

__device__ std::uint64_t stream_of(std::uint64_t stream, const std::int64_t* step) {
  return stream + (step == nullptr ? 0 : static_cast<std::uint64_t>(*step) << 32);
}

// A tensor and how it is quantized.
struct Task {
  QuantizerConstants constants;
  TensorShape shape;
  Tiles tiles;
};

// `maximum` is that of the tensor, which is known already where it is one tile.
template <models::ScaleKind kKind>
__device__ TileFactors factors_of(const Task& task, std::size_t tile, std::uint32_t maximum,
                                  const std::uint32_t* scratch, const TensorScale& tensor) {
  if (task.tiles.kept_apart()) maximum = scratch[1 + tile];
  return tile_factors<kKind>(task.constants, maximum, tensor);
}

__device__ std::size_t tile_of_pair(const Task& task, std::size_t pair) {
  if (task.tiles.count() == 1) return 0;
  const std::size_t i0 = divided(pair, task.shape.d1);
  return task.tiles.of_pair(i0, pair - i0 * task.shape.d1);
}

// The elements that a thread rounds: those of the tensor that one block of random words belongs to, four but for the
// first and the last block of a tensor.
struct BlockOfElements {
  unsigned begin;     // the first of the block's words that has an element
  std::size_t first;  // its element
  std::uint64_t words;
};

__device__ BlockOfElements elements_of(std::size_t block, std::uint64_t first_element) {
  const unsigned skipped = static_cast<unsigned>(first_element % 4);
  const unsigned begin = block == 0 ? skipped : 0;
  return {begin, block * 4 + begin - skipped, first_element / 4 + block};
}

// Scales and rounding in one: a thread for the elements of one block of random words. kApart: positions of a
// plane lie in different tiles.
template <models::ScaleKind kKind, bool kStochastic, bool kApart>
__global__ void round_elements(const float* __restrict__ input, Task task, const std::int64_t* step,
                               const std::uint32_t* __restrict__ scratch, float* __restrict__ output,
                               float* __restrict__ tensor_scale_output) {
  const QuantizerConstants& c = task.constants;
  const std::size_t block = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const std::uint32_t maximum = scratch[0];
  const TensorScale tensor = tensor_scale_of<kKind>(c, maximum);
  if (block == 0) *tensor_scale_output = tensor.scale;
  const std::size_t size = task.shape.size();
  const auto [begin, first, block_of_words] = elements_of(block, c.first_element);
  if (first >= size) return;
  if (maximum == 0) {
    for (std::size_t i = first; i < min(first + 4 - begin, size); ++i) output[i] = 0;
    return;
  }
  uint4 words{};
  if constexpr (kStochastic) words = philox(block_of_words, stream_of(c.stream, step), c.seed);
  const std::size_t plane = task.shape.plane();
  std::size_t pair = divided(first, plane);
  std::size_t position = first - pair * plane;
  std::size_t tile = tile_of_pair(task, pair);
  const auto factors_at = [&] {
    return factors_of<kKind>(task, tile + (kApart ? task.tiles.of_position(position) : 0), maximum, scratch, tensor);
  };
  TileFactors factors = factors_at();
  const auto rounded = [&](float x, unsigned j) {
    return rounded_value<kKind, kStochastic>(c, x, tensor, factors, word_of(words, j));
  };
  if (plane % 4 == 0 && c.first_element % 4 == 0 && reinterpret_cast<std::uintptr_t>(input) % 16 == 0 &&
      reinterpret_cast<std::uintptr_t>(output) % 16 == 0) {
    const float4 quad = reinterpret_cast<const float4*>(input)[block];
    const auto next = [&](float x, unsigned j) {
      if constexpr (kApart) {
        ++position;
        factors = factors_at();
      }
      return rounded(x, j);
    };
    float4 result{};
    result.x = rounded(quad.x, 0);
    result.y = next(quad.y, 1);
    result.z = next(quad.z, 2);
    result.w = next(quad.w, 3);
    reinterpret_cast<float4*>(output)[block] = result;
    return;
  }
#pragma unroll
  for (unsigned j = 0; j < 4; ++j) {
    if (j < begin) continue;
    const std::size_t i = first + (j - begin);
    if (i >= size) return;
    if (position == plane) {
      position = 0;
      ++pair;
      tile = tile_of_pair(task, pair);
      factors = factors_at();
    } else if (kApart && j > begin) {
      factors = factors_at();
    }
    output[i] = rounded(input[i], j);
    ++position;
  }
}

// The same for a tensor in channels-last order: a thread for kPositions elements of one pair, four where they are one
// block of random words. Neighbouring threads have neighbouring channels, which lie side by side.
template <models::ScaleKind kKind, bool kStochastic, bool kApart, unsigned kPositions>
__global__ void round_elements_channels_last(const float* __restrict__ input, Task task, const std::int64_t* step,
                                             const std::uint32_t* __restrict__ scratch, float* __restrict__ output,
                                             float* __restrict__ tensor_scale_output) {
  const QuantizerConstants& c = task.constants;
  const std::size_t channels = task.shape.d1;
  const std::size_t plane = task.shape.plane();
  const std::size_t thread = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const std::uint32_t maximum = scratch[0];
  const TensorScale tensor = tensor_scale_of<kKind>(c, maximum);
  if (thread == 0) *tensor_scale_output = tensor.scale;
  if (thread * kPositions >= task.shape.size()) return;
  const std::size_t rest = divided(thread, channels);
  const std::size_t channel = thread - rest * channels;
  const std::size_t n = divided(rest, plane / kPositions);
  const std::size_t position = (rest - n * (plane / kPositions)) * kPositions;
  const std::uint64_t element = c.first_element + (n * channels + channel) * plane + position;  // in C order
  const std::size_t first = (n * plane + position) * channels + channel;
  uint4 words{};
  TileFactors factors{};
  const std::size_t tile = task.tiles.of_pair(n, channel);
  if (maximum != 0) {
    if constexpr (kStochastic) words = philox(element / 4, stream_of(c.stream, step), c.seed);
    if constexpr (!kApart) factors = factors_of<kKind>(task, tile, maximum, scratch, tensor);
  }
#pragma unroll
  for (unsigned j = 0; j < kPositions; ++j) {
    const std::size_t i = first + j * channels;
    if (maximum == 0) {
      output[i] = 0;
      continue;
    }
    if constexpr (kApart) {
      factors = factors_of<kKind>(task, tile + task.tiles.of_position(position + j), maximum, scratch, tensor);
    }
    const std::uint32_t word = word_of(words, kPositions == 4 ? j : static_cast<unsigned>(element % 4));
    output[i] = rounded_value<kKind, kStochastic>(c, input[i], tensor, factors, word);
  }
}

unsigned blocks_of(std::size_t threads) {
  return static_cast<unsigned>(std::max<std::size_t>((threads + kThreads - 1) / kThreads, 1));
}

template <models::ScaleKind kKind, bool kStochastic, bool kApart>
void launch_rounding(const Task& task, ElementOrder order, const Memory& at) {
  const std::size_t size = task.shape.size();
  if (order == ElementOrder::kContiguous) {
    const std::size_t blocks = (size + task.constants.first_element % 4 + 3) / 4;
    round_elements<kKind, kStochastic, kApart><<<blocks_of(blocks), kThreads, 0, at.stream>>>(
        at.input, task, at.step, at.scratch, at.output, at.tensor_scale);
  } else if (task.shape.plane() % 4 == 0 && task.constants.first_element % 4 == 0) {
    round_elements_channels_last<kKind, kStochastic, kApart, 4><<<blocks_of(size / 4), kThreads, 0, at.stream>>>(
        at.input, task, at.step, at.scratch, at.output, at.tensor_scale);
  } else {
    round_elements_channels_last<kKind, kStochastic, kApart, 1>
        <<<blocks_of(size), kThreads, 0, at.stream>>>(at.input, task, at.step, at.scratch, at.output, at.tensor_scale);
  }
  check_launch("round_elements");
}

template <models::ScaleKind kKind>
void launch_rounding(const Task& task, ElementOrder order, models::Rounding rounding, const Memory& at) {
  const bool stochastic = rounding == models::Rounding::kStochastic;
  if (task.tiles.planes_apart()) {
    stochastic ? launch_rounding<kKind, true, true>(task, order, at)
               : launch_rounding<kKind, false, true>(task, order, at);
  } else {
    stochastic ? launch_rounding<kKind, true, false>(task, order, at)
               : launch_rounding<kKind, false, false>(task, order, at);
  }
}

// scale_of in models/baseline/baseline.cpp, from the bits of the largest magnitude.
__device__ float baseline_scale(const models::BaselineGrid& grid, std::uint32_t maximum) {
  if (maximum >= kInfinityBits) return float_of(kNanBits);
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

// What random words come from.
struct RandomSource {
  int random_bits;
  std::uint64_t seed;
  std::uint64_t stream;
  std::uint64_t first_element;
};

// A thread for the elements of a block of random words, as in round_elements. Eight parameters, since only a pointer
// that is one of its own can be __restrict__.
template <bool kStochastic>
__global__ void round_to_baseline(const float* __restrict__ input, std::size_t size, models::BaselineGrid grid,
                                  RandomSource random, const std::int64_t* step,
                                  const std::uint32_t* __restrict__ scratch, float* __restrict__ output,
                                  float* __restrict__ scale_output) {
  const std::size_t block = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const float scale = baseline_scale(grid, scratch[0]);
  if (block == 0) *scale_output = scale;
  const auto [begin, first, block_of_words] = elements_of(block, random.first_element);
  if (first >= size) return;
  uint4 words{};
  if constexpr (kStochastic) {
    words = philox(block_of_words, stream_of(random.stream, step), random.seed);
  }
  const auto rounded = [&](float x, std::uint32_t word) {
    return on_grid<kStochastic>(grid, __fdiv_rn(x, scale), random.random_bits, word);
  };
  if (random.first_element % 4 == 0 && first + 4 <= size && reinterpret_cast<std::uintptr_t>(input) % 16 == 0 &&
      reinterpret_cast<std::uintptr_t>(output) % 16 == 0) {
    const float4 quad = reinterpret_cast<const float4*>(input)[block];
    reinterpret_cast<float4*>(output)[block] = {rounded(quad.x, words.x), rounded(quad.y, words.y),
                                                rounded(quad.z, words.z), rounded(quad.w, words.w)};
    return;
  }
#pragma unroll
  for (unsigned j = 0; j < 4; ++j) {
    if (j < begin) continue;
    const std::size_t i = first + (j - begin);
    if (i >= size) return;
    output[i] = rounded(input[i], word_of(words, j));
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

std::size_t scratch_words(const TensorShape& shape, const models::ScaleLayout& layout) {
  return 1 + tiles_of(layout, shape, ElementOrder::kContiguous).count();
}

namespace {

void launch_find_maxima(const TensorShape& shape, const Tiles& tiles, ElementOrder order, const Memory& at) {
  clear(at.scratch, 1 + tiles.count(), at.stream);
  const bool channels_last = order == ElementOrder::kChannelsLast;
  if (shape.size() == 0) return;
  if (tiles.planes_apart() || shape.plane() == 1 || (channels_last && shape.d1 > kMostSharedChannels)) {
    const std::size_t elements = tiles.block0 * tiles.block1 * (shape.plane() / tiles.positions);
    const std::size_t parts = (elements + kTilePart - 1) / kTilePart;
    find_tile_maxima<<<blocks_of(parts * tiles.count()), kThreads, 0, at.stream>>>(at.input, shape, tiles,
                                                                                   channels_last, parts, at.scratch);
    check_launch("find_tile_maxima");
    return;
  }
  if (!channels_last) {
    find_maxima<<<blocks_of(shape.d0 * shape.d1 * kWarp), kThreads, 0, at.stream>>>(at.input, shape, tiles, at.scratch);
    check_launch("find_maxima");
    return;
  }
  // Some 16,384 elements a block: many blocks for a batch of activations, few atomic updates of a maximum.
  const std::size_t positions_of_block = std::max<std::size_t>(16384 / shape.d1, 1);
  const dim3 grid(static_cast<unsigned>((shape.plane() + positions_of_block - 1) / positions_of_block),
                  static_cast<unsigned>(shape.d0));
  find_maxima_channels_last<<<grid, kThreads, shape.d1 * sizeof(std::uint32_t), at.stream>>>(
      at.input, shape, positions_of_block, tiles, at.scratch);
  check_launch("find_maxima_channels_last");
}

// Raises the maxima in the GPU's memory, if the tensor is a part.
void raise(const models::QuantizerOptions& options, const Memory& at, std::size_t words) {
  if (options.part != nullptr && options.part->raise) options.part->raise({at.scratch, words});
}

}  // namespace

void quantize_scaled(const Memory& memory, const TensorShape& shape, ElementOrder order,
                     const models::ScaledFormat& format, const models::QuantizerOptions& options) {
  Task task{constants_of(format, options), shape, tiles_of(format.layout, shape, order)};
  task.tiles.cut = options.part != nullptr && format.layout.tile[0] >= static_cast<std::int64_t>(shape.d0);
  launch_find_maxima(shape, task.tiles, order, memory);
  raise(options, memory, 1 + task.tiles.count());
  switch (format.scale.kind) {
    case models::ScaleKind::kMls:
      return launch_rounding<models::ScaleKind::kMls>(task, order, options.rounding, memory);
    case models::ScaleKind::kE8m0:
      return launch_rounding<models::ScaleKind::kE8m0>(task, order, options.rounding, memory);
    case models::ScaleKind::kE4m3:
      return launch_rounding<models::ScaleKind::kE4m3>(task, order, options.rounding, memory);
  }
}

void quantize_baseline_scaled(const Memory& memory, const TensorShape& shape, const models::BaselineGrid& grid,
                              const models::QuantizerOptions& options) {
  launch_find_maxima(shape, tiles_of(models::grouping::kNone, shape, ElementOrder::kContiguous),
                     ElementOrder::kContiguous, memory);
  raise(options, memory, 2);
  const auto& [input, step, scratch, output, scale, stream] = memory;
  const std::size_t size = shape.size();
  const RandomSource random{options.random_bits, options.seed, options.stream, models::first_element(options)};
  const unsigned blocks = blocks_of((size + random.first_element % 4 + 3) / 4);
  if (options.rounding == models::Rounding::kStochastic) {
    round_to_baseline<true><<<blocks, kThreads, 0, stream>>>(input, size, grid, random, step, scratch, output, scale);
  } else {
    round_to_baseline<false><<<blocks, kThreads, 0, stream>>>(input, size, grid, random, step, scratch, output, scale);
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
