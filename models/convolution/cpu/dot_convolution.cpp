#include "models/convolution/cpu/dot_convolution.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "base/integers.h"
#include "base/parallel.h"
#include "models/convolution/cpu/axis_phases.h"
#include "models/convolution/cpu/dot_kernels.h"
#include "models/convolution/cpu/scale_kernels.h"
#include "models/convolution/cpu/scratch.h"

namespace mlsim::models {
namespace {

// Bytes of prepared source planes at a time: as many images as fit (at least one).
constexpr std::int64_t kPreparedBytes = 1 << 20;

// Where the bytes of a row of an operand lie: column c in phase (c + lead) % step, at (c + lead) / step.
struct ByteRow {
  std::int64_t step = 1;
  std::int64_t lead = 0;   // zeros before the first column
  std::int64_t pitch = 0;  // bytes of a phase
  std::int64_t phase = 0;  // bytes between phases
};

// The bytes of the first `rows` rows of an index pair. Some more can be read.
std::unique_ptr<std::uint8_t[]> decoded_rows(const ScaledTensor& tensor, const ByteDecoder& decoder, std::int64_t pair,
                                             std::int64_t rows) {
  const std::int64_t size = rows * tensor.shape[3];
  auto decoded = std::make_unique_for_overwrite<std::uint8_t[]>(static_cast<std::size_t>(size + kDotSlack));
  decoder.decode(tensor.codes.data() + pair * tensor.shape[2] * tensor.shape[3], 1, size, decoded.get(), size);
  std::fill_n(decoded.get() + size, kDotSlack, std::uint8_t{0});
  return decoded;
}

// Writes k + kDotOffset of the first rows of an index pair, row y to row_at(y); the zeros around them are there
// already.
template <typename RowAt>
void fill_rows(const ScaledTensor& tensor, const ByteDecoder& decoder, std::int64_t pair, std::int64_t rows,
               const ByteRow& layout, const RowAt& row_at) {
  const std::int64_t width = tensor.shape[3];
  const std::int64_t columns = std::min(width, layout.step * layout.pitch - layout.lead);
  if (rows <= 0 || columns <= 0) return;
  const auto decoded = decoded_rows(tensor, decoder, pair, rows);
  const std::uint8_t* from = decoded.get();
  for (std::int64_t y = 0; y < rows; ++y, from += width) {
    for (std::int64_t first = 0; first < std::min(layout.step, columns); ++first) {
      const std::int64_t place = first + layout.lead;
      std::uint8_t* to = row_at(y) + place % layout.step * layout.phase + place / layout.step;
      if (layout.step == 2) {
        for (std::int64_t x = first; x < columns; x += 2) *to++ = from[x];
      } else {
        for (std::int64_t x = first; x < columns; x += layout.step) *to++ = from[x];
      }
    }
  }
}

// The same for rows that follow each other.
void fill_rows(const ScaledTensor& tensor, const ByteDecoder& decoder, std::int64_t pair, std::int64_t rows,
               const ByteRow& layout, std::uint8_t* target) {
  const std::int64_t width = tensor.shape[3];
  const std::int64_t pitch = layout.step * layout.pitch;
  if (layout.step == 1 && layout.lead + width <= pitch) {
    const std::uint16_t* codes = tensor.codes.data() + pair * tensor.shape[2] * width;
    decoder.decode(codes, rows, width, target + layout.lead, pitch);
  } else {
    fill_rows(tensor, decoder, pair, rows, layout, [&](std::int64_t y) { return target + y * pitch; });
  }
}

class ByteCorrelation {
 public:
  ByteCorrelation(Pass pass, const ConvolutionShape& shape, const ScaledTensor& source, const ScaledTensor& weight,
                  float tensor_scale)
      : forward_(pass == Pass::kForward),
        source_(source),
        weight_(weight),
        decoder_(source.format.element, kDotOffset),
        tensor_scale_(tensor_scale),
        batch_(shape.batch),
        groups_(shape.groups),
        outer_(shape.outer_count(pass)),
        channels_((forward_ ? shape.out_channels : shape.in_channels) / shape.groups),
        kernel_(shape.kernel),
        source_size_(forward_ ? shape.in_size : shape.out_size()),
        result_size_(forward_ ? shape.out_size() : shape.in_size),
        rows_(axis_phases(pass, shape, 0)),
        columns_(axis_phases(pass, shape, 1)),
        share_(alternate(rows_) && alternate(columns_)),
        block_(channels_ == 1 && !share_ ? 1 : kDotChannels),
        blocks_(share_ ? channels_ : base::ceiling(channels_, block_)),
        lanes_(static_cast<std::int64_t>(dot_lanes())),
        row_{.step = forward_ ? shape.stride[1] : 1} {
    find_padding();
    if (share_) {
      shared_ = {PhasePair(rows_, result_size_[0]), PhasePair(columns_, result_size_[1])};
      add_phase(shared_[0].both, shared_[1].both);
      add_phase(shared_[0].one, shared_[1].one);
      phases_[0].offsets.push_back(phases_[1].offsets[0]);
    } else {
      for (const AxisPhase& rows : rows_) {
        for (const AxisPhase& columns : columns_) add_phase(rows, columns);
      }
    }
    plane_ += lanes_;  // what a row's last vector holds beyond its end
  }

