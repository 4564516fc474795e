#include "energy/datapath_cost.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "energy/quantizer_cost.h"

namespace mlsim::energy {
namespace {

using models::BaselineFormat;
using models::ScaledFormat;

void check(std::string_view what, double value, double low, double high) {
  if (!(value >= low && value <= high)) {
    throw std::runtime_error(
        fmt::format("{} of the datapath is expected from {} to {}, found {}", what, low, high, value));
  }
}

void check(const ScaledFormat& operand, std::string_view side) {
  // A sweep comes here for each of its points, so that the words are put together where there is something to say.
  const auto check_width = [&](const char* what, int bits, int low, int high) {
    if (bits < low || bits > high) check(fmt::format("the {} operand's {} width", side, what), bits, low, high);
  };
  const models::ElementFormat& element = operand.element;
  check_width("exponent", element.exponent_bits, 0, element.kind == models::ElementKind::kOcp ? 5 : 4);
  check_width("mantissa", element.mantissa_bits, element.exponent_bits == 0 ? 1 : 0, 10);
  check_width("scale exponent", operand.scale.exponent_bits, 0, 8);
  check_width("scale fraction", operand.scale.fraction_bits, 0, 3);
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
  check("the loads of the left operand", surroundings.left_loads.value_or(0), 0, kLargest);
  check("the loads of the right operand", surroundings.right_loads.value_or(0), 0, kLargest);
}

// Floats whose tensors carry a power of two; the range of the others is that of binary32.
bool is_scaled(BaselineFormat format) {
  const models::BaselineLayout& layout = models::layout_of(format);
  return !layout.is_integer() && !layout.has_range_of_binary32();
}

// The registers of an operand in a processing element, or its share of one.
struct OperandRegister {
  int fanout = 1;
  double activity = 1;
  std::optional<double> loads;

