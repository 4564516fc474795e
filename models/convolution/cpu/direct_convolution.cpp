#include "models/convolution/cpu/direct_convolution.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cassert>
#include <cmath>
#include <type_traits>

#include "base/integers.h"
#include "base/parallel.h"
#include "models/convolution/cpu/convolution_kernels.h"
#include "models/convolution/cpu/direct_kernels.h"
#include "models/convolution/cpu/padded_planes.h"

namespace mlsim::models {
namespace {

// What a task keeps in the second-level cache of its operands.
constexpr std::int64_t kCachedBytes = 256 << 10;

// ---- Forward and backward data: lanes are neighbouring results

template <typename T, typename Value>
class DirectCorrelation {
 public:
  DirectCorrelation(Pass pass, const ConvolutionShape& shape, const std::vector<Value>& source,
                    const std::vector<Value>& weight)
      : pass_(pass),
        source_(source.data()),
        weight_(weight.data()),
        batch_(shape.batch),
        groups_(shape.groups),
        outer_(shape.outer_count(pass)),
        channels_((pass == Pass::kForward ? shape.out_channels : shape.in_channels) / shape.groups),
        blocks_(base::ceiling(channels_, kDirectChannels)),
        kernel_(shape.kernel),
        padded_(pass, shape, true),
        lanes_(static_cast<std::int64_t>(vector_lanes<T>())) {
    const Shape result_shape = shape.result_shape(pass);
    result_width_ = result_shape[3];
    result_plane_ = result_shape[2] * result_shape[3];
  }

  // Writes the results that have taps.
  void run(T* results) {
    std::vector<Phase> phases;
    for (const ResultPhase& rows : padded_.vertical.results) {
      for (const ResultPhase& columns : padded_.horizontal.results) {
        if (!rows.taps.empty() && !columns.taps.empty()) phases.push_back(make_phase(rows, columns));
      }
    }
    const std::int64_t slack = padded_.horizontal.extent + lanes_;  // read beyond the last result
    Buffer<T> exists;
    if (!finite_weights_) {
      exists.assign(static_cast<std::size_t>(padded_.plane + slack), T{0});
      const std::vector<T> row(static_cast<std::size_t>(padded_.horizontal.size), all_bits());
      for (std::int64_t y = 0; y < padded_.vertical.size; ++y) padded_.place_row(row.data(), y, exists.data());
    }

    const std::int64_t image_planes = groups_ * outer_;
    const std::int64_t at_once = images_at_once<T>(batch_, image_planes * padded_.plane);
    const std::int64_t height = padded_.vertical.size;
    const std::int64_t width = padded_.horizontal.size;
    Buffer<T> planes(static_cast<std::size_t>(at_once * image_planes * padded_.plane + slack), T{0});
    for (std::int64_t first = 0; first < batch_; first += at_once) {
      const std::int64_t images = std::min(at_once, batch_ - first);
      base::parallel_for(std::int64_t{0}, images * image_planes, [&](std::int64_t plane) {
        const Value* values = source_ + (first * image_planes + plane) * height * width;
        for (std::int64_t y = 0; y < height; ++y, values += width) {
          padded_.place_row(values, y, planes.data() + plane * padded_.plane);
        }
      });
      for (const Phase& phase : phases) {
        correlate_images(phase, planes.data(), finite_weights_ ? nullptr : exists.data(), images,
                         results + first * groups_ * channels_ * result_plane_);
      }
    }
  }

 private:
  // The results that share their taps.
  struct Phase {
    const ResultPhase* rows;
    const ResultPhase* columns;
    std::vector<std::int64_t> offsets;
    Buffer<T> weights;  // [group][channel block][outer][tap][channel]
    std::int64_t tiles;
    std::int64_t vectors;  // of a tile
  };

  static T all_bits() {
    using Bits = std::conditional_t<std::is_same_v<T, float>, std::uint32_t, std::uint64_t>;
    return std::bit_cast<T>(static_cast<Bits>(-1));
  }

