#include "models/formats/pass.h"

#include <stdexcept>

namespace mlsim::models {

std::string to_string(Pass pass) {
  constexpr std::array<const char*, 3> kNames{"forward", "backward_data", "backward_weight"};
  return kNames[static_cast<std::size_t>(pass)];
}

std::string to_string(Operand operand) {
  constexpr std::array<const char*, 3> kNames{"activation", "weight", "error"};
  return kNames[static_cast<std::size_t>(operand)];
}

Pass parse_pass(const std::string& text) {
  for (const Pass pass : kPasses) {
    if (to_string(pass) == text) return pass;
  }
  throw std::runtime_error("pass '" + text + "' is none of forward, backward_data and backward_weight");
}

Operand parse_operand(const std::string& text) {
  for (const Operand operand : kOperands) {
    if (to_string(operand) == text) return operand;
  }
  throw std::runtime_error("operand '" + text + "' is none of activation, weight and error");
}

}  // namespace mlsim::models
