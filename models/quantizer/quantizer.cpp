#include "models/quantizer/quantizer.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cassert>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <utility>
#include <vector>

#include "base/integers.h"
#include "base/parallel.h"
#include "models/quantizer/quantizer_datapath.h"
#include "models/quantizer/quantizer_kernels.h"

namespace mlsim::models {
namespace {

using Indices = tbb::blocked_range<std::size_t>;

// Elements that are worth a thread's while.
constexpr std::size_t kGrain = 16 * kRoundingBlock;

[[noreturn]] void refuse_first_nonfinite(std::span<const float> input, const Shape& shape, const std::string& name) {
  const auto first = std::find_if(input.begin(), input.end(), [](float x) { return !std::isfinite(x); });
  if (first == input.end()) {
    throw std::runtime_error(name + ": an element of another part of it is NaN or infinite, expected finite numbers");
  }
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
  TileGrid grid;
  bool zero = false;  // every element is
  float tensor_scale = 0;
  std::vector<TileScale> tiles;
  std::vector<float> factors;  // of each tile, as ElementScales has them
  std::vector<float> units;    // not for MLS
  bool tiny = false;           // some factor is too large for binary32 and stands for less (see kTinyStep)
};

// A power of two that lies between an element and its rounding unit may be above 2^127. Such elements, which are below
// 2^-100, are first multiplied by this.
constexpr int kTinyStep = 64;

// Largest magnitude, as bits, of every tile.
class TileMaxima {
 public:
  TileMaxima(std::span<const float> input, const Shape& shape, const TileGrid& grid)
      : input_(input), shape_(shape), grid_(grid), maxima_(static_cast<std::size_t>(grid.count()), 0) {
    const auto& tile = grid.layout().tile;
    const auto plane = shape_[0] * shape_[1] == 0 ? 1 : element_count(shape_) / (shape_[0] * shape_[1]);
    if (plane == 1 && tile[0] == 1 && tile[1] > 1 && shape_[1] % tile[1] == 0) {
      of_pieces(static_cast<std::size_t>(tile[1]));
    } else if (grid.layout().one_a_plane()) {
      of_pieces(static_cast<std::size_t>(plane));
    } else {
      of_blocks(plane);
    }
  }

  std::vector<std::uint32_t> take() { return std::move(maxima_); }

 private:
  // Every tile is the next `size` elements.
  void of_pieces(std::size_t size) {
    const std::size_t grain = std::max<std::size_t>(kGrain / std::max<std::size_t>(size, 1), 1);
    base::parallel_for(Indices(0, maxima_.size(), grain), [&](const Indices& range) {
      largest_magnitudes(input_.data() + range.begin() * size, range.size(), size, &maxima_[range.begin()]);
    });
  }

  // Tiles in blocks of dimensions 0 and 1, each block by one thread.
  void of_blocks(std::int64_t plane) {
    const auto& tile = grid_.layout().tile;
    const std::int64_t block0 = tile[0] == ScaleLayout::kWhole ? shape_[0] : tile[0];
    const std::int64_t block1 = tile[1] == ScaleLayout::kWhole ? shape_[1] : tile[1];
    // Where one block would have all the work, its maxima are found piece by piece.
    const std::int64_t blocks = grid_.extents()[0] * grid_.extents()[1];
    if (blocks == 0) return;
    if (blocks < 8 && grid_.layout().constant_over_planes()) return of_planes(plane);
    const auto elements = static_cast<std::size_t>(std::max<std::int64_t>(block0 * block1 * plane, 1));
    base::parallel_for(Indices(0, static_cast<std::size_t>(blocks), std::max<std::size_t>(kGrain / elements, 1)),
                       [&](const Indices& range) {
                         for (std::size_t block = range.begin(); block != range.end(); ++block) {
                           const std::int64_t first0 = static_cast<std::int64_t>(block) / grid_.extents()[1] * block0;
                           const std::int64_t first1 = static_cast<std::int64_t>(block) % grid_.extents()[1] * block1;
                           const std::int64_t count1 = std::min(block1, shape_[1] - first1);
                           for (std::int64_t i0 = first0; i0 < std::min(first0 + block0, shape_[0]); ++i0) {
                             raise((i0 * shape_[1] + first1) * plane, count1 * plane);
                           }
                         }
                       });
  }

