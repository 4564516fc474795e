#include "models/convolution/cpu/depthwise_convolution.h"

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "models/convolution/cpu/axis_phases.h"
#include "models/convolution/cpu/plane_kernels.h"
#include "models/convolution/cpu/prepared_planes.h"
#include "models/convolution/cpu/refusals.h"
#include "models/convolution/cpu/scale_kernels.h"
#include "models/convolution/cpu/scratch.h"

namespace mlsim::models {
namespace {

// Taps that a quad takes of a row of the kernel, and rows of it; and the largest stride: what two windows of bytes
// hold.
constexpr std::int64_t kMostColumns = 4;
constexpr std::int64_t kMostStride = 2;

class DepthwiseCorrelation {
 public:
  explicit DepthwiseCorrelation(const ConvolutionRequest& request)
      : forward_(request.pass == Pass::kForward),
        source_(request.left),
        weight_(request.right),
        tensor_scale_(request.tensor_scale),
        batch_(request.shape.batch),
        channels_(request.shape.groups),
        kernel_(request.shape.kernel),
        source_size_(forward_ ? request.shape.in_size : request.shape.out_size()),
        result_size_(forward_ ? request.shape.out_size() : request.shape.in_size),
        rows_(axis_phases(request.pass, request.shape, 0)),
        columns_(axis_phases(request.pass, request.shape, 1)),
        planes_(rows_, columns_, source_size_),
        // The analyzer takes what another file constructs for garbage.
        pitch_(planes_.plane().pitch) {  // NOLINT(clang-analyzer-core.uninitialized.Assign)
    for (const AxisPhase& rows : rows_) {
      kept_ = std::max(kept_, ceil_div(rows.count * pitch_, kPlaneLanes) * kPlaneLanes + kPlaneLanes);
    }
    for (const AxisPhase& rows : rows_) {
      for (const AxisPhase& columns : columns_) phases_.push_back(make_phase(rows, columns));
    }
    if (source_size_[0] * source_size_[1] <= kPlaneBytes && phases_.size() == 1 && rows_[0].step == 1 &&
        columns_[0].step == 1) {
      pick_all();
    }
  }

  void run(float* results) const {
    std::vector<Weights> weights;
    weights.reserve(phases_.size());
    const Scratch<std::uint8_t> bytes = weight_bytes();
    for (const Phase& phase : phases_) weights.push_back(pack(phase, bytes.get()));
    const Scratch<float> units = plane_units();
    const ByteTable table(source_.format.element, kDotOffset);
    const std::int64_t result_plane = result_size_[0] * result_size_[1];
    const std::int64_t source_plane = source_size_[0] * source_size_[1];
    // Some planes at a time, which are prepared before they are read: the processor waits for bytes that it has just
    // written otherwise.
    const std::int64_t at_once = std::clamp<std::int64_t>(kPreparedBytes / planes_.plane().size, 1, 16);
    const std::int64_t in_a_row = pieces_of_task((result_plane + source_plane) / 4 + 50);
    // Those of a task are of one image.
    const std::int64_t tasks = ceil_div(channels_, in_a_row);
    base::parallel_for(std::int64_t{0}, batch_ * tasks, [&](std::int64_t task) {
      const std::int64_t image = task / tasks * channels_;
      const std::int64_t end = std::min(task % tasks * in_a_row + in_a_row, channels_);
      const std::int64_t begin = task % tasks * in_a_row;
      if (small_.elements > 0) {
        const PlaneRun run{.count = end - begin,
                           .channel = begin,
                           .weights = weights[0].quads.get(),
                           .corrections = weights[0].corrections.get(),
                           .units = units.get() + image + begin,
                           .tensor_scale = tensor_scale_};
        correlate_small_planes(small_, table, source_.codes.data() + (image + begin) * source_plane, run,
                               results + (image + begin) * result_plane);
        return;
      }
      const auto prepared = make_scratch<std::uint8_t>(at_once * planes_.plane().size);
      planes_.clear(prepared.get(), at_once);
      std::vector<float> y(columns_.size() * static_cast<std::size_t>(at_once * kept_));
      for (std::int64_t channel = begin; channel < end; channel += at_once) {
        PlaneRun run{.bytes = prepared.get(),
                     .bytes_step = planes_.plane().size,
                     .count = std::min(at_once, end - channel),
                     .channel = channel,
                     .units = units.get() + image + channel,
                     .tensor_scale = tensor_scale_};
        fill_byte_planes(planes_.plane(), table, source_.codes.data() + (image + channel) * source_plane, run.count,
                         prepared.get());
        correlate(weights, run, y.data(), results + (image + channel) * result_plane);
      }
    });
  }

