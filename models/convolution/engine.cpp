#include "models/convolution/engine.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <limits>

#include "models/convolution/cpu/scale_kernels.h"

namespace mlsim::models {
namespace {

SumBounds bounds_of(const ScaledFormat& left, const ScaledFormat& right, std::int64_t taps,
                    const Accumulator& accumulator) {
  SumBounds bounds;
  bounds.product = base::Int128{left.element.max_integer()} * right.element.max_integer();
  bounds.sum = bounds.product * taps;
  if (accumulator.bits != 0) {
    const base::Int128 highest = (base::Int128{1} << (accumulator.bits - 1)) - 1;
    bounds.narrow = bounds.sum > highest;
    bounds.sum = std::min(bounds.sum, highest + 1);
  }
  bounds.scaled = bounds.sum * left.scale.largest_significand() * right.scale.largest_significand();
  return bounds;
}

// Whether a tile with this exponent has a value.
bool has_values_at(const ScaledTensor& tensor, int exponent) {
  unsigned found = 0;
  tensor.grid().for_each_run(
      0, tensor.size(), [&](std::int64_t offset, std::int64_t length, std::int64_t tile, std::int64_t step) {
        const std::uint16_t* codes = tensor.codes.data() + offset;
        const TileScale* scales = tensor.scales.data() + tile;
        // Without branches, so that vectors do it.
        if (step == 1) {
          for (std::int64_t i = 0; i < length; ++i) {
            found |= static_cast<unsigned>(codes[i] != 0) & static_cast<unsigned>(scales[i].exponent == exponent);
          }
        } else if (scales->exponent == exponent) {
          for (std::int64_t i = 0; i < length; ++i) found |= static_cast<unsigned>(codes[i] != 0);
        }
      });
  return found != 0;
}

UnitRange range_of(const ScaledTensor& tensor) {
  // That of tiles without values, which need not fit anything.
  const int lowest = smallest_scale(tensor.format.scale).exponent;
  const ExponentRange range = exponent_range(tensor.scales);
  int smallest = range.smallest;
  const int largest = range.largest;
  constexpr int kSmall = -32;  // an exponent from which on it does not matter whether there are values
  if (smallest == lowest && lowest < kSmall && !has_values_at(tensor, lowest)) {
    smallest = std::numeric_limits<int>::max();
    for (const TileScale& scale : tensor.scales) {
      smallest = std::min(smallest, scale.exponent == lowest ? smallest : int{scale.exponent});
    }
  }
  const int unit = tensor.format.element.unit_exponent();
  if (smallest > largest) return {-unit, -unit};
  return {smallest - unit, largest - unit};
}

// Whether every element and every product of elements is a multiple of the smallest binary32 number.
bool are_multiples_of_smallest_float(UnitRange left, UnitRange right) {
  constexpr int kFinest = -149;
  return left.smallest >= kFinest && right.smallest >= kFinest && left.smallest + right.smallest >= kFinest;
}

// Bits in front of the binary point that hold every element.
int top_bits(const ScaledFormat& format, UnitRange units) {
  return units.largest + format.element.integer_bits() + format.scale.fraction_bits + 1;
}

// The same of every sum of a result.
int top_sum_bits(const ConvolutionRequest& request) {
  const auto taps =
      static_cast<std::uint64_t>(request.shape.outer_count(request.pass) * request.shape.inner_taps(request.pass));
  return top_bits(request.left.format, request.left_units) + top_bits(request.right.format, request.right_units) +
         static_cast<int>(std::bit_width(taps));
}

// Whether no result can leave binary32 above.
bool no_result_leaves_float(const ConvolutionRequest& request) {
  const int bits = top_sum_bits(request);
  return bits <= 126 && (request.tensor_scale == 0 || bits + std::ilogb(request.tensor_scale) < 126);
}

// Whether no element and no sum can leave binary32 above.
bool no_sum_leaves_float(const ConvolutionRequest& request) {
  constexpr int kLargest = 126;
  return std::max({top_bits(request.left.format, request.left_units),
                   top_bits(request.right.format, request.right_units), top_sum_bits(request)}) <= kLargest;
}

}  // namespace

ConvolutionRequest::ConvolutionRequest(Pass the_pass, const ConvolutionShape& the_shape, const ScaledTensor& the_left,
                                       const ScaledTensor& the_right, const Accumulator& the_accumulator)
    : pass(the_pass),
      shape(the_shape),
      left(the_left),
      right(the_right),
      accumulator(the_accumulator),
      reduction(pass, shape, left.format.layout, right.format.layout),
      bounds(bounds_of(left.format, right.format, reduction.taps(), accumulator)),
      left_units(range_of(left)),
      right_units(range_of(right)),
      tensor_scale(product_scale(pass, left, right)),
      fits_float(no_sum_leaves_float(*this)),
      results_fit_float(no_result_leaves_float(*this)),
      products_fit_float(are_multiples_of_smallest_float(left_units, right_units)),
      exact_float(fits_float && !bounds.narrow && bounds.scaled <= kFloatIntegers && products_fit_float) {
  assert(left.shape == shape.shape_of(left_operand(pass)) && right.shape == shape.shape_of(right_operand(pass)));
}

}  // namespace mlsim::models
