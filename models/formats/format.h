// Number formats: block-scaled ones (MLS, OCP MX, NVFP4), whose elements are integers within a tile, and the baseline
// formats they are compared with.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/integers.h"
#include "models/formats/pass.h"
#include "models/formats/scale_layout.h"

namespace mlsim::models {

// How the fields of an element are read. MLS: every exponent is one of numbers, the largest just below 1. OCP (MX
// v1.0): the exponent has IEEE's bias, e4m3 and e5m2 keep codes for what is no number, and int8 is in two's complement.
enum class ElementKind : std::uint8_t { kMls, kOcp };

// `<Ex,Mx>`: sign, Ex exponent bits, Mx mantissa bits, gradual underflow, no NaN and no infinity.
// An element is the integer k (signed) times 2^-unit_exponent().
struct ElementFormat {
  int exponent_bits = 2;  // Ex, 0..4; OCP 0..5
  int mantissa_bits = 4;  // Mx, 0..10 (0..4 where Ex = 4)
  ElementKind kind = ElementKind::kMls;

  constexpr int code_bits() const { return 1 + exponent_bits + mantissa_bits; }
  constexpr bool twos_complement() const { return kind == ElementKind::kOcp && exponent_bits == 0; }
  // U: the exponent of the unit in which every element is an integer.
  constexpr int unit_exponent() const {
    if (kind == ElementKind::kOcp) {
      return exponent_bits == 0 ? mantissa_bits - 1 : mantissa_bits + (1 << (exponent_bits - 1)) - 2;
    }
    return exponent_bits == 0 ? mantissa_bits : mantissa_bits + (1 << exponent_bits) - 1;
  }
  // Width of the significand that a mantissa multiplier sees, hidden bit included.
  constexpr int significand_bits() const { return exponent_bits == 0 ? mantissa_bits : mantissa_bits + 1; }
  // kmax.
  constexpr std::int64_t max_integer() const {
    if (exponent_bits == 0) return (std::int64_t{1} << mantissa_bits) - 1;
    const bool ocp = kind == ElementKind::kOcp;
    const std::int64_t significand = (std::int64_t{2} << mantissa_bits) - (ocp && exponent_bits == 4 ? 2 : 1);
    return significand << ((1 << exponent_bits) - (ocp && exponent_bits == 5 ? 3 : 2));
  }
  // Bits of kmax: what one operand adds to the width of a product.
  constexpr int integer_bits() const { return std::bit_width(static_cast<std::uint64_t>(max_integer())); }
  // The largest magnitude, kmax · 2^-U, which binary32 holds exactly.
  float largest() const;
  bool operator==(const ElementFormat&) const = default;
};

// MLS `<Eg,Mg>`: (1 + f 2^-Mg) 2^-h with 0 <= f < 2^Mg and 0 <= h <= max_exponent(). E8M0: a power of two, 2^-127 to
// 2^127. E4M3: the unsigned half of an 8-bit float with bias 7. In each, g · 2^s with an integer g of at most
// fraction_bits + 1 bits.
enum class ScaleKind : std::uint8_t { kMls, kE8m0, kE4m3 };

struct ScaleFormat {
  int exponent_bits = 8;  // Eg, 0..8
  int fraction_bits = 1;  // Mg, 0..3
  ScaleKind kind = ScaleKind::kMls;

  // hmax of MLS; capped so that every scale is a normal binary32.
  constexpr int max_exponent() const {
    const int largest = (1 << exponent_bits) - 1;
    return largest < 126 ? largest : 126;
  }
  constexpr int largest_significand() const { return (2 << fraction_bits) - 1; }
  // Of one scale in memory.
  constexpr int stored_bits() const { return kind == ScaleKind::kMls ? exponent_bits + fraction_bits : 8; }
  bool operator==(const ScaleFormat&) const = default;
};

// Where the largest magnitude of a tile goes (docs/blocks.md). MLS: kSat, kFit; MX: kFloor to kRceil; NVFP4 has one.
enum class ScaleRule : std::uint8_t { kSat, kFit, kFloor, kCeil, kEven, kRceil, kNvfp4 };

// A grouping whose tiles depend on the operand, or on the pass, too.
enum class BlockKind : std::uint8_t {
  kTiles,     // no: the tile as written
  kChannels,  // bB: B channels (of a weight B × B), whole planes
  kReduction  // kB: B along the reduction of the pass, at every position
};

// A format whose elements are scaled tile by tile. `layout` holds the tiles of an activation in the forward pass unless
// it has been taken for another operand or pass by `of`.
struct ScaledFormat {
  ElementFormat element;
  ScaleFormat scale;
  ScaleLayout layout;
  ScaleRule rule = ScaleRule::kSat;
  BlockKind blocks = BlockKind::kTiles;
  std::int64_t block = 0;  // B of kChannels and kReduction

