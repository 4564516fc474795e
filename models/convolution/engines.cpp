// Which engine computes what: the list, and why each does not take a request.
#include <algorithm>
#include <array>
#include <limits>
#include <string>

#include "models/convolution/cpu/block_convolution.h"
#include "models/convolution/cpu/block_product.h"
#include "models/convolution/cpu/depthwise_convolution.h"
#include "models/convolution/cpu/depthwise_gradient.h"
#include "models/convolution/cpu/dot_convolution.h"
#include "models/convolution/cpu/dot_kernels.h"
#include "models/convolution/cpu/plane_convolution.h"
#include "models/convolution/cpu/product_convolution.h"
#include "models/convolution/cpu/refusals.h"
#include "models/convolution/cpu/wide_convolution.h"
#include "models/convolution/engine.h"

namespace mlsim::models {
namespace {

// Dot products of bytes, in 32-bit integers.
Refusal refuse_bytes(const ConvolutionRequest& request) {
  if (!has_dot_products()) return "the processor has no dot products of bytes";
  if (Refusal refusal = refuse_tiles(request)) return refusal;
  if (request.shape.dilation != std::array<std::int64_t, 2>{1, 1}) return "the kernel is dilated";
  if (request.bounds.narrow) return "a narrow accumulator was asked for";
  if (!request.reduction.by_outer_index()) return "the whole reduction is one group";
  const base::Int128 k_left = request.left.format.element.max_integer();
  const base::Int128 k_right = request.right.format.element.max_integer();
  if (!request.fits_float) return "an element or a sum might leave binary32";
  if (Refusal refusal = refuse_large_elements(request)) return refusal;
  if (request.reduction.taps() * k_left * k_right >= base::Int128{1} << 31) return "a group's sum might leave 32 bits";
  if (request.bounds.scaled > kDoubleIntegers) return "a scaled sum might leave binary64's integers";
  if (!request.exact_float && request.pass != Pass::kBackwardWeight) return "a group may be no binary32 number";
  return std::nullopt;
}

std::uint64_t run_bytes(const ConvolutionRequest& request, float* results) {
  if (request.pass == Pass::kBackwardWeight) {
    sum_weight_bytes(request.shape, request.left, request.right, request.tensor_scale, request.exact_float, results);
  } else {
    correlate_bytes(request.pass, request.shape, request.left, request.right, request.tensor_scale, results);
  }
  return 0;
}

// Of the engines that sum in integers.
Refusal refuse_integers(const ConvolutionRequest& request) {
  if (request.bounds.narrow) return "a narrow accumulator was asked for";
  if (!request.fits_float) return "an element or a sum might leave binary32";
  if (request.bounds.sum >= base::Int128{1} << 31) return "a group's sum might leave 32 bits";
  constexpr int kSmallestNormal = -126;
  if (std::min(request.left_units.smallest, request.right_units.smallest) < kSmallestNormal ||
      !request.products_fit_float) {
    return "a scale may be no binary32 number";
  }
  return std::nullopt;
}

// The same, block by block.
Refusal refuse_integer_blocks(const ConvolutionRequest& request) {
  if (!refuse_tiles(request) && request.reduction.by_outer_index()) return "each outer index is a group";
  return refuse_integers(request);
}

Refusal refuse_large_bytes(const ConvolutionRequest& request) {
  if (!has_dot_products()) return "the processor has no dot products of bytes";
  return refuse_large_elements(request);
}

Refusal refuse_byte_blocks(const ConvolutionRequest& request) {
  if (Refusal refusal = refuse_large_bytes(request)) return refusal;
  return refuse_integer_blocks(request);
}

Refusal refuse_byte_products(const ConvolutionRequest& request) {
  if (Refusal refusal = block_product_refusal(request)) return refusal;
  if (Refusal refusal = refuse_large_bytes(request)) return refusal;
  if (request.pass != Pass::kBackwardWeight && request.reduction.longest_run() == 1) return "each channel is a group";
  return refuse_integers(request);
}

Refusal refuse_short_blocks(const ConvolutionRequest& request) {
  if (Refusal refusal = refuse_integer_blocks(request)) return refusal;
  constexpr std::int64_t kLargest = std::numeric_limits<std::int16_t>::max();
  if (request.left.format.element.max_integer() > kLargest || request.right.format.element.max_integer() > kLargest) {
    return "an element does not fit 16 bits";
  }
  return std::nullopt;
}

// Scales of tiles are in the elements.
Refusal refuse_double_blocks(const ConvolutionRequest& request) {
  if (request.bounds.narrow) return "a narrow accumulator was asked for";
  if (request.bounds.scaled > kDoubleIntegers) return "a scaled sum might leave binary64's integers";
  return std::nullopt;
}

GroupRounding rounding_of(const ConvolutionRequest& request) {
  if (request.exact_float) return GroupRounding::kExact;
  return request.bounds.sum <= kFloatIntegers ? GroupRounding::kSingle : GroupRounding::kDouble;
}

template <BlockElement kElement>
std::uint64_t run_blocks(const ConvolutionRequest& request, float* results) {
  sum_in_blocks(kElement, request, rounding_of(request), results);
  return 0;
}

std::uint64_t run_byte_products(const ConvolutionRequest& request, float* results) {
  multiply_in_blocks(request, rounding_of(request), results);
  return 0;
}

Refusal refuse_nothing(const ConvolutionRequest& /*request*/) {
  return std::nullopt;
}

constexpr std::array<Engine, 13> kEngines{{
    {"depthwise dot products of bytes", refuse_depthwise, correlate_depthwise},
    {"depthwise sums along planes of bytes", refuse_depthwise_gradient, sum_depthwise_gradient},
    {"matrix products in binary32", refuse_products, sum_products},
    {"matrix products of bytes", refuse_byte_products, run_byte_products},
    {"dot products of bytes", refuse_bytes, run_bytes},
    {"blocks of bytes", refuse_byte_blocks, run_blocks<BlockElement::kBytes>},
    {"blocks of 16 bits", refuse_short_blocks, run_blocks<BlockElement::kShorts>},
    {"binary32", refuse_float, sum_planes<float>},
    {"binary64", refuse_double, sum_planes<double>},
    {"blocks in binary64", refuse_double_blocks, run_blocks<BlockElement::kDoubles>},
    {"narrow registers in binary32", refuse_narrow_float, sum_planes<float>},
    {"narrow registers in binary64", refuse_narrow_double, sum_planes<double>},
    {"wide integers", refuse_nothing, wide_convolution},
}};

}  // namespace

std::span<const Engine> engines() {
  return kEngines;
}

std::vector<std::string> explain_choice(const ConvolutionRequest& request) {
  std::vector<std::string> lines;
  for (const Engine& engine : engines()) {
    const Refusal refusal = engine.refusal(request);
    lines.push_back(std::string(engine.name) + ": " + refusal.value_or("runs"));
    if (!refusal) break;
  }
  return lines;
}

}  // namespace mlsim::models
