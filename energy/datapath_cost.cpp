#include "energy/datapath_cost.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <stdexcept>
#include <string_view>

namespace mlsim::energy {
namespace {

void check(std::string_view what, double value, double low, double high) {
  if (!(value >= low && value <= high)) {
    throw std::runtime_error(
        fmt::format("{} of the datapath is expected from {} to {}, found {}", what, low, high, value));
  }
}

void check(const MlsOperand& operand, std::string_view side) {
  check(fmt::format("the {} operand's exponent width", side), operand.exponent_bits, 0, 4);
  check(fmt::format("the {} operand's mantissa width", side), operand.mantissa_bits, operand.exponent_bits == 0 ? 1 : 0,
        10);
  check(fmt::format("the {} operand's scale exponent width", side), operand.scale_exponent_bits, 0, 8);
  check(fmt::format("the {} operand's scale fraction width", side), operand.scale_fraction_bits, 0, 3);
}

void check(const Surroundings& surroundings) {
  constexpr double kLargest = 1e15;
  check("the left operand's fan-out", surroundings.left_fanout, 1, kLargest);
  check("the right operand's fan-out", surroundings.right_fanout, 1, kLargest);
  check("the operand buffer's capacity in bytes", surroundings.buffer_bytes, 1, kLargest);
  check("the SRAM's capacity in bytes", surroundings.sram_bytes, 1, kLargest);
  check("the number of random bits", surroundings.random_bits, 0, 64);
  check("the activity of the left operand", surroundings.left_activity, 0, 2);
  check("the activity of the right operand", surroundings.right_activity, 0, 2);
}

// Error bars by the kind of hardware.
class Bars {
 public:
  explicit Bars(const ErrorBars& bars) : bars_(bars) {}
  Range integer(double pj) const { return {pj * (1 - bars_.integer), pj, pj * (1 + bars_.integer)}; }
  Range shifter(double pj) const { return {pj * (1 - bars_.shifter), pj, pj * (1 + bars_.shifter)}; }
  Range floating(double pj) const { return {pj / bars_.float_factor, pj, pj * bars_.float_factor}; }

