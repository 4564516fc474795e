#include "models/convolution/cpu/depthwise_gradient.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <vector>

#include "models/convolution/cpu/prepared_planes.h"
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
        out_size_(request.shape.out_size()),
        rows_(axis_phases(Pass::kForward, request.shape, 0)),
        columns_(axis_phases(Pass::kForward, request.shape, 1)),
        planes_(rows_, columns_, in_size_),
        errors_(out_size_[0], out_size_[1], {1, 1}, planes_.plane().pitch) {
    errors_.size = (ceil_div(out_size_[0] * errors_.pitch, kPlaneBytes) + 1) * kPlaneBytes;
    for (std::int64_t i = 0; i < kGradientTaps; ++i) {
      taps_.places[static_cast<std::size_t>(i)] =
          planes_.place(plane_tap(rows_[0], i / kGradientSide), plane_tap(columns_[0], i % kGradientSide));
    }
    add_masks();
    taps_.exact = request.exact_float;
  }

  void run(float* results) const {
    const ByteTable error_table(error_.format.element, 0);
    const ByteTable activation_table(activation_.format.element, kDotOffset);
    const std::int64_t out_plane = out_size_[0] * out_size_[1];
    const std::int64_t in_plane = in_size_[0] * in_size_[1];
    const Scratch<float> error_units = pair_units(error_, 0, batch_ * channels_);
    const Scratch<float> activation_units = pair_units(activation_, 0, batch_ * channels_);
    const std::int64_t in_a_row = std::min(pieces_of_task(batch_ * ((out_plane + in_plane) / 4 + 50)), kMostChannels);
    base::parallel_for(std::int64_t{0}, ceil_div(channels_, in_a_row), [&](std::int64_t task) {
      const std::int64_t first = task * in_a_row;
      const std::int64_t count = std::min(in_a_row, channels_ - first);
      // As many as are prepared before they are read.
      const std::int64_t at_once = std::clamp<std::int64_t>(kPreparedBytes / (planes_.plane().size + errors_.size), 1,
                                                            std::min(kMostAtOnce, count));
      const auto activations = make_scratch<std::uint8_t>(at_once * planes_.plane().size);
      const auto errors = make_scratch<std::uint8_t>(at_once * errors_.size);
      planes_.clear(activations.get(), at_once);
      std::fill_n(errors.get(), at_once * errors_.size, std::uint8_t{0});
      std::vector<float> sums(static_cast<std::size_t>(count * kGradientLanes), 0.0F);
      for (std::int64_t image = 0; image < batch_; ++image) {
        for (std::int64_t begin = first; begin < first + count; begin += at_once) {
          const std::int64_t planes = std::min(at_once, first + count - begin);
          const std::int64_t pair = image * channels_ + begin;
          fill_byte_planes(planes_.plane(), activation_table, activation_.codes.data() + pair * in_plane, planes,
                           activations.get());
          fill_byte_planes(errors_, error_table, error_.codes.data() + pair * out_plane, planes, errors.get());
          const GradientRun run{
              activations.get(),        planes_.plane().size,         errors.get(), errors_.size, planes,
              error_units.get() + pair, activation_units.get() + pair};
          add_gradients(taps_, run, sums.data() + (begin - first) * kGradientLanes);
        }
      }
      for (std::int64_t c = 0; c < count; ++c) {
        for (std::int64_t i = 0; i < kGradientTaps; ++i) {
          results[(first + c) * kGradientTaps + i] =
              sums[static_cast<std::size_t>(c * kGradientLanes + i)] * tensor_scale_;
        }
      }
    });
  }

 private:
  static constexpr std::int64_t kPreparedBytes = 48 << 10;
  static constexpr std::int64_t kMostAtOnce = 16;
  static constexpr std::int64_t kMostChannels = 256;

  // Which errors meet an element in a column of the kernel, in vectors that repeat.
  void add_masks() {
    const std::int64_t pitch = errors_.pitch;
    const AxisPhase& columns = columns_[0];
    const std::int64_t repeat = pitch / std::gcd(pitch, kPlaneBytes);
    taps_.vectors = ceil_div(out_size_[0] * pitch, kPlaneBytes);
    for (std::int64_t v = 0; v < std::min(taps_.vectors, repeat); ++v) {
      std::array<std::uint64_t, kGradientSide> masks{};
      for (std::int64_t i = 0; i < kPlaneBytes; ++i) {
        const std::int64_t first = columns.base + (v * kPlaneBytes + i) % pitch * columns.source_step;
        for (std::int64_t j = 0; j < kGradientSide; ++j) {
          if (first + j < 0 || first + j >= in_size_[1]) continue;
          masks[static_cast<std::size_t>(j)] |= std::uint64_t{1} << i;
        }
      }
      masks_.push_back(masks);
    }
    taps_.masks = masks_;
  }

  const ScaledTensor& error_;
  const ScaledTensor& activation_;
  float tensor_scale_;
  std::int64_t batch_;
  std::int64_t channels_;
  std::array<std::int64_t, 2> in_size_;
  std::array<std::int64_t, 2> out_size_;
  std::vector<AxisPhase> rows_;
  std::vector<AxisPhase> columns_;
  PreparedPlanes planes_;
  BytePlane errors_;
  GradientTaps taps_;
  std::vector<std::array<std::uint64_t, kGradientSide>> masks_;
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
  if (request.bounds.sum >= Int128{1} << 31) return "a group's sum might leave 32 bits";
  if (request.bounds.scaled > Int128{1} << 53) return "a scaled sum might leave binary64's integers";
  return std::nullopt;
}

std::uint64_t sum_depthwise_gradient(const ConvolutionRequest& request, float* results) {
  DepthwiseGradient(request).run(results);
  return 0;
}

}  // namespace mlsim::models
