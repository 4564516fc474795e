#include "models/formats/mls_tensor.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>

namespace mlsim::models {

std::int32_t decode_element(const ElementFormat& format, std::uint16_t code) {
  const int mx = format.mantissa_bits;
  const std::int32_t mantissa = code & ((1 << mx) - 1);
  const int exponent = (code >> mx) & ((1 << format.exponent_bits) - 1);
  const bool negative = ((code >> (format.code_bits() - 1)) & 1) != 0;
  const std::int32_t k = exponent == 0 ? mantissa : ((1 << mx) + mantissa) << (exponent - 1);
  return negative ? -k : k;
}

std::uint16_t encode_element(const ElementFormat& format, std::int32_t k) {
  const int mx = format.mantissa_bits;
  const auto magnitude = static_cast<std::uint32_t>(k < 0 ? -k : k);
  assert(static_cast<std::int32_t>(magnitude) <= format.max_integer());
  const int exponent = std::max(static_cast<int>(std::bit_width(magnitude)) - mx, 0);
  const std::uint32_t mantissa = exponent == 0 ? magnitude : (magnitude >> (exponent - 1)) - (1U << mx);
  const std::uint32_t sign = k < 0 ? 1U << (format.code_bits() - 1) : 0U;
  // Without exponent bits a magnitude has at most Mx bits, so the exponent is 0 there.
  return static_cast<std::uint16_t>(sign | (static_cast<std::uint32_t>(exponent) << mx) | mantissa);
}

std::vector<std::int32_t> decode_integers(const MlsTensor& tensor) {
  std::vector<std::int32_t> table(std::size_t{1} << tensor.format.element.code_bits());
  for (std::size_t code = 0; code < table.size(); ++code) {
    table[code] = decode_element(tensor.format.element, static_cast<std::uint16_t>(code));
  }
  std::vector<std::int32_t> integers(tensor.codes.size());
  for (std::size_t i = 0; i < integers.size(); ++i) integers[i] = table[tensor.codes[i]];
  return integers;
}

Tensor<double> dequantize(const MlsTensor& tensor) {
  Tensor<double> result{tensor.shape, std::vector<double>(tensor.codes.size())};
  Dequantizer(tensor).run(0, result.values);
  return result;
}

Dequantizer::Dequantizer(const MlsTensor& tensor)
    : tensor_(&tensor), numbers_(std::size_t{1} << tensor.format.element.code_bits()) {
  for (std::size_t code = 0; code < numbers_.size(); ++code) {
    numbers_[code] = decode_element(tensor.format.element, static_cast<std::uint16_t>(code));
  }
}

void Dequantizer::run(std::size_t first, std::span<double> values) const {
  const int fraction_bits = tensor_->format.scale.fraction_bits;
  const int unit = tensor_->format.element.unit_exponent();
  const auto inner = static_cast<std::size_t>(tensor_->inner_size());
  const std::uint16_t* codes = tensor_->codes.data() + first;
  std::size_t group = first / inner;
  std::size_t stop = (group + 1) * inner - first;
  for (std::size_t i = 0; i < values.size(); ++group, stop += inner) {
    // Exact: 24 + 4 + 11 significant bits, and exponents far inside binary64's range.
    const double scale =
        std::ldexp(static_cast<double>(tensor_->tensor_scale) * ((1 << fraction_bits) + tensor_->group_fraction[group]),
                   -(fraction_bits + tensor_->group_exponent[group] + unit));
    for (const std::size_t end = std::min(stop, values.size()); i < end; ++i) values[i] = scale * numbers_[codes[i]];
  }
}

}  // namespace mlsim::models
