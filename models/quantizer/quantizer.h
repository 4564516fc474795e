// Dynamic quantization of binary32 tensors to MLS.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "models/formats/scaled_tensor.h"
#include "models/formats/tensor.h"

namespace mlsim::models {

enum class Rounding : std::uint8_t { kNearest, kStochastic };

Rounding parse_rounding(const std::string& text);  // throws std::runtime_error for anything but nearest, stochastic
std::string to_string(Rounding rounding);

// Where a tensor lies in a larger one, cut along dimension 0, whose other parts are elsewhere. What quantizes all parts
// at the same time with this gives them the bits that they have in the larger tensor.
struct TensorPart {
  std::uint64_t first_element = 0;  // of the larger tensor in C order: it says which random words the elements take
  // Raises the largest magnitude of the tensor and then those of its tiles, as the bits of binary32, to those of the
  // larger tensor; a tile that is cut is one with its other pieces. Empty: the part has scales of its own.
  std::function<void(std::span<std::uint32_t> maxima)> raise;
};

struct QuantizerOptions {
  Rounding rounding = Rounding::kNearest;
  int random_bits = 16;  // R, 1..24
  std::uint64_t seed = 0;
  std::uint64_t stream = 0;
  const TensorPart* part = nullptr;  // null: the tensor is whole
};

// Where the first element of a tensor lies in the larger one.
inline std::uint64_t first_element(const QuantizerOptions& options) {
  return options.part == nullptr ? 0 : options.part->first_element;
}

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
// Throws std::runtime_error for a NaN or an infinity, with `name` and the index of the first one; for one in another
// part of the tensor too, without its index.
QuantizedTensor quantize(std::span<const float> input, const Shape& shape, const ScaledFormat& format,
                         const QuantizerOptions& options, const std::string& name);
QuantizedTensor quantize(const Tensor<float>& input, const ScaledFormat& format, const QuantizerOptions& options,
                         const std::string& name);

// The same numbers without code words: writes S_g · x of every element to `output`, which binary32 holds exactly, and
// returns S_t, so that the quantized number is the product of the two. `output` may be `input`.
float quantize_scaled(std::span<const float> input, const Shape& shape, const ScaledFormat& format,
                      const QuantizerOptions& options, const std::string& name, std::span<float> output);

}  // namespace mlsim::models