  void run(float* results) {
    std::vector<Weights> weights;
    {
      const Scratch<std::uint8_t> bytes = weight_bytes();
      const Scratch<float> units = pair_units(weight_, 0, weight_.shape[0] * weight_.shape[1]);
      weights = make_weights(bytes.get(), units.get());
    }
    const std::int64_t image_planes = groups_ * outer_;
    const std::int64_t image = image_planes * plane_;
    const std::int64_t at_once = std::clamp<std::int64_t>(
        kPreparedBytes / (image * static_cast<std::int64_t>(sizeof(std::uint32_t))), 1, batch_);
    // The last tile reads beyond its plane.
    const auto planes = make_scratch<std::uint32_t>(at_once * image + kDotVectors * lanes_);
    const auto units = pair_units(source_, 0, batch_ * image_planes);
    for (std::int64_t first = 0; first < batch_; first += at_once) {
      const std::int64_t images = std::min(at_once, batch_ - first);
      parallel_tasks(images * image_planes, plane_ / 4 + 100, [&](std::int64_t index) {
        const std::int64_t pair = first * image_planes + index;
        fill_plane(pair, units[pair], planes.get() + index * plane_);
      });
      for (std::size_t p = 0; p < correlations(); ++p) {
        correlate_images(phases_[p], weights[p], images, planes.get(), units.get() + first * image_planes,
                         results + first * groups_ * channels_ * result_size_[0] * result_size_[1]);
      }
    }
  }

 private:
  // Results of stride 2 whose phases along an axis take one and two taps: of the same two elements, so that the four
  // phases of a plane share a quad.
  struct PhasePair {
    PhasePair() = default;
    PhasePair(const std::vector<AxisPhase>& phases, std::int64_t results)
        : one(phases[phases[0].taps() == 1 ? 0 : 1]), both(phases[phases[0].taps() == 1 ? 1 : 0]), first(one.first) {
      one.count = both.count = base::ceiling(results, 2);
    }
    AxisPhase one;  // of as many results as the two together have at most
    AxisPhase both;
    std::int64_t first = 0;  // whose phase has the one tap
  };
  static bool alternate(const std::vector<AxisPhase>& phases) {
    return phases.size() == 2 && phases[0].step == 2 && phases[0].taps() + phases[1].taps() == 3;
  }
  // Of the tile's channels, the phase of these rows and columns: the one of a single tap is the first one.
  std::int64_t phase_index(std::int64_t row, std::int64_t column) const {
    return 2 * (row ^ shared_[0].first) + (column ^ shared_[1].first);
  }

  // Results that share their taps, cut into quads of quad_rows × quad_columns taps. Part of each source plane is
  // [row phase][quad column][row][column], as many columns as there are results in a row.
  struct Phase {
    const AxisPhase* rows;
    const AxisPhase* columns;
    std::int64_t quad_rows;
    std::int64_t quad_columns;
    std::int64_t row_phases;
    std::int64_t column_quads;
    std::int64_t extent;  // rows
    std::int64_t place;   // in the plane
    std::vector<std::int64_t> offsets;
    std::vector<Quad> taps;
    bool single;  // one tap
    std::int64_t positions() const { return rows->count * columns->count; }
  };

  // [group][channel block][outer][quad][channel], the others without quads. Where phases share quads, they stand for
  // the channels of a block, and units are [group][channel][outer].
  struct Weights {
    Scratch<std::int32_t> bytes;
    Scratch<std::int32_t> corrections;
    Scratch<float> units;
  };

  void find_padding() {
    std::int64_t end = 0;
    for (const AxisPhase& columns : columns_) {
      row_.lead = std::max(row_.lead, -columns.base);
      end = std::max(end, columns.base + (columns.count - 1) * row_.step + base::ceiling(columns.taps(), 4) * 4);
    }
    row_.pitch = row_.phase = base::ceiling(end + row_.lead, row_.step);
    row_bytes_ = row_.step * row_.pitch;
    for (const AxisPhase& rows : rows_) lead_rows_ = std::max(lead_rows_, -rows.base);
  }

