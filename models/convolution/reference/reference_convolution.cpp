#include "models/convolution/reference/reference_convolution.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <stdexcept>
#include <vector>

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

// An element and its scale: k · g · 2^s, in units of 2^-U.
struct Element {
  Wide k = 0;
  int g = 0;
  int s = 0;
};

std::int64_t block_of(const ScaleLayout& layout, std::size_t dimension, std::int64_t index) {
  return layout.tile[dimension] == ScaleLayout::kWhole ? 0 : index / layout.tile[dimension];
}

// An operand that is read element by element.
class Reader {
 public:
  explicit Reader(const ScaledTensor& tensor) : tensor_(tensor) {
    for (std::size_t d = 0; d < 4; ++d) {
      const std::int64_t extent = tensor.shape[d];
      blocks_[d] = extent == 0 ? 0 : block_of(tensor.format.layout, d, extent - 1) + 1;
    }
  }

  Element at(const std::array<std::int64_t, 4>& index) const {
    std::int64_t element = 0;
    std::int64_t tile = 0;
    for (std::size_t d = 0; d < 4; ++d) {
      element = element * tensor_.shape[d] + index[d];
      tile = tile * blocks_[d] + block_of(tensor_.format.layout, d, index[d]);
    }
    const TileScale scale = tensor_.scales[static_cast<std::size_t>(tile)];
    // An element of a tile with the scale 0 is a zero.
    const Wide k = scale.significand == 0 ? 0 : integer(tensor_.codes[static_cast<std::size_t>(element)]);
    return {k, scale.significand, scale.exponent};
  }

 private:
  Wide integer(std::uint16_t code) const {
    const ElementFormat& format = tensor_.format.element;
    const int mx = format.mantissa_bits;
    const int ex = format.exponent_bits;
    if (format.kind == ElementKind::kOcp && ex == 0) return code >= 128 ? Wide{code} - 256 : Wide{code};
    const int m = code % (1 << mx);
    const int e = (code >> mx) % (1 << ex);
    const Wide k = e > 0 ? Wide{(1 << mx) + m} << (e - 1) : Wide{m};
    return code >> (ex + mx) == 1 ? -k : k;
  }

  const ScaledTensor& tensor_;
  std::array<std::int64_t, 4> blocks_{};
};

// U by its definitions.
int unit_of(const ElementFormat& format) {
  const int ex = format.exponent_bits;
  const int mx = format.mantissa_bits;
  if (format.kind == ElementKind::kOcp) return ex == 0 ? mx - 1 : mx + (1 << (ex - 1)) - 2;
  return ex == 0 ? mx : mx + (1 << ex) - 1;
}

int bits_of(Wide magnitude) {
  int bits = 0;
  while (magnitude >> bits != 0) ++bits;
  return bits;
}

// The largest k of all codes that are numbers, found among them.
Wide largest_integer(const ElementFormat& format) {
  if (format.kind == ElementKind::kOcp && format.exponent_bits == 0) return 127;
  const Wide hidden = Wide{1} << format.mantissa_bits;
  const int top = (1 << format.exponent_bits) - 1;
  if (format.exponent_bits == 0) return hidden - 1;
  if (format.kind == ElementKind::kOcp && format.exponent_bits == 4) return (2 * hidden - 2) << (top - 1);
  if (format.kind == ElementKind::kOcp && format.exponent_bits == 5) return (2 * hidden - 1) << (top - 2);
  return (2 * hidden - 1) << (top - 1);
}

// A nominal tap of a result: where its two operands lie along the planes. One of them may be padding.
struct Tap {
  std::array<std::int64_t, 2> left;
  std::array<std::int64_t, 2> right;
};