  Phase make_phase(const ResultPhase& rows, const ResultPhase& columns) {
    Phase phase{&rows, &columns, {}, {}, 0, 0};
    std::vector<std::int64_t> kernel;
    for (const AxisTap& y : rows.taps) {
      for (const AxisTap& x : columns.taps) {
        phase.offsets.push_back(padded_.tap_offset(y, x));
        kernel.push_back(y.kernel * kernel_[1] + x.kernel);
      }
    }
    const auto taps = static_cast<std::int64_t>(kernel.size());
    phase.weights.resize(static_cast<std::size_t>(groups_ * channels_ * outer_ * taps));
    base::parallel_for(std::int64_t{0}, groups_ * blocks_, [&](std::int64_t block) {
      const std::int64_t group = block / blocks_;
      const std::int64_t first = block % blocks_ * kDirectChannels;
      fill_weights(group, first, kernel, phase.weights.data() + (group * channels_ + first) * outer_ * taps);
    });

    // As many positions as have their elements of all outer indices in the cache.
    const std::int64_t all_vectors = base::ceiling(padded_.positions(rows, columns), lanes_);
    const std::int64_t position_bytes =
        outer_ * padded_.vertical.phases * padded_.horizontal.phases * static_cast<std::int64_t>(sizeof(T));
    const std::int64_t positions = std::min(kCachedBytes / position_bytes, kTilePositions);
    phase.tiles = base::ceiling(all_vectors, std::max<std::int64_t>(positions / lanes_, kDirectVectors));
    phase.vectors = base::ceiling(all_vectors, phase.tiles);
    phase.tiles = base::ceiling(all_vectors, phase.vectors);
    return phase;
  }

  std::int64_t block_at(std::int64_t first) const { return std::min<std::int64_t>(channels_ - first, kDirectChannels); }

  // Weights of a block of channels, [outer][tap][channel].
  void fill_weights(std::int64_t group, std::int64_t first, const std::vector<std::int64_t>& kernel, T* target) {
    const std::int64_t block = block_at(first);
    const std::int64_t size = kernel_[0] * kernel_[1];
    bool finite = true;
    for (std::int64_t outer = 0; outer < outer_; ++outer) {
      for (std::int64_t c = 0; c < block; ++c) {
        const std::int64_t pair = pass_ == Pass::kForward ? (group * channels_ + first + c) * outer_ + outer
                                                          : (group * outer_ + outer) * channels_ + first + c;
        const Value* weights = weight_ + pair * size;
        T* place = target + c;
        for (const std::int64_t position : kernel) {
          finite = finite && std::isfinite(weights[position]);
          *place = static_cast<T>(weights[position]);
          place += block;
        }
      }
      target += block * static_cast<std::int64_t>(kernel.size());
    }
    if (!finite) finite_weights_ = false;
  }

  void correlate_images(const Phase& phase, const T* planes, const T* exists, std::int64_t images, T* results) const {
    // Channels are cut into slices, so that few large planes give every thread work, too.
    constexpr std::int64_t kSlice = 8 * kDirectChannels;
    const std::int64_t slices = base::ceiling(channels_, kSlice);
    using Range = tbb::blocked_range<std::int64_t>;
    base::parallel_for(Range(0, images * groups_ * phase.tiles * slices), [&](const Range& range) {
      Buffer<T> sums(static_cast<std::size_t>(kDirectChannels * phase.vectors * lanes_));
      for (std::int64_t task = range.begin(); task < range.end(); ++task) {
        const std::int64_t slice = task % slices;
        const std::int64_t position = task / slices % phase.tiles * phase.vectors * lanes_;
        const std::int64_t group = task / slices / phase.tiles % groups_;
        const std::int64_t image = task / slices / phase.tiles / groups_;
        DirectTile<T> tile{
            .source = planes + (image * groups_ + group) * outer_ * padded_.plane + position,
            .plane = padded_.plane,
            .outer = outer_,
            .offsets = phase.offsets.data(),
            .taps = static_cast<std::int64_t>(phase.offsets.size()),
            .vectors = std::min(phase.vectors,
                                base::ceiling(padded_.positions(*phase.rows, *phase.columns) - position, lanes_)),
            .exists = exists == nullptr ? nullptr : exists + position,
        };
        const std::int64_t end = std::min(channels_, (slice + 1) * kSlice);
        for (std::int64_t channel = slice * kSlice; channel < end; channel += kDirectChannels) {
          tile.channels = static_cast<int>(block_at(channel));
          tile.weights = phase.weights.data() + (group * channels_ + channel) * outer_ * tile.taps;
          correlate_direct(tile, sums.data());
          for (int c = 0; c < tile.channels; ++c) {
            T* plane = results + ((image * groups_ + group) * channels_ + channel + c) * result_plane_;
            const std::int64_t count = tile.vectors * lanes_;
            const PaddedPlanes::Sums<T> channel_sums{position, count, sums.data() + c * count};
            padded_.store(*phase.rows, *phase.columns, channel_sums, result_width_, plane, [](T sum) { return sum; });
          }
        }
      }
    });
  }