  void add_phase(const AxisPhase& rows, const AxisPhase& columns) {
    Phase phase{&rows, &columns, 1, 4, 1, 1, 0, plane_, {}, {}, rows.taps() * columns.taps() == 1};
    phase.quad_columns = columns.taps() > 2 ? 4 : columns.taps();
    phase.quad_rows = 4 / phase.quad_columns;
    const std::int64_t row_quads = base::ceiling(rows.taps(), phase.quad_rows);
    phase.column_quads = base::ceiling(columns.taps(), phase.quad_columns);
    phase.row_phases = std::min(rows.source_step, (row_quads - 1) * phase.quad_rows + 1);
    phase.extent = rows.count + (row_quads - 1) * phase.quad_rows / rows.source_step;
    for (std::int64_t i = 0; i < row_quads; ++i) {
      const std::int64_t row = i * phase.quad_rows;
      for (std::int64_t j = 0; j < phase.column_quads; ++j) {
        const std::int64_t part = row % rows.source_step * phase.column_quads + j;
        phase.offsets.push_back(plane_ + (part * phase.extent + row / rows.source_step) * columns.count);
        Quad taps{-1, -1, -1, -1};
        for (std::int64_t t = 0; t < 4; ++t) {
          const std::int64_t y = row + t / phase.quad_columns;
          const std::int64_t x = j * phase.quad_columns + t % phase.quad_columns;
          if (y >= rows.taps() || x >= columns.taps()) continue;
          taps[static_cast<std::size_t>(t)] = static_cast<std::int32_t>(
              rows.kernel[static_cast<std::size_t>(y)] * kernel_[1] + columns.kernel[static_cast<std::size_t>(x)]);
        }
        phase.taps.push_back(taps);
      }
    }
    plane_ += base::ceiling(phase.row_phases * phase.column_quads * phase.extent * columns.count, lanes_) * lanes_;
    plane_rows_ = std::max(plane_rows_, lead_rows_ + rows.base + (phase.extent - 1) * rows.source_step +
                                            phase.row_phases - 1 + phase.quad_rows);
    phases_.push_back(std::move(phase));
  }

  // The weights' k.
  Scratch<std::uint8_t> weight_bytes() const {
    const auto count = static_cast<std::int64_t>(weight_.codes.size());
    auto bytes = make_scratch<std::uint8_t>(count + kPackSlack);
    const ByteDecoder decoder(weight_.format.element, 0);
    constexpr std::int64_t kChunk = 1 << 14;
    base::parallel_for(std::int64_t{0}, base::ceiling(count, kChunk), [&](std::int64_t chunk) {
      const std::int64_t begin = chunk * kChunk;
      const std::int64_t size = std::min(kChunk, count - begin);
      decoder.decode(weight_.codes.data() + begin, 1, size, bytes.get() + begin, size);
    });
    return bytes;
  }

  std::vector<Weights> make_weights(const std::uint8_t* bytes, const float* units) const {
    const std::int64_t block_size = outer_ * block_;
    const std::int64_t count = groups_ * blocks_ * block_size;
    std::vector<Weights> weights;
    std::int64_t cost = 0;
    for (std::size_t p = 0; p < correlations(); ++p) {
      const auto quads = static_cast<std::int64_t>(phases_[p].taps.size());
      weights.push_back(
          {make_scratch<std::int32_t>(count * quads), make_scratch<std::int32_t>(count), make_scratch<float>(count)});
      cost += block_size * (quads + 2);
    }
    if (share_) {
      pack_shared(bytes, units, weights[0]);
      return weights;
    }
    parallel_tasks(groups_ * blocks_, cost, [&](std::int64_t index) {
      for (std::size_t p = 0; p < phases_.size(); ++p) pack_block(phases_[p], bytes, units, index, weights[p]);
    });
    return weights;
  }

  // Phases are correlated for themselves, or all of them at once.
  std::size_t correlations() const { return share_ ? 1 : phases_.size(); }

  // Where the weights of a result channel of a group begin.
  std::int64_t weight_pair(std::int64_t group, std::int64_t channel) const {
    return forward_ ? (group * channels_ + channel) * outer_ : group * outer_ * channels_ + channel;
  }

  void pack_block(const Phase& phase, const std::uint8_t* bytes, const float* units, std::int64_t index,
                  const Weights& weights) const {
    const std::int64_t size = kernel_[0] * kernel_[1];
    const std::int64_t step = forward_ ? 1 : channels_;
    DotPacking packing{.kernel_step = step * size,
                       .unit_step = step,
                       .outer = outer_,
                       .taps = phase.taps.data(),
                       .quads = static_cast<std::int64_t>(phase.taps.size()),
                       .channels = static_cast<int>(block_),
                       .single = phase.single};
    for (std::int64_t c = 0; c < block_; ++c) {
      // Channels that there are not take the weights of the last one; nobody reads their results.
      const std::int64_t channel = std::min(index % blocks_ * block_ + c, channels_ - 1);
      const std::int64_t pair = weight_pair(index / blocks_, channel);
      packing.kernels[static_cast<std::size_t>(c)] = bytes + pair * size;
      packing.units[static_cast<std::size_t>(c)] = units + pair;
    }
    const std::int64_t at = index * outer_ * block_;
    pack_weights(packing,
                 {weights.bytes.get() + at * packing.quads, weights.corrections.get() + at, weights.units.get() + at});
  }

  // Those of some channels, whose kernels are lines of memory together.
  void pack_shared(const std::uint8_t* bytes, const float* units, const Weights& weights) const {
    constexpr std::int64_t kAtOnce = 8;
    const std::int64_t size = kernel_[0] * kernel_[1];
    const std::int64_t runs = base::ceiling(channels_, kAtOnce);
    const PhasePacking packing{.kernel_size = size, .step = channels_, .outer = outer_, .taps = shared_taps()};
    parallel_tasks(groups_ * runs, kAtOnce * outer_ * 4, [&](std::int64_t index) {
      const std::int64_t group = index / runs;
      const std::int64_t first = index % runs * kAtOnce;
      PhasePacking run = packing;
      run.channels = std::min(kAtOnce, channels_ - first);
      run.kernel = bytes + weight_pair(group, first) * size;
      run.unit = units + weight_pair(group, first);
      const std::int64_t at = (group * channels_ + first) * outer_;
      pack_phases(
          run, {weights.bytes.get() + at * block_, weights.corrections.get() + at * block_, weights.units.get() + at});
    });
  }

