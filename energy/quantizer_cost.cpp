#include "energy/quantizer_cost.h"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <variant>

namespace mlsim::energy {
namespace {

using models::BaselineFormat;
using models::ScaledFormat;
using models::ScaleKind;
using models::ScaleRule;

constexpr int kFloatSignificand = 24;
// A quotient's significand, its normalising bit and a bit for rounding.
constexpr int kQuotientBits = kFloatSignificand + 2;

enum class Use : std::uint8_t { kElement, kTile };
enum class Bar : std::uint8_t { kOwn, kFloat };

// Sums the parts of a unit. What is used once a tile and named nothing is done by a part for elements, in between.
class Parts {
 public:
  explicit Parts(const Laws& laws) : bars_(laws.table().error_bars) {}

  void add(Use use, std::string_view name, const Cost& cost, Bar bar = Bar::kOwn) {
    (use == Use::kElement ? element_ : tile_)[static_cast<std::size_t>(bar)] += cost.energy_pj;
    if (!name.empty()) blocks_.push_back({name, cost.area_um2});
  }

  // An element's price is derived from a shifter, among others.
  QuantizerCost cost() const {
    return {bars_.around_shifter(element_[0]) + bars_.around_float(element_[1]),
            bars_.around_integer(tile_[0]) + bars_.around_float(tile_[1]), blocks_};
  }

 private:
  ErrorBars bars_;
  std::array<double, 2> element_{};  // by Bar
  std::array<double, 2> tile_{};
  std::vector<QuantizerBlock> blocks_;
};

// Compares the magnitudes of binary32 numbers and keeps the larger one.
Cost maximum_search(const Laws& laws) {
  return laws.adder(kFloatBits - 1) + laws.registers(kFloatBits - 1);
}

Cost float_division(const Laws& laws) {
  return laws.divider(kQuotientBits, kFloatSignificand) + laws.adder(kFloatExponent) + laws.adder(kFloatSignificand);
}

// By a number of few significant bits; of one bit, a power of two.
Cost short_division(const Laws& laws, int divisor_bits) {
  Cost cost = laws.adder(kFloatExponent);
  if (divisor_bits > 1) cost += laws.divider(kQuotientBits, divisor_bits) + laws.adder(kFloatSignificand);
  return cost;
}

Cost alignment(const Laws& laws, int mantissa_bits) {
  const int stages = static_cast<int>(std::bit_width(static_cast<unsigned>(mantissa_bits + 1)));
  return laws.shifter(kFloatSignificand, stages);
}

// Whether any bit below the leading one is set, and the increment that this causes.
Cost exponent_ceiling(const Laws& laws) {
  return laws.multiplier(kFloatSignificand - 1, 1) + laws.adder(kFloatExponent);
}

void add_mls(const Laws& laws, const ScaledFormat& format, Parts& parts) {
  parts.add(Use::kElement, "tensor_division", float_division(laws));
  parts.add(Use::kElement, "group_division", short_division(laws, format.scale.fraction_bits + 1));
  // The divider of the elements also divides the tile's maximum.
  parts.add(Use::kTile, "", float_division(laws) + laws.adder(kFloatExponent) + laws.adder(format.scale.fraction_bits));
  if (format.rule == ScaleRule::kFit) {
    parts.add(Use::kTile, "", short_division(laws, format.element.significand_bits()));
  }
}

void add_mx(const Laws& laws, const ScaledFormat& format, Parts& parts) {
  parts.add(Use::kElement, "exponent_subtraction", laws.adder(kFloatExponent));
  Cost encoder = laws.adder(kFloatExponent);
  if (format.rule == ScaleRule::kCeil || format.rule == ScaleRule::kRceil) encoder += exponent_ceiling(laws);
  if (format.rule == ScaleRule::kEven) {
    // Half of the last kept place is added to the exponent, the kept mantissa and one more bit.
    const int mantissa =
        format.element.twos_complement() ? format.element.mantissa_bits - 1 : format.element.mantissa_bits;
    encoder += laws.adder(kFloatExponent + mantissa + 1);
  }
  parts.add(Use::kTile, "scale_encoder", encoder);
  if (format.rule == ScaleRule::kRceil) {
    // The constant, a reciprocal, has all 24 bits.
    parts.add(Use::kTile, "scale_multiplication", laws.float_multiplier(BaselineFormat::kFp32), Bar::kFloat);
  }
}

void add_nvfp4(const Laws& laws, const ScaledFormat& format, Parts& parts) {
  parts.add(Use::kElement, "multiplication", laws.float_multiplier(BaselineFormat::kFp32), Bar::kFloat);
  // The multiplier of the elements also makes S_b and S_b · S_t, the latter with one short operand.
  const int fraction = format.scale.fraction_bits;
  parts.add(Use::kTile, "", laws.float_multiplier(BaselineFormat::kFp32), Bar::kFloat);
  parts.add(Use::kTile, "", laws.float_multiplier(BaselineFormat::kFp32, BaselineFormat::kFp8E4m3), Bar::kFloat);
  parts.add(Use::kTile, "scale_encoder", alignment(laws, fraction) + laws.adder(fraction + 1));
  parts.add(Use::kTile, "scale_division", float_division(laws));
}

QuantizerCost cost_of(const Laws& laws, const ScaledFormat& format) {
  Parts parts(laws);
  parts.add(Use::kElement, "maximum", maximum_search(laws));
  switch (format.scale.kind) {
    case ScaleKind::kMls:
      add_mls(laws, format, parts);
      break;
    case ScaleKind::kE8m0:
      add_mx(laws, format, parts);
      break;
    case ScaleKind::kE4m3:
      add_nvfp4(laws, format, parts);
      break;
  }
  // The adder that rounds to two's complement also negates, and has the sign's bit.
  const int rounded = format.element.twos_complement() ? format.element.code_bits() : format.element.significand_bits();
  parts.add(Use::kElement, "alignment", alignment(laws, format.element.mantissa_bits));
  parts.add(Use::kElement, "rounding", laws.adder(rounded));
  return parts.cost();
}

QuantizerCost cost_of(const Laws& laws, BaselineFormat format) {
  Parts parts(laws);
  if (format == BaselineFormat::kFp32) return parts.cost();
  const models::BaselineLayout& layout = models::layout_of(format);
  Cost shift = alignment(laws, layout.mantissa_bits);
  // fp16 and fp8 are scaled by a power of two, which needs the maximum and changes exponents alone; bf16 is not.
  if (!layout.has_range_of_binary32()) parts.add(Use::kElement, "maximum", maximum_search(laws));
  if (layout.is_integer()) {
    parts.add(Use::kElement, "tensor_division", float_division(laws));
  } else {
    shift += laws.adder(kFloatExponent);
  }
  parts.add(Use::kElement, "alignment", shift);
  parts.add(Use::kElement, "rounding", laws.adder(layout.mantissa_bits + 1));
  return parts.cost();
}

}  // namespace

QuantizerCost quantizer_cost(const Laws& laws, const models::Format& format) {
  return std::visit([&](const auto& known) { return cost_of(laws, known); }, format);
}

Cost random_bit(const Laws& laws) {
  return laws.registers(1) + laws.multiplier(1, 1) + laws.adder(1);
}

}  // namespace mlsim::energy
