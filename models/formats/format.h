// Number formats: MLS elements and scales, and the baseline formats they are compared with.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "models/formats/scale_layout.h"

namespace mlsim::models {

// `<Ex,Mx>`: sign, Ex exponent bits, Mx mantissa bits, gradual underflow, no NaN and no infinity.
// An element is the integer k (signed) times 2^-unit_exponent().
struct ElementFormat {
  int exponent_bits = 2;  // Ex, 0..4
  int mantissa_bits = 4;  // Mx, 0..10 (0..4 where Ex = 4)

  constexpr int code_bits() const { return 1 + exponent_bits + mantissa_bits; }
  // U: the exponent of the unit in which every element is an integer.
  constexpr int unit_exponent() const {
    return exponent_bits == 0 ? mantissa_bits : mantissa_bits + (1 << exponent_bits) - 1;
  }
  // Width of the significand that a mantissa multiplier sees, hidden bit included.
  constexpr int significand_bits() const { return exponent_bits == 0 ? mantissa_bits : mantissa_bits + 1; }
  constexpr std::int32_t max_integer() const {
    return exponent_bits == 0 ? (1 << mantissa_bits) - 1
                              : ((1 << (mantissa_bits + 1)) - 1) << ((1 << exponent_bits) - 2);
  }
  bool operator==(const ElementFormat&) const = default;
};

// `<Eg,Mg>`: (1 + f 2^-Mg) 2^-h with 0 <= f < 2^Mg and 0 <= h <= max_exponent().
struct ScaleFormat {
  int exponent_bits = 8;  // Eg, 0..8
  int fraction_bits = 1;  // Mg, 0..3

  // hmax; capped so that every scale is a normal binary32.
  constexpr int max_exponent() const {
    const int largest = (1 << exponent_bits) - 1;
    return largest < 126 ? largest : 126;
  }
  bool operator==(const ScaleFormat&) const = default;
};

struct MlsFormat {
  ElementFormat element;
  ScaleFormat scale;
  ScaleLayout layout;
  bool operator==(const MlsFormat&) const = default;
};

// The formats that MLS is compared with.
enum class BaselineFormat : std::uint8_t { kFp32, kFp16, kBf16, kFp8E4m3, kFp8E5m2, kInt8 };

using Format = std::variant<MlsFormat, BaselineFormat>;

// Reads `eXmY[/gAmB][/GROUPING]` or the name of a baseline. Throws std::runtime_error with a sentence that says
// what was expected, for a text of another form and for a width out of range.
Format parse_format(std::string_view text);

// The same, refusing baselines.
MlsFormat parse_mls_format(std::string_view text);

// The full form, `e2m4/g8m1/nc`, whatever was left out when it was read.
std::string to_string(const MlsFormat& format);
std::string to_string(BaselineFormat format);
std::string to_string(const Format& format);

// MLS, floating-point or int8: formats of one family are multiplied with each other.
std::string family_of(const Format& format);
// The name of a layout on the command line.
std::string to_string(const ScaleLayout& layout);

// Bits of one stored element (without its share of a group scale).
int element_bits(const Format& format);

}  // namespace mlsim::models
