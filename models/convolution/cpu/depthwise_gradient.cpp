#include "models/convolution/cpu/depthwise_gradient.h"

#include <algorithm>
#include <array>
#include <vector>

#include "base/integers.h"
#include "models/convolution/cpu/plane_windows.h"
#include "models/convolution/cpu/refusals.h"
#include "models/convolution/cpu/scale_kernels.h"
#include "models/convolution/cpu/scratch.h"

namespace mlsim::models {
namespace {

constexpr std::array<std::int64_t, 2> kKernel{kGradientSide, kGradientSide};

class DepthwiseGradient {
 public:
  explicit DepthwiseGradient(const ConvolutionRequest& request)
      : error_(request.left),
        activation_(request.right),
        tensor_scale_(request.tensor_scale),
        batch_(request.shape.batch),
        channels_(request.shape.groups),
        in_size_(request.shape.in_size),
        out_size_(request.shape.out_size()) {
    const AxisPhase columns = axis_phases(Pass::kForward, request.shape, 1).front();
    const PlaneWindows windows(axis_phases(Pass::kForward, request.shape, 0).front(), columns, kGradientSide,
                               in_size_[1]);
    const VectorShape vector = windows.vector(base::ceiling(out_size_[1], kGroup) * kGroup, kPlaneLanes / kGroup);
    for (std::int64_t first = 0; first < out_size_[1]; first += vector.columns) {
      columns_.push_back(make_column(windows, vector, first));
    }
    rows_ = {windows.rows(vector), columns_, vector.rows * out_size_[1], request.exact_float};
    activations_ = BytePlanes::reading(in_size_[0] * in_size_[1], windows.begin(), windows.end(vector));
    // Vectors of no errors follow a column.
    const std::int64_t rows_read = (rows_.windows.vectors + kGradientSide) * vector.rows;
    errors_ = BytePlanes::reading(out_size_[0] * out_size_[1], 0, rows_read * out_size_[1] + kPlaneLanes);
  }

  void run(float* results) const {
    const ByteDecoder error_decoder(error_.format.element, 0);
    const ByteDecoder activation_decoder(activation_.format.element, kDotOffset);
    const std::int64_t out_plane = out_size_[0] * out_size_[1];
    const std::int64_t in_plane = in_size_[0] * in_size_[1];
    const Scratch<float> error_units = pair_units(error_, 0, batch_ * channels_);
    const Scratch<float> activation_units = pair_units(activation_, 0, batch_ * channels_);
    const std::int64_t in_a_row = std::min(pieces_of_task(batch_ * ((out_plane + in_plane) / 4 + 50)), kMostChannels);
    base::parallel_for(std::int64_t{0}, base::ceiling(channels_, in_a_row), [&](std::int64_t task) {
      const std::int64_t first = task * in_a_row;
      const std::int64_t count = std::min(in_a_row, channels_ - first);
      // As many as are prepared before they are read.
      const std::int64_t at_once = std::clamp<std::int64_t>(kPreparedBytes / (activations_.step + errors_.step), 1,
                                                            std::min(kMostAtOnce, count));
      const auto activations = make_scratch<std::uint8_t>(at_once * activations_.step);
      const auto errors = make_scratch<std::uint8_t>(at_once * errors_.step);
      activations_.clear(activations.get(), at_once, kDotOffset);
      errors_.clear(errors.get(), at_once, 0);
      std::vector<float> sums(static_cast<std::size_t>(count * kGradientLanes), 0.0F);
      for (std::int64_t image = 0; image < batch_; ++image) {
        for (std::int64_t begin = first; begin < first + count; begin += at_once) {
          const std::int64_t planes = std::min(at_once, first + count - begin);
          const std::int64_t pair = image * channels_ + begin;
          fill_byte_planes(activations_, activation_decoder, activation_.codes.data() + pair * in_plane, planes,
                           activations.get());
          fill_byte_planes(errors_, error_decoder, error_.codes.data() + pair * out_plane, planes, errors.get());
          const GradientRun run{activations.get() + activations_.place,
                                activations_.step,
                                errors.get(),
                                errors_.step,
                                planes,
                                error_units.get() + pair,
                                activation_units.get() + pair};
          add_gradients(rows_, run, sums.data() + (begin - first) * kGradientLanes);
        }
      }
      write_gradients(sums.data(), count, tensor_scale_, results + first * kGradientTaps);
    });
  }

 private:
  static constexpr std::int64_t kPreparedBytes = 48 << 10;
  static constexpr std::int64_t kMostAtOnce = 16;
  static constexpr std::int64_t kMostChannels = 256;
  static constexpr std::int64_t kGroup = 4;  // errors that a dot product takes

  GradientColumn make_column(const PlaneWindows& windows, const VectorShape& vector, std::int64_t first) const {
    GradientColumn column{windows.window(first), {first, 0, {}}};
    for (std::int64_t i = 0; i < kPlaneBytes; ++i) {
      const std::int64_t error = i / kPlaneLanes * kGroup + i % kGroup;
      const std::int64_t row = error / vector.lanes;
      const std::int64_t x = error % vector.lanes;
      if (row >= vector.rows || x >= vector.columns || first + x >= out_size_[1]) continue;
      column.errors.mask |= std::uint64_t{1} << i;
      column.errors.picks[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(row * out_size_[1] + x);
      const std::int64_t tap = i / kGroup % kGradientRow;
      if (tap < kGradientSide) windows.pick(column.activations, i, row, x, tap);
    }
    return column;
  }

  const ScaledTensor& error_;
  const ScaledTensor& activation_;
  float tensor_scale_;
  std::int64_t batch_;
  std::int64_t channels_;
  std::array<std::int64_t, 2> in_size_;
  std::array<std::int64_t, 2> out_size_;
  std::vector<GradientColumn> columns_;
  GradientRows rows_;
  BytePlanes activations_;
  BytePlanes errors_;
};

}  // namespace

Refusal refuse_depthwise_gradient(const ConvolutionRequest& request) {
  const ConvolutionShape& shape = request.shape;
  if (!has_dot_products()) return "the processor has no dot products of bytes";
  if (request.pass != Pass::kBackwardWeight) return "results are planes";
  if (shape.in_channels != shape.groups || shape.out_channels != shape.groups) return "a group has several channels";
  if (shape.kernel != kKernel || shape.dilation != std::array<std::int64_t, 2>{1, 1}) return "the kernel is not 3×3";
  if (std::max(shape.stride[0], shape.stride[1]) > 2) return "the stride is larger than 2";
  if (Refusal refusal = refuse_split_planes(request)) return refusal;
  if (!request.reduction.by_outer_index()) return "a group has several images";
  if (request.bounds.narrow) return "a narrow accumulator was asked for";
  if (!request.fits_float) return "an element or a sum might leave binary32";
  if (Refusal refusal = refuse_large_elements(request)) return refusal;
  if (request.bounds.sum >= base::Int128{1} << 31) return "a group's sum might leave 32 bits";
  if (request.bounds.scaled > kDoubleIntegers) return "a scaled sum might leave binary64's integers";
  return std::nullopt;
}

std::uint64_t sum_depthwise_gradient(const ConvolutionRequest& request, float* results) {
  DepthwiseGradient(request).run(results);
  return 0;
}

}  // namespace mlsim::models
