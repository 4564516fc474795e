#include "energy/operations.h"

namespace mlsim::energy {
namespace {

struct Description {
  std::string_view name;
  Line line;
};

// In the order of the enumeration.
constexpr std::array<Description, kOperationCount> kDescriptions{{
    {"mantissa_multiply", Line::kOperation},
    {"exponent_add", Line::kOperation},
    {"shift", Line::kOperation},
    {"integer_accumulate", Line::kOperation},
    {"register", Line::kOverhead},
    {"group_exponent_add", Line::kOverhead},
    {"shift_and_add", Line::kOverhead},
    {"convert_to_float", Line::kOverhead},
    {"float_add", Line::kOverhead},
    {"tensor_scale", Line::kOverhead},
    {"quantize", Line::kOverhead},
    {"group_quantize", Line::kOverhead},
    {"random_bits", Line::kOverhead},
    {"float_multiply", Line::kOperation},
    {"float_accumulate", Line::kOperation},
    {"integer_multiply", Line::kOperation},
    {"buffer_read", Line::kMemory},
    {"buffer_write", Line::kMemory},
    {"sram_read", Line::kMemory},
    {"sram_write", Line::kMemory},
    {"dram_read", Line::kMemory},
    {"dram_write", Line::kMemory},
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
  return line_of(operation) == Line::kOperation || operation == Operation::kRegister;
}

Line line_of(Operation operation) {
  return kDescriptions[static_cast<std::size_t>(operation)].line;
}

}  // namespace mlsim::energy
