// Zero-padded operand planes whose lanes are neighbouring results: forward and backward data as sums of shifted planes.
// Tested in tests/models/functional_convolution_test.cpp.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "models/convolution/convolution.h"
#include "models/convolution/cpu/scratch.h"

namespace mlsim::models {

// Bytes of operand planes that are prepared at a time: as many images as fit (at least one).
constexpr std::int64_t kPreparedBytes = 2 << 20;

template <typename T>
std::int64_t images_at_once(std::int64_t batch, std::int64_t elements) {
  return std::clamp<std::int64_t>(kPreparedBytes / (elements * static_cast<std::int64_t>(sizeof(T))), 1, batch);
}

// A kernel position along one axis: the phase of the source plane that it reads, and how far from the result's place.
struct AxisTap {
  std::int64_t kernel;
  std::int64_t phase;
  std::int64_t offset;
};

// Results first, first + step, ... that share their taps, which ascend in the kernel.
struct ResultPhase {
  std::int64_t first;
  std::int64_t step;
  std::int64_t count;
  std::vector<AxisTap> taps;
};

// One axis of the source planes. Phase j of a plane holds, at c, the element c · step + j - lead of the operand, or
// zero where there is none.
struct SourceAxis {
  std::int64_t size;  // of the operand
  std::int64_t step;
  std::int64_t phases;
  std::int64_t lead;
  std::int64_t extent;  // of a phase, as far as it is read
  std::vector<ResultPhase> results;
};

// The planes that a forward or backward data pass reads (activation or error): [vertical phase][horizontal phase][row]
// [pitch] for each channel of each image. The results of a row phase and a column phase are numbered with the same
// pitch: position p, at row p / pitch and column p % pitch, takes the elements of the plane at p + tap_offset(...).
class PaddedPlanes {
 public:
  // With `share_zeros`, those at the end of a row may be those that the next row starts with.
  PaddedPlanes(Pass pass, const ConvolutionShape& shape, bool share_zeros);

  std::int64_t tap_offset(const AxisTap& row, const AxisTap& column) const {
    return (row.phase * horizontal.phases + column.phase) * phase_plane + row.offset * pitch + column.offset;
  }
  std::int64_t positions(const ResultPhase& rows, const ResultPhase& columns) const {
    return (rows.count - 1) * pitch + columns.count;
  }

  // Puts row y of the operand into its plane; the zeros are there already.
  template <typename Value, typename T>
  void place_row(const Value* values, std::int64_t y, T* target) const {
    const std::int64_t row = (y + vertical.lead) / vertical.step;
    const std::int64_t row_phase = (y + vertical.lead) % vertical.step;
    if (row_phase >= vertical.phases || row >= vertical.extent) return;
    T* place = target + row_phase * horizontal.phases * phase_plane + row * pitch;
    for (const Places& places : places_) {
      const Value* value = values + places.value;
      for (std::int64_t c = places.first; c < places.last; ++c, value += horizontal.step) {
        place[c] = static_cast<T>(*value);
      }
      place += phase_plane;
    }
  }

  // Sums of the results at `count` positions from `position` on.
  template <typename Sum>
  struct Sums {
    std::int64_t position;
    std::int64_t count;
    const Sum* values;
  };

  // Takes sums of a row phase and a column phase to a plane of rows of `width`.
  template <typename Sum, typename T, typename Finish>
  void store(const ResultPhase& rows, const ResultPhase& columns, const Sums<Sum>& sums, std::int64_t width, T* result,
             const Finish& finish) const {
    const std::int64_t position = sums.position;
    const std::int64_t end = std::min(position + sums.count, positions(rows, columns));
    const std::int64_t first_row = position < columns.count ? 0 : (position - columns.count) / pitch + 1;
    for (std::int64_t row = first_row; row < rows.count && row * pitch < end; ++row) {
      T* target = result + (rows.first + row * rows.step) * width + columns.first;
      const Sum* row_sums = sums.values + row * pitch - position;
      const std::int64_t from = std::max<std::int64_t>(position - row * pitch, 0);
      const std::int64_t to = std::min(columns.count, end - row * pitch);
      if (columns.step == 1) {
        for (std::int64_t x = from; x < to; ++x) target[x] = finish(row_sums[x]);
      } else {
        for (std::int64_t x = from; x < to; ++x) target[x * columns.step] = finish(row_sums[x]);
      }
    }
  }

  SourceAxis vertical;
  SourceAxis horizontal;
  std::int64_t pitch;        // between rows
  std::int64_t phase_plane;  // elements of a phase
  std::int64_t plane;        // and of all

 private:
  // Columns of a horizontal phase whose elements exist, first to one before last; the element of the first.
  struct Places {
    std::int64_t first;
    std::int64_t last;
    std::int64_t value;
  };
  std::vector<Places> places_;
};

}  // namespace mlsim::models