// Everything a pass is, by its formula: which channels and images meet, and at which positions.
class Problem {
 public:
  Problem(Pass pass, const ConvolutionShape& shape, const ScaledTensor& left, const ScaledTensor& right)
      : pass_(pass),
        shape_(shape),
        left_layout_(left.format.layout),
        right_layout_(right.format.layout),
        left_(left),
        right_(right),
        left_size_(pass == Pass::kForward ? shape.in_size : shape.out_size()),
        right_size_(pass == Pass::kBackwardWeight ? shape.in_size : shape.kernel),
        cin_(shape.in_channels / shape.groups),
        cout_(shape.out_channels / shape.groups) {}

  std::int64_t outer_count() const {
    return pass_ == Pass::kForward ? cin_ : pass_ == Pass::kBackwardData ? cout_ : shape_.batch;
  }

  // In C order of the kernel, or of the output positions.
  std::vector<Tap> taps_of(std::int64_t y, std::int64_t x) const {
    std::vector<Tap> taps;
    const auto walked = pass_ == Pass::kBackwardWeight ? shape_.out_size() : shape_.kernel;
    for (std::int64_t i = 0; i < walked[0]; ++i) {
      for (std::int64_t j = 0; j < walked[1]; ++j) {
        const std::array<std::int64_t, 2> here{i, j};
        const std::array<std::int64_t, 2> result{y, x};
        std::array<std::int64_t, 2> there{};
        bool nominal = true;
        for (const std::size_t axis : {0U, 1U}) {
          const std::int64_t s = shape_.stride[axis];
          const std::int64_t d = shape_.dilation[axis];
          const std::int64_t p = shape_.padding[axis].begin;
          if (pass_ == Pass::kForward) there[axis] = result[axis] * s + here[axis] * d - p;
          if (pass_ == Pass::kBackwardWeight) there[axis] = here[axis] * s + result[axis] * d - p;
          if (pass_ != Pass::kBackwardData) continue;
          const std::int64_t distance = result[axis] + p - here[axis] * d;
          if (distance % s != 0) nominal = false;
          there[axis] = distance / s;
        }
        if (!nominal) continue;
        taps.push_back(pass_ == Pass::kBackwardWeight ? Tap{here, there} : Tap{there, here});
      }
    }
    return taps;
  }

  bool exists(const Tap& tap) const { return inside(tap.left, left_size_) && inside(tap.right, right_size_); }

  // The operands of result (i0, i1, ., .) at an outer index and a tap.
  Element left_at(std::int64_t i0, std::int64_t i1, std::int64_t outer, const Tap& tap) const {
    const auto pair = left_pair(i0, i1, outer);
    return left_.at({pair[0], pair[1], tap.left[0], tap.left[1]});
  }
  Element right_at(std::int64_t i0, std::int64_t i1, std::int64_t outer, const Tap& tap) const {
    const auto pair = right_pair(i0, i1, outer);
    return right_.at({pair[0], pair[1], tap.right[0], tap.right[1]});
  }

  // Whether neither operand's tile changes, along the planes' own dimensions, from the outer index to the next one.
  bool run_goes_on(std::int64_t i0, std::int64_t i1, std::int64_t outer) const {
    const auto same = [](const ScaleLayout& layout, const auto& a, const auto& b) {
      return block_of(layout, 0, a[0]) == block_of(layout, 0, b[0]) &&
             block_of(layout, 1, a[1]) == block_of(layout, 1, b[1]);
    };
    return same(left_layout_, left_pair(i0, i1, outer), left_pair(i0, i1, outer + 1)) &&
           same(right_layout_, right_pair(i0, i1, outer), right_pair(i0, i1, outer + 1));
  }

  // Whether a tile of either operand is one position.
  bool taps_apart() const {
    return left_layout_.tile[2] == 1 || left_layout_.tile[3] == 1 || right_layout_.tile[2] == 1 ||
           right_layout_.tile[3] == 1;
  }