  void raise(std::int64_t first, std::int64_t count) {
    grid_.for_each_run(first, count,
                       [&](std::int64_t offset, std::int64_t length, std::int64_t tile, std::int64_t step) {
                         const float* values = input_.data() + first + offset;
                         std::uint32_t* maximum = &maxima_[static_cast<std::size_t>(tile)];
                         if (step == 1) return raise_magnitudes(values, static_cast<std::size_t>(length), maximum);
                         std::uint32_t largest = 0;
                         largest_magnitudes(values, 1, static_cast<std::size_t>(length), &largest);
                         *maximum = std::max(*maximum, largest);
                       });
  }

  // Few tiles of whole planes: those of the planes first.
  void of_planes(std::int64_t plane) {
    const auto pairs = static_cast<std::size_t>(shape_[0] * shape_[1]);
    std::vector<std::uint32_t> magnitudes(pairs);
    base::parallel_for(Indices(0, pairs, std::max<std::size_t>(kGrain / static_cast<std::size_t>(plane), 1)),
                       [&](const Indices& range) {
                         largest_magnitudes(input_.data() + range.begin() * static_cast<std::size_t>(plane),
                                            range.size(), static_cast<std::size_t>(plane), &magnitudes[range.begin()]);
                       });
    for (std::size_t pair = 0; pair < pairs; ++pair) {
      const auto flat = static_cast<std::int64_t>(pair);
      std::uint32_t& maximum = maxima_[static_cast<std::size_t>(grid_.index(flat / shape_[1], flat % shape_[1]))];
      maximum = std::max(maximum, magnitudes[pair]);
    }
  }

