#include "models/convolution/cpu/plane_convolution.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cassert>
#include <type_traits>
#include <vector>

#include "base/integers.h"
#include "base/parallel.h"
#include "base/power_of_two.h"
#include "models/convolution/cpu/convolution_kernels.h"
#include "models/convolution/cpu/padded_planes.h"
#include "models/convolution/cpu/scale_kernels.h"

namespace mlsim::models {
namespace {

NarrowRegister register_of(const Accumulator& accumulator) {
  return {accumulator.bits, accumulator.overflow == Overflow::kWrap};
}

// Products that are added up for a result; of backward weight, in an image.
std::int64_t additions(Pass pass, const ConvolutionShape& shape) {
  if (pass == Pass::kBackwardWeight) return shape.out_size()[0] * shape.out_size()[1];
  return shape.outer_count(pass) * shape.kernel[0] * shape.kernel[1];
}

std::size_t pair_index(const ScaledTensor& tensor, std::int64_t i0, std::int64_t i1) {
  return static_cast<std::size_t>(i0 * tensor.shape[1] + i1);
}

// S_g · 2^-U: what an element of this index pair has for its integer 1.
double unit_of(const ScaledTensor& tensor, std::size_t pair) {
  const TileScale scale = scale_of_pair(tensor, static_cast<std::int64_t>(pair));
  const int exponent = scale.exponent - tensor.format.element.unit_exponent();
  return base::power_of_two(exponent) * scale.significand;
}

// ---- Forward and backward data: results as shifted sums of padded planes

// Both kinds of correlation see a source operand (activation or error), weights and reduction over source channels.
template <typename T>
class Correlation {
 public:
  explicit Correlation(const ConvolutionRequest& request)
      : pass_(request.pass),
        source_(request.left),
        weight_(request.right),
        bounds_(request.bounds),
        narrow_register_(register_of(request.accumulator)),
        merged_(request.reduction.merged()),
        tensor_scale_(request.tensor_scale),
        batch_(request.shape.batch),
        groups_(request.shape.groups),
        outer_(request.shape.outer_count(pass_)),
        channels_((pass_ == Pass::kForward ? request.shape.out_channels : request.shape.in_channels) / groups_),
        kernel_columns_(request.shape.kernel[1]),
        padded_(pass_, request.shape, !bounds_.narrow),
        plane_(padded_.plane),
        result_shape_(request.shape.result_shape(pass_)),
        lanes_(static_cast<std::int64_t>(vector_lanes<T>())) {}

  // Returns how many additions have overflowed.
  std::uint64_t run(float* results) {
    std::vector<Phase> phases;
    for (const ResultPhase& rows : padded_.vertical.results) {
      for (const ResultPhase& columns : padded_.horizontal.results) {
        if (!rows.taps.empty() && !columns.taps.empty()) phases.push_back(make_phase(rows, columns));
      }
    }

    const std::int64_t image_planes = groups_ * outer_;
    const std::int64_t at_once = images_at_once<T>(batch_, image_planes * plane_);
    // A tile reads beyond the last plane where its last vector has no results.
    const std::int64_t slack = plane_ + lanes_ * tile_vectors();
    planes_.assign(static_cast<std::size_t>(at_once * image_planes * plane_ + slack), T{0});
    for (std::int64_t first = 0; first < batch_; first += at_once) {
      const std::int64_t images = std::min(at_once, batch_ - first);
      base::parallel_for(std::int64_t{0}, images * image_planes, [&](std::int64_t plane) {
        fill_plane(static_cast<std::size_t>(first * image_planes + plane), planes_.data() + plane * plane_);
      });
      for (const Phase& phase : phases) correlate_images(phase, first, images, results);
    }
    return overflows_;
  }

 private:
  // The results that share their taps.
  struct Phase {
    const ResultPhase* rows;
    const ResultPhase* columns;
    std::vector<std::int64_t> offsets;
    Buffer<T> weights;       // [group][channel block][outer][tap][channel]
    std::vector<T> counted;  // 1 at positions with a result, for narrow registers
    std::int64_t positions;
    std::int64_t tiles;
    std::int64_t vectors;  // of a tile
  };