  // Which taps each phase takes of the quad that all share.
  std::array<Quad, kDotChannels> shared_taps() const {
    std::array<Quad, kDotChannels> all;
    for (const AxisPhase& rows : rows_) {
      for (const AxisPhase& columns : columns_) {
        Quad& taps = all[static_cast<std::size_t>(phase_index(rows.first, columns.first))];
        taps.fill(-1);
        const bool single = rows.taps() * columns.taps() == 1;
        const std::int64_t begin =
            single ? 0 : 2 * (rows.base - shared_[0].both.base) + columns.base - shared_[1].both.base;
        for (std::int64_t y = 0; y < rows.taps(); ++y) {
          for (std::int64_t x = 0; x < columns.taps(); ++x) {
            taps[static_cast<std::size_t>(begin + 2 * y + x)] = static_cast<std::int32_t>(
                rows.kernel[static_cast<std::size_t>(y)] * kernel_[1] + columns.kernel[static_cast<std::size_t>(x)]);
          }
        }
      }
    }
    return all;
  }

  // Quads of all phases, of an index pair of the source.
  void fill_plane(std::int64_t pair, float unit, std::uint32_t* plane) const {
    std::vector<std::uint8_t> rows(static_cast<std::size_t>(plane_rows_ * row_bytes_ + kDotSlack), kDotOffset);
    const std::int64_t height = std::min(source_size_[0], plane_rows_ - lead_rows_);
    if (height > 0) fill_rows(source_, decoder_, pair, height, row_, rows.data() + lead_rows_ * row_bytes_);
    for (const Phase& phase : phases_) {
      std::uint32_t* quads = plane + phase.place;
      for (std::int64_t i = 0; i < phase.row_phases; ++i) {
        for (std::int64_t j = 0; j < phase.column_quads; ++j, quads += phase.extent * phase.columns->count) {
          std::array<const std::uint8_t*, 4> taps;
          for (std::int64_t t = 0; t < 4; ++t) {
            const std::int64_t y = phase.rows->base + lead_rows_ + i + t / phase.quad_columns;
            const std::int64_t x = phase.columns->base + row_.lead + j * phase.quad_columns + t % phase.quad_columns;
            taps[static_cast<std::size_t>(t)] =
                rows.data() + y * row_bytes_ + x % row_.step * row_.pitch + x / row_.step;
          }
          const std::int64_t pitch = phase.rows->source_step * row_bytes_;
          if (phase.single) {
            scale_bytes(taps[0], unit, pitch, phase.extent, phase.columns->count, quads);
          } else {
            interleave_bytes(taps, pitch, phase.extent, phase.columns->count, quads);
          }
        }
      }
    }
  }

  void correlate_images(const Phase& phase, const Weights& weights, std::int64_t images, const std::uint32_t* planes,
                        const float* units, float* results) const {
    // Channels are cut into slices, so that few large planes give every thread work, too.
    constexpr std::int64_t kSlice = 8;
    const std::int64_t slices = base::ceiling(blocks_, kSlice);
    const std::int64_t tile_positions = tile_size(phase.positions());
    const std::int64_t tiles = base::ceiling(phase.positions(), tile_positions);
    const auto quads = static_cast<std::int64_t>(phase.taps.size());
    const std::int64_t plane = result_size_[0] * result_size_[1];
    // Neighbouring tasks share the larger one of source and weights.
    const std::int64_t source_tiles = images * groups_ * tiles;
    const bool share_weights = blocks_ * block_ * quads > images * plane_;
    const std::int64_t cost = std::min(blocks_, kSlice) * block_ * (outer_ * (quads + 2) + 10) * kDotVectors;
    parallel_tasks(source_tiles * slices, cost, [&](std::int64_t task) {
      const std::int64_t slice = share_weights ? task / source_tiles : task % slices;
      const std::int64_t source_tile = share_weights ? task % source_tiles : task / slices;
      const std::int64_t position = source_tile % tiles * tile_positions;
      const std::int64_t image_group = source_tile / tiles;
      const std::int64_t group = image_group % groups_;
      DotTile tile{
          .source = planes + image_group * outer_ * plane_ + position,
          .plane = plane_,
          .outer = outer_,
          .offsets = phase.offsets.data(),
          .quads = quads,
          .source_units = units + image_group * outer_,
          .single = phase.single,
          .phases = share_,
          .channels = static_cast<int>(block_),
          .used_channels = static_cast<int>(block_),
          .positions = std::min(tile_positions, phase.positions() - position),
          .tensor_scale = tensor_scale_,
      };
      const std::int64_t end = std::min(blocks_, (slice + 1) * kSlice);
      for (std::int64_t block = slice * kSlice; block < end; ++block) {
        const std::int64_t at = (group * blocks_ + block) * outer_ * block_;
        tile.weights = weights.bytes.get() + at * quads;
        tile.corrections = weights.corrections.get() + at;
        if (share_) {
          tile.weight_units = weights.units.get() + at / block_;
          spread_phases(tile, position, results + (image_group * channels_ + block) * plane);
          continue;
        }
        tile.weight_units = weights.units.get() + at;
        tile.used_channels = static_cast<int>(std::min(block_, channels_ - block * block_));
        float* target = results + (image_group * channels_ + block * block_) * plane;
        if (phase.rows->step == 1 && phase.columns->step == 1) {
          correlate_dots(tile, target + position, plane);
        } else {
          spread(phase, tile, position, target);
        }
      }
    });
  }

