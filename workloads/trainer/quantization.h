// How the operands of a network's convolutions are quantized during training.
#pragma once

#include <array>
#include <cstdint>

#include "models/convolution.h"
#include "models/quantizer.h"

namespace mlsim::trainer {

struct OperandQuantization {
  models::Format format = models::BaselineFormat::kFp32;  // fp32: as it is
  models::Rounding rounding = models::Rounding::kNearest;
};

struct Quantization {
  // Indexed by models::Operand. Nearest on activations and weights, stochastic on errors unless told.
  std::array<OperandQuantization, 3> operands{{{}, {}, {models::BaselineFormat::kFp32, models::Rounding::kStochastic}}};
  int random_bits = 16;  // R
  std::uint64_t seed = 0;
  bool evaluate_as_trained = false;  // evaluation rounds as training does; otherwise to nearest

  const OperandQuantization& operator[](models::Operand operand) const {
    return operands[static_cast<std::size_t>(operand)];
  }
  OperandQuantization& operator[](models::Operand operand) { return operands[static_cast<std::size_t>(operand)]; }
};

}  // namespace mlsim::trainer