  std::int64_t weight_pair(std::int64_t group, std::int64_t channel, std::int64_t outer) const {
    return pass_ == Pass::kForward ? (group * channels_ + channel) * outer_ + outer
                                   : (group * outer_ + outer) * channels_ + channel;
  }

  // Channels from `first` on that one tile computes.
  int block_at(std::int64_t first) const { return channels_ - first >= kChannelBlock ? kChannelBlock : 1; }

  Phase make_phase(const ResultPhase& rows, const ResultPhase& columns) const {
    Phase phase{&rows, &columns, {}, {}, {}, 0, 0, 0};
    std::vector<std::int64_t> kernel;
    for (const AxisTap& y : rows.taps) {
      for (const AxisTap& x : columns.taps) {
        phase.offsets.push_back(padded_.tap_offset(y, x));
        kernel.push_back(y.kernel * kernel_columns_ + x.kernel);
      }
    }
    const auto taps = static_cast<std::int64_t>(kernel.size());
    phase.weights.resize(static_cast<std::size_t>(groups_ * channels_ * outer_ * taps));
    base::parallel_for(std::int64_t{0}, groups_ * base::ceiling(channels_, kChannelBlock), [&](std::int64_t index) {
      const std::int64_t group = index / base::ceiling(channels_, kChannelBlock);
      const std::int64_t begin = index % base::ceiling(channels_, kChannelBlock) * kChannelBlock;
      const std::int64_t end = std::min(begin + kChannelBlock, channels_);
      for (std::int64_t first = begin; first < end; first += block_at(first)) {
        fill_weights(group, first, kernel, phase.weights.data() + (group * channels_ + first) * outer_ * taps);
      }
    });

    phase.positions = padded_.positions(rows, columns);
    const std::int64_t all_vectors = base::ceiling(phase.positions, lanes_);
    phase.tiles = base::ceiling(all_vectors, tile_vectors());
    phase.vectors = base::ceiling(all_vectors, phase.tiles);
    phase.tiles = base::ceiling(all_vectors, phase.vectors);
    if (bounds_.narrow) {
      phase.counted.assign(static_cast<std::size_t>(phase.tiles * phase.vectors * lanes_), 0);
      for (std::int64_t p = 0; p < phase.positions; ++p) {
        phase.counted[static_cast<std::size_t>(p)] = p % padded_.pitch < columns.count ? 1 : 0;
      }
    }
    return phase;
  }

  // Weights of the channels of a tile, [outer][tap][channel].
  void fill_weights(std::int64_t group, std::int64_t first, const std::vector<std::int64_t>& kernel, T* target) const {
    const int block = block_at(first);
    const std::int64_t size = weight_.inner_size();
    // Index pairs that follow each other in memory: a channel's outer indices, or an outer index's channels.
    const bool channel_major = pass_ == Pass::kForward;
    const std::int64_t runs = channel_major ? block : outer_;
    const std::int64_t run = block * outer_ / runs * size;
    std::vector<T> integers(static_cast<std::size_t>(runs * run));
    for (std::int64_t r = 0; r < runs; ++r) {
      const std::int64_t pair = channel_major ? weight_pair(group, first + r, 0) : weight_pair(group, first, r);
      decode_scaled(weight_.format.element, weight_.codes.data() + pair * size, static_cast<std::size_t>(run), 1.0,
                    integers.data() + r * run);
    }
    for (std::int64_t outer = 0; outer < outer_; ++outer) {
      for (int c = 0; c < block; ++c) {
        const auto pair = static_cast<std::size_t>(weight_pair(group, first + c, outer));
        const T unit = bounds_.narrow ? T{1} : static_cast<T>(unit_of(weight_, pair));
        const T* k = integers.data() + (channel_major ? c * outer_ + outer : outer * block + c) * size;
        T* place = target + c;
        for (const std::int64_t position : kernel) {
          *place = unit * k[position];
          place += block;
        }
      }
      target += block * static_cast<std::int64_t>(kernel.size());
    }
  }

