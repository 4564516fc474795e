#include "models/convolution/cpu/depthwise_convolution.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "base/integers.h"
#include "models/convolution/cpu/axis_phases.h"
#include "models/convolution/cpu/plane_kernels.h"
#include "models/convolution/cpu/plane_windows.h"
#include "models/convolution/cpu/refusals.h"
#include "models/convolution/cpu/scale_kernels.h"
#include "models/convolution/cpu/scratch.h"

namespace mlsim::models {
namespace {

// Taps of a row of the kernel that a result takes, and the largest stride.
constexpr std::int64_t kMostTaps = 4;
constexpr std::int64_t kMostStride = 2;

class DepthwiseCorrelation {
 public:
  explicit DepthwiseCorrelation(const ConvolutionRequest& request)
      : source_(request.left),
        weight_(request.right),
        tensor_scale_(request.tensor_scale),
        batch_(request.shape.batch),
        channels_(request.shape.groups),
        kernel_(request.shape.kernel),
        source_size_(request.pass == Pass::kForward ? request.shape.in_size : request.shape.out_size()),
        result_size_(request.pass == Pass::kForward ? request.shape.out_size() : request.shape.in_size),
        columns_(axis_phases(request.pass, request.shape, 1)),
        together_(together(columns_, result_size_[1])) {
    std::int64_t begin = 0;
    std::int64_t end = 0;
    for (const AxisPhase& rows : axis_phases(request.pass, request.shape, 0)) {
      const PlaneWindows windows(rows, together_, kMostTaps, source_size_[1]);
      phases_.push_back(make_phase(rows, windows));
      begin = std::min(begin, windows.begin());
      end = std::max(end, windows.end(phases_.back().vector));
    }
    planes_ = BytePlanes::reading(source_size_[0] * source_size_[1], begin, end);
  }

  void run(float* results) const {
    std::vector<std::array<Weights, 2>> weights;
    weights.reserve(phases_.size());
    const Scratch<std::uint8_t> bytes = weight_bytes();
    for (const Phase& phase : phases_)
      weights.push_back({pack(phase.taps[0], bytes.get()), pack(phase.taps[1], bytes.get())});
    const Scratch<float> units = plane_units();
    const ByteDecoder decoder(source_.format.element, kDotOffset);
    const std::int64_t result_plane = result_size_[0] * result_size_[1];
    const std::int64_t source_plane = source_size_[0] * source_size_[1];
    // Some planes at a time, which are prepared before they are read: the processor waits for bytes that it has just
    // written otherwise.
    const std::int64_t at_once = std::clamp<std::int64_t>(kPreparedBytes / planes_.step, 1, 16);
    const std::int64_t in_a_row = pieces_of_task((result_plane + source_plane) / 4 + 50);
    // Those of a task are of one image.
    const std::int64_t tasks = base::ceiling(channels_, in_a_row);
    base::parallel_for(std::int64_t{0}, batch_ * tasks, [&](std::int64_t task) {
      const std::int64_t image = task / tasks * channels_;
      const std::int64_t begin = task % tasks * in_a_row;
      const std::int64_t end = std::min(begin + in_a_row, channels_);
      const auto prepared = make_scratch<std::uint8_t>(at_once * planes_.step);
      planes_.clear(prepared.get(), at_once, kDotOffset);
      for (std::int64_t channel = begin; channel < end; channel += at_once) {
        PlaneRun run{.bytes = prepared.get() + planes_.place,
                     .bytes_step = planes_.step,
                     .count = std::min(at_once, end - channel),
                     .channel = channel,
                     .units = units.get() + image + channel,
                     .tensor_scale = tensor_scale_};
        fill_byte_planes(planes_, decoder, source_.codes.data() + (image + channel) * source_plane, run.count,
                         prepared.get());
        for (std::size_t p = 0; p < phases_.size(); ++p) {
          for (const std::size_t i : {0U, 1U}) {
            run.weights[i] = weights[p][i].rows.get();
            run.corrections[i] = weights[p][i].corrections.get();
          }
          correlate_planes(phases_[p].rows, run, results + (image + channel) * result_plane, result_plane);
        }
      }
    });
  }