  static constexpr std::int64_t kTilePositions = 256;

  Pass pass_;
  const Value* source_;
  const Value* weight_;
  std::int64_t batch_;
  std::int64_t groups_;
  std::int64_t outer_;     // source channels of a group
  std::int64_t channels_;  // result channels of a group
  std::int64_t blocks_;
  std::array<std::int64_t, 2> kernel_;
  PaddedPlanes padded_;
  std::int64_t lanes_;
  std::int64_t result_width_;
  std::int64_t result_plane_;
  std::atomic<bool> finite_weights_ = true;
};

// ---- Backward weight: lanes are output channels

template <typename T, typename Value>
class DirectWeightGradient {
 public:
  DirectWeightGradient(const ConvolutionShape& shape, const std::vector<Value>& error,
                       const std::vector<Value>& activation)
      : shape_(shape),
        error_(error.data()),
        activation_(activation.data()),
        out_size_(shape.out_size()),
        positions_(out_size_[0] * out_size_[1]),
        elements_(shape.in_size[0] * shape.in_size[1]),
        taps_(shape.kernel[0] * shape.kernel[1]),
        cin_(shape.in_channels / shape.groups),
        cout_(shape.out_channels / shape.groups),
        lanes_(static_cast<std::int64_t>(vector_lanes<T>())),
        expanded_(shape.groups > 1 && cout_ < lanes_),
        groups_(expanded_ ? 1 : shape.groups),
        group_channels_(shape.out_channels / groups_),
        group_lanes_(base::ceiling(group_channels_, lanes_) * lanes_) {
    for (std::int64_t group = 0; group < groups_; ++group) {
      for (std::int64_t lane = 0; lane < group_lanes_; lane += kDirectVectors * lanes_) {
        lane_tiles_.push_back({group, lane, std::min(kDirectVectors * lanes_, group_lanes_ - lane)});
      }
    }
  }

  void run(T* results) {
    const std::int64_t lanes = groups_ * group_lanes_;
    const std::int64_t image_factors = (expanded_ ? lanes * cin_ : shape_.in_channels) * elements_;
    at_once_ = images_at_once<T>(shape_.batch, lanes * positions_ + image_factors);
    errors_.assign(static_cast<std::size_t>(at_once_ * lanes * positions_), T{0});
    activations_.assign(static_cast<std::size_t>(at_once_ * image_factors), T{0});
    sums_.assign(static_cast<std::size_t>(lanes * cin_ * taps_), T{0});
    const auto tiles = static_cast<std::int64_t>(lane_tiles_.size());
    const std::int64_t blocks = base::ceiling(cin_, kDirectChannels);
    for (std::int64_t first = 0; first < shape_.batch; first += at_once_) {
      const std::int64_t images = std::min(at_once_, shape_.batch - first);
      fill(first, images);
      base::parallel_for(std::int64_t{0}, tiles * blocks * shape_.kernel[0], [&](std::int64_t task) {
        const std::int64_t i = task % shape_.kernel[0];
        const std::int64_t block = task / shape_.kernel[0] % blocks;
        add_images(lane_tiles_[static_cast<std::size_t>(task / shape_.kernel[0] / blocks)], block * kDirectChannels, i,
                   images);
      });
    }
    for (const LaneTile& tile : lane_tiles_) store(tile, results);
  }

 private:
  // Lanes of a group from one on.
  struct LaneTile {
    std::int64_t group;
    std::int64_t lane;
    std::int64_t width;

    std::int64_t first(std::int64_t group_lanes) const { return group * group_lanes + lane; }
  };

  std::int64_t block_at(std::int64_t ci) const { return std::min<std::int64_t>(cin_ - ci, kDirectChannels); }
  // Factors of an activation that a tile of lanes takes.
  std::int64_t factor_width(const LaneTile& tile) const { return expanded_ ? tile.width : 1; }

