// How wide the buses of the structural machine are in a waveform: as its formats and layers ask for, not as the
// integers that simulate them.
#pragma once

#include <cstdint>
#include <string_view>

#include "models/formats/format.h"

namespace mlsim::sim {

// Grows with every pass of a run, since a waveform has one width for a bus.
class BusWidths {
 public:
  // A pass: its operands, the width of its accumulators, and how many results it has.
  void add_pass(const models::ScaledFormat& left, const models::ScaledFormat& right, int accumulator_bits,
                std::int64_t results);
  // A format that results are quantized to.
  void add_result(const models::ScaledFormat& format);

  // Bits of a signal by its name, the last part of its path with or without the numbers of a lane and a tap, and by
  // the width of the type that simulates it, which it has where nothing smaller is known.
  int of(std::string_view name, int type_bits) const;

 private:
  void add_scale(const models::ScaleFormat& format);

  int significand_ = 1;
  int exponent_ = 1;
  int product_ = 1;
  int shift_ = 1;
  int accumulator_ = 2;
  int scale_significand_ = 1;
  int scale_exponent_ = 1;
  int address_ = 1;
  int code_ = 1;
};

}  // namespace mlsim::sim