  // Vectors of a tile, so that all of them are about as long.
  std::int64_t tile_size(std::int64_t positions) const {
    const std::int64_t vectors = base::ceiling(positions, lanes_);
    return base::ceiling(vectors, base::ceiling(vectors, kDotVectors)) * lanes_;
  }

  // Computes a tile whose results are not neighbours.
  void spread(const Phase& phase, const DotTile& tile, std::int64_t position, float* target) const {
    constexpr std::int64_t kMost = kDotVectors * 64;
    std::array<float, static_cast<std::size_t>(kDotChannels * kMost)> y;
    correlate_dots(tile, y.data(), kMost);
    const std::int64_t columns = phase.columns->count;
    for (int c = 0; c < tile.used_channels; ++c, target += result_size_[0] * result_size_[1]) {
      const float* value = y.data() + c * kMost;
      const float* end = value + tile.positions;
      std::int64_t column = position % columns;
      for (std::int64_t row = position / columns; value != end; ++row, column = 0) {
        const std::int64_t count = std::min<std::int64_t>(columns - column, end - value);
        float* place = target + (phase.rows->first + row * phase.rows->step) * result_size_[1] + phase.columns->first +
                       column * phase.columns->step;
        if (phase.columns->step == 2) {
          for (std::int64_t i = 0; i < count; ++i) place[2 * i] = value[i];
        } else {
          for (std::int64_t i = 0; i < count; ++i) place[phase.columns->step * i] = value[i];
        }
        value += count;
      }
    }
  }

  // Computes a tile of all phases of a result channel.
  void spread_phases(const DotTile& tile, std::int64_t position, float* target) const {
    constexpr std::int64_t kMost = kDotVectors * 64;
    std::array<float, static_cast<std::size_t>(kDotChannels * kMost)> y;
    correlate_dots(tile, y.data(), kMost);
    const std::int64_t columns = shared_[1].both.count;
    const std::int64_t width = result_size_[1];
    std::int64_t column = position % columns;
    std::int64_t row = position / columns * 2;
    for (std::int64_t done = 0; done < tile.positions; row += 2, column = 0) {
      const std::int64_t count = std::min(columns - column, tile.positions - done);
      for (std::int64_t i = 0; i < std::min<std::int64_t>(result_size_[0] - row, 2); ++i) {
        const float* even = y.data() + phase_index(i, 0) * kMost + done;
        const float* odd = y.data() + phase_index(i, 1) * kMost + done;
        float* place = target + (row + i) * width + 2 * column;
        const std::int64_t pairs = std::min(count, width / 2 - column);
        for (std::int64_t x = 0; x < pairs; ++x) {
          place[2 * x] = even[x];
          place[2 * x + 1] = odd[x];
        }
        if (pairs < count) place[2 * pairs] = even[pairs];
      }
      done += count;
    }
  }

  bool forward_;
  const ScaledTensor& source_;
  const ScaledTensor& weight_;
  ByteDecoder decoder_;
  float tensor_scale_;
  std::int64_t batch_;
  std::int64_t groups_;
  std::int64_t outer_;     // source channels of a group
  std::int64_t channels_;  // result channels of a group
  std::array<std::int64_t, 2> kernel_;
  std::array<std::int64_t, 2> source_size_;
  std::array<std::int64_t, 2> result_size_;
  std::vector<AxisPhase> rows_;
  std::vector<AxisPhase> columns_;
  bool share_;  // phases share quads
  std::array<PhasePair, 2> shared_;
  std::int64_t block_;  // channels that a tile computes, or phases of one
  std::int64_t blocks_;
  std::int64_t lanes_;
  ByteRow row_;  // of a decoded source plane
  std::int64_t row_bytes_ = 0;
  std::int64_t lead_rows_ = 0;   // of zeros above its first row
  std::int64_t plane_rows_ = 0;  // of it, with those
  std::int64_t plane_ = 0;       // words of a source plane
  std::vector<Phase> phases_;
};

// ---- Backward weight: lanes are output channels

class ByteWeightGradient {
 public:
  ByteWeightGradient(const ConvolutionShape& shape, const ScaledTensor& error, const ScaledTensor& activation,
                     float tensor_scale, bool exact)
      : shape_(shape),
        error_(error),
        activation_(activation),
        error_decoder_(error.format.element, 0),
        activation_decoder_(activation.format.element, kDotOffset),
        tensor_scale_(tensor_scale),
        exact_(exact),
        out_size_(shape.out_size()),
        cin_(shape.in_channels / shape.groups),
        cout_(shape.out_channels / shape.groups),
        vector_(static_cast<std::int64_t>(dot_lanes())),
        group_lanes_(base::ceiling(cout_, vector_) * vector_),
        lanes_(shape.groups * group_lanes_),
        quads_(base::ceiling(out_size_[1], 4)),
        rows_((out_size_[0] - 1) * shape.stride[0] + shape.kernel[0]),
        kernel_(shape.kernel[0] * shape.kernel[1]),
        columns_(cin_ * kernel_),
        pitch_(4 * quads_ + (shape.kernel[1] - 1) / shape.stride[1]),
        row_{shape.stride[1], shape.padding[1].begin, pitch_, pitch_},
        row_bytes_(row_.step * row_.pitch),
        error_size_(out_size_[0] * quads_ * lanes_),
        activation_plane_(rows_ * row_bytes_) {}

