#include "models/convolution/cpu/wide_convolution.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <limits>
#include <vector>

#include "base/integers.h"
#include "base/parallel.h"
#include "models/convolution/datapath.h"

namespace mlsim::models {
namespace {

// The accumulator of a processing element and the group-scale unit behind it. Integer is one that holds the register
// and an addition exactly.
template <typename Integer>
class Sum {
 public:
  Sum(int bits, const Accumulator& accumulator, const GroupScaler& scaler)
      : highest_((Integer{1} << (bits - 1)) - 1),
        overflow_(accumulator.overflow),
        taps_per_cycle_(accumulator.taps_per_cycle),
        scaler_(scaler) {}

  // The product of a nominal tap of the group; with several an addition, their sum waits for the last of them.
  void add(std::int64_t tap, Integer product) {
    if (taps_per_cycle_ == 1) return add(product);
    if (tap / taps_per_cycle_ != addition_) end_addition();
    addition_ = tap / taps_per_cycle_;
    pending_ += product;
  }

  void end_group(TileScale left, TileScale right) {
    end_addition();
    if (sum_ != 0) value_ += scaler_.scale(sum_, left, right);
    sum_ = 0;
  }

  float take_value() {
    const float value = value_;
    value_ = 0;
    return value;
  }
  std::uint64_t overflows() const { return overflows_; }

 private:
  void end_addition() {
    if (addition_ < 0) return;
    add(pending_);
    pending_ = 0;
    addition_ = -1;
  }

  void add(Integer products) {
    sum_ += products;
    if (sum_ <= highest_ && sum_ >= -highest_ - 1) return;
    ++overflows_;
    if (overflow_ == Overflow::kSaturate) {
      sum_ = sum_ < 0 ? -highest_ - 1 : highest_;
    } else {
      const Integer modulus = 2 * (highest_ + 1);
      const Integer rest = (sum_ + highest_ + 1) % modulus;
      sum_ = rest - highest_ - 1 + (rest < 0 ? modulus : 0);
    }
  }

  Integer highest_;
  Overflow overflow_;
  int taps_per_cycle_;
  GroupScaler scaler_;
  Integer sum_ = 0;
  Integer pending_ = 0;
  std::int64_t addition_ = -1;  // that the pending products belong to
  float value_ = 0;
  std::uint64_t overflows_ = 0;
};

// An operand as integers, with the tiles of its planes.
class Planes {
 public:
  explicit Planes(const ScaledTensor& tensor)
      : tensor_(tensor), grid_(tensor.grid()), inner_(tensor.inner_size()), integers_(decode_integers(tensor)) {}

  const std::int64_t* integers(std::int64_t i0, std::int64_t i1) const {
    return integers_.data() + (i0 * tensor_.shape[1] + i1) * inner_;
  }
  const TileScale* scales(std::int64_t i0, std::int64_t i1) const {
    return tensor_.scales.data() + grid_.index(i0, i1);
  }
  // The tile of a position, from that of its plane's first.
  std::int64_t tile(std::int64_t y, std::int64_t x) const {
    const ScaleLayout& layout = grid_.layout();
    return layout.tile_of(2, y) * grid_.extents()[3] + layout.tile_of(3, x);
  }

 private:
  const ScaledTensor& tensor_;
  TileGrid grid_;
  std::int64_t inner_;
  std::vector<std::int64_t> integers_;
};

struct Place {
  std::int64_t element = 0;  // of a plane
  std::int64_t tile = 0;
};

// A tap whose operands both exist.
struct ExistingTap {
  Place left;
  Place right;
  std::int64_t number = 0;  // among the nominal ones
};

struct Taps {
  std::vector<ExistingTap> existing;
  std::int64_t nominal = 0;
};

template <typename Integer>
class WideConvolution {
 public:
  WideConvolution(const ConvolutionRequest& request, int bits)
      : pass_(request.pass),
        shape_(request.shape),
        accumulator_(request.accumulator),
        reduction_(request.reduction),
        bits_(bits),
        scaler_(request.left.format.element, request.right.format.element),
        tensor_scale_(request.tensor_scale),
        left_(request.left),
        right_(request.right),
        left_size_(pass_ == Pass::kForward ? shape_.in_size : shape_.out_size()),
        right_size_(pass_ == Pass::kBackwardWeight ? shape_.in_size : shape_.kernel),
        cin_(shape_.in_channels / shape_.groups),
        cout_(shape_.out_channels / shape_.groups),
        outer_(shape_.outer_count(pass_)),
        extents_(shape_.result_shape(pass_)) {}

  std::uint64_t run(float* results) {
    const std::int64_t positions = extents_[2] * extents_[3];
    std::atomic<std::uint64_t> overflows = 0;
    base::parallel_for(std::int64_t{0}, positions * extents_[0], [&](std::int64_t task) {
      const std::int64_t i0 = task / positions;
      const std::int64_t position = task % positions;
      const Taps taps = taps_of(position / extents_[3], position % extents_[3]);
      if (taps.nominal == 0) return;
      Sum<Integer> sum(bits_, accumulator_, scaler_);
      for (std::int64_t i1 = 0; i1 < extents_[1]; ++i1) {
        sum_result(i0, i1, taps, sum);
        results[(i0 * extents_[1] + i1) * positions + position] = sum.take_value() * tensor_scale_;
      }
      overflows += sum.overflows();
    });
    return overflows;
  }