 private:
  static constexpr std::int64_t kPreparedBytes = 64 << 10;

  struct Phase {
    const AxisPhase* rows;
    const AxisPhase* columns;
    std::vector<PlaneQuad> quads;
    std::vector<Quad> taps;
    std::vector<std::uint64_t> masks;
    bool both;
  };

  // [block of kDotChannels channels][quad][channel], the others without quads.
  struct Weights {
    Scratch<std::int32_t> quads;
    Scratch<std::int32_t> corrections;
  };

  // Rows of the kernel that share a quad: two, of at most two columns that lie side by side.
  static std::int64_t quad_rows(const AxisPhase& columns) {
    return columns.taps() <= 2 && columns.source_step == 1 ? 2 : 1;
  }

  Phase make_phase(const AxisPhase& rows, const AxisPhase& columns) const {
    Phase phase{&rows, &columns, {}, {}, {}, false};
    const std::int64_t together = quad_rows(columns);
    const std::int64_t width = kMostColumns / together;
    for (std::int64_t row = 0; row < rows.taps(); row += together) {
      Quad taps{-1, -1, -1, -1};
      for (std::int64_t t = 0; t < kMostColumns; ++t) {
        const std::int64_t y = row + t / width;
        const std::int64_t x = t % width;
        if (y >= rows.taps() || x >= columns.taps()) continue;
        taps[static_cast<std::size_t>(t)] = static_cast<std::int32_t>(
            rows.kernel[static_cast<std::size_t>(y)] * kernel_[1] + columns.kernel[static_cast<std::size_t>(x)]);
      }
      phase.taps.push_back(taps);
      phase.quads.push_back(make_quad(rows, columns, row, phase.both));
    }
    add_masks(phase);
    return phase;
  }

