#include "models/quantizer/reference_quantizer.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <stdexcept>

#include "base/philox.h"
#include "models/quantizer/finite.h"

namespace mlsim::models {
namespace {

struct GroupScale {
  int exponent;  // h
  int fraction;  // f
};

// The smallest scale of the format that is not below the ratio, 0 <= ratio <= 1.
GroupScale smallest_scale(const ScaleFormat& format, float ratio) {
  const GroupScale smallest{format.max_exponent(), 0};
  if (ratio == 0) return smallest;
  int exponent = 0;
  const double significand = 2 * std::frexp(static_cast<double>(ratio), &exponent);  // in [1, 2)
  GroupScale scale{1 - exponent, static_cast<int>(std::ceil(std::ldexp(significand - 1, format.fraction_bits)))};
  if (scale.fraction == 1 << format.fraction_bits) {
    scale.fraction = 0;
    --scale.exponent;
  }
  return scale.exponent > format.max_exponent() ? smallest : scale;
}

// The code s | e | m of an integer of the format's grid: the exponent is the first at which k is a mantissa, with its
// hidden bit where the exponent is not 0, shifted.
std::uint16_t code_word(const ElementFormat& format, std::int32_t k, bool negative) {
  const std::int32_t hidden = 1 << format.mantissa_bits;
  std::int32_t e = 0;
  std::int32_t m = k;
  if (format.exponent_bits > 0 && k >= hidden) {
    for (e = 1; k >> (e - 1) >= 2 * hidden; ++e) continue;
    m = (k >> (e - 1)) - hidden;
  }
  const std::int32_t magnitude = e * hidden + m;
  const std::int32_t sign = negative && k != 0 ? 1 << (format.exponent_bits + format.mantissa_bits) : 0;
  return static_cast<std::uint16_t>(sign + magnitude);
}

}  // namespace

QuantizedTensor reference_quantize(const Tensor<float>& input, const MlsFormat& format, const QuantizerOptions& options,
                                   const std::string& name) {
  const Shape& shape = input.shape;
  if (shape.size() < 2 || shape.size() > 4) {
    throw std::runtime_error(name + ": has " + std::to_string(shape.size()) + " dimensions, expected 2 to 4");
  }
  assert(element_count(shape) == input.size());

  QuantizedTensor result;
  MlsTensor& tensor = result.tensor;
  tensor.format = format;
  tensor.shape = shape;
  const auto d0 = static_cast<std::size_t>(shape[0]);
  const auto d1 = static_cast<std::size_t>(shape[1]);
  const auto inner = static_cast<std::size_t>(tensor.inner_size());
  tensor.group_exponent.assign(d0 * d1, static_cast<std::uint8_t>(format.scale.max_exponent()));
  tensor.group_fraction.assign(d0 * d1, 0);
  tensor.codes.assign(input.values.size(), 0);

  // 1. The tensor's scale.
  check_finite(input, name);
  for (const float x : input.values) tensor.tensor_scale = std::max(tensor.tensor_scale, std::fabs(x));
  if (tensor.tensor_scale == 0) {
    result.counts.exact = input.values.size();
    return result;
  }

  // 2. and 3. The groups' scales.
  // A tile's number: how many blocks of its dimension come before the index; a whole dimension is one block.
  const auto block_of = [](std::size_t index, std::int64_t block) {
    return block == ScaleLayout::kWhole ? 0 : index / static_cast<std::size_t>(block);
  };
  const auto group_of = [&](std::size_t i0, std::size_t i1) {
    return block_of(i0, format.layout.tile[0]) * d1 + block_of(i1, format.layout.tile[1]);
  };
  std::vector<float> group_maximum(d0 * d1, 0);
  for (std::size_t pair = 0; pair < d0 * d1; ++pair) {
    float& maximum = group_maximum[group_of(pair / d1, pair % d1)];
    for (std::size_t i = pair * inner; i < (pair + 1) * inner; ++i) {
      maximum = std::max(maximum, std::fabs(input.values[i]));
    }
  }
  for (std::size_t pair = 0; pair < d0 * d1; ++pair) {
    const float ratio = group_maximum[group_of(pair / d1, pair % d1)] / tensor.tensor_scale;
    const GroupScale scale = smallest_scale(format.scale, ratio);
    tensor.group_exponent[pair] = static_cast<std::uint8_t>(scale.exponent);
    tensor.group_fraction[pair] = static_cast<std::uint8_t>(scale.fraction);
  }

  // 4. to 7. The elements.
  const int mx = format.element.mantissa_bits;
  for (std::size_t i = 0; i < input.values.size(); ++i) {
    const std::size_t pair = i / inner;
    const float group_scale =
        std::ldexp(static_cast<float>((1 << format.scale.fraction_bits) + tensor.group_fraction[pair]),
                   -(format.scale.fraction_bits + tensor.group_exponent[pair]));
    const float ratio = std::fabs(input.values[i]) / tensor.tensor_scale;
    const float v = ratio / group_scale;
    const double w = std::ldexp(static_cast<double>(v), format.element.unit_exponent());
    const int d = w == 0 || format.element.exponent_bits == 0 ? 0 : std::max(std::ilogb(w) - mx, 0);
    const double n = std::ldexp(w, -d);
    double rounded = std::floor(n);
    if (options.rounding == Rounding::kNearest) {
      const double fraction = n - rounded;
      if (fraction > 0.5 || (fraction == 0.5 && std::fmod(rounded, 2.0) == 1.0)) rounded += 1;
    } else {
      const std::uint32_t rho = base::random_word(options.seed, options.stream, i) >> (32 - options.random_bits);
      if (n - rounded >= 1 - std::ldexp(static_cast<double>(rho), -options.random_bits)) rounded += 1;
    }
    const double magnitude = std::ldexp(rounded, d);
    const double largest = format.element.max_integer();
    const auto k = static_cast<std::int32_t>(std::min(magnitude, largest));
    tensor.codes[i] = code_word(format.element, k, std::signbit(input.values[i]));

    if (magnitude > largest) ++result.counts.saturated;
    if (k == 0 && input.values[i] != 0) ++result.counts.flushed_to_zero;
    const double value =
        std::ldexp(static_cast<double>(tensor.tensor_scale) * group_scale * k, -format.element.unit_exponent());
    if (value == std::fabs(static_cast<double>(input.values[i]))) ++result.counts.exact;
  }
  return result;
}

}  // namespace mlsim::models