  void run(float* results) {
    const std::int64_t activation_size = shape_.in_channels * activation_plane_;
    const std::int64_t image_bytes = 4 * error_size_ + activation_size;
    const std::int64_t at_once = std::clamp<std::int64_t>(kPreparedBytes / image_bytes, 1, shape_.batch);
    const auto errors = make_scratch<std::int32_t>(at_once * error_size_);
    const auto corrections = make_scratch<std::int32_t>(at_once * lanes_);
    const auto error_units = make_scratch<float>(at_once * lanes_);
    if (group_lanes_ != cout_) {
      // Lanes without a channel stay zero.
      std::fill_n(errors.get(), at_once * error_size_, 0);
      std::fill_n(error_units.get(), at_once * lanes_, 0.0F);
    }
    const auto activations = make_scratch<std::uint8_t>(at_once * activation_size);
    const auto column_units = make_scratch<float>(at_once * shape_.groups * columns_);
    std::vector<std::int64_t> offsets;
    for (std::int64_t ci = 0; ci < cin_; ++ci) {
      for (std::int64_t i = 0; i < shape_.kernel[0]; ++i) {
        for (std::int64_t j = 0; j < shape_.kernel[1]; ++j) {
          offsets.push_back((ci * rows_ + i) * row_bytes_ + j % row_.step * row_.pitch + j / row_.step);
        }
      }
    }
    const std::int64_t group_tiles = base::ceiling(group_lanes_, kDotWeightVectors * vector_);
    const std::int64_t slices = base::ceiling(columns_, kDotWeightColumns);
    const auto values = make_scratch<float>(lanes_ * columns_);

    for (std::int64_t first = 0; first < shape_.batch; first += at_once) {
      const std::int64_t images = std::min(at_once, shape_.batch - first);
      const std::int64_t blocks = base::ceiling(shape_.out_channels, kErrorChannels);
      base::parallel_for(std::int64_t{0}, images * blocks, [&](std::int64_t index) {
        const std::int64_t image = index / blocks;
        fill_errors(first + image, index % blocks * kErrorChannels, errors.get() + image * error_size_,
                    error_units.get() + image * lanes_);
      });
      base::parallel_for(std::int64_t{0}, images, [&](std::int64_t image) {
        sum_errors(errors.get() + image * error_size_, out_size_[0] * quads_, lanes_, -kDotOffset,
                   corrections.get() + image * lanes_);
      });
      parallel_tasks(images * shape_.in_channels, activation_plane_ / 8 + 100, [&](std::int64_t plane) {
        const std::int64_t pair = first * shape_.in_channels + plane;
        std::uint8_t* target = activations.get() + plane * activation_plane_;
        std::fill_n(target, activation_plane_, static_cast<std::uint8_t>(kDotOffset));
        const std::int64_t rows = std::min(shape_.in_size[0], rows_ - shape_.padding[0].begin);
        if (rows > 0) {
          fill_rows(activation_, activation_decoder_, pair, rows, row_, target + shape_.padding[0].begin * row_bytes_);
        }
        float unit;
        fill_pair_units(activation_, pair, 1, &unit);
        std::fill_n(column_units.get() + plane * kernel_, kernel_, unit);
      });
      base::parallel_for(std::int64_t{0}, shape_.groups * group_tiles * slices, [&](std::int64_t task) {
        const std::int64_t begin = task % slices * kDotWeightColumns;
        const std::int64_t group = task / slices / group_tiles;
        const std::int64_t lane = group * group_lanes_ + task / slices % group_tiles * kDotWeightVectors * vector_;
        const std::int64_t width = std::min(kDotWeightVectors * vector_, (group + 1) * group_lanes_ - lane);
        DotWeightTile tile{
            .error_pitch = lanes_,
            .row_step = shape_.stride[0] * row_bytes_,
            .rows = out_size_[0],
            .quads = quads_,
            .offsets = offsets.data() + begin,
            .columns = static_cast<int>(std::min<std::int64_t>(kDotWeightColumns, columns_ - begin)),
            .vectors = static_cast<int>(width / vector_),
            .exact = exact_,
        };
        for (std::int64_t image = 0; image < images; ++image) {
          tile.first = first + image == 0;
          tile.errors = errors.get() + image * error_size_ + lane;
          tile.activation = activations.get() + (image * shape_.in_channels + group * cin_) * activation_plane_;
          tile.corrections = corrections.get() + image * lanes_ + lane;
          tile.error_units = error_units.get() + image * lanes_ + lane;
          tile.column_units = column_units.get() + (image * shape_.groups + group) * columns_ + begin;
          add_weight_dots(tile, values.get() + lane * columns_ + begin * width);
        }
      });
    }
    store(values.get(), results);
  }