  // Decodes an index pair of the source into its zero-padded phases; the zeros are there already.
  void fill_plane(std::size_t pair, T* plane) const {
    const double unit = bounds_.narrow ? 1 : unit_of(source_, pair);
    const std::int64_t height = padded_.vertical.size;
    const std::int64_t width = padded_.horizontal.size;
    const std::uint16_t* codes = source_.codes.data() + static_cast<std::int64_t>(pair) * height * width;
    const std::int64_t rows_at_once = std::max<std::int64_t>(2048 / width, 1);
    std::vector<T> values(static_cast<std::size_t>(std::min(rows_at_once, height) * width));
    for (std::int64_t first = 0; first < height; first += rows_at_once) {
      const std::int64_t end = std::min(first + rows_at_once, height);
      decode_scaled(source_.format.element, codes + first * width, static_cast<std::size_t>((end - first) * width),
                    unit, values.data());
      for (std::int64_t y = first; y < end; ++y) {
        padded_.place_row(values.data() + (y - first) * width, y, plane);
      }
    }
  }

  void correlate_images(const Phase& phase, std::int64_t first_image, std::int64_t images, float* results) {
    // Channels are cut into slices, so that few large planes give every thread work, too.
    constexpr std::int64_t kSlice = 8 * kChannelBlock;
    const std::int64_t slices = base::ceiling(channels_, kSlice);
    base::parallel_for(std::int64_t{0}, images * groups_ * phase.tiles * slices, [&](std::int64_t task) {
      const std::int64_t slice = task % slices;
      const std::int64_t tile_index = task / slices % phase.tiles;
      const std::int64_t group = task / slices / phase.tiles % groups_;
      const std::int64_t image = task / slices / phase.tiles / groups_;
      const std::int64_t position = tile_index * phase.vectors * lanes_;
      const auto taps = static_cast<std::int64_t>(phase.offsets.size());
      CorrelationTile<T> tile{
          .source = planes_.data() + (image * groups_ + group) * outer_ * plane_ + position,
          .plane = plane_,
          .outer = outer_,
          .offsets = phase.offsets.data(),
          .taps = taps,
          .vectors = static_cast<int>(phase.vectors),
          // A single product is exact in binary32: no need to keep it from the sum over the groups.
          .merged = merged_ || (std::is_same_v<T, float> && taps == 1 && !bounds_.narrow),
      };
      std::vector<float> y(static_cast<std::size_t>(kChannelBlock * phase.vectors * lanes_));
      const std::int64_t end = std::min(channels_, (slice + 1) * kSlice);
      for (std::int64_t channel = slice * kSlice; channel < end; channel += tile.channels) {
        tile.channels = block_at(channel);
        tile.weights = phase.weights.data() + (group * channels_ + channel) * outer_ * taps;
        if (bounds_.narrow) {
          const std::vector<double> factors = narrow_factors(first_image + image, group, channel, tile.channels);
          overflows_ +=
              correlate_narrow(tile, narrow_register_, factors.data(), phase.counted.data() + position, y.data());
        } else {
          correlate(tile, y.data());
        }
        for (int c = 0; c < tile.channels; ++c) {
          float* plane = results + ((first_image + image) * groups_ * channels_ + group * channels_ + channel + c) *
                                       result_shape_[2] * result_shape_[3];
          const std::int64_t count = phase.vectors * lanes_;
          const PaddedPlanes::Sums<float> sums{position, count, y.data() + c * count};
          padded_.store(*phase.rows, *phase.columns, sums, result_shape_[3], plane,
                        [this](float sum) { return sum * tensor_scale_; });
        }
      }
    });
  }

  // Of the groups of some channels, as correlate_narrow() takes them.
  std::vector<double> narrow_factors(std::int64_t image, std::int64_t group, std::int64_t channel, int channels) const {
    std::vector<double> factors;
    for (int c = 0; c < channels; ++c) {
      for (std::int64_t outer = 0; outer < outer_; ++outer) {
        factors.push_back(unit_of(source_, pair_index(source_, image, group * outer_ + outer)) *
                          unit_of(weight_, static_cast<std::size_t>(weight_pair(group, channel + c, outer))));
      }
    }
    return factors;
  }

