// A tensor in multi-level scaling form: sign × S_t × S_g × x.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "models/formats/format.h"
#include "models/formats/tensor.h"

namespace mlsim::models {

// Code words are packed s | e | m from the top of code_bits() bits. These two are inverse to each other on the
// codes that quantization makes (the code of -0 decodes to 0 and is never encoded).
std::int32_t decode_element(const ElementFormat& format, std::uint16_t code);
std::uint16_t encode_element(const ElementFormat& format, std::int32_t k);

struct MlsTensor {
  MlsFormat format;
  Shape shape;             // 2 to 4 dimensions, D0, D1, ...
  float tensor_scale = 0;  // S_t
  // S_g = (1 + f 2^-Mg) 2^-h, for each index pair of dimensions 0 and 1 whatever the grouping: D0 × D1.
  std::vector<std::uint8_t> group_exponent;  // h
  std::vector<std::uint8_t> group_fraction;  // f
  std::vector<std::uint16_t> codes;

  std::int64_t size() const { return static_cast<std::int64_t>(codes.size()); }
  // Elements for each index pair of dimensions 0 and 1.
  std::int64_t inner_size() const { return shape.size() < 3 ? 1 : element_count({shape.begin() + 2, shape.end()}); }
};

// Every element's integer k, in C order.
std::vector<std::int32_t> decode_integers(const MlsTensor& tensor);

// Every element's value, exact in binary64.
Tensor<double> dequantize(const MlsTensor& tensor);

// The same, some elements at a time.
class Dequantizer {
 public:
  explicit Dequantizer(const MlsTensor& tensor);

  // The values of the elements from `first` on.
  void run(std::size_t first, std::span<double> values) const;

 private:
  const MlsTensor* tensor_;
  std::vector<double> numbers_;  // k of every code
};

}  // namespace mlsim::models