  // The most nominal taps of any reduction group, whatever result it belongs to.
  std::int64_t most_taps() const {
    std::int64_t longest = 0;
    for (std::int64_t group = 0; group < shape_.groups; ++group) {
      const std::int64_t i0 = pass_ == Pass::kBackwardWeight ? group * cout_ : 0;
      const std::int64_t i1 = pass_ == Pass::kForward ? group * cout_ : pass_ == Pass::kBackwardData ? group * cin_ : 0;
      std::int64_t run = 0;
      for (std::int64_t outer = 0; outer < outer_count(); ++outer) {
        longest = std::max(longest, ++run);
        if (outer + 1 < outer_count() && !run_goes_on(i0, i1, outer)) run = 0;
      }
    }
    if (taps_apart()) return longest;
    const auto walked = pass_ == Pass::kBackwardWeight ? shape_.out_size() : shape_.kernel;
    return longest * walked[0] * walked[1];
  }

 private:
  static bool inside(const std::array<std::int64_t, 2>& at, const std::array<std::int64_t, 2>& size) {
    return at[0] >= 0 && at[0] < size[0] && at[1] >= 0 && at[1] < size[1];
  }
  std::array<std::int64_t, 2> left_pair(std::int64_t i0, std::int64_t i1, std::int64_t outer) const {
    if (pass_ == Pass::kForward) return {i0, i1 / cout_ * cin_ + outer};
    if (pass_ == Pass::kBackwardData) return {i0, i1 / cin_ * cout_ + outer};
    return {outer, i0};
  }
  std::array<std::int64_t, 2> right_pair(std::int64_t i0, std::int64_t i1, std::int64_t outer) const {
    if (pass_ == Pass::kForward) return {i1, outer};
    if (pass_ == Pass::kBackwardData) return {i1 / cin_ * cout_ + outer, i1 % cin_};
    return {outer, i0 / cout_ * cin_ + i1};
  }

  Pass pass_;
  const ConvolutionShape& shape_;
  const ScaleLayout& left_layout_;
  const ScaleLayout& right_layout_;
  Reader left_;
  Reader right_;
  std::array<std::int64_t, 2> left_size_;
  std::array<std::int64_t, 2> right_size_;
  std::int64_t cin_;
  std::int64_t cout_;
};

// One processing element and the group-scale unit behind it.
class Machine {
 public:
  Machine(int bits, const Accumulator& accumulator, int unit, bool has_exponent)
      : bits_(bits), accumulator_(accumulator), unit_(unit), has_exponent_(has_exponent) {}

  // The next nominal tap of a group; padding keeps its place and adds nothing.
  void padding_tap() { end_of_tap(); }
  void tap(const Element& left, const Element& right) {
    pending_ += left.k * right.k;
    ++pending_products_;
    left_ = left;
    right_ = right;
    group_has_taps_ = true;
    ++counts.mantissa_multiplies;
    if (has_exponent_) ++counts.exponent_adds;
    if (has_exponent_) ++counts.shifts;
    end_of_tap();
  }

  void end_of_group() {
    add_pending();
    taps_ = 0;
    if (group_has_taps_) y_ += round_to_binary32(p_ * left_.g * right_.g, unit_ - left_.s - right_.s);
    p_ = 0;
    group_has_taps_ = false;
    ++counts.group_exponent_adds;
    ++counts.shift_adds;
    ++counts.conversions;
    ++counts.float_adds;
  }

  float end_of_result(bool has_nominal_taps, float tensor_scale) {
    const float result = y_ * tensor_scale;
    if (has_nominal_taps) ++counts.tensor_scale_multiplies;
    if (!std::isfinite(result)) ++counts.non_finite;
    y_ = 0;
    return result;
  }

  OperationCounts counts;

 private:
  void end_of_tap() {
    if (++taps_ % accumulator_.taps_per_cycle == 0) add_pending();
  }