  // The windows are two rows of the kernel, or the two phases of the columns.
  PlaneQuad make_quad(const AxisPhase& rows, const AxisPhase& columns, std::int64_t row, bool& both) const {
    const bool by_rows = quad_rows(columns) == 2;
    std::array<std::int64_t, 2> begins{};
    std::array<std::int64_t, 2> distances{std::numeric_limits<std::int64_t>::max(),
                                          std::numeric_limits<std::int64_t>::max()};
    for (std::int64_t x = 0; x < columns.taps(); ++x) {
      const PlaneTap tap = plane_tap(columns, x);
      for (const std::size_t window : {0U, 1U}) {
        if (!by_rows && tap.phase != static_cast<std::int64_t>(window)) continue;
        distances[window] = std::min(distances[window], tap.distance);
      }
    }
    for (const std::size_t window : {0U, 1U}) {
      const std::int64_t y = std::min(row + (by_rows ? static_cast<std::int64_t>(window) : 0), rows.taps() - 1);
      const PlaneTap tap = plane_tap(rows, y);
      const std::size_t phase = by_rows || columns.source_step == 1 ? 0 : window;
      // A window of which no tap is taken begins somewhere.
      if (distances[window] == std::numeric_limits<std::int64_t>::max()) distances[window] = 0;
      begins[window] = planes_.plane().places[static_cast<std::size_t>(tap.phase)][phase] + tap.distance * pitch_ +
                       distances[window];
    }
    PlaneQuad quad{begins[0], begins[1], {}};
    const std::int64_t width = by_rows ? 2 : kMostColumns;
    for (std::int64_t i = 0; i < kPlaneBytes; ++i) {
      const std::int64_t x = i % 4 % width;
      if (x >= columns.taps()) continue;
      const PlaneTap tap = plane_tap(columns, x);
      const auto window = static_cast<std::size_t>(by_rows ? i % 4 / 2 : tap.phase);
      if (by_rows && row + i % 4 / 2 >= rows.taps()) continue;
      const std::int64_t pick = i / 4 + tap.distance - distances[window];
      quad.picks[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(pick + (window == 0 ? 0 : kPlaneWindow));
      both = both || window == 1;
    }
    return quad;
  }

  // Taps beside the plane are zeros, and those that there are not, whose weights are zeros, may be anything.
  void add_masks(Phase& phase) const {
    const AxisPhase& columns = *phase.columns;
    const std::int64_t width = quad_rows(columns) == 2 ? 2 : kMostColumns;
    const std::int64_t vectors = ceil_div(phase.rows->count * pitch_, kPlaneLanes);
    // After so many vectors, columns are the same again.
    const std::int64_t repeat = pitch_ / std::gcd(pitch_, kPlaneLanes);
    for (std::int64_t v = 0; v < std::min(vectors, repeat); ++v) {
      std::uint64_t mask = 0;
      for (std::int64_t i = 0; i < kPlaneBytes; ++i) {
        const std::int64_t column =
            columns.base + i % 4 % width + (v * kPlaneLanes + i / 4) % pitch_ * columns.source_step;
        if (column >= 0 && column < source_size_[1]) mask |= std::uint64_t{1} << i;
      }
      phase.masks.push_back(mask);
    }
  }

  // All taps of all results of a plane that fits a vector.
  void pick_all() {
    const AxisPhase& rows = rows_[0];
    const AxisPhase& columns = columns_[0];
    const std::int64_t together = quad_rows(columns);
    const std::int64_t width = kMostColumns / together;
    const std::int64_t results = rows.count * columns.count;
    const auto quads = static_cast<std::int64_t>(phases_[0].quads.size());
    const auto picks = static_cast<std::size_t>(ceil_div(results, kPlaneLanes) * quads);
    small_picks_.resize(picks);
    small_masks_.resize(picks);
    std::int64_t result = 0;
    for (std::int64_t row = 0; row < rows.count; ++row) {
      for (std::int64_t column = 0; column < columns.count; ++column, ++result) {
        const std::int64_t lane = result % kPlaneLanes;
        for (std::int64_t quad = 0; quad < quads; ++quad) {
          const auto at = static_cast<std::size_t>(result / kPlaneLanes * quads + quad);
          for (std::int64_t t = 0; t < 4; ++t) {
            const std::int64_t y = rows.base + quad * together + (t >= width ? 1 : 0) + row * rows.source_step;
            const std::int64_t x = columns.base + (t >= width ? t - width : t) + column * columns.source_step;
            if (y < 0 || y >= source_size_[0] || x < 0 || x >= source_size_[1]) continue;
            small_masks_[at] |= std::uint64_t{1} << (4 * lane + t);
            small_picks_[at].picks[static_cast<std::size_t>(4 * lane + t)] =
                static_cast<std::uint8_t>(y * source_size_[1] + x);
          }
        }
      }
    }
    small_ = {source_size_[0] * source_size_[1], results, quads, small_picks_, small_masks_};
  }

  Scratch<std::uint8_t> weight_bytes() const {
    const std::int64_t size = kernel_[0] * kernel_[1];
    const std::int64_t count = ceil_div(channels_, kDotChannels) * kDotChannels * size;
    auto bytes = make_scratch<std::uint8_t>(count + kPackSlack);
    std::fill_n(bytes.get() + channels_ * size, count - channels_ * size, std::uint8_t{0});
    ByteDecoder(weight_.format.element, 0).decode(weight_.codes.data(), 1, channels_ * size, bytes.get(), 0);
    return bytes;
  }

  Weights pack(const Phase& phase, const std::uint8_t* bytes) const {
    const std::int64_t size = kernel_[0] * kernel_[1];
    const std::int64_t blocks = ceil_div(channels_, kDotChannels);
    const auto quads = static_cast<std::int64_t>(phase.taps.size());
    Weights weights{make_scratch<std::int32_t>(blocks * quads * kDotChannels),
                    make_scratch<std::int32_t>(blocks * kDotChannels)};
    // Blocks of channels are to the packing what outer indices are; units are none of its business.
    const auto units = make_scratch<float>(blocks * kDotChannels);
    constexpr float kNone = 1;
    DotPacking packing{.kernel_step = kDotChannels * size,
                       .outer = blocks,
                       .taps = phase.taps.data(),
                       .quads = quads,
                       .channels = kDotChannels};
    for (std::int64_t c = 0; c < kDotChannels; ++c) {
      packing.kernels[static_cast<std::size_t>(c)] = bytes + c * size;
      packing.units[static_cast<std::size_t>(c)] = &kNone;
    }
    pack_weights(packing, {weights.quads.get(), weights.corrections.get(), units.get()});
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

  // Planes of results. y holds those of each phase of columns, a plane `kept_` behind the one before it.
  void correlate(const std::vector<Weights>& weights, PlaneRun run, float* y, float* target) const {
    const std::int64_t result_plane = result_size_[0] * result_size_[1];
    const AxisPhase& all = columns_.front();
    const bool direct = phases_.size() == 1 && rows_.front().step == 1 && all.step == 1 && all.count == pitch_;
    for (std::size_t p = 0; p < phases_.size(); ++p) {
      const auto part = static_cast<std::int64_t>(p % columns_.size());
      run.weights = weights[p].quads.get();
      run.corrections = weights[p].corrections.get();
      if (direct) {
        correlate_planes(phase_of(p), run, target, result_plane);
        return;
      }
      correlate_planes(phase_of(p), run, y + part * run.count * kept_, kept_);
      if (part + 1 < static_cast<std::int64_t>(columns_.size())) continue;
      for (std::int64_t i = 0; i < run.count; ++i) {
        spread(*phases_[p].rows, y + i * kept_, run.count * kept_, target + i * result_plane);
      }
    }
  }

  PlanePhase phase_of(std::size_t p) const {
    const Phase& phase = phases_[p];
    return {phase.quads, phase.both, phase.masks, phase.rows->count * pitch_};
  }

  // Takes the results of a plane, `part` apart by phases of columns, to their rows.
  void spread(const AxisPhase& rows, const float* y, std::int64_t part, float* target) const {
    target += rows.first * result_size_[1];
    const std::int64_t target_pitch = rows.step * result_size_[1];
    if (columns_.size() == 2 && columns_[0].first == 0 && columns_[0].count == columns_[1].count) {
      interleave_rows({y, y + part, rows.count, columns_[0].count, pitch_}, target, target_pitch);
      return;
    }
    for (const AxisPhase& columns : columns_) {
      for (std::int64_t r = 0; r < rows.count; ++r) {
        float* row = target + r * target_pitch + columns.first;
        for (std::int64_t x = 0; x < columns.count; ++x) row[x * columns.step] = y[r * pitch_ + x];
      }
      y += part;
    }
  }

  bool forward_;
  const ScaledTensor& source_;
  const ScaledTensor& weight_;
  float tensor_scale_;
  std::int64_t batch_;
  std::int64_t channels_;
  std::array<std::int64_t, 2> kernel_;
  std::array<std::int64_t, 2> source_size_;
  std::array<std::int64_t, 2> result_size_;
  std::vector<AxisPhase> rows_;
  std::vector<AxisPhase> columns_;
  PreparedPlanes planes_;
  std::int64_t pitch_;     // of rows, of sources and of results
  std::int64_t kept_ = 0;  // results of a phase, and what is read behind them
  std::vector<Phase> phases_;
  SmallPlanes small_;  // where planes are so small
  std::vector<PlaneQuad> small_picks_;
  std::vector<std::uint64_t> small_masks_;
};

bool fits(const ConvolutionRequest& request, std::size_t axis) {
  const ConvolutionShape& shape = request.shape;
  const std::int64_t taps =
      request.pass == Pass::kForward ? shape.kernel[axis] : ceil_div(shape.kernel[axis], shape.stride[axis]);
  static_assert(kMostColumns == kMostPlaneQuads);
  return shape.stride[axis] <= kMostStride && taps <= kMostColumns;
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
