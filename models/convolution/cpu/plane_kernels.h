// The vector loops of depthwise layers: planes of results from planes of bytes, by dot products.
// Tested in tests/models/functional_convolution_test.cpp.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "models/convolution/cpu/dot_kernels.h"

namespace mlsim::models {

// Results, and bytes, that a vector has.
inline constexpr std::int64_t kPlaneLanes = 16;
inline constexpr std::int64_t kPlaneBytes = 64;

// How planes of codes lie as bytes: rows without gaps, the first element of each plane at `place`, planes `step` bytes
// apart. All other bytes are those of code 0.
struct BytePlanes {
  std::int64_t elements = 0;
  std::int64_t place = 0;
  std::int64_t step = 0;

  // From `zero` on these bytes are read, of elements and zeros; both count from the first element.
  static BytePlanes reading(std::int64_t elements, std::int64_t first, std::int64_t end);
  // Makes memory for some planes ready, once for all that are written to it.
  void clear(std::uint8_t* bytes, std::int64_t count, std::uint8_t zero) const;
};

// Writes the elements of `count` planes.
void fill_byte_planes(const BytePlanes& planes, const ByteDecoder& decoder, const std::uint16_t* codes,
                      std::int64_t count, std::uint8_t* bytes);

// Which bytes of a window make a vector: byte i is the one at picks[i] where bit i of the mask is set, else a zero.
struct WindowPicks {
  std::int64_t window = 0;  // where the first one begins, from a plane's first element on
  std::uint64_t mask = 0;
  alignas(64) std::array<std::uint8_t, 64> picks{};
};

// Rows of a kernel meet the vectors in a column of them: row i of the kernel meets vector v in the window that lies
// (step · v + i) · pitch bytes behind the column's first one.
inline constexpr std::int64_t kMostPlaneRows = 4;
struct WindowRows {
  std::int64_t kernel_rows = 1;  // 1 to kMostPlaneRows
  std::int64_t step = 1;
  std::int64_t pitch = 0;
  std::int64_t vectors = 1;
};

// A column of vectors of results: of each lane, the taps of a row of the kernel; bits of the results that are written,
// and of the column's last vector.
struct ResultColumn {
  WindowPicks taps;
  std::int64_t first = 0;  // result
  std::uint32_t written = 0;
  std::uint32_t written_last = 0;
};

// Results that share their rows of taps.
struct ResultRows {
  WindowRows windows;
  std::span<const ResultColumn> columns;
  // 2: neighbouring results are of two phases in turn, which take the same bytes and differ in weights.
  std::int64_t phases = 1;
  std::int64_t results_step = 0;  // between vectors of a column
};

// Planes of neighbouring channels of an image.
struct PlaneRun {
  const std::uint8_t* bytes = nullptr;  // k + kDotOffset, the first element of the first plane
  std::int64_t bytes_step = 0;          // from one plane to the next
  std::int64_t count = 1;
  std::int64_t channel = 0;  // the first one
  // Of each phase: [channel block][kernel row][kDotChannels], four taps each; and without rows, -kDotOffset times the
  // sum of the weights.
  std::array<const std::int32_t*, 2> weights{};
  std::array<const std::int32_t*, 2> corrections{};
  const float* units = nullptr;  // of each plane, what a product's 1 stands for
  float tensor_scale = 1;
};

// Writes the sums times unit and tensor scale, those of each plane y_step behind those of the one before it. Whole
// windows are read.
void correlate_planes(const ResultRows& rows, const PlaneRun& run, float* y, std::int64_t y_step);

// Rows and columns of the kernels whose backward weight is summed along planes; tap (i, j) is summed in lane
// kGradientRow · i + j.
inline constexpr std::int64_t kGradientSide = 3;
inline constexpr std::int64_t kGradientTaps = kGradientSide * kGradientSide;
inline constexpr std::int64_t kGradientRow = 4;
inline constexpr std::int64_t kGradientLanes = 16;

// A column of vectors of errors. Lanes are four groups of four neighbouring errors, each of which meets the activations
// of every column of the kernel in a lane, and zeros in the last one.
struct GradientColumn {
  WindowPicks activations;
  WindowPicks errors;  // of a window of kPlaneLanes
};
struct GradientRows {
  WindowRows windows;  // of the activations
  std::span<const GradientColumn> columns;
  std::int64_t errors_step = 0;  // between vectors of a column
  bool exact = false;            // every sum times its units is a binary32 number
};

// Planes of some channels of an image: of k + kDotOffset, and of k.
struct GradientRun {
  const std::uint8_t* activations = nullptr;
  std::int64_t activations_step = 0;
  const std::uint8_t* errors = nullptr;  // 0 where there is none
  std::int64_t errors_step = 0;
  std::int64_t count = 1;
  const float* error_units = nullptr;  // of each plane
  const float* activation_units = nullptr;
};

// Adds each tap's sum times both units, rounded to binary32 first, to sums[plane · kGradientLanes + lane].
void add_gradients(const GradientRows& rows, const GradientRun& run, float* sums);

// Writes the sums of each plane's taps, one tap after another, times the tensor scale.
void write_gradients(const float* sums, std::int64_t count, float tensor_scale, float* results);

}  // namespace mlsim::models