 private:
  static constexpr std::int64_t kPreparedBytes = 64 << 10;

  // Rows of results that share their taps.
  struct Phase {
    VectorShape vector;
    ResultRows rows;
    std::vector<ResultColumn> columns;
    std::array<std::vector<Quad>, 2> taps;  // by phases of columns
  };

  // [block of kDotChannels channels][row][channel], the others without rows.
  struct Weights {
    Scratch<std::int32_t> rows;
    Scratch<std::int32_t> corrections;
  };

  // Neighbouring results of two phases begin with the same element, and are counted once.
  static AxisPhase together(const std::vector<AxisPhase>& columns, std::int64_t results) {
    AxisPhase all = columns.front();
    for (const AxisPhase& phase : columns) all.base = std::min(all.base, phase.base);
    if (all.step == 1) return all;
    all.first = 0;
    all.count = base::ceiling(results, all.step);
    return all;
  }

  Phase make_phase(const AxisPhase& rows, const PlaneWindows& windows) const {
    Phase phase;
    const std::int64_t side_by_side = together_.step;
    // Several rows make one vector where they lie side by side.
    phase.vector = windows.vector(together_.count, rows.step == 1 && side_by_side == 1 ? 4 : 1);
    const std::int64_t width = phase.vector.columns;
    for (std::int64_t begin = 0; begin < together_.count; begin += width) {
      // The last vector of a row has results of the one before it, too.
      const std::int64_t first = std::min(begin, together_.count - width);
      ResultColumn column{windows.window(first), rows.first * result_size_[1] + first * side_by_side, 0, 0};
      for (std::int64_t i = 0; i < kPlaneBytes; ++i) {
        const std::int64_t row = i / 4 / width;
        if (row < phase.vector.rows) windows.pick(column.taps, i, row, i / 4 % width, i % 4);
      }
      const std::int64_t of_row = std::min(width * side_by_side, result_size_[1] - first * side_by_side);
      const std::int64_t last_rows = (rows.count - 1) % phase.vector.rows + 1;
      column.written = first_bits(phase.vector.rows * of_row);
      column.written_last = first_bits(last_rows * of_row);
      phase.columns.push_back(column);
    }
    phase.rows = {windows.rows(phase.vector), phase.columns, side_by_side,
                  phase.vector.rows * rows.step * result_size_[1]};
    for (std::int64_t i = 0; i < side_by_side; ++i) {
      phase.taps[static_cast<std::size_t>(i)].assign(rows.kernel.size(), Quad{-1, -1, -1, -1});
    }
    for (const AxisPhase& columns : columns_) {
      place_taps(rows, columns, phase.taps[static_cast<std::size_t>(columns.first)]);
    }
    return phase;
  }

  static std::uint32_t first_bits(std::int64_t count) {
    return static_cast<std::uint32_t>((std::uint64_t{1} << count) - 1);
  }

  // The taps of each row of the kernel, from the element on with which all phases begin.
  void place_taps(const AxisPhase& rows, const AxisPhase& columns, std::vector<Quad>& quads) const {
    for (std::size_t y = 0; y < rows.kernel.size(); ++y) {
      for (std::size_t x = 0; x < columns.kernel.size(); ++x) {
        quads[y][static_cast<std::size_t>(columns.base - together_.base) + x] =
            static_cast<std::int32_t>(rows.kernel[y] * kernel_[1] + columns.kernel[x]);
      }
    }
  }

  Scratch<std::uint8_t> weight_bytes() const {
    const std::int64_t size = kernel_[0] * kernel_[1];
    const std::int64_t count = base::ceiling(channels_, kDotChannels) * kDotChannels * size;
    auto bytes = make_scratch<std::uint8_t>(count + kPackSlack);
    std::fill_n(bytes.get() + channels_ * size, count - channels_ * size, std::uint8_t{0});
    ByteDecoder(weight_.format.element, 0).decode(weight_.codes.data(), 1, channels_ * size, bytes.get(), 0);
    return bytes;
  }

