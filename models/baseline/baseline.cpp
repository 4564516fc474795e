#include "models/baseline/baseline.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cmath>
#include <functional>
#include <stdexcept>

#include "base/integers.h"
#include "base/parallel.h"
#include "models/baseline/baseline_kernels.h"
#include "models/convolution/cpu/direct_convolution.h"
#include "models/quantizer/finite.h"
#include "models/quantizer/quantizer_kernels.h"

namespace mlsim::models {
namespace {

std::uint32_t encode_float(const BaselineLayout& layout, float value) {
  const std::uint32_t sign = std::signbit(value) ? 1U << (layout.exponent_bits + layout.mantissa_bits) : 0U;
  const int bias = (1 << (layout.exponent_bits - 1)) - 1;
  const double magnitude = std::fabs(static_cast<double>(value));
  if (magnitude == 0) return sign;
  if (std::isinf(magnitude) && layout.overflows_to_infinity) {
    return sign | (((1U << layout.exponent_bits) - 1) << layout.mantissa_bits);
  }
  const int binade = std::max(std::ilogb(magnitude), 1 - bias);
  // An integer number of the binade's last places; nearbyint rounds ties to even in the default mode.
  const double places = std::nearbyint(std::ldexp(magnitude, layout.mantissa_bits - binade));
  const double rounded = std::ldexp(places, binade - layout.mantissa_bits);
  if (rounded > layout.largest) {
    return encode_float(layout, std::copysign(layout.overflows_to_infinity ? INFINITY : layout.largest, value));
  }
  // Codes count upwards in last places: a rounding up into the next binade carries into the exponent by itself.
  const auto subnormal_base = static_cast<std::uint32_t>(binade - (1 - bias)) << layout.mantissa_bits;
  return sign | (subnormal_base + static_cast<std::uint32_t>(places));
}

float decode_float(const BaselineLayout& layout, std::uint32_t code) {
  const std::uint32_t mantissa = code & ((1U << layout.mantissa_bits) - 1);
  const int top = (1 << layout.exponent_bits) - 1;
  const int exponent = static_cast<int>(code >> layout.mantissa_bits) & top;
  const int bias = (1 << (layout.exponent_bits - 1)) - 1;
  float magnitude = 0;
  if (std::ilogb(layout.largest) == top - bias) {
    // The top exponent is that of finite numbers, as in e4m3, which has no infinity: all ones is the only NaN.
    if (exponent == top && mantissa == (1U << layout.mantissa_bits) - 1) magnitude = NAN;
  } else if (exponent == top) {
    magnitude = mantissa == 0 ? INFINITY : NAN;
  }
  if (magnitude == 0) {
    const auto significand = static_cast<float>(exponent == 0 ? mantissa : mantissa | (1U << layout.mantissa_bits));
    magnitude = std::ldexp(significand, std::max(exponent, 1) - bias - layout.mantissa_bits);
  }
  const bool negative = ((code >> (layout.exponent_bits + layout.mantissa_bits)) & 1) != 0;
  return negative ? -magnitude : magnitude;
}

float scale_of(BaselineFormat format, float maximum) {
  const BaselineLayout& layout = layout_of(format);
  if (maximum == 0 || layout.has_range_of_binary32()) return 1;
  if (layout.is_integer()) return std::max(maximum / layout.largest, 0x1p-149F);
  int exponent = std::ilogb(maximum) - std::ilogb(layout.largest);
  if (std::ldexp(static_cast<double>(maximum), -exponent) > layout.largest) ++exponent;
  return std::ldexp(1.0F, std::max(exponent, -126));
}

constexpr std::size_t kGrainBlocks = 16;  // blocks that are worth a thread's while
using Indices = tbb::blocked_range<std::size_t>;

void round_all(std::span<const float> input, const BaselineGrid& grid, float scale, const QuantizerOptions& options,
               float* output) {
  const GridRounding rounding{grid, scale, options.rounding, options.random_bits};
  const std::size_t blocks = base::ceiling(input.size(), kRoundingBlock);
  base::parallel_for(Indices(0, blocks, kGrainBlocks), [&](const Indices& range) {
    alignas(64) std::array<std::uint32_t, kRoundingBlock + kMoreWords> room{};
    for (std::size_t block = range.begin(); block != range.end(); ++block) {
      const std::size_t first = block * kRoundingBlock;
      const std::size_t count = std::min(kRoundingBlock, input.size() - first);
      const std::uint32_t* const words =
          options.rounding == Rounding::kStochastic ? random_words(options, first, count, room.data()) : room.data();
      round_to_grid(rounding, &input[first], words, count, output + first);
    }
  });
}

// Takes sums to 32-bit integers, times `scale`; returns how many did not fit.
std::uint64_t wrap_sums(std::span<const double> sums, float scale, float* values) {
  return base::parallel_reduce(
      Indices(0, sums.size(), kGrainBlocks * kRoundingBlock), std::uint64_t{0},
      [&](const Indices& range, std::uint64_t overflows) {
        for (std::size_t i = range.begin(); i != range.end(); ++i) {
          const auto wrapped =
              static_cast<std::int32_t>(static_cast<std::uint64_t>(static_cast<std::int64_t>(sums[i])));
          overflows += static_cast<std::uint64_t>(wrapped != sums[i]);
          values[i] = static_cast<float>(wrapped) * scale;
        }
        return overflows;
      },
      std::plus<>());
}

}  // namespace

BaselineGrid grid_of(BaselineFormat format) {
  const BaselineLayout& layout = layout_of(format);
  if (layout.is_integer()) {
    // Every magnitude is below its smallest normal number: the steps are all the same.
    return {.scaling = BaselineScaling::kInteger,
            .mantissa_bits = 0,
            .smallest_normal = kInfinityBits + 1,
            .step = 1,
            .inverse_step = 1,
            .largest = std::bit_cast<std::uint32_t>(layout.largest),
            .negative_zero = false};
  }
  if (layout.has_range_of_binary32()) {
    // Binary32's own exponents: its subnormal encodings lose their low bits as the others do.
    return {.scaling = BaselineScaling::kNone,
            .mantissa_bits = layout.mantissa_bits,
            .smallest_normal = 0,
            .step = 0,
            .inverse_step = 0,
            .largest = kInfinityBits,
            .negative_zero = true};
  }
  const int smallest_exponent = 2 - (1 << (layout.exponent_bits - 1));
  return {.scaling = BaselineScaling::kPowerOfTwo,
          .mantissa_bits = layout.mantissa_bits,
          .smallest_normal = static_cast<std::uint32_t>(127 + smallest_exponent) << 23,
          .step = std::ldexp(1.0F, smallest_exponent - layout.mantissa_bits),
          .inverse_step = std::ldexp(1.0F, layout.mantissa_bits - smallest_exponent),
          .largest = std::bit_cast<std::uint32_t>(layout.largest),
          .negative_zero = true};
}

std::uint32_t encode_baseline(BaselineFormat format, float value) {
  if (format == BaselineFormat::kFp32) return std::bit_cast<std::uint32_t>(value);
  const BaselineLayout& layout = layout_of(format);
  if (!layout.is_integer()) return encode_float(layout, value);
  const float clamped = std::clamp(std::nearbyint(value), -layout.largest, layout.largest);
  return static_cast<std::uint32_t>(static_cast<std::int32_t>(clamped)) & ((2U << layout.mantissa_bits) - 1);
}

float decode_baseline(BaselineFormat format, std::uint32_t code) {
  if (format == BaselineFormat::kFp32) return std::bit_cast<float>(code);
  const BaselineLayout& layout = layout_of(format);
  if (!layout.is_integer()) return decode_float(layout, code);
  const std::int64_t range = std::int64_t{2} << layout.mantissa_bits;
  const std::int64_t value = code % range;
  return static_cast<float>(value < range / 2 ? value : value - range);
}

float quantize_baseline_scaled(std::span<const float> input, const Shape& shape, BaselineFormat format,
                               const QuantizerOptions& options, const std::string& name, std::span<float> output) {
  assert(output.size() == input.size());
  const std::size_t blocks = base::ceiling(input.size(), kRoundingBlock);
  const auto largest_of = [&](const Indices& range, std::uint32_t largest) {
    const std::size_t end = std::min(range.end() * kRoundingBlock, input.size());
    for (std::size_t i = range.begin() * kRoundingBlock; i < end; ++i) {
      largest = std::max(largest, std::bit_cast<std::uint32_t>(input[i]) & 0x7FFFFFFF);
    }
    return largest;
  };
  std::uint32_t largest = base::parallel_reduce(Indices(0, blocks, kGrainBlocks), std::uint32_t{0}, largest_of,
                                                [](std::uint32_t a, std::uint32_t b) { return std::max(a, b); });
  if (options.part != nullptr && options.part->raise) {
    std::array maxima{largest, largest};  // the tensor is one tile
    options.part->raise(maxima);
    largest = maxima[0];
  }
  if (largest >= kInfinityBits) {
    check_finite(input, shape, name);
    throw std::runtime_error(name + ": an element of another part of it is NaN or infinite, expected finite numbers");
  }
  const float scale = scale_of(format, std::bit_cast<float>(largest));
  if (format == BaselineFormat::kFp32) {
    std::copy(input.begin(), input.end(), output.begin());
  } else {
    round_all(input, grid_of(format), scale, options, output.data());
  }
  return scale;
}

BaselineTensor quantize_baseline(std::span<const float> input, const Shape& shape, BaselineFormat format,
                                 const QuantizerOptions& options, const std::string& name) {
  BaselineTensor result{format, shape, 1, std::vector<float>(input.size()), {}};
  result.scale = quantize_baseline_scaled(input, shape, format, options, name, result.values);
  result.counts = base::parallel_reduce(
      Indices(0, input.size(), kGrainBlocks * kRoundingBlock), QuantizationCounts{},
      [&](const Indices& range, QuantizationCounts counts) {
        return counts +=
               count_rounded(result.scale, &input[range.begin()], &result.values[range.begin()], range.size());
      },
      [](QuantizationCounts a, const QuantizationCounts& b) { return a += b; });
  return result;
}

BaselineTensor quantize_baseline(const Tensor<float>& input, BaselineFormat format, const QuantizerOptions& options,
                                 const std::string& name) {
  return quantize_baseline(input.values, input.shape, format, options, name);
}

BaselineTensor quantize_baseline(const Tensor<float>& input, BaselineFormat format, const std::string& name) {
  return quantize_baseline(input, format, QuantizerOptions{}, name);
}

std::vector<std::uint32_t> encode_baseline(const BaselineTensor& tensor) {
  std::vector<std::uint32_t> codes;
  codes.reserve(tensor.values.size());
  for (const float value : tensor.values) codes.push_back(encode_baseline(tensor.format, value));
  return codes;
}

Tensor<double> dequantize(const BaselineTensor& tensor) {
  Tensor<double> result{tensor.shape, std::vector<double>(tensor.values.size())};
  base::parallel_for(Indices(0, tensor.values.size(), kGrainBlocks * kRoundingBlock), [&](const Indices& range) {
    for (std::size_t i = range.begin(); i != range.end(); ++i) {
      result.values[i] = static_cast<double>(tensor.scale) * static_cast<double>(tensor.values[i]);
    }
  });
  return result;
}

ConvolutionResult baseline_convolution(Pass pass, const ConvolutionShape& shape, const BaselineTensor& left,
                                       const BaselineTensor& right) {
  if (layout_of(left.format).is_integer() != layout_of(right.format).is_integer()) {
    throw std::runtime_error(to_string(pass) + ": " + to_string(left.format) + " and " + to_string(right.format) +
                             " do not multiply: int8 goes with int8 alone");
  }
  const float scale = product_scale(pass, left.scale, right.scale);
  ConvolutionResult result;
  result.values.shape = shape.result_shape(pass);
  result.counts.mantissa_multiplies = shape.multiply_adds(pass);
  result.counts.integer_adds = result.counts.mantissa_multiplies;
  // Sums of int8 products are exact in binary32 below 2^10 terms, in binary64 below 2^39.
  if (layout_of(left.format).is_integer() && shape.outer_count(pass) * shape.inner_taps(pass) >= 1 << 10) {
    const std::vector<double> sums = direct_convolution<double>(pass, shape, left.values, right.values);
    result.values.values.resize(sums.size());
    result.counts.overflows = wrap_sums(sums, scale, result.values.values.data());
  } else {
    result.values.values = direct_convolution<float>(pass, shape, left.values, right.values);
    base::parallel_for(Indices(0, result.values.values.size(), kGrainBlocks * kRoundingBlock),
                       [&](const Indices& range) {
                         for (std::size_t i = range.begin(); i != range.end(); ++i) result.values.values[i] *= scale;
                       });
  }
  return result;
}

}  // namespace mlsim::models