  Pass pass_;
  const ScaledTensor& source_;
  const ScaledTensor& weight_;
  SumBounds bounds_;
  NarrowRegister narrow_register_;
  bool merged_;
  float tensor_scale_;
  std::int64_t batch_;
  std::int64_t groups_;
  std::int64_t outer_;     // source channels of a group
  std::int64_t channels_;  // result channels of a group
  std::int64_t kernel_columns_;
  PaddedPlanes padded_;
  std::int64_t plane_;
  Shape result_shape_;
  std::int64_t lanes_;
  Buffer<T> planes_;  // [image][channel][vertical phase][horizontal phase][row][pitch]
  std::atomic<std::uint64_t> overflows_ = 0;
};

// ---- Backward weight: lanes are output channels

template <typename T>
class WeightGradient {
 public:
  explicit WeightGradient(const ConvolutionRequest& request)
      : shape_(request.shape),
        error_(request.left),
        activation_(request.right),
        bounds_(request.bounds),
        narrow_register_(register_of(request.accumulator)),
        merged_(request.reduction.merged()),
        tensor_scale_(request.tensor_scale),
        out_size_(shape_.out_size()),
        cin_(shape_.in_channels / shape_.groups),
        cout_(shape_.out_channels / shape_.groups),
        vector_(static_cast<std::int64_t>(vector_lanes<T>())),
        expanded_(shape_.groups > 1 && cout_ < vector_),
        lane_groups_(expanded_ ? 1 : shape_.groups),
        group_channels_(expanded_ ? shape_.out_channels : cout_),
        group_lanes_(base::ceiling(group_channels_, vector_) * vector_),
        lanes_(lane_groups_ * group_lanes_),
        rows_((out_size_[0] - 1) * shape_.stride[0] + shape_.kernel_extent(0)),
        row_((out_size_[1] - 1) * shape_.stride[1] + shape_.kernel_extent(1)),
        kernel_(shape_.kernel[0] * shape_.kernel[1]),
        columns_(cin_ * kernel_) {}

  // Rows of products whose sum T holds (0: not one).
  static std::int64_t rows_at_once(const ConvolutionShape& shape, const SumBounds& bounds) {
    const base::Int128 products = (std::is_same_v<T, float> ? kFloatIntegers : kDoubleIntegers) / bounds.product;
    return static_cast<std::int64_t>(std::min<base::Int128>(products / shape.out_size()[1], shape.out_size()[0]));
  }

  std::uint64_t run(float* results) {
    const std::int64_t width = expanded_ ? group_lanes_ : 1;
    const std::int64_t planes = expanded_ ? cin_ : shape_.in_channels;
    const std::int64_t error_elements = out_size_[0] * out_size_[1] * lanes_;
    const std::int64_t activation_elements = planes * rows_ * row_ * width;
    const std::int64_t at_once = images_at_once<T>(shape_.batch, error_elements + activation_elements);
    errors_.assign(static_cast<std::size_t>(at_once * error_elements), T{0});
    activations_.assign(static_cast<std::size_t>(at_once * activation_elements), T{0});
    for (std::int64_t ci = 0; ci < cin_; ++ci) {
      for (std::int64_t i = 0; i < shape_.kernel[0]; ++i) {
        for (std::int64_t j = 0; j < shape_.kernel[1]; ++j) {
          offsets_.push_back(((ci * rows_ + i * shape_.dilation[0]) * row_ + j * shape_.dilation[1]) * width);
        }
      }
    }
    values_.assign(static_cast<std::size_t>(lanes_ * columns_), 0.0F);
    if (merged_) sums_.assign(values_.size(), 0.0);

    for (std::int64_t first = 0; first < shape_.batch; first += at_once) {
      const std::int64_t images = std::min(at_once, shape_.batch - first);
      const std::int64_t blocks = base::ceiling(shape_.out_channels, kTransposed);
      base::parallel_for(std::int64_t{0}, images * blocks, [&](std::int64_t index) {
        fill_errors(first + index / blocks, index % blocks * kTransposed,
                    errors_.data() + index / blocks * error_elements);
      });
      base::parallel_for(std::int64_t{0}, images * shape_.in_channels, [&](std::int64_t index) {
        fill_activation(first + index / shape_.in_channels, index % shape_.in_channels,
                        activations_.data() + index / shape_.in_channels * activation_elements);
      });
      sum_images(first, images, error_elements, activation_elements);
    }

    base::parallel_for(std::int64_t{0}, shape_.out_channels, [&](std::int64_t co) {
      const std::int64_t lane = lane_of(co);
      for (std::int64_t j = 0; j < columns_; ++j) {
        results[co * columns_ + j] = values_[static_cast<std::size_t>(value_index(lane, j))] * tensor_scale_;
      }
    });
    return overflows_;
  }

