#include "models/convolution/reference/reference_convolution.h"

#include <cassert>
#include <cmath>
#include <functional>
#include <stdexcept>

namespace mlsim::models {
namespace {

__extension__ using Wide = __int128;

// Q · 2^-shift to the nearest binary32, ties to even, subnormal results included.
float round_to_binary32(Wide q, int shift) {
  const bool negative = q < 0;
  Wide magnitude = negative ? -q : q;
  if (magnitude == 0) return 0;
  int top = 0;
  while (magnitude >> top != 0) ++top;
  // The exponent of the last place of the result, never below that of the subnormal numbers.
  const int last_place = std::max(top - 24 - shift, -149);
  const int dropped = last_place + shift;
  if (dropped > 0) {
    if (dropped > 126) return negative ? -0.0F : 0.0F;
    const Wide unit = Wide{1} << dropped;
    Wide quotient = magnitude / unit;
    const Wide remainder = magnitude % unit;
    if (2 * remainder > unit || (2 * remainder == unit && quotient % 2 == 1)) ++quotient;
    magnitude = quotient;
  }
  const double value = std::ldexp(static_cast<double>(magnitude), dropped > 0 ? last_place : -shift);
  return static_cast<float>(negative ? -value : value);
}

struct Element {
  Wide k = 0;
  int h = 0;
  int f = 0;
};

Element element_at(const MlsTensor& t, std::int64_t i0, std::int64_t i1, std::int64_t i2, std::int64_t i3) {
  const std::int64_t pair = i0 * t.shape[1] + i1;
  const std::uint16_t code = t.codes[static_cast<std::size_t>((pair * t.shape[2] + i2) * t.shape[3] + i3)];
  const int mx = t.format.element.mantissa_bits;
  const int ex = t.format.element.exponent_bits;
  const int m = code % (1 << mx);
  const int e = (code >> mx) % (1 << ex);
  Wide k = m;
  if (e > 0) k = Wide{(1 << mx) + m} << (e - 1);
  if (code >> (ex + mx) == 1) k = -k;
  return {k, t.group_exponent[static_cast<std::size_t>(pair)], t.group_fraction[static_cast<std::size_t>(pair)]};
}

// Whether neither scale depends on the outer index, which a pass sums over besides the taps: the input channel of
// activation and weight, the output channel of error and weight, the image of error and activation.
bool is_one_group(Pass pass, const ScaleLayout& left, const ScaleLayout& right) {
  constexpr std::int64_t kWhole = ScaleLayout::kWhole;
  if (pass == Pass::kForward) return left.tile[1] == kWhole && right.tile[1] == kWhole;
  if (pass == Pass::kBackwardData) return left.tile[1] == kWhole && right.tile[0] == kWhole;
  return left.tile[0] == kWhole && right.tile[0] == kWhole;
}

}  // namespace

ConvolutionResult reference_convolution(Pass pass, const ConvolutionShape& shape, const MlsTensor& left,
                                        const MlsTensor& right, const Accumulator& accumulator) {
  assert(left.shape == shape.shape_of(left_operand(pass)) && right.shape == shape.shape_of(right_operand(pass)));
  const std::int64_t oh = shape.out_size()[0];
  const std::int64_t ow = shape.out_size()[1];
  const std::int64_t ih = shape.in_size[0];
  const std::int64_t iw = shape.in_size[1];
  const std::int64_t kh = shape.kernel[0];
  const std::int64_t kw = shape.kernel[1];
  const std::int64_t sh = shape.stride[0];
  const std::int64_t sw = shape.stride[1];
  const std::int64_t ph = shape.padding[0];
  const std::int64_t pw = shape.padding[1];
  const std::int64_t cin = shape.in_channels / shape.groups;
  const std::int64_t cout = shape.out_channels / shape.groups;

  const ElementFormat& lf = left.format.element;
  const ElementFormat& rf = right.format.element;
  const bool has_exponent = lf.exponent_bits > 0 || rf.exponent_bits > 0;
  const bool merged = is_one_group(pass, left.format.layout, right.format.layout);
  // Nominal taps of a group, and the bits that their number needs.
  std::int64_t taps = pass == Pass::kBackwardWeight ? oh * ow : kh * kw;
  if (merged) taps *= pass == Pass::kForward ? cin : pass == Pass::kBackwardData ? cout : shape.batch;
  int tap_bits = 0;
  while (std::int64_t{1} << tap_bits < taps) ++tap_bits;
  const int bits = accumulator.bits != 0 ? accumulator.bits : lf.unit_exponent() + rf.unit_exponent() + tap_bits + 1;
  const Wide highest = (Wide{1} << (bits - 1)) - 1;
  const Wide lowest = -highest - 1;
  const int scale_bits = left.format.scale.fraction_bits + right.format.scale.fraction_bits;
  const int unit = lf.unit_exponent() + rf.unit_exponent();
  const float tensor_scale = left.tensor_scale * right.tensor_scale;
  if (std::isinf(tensor_scale)) {
    throw std::runtime_error(to_string(pass) + ": the product of the tensor scales of " +
                             to_string(left_operand(pass)) + " and " + to_string(right_operand(pass)) +
                             " is beyond binary32");
  }

  ConvolutionResult result;
  OperationCounts& counts = result.counts;
  result.values.shape = shape.result_shape(pass);

  Wide p = 0;
  Element last_left;
  Element last_right;
  bool group_has_taps = false;
  float y = 0;

  const auto tap = [&](const Element& a, const Element& b) {
    Wide sum = p + a.k * b.k;
    if (sum < lowest || sum > highest) {
      ++counts.overflows;
      if (accumulator.overflow == Overflow::kSaturate) {
        sum = sum < lowest ? lowest : highest;
      } else {
        // Congruent to the sum, in range; a remainder has the sign of the dividend.
        const Wide modulus = Wide{1} << bits;
        const Wide remainder = (sum - lowest) % modulus;
        sum = lowest + (remainder < 0 ? remainder + modulus : remainder);
      }
    }
    p = sum;
    last_left = a;
    last_right = b;
    group_has_taps = true;
    ++counts.mantissa_multiplies;
    ++counts.integer_adds;
    if (has_exponent) ++counts.exponent_adds;
    if (has_exponent) ++counts.shifts;
  };
  const auto end_of_group = [&] {
    float q = 0;
    if (group_has_taps) {
      const Wide left_fraction = (1 << left.format.scale.fraction_bits) + last_left.f;
      const Wide right_fraction = (1 << right.format.scale.fraction_bits) + last_right.f;
      q = round_to_binary32(p * left_fraction * right_fraction, scale_bits + last_left.h + last_right.h + unit);
    }
    y = y + q;
    p = 0;
    group_has_taps = false;
    ++counts.group_exponent_adds;
    ++counts.shift_adds;
    ++counts.conversions;
    ++counts.float_adds;
  };

  // Sums over the outer index and, for each, over the taps that `inner` walks.
  const auto sum = [&](std::int64_t outer_count, bool any_nominal_tap, const std::function<void(std::int64_t)>& inner) {
    y = 0;
    if (any_nominal_tap) {
      for (std::int64_t outer = 0; outer < outer_count; ++outer) {
        inner(outer);
        if (!merged || outer == outer_count - 1) end_of_group();
      }
      ++counts.tensor_scale_multiplies;
    }
    result.values.values.push_back(y * tensor_scale);
  };

  switch (pass) {
    case Pass::kForward:
      for (std::int64_t n = 0; n < shape.batch; ++n) {
        for (std::int64_t co = 0; co < shape.out_channels; ++co) {
          for (std::int64_t y0 = 0; y0 < oh; ++y0) {
            for (std::int64_t x0 = 0; x0 < ow; ++x0) {
              sum(cin, true, [&](std::int64_t ci) {
                for (std::int64_t i = 0; i < kh; ++i) {
                  for (std::int64_t j = 0; j < kw; ++j) {
                    const std::int64_t yi = y0 * sh + i - ph;
                    const std::int64_t xi = x0 * sw + j - pw;
                    if (yi < 0 || yi >= ih || xi < 0 || xi >= iw) continue;
                    tap(element_at(left, n, co / cout * cin + ci, yi, xi), element_at(right, co, ci, i, j));
                  }
                }
              });
            }
          }
        }
      }
      break;
    case Pass::kBackwardData:
      for (std::int64_t n = 0; n < shape.batch; ++n) {
        for (std::int64_t c = 0; c < shape.in_channels; ++c) {
          for (std::int64_t yi = 0; yi < ih; ++yi) {
            for (std::int64_t xi = 0; xi < iw; ++xi) {
              bool any = false;  // a kernel position in step with the stride
              for (std::int64_t i = 0; i < kh; ++i) {
                for (std::int64_t j = 0; j < kw; ++j) any |= (yi + ph - i) % sh == 0 && (xi + pw - j) % sw == 0;
              }
              sum(cout, any, [&](std::int64_t o) {
                const std::int64_t co = c / cin * cout + o;
                for (std::int64_t i = 0; i < kh; ++i) {
                  for (std::int64_t j = 0; j < kw; ++j) {
                    if ((yi + ph - i) % sh != 0 || (xi + pw - j) % sw != 0) continue;
                    const std::int64_t y0 = (yi + ph - i) / sh;
                    const std::int64_t x0 = (xi + pw - j) / sw;
                    if (y0 < 0 || y0 >= oh || x0 < 0 || x0 >= ow) continue;
                    tap(element_at(left, n, co, y0, x0), element_at(right, co, c % cin, i, j));
                  }
                }
              });
            }
          }
        }
      }
      break;
    case Pass::kBackwardWeight:
      for (std::int64_t co = 0; co < shape.out_channels; ++co) {
        for (std::int64_t ci = 0; ci < cin; ++ci) {
          for (std::int64_t i = 0; i < kh; ++i) {
            for (std::int64_t j = 0; j < kw; ++j) {
              sum(shape.batch, true, [&](std::int64_t n) {
                for (std::int64_t y0 = 0; y0 < oh; ++y0) {
                  for (std::int64_t x0 = 0; x0 < ow; ++x0) {
                    const std::int64_t yi = y0 * sh + i - ph;
                    const std::int64_t xi = x0 * sw + j - pw;
                    if (yi < 0 || yi >= ih || xi < 0 || xi >= iw) continue;
                    tap(element_at(left, n, co, y0, x0), element_at(right, n, co / cout * cin + ci, yi, xi));
                  }
                }
              });
            }
          }
        }
      }
      break;
  }
  return result;
}

}  // namespace mlsim::models
