// Shapes of a convolution and of its three training passes.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "models/convolution/operation_counts.h"
#include "models/formats/format.h"
#include "models/formats/mls_tensor.h"
#include "models/formats/tensor.h"

namespace mlsim::models {

// The two operands of each pass, left times right in the order of the formulas:
// forward: activation × weight; backward data: error × weight; backward weight: error × activation.
enum class Pass : std::uint8_t { kForward, kBackwardData, kBackwardWeight };
inline constexpr std::array<Pass, 3> kPasses{Pass::kForward, Pass::kBackwardData, Pass::kBackwardWeight};

enum class Operand : std::uint8_t { kActivation, kWeight, kError };
inline constexpr std::array<Operand, 3> kOperands{Operand::kActivation, Operand::kWeight, Operand::kError};

std::string to_string(Pass pass);        // forward, backward_data, backward_weight
std::string to_string(Operand operand);  // activation, weight, error
Operand left_operand(Pass pass);
Operand right_operand(Pass pass);
// The operand that the results of a pass become: activation, error, weight.
Operand result_operand(Pass pass);

// A cross-correlation with stride, zero padding and groups. Pairs are height, width.
struct ConvolutionShape {
  std::int64_t batch = 1;
  std::int64_t in_channels = 1;
  std::int64_t out_channels = 1;
  std::array<std::int64_t, 2> in_size{1, 1};
  std::array<std::int64_t, 2> kernel{1, 1};
  std::array<std::int64_t, 2> stride{1, 1};
  std::array<std::int64_t, 2> padding{0, 0};
  std::int64_t groups = 1;

  // Throws std::runtime_error with the name of the first field that makes no convolution: an extent below 1, a negative
  // padding, groups that do not divide the channels, a kernel larger than the padded input.
  void check() const;

  std::array<std::int64_t, 2> out_size() const;
  Shape activation_shape() const;  // batch, in_channels, in_size
  Shape weight_shape() const;      // out_channels, in_channels / groups, kernel
  Shape error_shape() const;       // batch, out_channels, out_size
  Shape shape_of(Operand operand) const;
  // Shape of what a pass computes: that of the error, of the activation, of the weight.
  Shape result_shape(Pass pass) const;

  // Reduction groups of a result before merging: in_channels / groups, out_channels / groups, batch.
  std::int64_t outer_count(Pass pass) const;
  // Nominal taps of a reduction group before merging: kernel, kernel, out_size.
  std::int64_t inner_taps(Pass pass) const;
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
};

// How the reduction of a pass is cut into groups within which both scales are constant.
struct Reduction {
  bool merged = false;      // neither scale depends on the outer index: all of it is one group
  std::int64_t groups = 1;  // reduction groups of each result
  std::int64_t taps = 1;    // nominal taps of a group
};
Reduction reduction_of(Pass pass, const ConvolutionShape& shape, const ScaleLayout& left, const ScaleLayout& right);

// U_a + U_b + ceil(log2 taps) + 1: the accumulator that no sum of a group can overflow.
int full_accumulator_bits(const ElementFormat& left, const ElementFormat& right, std::int64_t taps);

struct ConvolutionResult {
  Tensor<float> values;
  OperationCounts counts;
};

// T, the product of both operands' tensor scales in binary32. Throws std::runtime_error when it overflows.
float product_scale(Pass pass, float left, float right);
float product_scale(Pass pass, const MlsTensor& left, const MlsTensor& right);

}  // namespace mlsim::models