 private:
  // In C order of the kernel, or of the output positions.
  Taps taps_of(std::int64_t y, std::int64_t x) const {
    const auto walked = pass_ == Pass::kBackwardWeight ? shape_.out_size() : shape_.kernel;
    Taps taps;
    for (std::int64_t i = 0; i < walked[0]; ++i) {
      for (std::int64_t j = 0; j < walked[1]; ++j) {
        const std::int64_t row = other_index(0, y, i);
        const std::int64_t column = other_index(1, x, j);
        if (pass_ == Pass::kBackwardData && (row == kNoTap || column == kNoTap)) continue;
        const std::int64_t number = taps.nominal++;
        const auto& size = pass_ == Pass::kBackwardWeight ? right_size_ : left_size_;
        if (row < 0 || row >= size[0] || column < 0 || column >= size[1]) continue;
        const bool here_is_left = pass_ == Pass::kBackwardWeight;
        const auto place = [](const Planes& planes, const auto& extent, std::int64_t at_y, std::int64_t at_x) {
          return Place{at_y * extent[1] + at_x, planes.tile(at_y, at_x)};
        };
        taps.existing.push_back(
            {here_is_left ? place(left_, left_size_, i, j) : place(left_, left_size_, row, column),
             here_is_left ? place(right_, right_size_, row, column) : place(right_, right_size_, i, j), number});
      }
    }
    return taps;
  }

  // Where the operand that is not walked lies along an axis; kNoTap where the stride of backward data steps over it.
  static constexpr std::int64_t kNoTap = std::numeric_limits<std::int64_t>::max();
  std::int64_t other_index(std::size_t axis, std::int64_t result, std::int64_t walked) const {
    const std::int64_t stride = shape_.stride[axis];
    const std::int64_t dilation = shape_.dilation[axis];
    const std::int64_t padding = shape_.padding[axis].begin;
    if (pass_ == Pass::kForward) return result * stride + walked * dilation - padding;
    if (pass_ == Pass::kBackwardWeight) return walked * stride + result * dilation - padding;
    const std::int64_t distance = result + padding - walked * dilation;
    return distance % stride == 0 ? distance / stride : kNoTap;
  }

  struct Pair {
    const std::int64_t* k;
    const TileScale* scales;
  };
  Pair left_pair(std::int64_t i0, std::int64_t i1, std::int64_t outer) const {
    const std::int64_t first = pass_ == Pass::kForward ? i1 / cout_ * cin_ : i1 / cin_ * cout_;
    const bool weight = pass_ == Pass::kBackwardWeight;
    return {left_.integers(weight ? outer : i0, weight ? i0 : first + outer),
            left_.scales(weight ? outer : i0, weight ? i0 : first + outer)};
  }
  Pair right_pair(std::int64_t i0, std::int64_t i1, std::int64_t outer) const {
    std::array<std::int64_t, 2> at{outer, i0 / cout_ * cin_ + i1};
    if (pass_ == Pass::kForward) at = {i1, outer};
    if (pass_ == Pass::kBackwardData) at = {i1 / cin_ * cout_ + outer, i1 % cin_};
    return {right_.integers(at[0], at[1]), right_.scales(at[0], at[1])};
  }
  std::int64_t conv_group(std::int64_t i0, std::int64_t i1) const {
    return pass_ == Pass::kBackwardWeight ? i0 / cout_ : pass_ == Pass::kForward ? i1 / cout_ : i1 / cin_;
  }

  void sum_result(std::int64_t i0, std::int64_t i1, const Taps& taps, Sum<Integer>& sum) const {
    const std::int64_t group = conv_group(i0, i1);
    std::vector<Pair> left;
    std::vector<Pair> right;
    for (std::int64_t begin = 0; begin < outer_;) {
      const std::int64_t end = reduction_.run_end(group, begin);
      left.clear();
      right.clear();
      for (std::int64_t outer = begin; outer < end; ++outer) {
        left.push_back(left_pair(i0, i1, outer));
        right.push_back(right_pair(i0, i1, outer));
      }
      if (reduction_.taps_apart()) {
        for (const ExistingTap& tap : taps.existing) {
          for (std::size_t i = 0; i < left.size(); ++i) {
            sum.add(static_cast<std::int64_t>(i), Integer{left[i].k[tap.left.element]} * right[i].k[tap.right.element]);
          }
          sum.end_group(left[0].scales[tap.left.tile], right[0].scales[tap.right.tile]);
        }
      } else {
        for (std::size_t i = 0; i < left.size(); ++i) {
          for (const ExistingTap& tap : taps.existing) {
            sum.add(static_cast<std::int64_t>(i) * taps.nominal + tap.number,
                    Integer{left[i].k[tap.left.element]} * right[i].k[tap.right.element]);
          }
        }
        sum.end_group(*left[0].scales, *right[0].scales);
      }
      begin = end;
    }
  }

  Pass pass_;
  const ConvolutionShape& shape_;
  const Accumulator& accumulator_;
  const Reduction& reduction_;
  int bits_;
  GroupScaler scaler_;
  float tensor_scale_;
  Planes left_;
  Planes right_;
  std::array<std::int64_t, 2> left_size_;
  std::array<std::int64_t, 2> right_size_;
  std::int64_t cin_;
  std::int64_t cout_;
  std::int64_t outer_;
  Shape extents_;
};

}  // namespace

std::uint64_t wide_convolution(const ConvolutionRequest& request, float* results) {
  const ElementFormat& left = request.left.format.element;
  const ElementFormat& right = request.right.format.element;
  const int full_bits = full_accumulator_bits(left, right, request.reduction.taps());
  const int bits = request.accumulator.bits != 0 ? request.accumulator.bits : full_bits;
  // No sum of the group leaves the full width, whatever the register holds in between.
  if (std::max(full_bits, bits) < 63) return WideConvolution<std::int64_t>(request, bits).run(results);
  return WideConvolution<base::Int128>(request, bits).run(results);
}

}  // namespace mlsim::models
