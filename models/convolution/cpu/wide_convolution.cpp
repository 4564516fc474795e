#include "models/convolution/cpu/wide_convolution.h"

#include <algorithm>
#include <atomic>
#include <vector>

#include "base/parallel.h"
#include "models/convolution/datapath.h"

namespace mlsim::models {
namespace {

// The accumulator of a processing element and the group-scale unit behind it.
class Sum {
 public:
  Sum(int bits, Overflow overflow, int scale_bits)
      : highest_((Int128{1} << (bits - 1)) - 1), overflow_(overflow), scale_bits_(scale_bits) {}

  void add(std::int64_t product) {
    sum_ += product;
    if (sum_ <= highest_ && sum_ >= -highest_ - 1) return;
    ++overflows_;
    if (overflow_ == Overflow::kSaturate) {
      sum_ = sum_ < 0 ? -highest_ - 1 : highest_;
    } else {
      const Int128 modulus = 2 * (highest_ + 1);
      const Int128 rest = (sum_ + highest_ + 1) % modulus;
      sum_ = rest - highest_ - 1 + (rest < 0 ? modulus : 0);
    }
  }

  void end_group(int fractions, int exponents) {
    value_ += round_scaled(sum_ * fractions, scale_bits_ + exponents);
    sum_ = 0;
  }

  float take_value() {
    const float value = value_;
    value_ = 0;
    return value;
  }
  std::uint64_t overflows() const { return overflows_; }

 private:
  Int128 highest_;
  Overflow overflow_;
  int scale_bits_;
  Int128 sum_ = 0;
  float value_ = 0;
  std::uint64_t overflows_ = 0;
};

// One plane (an index pair of dimensions 0 and 1) of an operand.
struct Plane {
  const std::int32_t* k;
  int fraction;  // 2^Mg + f
  int exponent;  // h
};

class Planes {
 public:
  explicit Planes(const MlsTensor& tensor) : tensor_(tensor), integers_(decode_integers(tensor)) {}

  Plane operator()(std::int64_t i0, std::int64_t i1) const {
    const std::int64_t pair = i0 * tensor_.shape[1] + i1;
    const auto at = static_cast<std::size_t>(pair);
    return {integers_.data() + pair * tensor_.inner_size(),
            (1 << tensor_.format.scale.fraction_bits) + tensor_.group_fraction[at], tensor_.group_exponent[at]};
  }

 private:
  const MlsTensor& tensor_;
  std::vector<std::int32_t> integers_;
};

}  // namespace

ConvolutionResult wide_convolution(Pass pass, const ConvolutionShape& shape, const MlsTensor& left,
                                   const MlsTensor& right, const Accumulator& accumulator) {
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
  const std::int64_t outer_count = shape.outer_count(pass);

  const Reduction reduction = reduction_of(pass, shape, left.format.layout, right.format.layout);
  const GroupScaler scaler(left.format, right.format);
  const int bits = accumulator.bits != 0
                       ? accumulator.bits
                       : full_accumulator_bits(left.format.element, right.format.element, reduction.taps);
  const float tensor_scale = product_scale(pass, left, right);
  const Planes left_planes(left);
  const Planes right_planes(right);

  ConvolutionResult result;
  result.values.shape = shape.result_shape(pass);
  result.values.values.resize(static_cast<std::size_t>(element_count(result.values.shape)));
  const std::int64_t rows = result.values.shape[2];
  const std::int64_t columns = result.values.shape[3];

  // The taps of result (y, x) in a reduction group whose planes are a and b.
  const auto add_taps = [&](Sum& sum, const Plane& a, const Plane& b, std::int64_t y, std::int64_t x) {
    switch (pass) {
      case Pass::kForward:
        for (std::int64_t i = 0; i < kh; ++i) {
          const std::int64_t yi = y * sh + i - ph;
          if (yi < 0 || yi >= ih) continue;
          for (std::int64_t j = 0; j < kw; ++j) {
            const std::int64_t xi = x * sw + j - pw;
            if (xi >= 0 && xi < iw) sum.add(std::int64_t{a.k[yi * iw + xi]} * b.k[i * kw + j]);
          }
        }
        break;
      case Pass::kBackwardData:
        for (std::int64_t i = 0; i < kh; ++i) {
          const std::int64_t yo = y + ph - i;
          if (yo < 0 || yo % sh != 0 || yo / sh >= oh) continue;
          for (std::int64_t j = 0; j < kw; ++j) {
            const std::int64_t xo = x + pw - j;
            if (xo < 0 || xo % sw != 0 || xo / sw >= ow) continue;
            sum.add(std::int64_t{a.k[yo / sh * ow + xo / sw]} * b.k[i * kw + j]);
          }
        }
        break;
      case Pass::kBackwardWeight:
        for (std::int64_t yo = 0; yo < oh; ++yo) {
          const std::int64_t yi = yo * sh + y - ph;
          if (yi < 0 || yi >= ih) continue;
          for (std::int64_t xo = 0; xo < ow; ++xo) {
            const std::int64_t xi = xo * sw + x - pw;
            if (xi >= 0 && xi < iw) sum.add(std::int64_t{a.k[yo * ow + xo]} * b.k[yi * iw + xi]);
          }
        }
        break;
    }
  };

  std::atomic<std::uint64_t> overflows = 0;
  const std::int64_t pairs = result.values.shape[0] * result.values.shape[1];
  base::parallel_for(std::int64_t{0}, pairs, [&](std::int64_t pair) {
    const std::int64_t i0 = pair / result.values.shape[1];
    const std::int64_t i1 = pair % result.values.shape[1];
    std::vector<Plane> a;
    std::vector<Plane> b;
    for (std::int64_t outer = 0; outer < outer_count; ++outer) {
      switch (pass) {
        case Pass::kForward:
          a.push_back(left_planes(i0, i1 / cout * cin + outer));
          b.push_back(right_planes(i1, outer));
          break;
        case Pass::kBackwardData:
          a.push_back(left_planes(i0, i1 / cin * cout + outer));
          b.push_back(right_planes(i1 / cin * cout + outer, i1 % cin));
          break;
        case Pass::kBackwardWeight:
          a.push_back(left_planes(outer, i0));
          b.push_back(right_planes(outer, i0 / cout * cin + i1));
          break;
      }
    }
    Sum sum(bits, accumulator.overflow, scaler.left_fraction_bits + scaler.right_fraction_bits + scaler.unit_exponent);
    float* value = result.values.values.data() + pair * rows * columns;
    for (std::int64_t y = 0; y < rows; ++y) {
      for (std::int64_t x = 0; x < columns; ++x) {
        for (std::size_t outer = 0; outer < a.size(); ++outer) {
          add_taps(sum, a[outer], b[outer], y, x);
          if (!reduction.merged || outer + 1 == a.size()) {
            sum.end_group(a[outer].fraction * b[outer].fraction, a[outer].exponent + b[outer].exponent);
          }
        }
        *value++ = sum.take_value() * tensor_scale;
      }
    }
    overflows += sum.overflows();
  });
  result.counts.overflows = overflows;
  return result;
}

}  // namespace mlsim::models