  Weights pack(const std::vector<Quad>& taps, const std::uint8_t* bytes) const {
    if (taps.empty()) return {};
    const std::int64_t size = kernel_[0] * kernel_[1];
    const std::int64_t blocks = base::ceiling(channels_, kDotChannels);
    const auto rows = static_cast<std::int64_t>(taps.size());
    Weights weights{make_scratch<std::int32_t>(blocks * rows * kDotChannels),
                    make_scratch<std::int32_t>(blocks * kDotChannels)};
    // Blocks of channels are to the packing what outer indices are; units are none of its business.
    const auto units = make_scratch<float>(blocks * kDotChannels);
    constexpr float kNone = 1;
    DotPacking packing{.kernel_step = kDotChannels * size,
                       .outer = blocks,
                       .taps = taps.data(),
                       .quads = rows,
                       .channels = kDotChannels};
    for (std::int64_t c = 0; c < kDotChannels; ++c) {
      packing.kernels[static_cast<std::size_t>(c)] = bytes + c * size;
      packing.units[static_cast<std::size_t>(c)] = &kNone;
    }
    pack_weights(packing, {weights.rows.get(), weights.corrections.get(), units.get()});
    return weights;
  }

  // What a product's 1 stands for in every plane.
  Scratch<float> plane_units() const {
    const Scratch<float> weight_units = pair_units(weight_, 0, channels_);
    Scratch<float> units = pair_units(source_, 0, batch_ * channels_);
    for (std::int64_t image = 0; image < batch_; ++image) {
      for (std::int64_t c = 0; c < channels_; ++c) units[image * channels_ + c] *= weight_units[c];
    }
    return units;
  }

  const ScaledTensor& source_;
  const ScaledTensor& weight_;
  float tensor_scale_;
  std::int64_t batch_;
  std::int64_t channels_;
  std::array<std::int64_t, 2> kernel_;
  std::array<std::int64_t, 2> source_size_;
  std::array<std::int64_t, 2> result_size_;
  std::vector<AxisPhase> columns_;
  AxisPhase together_;
  std::vector<Phase> phases_;  // of rows
  BytePlanes planes_;
};

// Neighbouring results of a strided backward pass share a quad.
bool fits(const ConvolutionRequest& request, std::size_t axis) {
  const ConvolutionShape& shape = request.shape;
  static_assert(kMostTaps == kMostPlaneRows);
  const std::int64_t shared = request.pass == Pass::kForward ? 1 : shape.stride[axis];
  return shape.stride[axis] <= kMostStride && shape.kernel[axis] <= kMostTaps * shared - (shared - 1);
}

}  // namespace

Refusal refuse_depthwise(const ConvolutionRequest& request) {
  const ConvolutionShape& shape = request.shape;
  if (!has_dot_products()) return "the processor has no dot products of bytes";
  if (request.pass == Pass::kBackwardWeight) return "backward weight sums along whole planes";
  if (shape.in_channels != shape.groups || shape.out_channels != shape.groups) return "a group has several channels";
  if (shape.dilation != std::array<std::int64_t, 2>{1, 1}) return "the kernel is dilated";
  if (!fits(request, 0) || !fits(request, 1)) return "the kernel or its stride is too large";
  if (Refusal refusal = refuse_split_planes(request)) return refusal;
  if (Refusal refusal = refuse_large_elements(request)) return refusal;
  if (!request.exact_float) return "a group may be no binary32 number";
  return std::nullopt;
}

std::uint64_t correlate_depthwise(const ConvolutionRequest& request, float* results) {
  // A stride may pass by every result.
  for (const std::size_t axis : {0U, 1U}) {
    if (axis_phases(request.pass, request.shape, axis).empty()) return 0;
  }
  DepthwiseCorrelation(request).run(results);
  return 0;
}

}  // namespace mlsim::models
