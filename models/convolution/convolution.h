// Shapes of a convolution and of its three training passes.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "models/convolution/operation_counts.h"
#include "models/formats/format.h"
#include "models/formats/scaled_tensor.h"
#include "models/formats/tensor.h"

namespace mlsim::models {

// Zeros in front of and behind an axis.
struct Padding {
  std::int64_t begin = 0;
  std::int64_t end = 0;

  constexpr Padding() = default;
  constexpr Padding(std::int64_t both) : begin(both), end(both) {}  // NOLINT(google-explicit-constructor): as written
  constexpr Padding(std::int64_t at_begin, std::int64_t at_end) : begin(at_begin), end(at_end) {}
  bool operator==(const Padding&) const = default;
};

// Indices from `first` to before `end`, which is not below it.
struct IndexRange {
  std::int64_t first = 0;
  std::int64_t end = 0;

  std::int64_t size() const { return end - first; }
};

// A cross-correlation with stride, dilation, zero padding and groups. Pairs are height, width. A linear layer is the
// one of 1×1 images, of which there is one a row.
struct ConvolutionShape {
  std::int64_t batch = 1;
  std::int64_t in_channels = 1;
  std::int64_t out_channels = 1;
  std::array<std::int64_t, 2> in_size{1, 1};
  std::array<std::int64_t, 2> kernel{1, 1};
  std::array<std::int64_t, 2> stride{1, 1};
  std::array<Padding, 2> padding{};
  std::int64_t groups = 1;
  std::array<std::int64_t, 2> dilation{1, 1};

  // Throws std::runtime_error with the name of the first field that makes no convolution: an extent below 1, a negative
  // padding, groups that do not divide the channels, a dilated kernel larger than the padded input.
  void check() const;

  std::array<std::int64_t, 2> out_size() const;
  Shape activation_shape() const;  // batch, in_channels, in_size
  // Distance from a kernel's first position to behind its last.
  std::int64_t kernel_extent(std::size_t axis) const { return dilation[axis] * (kernel[axis] - 1) + 1; }
  Shape weight_shape() const;  // out_channels, in_channels / groups, kernel
  Shape error_shape() const;   // batch, out_channels, out_size
  Shape shape_of(Operand operand) const;
  // Shape of what a pass computes: that of the error, of the activation, of the weight.
  Shape result_shape(Pass pass) const;

  // Outer indices that a result is summed over: in_channels / groups, out_channels / groups, batch.
  std::int64_t outer_count(Pass pass) const;
  // Nominal taps of an outer index: kernel, kernel, out_size.
  std::int64_t inner_taps(Pass pass) const;
  // The output positions along an axis whose tap at this kernel position is an element and no padding.
  IndexRange outputs_at(std::size_t axis, std::int64_t kernel_position) const;
  // Taps of the whole pass whose operands both exist: its multiply-adds. Closed form.
  std::uint64_t multiply_adds(Pass pass) const;

  bool operator==(const ConvolutionShape&) const = default;
};

// What happens when a sum leaves the accumulator's range.
enum class Overflow : std::uint8_t { kSaturate, kWrap };

std::string to_string(Overflow overflow);  // saturate, wrap

struct Accumulator {
  int bits = 0;  // two's complement, 2..64; 0 asks for the width that no sum can overflow
  Overflow overflow = Overflow::kSaturate;
  int taps_per_cycle = 1;  // products whose exact sum is one addition
};

// How the reduction of a pass is cut into groups within which both scales are constant (docs/blocks.md). A run is a
// maximal sequence of outer indices, within a convolution group, in which neither operand's tile changes. Where a tile
// is one position of a plane, each tap of a run is a group of its own; else each run is one.
class Reduction {
 public:
  Reduction(Pass pass, const ConvolutionShape& shape, const ScaleLayout& left, const ScaleLayout& right);

  // Whether every tap of a run is a group.
  bool taps_apart() const { return taps_apart_; }
  // Whether the whole reduction of a result is one group.
  bool merged() const { return !taps_apart_ && all_runs_ == conv_groups_; }
  // Whether each outer index is a group.
  bool by_outer_index() const { return !taps_apart_ && longest_run_ == 1; }

  std::int64_t longest_run() const { return longest_run_; }
  // The first outer index behind the run of `outer`.
  std::int64_t run_end(std::int64_t conv_group, std::int64_t outer) const;
  std::int64_t runs(std::int64_t conv_group) const;
  // Of all convolution groups together.
  std::int64_t all_runs() const { return all_runs_; }

  // Reduction groups of a result that has so many nominal taps an outer index, none where it has none.
  std::int64_t groups(std::int64_t conv_group, std::int64_t inner_taps) const {
    return runs(conv_group) * (taps_apart_ ? inner_taps : inner_taps == 0 ? 0 : 1);
  }
  // Nominal taps of the largest group.
  std::int64_t taps() const { return longest_run_ * (taps_apart_ ? 1 : inner_taps_); }

 private:
  // Where the tiles of an operand end along its outer dimension.
  struct Cut {
    std::int64_t block = 0;   // 0: the whole dimension
    std::int64_t stride = 0;  // of the index from one convolution group to the next
    std::int64_t end(std::int64_t conv_group, std::int64_t outer) const;
  };

  Cut left_;
  Cut right_;
  std::int64_t conv_groups_;
  std::int64_t outer_;
  std::int64_t inner_taps_;
  bool taps_apart_;
  bool alike_ = false;     // every convolution group is cut in the same places
  std::int64_t runs_ = 0;  // of the first convolution group
  std::int64_t all_runs_ = 0;
  std::int64_t longest_run_ = 0;
};

// bits(kmax_a) + bits(kmax_b) + ceil(log2 taps) + 1: the accumulator that no sum of a group can overflow.
int full_accumulator_bits(const ElementFormat& left, const ElementFormat& right, std::int64_t taps);

struct ConvolutionResult {
  Tensor<float> values;
  OperationCounts counts;
};

// T, the product of both operands' tensor scales in binary32. Throws std::runtime_error when it overflows.
float product_scale(Pass pass, float left, float right);
float product_scale(Pass pass, const ScaledTensor& left, const ScaledTensor& right);

}  // namespace mlsim::models