  Cost cost(const Laws& laws, int bits) const {
    if (!loads) return laws.registers(bits, activity) * (1.0 / fanout);
    Cost both = laws.registers(bits, activity) * 2.0;
    both.energy_pj *= *loads;
    return both;
  }
};

OperandRegister left_register(const Surroundings& of) {
  return {of.left_fanout, of.left_activity, of.left_loads};
}

OperandRegister right_register(const Surroundings& of) {
  return {of.right_fanout, of.right_activity, of.right_loads};
}

// Registers of both operands in a processing element, or its share of them.
Cost operand_registers(const Laws& laws, int left_bits, int right_bits, const Surroundings& surroundings) {
  return left_register(surroundings).cost(laws, left_bits) + right_register(surroundings).cost(laws, right_bits);
}

// What holds an operand where it, or the other one, is zero: gates that find the zero in the lane's register and, where
// several elements share that register, a register of the element's own. A zero costs what of it is still clocked.
struct OperandGate {
  Cost always;   // every multiply-add
  Cost nonzero;  // those that are not gated
};

OperandGate operand_gate(const Laws& laws, int bits, const OperandRegister& of) {
  const int fanout = of.fanout;
  const Cost lane = of.cost(laws, bits);
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
  int tree_bits = 0;       // of a product, where it enters a tree of adders; else 0
};

// Registers and gates of both operands, and the prices of the multiply-add's operations where the product is zero.
Cost price_activity(const Laws& laws, const Switching& element, const Surroundings& surroundings, DatapathCost& cost) {
  const ErrorBars& bars = laws.table().error_bars;
  const bool has_tree = element.tree_bits > 0;
  const auto per_operation = [&](double share) {
    for (const Operation operation : kOperations) {
      const bool adds_several =
          has_tree && (operation == Operation::kIntegerAccumulate || operation == Operation::kFloatAccumulate);
      cost.zero_price_pj[operation] =
          is_of_multiply_add(operation) && !adds_several ? cost.price_pj[operation] * share : cost.price_pj[operation];
    }
  };
  if (!surroundings.zero_gating) {
    const Cost operands = operand_registers(laws, element.left_bits, element.right_bits, surroundings);
    cost.price_pj[Operation::kRegister] = bars.around_integer(element.register_pj + operands.energy_pj);
    per_operation(element.zero_share);
    cost.zero_price_pj[Operation::kRegister] =
        bars.around_integer(element.register_pj * element.zero_share + operands.energy_pj);
    return operands;
  }
  const OperandGate left = operand_gate(laws, element.left_bits, left_register(surroundings));
  const OperandGate right = operand_gate(laws, element.right_bits, right_register(surroundings));
  Cost always = left.always + right.always;
  // A tree gets a zero where a product is held.
  if (has_tree) always += laws.multiplier(element.tree_bits, 1);
  const Cost nonzero = left.nonzero + right.nonzero;
  cost.price_pj[Operation::kRegister] = bars.around_integer(element.register_pj + always.energy_pj + nonzero.energy_pj);
  per_operation(0);
  cost.zero_price_pj[Operation::kRegister] = bars.around_integer(always.energy_pj);
  return always + nonzero;
}

// The tree that adds `inputs` numbers of so many bits, level by level: of each two an adder, which is a bit wider on
// every level.
struct Tree {
  Cost all;
  int sum_bits = 0;
  // An addition in it: the mean of its adders.
  double mean_pj(int inputs) const { return all.energy_pj / std::max(inputs - 1, 1); }
};

Tree adder_tree(const Laws& laws, int inputs, int bits) {
  Tree tree{{}, bits};
  for (int left = inputs; left > 1;) {
    const int adders = left / 2;
    tree.all += laws.adder(tree.sum_bits) * adders;
    ++tree.sum_bits;
    left -= adders;
  }
  return tree;
}

// Both operands' scale fractions: an adder for every fraction bit, each one bit wider than the last.
Cost scale_fractions(const Laws& laws, const ScaledDatapath& datapath) {
  Cost cost;
  const int fractions = datapath.left.scale.fraction_bits + datapath.right.scale.fraction_bits;
  for (int i = 1; i <= fractions; ++i) cost += laws.adder(datapath.accumulator_bits + i);
  return cost;
}

UnitArea area_of(std::vector<AreaBlock> blocks) {
  std::erase_if(blocks, [](const AreaBlock& block) { return block.area_um2 == 0; });
  return {std::move(blocks)};
}

// The quantizer of results, else the dearer one of both operands'.
QuantizerCost machine_quantizer(const Laws& laws, const models::Format& left, const models::Format& right,
                                const Surroundings& surroundings) {
  if (surroundings.quantized) return quantizer_cost(laws, *surroundings.quantized);
  const QuantizerCost one = quantizer_cost(laws, left);
  const QuantizerCost other = quantizer_cost(laws, right);
  return one.use_pj() < other.use_pj() ? other : one;
}

double idle_register_bits(int accumulator_bits, int left_bits, int right_bits, const Surroundings& surroundings) {
  if (surroundings.zero_gating) return 0;
  // An operand that stays is not clocked.
  const auto operand = [](int bits, const OperandRegister& of) {
    return of.loads ? 0 : static_cast<double>(bits) / of.fanout;
  };
  return accumulator_bits + operand(left_bits, left_register(surroundings)) +
         operand(right_bits, right_register(surroundings));
}

// Quantization and memory: the same way for every machine.
void price_surroundings(const Laws& laws, const QuantizerCost& quantizer, const Surroundings& surroundings,
                        DatapathCost& cost) {
  const ErrorBars& bars = laws.table().error_bars;
  cost.price_pj[Operation::kQuantize] = quantizer.element_pj;
  cost.price_pj[Operation::kGroupQuantize] = quantizer.tile_pj;
  cost.price_pj[Operation::kRandomBits] = bars.around_integer(random_bit(laws).energy_pj);
  std::vector<AreaBlock> blocks;
  for (const QuantizerBlock& block : quantizer.blocks) blocks.push_back({std::string(block.name), block.area_um2});
  const bool quantizes = quantizer.element_pj.value > 0;
  blocks.push_back({"random_bits", quantizes ? random_bit(laws).area_um2 * surroundings.random_bits : 0});
  cost.quantizer = area_of(std::move(blocks));

  // Sizes of memory have no error bar of their own.
  const auto exact = [](double pj) { return Range{pj, pj, pj}; };
  cost.price_pj[Operation::kBufferRead] = exact(laws.sram_access_pj(surroundings.buffer_bytes, 1));
  cost.price_pj[Operation::kBufferWrite] = cost.price_pj[Operation::kBufferRead];
  cost.price_pj[Operation::kSramRead] = exact(laws.sram_access_pj(surroundings.sram_bytes, 1));
  cost.price_pj[Operation::kSramWrite] = cost.price_pj[Operation::kSramRead];
  cost.price_pj[Operation::kDramRead] = laws.dram_access_pj(1, surroundings.dram);
  cost.price_pj[Operation::kDramWrite] = cost.price_pj[Operation::kDramRead];
  cost.operand_buffer_area_um2 = laws.sram_area_um2(surroundings.buffer_bytes);
  cost.sram_area_um2 = laws.sram_area_um2(surroundings.sram_bytes);
}

// The elements of a machine of block-scaled formats.
struct ScaledElement {
  Cost multiply;
  Cost exponent;
  Cost shift;
  Cost accumulate;
  double rest_pj = 0;  // what else a multiply-add takes, operand registers apart
  // Where an element has several multipliers: signs, which the law of the element has in its accumulator, a tree, and
  // what else an addition takes.
  Cost sign;
  Tree tree;
  double addition_rest_pj = 0;
};

ScaledElement scaled_element(const Laws& laws, const ScaledDatapath& datapath) {
  const int wa = datapath.left.element.significand_bits();
  const int wb = datapath.right.element.significand_bits();
  const int stages = datapath.shifter_stages();
  const int product = datapath.product_bits();
  const int accumulator = datapath.accumulator_bits;
  const auto law = [&](int bits) { return laws.processing_element_pj(wa, wb, stages, product, bits); };
  ScaledElement element;
  element.multiply = laws.multiplier(wa, wb);
  element.exponent = laws.adder(datapath.exponent_adder_bits());
  element.shift = laws.shifter(wa + wb, stages);
  element.accumulate = laws.adder(accumulator);
  const double parts = element.multiply.energy_pj + element.exponent.energy_pj + element.shift.energy_pj;
  if (datapath.taps_per_cycle == 1) {
    element.rest_pj = law(accumulator) - (parts + element.accumulate.energy_pj);
    return element;
  }
  // The law is a sum over product and accumulator.
  element.sign = laws.sign_and_clear(product);
  element.tree = adder_tree(laws, datapath.taps_per_cycle, product + 1);
  element.rest_pj = law(0) - parts + element.sign.energy_pj;
  element.addition_rest_pj = law(accumulator) - law(0) - element.accumulate.energy_pj;
  element.accumulate = laws.adder(std::max(accumulator, element.tree.sum_bits));
  return element;
}

DatapathCost price_scaled(const Laws& laws, const ScaledDatapath& datapath, const Surroundings& surroundings) {
  check(datapath.left, "left");
  check(datapath.right, "right");
  check("the accumulator width", datapath.accumulator_bits, 2, 128);
  check("the number of an element's multipliers", datapath.taps_per_cycle, 1, 1024);
  const ErrorBars& bars = laws.table().error_bars;
  const int accumulator = datapath.accumulator_bits;
  const int multipliers = datapath.taps_per_cycle;
  const ScaledElement element = scaled_element(laws, datapath);

  const Cost scale_exponent =
      laws.adder(std::max(datapath.left.scale.exponent_bits, datapath.right.scale.exponent_bits));
  const Cost fractions = scale_fractions(laws, datapath);
  const Cost convert = laws.integer_to_float(datapath.scaled_sum_bits());
  const Cost add = laws.float_adder(BaselineFormat::kFp32);
  const Cost sum_register = surroundings.sums_in_memory ? Cost{} : laws.registers(kFloatBits);
  const Cost tensor_scale = datapath.has_tensor_scale() ? laws.float_multiplier(BaselineFormat::kFp32) : Cost{};

  DatapathCost cost;
  cost.price_pj[Operation::kMantissaMultiply] = bars.around_integer(element.multiply.energy_pj);
  cost.price_pj[Operation::kExponentAdd] = bars.around_integer(element.exponent.energy_pj);
  cost.price_pj[Operation::kShift] = bars.around_shifter(element.shift.energy_pj);
  cost.price_pj[Operation::kIntegerAccumulate] = bars.around_integer(element.accumulate.energy_pj);
  cost.price_pj[Operation::kTreeAdd] = bars.around_integer(element.tree.mean_pj(multipliers));
  cost.price_pj[Operation::kAccumulatorRegister] = bars.around_integer(element.addition_rest_pj);
  cost.price_pj[Operation::kGroupExponentAdd] = bars.around_integer(scale_exponent.energy_pj);
  cost.price_pj[Operation::kShiftAndAdd] = bars.around_integer(fractions.energy_pj);
  cost.price_pj[Operation::kConvertToFloat] = bars.around_shifter(convert.energy_pj);
  cost.price_pj[Operation::kFloatAdd] = bars.around_float(add.energy_pj) + bars.around_integer(sum_register.energy_pj);
  cost.price_pj[Operation::kTensorScale] = bars.around_float(tensor_scale.energy_pj);
  price_surroundings(laws, machine_quantizer(laws, datapath.left, datapath.right, surroundings), surroundings, cost);
  const Cost operands = price_activity(laws,
                                       {datapath.left.element.code_bits(), datapath.right.element.code_bits(),
                                        element.rest_pj, kZeroShareMls, multipliers > 1 ? datapath.product_bits() : 0},
                                       surroundings, cost);

  cost.idle_register_bits = idle_register_bits(accumulator, datapath.left.element.code_bits() * multipliers,
                                               datapath.right.element.code_bits() * multipliers, surroundings);

  cost.processing_element =
      area_of({{"multiplier", element.multiply.area_um2 * multipliers},
               {"exponent_adder", element.exponent.area_um2 * multipliers},
               {"shifter", element.shift.area_um2 * multipliers},
               {"adder_tree", element.tree.all.area_um2},
               {"accumulator_adder", element.accumulate.area_um2},
               {"sign_and_clear", laws.sign_and_clear(accumulator).area_um2 + element.sign.area_um2 * multipliers},
               {"accumulator_register", laws.registers(accumulator).area_um2},
               {"operand_registers", operands.area_um2 * multipliers},
               {"sum_register", sum_register.area_um2}});
  cost.group_scale_unit = area_of({{"exponent_adder", scale_exponent.area_um2},
                                   {"shift_and_add", fractions.area_um2},
                                   {"converter", convert.area_um2},
                                   {"float_adder", add.area_um2},
                                   {"tensor_scale", tensor_scale.area_um2}});
  return cost;
}

DatapathCost price_baseline(const Laws& laws, const BaselineDatapath& datapath, const Surroundings& surroundings) {
  const bool integer = models::layout_of(datapath.left).is_integer();
  if (integer != models::layout_of(datapath.right).is_integer()) {
    throw std::runtime_error("the datapath multiplies int8 by a float, expected int8 on both sides or on neither");
  }
  const ErrorBars& bars = laws.table().error_bars;
  if (integer && datapath.sums_in_fp16) {
    throw std::runtime_error("the datapath sums int8 in fp16, expected floats");
  }
  check("the number of an element's multipliers", datapath.taps_per_cycle, 1, 1024);
  const int accumulator_bits = datapath.sums_in_fp16 ? 16 : 32;
  const Cost accumulator = laws.registers(accumulator_bits);
  const int multipliers = datapath.taps_per_cycle;

  DatapathCost cost;
  Tree tree;
  Cost tensor_scale;
  Cost multiply;
  Cost add;
  Cost convert;
  if (integer) {
    const int left = models::element_bits(datapath.left);
    const int right = models::element_bits(datapath.right);
    multiply = laws.multiplier(left, right);
    add = laws.adder(32);
    convert = laws.integer_to_float(32);
    tensor_scale = laws.float_multiplier(BaselineFormat::kFp32);
    cost.price_pj[Operation::kTensorScale] = bars.around_float(tensor_scale.energy_pj);
    tree = adder_tree(laws, multipliers, left + right);
    cost.price_pj[Operation::kTreeAdd] = bars.around_integer(tree.mean_pj(multipliers));
    cost.price_pj[Operation::kIntegerMultiply] = bars.around_integer(multiply.energy_pj);
    cost.price_pj[Operation::kIntegerAccumulate] = bars.around_integer(add.energy_pj);
    cost.price_pj[Operation::kConvertToFloat] = bars.around_shifter(convert.energy_pj);
  } else {
    multiply = laws.float_multiplier(datapath.left, datapath.right);
    add = laws.float_adder(datapath.sums_in_fp16 ? BaselineFormat::kFp16 : BaselineFormat::kFp32);
    if (multipliers > 1) tree.all = add * (multipliers - 1);
    if (is_scaled(datapath.left) || is_scaled(datapath.right)) tensor_scale = laws.adder(kFloatExponent);
    cost.price_pj[Operation::kTensorScale] = bars.around_integer(tensor_scale.energy_pj);
    cost.price_pj[Operation::kFloatMultiply] = bars.around_float(multiply.energy_pj);
    cost.price_pj[Operation::kFloatAccumulate] = bars.around_float(add.energy_pj);
  }
  price_surroundings(laws, machine_quantizer(laws, datapath.left, datapath.right, surroundings), surroundings, cost);
  const int left_bits = models::element_bits(datapath.left);
  const int right_bits = models::element_bits(datapath.right);
  Switching element{left_bits, right_bits, accumulator.energy_pj, integer ? kZeroShareInteger : kZeroShareFloat};
  if (multipliers > 1) {
    cost.price_pj[Operation::kAccumulatorRegister] = bars.around_integer(accumulator.energy_pj);
    element.register_pj = 0;
    element.tree_bits = integer || datapath.sums_in_fp16 ? 16 : kFloatBits;
  }
  const Cost operands = price_activity(laws, element, surroundings, cost);
  cost.idle_register_bits =
      idle_register_bits(accumulator_bits, left_bits * multipliers, right_bits * multipliers, surroundings);
  cost.processing_element = area_of({{"multiplier", multiply.area_um2 * multipliers},
                                     {"adder_tree", tree.all.area_um2},
                                     {"accumulator_adder", add.area_um2},
                                     {"accumulator_register", accumulator.area_um2},
                                     {"operand_registers", operands.area_um2 * multipliers}});
  cost.group_scale_unit = area_of({{"converter", convert.area_um2}, {"tensor_scale", tensor_scale.area_um2}});
  return cost;
}

}  // namespace

int ScaledDatapath::exponent_adder_bits() const {
  return std::max(left.element.exponent_bits, right.element.exponent_bits);
}

int ScaledDatapath::shifter_stages() const {
  const int largest_sum = (1 << left.element.exponent_bits) - 1 + (1 << right.element.exponent_bits) - 1;
  return static_cast<int>(std::bit_width(static_cast<unsigned>(largest_sum)));
}

int ScaledDatapath::scaled_sum_bits() const {
  const auto factor_bits = [](const models::ScaleFormat& scale) {
    return scale.fraction_bits == 0 ? 0 : scale.fraction_bits + 1;
  };
  return accumulator_bits + factor_bits(left.scale) + factor_bits(right.scale);
}

bool ScaledDatapath::has_tensor_scale() const {
  return left.scale.kind != models::ScaleKind::kE8m0 || right.scale.kind != models::ScaleKind::kE8m0;
}

bool is_memory(const AreaBlock& block) {
  return block.name == "operand_buffers" || block.name == "srams";
}

double UnitArea::total() const {
  double sum = 0;
  for (const AreaBlock& block : blocks) sum += block.area_um2;
  return sum;
}

DatapathCost price_datapath(const Laws& laws, const Datapath& datapath, const Surroundings& surroundings) {
  check(surroundings);
  if (const auto* scaled = std::get_if<ScaledDatapath>(&datapath)) return price_scaled(laws, *scaled, surroundings);
  return price_baseline(laws, std::get<BaselineDatapath>(datapath), surroundings);
}

Counts multiply_add_counts(const Datapath& datapath, std::uint64_t multiply_adds) {
  return multiply_add_counts(datapath, multiply_adds, multiply_adds);
}

Counts multiply_add_counts(const Datapath& datapath, std::uint64_t multiply_adds, std::uint64_t additions) {
  Counts counts;
  counts[Operation::kRegister] = multiply_adds;
  const bool has_tree = std::visit([](const auto& any) { return any.taps_per_cycle > 1; }, datapath);
  if (has_tree) counts[Operation::kAccumulatorRegister] = additions;
  const auto add_integers = [&] {
    counts[Operation::kIntegerAccumulate] = additions;
    counts[Operation::kTreeAdd] = multiply_adds - additions;
  };
  if (const auto* scaled = std::get_if<ScaledDatapath>(&datapath)) {
    counts[Operation::kMantissaMultiply] = multiply_adds;
    add_integers();
    if (scaled->exponent_adder_bits() > 0) {
      counts[Operation::kExponentAdd] = multiply_adds;
      counts[Operation::kShift] = multiply_adds;
    }
  } else if (models::layout_of(std::get<BaselineDatapath>(datapath).left).is_integer()) {
    counts[Operation::kIntegerMultiply] = multiply_adds;
    add_integers();
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
