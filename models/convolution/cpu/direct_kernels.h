// The vector loops of the direct convolution, chosen at run time for the processor's widest instruction set. Each
// product is rounded before it is added; sums take their products in ascending order of the outer index and the taps.
// Tested in tests/models/direct_convolution_test.cpp.
#pragma once

#include <cstdint>

namespace mlsim::models {

// Channels and vectors that are worth a block of sums; how many of those stay in registers at once is the kernels'
// business.
inline constexpr int kDirectChannels = 8;
inline constexpr int kDirectVectors = 3;

// A run of neighbouring results of one image, for several result channels. The result at position p takes the products
// of source[outer · plane + offsets[tap] + p] and weights[(outer · taps + tap) · channels + channel].
template <typename T>
struct DirectTile {
  const T* source = nullptr;
  std::int64_t plane = 0;
  std::int64_t outer = 1;
  const std::int64_t* offsets = nullptr;
  std::int64_t taps = 1;
  const T* weights = nullptr;
  int channels = 1;
  std::int64_t vectors = 1;
  // A plane with all bits set where there is an element and none where there is padding, which no sum then takes.
  // Without it padding is a zero that sums take: the same unless a weight is infinite or NaN, since no sum is -0.
  const T* exists = nullptr;
};

// Writes sums[channel][vectors · lanes].
void correlate_direct(const DirectTile<float>& tile, float* sums);
void correlate_direct(const DirectTile<double>& tile, double* sums);

// The weights of one kernel position, for several input channels and lanes of output channels. Sums take the products
// over images, rows and columns of the error, which are those that the kernel position meets no padding at.
template <typename T>
struct DirectWeightTile {
  struct Operand {
    const T* first = nullptr;
    // Elements between neighbours.
    std::int64_t image = 0;
    std::int64_t row = 0;
    std::int64_t column = 0;
  };
  Operand error;       // [...][vectors · lanes]
  Operand activation;  // [...][channels], or [...][channels][vectors · lanes] if expanded
  std::int64_t images = 1;
  std::int64_t rows = 1;
  std::int64_t columns = 1;
  int channels = 1;
  int vectors = 1;
  bool expanded = false;  // the activation has values of its own for every lane
};

// Adds to sums[channel][vectors · lanes].
void add_weights_direct(const DirectWeightTile<float>& tile, float* sums);
void add_weights_direct(const DirectWeightTile<double>& tile, double* sums);

}  // namespace mlsim::models
