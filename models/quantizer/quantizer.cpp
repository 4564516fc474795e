#include "models/quantizer/quantizer.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cmath>
#include <stdexcept>
#include <vector>

#include "base/parallel.h"
#include "models/quantizer/quantizer_kernels.h"

namespace mlsim::models {
namespace {

using Range = tbb::blocked_range<std::size_t>;

constexpr std::uint32_t kInfinityBits = 0x7F800000;
// Elements rounded at a time: their scales and random words stay in the first-level cache. A multiple of 4, so that
// Philox blocks are never cut.
constexpr std::size_t kBlock = 1024;
// Elements that are worth a thread's while.
constexpr std::size_t kGrain = 16 * kBlock;

[[noreturn]] void refuse_first_nonfinite(std::span<const float> input, const Shape& shape, const std::string& name) {
  const auto first = std::find_if(input.begin(), input.end(), [](float x) { return !std::isfinite(x); });
  auto flat = static_cast<std::int64_t>(first - input.begin());
  std::string index;
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    index.insert(0, (axis == 0 ? "" : ", ") + std::to_string(flat % shape[axis]));
    flat /= shape[axis];
  }
  throw std::runtime_error(name + ": the element at [" + index + "] is " + (std::isnan(*first) ? "NaN" : "infinite") +
                           ", expected a finite number");
}

// The scales of a tensor, its inputs being checked.
struct Scales {
  std::size_t inner = 1;               // elements of an index pair of dimensions 0 and 1
  float tensor_scale = 0;              // S_t
  std::vector<std::uint8_t> exponent;  // h of each index pair
  std::vector<std::uint8_t> fraction;  // f
  std::vector<float> scale;            // S_g
};

// Largest magnitude, as bits, of the tile of each index pair, from those of the pairs.
void spread_over_tiles(std::vector<std::uint32_t>& magnitudes, std::int64_t d0, std::int64_t d1,
                       const ScaleLayout& layout) {
  if (layout == grouping::kNc) return;
  std::vector<std::uint32_t> largest(static_cast<std::size_t>(layout.count(d0, d1)), 0);
  const auto for_each_pair = [&](const auto& use) {
    std::size_t pair = 0;
    for (std::int64_t i0 = 0; i0 < d0; ++i0) {
      const std::int64_t first = layout.index(i0, 0, d1);
      for (std::int64_t i1 = 0; i1 < d1; ++i1, ++pair) {
        use(magnitudes[pair], largest[static_cast<std::size_t>(first + layout.tile_of(1, i1))]);
      }
    }
  };
  for_each_pair([](std::uint32_t magnitude, std::uint32_t& of_tile) { of_tile = std::max(of_tile, magnitude); });
  for_each_pair([](std::uint32_t& magnitude, std::uint32_t of_tile) { magnitude = of_tile; });
}

Scales find_scales(std::span<const float> input, const Shape& shape, const MlsFormat& format, const std::string& name) {
  if (shape.size() < 2 || shape.size() > 4) {
    throw std::runtime_error(name + ": has " + std::to_string(shape.size()) + " dimensions, expected 2 to 4");
  }
  assert(element_count(shape) == static_cast<std::int64_t>(input.size()));
  const auto d0 = static_cast<std::size_t>(shape[0]);
  const auto d1 = static_cast<std::size_t>(shape[1]);
  const std::size_t pairs = d0 * d1;
  Scales scales;
  scales.inner = pairs == 0 ? 1 : input.size() / pairs;
  const int smallest = format.scale.max_exponent();
  scales.exponent.assign(pairs, static_cast<std::uint8_t>(smallest));
  scales.fraction.assign(pairs, 0);

  std::vector<std::uint32_t> magnitudes(pairs);
  const auto largest_of = [&](const Range& range, std::uint32_t largest) {
    largest_magnitudes(input.data() + range.begin() * scales.inner, range.size(), scales.inner,
                       &magnitudes[range.begin()]);
    for (std::size_t pair = range.begin(); pair != range.end(); ++pair) largest = std::max(largest, magnitudes[pair]);
    return largest;
  };
  const std::size_t grain = std::max<std::size_t>(kGrain / std::max<std::size_t>(scales.inner, 1), 1);
  const std::uint32_t largest = base::parallel_reduce(Range(0, pairs, grain), std::uint32_t{0}, largest_of,
                                                      [](std::uint32_t a, std::uint32_t b) { return std::max(a, b); });
  if (largest >= kInfinityBits) refuse_first_nonfinite(input, shape, name);
  scales.tensor_scale = std::bit_cast<float>(largest);
  if (largest == 0) return scales;

  spread_over_tiles(magnitudes, shape[0], shape[1], format.layout);
  scales.scale.resize(pairs);
  base::parallel_for(Range(0, pairs, kGrain), [&](const Range& range) {
    const std::size_t first = range.begin();
    find_group_scales(&magnitudes[first], range.size(), scales.tensor_scale, format.scale, &scales.exponent[first],
                      &scales.fraction[first], &scales.scale[first]);
  });
  return scales;
}

// Rounds every element with `round` (round_to_codes or round_to_values), block by block.
template <typename Output>
QuantizationCounts round_all(std::span<const float> input, const Scales& scales, const MlsFormat& format,
                             const QuantizerOptions& options,
                             QuantizationCounts (*round)(const ElementRounding&, const float*, const float*,
                                                         const std::uint32_t*, std::size_t, Output*),
                             Output* output) {
  const ElementRounding rounding{format.element, scales.tensor_scale, options.rounding, options.random_bits};
  const auto round_blocks = [&](const Range& blocks, QuantizationCounts counts) {
    alignas(64) std::array<float, kBlock> group_scales;
    alignas(64) std::array<std::uint32_t, kBlock> words;
    for (std::size_t first = blocks.begin() * kBlock; first < std::min(blocks.end() * kBlock, input.size());
         first += kBlock) {
      const std::size_t count = std::min(kBlock, input.size() - first);
      const float* element_scales = group_scales.data();
      if (scales.inner == 1) {
        element_scales = &scales.scale[first];
      } else {
        std::size_t pair = first / scales.inner;
        std::size_t end = (pair + 1) * scales.inner - first;
        for (std::size_t i = 0; i < count; end += scales.inner) {
          const float scale = scales.scale[pair++];
          for (const std::size_t stop = std::min(count, end); i < stop; ++i) group_scales[i] = scale;
        }
      }
      if (options.rounding == Rounding::kStochastic) {
        random_words(options.seed, options.stream, first, (count + 3) / 4 * 4, words.data());
      }
      counts += round(rounding, input.data() + first, element_scales, words.data(), count, output + first);
    }
    return counts;
  };
  return base::parallel_reduce(Range(0, (input.size() + kBlock - 1) / kBlock, kGrain / kBlock), QuantizationCounts{},
                               round_blocks, [](QuantizationCounts a, const QuantizationCounts& b) { return a += b; });
}

}  // namespace

