#include "energy/operations.h"

namespace mlsim::energy {
namespace {

struct Description {
  std::string_view name;
  Line line;
  std::string_view unit;
  Block block;
  std::string_view description;
};

constexpr Block kNowhere{};  // what time costs
constexpr Block kMultiplier{"element", "multiplier"};
constexpr Block kExponentAdder{"element", "exponent_adder"};
constexpr Block kShifter{"element", "shifter"};
constexpr Block kAccumulatorAdder{"element", "accumulator_adder"};
constexpr Block kAdderTree{"element", "adder_tree"};
constexpr Block kRegisters{"element", "registers"};
constexpr Block kGroupExponentAdder{"group_scale_unit", "exponent_adder"};
constexpr Block kShiftAndAdd{"group_scale_unit", "shift_and_add"};
constexpr Block kConverter{"group_scale_unit", "converter"};
constexpr Block kFloatAdder{"group_scale_unit", "float_adder"};
constexpr Block kTensorScale{"group_scale_unit", "tensor_scale"};
constexpr Block kQuantizer{"quantizer", ""};
constexpr Block kOperandBuffer{"operand_buffer", ""};
constexpr Block kSram{"sram", ""};
constexpr Block kDram{"dram", ""};

// In the order of the enumeration.
constexpr std::array<Description, kOperationCount> kDescriptions{{
    {"mantissa_multiply", Line::kOperation, "", kMultiplier, "multiplication of two significands"},
    {"exponent_add", Line::kOperation, "", kExponentAdder, "sum of two exponents"},
    {"shift", Line::kOperation, "", kShifter, "alignment of a product by its exponent"},
    {"integer_accumulate", Line::kOperation, "", kAccumulatorAdder,
     "addition of a product, or of a tree's sum, to an integer sum"},
    {"tree_add", Line::kOperation, "", kAdderTree,
     "addition in an element's tree of adders, of products that are multiplied at once"},
    {"accumulator_register", Line::kOverhead, "", kRegisters,
     "registers of an accumulator that takes the products of several multipliers as one addition"},
    {"register", Line::kOverhead, "", kRegisters,
     "registers of a multiply-add, and what else of an element the operations beside it do not cover"},
    {"group_exponent_add", Line::kOverhead, "", kGroupExponentAdder, "sum of two group scales' exponents"},
    {"shift_and_add", Line::kOverhead, "", kShiftAndAdd, "a group's sum times both scales' significands"},
    {"convert_to_float", Line::kOverhead, "", kConverter, "integer sum to binary32"},
    {"float_add", Line::kOverhead, "", kFloatAdder, "binary32 addition over the groups, with the register of that sum"},
    {"tensor_scale", Line::kOverhead, "", kTensorScale, "a result times both tensors' scales"},
    {"quantize", Line::kOverhead, "", kQuantizer, "quantization of an element: maximum search, scaling, rounding"},
    {"group_quantize", Line::kOverhead, "", kQuantizer, "a tile's scale from its maximum"},
    {"random_bits", Line::kOverhead, "", kQuantizer, "a random bit for stochastic rounding"},
    {"float_multiply", Line::kOperation, "", kMultiplier, "floating-point multiplication"},
    {"float_accumulate", Line::kOperation, "", kAccumulatorAdder, "addition of a product to a floating-point sum"},
    {"integer_multiply", Line::kOperation, "", kMultiplier, "8-bit integer multiplication"},
    {"buffer_read", Line::kMemory, "bits", kOperandBuffer, "a bit read from an operand buffer"},
    {"buffer_write", Line::kMemory, "bits", kOperandBuffer, "a bit written to an operand buffer"},
    {"sram_read", Line::kMemory, "bits", kSram, "a bit read from the shared SRAM"},
    {"sram_write", Line::kMemory, "bits", kSram, "a bit written to the shared SRAM"},
    {"dram_read", Line::kMemory, "bits", kDram, "a bit read from DRAM"},
    {"dram_write", Line::kMemory, "bits", kDram, "a bit written to DRAM"},
    {"idle_clocking", Line::kOverhead, "cycles", kNowhere, "the clock of an idle element's registers, a cycle"},
    {"leakage", Line::kOverhead, "cycles", kNowhere, "what elements, group-scale units and quantizers leak in a cycle"},
    {"memory_leakage", Line::kMemory, "cycles", kNowhere, "what operand buffers and SRAM leak in a cycle"},
}};

}  // namespace

std::string_view name(Operation operation) {
  return kDescriptions[static_cast<std::size_t>(operation)].name;
}

std::optional<Operation> find_operation(std::string_view name) {
  for (const Operation operation : kOperations) {
    if (energy::name(operation) == name) return operation;
  }
  return std::nullopt;
}

bool is_of_multiply_add(Operation operation) {
  if (operation == Operation::kTreeAdd) return false;
  return line_of(operation) == Line::kOperation || operation == Operation::kRegister;
}

Line line_of(Operation operation) {
  return kDescriptions[static_cast<std::size_t>(operation)].line;
}

std::string_view unit(Operation operation) {
  return kDescriptions[static_cast<std::size_t>(operation)].unit;
}

Block block_of(Operation operation) {
  return kDescriptions[static_cast<std::size_t>(operation)].block;
}

std::string_view description(Operation operation) {
  return kDescriptions[static_cast<std::size_t>(operation)].description;
}

}  // namespace mlsim::energy
