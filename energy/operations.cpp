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

// In the order of the enumeration.
constexpr std::array<Description, kOperationCount> kDescriptions{{
    {"mantissa_multiply", Line::kOperation, "", {"element", "multiplier"}, "multiplication of two significands"},
    {"exponent_add", Line::kOperation, "", {"element", "exponent_adder"}, "sum of two exponents"},
    {"shift", Line::kOperation, "", {"element", "shifter"}, "alignment of a product by its exponent"},
    {"integer_accumulate",
     Line::kOperation,
     "",
     {"element", "accumulator_adder"},
     "addition of a product, or of a tree's sum, to an integer sum"},
    {"tree_add",
     Line::kOperation,
     "",
     {"element", "adder_tree"},
     "addition in an element's tree of adders, of products that are multiplied at once"},
    {"accumulator_register",
     Line::kOverhead,
     "",
     {"element", "registers"},
     "registers of an accumulator that takes the products of several multipliers as one addition"},
    {"register",
     Line::kOverhead,
     "",
     {"element", "registers"},
     "registers of a multiply-add, and what else of an element the operations beside it do not cover"},
    {"group_exponent_add",
     Line::kOverhead,
     "",
     {"group_scale_unit", "exponent_adder"},
     "sum of two group scales' exponents"},
    {"shift_and_add",
     Line::kOverhead,
     "",
     {"group_scale_unit", "shift_and_add"},
     "a group's sum times both scales' significands"},
    {"convert_to_float", Line::kOverhead, "", {"group_scale_unit", "converter"}, "integer sum to binary32"},
    {"float_add",
     Line::kOverhead,
     "",
     {"group_scale_unit", "float_adder"},
     "binary32 addition over the groups, with the register of that sum"},
    {"tensor_scale", Line::kOverhead, "", {"group_scale_unit", "tensor_scale"}, "a result times both tensors' scales"},
    {"quantize",
     Line::kOverhead,
     "",
     {"quantizer", ""},
     "quantization of an element: maximum search, scaling, rounding"},
    {"group_quantize", Line::kOverhead, "", {"quantizer", ""}, "a tile's scale from its maximum"},
    {"random_bits", Line::kOverhead, "", {"quantizer", ""}, "a random bit for stochastic rounding"},
    {"float_multiply", Line::kOperation, "", {"element", "multiplier"}, "floating-point multiplication"},
    {"float_accumulate",
     Line::kOperation,
     "",
     {"element", "accumulator_adder"},
     "addition of a product to a floating-point sum"},
    {"integer_multiply", Line::kOperation, "", {"element", "multiplier"}, "8-bit integer multiplication"},
    {"buffer_read", Line::kMemory, "bits", {"operand_buffer", ""}, "a bit read from an operand buffer"},
    {"buffer_write", Line::kMemory, "bits", {"operand_buffer", ""}, "a bit written to an operand buffer"},
    {"sram_read", Line::kMemory, "bits", {"sram", ""}, "a bit read from the shared SRAM"},
    {"sram_write", Line::kMemory, "bits", {"sram", ""}, "a bit written to the shared SRAM"},
    {"dram_read", Line::kMemory, "bits", {"dram", ""}, "a bit read from DRAM"},
    {"dram_write", Line::kMemory, "bits", {"dram", ""}, "a bit written to DRAM"},
    {"idle_clocking", Line::kOverhead, "cycles", {}, "the clock of an idle element's registers, a cycle"},
    {"leakage", Line::kOverhead, "cycles", {}, "what elements, group-scale units and quantizers leak in a cycle"},
    {"memory_leakage", Line::kMemory, "cycles", {}, "what operand buffers and SRAM leak in a cycle"},
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