 private:
  ErrorBars bars_;
};

constexpr int kFloatBits = 32;
constexpr int kFloatSignificand = 24;
constexpr int kFloatExponent = 8;
// A quotient's significand, its normalising bit and a bit for rounding.
constexpr int kQuotientBits = kFloatSignificand + 2;

FloatFormat float_format(Baseline baseline) {
  assert(baseline != Baseline::kInt8);
  return kFloatFormats[static_cast<std::size_t>(baseline)];
}

// Floats whose tensors carry a power of two; the range of the others is that of binary32.
bool is_scaled(Baseline baseline) {
  return baseline != Baseline::kFp32 && baseline != Baseline::kBf16 && baseline != Baseline::kInt8;
}

int stored_bits(Baseline baseline) {
  return baseline == Baseline::kInt8 ? 8 : total_bits(float_format(baseline));
}

// Registers of both operands in a processing element, or its share of them.
Cost operand_registers(const Laws& laws, int left_bits, int right_bits, const Surroundings& surroundings) {
  return laws.registers(left_bits, surroundings.left_activity) * (1.0 / surroundings.left_fanout) +
         laws.registers(right_bits, surroundings.right_activity) * (1.0 / surroundings.right_fanout);
}

// What holds an operand where it, or the other one, is zero: gates that find the zero in the lane's register and, where
// several elements share that register, a register of the element's own. A zero costs what of it is still clocked.
struct OperandGate {
  Cost always;   // every multiply-add
  Cost nonzero;  // those that are not gated
};

OperandGate operand_gate(const Laws& laws, int bits, int fanout, double activity) {
  const Cost lane = laws.registers(bits, activity) * (1.0 / fanout);
  OperandGate gate;
  gate.always = laws.multiplier(bits, 1) * (1.0 / fanout);
  if (fanout == 1) {
    gate.nonzero = lane;
  } else {
    gate.always += lane;
    gate.nonzero = laws.registers(bits);
  }
  return gate;
}

// What of an element its operands' values reach.
struct Switching {
  int left_bits = 0;  // of an operand's register
  int right_bits = 0;
  double register_pj = 0;  // the part of kRegister besides the operands' registers
  double zero_share = 0;   // of the energy, where the product is zero
};

// Registers and gates of both operands, and the prices of the multiply-add's operations where the product is zero.
Cost price_activity(const Laws& laws, const Switching& element, const Surroundings& surroundings, DatapathCost& cost) {
  const Bars bars(laws.table().error_bars);
  const auto per_operation = [&](double share) {
    for (const Operation operation : kOperations) {
      cost.zero_price_pj[operation] =
          is_of_multiply_add(operation) ? cost.price_pj[operation] * share : cost.price_pj[operation];
    }
  };
  if (!surroundings.zero_gating) {
    const Cost operands = operand_registers(laws, element.left_bits, element.right_bits, surroundings);
    cost.price_pj[Operation::kRegister] = bars.integer(element.register_pj + operands.energy_pj);
    per_operation(element.zero_share);
    cost.zero_price_pj[Operation::kRegister] =
        bars.integer(element.register_pj * element.zero_share + operands.energy_pj);
    return operands;
  }
  const OperandGate left = operand_gate(laws, element.left_bits, surroundings.left_fanout, surroundings.left_activity);
  const OperandGate right =
      operand_gate(laws, element.right_bits, surroundings.right_fanout, surroundings.right_activity);
  const Cost always = left.always + right.always;
  const Cost nonzero = left.nonzero + right.nonzero;
  cost.price_pj[Operation::kRegister] = bars.integer(element.register_pj + always.energy_pj + nonzero.energy_pj);
  per_operation(0);
  cost.zero_price_pj[Operation::kRegister] = bars.integer(always.energy_pj);
  return always + nonzero;
}

// Both operands' scale fractions: an adder for every fraction bit, each one bit wider than the last.
Cost scale_fractions(const Laws& laws, const MlsDatapath& datapath) {
  Cost cost;
  const int fractions = datapath.left.scale_fraction_bits + datapath.right.scale_fraction_bits;
  for (int i = 1; i <= fractions; ++i) cost += laws.adder(datapath.accumulator_bits + i);
  return cost;
}

// A quantizer, block by block; used for each element, but `group` once a group.
struct Quantizer {
  Cost maximum;
  Cost division_by_tensor_scale;
  Cost division_by_group_scale;
  Cost alignment;
  Cost rounding;
  Cost group;

