// The arithmetic of a dynamic quantizer unit, block by block, on the fields of binary32 numbers as the hardware does
// it.
#pragma once

#include <cstdint>
#include <limits>

#include "models/formats/format.h"
#include "models/formats/scaled_tensor.h"
#include "models/quantizer/quantizer.h"

namespace mlsim::models {

inline constexpr float kLargestFloat = std::numeric_limits<float>::max();

// Scale encoder of MLS: the smallest scale of the format that is not below the ratio, 0 <= ratio <= 1.
TileScale encode_scale(const ScaleFormat& format, float ratio);

// Scale encoder of MX: the exponent, -127 to 127, of a tile with this largest magnitude.
int mx_scale_exponent(const ScaledFormat& format, float maximum);

// Scale encoder of NVFP4, from the tensor's largest magnitude.
class Nvfp4Scaler {
 public:
  explicit Nvfp4Scaler(float maximum);
  float tensor_scale() const { return tensor_scale_; }
  TileScale scale_of(float maximum) const;
  // What elements of a tile with this scale are multiplied with.
  float factor_of(TileScale scale) const;

 private:
  float encode_scale_;  // S_enc
  float tensor_scale_;  // S_t
};

// The scale as a binary32 number, which elements are divided by; of MLS and E4M3, or of E8M0 from 2^-126 on.
float scale_value(TileScale scale);

// Rounder: the code of an element that is magnitude · 2^exponent in units of 2^-U. `random` is the R-bit random
// integer, for stochastic rounding only.
struct RoundingMode {
  Rounding rounding = Rounding::kNearest;
  int random_bits = 16;
};
std::uint16_t round_to_code(const ElementFormat& format, float magnitude, int exponent, bool negative,
                            const RoundingMode& mode, std::uint32_t random);

// The whole unit: its registers hold what the tensor's largest magnitude, above 0, makes of a format.
class QuantizerUnit {
 public:
  QuantizerUnit(const ScaledFormat& format, float maximum);

  float tensor_scale() const { return tensor_scale_; }
  TileScale scale_of(float maximum) const;
  std::uint16_t code_of(float x, TileScale scale, const RoundingMode& mode, std::uint32_t random) const;

 private:
  ScaledFormat format_;
  Nvfp4Scaler nvfp4_;
  float largest_element_;  // that the ratio of MLS is divided by
  float tensor_scale_;
};

}  // namespace mlsim::models
