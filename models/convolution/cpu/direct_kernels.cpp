#include "models/convolution/cpu/direct_kernels.h"

#include <cstddef>
#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/convolution/cpu/direct_kernels.cpp"
#include "hwy/foreach_target.h"
// After foreach_target.h.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace mlsim::models::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

template <typename T>
using Tag = hn::ScalableTag<T>;
template <typename T>
using Vector = hn::Vec<Tag<T>>;

// Sums in registers at once: 24 of 32 vector registers, or 8 of 16.
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL || HWY_TARGET == HWY_NEON
constexpr int kChannelsAtOnce = kDirectChannels;
constexpr int kVectorsAtOnce = kDirectVectors;
#else
constexpr int kChannelsAtOnce = 4;
constexpr int kVectorsAtOnce = 2;
#endif

// body(size, first): cuts `count` into pieces of kSize, and what is left into smaller ones.
template <int kSize, typename Body>
void for_each_piece(std::int64_t first, std::int64_t count, const Body& body) {
  for (; first + kSize <= count; first += kSize) body(std::integral_constant<int, kSize>(), first);
  if constexpr (kSize > 1) {
    if (first < count) for_each_piece<(kSize + 1) / 2>(first, count, body);
  }
}

// body(channels, first channel, vectors, first vector) for each block of sums.
template <typename Body>
void for_each_block(int channels, std::int64_t vectors, const Body& body) {
  for_each_piece<kChannelsAtOnce>(0, channels, [&](auto block_channels, std::int64_t channel) {
    for_each_piece<kVectorsAtOnce>(0, vectors, [&](auto block_vectors, std::int64_t vector) {
      body(block_channels, channel, block_vectors, vector);
    });
  });
}

// Of each channel and vector, with the factors of a channel: one for all lanes, or a vector.
template <bool kExpanded, typename T, int kChannels, int kVectors>
HWY_INLINE void add_products(const T* HWY_RESTRICT factors, std::int64_t pitch, const T* HWY_RESTRICT values,
                             Vector<T> (&sums)[kChannels][kVectors]) {
  const Tag<T> d;
  const std::size_t lanes = hn::Lanes(d);
  Vector<T> value[kVectors];
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v) value[v] = hn::LoadU(d, values + static_cast<std::size_t>(v) * lanes);
#pragma GCC unroll 8
  for (int c = 0; c < kChannels; ++c) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      const T* at = factors + c * pitch;
      const auto factor = kExpanded ? hn::LoadU(d, at + static_cast<std::size_t>(v) * lanes) : hn::Set(d, *at);
      sums[c][v] = hn::Add(sums[c][v], hn::Mul(factor, value[v]));
    }
  }
}

template <int kChannels, int kVectors, typename T>
void correlate_block(const DirectTile<T>& tile, std::int64_t channel, std::int64_t vector, T* HWY_RESTRICT y) {
  const Tag<T> d;
  const std::size_t lanes = hn::Lanes(d);
  const std::size_t pitch = static_cast<std::size_t>(tile.vectors) * lanes;
  const std::int64_t* HWY_RESTRICT offsets = tile.offsets;
  const T* source = tile.source + static_cast<std::size_t>(vector) * lanes;
  const T* weights = tile.weights + channel;
  Vector<T> sums[kChannels][kVectors];
#pragma GCC unroll 8
  for (int c = 0; c < kChannels; ++c) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) sums[c][v] = hn::Zero(d);
  }
  for (std::int64_t outer = 0; outer < tile.outer; ++outer, source += tile.plane) {
    for (std::int64_t tap = 0; tap < tile.taps; ++tap, weights += tile.channels) {
      add_products<false, T, kChannels, kVectors>(weights, 1, source + offsets[tap], sums);
    }
  }
  y += static_cast<std::size_t>(channel) * pitch + static_cast<std::size_t>(vector) * lanes;
#pragma GCC unroll 8
  for (int c = 0; c < kChannels; ++c) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      hn::StoreU(sums[c][v], d, y + static_cast<std::size_t>(c) * pitch + static_cast<std::size_t>(v) * lanes);
    }
  }
}

template <typename T>
void correlate_existing(const DirectTile<T>& tile, T* y) {
  const Tag<T> d;
  const std::size_t lanes = hn::Lanes(d);
  for (int channel = 0; channel < tile.channels; ++channel) {
    for (std::int64_t vector = 0; vector < tile.vectors; ++vector, y += lanes) {
      const std::size_t position = static_cast<std::size_t>(vector) * lanes;
      const T* source = tile.source + position;
      const T* weights = tile.weights + channel;
      auto sum = hn::Zero(d);
      for (std::int64_t outer = 0; outer < tile.outer; ++outer, source += tile.plane) {
        for (std::int64_t tap = 0; tap < tile.taps; ++tap, weights += tile.channels) {
          const auto product = hn::Mul(hn::Set(d, *weights), hn::LoadU(d, source + tile.offsets[tap]));
          sum = hn::Add(sum, hn::And(product, hn::LoadU(d, tile.exists + tile.offsets[tap] + position)));
        }
      }
      hn::StoreU(sum, d, y);
    }
  }
}