 private:
  static constexpr std::int64_t kColumnSlice = 48;
  static constexpr std::int64_t kTransposed = 16;

  std::int64_t lane_of(std::int64_t co) const { return expanded_ ? co : co / cout_ * group_lanes_ + co % cout_; }

  // Lanes come in tiles of up to kWeightVectors vectors, which never cross a group; values are [tile][column][lane].
  std::int64_t tile_width() const { return kWeightVectors * vector_; }
  std::int64_t value_index(std::int64_t lane, std::int64_t column) const {
    const std::int64_t group = lane / group_lanes_;
    const std::int64_t tile = lane % group_lanes_ / tile_width() * tile_width();
    const std::int64_t width = std::min(tile_width(), group_lanes_ - tile);
    return (group * group_lanes_ + tile) * columns_ + column * width + lane % group_lanes_ - tile;
  }

  // Decodes up to kTransposed channels, from one on, and turns them from [channel][position] to [position][lane].
  void fill_errors(std::int64_t image, std::int64_t first, T* errors) const {
    constexpr std::int64_t kPositions = 256;
    const std::int64_t positions = out_size_[0] * out_size_[1];
    const std::int64_t channels = std::min(kTransposed, shape_.out_channels - first);
    std::array<T, static_cast<std::size_t>(kTransposed * kPositions)> values;
    std::array<std::int64_t, static_cast<std::size_t>(kTransposed)> lanes;
    for (std::int64_t c = 0; c < channels; ++c) lanes[static_cast<std::size_t>(c)] = lane_of(first + c);
    for (std::int64_t begin = 0; begin < positions; begin += kPositions) {
      const std::int64_t count = std::min(kPositions, positions - begin);
      for (std::int64_t c = 0; c < channels; ++c) {
        decode_scaled(error_.format.element,
                      error_.codes.data() + (image * shape_.out_channels + first + c) * positions + begin,
                      static_cast<std::size_t>(count), 1.0, values.data() + c * kPositions);
      }
      for (std::int64_t p = 0; p < count; ++p) {
        T* target = errors + (begin + p) * lanes_;
        for (std::int64_t c = 0; c < channels; ++c) {
          target[lanes[static_cast<std::size_t>(c)]] = values[static_cast<std::size_t>(c * kPositions + p)];
        }
      }
    }
  }

  void fill_activation(std::int64_t image, std::int64_t channel, T* activations) const {
    const std::int64_t height = shape_.in_size[0];
    const std::int64_t width = shape_.in_size[1];
    std::vector<T> values(static_cast<std::size_t>(height * width));
    decode_scaled(activation_.format.element,
                  activation_.codes.data() + (image * shape_.in_channels + channel) * height * width, values.size(),
                  1.0, values.data());
    const std::int64_t rows = std::min(height, rows_ - shape_.padding[0].begin);
    const std::int64_t columns = std::min(width, row_ - shape_.padding[1].begin);
    const std::int64_t plane = expanded_ ? channel % cin_ : channel;
    for (std::int64_t y = 0; y < rows; ++y) {
      const T* value = values.data() + y * width;
      const std::int64_t at = (plane * rows_ + y + shape_.padding[0].begin) * row_ + shape_.padding[1].begin;
      if (!expanded_) {
        std::copy_n(value, std::max<std::int64_t>(columns, 0), activations + at);
        continue;
      }
      for (std::int64_t x = 0; x < columns; ++x) {
        std::fill_n(activations + (at + x) * group_lanes_ + channel / cin_ * cout_, cout_, value[x]);
      }
    }
  }