  T* errors_of(const LaneTile& tile) { return errors_.data() + tile.first(group_lanes_) * at_once_ * positions_; }
  T* activations_of(const LaneTile& tile, std::int64_t ci) {
    const std::int64_t plane = expanded_ ? tile.lane * cin_ + ci * tile.width : tile.group * cin_ + ci;
    return activations_.data() + plane * at_once_ * elements_;
  }
  T* sums_of(const LaneTile& tile, std::int64_t ci) {
    return sums_.data() + (tile.first(group_lanes_) * cin_ + ci * tile.width) * taps_;
  }

  // Turns planes of values to [position][step], of which they take a lane each from the first on.
  template <typename PlaneOf>
  static void interleave(std::int64_t planes, std::int64_t positions, std::int64_t step, T* target,
                         const PlaneOf& plane_of) {
    constexpr std::int64_t kAtOnce = 8;
    std::int64_t p = 0;
    for (; p + kAtOnce <= planes; p += kAtOnce) {
      std::array<const Value*, kAtOnce> values;
      for (std::int64_t k = 0; k < kAtOnce; ++k) values[static_cast<std::size_t>(k)] = plane_of(p + k);
      for (std::int64_t i = 0; i < positions; ++i) {
        for (std::size_t k = 0; k < kAtOnce; ++k)
          target[i * step + p + static_cast<std::int64_t>(k)] = static_cast<T>(values[k][i]);
      }
    }
    for (; p < planes; ++p) {
      const Value* values = plane_of(p);
      for (std::int64_t i = 0; i < positions; ++i) target[i * step + p] = static_cast<T>(values[i]);
    }
  }

  void fill(std::int64_t first, std::int64_t images) {
    const auto tiles = static_cast<std::int64_t>(lane_tiles_.size());
    base::parallel_for(std::int64_t{0}, tiles * images, [&](std::int64_t task) {
      const LaneTile& tile = lane_tiles_[static_cast<std::size_t>(task / images)];
      const std::int64_t image = task % images;
      const Value* error = error_ + (first + image) * shape_.out_channels * positions_;
      const Value* activation = activation_ + (first + image) * shape_.in_channels * elements_;
      const std::int64_t channels = std::min(tile.width, group_channels_ - tile.lane);
      const std::int64_t first_channel = tile.group * group_channels_ + tile.lane;
      interleave(channels, positions_, tile.width, errors_of(tile) + image * positions_ * tile.width,
                 [&](std::int64_t c) { return error + (first_channel + c) * positions_; });
      // The activations of a group that is not expanded are those of its first tile.
      if (!expanded_ && tile.lane > 0) return;
      for (std::int64_t block = 0; block < cin_; block += kDirectChannels) {
        const std::int64_t step = block_at(block) * factor_width(tile);
        T* activations = activations_of(tile, block) + image * elements_ * step;
        if (!expanded_) {
          interleave(block_at(block), elements_, step, activations,
                     [&](std::int64_t c) { return activation + (tile.group * cin_ + block + c) * elements_; });
          continue;
        }
        for (std::int64_t ci = 0; ci < block_at(block); ++ci) {
          interleave(channels, elements_, step, activations + ci * tile.width, [&](std::int64_t c) {
            return activation + ((first_channel + c) / cout_ * cin_ + block + ci) * elements_;
          });
        }
      }
    });
  }