template <typename T>
void correlate(const DirectTile<T>& tile, T* y) {
  if (tile.exists != nullptr) {
    correlate_existing(tile, y);
    return;
  }
  for_each_block(tile.channels, tile.vectors,
                 [&](auto channels, std::int64_t channel, auto vectors, std::int64_t vector) {
                   correlate_block<decltype(channels)::value, decltype(vectors)::value>(tile, channel, vector, y);
                 });
}

void correlate_floats(const DirectTile<float>& tile, float* y) {
  correlate(tile, y);
}

void correlate_doubles(const DirectTile<double>& tile, double* y) {
  correlate(tile, y);
}

template <bool kExpanded, int kChannels, int kVectors, typename T>
void add_weight_block(const DirectWeightTile<T>& tile, std::int64_t channel, std::int64_t vector, T* HWY_RESTRICT y) {
  const Tag<T> d;
  const std::size_t lanes = hn::Lanes(d);
  const std::size_t pitch = static_cast<std::size_t>(tile.vectors) * lanes;
  const auto factor_pitch = static_cast<std::int64_t>(kExpanded ? pitch : 1);
  const std::size_t lane = static_cast<std::size_t>(vector) * lanes;
  const T* error = tile.error.first + lane;
  const T* activation = tile.activation.first + channel * factor_pitch + (kExpanded ? lane : 0);
  y += static_cast<std::size_t>(channel) * pitch + lane;
  Vector<T> sums[kChannels][kVectors];
#pragma GCC unroll 8
  for (int c = 0; c < kChannels; ++c) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      sums[c][v] = hn::LoadU(d, y + static_cast<std::size_t>(c) * pitch + static_cast<std::size_t>(v) * lanes);
    }
  }
  for (std::int64_t image = 0; image < tile.images; ++image) {
    for (std::int64_t row = 0; row < tile.rows; ++row) {
      const T* e = error + image * tile.error.image + row * tile.error.row;
      const T* a = activation + image * tile.activation.image + row * tile.activation.row;
      for (std::int64_t column = 0; column < tile.columns; ++column) {
        add_products<kExpanded, T, kChannels, kVectors>(a, factor_pitch, e, sums);
        e += tile.error.column;
        a += tile.activation.column;
      }
    }
  }
#pragma GCC unroll 8
  for (int c = 0; c < kChannels; ++c) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      hn::StoreU(sums[c][v], d, y + static_cast<std::size_t>(c) * pitch + static_cast<std::size_t>(v) * lanes);
    }
  }
}

template <typename T>
void add_weights(const DirectWeightTile<T>& tile, T* sums) {
  for_each_block(tile.channels, tile.vectors,
                 [&](auto channels, std::int64_t channel, auto vectors, std::int64_t vector) {
                   constexpr int kChannels = decltype(channels)::value;
                   constexpr int kVectors = decltype(vectors)::value;
                   if (tile.expanded) {
                     add_weight_block<true, kChannels, kVectors>(tile, channel, vector, sums);
                   } else {
                     add_weight_block<false, kChannels, kVectors>(tile, channel, vector, sums);
                   }
                 });
}

void add_weight_floats(const DirectWeightTile<float>& tile, float* sums) {
  add_weights(tile, sums);
}

void add_weight_doubles(const DirectWeightTile<double>& tile, double* sums) {
  add_weights(tile, sums);
}

}  // namespace
}  // namespace mlsim::models::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mlsim::models {

HWY_EXPORT(correlate_floats);
HWY_EXPORT(correlate_doubles);
HWY_EXPORT(add_weight_floats);
HWY_EXPORT(add_weight_doubles);

void correlate_direct(const DirectTile<float>& tile, float* sums) {
  HWY_DYNAMIC_DISPATCH(correlate_floats)(tile, sums);
}

void correlate_direct(const DirectTile<double>& tile, double* sums) {
  HWY_DYNAMIC_DISPATCH(correlate_doubles)(tile, sums);
}

void add_weights_direct(const DirectWeightTile<float>& tile, float* sums) {
  HWY_DYNAMIC_DISPATCH(add_weight_floats)(tile, sums);
}

void add_weights_direct(const DirectWeightTile<double>& tile, double* sums) {
  HWY_DYNAMIC_DISPATCH(add_weight_doubles)(tile, sums);
}

}  // namespace mlsim::models
#endif