  std::span<const float> input_;
  const Shape& shape_;
  const TileGrid& grid_;
  std::vector<std::uint32_t> maxima_;
};

// The power of two, of which what is not in binary32's normal numbers is left to kTinyStep.
float power_of_two(int exponent) {
  return std::ldexp(1.0F, exponent > 127 ? exponent - kTinyStep : exponent);
}

void find_mls_scales(const std::vector<std::uint32_t>& maxima, float maximum, const ScaledFormat& format,
                     Scales& scales) {
  const float xmax = format.rule == ScaleRule::kFit ? format.element.largest() : 1.0F;
  scales.tensor_scale = std::min(maximum / xmax, kLargestFloat);
  base::parallel_for(Indices(0, maxima.size(), kGrain), [&](const Indices& range) {
    const std::size_t first = range.begin();
    find_group_scales({format.scale, scales.tensor_scale, xmax}, &maxima[first], range.size(), &scales.tiles[first],
                      &scales.factors[first]);
  });
}

// s of the rule `floor` is a difference of exponents; subnormal maxima, zeros among them, take the longer way.
int mx_exponent(const ScaledFormat& format, int emax, std::uint32_t maximum) {
  const int exponent = static_cast<int>(maximum >> 23) - 127 - emax;
  if (format.rule != ScaleRule::kFloor || maximum >> 23 == 0) {
    return mx_scale_exponent(format, std::bit_cast<float>(maximum));
  }
  return std::clamp(exponent, -127, 127);
}

void find_mx_scales(const std::vector<std::uint32_t>& maxima, const ScaledFormat& format, Scales& scales) {
  scales.tensor_scale = 1;
  const int unit = format.element.unit_exponent();
  const int emax = std::ilogb(format.element.largest());
  std::array<float, 255> factors;
  std::array<float, 255> units;
  const auto index_of = [](int s) {
    const int index = s + 127;
    return static_cast<std::size_t>(index);
  };
  for (int s = -127; s <= 127; ++s) {
    factors[index_of(s)] = power_of_two(unit - s);
    units[index_of(s)] = std::ldexp(1.0F, s - unit);
  }
  std::atomic<bool> tiny = false;
  base::parallel_for(Indices(0, maxima.size(), kGrain), [&](const Indices& range) {
    int smallest = 127;
    for (std::size_t i = range.begin(); i != range.end(); ++i) {
      const int s = mx_exponent(format, emax, maxima[i]);
      smallest = std::min(smallest, s);
      scales.tiles[i] = {static_cast<std::int16_t>(s), 1};
      scales.factors[i] = factors[index_of(s)];
      scales.units[i] = units[index_of(s)];
    }
    if (unit - smallest > 127) tiny = true;
  });
  scales.tiny = tiny;
}

void find_nvfp4_scales(const std::vector<std::uint32_t>& maxima, float maximum, const ScaledFormat& format,
                       Scales& scales) {
  scales.tensor_scale = Nvfp4Scaler(maximum).tensor_scale();
  const float encode_scale = std::min(2688 / maximum, kLargestFloat) * (1.0F / 6.0F);
  base::parallel_for(Indices(0, maxima.size(), kGrain), [&](const Indices& range) {
    const std::size_t first = range.begin();
    find_nvfp4_tiles({encode_scale, scales.tensor_scale, format.element.unit_exponent()}, &maxima[first], range.size(),
                     &scales.tiles[first], &scales.factors[first], &scales.units[first]);
  });
}

// Raises maxima to those of the larger tensor that a tensor is a part of; returns the largest.
std::uint32_t raise(const TensorPart& part, std::uint32_t largest, std::vector<std::uint32_t>& maxima) {
  maxima.insert(maxima.begin(), largest);
  part.raise(maxima);
  largest = maxima.front();
  maxima.erase(maxima.begin());
  return largest;
}

Scales find_scales(std::span<const float> input, const Shape& shape, const ScaledFormat& format, const TensorPart* part,
                   const std::string& name) {
  if (shape.size() < 2 || shape.size() > 4) {
    throw std::runtime_error(name + ": has the shape " + to_string(shape) + ", expected 2 to 4 dimensions");
  }
  assert(element_count(shape) == static_cast<std::int64_t>(input.size()));
  Scales scales;
  scales.grid = TileGrid(format.layout, shape);
  std::vector<std::uint32_t> maxima = TileMaxima(input, shape, scales.grid).take();
  std::uint32_t largest = maxima.empty() ? 0 : *std::max_element(maxima.begin(), maxima.end());
  if (part != nullptr && part->raise) largest = raise(*part, largest, maxima);
  if (largest >= kInfinityBits) refuse_first_nonfinite(input, shape, name);
  const auto maximum = std::bit_cast<float>(largest);
  scales.tiles.assign(maxima.size(), smallest_scale(format.scale));
  scales.zero = largest == 0;
  if (scales.zero) {
    scales.tensor_scale = format.scale.kind == ScaleKind::kMls ? 0.0F : 1.0F;
    return scales;
  }
  scales.factors.resize(maxima.size());
  if (format.scale.kind != ScaleKind::kMls) scales.units.resize(maxima.size());
  switch (format.scale.kind) {
    case ScaleKind::kMls:
      find_mls_scales(maxima, maximum, format, scales);
      break;
    case ScaleKind::kE8m0:
      find_mx_scales(maxima, format, scales);
      break;
    case ScaleKind::kE4m3:
      find_nvfp4_scales(maxima, maximum, format, scales);
      break;
  }
  return scales;
}

// The scales of some neighbouring elements, one each.
class ElementScaleBuffer {
 public:
  ElementScales of(const Scales& scales, std::int64_t first, std::int64_t count) {
    const auto kept = [&](const std::vector<float>& of_tiles, float* buffer) -> const float* {
      if (of_tiles.empty()) return nullptr;
      const float* all = nullptr;  // where they lie side by side already
      scales.grid.for_each_run(first, count,
                               [&](std::int64_t offset, std::int64_t length, std::int64_t tile, std::int64_t step) {
                                 const float* value = &of_tiles[static_cast<std::size_t>(tile)];
                                 if (step == 1 && length == count) {
                                   all = value;
                                 } else if (step == 1) {
                                   std::copy_n(value, length, buffer + offset);
                                 } else {
                                   std::fill_n(buffer + offset, length, *value);
                                 }
                               });
      return all == nullptr ? buffer : all;
    };
    return {kept(scales.factors, factors_.data()), kept(scales.units, units_.data())};
  }

