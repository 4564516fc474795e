// How the operands of a network's convolutions are quantized during training.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "models/convolution.h"
#include "models/quantizer.h"

namespace mlsim::trainer {

// Without a format an operand stays binary32.
struct OperandQuantization {
  std::optional<models::MlsFormat> format;
  models::Rounding rounding = models::Rounding::kNearest;
};

struct Quantization {
  // Indexed by models::Operand. Nearest on activations and weights, stochastic on errors unless told.
  std::array<OperandQuantization, 3> operands{{{}, {}, {std::nullopt, models::Rounding::kStochastic}}};
  int random_bits = 16;  // R
  std::uint64_t seed = 0;
  bool evaluate_as_trained = false;  // evaluation rounds as training does; otherwise to nearest

  const OperandQuantization& operator[](models::Operand operand) const {
    return operands[static_cast<std::size_t>(operand)];
  }
  OperandQuantization& operator[](models::Operand operand) { return operands[static_cast<std::size_t>(operand)]; }
};

// The name of an operand's format on one line, fp32 where it is not quantized.
inline std::string format_name(const OperandQuantization& operand) {
  return operand.format ? to_string(*operand.format) : to_string(models::BaselineFormat::kFp32);
}

}  // namespace mlsim::trainer
