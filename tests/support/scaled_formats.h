// Block-scaled formats by their widths, without a text to read.
#pragma once

#include "models/formats/format.h"

namespace mlsim::models {

// MLS `<Ex,Mx>` with `<Eg,Mg>` scales for each index pair.
inline ScaledFormat mls(int exponent_bits, int mantissa_bits, int scale_exponent_bits = 8,
                        int scale_fraction_bits = 1) {
  return {.element = {exponent_bits, mantissa_bits},
          .scale = {scale_exponent_bits, scale_fraction_bits},
          .layout = grouping::kNc};
}

}  // namespace mlsim::models
