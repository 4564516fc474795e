// Dynamic quantization of binary32 tensors to MLS.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "models/formats/scaled_tensor.h"
#include "models/formats/tensor.h"

namespace mlsim::models {

enum class Rounding : std::uint8_t { kNearest, kStochastic };

Rounding parse_rounding(const std::string& text);  // throws std::runtime_error for anything but nearest, stochastic
std::string to_string(Rounding rounding);

struct QuantizerOptions {
  Rounding rounding = Rounding::kNearest;
  int random_bits = 16;  // R, 1..24
  std::uint64_t seed = 0;
  std::uint64_t stream = 0;
};

struct QuantizationCounts {
  std::uint64_t saturated = 0;        // rounded above the largest element
  std::uint64_t flushed_to_zero = 0;  // not zero before, zero after
  std::uint64_t exact = 0;            // the same real number before and after, zeros included
  QuantizationCounts& operator+=(const QuantizationCounts& other) {
    saturated += other.saturated;
    flushed_to_zero += other.flushed_to_zero;
    exact += other.exact;
    return *this;
  }
  bool operator==(const QuantizationCounts&) const = default;
};

struct QuantizedTensor {
  ScaledTensor tensor;
  QuantizationCounts counts;
};

// Quantizes a tensor of 2 to 4 dimensions, fast: vectorized and threaded, equal to reference_quantize bit by bit.
// Throws std::runtime_error for a NaN or an infinity, with `name` and the index of the first one.
QuantizedTensor quantize(std::span<const float> input, const Shape& shape, const ScaledFormat& format,
                         const QuantizerOptions& options, const std::string& name);
QuantizedTensor quantize(const Tensor<float>& input, const ScaledFormat& format, const QuantizerOptions& options,
                         const std::string& name);

// The same numbers without code words: writes S_g · x of every element to `output`, which binary32 holds exactly, and
// returns S_t, so that the quantized number is the product of the two. `output` may be `input`.
float quantize_scaled(std::span<const float> input, const Shape& shape, const ScaledFormat& format,
                      const QuantizerOptions& options, const std::string& name, std::span<float> output);

}  // namespace mlsim::models