Rounding parse_rounding(const std::string& text) {
  if (text == "nearest") return Rounding::kNearest;
  if (text == "stochastic") return Rounding::kStochastic;
  throw std::runtime_error("rounding '" + text + "' is neither nearest nor stochastic");
}

std::string to_string(Rounding rounding) {
  return rounding == Rounding::kNearest ? "nearest" : "stochastic";
}

QuantizedTensor quantize(std::span<const float> input, const Shape& shape, const MlsFormat& format,
                         const QuantizerOptions& options, const std::string& name) {
  Scales scales = find_scales(input, shape, format, name);
  QuantizedTensor result;
  result.tensor.codes.assign(input.size(), 0);
  if (scales.tensor_scale == 0) {
    result.counts.exact = input.size();
  } else {
    result.counts = round_all(input, scales, format, options, round_to_codes, result.tensor.codes.data());
  }
  result.tensor.format = format;
  result.tensor.shape = shape;
  result.tensor.tensor_scale = scales.tensor_scale;
  result.tensor.group_exponent = std::move(scales.exponent);
  result.tensor.group_fraction = std::move(scales.fraction);
  return result;
}

QuantizedTensor quantize(const Tensor<float>& input, const MlsFormat& format, const QuantizerOptions& options,
                         const std::string& name) {
  return quantize(input.values, input.shape, format, options, name);
}

float quantize_scaled(std::span<const float> input, const Shape& shape, const MlsFormat& format,
                      const QuantizerOptions& options, const std::string& name, std::span<float> output) {
  assert(output.size() == input.size());
  const Scales scales = find_scales(input, shape, format, name);
  if (scales.tensor_scale == 0) {
    std::fill(output.begin(), output.end(), 0.0F);
  } else {
    round_all(input, scales, format, options, round_to_values, output.data());
  }
  return scales.tensor_scale;
}

}  // namespace mlsim::models
