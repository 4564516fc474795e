#include "models/formats/pass.h"

namespace mlsim::models {

std::string to_string(Pass pass) {
  constexpr std::array<const char*, 3> kNames{"forward", "backward_data", "backward_weight"};
  return kNames[static_cast<std::size_t>(pass)];
}

std::string to_string(Operand operand) {
  constexpr std::array<const char*, 3> kNames{"activation", "weight", "error"};
  return kNames[static_cast<std::size_t>(operand)];
}

}  // namespace mlsim::models
