// The three convolutions of training and their operands.
// Tested in tests/models/format_test.cpp.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace mlsim::models {

// The two operands of each pass, left times right in the order of the formulas:
// forward: activation × weight; backward data: error × weight; backward weight: error × activation.
enum class Pass : std::uint8_t { kForward, kBackwardData, kBackwardWeight };
inline constexpr std::array<Pass, 3> kPasses{Pass::kForward, Pass::kBackwardData, Pass::kBackwardWeight};

enum class Operand : std::uint8_t { kActivation, kWeight, kError };
inline constexpr std::array<Operand, 3> kOperands{Operand::kActivation, Operand::kWeight, Operand::kError};

std::string to_string(Pass pass);        // forward, backward_data, backward_weight
std::string to_string(Operand operand);  // activation, weight, error
// The way back; throw std::runtime_error for another name.
Pass parse_pass(const std::string& text);
Operand parse_operand(const std::string& text);

constexpr Operand left_operand(Pass pass) {
  return pass == Pass::kForward ? Operand::kActivation : Operand::kError;
}
constexpr Operand right_operand(Pass pass) {
  return pass == Pass::kBackwardWeight ? Operand::kActivation : Operand::kWeight;
}
constexpr bool takes(Pass pass, Operand operand) {
  return left_operand(pass) == operand || right_operand(pass) == operand;
}
// The operand that the results of a pass become: activation, error, weight.
constexpr Operand result_operand(Pass pass) {
  constexpr std::array<Operand, 3> kResults{Operand::kActivation, Operand::kError, Operand::kWeight};
  return kResults[static_cast<std::size_t>(pass)];
}

// The dimension of an operand along which a pass adds up outer indices: the input channel of activation and weight,
// the output channel of error and weight, the image of error and activation.
constexpr std::size_t reduction_dimension(Operand operand, Pass pass) {
  if (pass == Pass::kBackwardWeight) return 0;
  return pass == Pass::kBackwardData && operand == Operand::kWeight ? 0 : 1;
}

}  // namespace mlsim::models