  ScaledFormat of(Operand operand, Pass pass) const;
  // Of so many elements and scales of tiles in memory.
  constexpr std::int64_t packed_bits(std::int64_t elements, std::int64_t scales) const {
    return elements * element.code_bits() + scales * scale.stored_bits();
  }
  bool operator==(const ScaledFormat&) const = default;
};

// The formats that block-scaled ones are compared with.
enum class BaselineFormat : std::uint8_t { kFp32, kFp16, kBf16, kFp8E4m3, kFp8E5m2, kInt8 };

// A baseline's numbers: a sign, an exponent and a mantissa as IEEE 754 has them, or an integer in two's complement.
struct BaselineLayout {
  std::string_view name;
  int exponent_bits = 0;               // 0: an integer
  int mantissa_bits = 0;               // of an integer all bits but the sign
  float largest = 0;                   // finite magnitude that it is rounded to
  bool overflows_to_infinity = false;  // else to the largest

  constexpr int bits() const { return 1 + exponent_bits + mantissa_bits; }
  constexpr bool is_integer() const { return exponent_bits == 0; }
  // Floats with the exponents of binary32, whose tensors need no scale.
  constexpr bool has_range_of_binary32() const { return exponent_bits == 8; }
};

// In the order of the enumeration, integers last.
inline constexpr std::array<BaselineLayout, 6> kBaselines{{
    {"fp32", 8, 23, std::numeric_limits<float>::max(), true},
    {"fp16", 5, 10, 65504.0F, true},
    {"bf16", 8, 7, 0x1.FEp127F, true},
    {"fp8-e4m3", 4, 3, 448.0F, false},
    {"fp8-e5m2", 5, 2, 57344.0F, false},
    {"int8", 0, 7, 127.0F, false},
}};

constexpr const BaselineLayout& layout_of(BaselineFormat format) {
  return kBaselines[static_cast<std::size_t>(format)];
}

using Format = std::variant<ScaledFormat, BaselineFormat>;
using OperandFormats = std::array<Format, 3>;  // indexed by Operand

// Whether tiles have scales, as those of no baseline do.
inline bool is_scaled(const Format& format) {
  return std::holds_alternative<ScaledFormat>(format);
}

// The same of any format; baselines are what they are.
Format format_of(const Format& format, Operand operand, Pass pass);

// The distinct formats in which the results of a pass are quantized for the passes that take them, `format` being that
// of the operand they become: one, or two where the tiles depend on the pass.
std::vector<Format> next_formats(const Format& format, Pass pass);

// Reads `eXmY[/gAmB][/RULE][/GROUPING]`, the name of an MX format or nvfp4 with `[/RULE][/GROUPING]`, or the name of a
// baseline. Throws std::runtime_error with a sentence that says what was expected, for a text of another form and for a
// width out of range.
Format parse_format(std::string_view text);
// Those that have a name, MX, NVFP4 and baselines, such as mxfp4 and int8.
std::vector<std::string> format_names();
// What a format's text may be, and a grouping's, in words of a help or of a refusal.
std::string format_syntax();
std::string grouping_syntax();

// The same, refusing baselines.
ScaledFormat parse_scaled_format(std::string_view text);

// A format for all operands: one of the above, or fp8 or mxfp8, which are e4m3 for activation and weight and e5m2 for
// the error.
OperandFormats parse_operand_formats(std::string_view text);

// The full form, `e2m4/g8m1/nc`, whatever was left out when it was read; a rule is named where it is not the grouping's
// own.
std::string to_string(const ScaledFormat& format);
std::string to_string(BaselineFormat format);
std::string to_string(const Format& format);
// As parse_operand_formats reads it where one name says all; else `A+W+E` of activation, weight and error.
std::string to_string(const OperandFormats& formats);

// Block-scaled, floating-point or int8: formats of one family are multiplied with each other.
std::string family_of(const Format& format);
// The name of a layout on the command line.
std::string to_string(const ScaleLayout& layout);

// The tiles of a format's scales; of a baseline, which has one scale a tensor, the whole.
ScaleLayout scale_layout_of(const Format& format);

// Bits of one stored element (without its share of a scale), and of one stored scale: 0 where tiles have none.
int element_bits(const Format& format);
int scale_bits(const Format& format);
// Of so many elements and scales, and of all of a tensor's, packed.
std::int64_t packed_bits(const Format& format, std::int64_t elements, std::int64_t scales);
base::Int128 packed_bits(const Format& format, const Shape& shape);

}  // namespace mlsim::models