  void sum_images(std::int64_t first, std::int64_t images, std::int64_t error_elements,
                  std::int64_t activation_elements) {
    const std::int64_t group_tiles = base::ceiling(group_lanes_, tile_width());
    const std::int64_t slices = base::ceiling(columns_, kColumnSlice);
    base::parallel_for(std::int64_t{0}, lane_groups_ * group_tiles * slices, [&](std::int64_t task) {
      const std::int64_t slice = task % slices;
      const std::int64_t group = task / slices / group_tiles;
      const std::int64_t lane = group * group_lanes_ + task / slices % group_tiles * tile_width();
      const std::int64_t width = std::min(tile_width(), (group + 1) * group_lanes_ - lane);
      const std::int64_t begin = slice * kColumnSlice;
      const std::int64_t count = std::min(columns_ - begin, kColumnSlice);
      const std::int64_t step = expanded_ ? group_lanes_ : 1;
      WeightTile<T> tile{
          .error_pitch = lanes_,
          .row_step = shape_.stride[0] * row_ * step,
          .column_step = shape_.stride[1] * step,
          .rows = out_size_[0],
          .columns = out_size_[1],
          .offsets = offsets_.data() + begin,
          .weight_columns = static_cast<int>(count),
          .vectors = static_cast<int>(width / vector_),
          .expanded = expanded_,
          .rows_at_once = rows_at_once(shape_, bounds_),
      };
      const auto values = static_cast<std::size_t>(value_index(lane, begin));
      std::vector<double> image_sums(merged_ ? 0 : static_cast<std::size_t>(count * width));
      double* sums = merged_ ? sums_.data() + values : image_sums.data();
      for (std::int64_t image = 0; image < images; ++image) {
        tile.error = errors_.data() + image * error_elements + lane;
        tile.activation =
            activations_.data() + image * activation_elements + (expanded_ ? lane : group * cin_ * rows_ * row_);
        if (!merged_) std::fill(image_sums.begin(), image_sums.end(), 0.0);
        sum_tile(tile, sums);
        if (!merged_ || first + image + 1 == shape_.batch) {
          add_groups(first + image, {group, lane, width, begin, count}, sums, values_.data() + values);
        }
      }
    });
  }

  void sum_tile(const WeightTile<T>& tile, double* sums) {
    if (bounds_.narrow) {
      overflows_ += sum_weight_tile_narrow(tile, narrow_register_, sums);
    } else {
      sum_weight_tile(tile, sums);
    }
  }

  // Results of a tile: lanes of a convolution group, and weight columns.
  struct Weights {
    std::int64_t group;
    std::int64_t lane;  // the first
    std::int64_t width;
    std::int64_t begin;  // the first column
    std::int64_t count;
  };

  // Adds the groups of an image to the values.
  void add_groups(std::int64_t image, const Weights& weights, const double* sums, float* values) const {
    const auto& [group, lane, width, begin, count] = weights;
    std::array<double, kWeightVectors * 64> error_units;
    std::array<double, kWeightVectors * 64> factors;
    const std::int64_t first_channel = expanded_ ? lane : group * cout_ + lane % group_lanes_;
    const std::int64_t channels = std::min(width, group_channels_ - lane % group_lanes_);
    for (std::int64_t i = 0; i < width; ++i) {
      error_units[static_cast<std::size_t>(i)] =
          i < channels ? unit_of(error_, pair_index(error_, image, first_channel + i)) : 0;
    }
    for (std::int64_t j = 0; j < count; ++j) {
      const std::int64_t ci = (begin + j) / kernel_;
      double factor = 1;
      const double* lane_factors = error_units.data();
      if (!expanded_) {
        factor = unit_of(activation_, pair_index(activation_, image, group * cin_ + ci));
      } else {
        if (j == 0 || (begin + j) % kernel_ == 0) {
          for (std::int64_t i = 0; i < width; ++i) {
            const std::int64_t channel = std::min(first_channel + i, shape_.out_channels - 1) / cout_ * cin_ + ci;
            factors[static_cast<std::size_t>(i)] = error_units[static_cast<std::size_t>(i)] *
                                                   unit_of(activation_, pair_index(activation_, image, channel));
          }
        }
        lane_factors = factors.data();
      }
      add_rounded(sums + j * width, lane_factors, factor, static_cast<std::size_t>(width), values + j * width);
    }
  }

