// Which bytes of a plane meet the vectors of a depthwise layer.
// Tested in tests/models/functional_convolution_test.cpp.
#pragma once

#include <cstdint>

#include "models/convolution/cpu/axis_phases.h"
#include "models/convolution/cpu/plane_kernels.h"

namespace mlsim::models {

// The results that make a vector, or the errors: neighbours in a row, or all of several rows where these are short.
struct VectorShape {
  std::int64_t rows = 1;
  std::int64_t columns = 1;  // of a whole row
  std::int64_t lanes = 1;    // of the vector that a row takes
};

// Windows of the vectors of a plane; element (y, x) of a window is the source's element there from the one on that the
// first result's first tap takes.
class PlaneWindows {
 public:
  // Taps of one row and column of results after another; `taps` are those of a row.
  PlaneWindows(AxisPhase rows, AxisPhase columns, std::int64_t taps, std::int64_t source_columns);

  // Whole rows, at most so many of them, of which each takes so many lanes; or a part of a row.
  VectorShape vector(std::int64_t lanes, std::int64_t most_rows) const;
  WindowRows rows(const VectorShape& vector) const;

  // The window of vectors that begin with this result of a row, so far without picks.
  WindowPicks window(std::int64_t first) const;
  // Byte i of the vector is this tap of the result that lies so many rows and columns behind the vector's first one.
  // Taps beside the plane stay zeros.
  void pick(WindowPicks& window, std::int64_t i, std::int64_t row, std::int64_t column, std::int64_t tap) const;

  // From `begin` to `end` windows are read, counted from the source's first element on.
  std::int64_t begin() const;
  std::int64_t end(const VectorShape& vector) const;

 private:
  AxisPhase rows_;
  AxisPhase columns_;
  std::int64_t taps_;
  std::int64_t pitch_;  // between rows of the source
};

}  // namespace mlsim::models