  // One addition: the register plus the exact sum of up to L products.
  void add_pending() {
    if (pending_products_ == 0) return;
    ++counts.integer_adds;
    counts.tree_adds += pending_products_ - 1;
    const Wide highest = (Wide{1} << (bits_ - 1)) - 1;
    const Wide lowest = -highest - 1;
    Wide sum = p_ + pending_;
    if (sum < lowest || sum > highest) {
      ++counts.overflows;
      if (accumulator_.overflow == Overflow::kSaturate) {
        sum = sum < lowest ? lowest : highest;
      } else {
        // Congruent to the sum, in range; a remainder has the sign of the dividend.
        const Wide modulus = Wide{1} << bits_;
        const Wide remainder = (sum - lowest) % modulus;
        sum = lowest + (remainder < 0 ? remainder + modulus : remainder);
      }
    }
    p_ = sum;
    pending_ = 0;
    pending_products_ = 0;
  }

  int bits_;
  const Accumulator& accumulator_;
  int unit_;
  bool has_exponent_;

  Wide p_ = 0;
  Wide pending_ = 0;
  std::uint64_t pending_products_ = 0;
  std::int64_t taps_ = 0;  // nominal ones of the group so far
  bool group_has_taps_ = false;
  Element left_;
  Element right_;
  float y_ = 0;
};

// The reduction groups of one result, run by run.
void sum_result(const Problem& problem, std::int64_t i0, std::int64_t i1, const std::vector<Tap>& taps,
                Machine& machine) {
  const auto meet = [&](std::int64_t outer, const Tap& tap) {
    if (!problem.exists(tap)) return machine.padding_tap();
    machine.tap(problem.left_at(i0, i1, outer, tap), problem.right_at(i0, i1, outer, tap));
  };
  if (taps.empty()) return;
  for (std::int64_t begin = 0; begin < problem.outer_count();) {
    std::int64_t end = begin + 1;
    while (end < problem.outer_count() && problem.run_goes_on(i0, i1, end - 1)) ++end;
    if (problem.taps_apart()) {
      for (const Tap& tap : taps) {
        for (std::int64_t outer = begin; outer < end; ++outer) meet(outer, tap);
        machine.end_of_group();
      }
    } else {
      for (std::int64_t outer = begin; outer < end; ++outer) {
        for (const Tap& tap : taps) meet(outer, tap);
      }
      machine.end_of_group();
    }
    begin = end;
  }
}

}  // namespace

ConvolutionResult reference_convolution(Pass pass, const ConvolutionShape& shape, const ScaledTensor& left,
                                        const ScaledTensor& right, const Accumulator& accumulator) {
  assert(left.shape == shape.shape_of(left_operand(pass)) && right.shape == shape.shape_of(right_operand(pass)));
  const ElementFormat& lf = left.format.element;
  const ElementFormat& rf = right.format.element;
  const float tensor_scale = left.tensor_scale * right.tensor_scale;
  if (std::isinf(tensor_scale)) {
    throw std::runtime_error(to_string(pass) + ": the product of the tensor scales of " +
                             to_string(left_operand(pass)) + " and " + to_string(right_operand(pass)) +
                             " is beyond binary32");
  }
  const Problem problem(pass, shape, left, right);
  int bits = accumulator.bits;
  if (bits == 0)
    bits = bits_of(largest_integer(lf)) + bits_of(largest_integer(rf)) + bits_of(problem.most_taps() - 1) + 1;
  Machine machine(bits, accumulator, unit_of(lf) + unit_of(rf), lf.exponent_bits > 0 || rf.exponent_bits > 0);

  ConvolutionResult result;
  const Shape& extents = result.values.shape = shape.result_shape(pass);
  for (std::int64_t i0 = 0; i0 < extents[0]; ++i0) {
    for (std::int64_t i1 = 0; i1 < extents[1]; ++i1) {
      for (std::int64_t y = 0; y < extents[2]; ++y) {
        for (std::int64_t x = 0; x < extents[3]; ++x) {
          const std::vector<Tap> taps = problem.taps_of(y, x);
          sum_result(problem, i0, i1, taps, machine);
          result.values.values.push_back(machine.end_of_result(!taps.empty(), tensor_scale));
        }
      }
    }
  }
  result.counts = machine.counts;
  return result;
}

}  // namespace mlsim::models
