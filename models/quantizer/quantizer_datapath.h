// The arithmetic of a dynamic quantizer unit, block by block, on the fields of binary32 numbers as the hardware does
// it.
#pragma once

#include <cstdint>

#include "models/formats/format.h"
#include "models/quantizer/quantizer.h"

namespace mlsim::models {

// A group scale, (1 + fraction · 2^-Mg) · 2^-exponent.
struct ScaleCode {
  std::uint8_t exponent = 0;
  std::uint8_t fraction = 0;
  bool operator==(const ScaleCode&) const = default;
};

// Scale encoder: the smallest scale of the format that is not below the ratio, 0 <= ratio <= 1.
ScaleCode encode_scale(const ScaleFormat& format, float ratio);

// The scale as the binary32 number that elements are divided by.
float scale_value(const ScaleFormat& format, ScaleCode code);

// Rounder: the code of an element of magnitude v, 0 <= v <= 1, in units of its scales. `random` is the R-bit random
// integer, for stochastic rounding only.
std::uint16_t round_to_code(const ElementFormat& format, float v, bool negative, Rounding rounding, int random_bits,
                            std::uint32_t random);

}  // namespace mlsim::models