 private:
  // Values are [lane tile][column][lane of the tile].
  void store(const float* values, float* results) const {
    constexpr std::int64_t kColumns = 64;
    const std::int64_t slices = base::ceiling(columns_, kColumns);
    const std::int64_t tile_lanes = kDotWeightVectors * vector_;
    const std::int64_t group_tiles = base::ceiling(group_lanes_, tile_lanes);
    base::parallel_for(std::int64_t{0}, shape_.groups * group_tiles * slices, [&](std::int64_t task) {
      const std::int64_t begin = task % slices * kColumns;
      const std::int64_t end = std::min(begin + kColumns, columns_);
      const std::int64_t group = task / slices / group_tiles;
      const std::int64_t first = task / slices % group_tiles * tile_lanes;
      const std::int64_t width = std::min(tile_lanes, group_lanes_ - first);
      const float* value = values + (group * group_lanes_ + first) * columns_;
      float* result = results + (group * cout_ + first) * columns_;
      for (std::int64_t lane = 0; lane < std::min(width, cout_ - first); ++lane, result += columns_) {
        for (std::int64_t j = begin; j < end; ++j) result[j] = value[j * width + lane] * tensor_scale_;
      }
    });
  }

  static constexpr std::int64_t kErrorChannels = 16;

  // Errors of some channels of an image, from one on, as [row][quad][lane], and what they stand for.
  void fill_errors(std::int64_t image, std::int64_t first, std::int32_t* errors, float* units) const {
    const std::int64_t rest = out_size_[1] - 4 * (quads_ - 1);
    const std::uint32_t last_mask = 0xFFFFFFFFU >> (32 - 8 * rest);
    for (std::int64_t co = first; co < std::min(first + kErrorChannels, shape_.out_channels); ++co) {
      const std::int64_t pair = image * shape_.out_channels + co;
      const std::int64_t lane = co / cout_ * group_lanes_ + co % cout_;
      fill_pair_units(error_, pair, 1, units + lane);
      std::int32_t* target = errors + lane;
      const auto decoded = decoded_rows(error_, error_decoder_, pair, out_size_[0]);
      const std::uint8_t* row = decoded.get();
      for (std::int64_t y = 0; y < out_size_[0]; ++y, row += out_size_[1]) {
        for (std::int64_t q = 0; q < quads_; ++q, target += lanes_) {
          std::uint32_t quad;
          std::memcpy(&quad, row + 4 * q, sizeof(quad));
          *target = static_cast<std::int32_t>(q + 1 < quads_ ? quad : quad & last_mask);
        }
      }
    }
  }

  const ConvolutionShape& shape_;
  const ScaledTensor& error_;
  const ScaledTensor& activation_;
  ByteDecoder error_decoder_;
  ByteDecoder activation_decoder_;
  float tensor_scale_;
  bool exact_;
  std::array<std::int64_t, 2> out_size_;
  std::int64_t cin_;
  std::int64_t cout_;
  std::int64_t vector_;       // lanes of a vector
  std::int64_t group_lanes_;  // whole vectors
  std::int64_t lanes_;
  std::int64_t quads_;  // of an output row
  std::int64_t rows_;   // of a padded activation plane, as far as they are read
  std::int64_t kernel_;
  std::int64_t columns_;  // of a group's weights: input channels × kernel positions
  std::int64_t pitch_;    // bytes of a column phase of an activation row
  ByteRow row_;           // of the activation
  std::int64_t row_bytes_;
  std::int64_t error_size_;
  std::int64_t activation_plane_;
};

// The same where a group has few output channels: sums along whole planes, of one channel each. Rows of errors lie as
// far apart as those of activations, with zeros between them, so that a plane is a single run of bytes.
class PlaneWeightGradient {
 public:
  PlaneWeightGradient(const ConvolutionShape& shape, const ScaledTensor& error, const ScaledTensor& activation,
                      float tensor_scale)
      : shape_(shape),
        error_(error),
        activation_(activation),
        error_decoder_(error.format.element, 0),
        activation_decoder_(activation.format.element, kDotOffset),
        tensor_scale_(tensor_scale),
        out_size_(shape.out_size()),
        cin_(shape.in_channels / shape.groups),
        cout_(shape.out_channels / shape.groups),
        kernel_(shape.kernel[0] * shape.kernel[1]),
        pitch_(out_size_[1] + (shape.kernel[1] - 1) / shape.stride[1]),
        phase_((out_size_[0] + (shape.kernel[0] - 1) / shape.stride[0]) * pitch_),
        error_size_(base::ceiling(out_size_[0] * pitch_, kDotBytes) * kDotBytes),
        // The last kernel position reads a whole vector from as far behind.
        activation_size_(shape.stride[0] * shape.stride[1] * phase_ + (shape.kernel[1] - 1) / shape.stride[1] +
                         kDotBytes) {
    for (std::int64_t i = 0; i < shape.kernel[0]; ++i) {
      for (std::int64_t j = 0; j < shape.kernel[1]; ++j) {
        const std::int64_t phase = i % shape.stride[0] * shape.stride[1] + j % shape.stride[1];
        offsets_.push_back(phase * phase_ + i / shape.stride[0] * pitch_ + j / shape.stride[1]);
      }
    }
  }