  // Row i of the kernel for a block of input channels.
  void add_images(const LaneTile& lane_tile, std::int64_t ci, std::int64_t i, std::int64_t images) {
    const std::int64_t block = block_at(ci);
    const std::int64_t step = block * factor_width(lane_tile);
    DirectWeightTile<T> tile{
        .error = {.image = positions_ * lane_tile.width,
                  .row = out_size_[1] * lane_tile.width,
                  .column = lane_tile.width},
        .activation = {.image = elements_ * step,
                       .row = shape_.stride[0] * shape_.in_size[1] * step,
                       .column = shape_.stride[1] * step},
        .channels = static_cast<int>(block),
        .vectors = static_cast<int>(lane_tile.width / lanes_),
        .expanded = expanded_,
    };
    // Some images, or some rows of one, whose operands stay in the cache for all columns of the kernel.
    const std::int64_t row_bytes = (tile.error.row + tile.activation.row) * static_cast<std::int64_t>(sizeof(T));
    const std::int64_t rows_at_once = std::clamp<std::int64_t>(kCachedBytes / row_bytes, 1, out_size_[0]);
    const std::int64_t images_at_once = std::max<std::int64_t>(kCachedBytes / (row_bytes * out_size_[0]), 1);
    const IndexRange rows = shape_.outputs_at(0, i);
    for (std::int64_t image = 0; image < images; image += images_at_once) {
      tile.images = std::min(images_at_once, images - image);
      for (std::int64_t row = rows.first; row < rows.end; row += rows_at_once) {
        tile.rows = std::min(rows_at_once, rows.end - row);
        for (std::int64_t j = 0; j < shape_.kernel[1]; ++j) {
          const IndexRange columns = shape_.outputs_at(1, j);
          const std::int64_t in_row = row * shape_.stride[0] + i * shape_.dilation[0] - shape_.padding[0].begin;
          const std::int64_t in_column =
              columns.first * shape_.stride[1] + j * shape_.dilation[1] - shape_.padding[1].begin;
          tile.columns = columns.size();
          tile.error.first = errors_of(lane_tile) + image * tile.error.image + row * tile.error.row +
                             columns.first * tile.error.column;
          tile.activation.first = activations_of(lane_tile, ci) + image * tile.activation.image +
                                  (in_row * shape_.in_size[1] + in_column) * step;
          add_weights_direct(tile, sums_of(lane_tile, ci) + (i * shape_.kernel[1] + j) * block * lane_tile.width);
        }
      }
    }
  }

  void store(const LaneTile& tile, T* results) {
    const std::int64_t channels = std::min(tile.width, group_channels_ - tile.lane);
    for (std::int64_t ci = 0; ci < cin_; ci += kDirectChannels) {
      const T* sums = sums_of(tile, ci);
      for (std::int64_t tap = 0; tap < taps_; ++tap) {
        for (std::int64_t c = 0; c < block_at(ci); ++c, sums += tile.width) {
          T* target = results + ((tile.group * group_channels_ + tile.lane) * cin_ + ci + c) * taps_ + tap;
          for (std::int64_t lane = 0; lane < channels; ++lane) target[lane * cin_ * taps_] = sums[lane];
        }
      }
    }
  }

  const ConvolutionShape& shape_;
  const Value* error_;
  const Value* activation_;
  std::array<std::int64_t, 2> out_size_;
  std::int64_t positions_;  // of an error plane
  std::int64_t elements_;   // of an activation plane
  std::int64_t taps_;
  std::int64_t cin_;   // input channels of a convolution group
  std::int64_t cout_;  // output channels of a convolution group
  std::int64_t lanes_;
  bool expanded_;        // lanes are the output channels of all groups, each with the activation of its own group
  std::int64_t groups_;  // of lanes
  std::int64_t group_channels_;
  std::int64_t group_lanes_;  // whole vectors
  std::vector<LaneTile> lane_tiles_;
  std::int64_t at_once_ = 1;
  Buffer<T> errors_;       // [lane tile][image][y][x][lane]
  Buffer<T> activations_;  // [group][channel block][image][y][x][channel]; if expanded, a lane tile's, and [lane]
  Buffer<T> sums_;         // [lane tile][channel block][kernel position][channel][lane]
};

}  // namespace

template <typename T, typename Value>
std::vector<T> direct_convolution(Pass pass, const ConvolutionShape& shape, const std::vector<Value>& left,
                                  const std::vector<Value>& right) {
  assert(static_cast<std::int64_t>(left.size()) == element_count(shape.shape_of(left_operand(pass))));
  assert(static_cast<std::int64_t>(right.size()) == element_count(shape.shape_of(right_operand(pass))));
  std::vector<T> result(static_cast<std::size_t>(element_count(shape.result_shape(pass))), T{0});
  if (pass == Pass::kBackwardWeight) {
    DirectWeightGradient<T, Value>(shape, left, right).run(result.data());
  } else {
    DirectCorrelation<T, Value>(pass, shape, left, right).run(result.data());
  }
  return result;
}

template std::vector<float> direct_convolution(Pass, const ConvolutionShape&, const std::vector<float>&,
                                               const std::vector<float>&);
template std::vector<double> direct_convolution(Pass, const ConvolutionShape&, const std::vector<float>&,
                                                const std::vector<float>&);
template std::vector<double> direct_convolution(Pass, const ConvolutionShape&, const std::vector<double>&,
                                                const std::vector<double>&);

}  // namespace mlsim::models