 private:
  alignas(64) std::array<float, kRoundingBlock> factors_;
  alignas(64) std::array<float, kRoundingBlock> units_;
};

// Elements that are too small for their factors come nearer to them.
void lift_tiny(const Scales& scales, int unit, std::int64_t first, std::span<float> values) {
  scales.grid.for_each_run(first, static_cast<std::int64_t>(values.size()),
                           [&](std::int64_t offset, std::int64_t length, std::int64_t tile, std::int64_t step) {
                             for (std::int64_t i = 0; i < length; ++i, tile += step) {
                               if (unit - scales.tiles[static_cast<std::size_t>(tile)].exponent > 127) {
                                 values[static_cast<std::size_t>(offset + i)] *= std::ldexp(1.0F, kTinyStep);
                               }
                             }
                           });
}

template <typename Output>
using Round = QuantizationCounts (*)(const ElementRounding&, const float*, const ElementScales&, const std::uint32_t*,
                                     std::size_t, Output*);

// Rounds every element with `round` (round_to_codes or round_to_values), block by block.
template <typename Output>
QuantizationCounts round_all(std::span<const float> input, const Scales& scales, const ScaledFormat& format,
                             const QuantizerOptions& options, Round<Output> round, Output* output) {
  const ElementRounding rounding{format.element, format.scale.kind, scales.tensor_scale, options.rounding,
                                 options.random_bits};
  const auto round_blocks = [&](const Indices& blocks, QuantizationCounts counts) {
    ElementScaleBuffer buffer;
    alignas(64) std::array<std::uint32_t, kRoundingBlock + kMoreWords> room;
    alignas(64) std::array<float, kRoundingBlock> lifted;
    for (std::size_t first = blocks.begin() * kRoundingBlock;
         first < std::min(blocks.end() * kRoundingBlock, input.size()); first += kRoundingBlock) {
      const std::size_t count = std::min(kRoundingBlock, input.size() - first);
      const ElementScales element_scales =
          buffer.of(scales, static_cast<std::int64_t>(first), static_cast<std::int64_t>(count));
      const std::uint32_t* const words =
          options.rounding == Rounding::kStochastic ? random_words(options, first, count, room.data()) : room.data();
      const float* values = input.data() + first;
      if (scales.tiny) {
        std::copy_n(values, count, lifted.begin());
        lift_tiny(scales, format.element.unit_exponent(), static_cast<std::int64_t>(first), {lifted.data(), count});
        values = lifted.data();
      }
      counts += round(rounding, values, element_scales, words, count, output + first);
    }
    return counts;
  };
  return base::parallel_reduce(Indices(0, base::ceiling(input.size(), kRoundingBlock), kGrain / kRoundingBlock),
                               QuantizationCounts{}, round_blocks,
                               [](QuantizationCounts a, const QuantizationCounts& b) { return a += b; });
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

QuantizedTensor quantize(std::span<const float> input, const Shape& shape, const ScaledFormat& format,
                         const QuantizerOptions& options, const std::string& name) {
  Scales scales = find_scales(input, shape, format, options.part, name);
  QuantizedTensor result;
  result.tensor = {format, shape, scales.tensor_scale, {}, std::vector<std::uint16_t>(input.size(), 0)};
  if (scales.zero) {
    result.counts.exact = input.size();
  } else {
    result.counts =
        round_all<std::uint16_t>(input, scales, format, options, round_to_codes, result.tensor.codes.data());
  }
  result.tensor.scales = std::move(scales.tiles);
  return result;
}

QuantizedTensor quantize(const Tensor<float>& input, const ScaledFormat& format, const QuantizerOptions& options,
                         const std::string& name) {
  return quantize(input.values, input.shape, format, options, name);
}

float quantize_scaled(std::span<const float> input, const Shape& shape, const ScaledFormat& format,
                      const QuantizerOptions& options, const std::string& name, std::span<float> output) {
  assert(output.size() == input.size());
  const Scales scales = find_scales(input, shape, format, options.part, name);
  if (scales.zero) {
    std::fill(output.begin(), output.end(), 0.0F);
  } else {
    round_all<float>(input, scales, format, options, round_to_values, output.data());
  }
  return scales.tensor_scale;
}

}  // namespace mlsim::models