  const ConvolutionShape& shape_;
  const ScaledTensor& error_;
  const ScaledTensor& activation_;
  SumBounds bounds_;
  NarrowRegister narrow_register_;
  bool merged_;
  float tensor_scale_;
  std::array<std::int64_t, 2> out_size_;
  std::int64_t cin_;
  std::int64_t cout_;
  std::int64_t vector_;  // lanes of a vector
  bool expanded_;        // lanes are the output channels of all groups, each with the activation of its own group
  std::int64_t lane_groups_;
  std::int64_t group_channels_;
  std::int64_t group_lanes_;  // whole vectors
  std::int64_t lanes_;
  std::int64_t rows_;  // of a padded activation plane, as far as they are read
  std::int64_t row_;
  std::int64_t kernel_;
  std::int64_t columns_;   // of a group's weights: input channels × kernel positions
  Buffer<T> errors_;       // [image][y][x][lane]
  Buffer<T> activations_;  // [image][channel][y][x], or [image][channel of a group][y][x][lane] if expanded
  std::vector<std::int64_t> offsets_;
  Buffer<float> values_;
  Buffer<double> sums_;
  std::atomic<std::uint64_t> overflows_ = 0;
};

}  // namespace

Refusal refuse_double(const ConvolutionRequest& request) {
  if (Refusal refusal = refuse_tiles(request)) return refusal;
  if (request.bounds.narrow) return "a narrow accumulator was asked for";
  if (request.bounds.scaled > kDoubleIntegers) return "a scaled sum might leave binary64's integers";
  return std::nullopt;
}

Refusal refuse_float(const ConvolutionRequest& request) {
  if (Refusal refusal = refuse_double(request)) return refusal;
  if (!request.fits_float) return "an element or a sum might leave binary32";
  if (request.pass == Pass::kBackwardWeight) {
    if (WeightGradient<float>::rows_at_once(request.shape, request.bounds) > 0) return std::nullopt;
    return "the sum of a row might leave binary32's integers";
  }
  if (!request.exact_float) return "a group may be no binary32 number";
  return std::nullopt;
}

Refusal refuse_narrow_double(const ConvolutionRequest& request) {
  if (Refusal refusal = refuse_tiles(request)) return refusal;
  if (request.accumulator.taps_per_cycle > 1) return "an addition takes several products";
  if (!request.bounds.narrow) return "no sum can leave the accumulator";
  if (request.bounds.scaled > kDoubleIntegers) return "a scaled sum might leave binary64's integers";
  if (request.bounds.sum + request.bounds.product > kDoubleIntegers)
    return "a register might leave binary64's integers";
  return std::nullopt;
}

// Binary32 holds the registers, also where they are about to wrap, and counts their overflows.
Refusal refuse_narrow_float(const ConvolutionRequest& request) {
  if (Refusal refusal = refuse_narrow_double(request)) return refusal;
  if ((base::Int128{1} << request.accumulator.bits) + request.bounds.product > kFloatIntegers) {
    return "a register might leave binary32's integers";
  }
  if (additions(request.pass, request.shape) > kFloatIntegers) return "overflows might be more than binary32 counts";
  return std::nullopt;
}

template <typename T>
std::uint64_t sum_planes(const ConvolutionRequest& request, float* results) {
  if (request.pass == Pass::kBackwardWeight) return WeightGradient<T>(request).run(results);
  return Correlation<T>(request).run(results);
}

template std::uint64_t sum_planes<float>(const ConvolutionRequest& request, float* results);
template std::uint64_t sum_planes<double>(const ConvolutionRequest& request, float* results);

}  // namespace mlsim::models