  Cost element() const { return maximum + division_by_tensor_scale + division_by_group_scale + alignment + rounding; }
};

Cost alignment_of(const Laws& laws, int mantissa_bits) {
  const int stages = static_cast<int>(std::bit_width(static_cast<unsigned>(mantissa_bits + 1)));
  return laws.shifter(kFloatSignificand, stages);
}

// Compares the magnitudes of binary32 numbers and keeps the larger one.
Cost maximum_search(const Laws& laws) {
  return laws.adder(kFloatBits - 1) + laws.registers(kFloatBits - 1);
}

Cost float_division(const Laws& laws) {
  return laws.divider(kQuotientBits, kFloatSignificand) + laws.adder(kFloatExponent) + laws.adder(kFloatSignificand);
}

Quantizer quantizer_of(const Laws& laws, const MlsOperand& operand) {
  Quantizer quantizer;
  quantizer.maximum = maximum_search(laws);
  quantizer.division_by_tensor_scale = float_division(laws);
  quantizer.division_by_group_scale = laws.adder(kFloatExponent);
  if (operand.scale_fraction_bits > 0) {
    quantizer.division_by_group_scale +=
        laws.divider(kQuotientBits, operand.scale_fraction_bits + 1) + laws.adder(kFloatSignificand);
  }
  quantizer.alignment = alignment_of(laws, operand.mantissa_bits);
  quantizer.rounding = laws.adder(operand.significand_bits());
  quantizer.group = float_division(laws) + laws.adder(kFloatExponent) + laws.adder(operand.scale_fraction_bits);
  return quantizer;
}

Quantizer quantizer_of(const Laws& laws, Baseline baseline) {
  Quantizer quantizer;
  if (baseline == Baseline::kFp32) return quantizer;
  if (baseline == Baseline::kInt8) {
    quantizer.maximum = maximum_search(laws);
    quantizer.division_by_tensor_scale = float_division(laws);
    quantizer.alignment = alignment_of(laws, 7);
    quantizer.rounding = laws.adder(8);
    return quantizer;
  }
  const int mantissa = mantissa_bits(float_format(baseline));
  // fp16 and fp8 are scaled by a power of two, which needs the maximum and changes exponents alone; bf16 is not.
  if (is_scaled(baseline)) quantizer.maximum = maximum_search(laws);
  quantizer.alignment = alignment_of(laws, mantissa) + laws.adder(kFloatExponent);
  quantizer.rounding = laws.adder(mantissa + 1);
  return quantizer;
}

// A linear-feedback register's bit (a register and a gate) and its place in the adder that rounds.
Cost random_bit(const Laws& laws) {
  return laws.registers(1) + laws.multiplier(1, 1) + laws.adder(1);
}

UnitArea area_of(std::vector<AreaBlock> blocks) {
  std::erase_if(blocks, [](const AreaBlock& block) { return block.area_um2 == 0; });
  return {std::move(blocks)};
}

// Quantization and memory: the same way for every machine. A machine whose operands differ has the dearer quantizer.
void price_surroundings(const Laws& laws, const Quantizer& left, const Quantizer& right,
                        const Surroundings& surroundings, DatapathCost& cost) {
  const Bars bars(laws.table().error_bars);
  const Quantizer& quantizer =
      left.element().energy_pj + left.group.energy_pj < right.element().energy_pj + right.group.energy_pj ? right
                                                                                                          : left;
  cost.price_pj[Operation::kQuantize] = bars.shifter(quantizer.element().energy_pj);
  cost.price_pj[Operation::kGroupQuantize] = bars.integer(quantizer.group.energy_pj);
  cost.price_pj[Operation::kRandomBits] = bars.integer(random_bit(laws).energy_pj);
  const bool quantizes = quantizer.element().energy_pj > 0;
  cost.quantizer = area_of({{"maximum", quantizer.maximum.area_um2},
                            {"tensor_division", quantizer.division_by_tensor_scale.area_um2},
                            {"group_division", quantizer.division_by_group_scale.area_um2},
                            {"alignment", quantizer.alignment.area_um2},
                            {"rounding", quantizer.rounding.area_um2},
                            {"random_bits", quantizes ? random_bit(laws).area_um2 * surroundings.random_bits : 0}});

  // Sizes of memory have no error bar of their own.
  const auto exact = [](double pj) { return Range{pj, pj, pj}; };
  cost.price_pj[Operation::kBufferRead] = exact(laws.sram_access_pj(surroundings.buffer_bytes, 1));
  cost.price_pj[Operation::kBufferWrite] = cost.price_pj[Operation::kBufferRead];
  cost.price_pj[Operation::kSramRead] = exact(laws.sram_access_pj(surroundings.sram_bytes, 1));
  cost.price_pj[Operation::kSramWrite] = cost.price_pj[Operation::kSramRead];
  cost.price_pj[Operation::kDramRead] = laws.dram_access_pj(1);
  cost.price_pj[Operation::kDramWrite] = cost.price_pj[Operation::kDramRead];
  cost.operand_buffer_area_um2 = laws.sram_area_um2(surroundings.buffer_bytes);
  cost.sram_area_um2 = laws.sram_area_um2(surroundings.sram_bytes);
}

DatapathCost price_mls(const Laws& laws, const MlsDatapath& datapath, const Surroundings& surroundings) {
  check(datapath.left, "left");
  check(datapath.right, "right");
  check("the accumulator width", datapath.accumulator_bits, 2, 64);
  const Bars bars(laws.table().error_bars);
  const int wa = datapath.left.significand_bits();
  const int wb = datapath.right.significand_bits();
  const int accumulator = datapath.accumulator_bits;

  const Cost multiply = laws.multiplier(wa, wb);
  const Cost exponent = laws.adder(datapath.exponent_adder_bits());
  const Cost shift = laws.shifter(wa + wb, datapath.shifter_stages());
  const Cost accumulate = laws.adder(accumulator);
  const double element =
      laws.processing_element_pj(wa, wb, datapath.shifter_stages(), datapath.product_bits(), accumulator);
  const double rest = element - (multiply.energy_pj + exponent.energy_pj + shift.energy_pj + accumulate.energy_pj);

  const Cost scale_exponent =
      laws.adder(std::max(datapath.left.scale_exponent_bits, datapath.right.scale_exponent_bits));
  const Cost fractions = scale_fractions(laws, datapath);
  const Cost convert = laws.integer_to_float(datapath.scaled_sum_bits());
  const Cost add = laws.float_adder(FloatFormat::kFp32);
  const Cost sum_register = laws.registers(kFloatBits);
  const Cost tensor_scale = laws.float_multiplier(FloatFormat::kFp32);

  DatapathCost cost;
  cost.price_pj[Operation::kMantissaMultiply] = bars.integer(multiply.energy_pj);
  cost.price_pj[Operation::kExponentAdd] = bars.integer(exponent.energy_pj);
  cost.price_pj[Operation::kShift] = bars.shifter(shift.energy_pj);
  cost.price_pj[Operation::kIntegerAccumulate] = bars.integer(accumulate.energy_pj);
  cost.price_pj[Operation::kGroupExponentAdd] = bars.integer(scale_exponent.energy_pj);
  cost.price_pj[Operation::kShiftAndAdd] = bars.integer(fractions.energy_pj);
  cost.price_pj[Operation::kConvertToFloat] = bars.shifter(convert.energy_pj);
  cost.price_pj[Operation::kFloatAdd] = bars.floating(add.energy_pj) + bars.integer(sum_register.energy_pj);
  cost.price_pj[Operation::kTensorScale] = bars.floating(tensor_scale.energy_pj);
  price_surroundings(laws, quantizer_of(laws, datapath.left), quantizer_of(laws, datapath.right), surroundings, cost);
  const Cost operands = price_activity(
      laws, {datapath.left.code_bits(), datapath.right.code_bits(), rest, kZeroShareMls}, surroundings, cost);

  cost.processing_element = area_of({{"multiplier", multiply.area_um2},
                                     {"exponent_adder", exponent.area_um2},
                                     {"shifter", shift.area_um2},
                                     {"accumulator_adder", accumulate.area_um2},
                                     {"sign_and_clear", laws.sign_and_clear(accumulator).area_um2},
                                     {"accumulator_register", laws.registers(accumulator).area_um2},
                                     {"operand_registers", operands.area_um2},
                                     {"sum_register", sum_register.area_um2}});
  cost.group_scale_unit = area_of({{"exponent_adder", scale_exponent.area_um2},
                                   {"shift_and_add", fractions.area_um2},
                                   {"converter", convert.area_um2},
                                   {"float_adder", add.area_um2},
                                   {"tensor_scale", tensor_scale.area_um2}});
  return cost;
}

DatapathCost price_baseline(const Laws& laws, const BaselineDatapath& datapath, const Surroundings& surroundings) {
  const bool integer = datapath.left == Baseline::kInt8;
  if (integer != (datapath.right == Baseline::kInt8)) {
    throw std::runtime_error("the datapath multiplies int8 by a float, expected int8 on both sides or on neither");
  }
  const Bars bars(laws.table().error_bars);
  if (integer && datapath.sums_in_fp16) {
    throw std::runtime_error("the datapath sums int8 in fp16, expected floats");
  }
  const Cost accumulator = laws.registers(datapath.sums_in_fp16 ? 16 : 32);

  DatapathCost cost;
  Cost tensor_scale;
  Cost multiply;
  Cost add;
  Cost convert;
  if (integer) {
    multiply = laws.multiplier(8, 8);
    add = laws.adder(32);
    convert = laws.integer_to_float(32);
    tensor_scale = laws.float_multiplier(FloatFormat::kFp32);
    cost.price_pj[Operation::kTensorScale] = bars.floating(tensor_scale.energy_pj);
    cost.price_pj[Operation::kIntegerMultiply] = bars.integer(multiply.energy_pj);
    cost.price_pj[Operation::kIntegerAccumulate] = bars.integer(add.energy_pj);
    cost.price_pj[Operation::kConvertToFloat] = bars.shifter(convert.energy_pj);
  } else {
    multiply = laws.float_multiplier(float_format(datapath.left), float_format(datapath.right));
    add = laws.float_adder(datapath.sums_in_fp16 ? FloatFormat::kFp16 : FloatFormat::kFp32);
    if (is_scaled(datapath.left) || is_scaled(datapath.right)) tensor_scale = laws.adder(kFloatExponent);
    cost.price_pj[Operation::kTensorScale] = bars.integer(tensor_scale.energy_pj);
    cost.price_pj[Operation::kFloatMultiply] = bars.floating(multiply.energy_pj);
    cost.price_pj[Operation::kFloatAccumulate] = bars.floating(add.energy_pj);
  }
  price_surroundings(laws, quantizer_of(laws, datapath.left), quantizer_of(laws, datapath.right), surroundings, cost);
  const Cost operands = price_activity(laws,
                                       {stored_bits(datapath.left), stored_bits(datapath.right), accumulator.energy_pj,
                                        integer ? kZeroShareInteger : kZeroShareFloat},
                                       surroundings, cost);
  cost.processing_element = area_of({{"multiplier", multiply.area_um2},
                                     {"accumulator_adder", add.area_um2},
                                     {"accumulator_register", accumulator.area_um2},
                                     {"operand_registers", operands.area_um2}});
  cost.group_scale_unit = area_of({{"converter", convert.area_um2}, {"tensor_scale", tensor_scale.area_um2}});
  return cost;
}

}  // namespace

int MlsDatapath::exponent_adder_bits() const {
  return std::max(left.exponent_bits, right.exponent_bits);
}

int MlsDatapath::shifter_stages() const {
  const int largest_sum = (1 << left.exponent_bits) - 1 + (1 << right.exponent_bits) - 1;
  return static_cast<int>(std::bit_width(static_cast<unsigned>(largest_sum)));
}

int MlsDatapath::scaled_sum_bits() const {
  const auto factor_bits = [](const MlsOperand& operand) {
    return operand.scale_fraction_bits == 0 ? 0 : operand.scale_fraction_bits + 1;
  };
  return accumulator_bits + factor_bits(left) + factor_bits(right);
}

double UnitArea::total() const {
  double sum = 0;
  for (const AreaBlock& block : blocks) sum += block.area_um2;
  return sum;
}

DatapathCost price_datapath(const Laws& laws, const Datapath& datapath, const Surroundings& surroundings) {
  check(surroundings);
  if (const auto* mls = std::get_if<MlsDatapath>(&datapath)) return price_mls(laws, *mls, surroundings);
  return price_baseline(laws, std::get<BaselineDatapath>(datapath), surroundings);
}

Counts multiply_add_counts(const Datapath& datapath, std::uint64_t multiply_adds) {
  Counts counts;
  counts[Operation::kRegister] = multiply_adds;
  if (const auto* mls = std::get_if<MlsDatapath>(&datapath)) {
    counts[Operation::kMantissaMultiply] = multiply_adds;
    counts[Operation::kIntegerAccumulate] = multiply_adds;
    if (mls->exponent_adder_bits() > 0) {
      counts[Operation::kExponentAdd] = multiply_adds;
      counts[Operation::kShift] = multiply_adds;
    }
  } else if (std::get<BaselineDatapath>(datapath).left == Baseline::kInt8) {
    counts[Operation::kIntegerMultiply] = multiply_adds;
    counts[Operation::kIntegerAccumulate] = multiply_adds;
  } else {
    counts[Operation::kFloatMultiply] = multiply_adds;
    counts[Operation::kFloatAccumulate] = multiply_adds;
  }
  return counts;
}

UnitArea machine_area(const DatapathCost& cost, const Units& units) {
  const auto area = [](double one, std::int64_t count) { return one * static_cast<double>(count); };
  return area_of({{"processing_elements", area(cost.processing_element.total(), units.processing_elements)},
                  {"group_scale_units", area(cost.group_scale_unit.total(), units.group_scale_units)},
                  {"quantizers", area(cost.quantizer.total(), units.quantizers)},
                  {"operand_buffers", area(cost.operand_buffer_area_um2, units.operand_buffers)},
                  {"srams", area(cost.sram_area_um2, units.srams)}});
}

}  // namespace mlsim::energy
