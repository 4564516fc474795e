// How the operands of a network's convolutions are quantized during training.
// Tested in tests/trainer/options_test.cpp.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <variant>

#include "models/convolution/convolution.h"
#include "models/quantizer/quantizer.h"

namespace mlsim::trainer {

struct OperandQuantization {
  models::Format format = models::BaselineFormat::kFp32;  // fp32: as it is
  models::Rounding rounding = models::Rounding::kNearest;
};

// How the convolutions of quantized operands are computed.
enum class Arithmetic : std::uint8_t {
  kDequantized,  // by Torch, on values in binary32
  kExact,        // by models::functional_convolution: the bits of the simulated machine; block-scaled operands alone
};

struct Quantization {
  // Indexed by models::Operand. Nearest on activations and weights, stochastic on errors unless told.
  std::array<OperandQuantization, 3> operands{{{}, {}, {models::BaselineFormat::kFp32, models::Rounding::kStochastic}}};
  int random_bits = 16;  // R
  std::uint64_t seed = 0;
  Arithmetic arithmetic = Arithmetic::kDequantized;
  models::Accumulator accumulator;   // of exact arithmetic
  bool evaluate_as_trained = false;  // evaluation rounds as training does; otherwise to nearest

  bool is_block_scaled() const {
    return std::ranges::all_of(operands, [](const auto& operand) { return is_scaled(operand.format); });
  }
  const OperandQuantization& operator[](models::Operand operand) const {
    return operands[static_cast<std::size_t>(operand)];
  }
  OperandQuantization& operator[](models::Operand operand) { return operands[static_cast<std::size_t>(operand)]; }
};

// Whether all operands are block-scaled tensors whose S_g · x has no more than the 11 significant bits that TF32 keeps:
// those of g times Mx + 1. It has the exponents of binary32, normal numbers provided.
inline bool fits_tf32(const Quantization& quantization) {
  return std::ranges::all_of(quantization.operands, [](const OperandQuantization& operand) {
    const auto* const scaled = std::get_if<models::ScaledFormat>(&operand.format);
    return scaled != nullptr && scaled->scale.fraction_bits + scaled->element.mantissa_bits + 2 <= 11;
  });
}

}  // namespace mlsim::trainer