  void run(float* results) const {
    const std::int64_t cost = shape_.batch * cout_ * cin_ * (error_size_ / kDotBytes * kernel_ + 200);
    parallel_tasks(shape_.groups, cost, [&](std::int64_t group) {
      std::vector<std::uint8_t> errors(static_cast<std::size_t>(cout_ * error_size_), 0);
      std::vector<std::uint8_t> activations(static_cast<std::size_t>(cin_ * activation_size_), kDotOffset);
      std::vector<std::int32_t> sums(static_cast<std::size_t>(kernel_));
      std::vector<float> error_units(static_cast<std::size_t>(cout_));
      std::vector<float> activation_units(static_cast<std::size_t>(cin_));
      float* values = results + group * cout_ * cin_ * kernel_;
      std::fill_n(values, cout_ * cin_ * kernel_, 0.0F);
      for (std::int64_t image = 0; image < shape_.batch; ++image) {
        const std::int64_t error_pair = image * shape_.out_channels + group * cout_;
        const std::int64_t activation_pair = image * shape_.in_channels + group * cin_;
        fill_pair_units(error_, error_pair, cout_, error_units.data());
        fill_pair_units(activation_, activation_pair, cin_, activation_units.data());
        for (std::int64_t co = 0; co < cout_; ++co) fill_error(error_pair + co, errors.data() + co * error_size_);
        for (std::int64_t ci = 0; ci < cin_; ++ci) {
          fill_activation(activation_pair + ci, activations.data() + ci * activation_size_);
        }
        float* value = values;
        for (std::int64_t co = 0; co < cout_; ++co) {
          for (std::int64_t ci = 0; ci < cin_; ++ci) {
            dot_planes(errors.data() + co * error_size_, activations.data() + ci * activation_size_,
                       out_size_[0] * pitch_, offsets_.data(), kernel_, sums.data());
            const double unit = double{error_units[static_cast<std::size_t>(co)]} *
                                double{activation_units[static_cast<std::size_t>(ci)]};
            for (const std::int32_t sum : sums) *value++ += static_cast<float>(sum * unit);
          }
        }
      }
      for (std::int64_t i = 0; i < cout_ * cin_ * kernel_; ++i) values[i] *= tensor_scale_;
    });
  }

 private:
  void fill_error(std::int64_t pair, std::uint8_t* target) const {
    const std::uint16_t* codes = error_.codes.data() + pair * out_size_[0] * out_size_[1];
    error_decoder_.decode(codes, out_size_[0], out_size_[1], target, pitch_);
  }

  void fill_activation(std::int64_t pair, std::uint8_t* target) const {
    const ByteRow row{shape_.stride[1], shape_.padding[1].begin, pitch_, phase_};
    const std::int64_t stride = shape_.stride[0];
    const std::int64_t rows = std::min(shape_.in_size[0], phase_ / pitch_ * stride - shape_.padding[0].begin);
    fill_rows(activation_, activation_decoder_, pair, rows, row, [&](std::int64_t y) {
      const std::int64_t place = y + shape_.padding[0].begin;
      return target + place % stride * row.step * phase_ + place / stride * pitch_;
    });
  }

  const ConvolutionShape& shape_;
  const ScaledTensor& error_;
  const ScaledTensor& activation_;
  ByteDecoder error_decoder_;
  ByteDecoder activation_decoder_;
  float tensor_scale_;
  std::array<std::int64_t, 2> out_size_;
  std::int64_t cin_;
  std::int64_t cout_;
  std::int64_t kernel_;
  std::int64_t pitch_;  // bytes of a row
  std::int64_t phase_;  // of an activation phase: every stride-th row and column
  std::int64_t error_size_;
  std::int64_t activation_size_;
  std::vector<std::int64_t> offsets_;  // of each kernel position
};

}  // namespace

void correlate_bytes(Pass pass, const ConvolutionShape& shape, const ScaledTensor& source, const ScaledTensor& weight,
                     float tensor_scale, float* results) {
  ByteCorrelation(pass, shape, source, weight, tensor_scale).run(results);
}

void sum_weight_bytes(const ConvolutionShape& shape, const ScaledTensor& error, const ScaledTensor& activation,
                      float tensor_scale, bool exact, float* results) {
  // A vector of output channels that is mostly empty costs more than sums along planes.
  if (shape.groups > 1 && 4 * shape.out_channels / shape.groups <= static_cast<std::int64_t>(dot_lanes())) {
    PlaneWeightGradient(shape, error, activation, tensor_scale).run(results);
  } else {
    ByteWeightGradient(shape, error, activation, tensor_scale, exact).run(results);
  }
}

}  // namespace mlsim::models
