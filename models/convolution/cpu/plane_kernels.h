// The vector loops of depthwise layers: a plane of results from a plane of bytes, by dot products.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "models/convolution/cpu/dot_kernels.h"

namespace mlsim::models {

// Results, bytes and the lanes of masks that the loops take at once.
inline constexpr std::int64_t kPlaneLanes = 16;
inline constexpr std::int64_t kPlaneBytes = 64;
// Bytes that hold a tap of every lane, and some to its left and right.
inline constexpr std::int64_t kPlaneWindow = 32;

// How the codes of a plane lie as bytes of k + kDotOffset: row y, column x in the phase (y % steps, x % steps) of each
// axis, at its row y / step, column x / step; phases of rows at `places`, and rows `pitch` apart.
class BytePlane {
 public:
  BytePlane() = default;
  BytePlane(std::int64_t the_rows, std::int64_t the_columns, std::array<std::int64_t, 2> the_steps,
            std::int64_t the_pitch);

  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::array<std::int64_t, 2> steps{1, 1};              // each 1 or 2
  std::array<std::array<std::int64_t, 2>, 2> places{};  // [row phase][column phase] of the first element
  std::int64_t pitch = 0;
  std::int64_t size = 0;  // bytes from one plane to the next

  // Where both steps are 2, rows whose codes are taken at once, or 0; and which of them each phase takes to so many of
  // its bytes.
  struct Picks {
    std::uint64_t mask = 0;
    alignas(64) std::array<std::uint8_t, 64> from{};
  };
  std::int64_t rows_at_once = 0;
  std::array<std::array<Picks, 2>, 2> picks{};
};

// k + offset of every code of a format.
struct ByteTable {
  ByteTable(const ElementFormat& format, int offset);
  std::array<std::uint8_t, 256> bytes{};
  bool is_short = false;  // codes have at most 7 bits
};

// Writes the elements of `count` planes, and those of code 0 up to kPlaneBytes beyond the last one of a row.
void fill_byte_planes(const BytePlane& plane, const ByteTable& table, const std::uint16_t* codes, std::int64_t count,
                      std::uint8_t* bytes);

// Four taps of every result of a phase: those of result p are four bytes of the kPlaneBytes from first + p on and of
// the ones from second + p on, for lane i at picks[4 · i …], which count through both.
struct PlaneQuad {
  std::int64_t first = 0;
  std::int64_t second = 0;
  alignas(64) std::array<std::uint8_t, 64> picks{};
};

// Results that share their taps, in rows without gaps.
inline constexpr std::size_t kMostPlaneQuads = 4;
struct PlanePhase {
  std::span<const PlaneQuad> quads;  // 1 to kMostPlaneQuads
  bool both = false;                 // some pick lies in the second window
  // Which picks exist, the others being zeros, of vectors that repeat.
  std::span<const std::uint64_t> masks;
  std::int64_t results = 0;
};

// Planes of neighbouring channels of an image.
struct PlaneRun {
  const std::uint8_t* bytes = nullptr;
  std::int64_t bytes_step = 0;  // from one plane to the next
  std::int64_t count = 1;
  std::int64_t channel = 0;                   // the first one
  const std::int32_t* weights = nullptr;      // [channel block][quad][kDotChannels], the others without quads
  const std::int32_t* corrections = nullptr;  // -kDotOffset times the sum of the weights
  const float* units = nullptr;               // of each plane, what a product's 1 stands for
  float tensor_scale = 1;
};

// Writes the sums times unit and tensor scale, those of each plane y_step behind those of the one before it. Whole
// windows are read.
void correlate_planes(const PlanePhase& phase, const PlaneRun& run, float* y, std::int64_t y_step);

// Planes whose elements are kPlaneBytes at most: every tap of every vector of results is picked from them.
struct SmallPlanes {
  std::int64_t elements = 0;
  std::int64_t results = 0;
  std::int64_t quads = 1;                // 1 to kMostPlaneQuads
  std::span<const PlaneQuad> picks;      // [vector of results][quad], whose windows are the plane
  std::span<const std::uint64_t> masks;  // likewise, which of them exist
};

// The same from codes: each plane of results takes the next `elements` of them. `run` has no bytes.
void correlate_small_planes(const SmallPlanes& planes, const ByteTable& table, const std::uint16_t* codes,
                            const PlaneRun& run, float* y);

// Results of two phases of columns.
struct PhasePair {
  const float* even = nullptr;  // readable up to kPlaneLanes in a row
  const float* odd = nullptr;
  std::int64_t rows = 1;
  std::int64_t columns = 1;  // of each
  std::int64_t pitch = 0;    // between rows
};

// Writes each row to target[0], target[1], …, even and odd ones in turn, rows `target_pitch` apart.
void interleave_rows(const PhasePair& pair, float* target, std::int64_t target_pitch);

// Rows and columns of the kernels whose backward weight is summed along planes.
inline constexpr std::int64_t kGradientSide = 3;
inline constexpr std::int64_t kGradientTaps = kGradientSide * kGradientSide;
inline constexpr std::int64_t kGradientLanes = 16;

// Position p of the errors meets the activation's byte places[tap] + p.
struct GradientTaps {
  std::array<std::int64_t, kGradientTaps> places{};
  std::int64_t vectors = 1;  // of kPlaneBytes positions
  // Which errors of a vector meet an element, for each column of the kernel; they repeat.
  std::span<const std::array<std::uint64_t, kGradientSide>> masks;
  bool exact = false;  // every sum times its units is a binary32 number
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

// Adds each tap's sum times both units, rounded to binary32 first, to sums[plane · kGradientLanes + tap].
void add_gradients(const GradientTaps& taps, const GradientRun& run, float* sums);

}  // namespace mlsim::models
