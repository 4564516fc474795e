#include "models/convolution/cpu/block_product.h"

#include <oneapi/tbb/enumerable_thread_specific.h>
#include <oneapi/tbb/task_arena.h>

#include <algorithm>
#include <array>
#include <vector>

#include "base/integers.h"
#include "base/parallel.h"
#include "models/convolution/cpu/block_product_kernels.h"
#include "models/convolution/cpu/dot_kernels.h"
#include "models/convolution/cpu/scratch.h"
#include "models/convolution/cpu/tile_units.h"

namespace mlsim::models {
namespace {

constexpr std::int64_t kWordBytes = 4;
constexpr std::int64_t kLineNumbers = 16;           // numbers of a line of the cache
constexpr std::int64_t kChunkBytes = 256 << 10;     // of lanes that a thread prepares, and finds again in its cache
constexpr std::int64_t kSliceBytes = 12 << 20;      // of both operands that are prepared together
constexpr std::int64_t kImagesBytes = 512 << 10;    // at least, where groups are images
constexpr std::int64_t kStreamedResults = 1 << 20;  // so many that they do not wait in a cache for who reads them
constexpr std::int64_t kFewPositions = 96;          // at least so many are taken from a plane at once
constexpr std::int64_t kManyPositions = 1600;       // and at most
constexpr std::int64_t kWindowPositions = 300;      // as many as are worth a copy for each kernel position
constexpr std::int64_t kSharedWindows = 128;        // output channels that pay for such a copy
constexpr std::int64_t kChannelsAhead = 8;          // channels whose codes are asked for
constexpr std::int64_t kOwnImage = 128;             // results of an image that need not share vectors with the next one

std::int64_t whole(std::int64_t count, std::int64_t width) {
  return base::ceiling(count, width) * width;
}

// Outer indices that are summed as integers.
struct Span {
  std::int64_t first = 0;
  std::int64_t count = 0;
};

// Room for codes that are taken from a plane, from `first` on.
struct Room {
  std::uint16_t* all = nullptr;
  std::int64_t first = 0;
};

std::vector<Span> runs_of(const ConvolutionRequest& request) {
  std::vector<Span> runs;
  const std::int64_t outer = request.shape.outer_count(request.pass);
  for (std::int64_t first = 0; first < outer;) {
    const std::int64_t end = request.reduction.run_end(0, first);
    runs.push_back({first, end - first});
    first = end;
  }
  return runs;
}

// Words of each group of a reduction.
struct GroupWords {
  std::int64_t groups = 0;
  std::int64_t each = 0;
  std::int64_t last = 0;
  std::int64_t all() const { return (groups - 1) * each + last; }
};

// A matrix, ready for multiply_blocks(): quads [panel][word][width], units and corrections [panel][group][width].
class Panels {
 public:
  explicit Panels(std::int64_t width) : width_(width) {}

  void allocate(std::int64_t count, const GroupWords& words, bool corrected) {
    count_ = count;
    words_ = words;
    const std::int64_t all = whole(count, width_);
    const auto grow = [](auto& buffer, std::int64_t size) {
      if (static_cast<std::int64_t>(buffer.size()) < size) buffer.resize(static_cast<std::size_t>(size));
    };
    grow(quads_, all * words.all());
    grow(units_, all * words.groups);
    if (corrected) grow(corrections_, all * words.groups);
  }

  std::int64_t count() const { return count_; }
  std::int64_t width() const { return width_; }
  std::int64_t panels() const { return base::ceiling(count_, width_); }
  const GroupWords& words() const { return words_; }
  std::int64_t panel_words() const { return words_.all() * width_; }

  // A word of the first panel; those of the next one are panel_words() behind.
  std::uint32_t* word(std::int64_t w) { return quads_.data() + w * width_; }
  const std::uint32_t* quads(std::int64_t panel) const { return quads_.data() + panel * panel_words(); }
  const float* units(std::int64_t panel) const { return units_.data() + panel * words_.groups * width_; }
  const std::int32_t* corrections(std::int64_t panel) const {
    return corrections_.data() + panel * words_.groups * width_;
  }
  float& unit(std::int64_t group, std::int64_t i) {
    return units_[static_cast<std::size_t>((i / width_ * words_.groups + group) * width_ + i % width_)];
  }
  // Those of a group from one on, unit_of(0), unit_of(1), …
  template <typename UnitOf>
  void set_units(std::int64_t group, const Span& part, const UnitOf& unit_of) {
    for (std::int64_t i = 0, length = 0; i < part.count; i += length) {
      length = std::min(width_ - (part.first + i) % width_, part.count - i);
      float* target = &unit(group, part.first + i);
      for (std::int64_t k = 0; k < length; ++k) target[k] = unit_of(i + k);
    }
  }

  // Of one panel, once its words are there.
  void correct(std::int64_t panel) {
    std::int32_t* sums = corrections_.data() + panel * words_.groups * width_;
    std::fill_n(sums, words_.groups * width_, 0);
    for (std::int64_t group = 0; group < words_.groups; ++group, sums += width_) {
      const std::int64_t count = group + 1 < words_.groups ? words_.each : words_.last;
      add_corrections(quads(panel) + group * words_.each * width_, count, width_, sums);
    }
  }

 private:
  std::int64_t width_;
  std::int64_t count_ = 0;
  GroupWords words_;
  Buffer<std::uint32_t> quads_;
  Buffer<float> units_;
  Buffer<std::int32_t> corrections_;
};

// A tensor whose planes are read at every so many rows and columns.
class ProductOperand {
 public:
  ProductOperand(const ScaledTensor& tensor, int offset, bool powers, const std::array<std::int64_t, 2>& used,
                 const std::array<std::int64_t, 2>& stride)
      : tensor_(tensor),
        grid_(tensor.grid()),
        units_(powers ? tile_powers(tensor) : tile_units<float>(tensor)),
        decoder_(tensor.format.element, offset),
        plane_(tensor.inner_size()),
        row_(tensor.shape.size() < 4 ? 1 : tensor.shape[3]),
        columns_(used[1]),
        stride_(stride) {
    for (std::int64_t y = 0; y < used[0]; ++y) {
      for (std::int64_t x = 0; x < used[1]; ++x) tiles_.push_back(grid_.index(0, 0, y * stride[0], x * stride[1]));
    }
    dense_ = positions() == plane_;
    for (std::int64_t p = 0; p < positions(); ++p) tile_each_ = tile_each_ && tile(p) == p;
  }

  std::int64_t positions() const { return static_cast<std::int64_t>(tiles_.size()); }
  std::int64_t columns() const { return columns_; }
  bool dense() const { return dense_; }
  bool constant_over_planes() const { return tensor_.format.layout.constant_over_planes(); }
  const ByteDecoder& decoder() const { return decoder_; }

  const std::uint16_t* codes(std::int64_t i0, std::int64_t i1) const {
    return tensor_.codes.data() + (i0 * tensor_.shape[1] + i1) * plane_;
  }
  // Those of some positions, which follow each other; `room` takes them where they did not.
  const std::uint16_t* codes(const std::array<std::int64_t, 2>& pair, const Span& part, Room room) const {
    const std::uint16_t* all = codes(pair[0], pair[1]);
    if (dense_) return all + part.first;
    std::uint16_t* taken = room.all + room.first;
    for (std::int64_t i = 0, length = 0; i < part.count; i += length) {
      const std::int64_t column = (part.first + i) % columns_;
      length = std::min(columns_ - column, part.count - i);
      const std::int64_t at = (part.first + i) / columns_ * stride_[0] * row_ + column * stride_[1];
      gather_codes(all + at, stride_[1], length, taken + i);
    }
    return taken;
  }

  void prefetch(const std::array<std::int64_t, 2>& pair, const Span& part) const {
    if (!dense_) return;
    const std::uint16_t* first = codes(pair[0], pair[1]) + part.first;
    for (std::int64_t i = 0; i < part.count; i += 2 * kLineNumbers) __builtin_prefetch(first + i);
  }

  // Units of the tiles of a plane; tile() has that of each position.
  const float* units(std::int64_t i0, std::int64_t i1) const { return units_.data() + grid_.index(i0, i1); }
  std::int64_t tile(std::int64_t position) const { return tiles_[static_cast<std::size_t>(position)]; }
  bool tile_each() const { return tile_each_; }  // tile() is the position itself

  void pack(const WordRow& row) const { pack_words(row, decoder_); }

 private:
  const ScaledTensor& tensor_;
  TileGrid grid_;
  std::vector<float> units_;  // of tiles
  ByteDecoder decoder_;
  std::int64_t plane_;
  std::int64_t row_;
  std::int64_t columns_;
  std::array<std::int64_t, 2> stride_;
  std::vector<std::int64_t> tiles_;
  bool dense_;
  bool tile_each_ = true;
};

class BlockProducts {
 public:
  BlockProducts(const ConvolutionRequest& request, GroupRounding rounding)
      : pass_(request.pass),
        shape_(request.shape),
        gradient_(pass_ == Pass::kBackwardWeight),
        single_(shape_.in_size[0] * shape_.in_size[1] == 1),
        swapped_(!gradient_ && !single_),
        powers_(request.left.format.scale.largest_significand() == 1 &&
                request.right.format.scale.largest_significand() == 1 && rounding != GroupRounding::kDouble),
        // Rows are weights where lanes are positions, else what has the results' first dimension.
        row_(swapped_ ? request.right : request.left, 0, powers_, used(swapped_), {1, 1}),
        lane_(swapped_ ? request.left : request.right, kByteOffset, powers_, used(!swapped_), lane_stride()),
        rounding_(rounding),
        tensor_scale_(request.tensor_scale),
        runs_(runs_of(request)),
        outer_(shape_.outer_count(pass_)),
        result_shape_(shape_.result_shape(pass_)) {}

  void run(float* results) {
    if (!gradient_) return swapped_ ? run_images(results) : run_rows(results);
    if (single_) return run_single_gradients(results);
    runs_.front().count == 1 && lane_.constant_over_planes() && row_.constant_over_planes()
        ? run_image_gradients(results)
        : run_gradients(results);
  }

 private:
  // Of an operand's planes: those of weights are single elements.
  std::array<std::int64_t, 2> used(bool weight) const {
    return weight && !gradient_ ? std::array<std::int64_t, 2>{1, 1} : shape_.out_size();
  }
  std::array<std::int64_t, 2> lane_stride() const {
    return pass_ == Pass::kBackwardData ? std::array<std::int64_t, 2>{1, 1} : shape_.stride;
  }

  GroupWords outer_words() const {
    return {static_cast<std::int64_t>(runs_.size()), base::ceiling(runs_.front().count, kWordBytes),
            base::ceiling(runs_.back().count, kWordBytes)};
  }

  // ---- Packing

  // A row of words for each four outer indices, whose codes begin at codes_of(outer); `row` says where they go.
  template <typename CodesOf>
  void pack_across(const ProductOperand& operand, Panels& panels, WordRow row, const CodesOf& codes_of) const {
    row.width = panels.width();
    row.step = panels.panel_words();
    std::int64_t word = 0;
    for (const Span& run : runs_) {
      for (std::int64_t first = 0; first < run.count; first += kWordBytes, ++word) {
        for (std::int64_t k = 0; k < kWordBytes; ++k) {
          row.codes[static_cast<std::size_t>(k)] = first + k < run.count ? codes_of(run.first + first + k, k) : nullptr;
        }
        row.panels = panels.word(word);
        operand.pack(row);
      }
    }
  }

  // Rows of `count` codes, each whole in memory, from a word of the panels on: rows first to first + 15.
  template <typename CodesOf>
  void pack_along(const ProductOperand& operand, Panels& panels, const Span& part, std::int64_t first_word,
                  const CodesOf& codes_of) const {
    const std::int64_t words = base::ceiling(part.count, kWordBytes);
    const std::int64_t rows = std::min<std::int64_t>(kProductPadding, panels.count() - part.first);
    std::vector<std::uint32_t> bytes(static_cast<std::size_t>(rows * words));
    for (std::int64_t i = 0; i < rows; ++i) {
      operand.decoder().decode(codes_of(part.first + i), 1, part.count,
                               reinterpret_cast<std::uint8_t*>(bytes.data() + i * words), 0);
    }
    std::uint32_t* target =
        panels.word(first_word) + part.first / panels.width() * panels.panel_words() + part.first % panels.width();
    transpose(Transposition<std::uint32_t>{bytes.data(), words, rows, words, target, panels.width()});
  }

  // Units of the groups of outer indices, which are dimension `outer_dimension` of the operand; `first` is the other
  // index of the panels' first.
  void set_units(const ProductOperand& operand, Panels& panels, const Span& part, std::size_t outer_dimension,
                 std::int64_t first = 0) const {
    std::vector<std::int64_t> tiles;
    for (const Span& run : runs_) {
      tiles.push_back(outer_dimension == 0 ? operand.units(run.first, 0) - operand.units(0, 0)
                                           : operand.units(0, run.first) - operand.units(0, 0));
    }
    for (std::int64_t i = part.first; i < part.first + part.count; ++i) {
      const float* units = outer_dimension == 0 ? operand.units(0, first + i) : operand.units(first + i, 0);
      float* target = &panels.unit(0, i);
      for (std::size_t group = 0; group < tiles.size(); ++group, target += panels.width()) {
        *target = units[tiles[group]];
      }
    }
  }

  // All rows of forward and backward data.
  void pack_rows(Panels& rows, std::int64_t count) {
    rows.allocate(count, outer_words(), true);
    // Weights of backward data lie across the reduction.
    const bool across = swapped_ && pass_ == Pass::kBackwardData;
    base::parallel_for(std::int64_t{0}, rows.panels(), [&](std::int64_t panel) {
      const std::int64_t first = panel * rows.width();
      const std::int64_t end = std::min(first + rows.width(), count);
      if (across) {
        WordRow row;
        row.count = end - first;
        row.lane = first;
        pack_across(row_, rows, row, [&](std::int64_t outer, std::int64_t) { return row_.codes(outer, first); });
      } else {
        for (std::int64_t i = first; i < end; i += kProductPadding) {
          pack_along(row_, rows, {i, outer_}, 0, [&](std::int64_t m) { return row_.codes(m, 0); });
        }
      }
      set_units(row_, rows, {first, end - first}, across ? 0 : 1);
      rows.correct(panel);
    });
  }

  // ---- Products

  BlockProduct product_of(const Panels& rows, std::int64_t row_panel, const Panels& lanes,
                          std::int64_t lane_panel) const {
    return {.rows = rows.quads(row_panel),
            .corrections = rows.corrections(row_panel),
            .row_units = rows.units(row_panel),
            .row_pitch = rows.width(),
            .lanes = lanes.quads(lane_panel),
            .lane_units = lanes.units(lane_panel),
            .lane_pitch = lanes.width(),
            .groups = lanes.words().groups,
            .words = lanes.words().each,
            .last_words = lanes.words().last,
            .row_count = std::min(rows.count() - row_panel * rows.width(), rows.width()),
            .lane_count = std::min(lanes.count() - lane_panel * lanes.width(), lanes.width()),
            .rounding = rounding_,
            .units = powers_ ? ProductUnits::kPowers : ProductUnits::kFactors,
            .factor = tensor_scale_};
  }

  // ---- Forward and backward data: lanes are positions, numbered through all images

  // Some lanes, in the cache of a thread.
  struct Chunk {
    std::int64_t first = 0;
    std::int64_t count = 0;
    std::int64_t shift = 0;  // lanes in front of them, so that results begin with a line of the cache
    Panels lanes{kProductLanes};
    bool by_rows = false;  // lanes are of one image, whose units are in those of the rows
    std::vector<float> row_units;
    bool lines = false;  // results are whole lines of the cache, and leave it of their own accord
  };

  // Of `all` lanes, chunks of about the same size.
  std::int64_t chunk_lanes(std::int64_t all) const {
    const std::int64_t fit = std::max<std::int64_t>(kChunkBytes / (outer_words().all() * kWordBytes), kProductLanes);
    const std::int64_t threads = tbb::this_task_arena::max_concurrency();
    const std::int64_t chunks = std::max(base::ceiling(all, fit), threads > 1 ? 2 * threads : 1);
    return whole(base::ceiling(all, chunks), kProductLanes);
  }

  void run_images(float* results) {
    Panels rows(kProductPanel);
    pack_rows(rows, result_shape_[1]);
    const std::int64_t positions = lane_.positions();
    // Images that do not share vectors.
    const bool by_rows = positions >= kOwnImage && lane_.constant_over_planes() && !powers_;
    const bool lines = positions >= kOwnImage && positions % kLineNumbers == 0 &&
                       positions == result_shape_[2] * result_shape_[3] &&
                       element_count(result_shape_) >= kStreamedResults;
    const bool apart = by_rows || lines;
    const std::int64_t all = shape_.batch * positions;
    const std::int64_t length = chunk_lanes(apart ? positions : all);
    std::vector<Span> parts;
    for (std::int64_t first = 0; first < all; first += parts.back().count) {
      const std::int64_t end = apart ? (first / positions + 1) * positions : all;
      parts.push_back({first, std::min(length, end - first)});
    }
    const std::int64_t shift =
        lines ? static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(results) / sizeof(float)) % kLineNumbers : 0;
    tbb::enumerable_thread_specific<Chunk> chunks;
    base::parallel_for(std::int64_t{0}, static_cast<std::int64_t>(parts.size()), [&](std::int64_t i) {
      Chunk& chunk = chunks.local();
      chunk.shift = shift;
      chunk.lines = lines;
      chunk.first = parts[static_cast<std::size_t>(i)].first;
      chunk.count = parts[static_cast<std::size_t>(i)].count;
      chunk.by_rows = by_rows;
      chunk.lanes.allocate(shift + chunk.count, outer_words(), false);
      pack_chunk(chunk);
      for (std::int64_t panel = 0; panel < rows.panels(); ++panel) {
        if (by_rows) scale_row_units(rows, panel, chunk);
        multiply_chunk(rows, panel, chunk, results);
      }
      if (lines) end_streams();
    });
  }

  void pack_chunk(Chunk& chunk) const {
    const std::int64_t positions = lane_.positions();
    std::vector<std::uint16_t> room(static_cast<std::size_t>(lane_.dense() ? 0 : kWordBytes * chunk.count));
    for (std::int64_t lane = 0, length = 0; lane < chunk.count; lane += length) {
      const std::int64_t image = (chunk.first + lane) / positions;
      const std::int64_t first = (chunk.first + lane) % positions;
      length = std::min(positions - first, chunk.count - lane);
      WordRow row;
      row.count = length;
      row.lane = chunk.shift + lane;
      pack_across(lane_, chunk.lanes, row, [&](std::int64_t outer, std::int64_t k) {
        return lane_.codes({image, outer}, {first, length}, {room.data(), k * chunk.count});
      });
      for (std::int64_t group = 0; !chunk.by_rows && group < chunk.lanes.words().groups; ++group) {
        const float* units = lane_.units(image, runs_[static_cast<std::size_t>(group)].first);
        const Span part{chunk.shift + lane, length};
        if (lane_.tile_each()) {
          chunk.lanes.set_units(group, part, [&](std::int64_t p) { return units[first + p]; });
        } else {
          chunk.lanes.set_units(group, part, [&](std::int64_t p) { return units[lane_.tile(first + p)]; });
        }
      }
    }
  }

  void scale_row_units(const Panels& rows, std::int64_t panel, Chunk& chunk) const {
    const std::int64_t image = chunk.first / lane_.positions();
    const std::int64_t width = rows.width();
    chunk.row_units.resize(static_cast<std::size_t>(rows.words().groups * width));
    for (std::int64_t group = 0; group < rows.words().groups; ++group) {
      const float unit = *lane_.units(image, runs_[static_cast<std::size_t>(group)].first);
      const float* units = rows.units(panel) + group * width;
      for (std::int64_t i = 0; i < width; ++i) {
        chunk.row_units[static_cast<std::size_t>(group * width + i)] = units[i] * unit;
      }
    }
  }

  BlockProduct product_of(const Panels& rows, std::int64_t row_panel, const Chunk& chunk, std::int64_t panel) const {
    BlockProduct product = product_of(rows, row_panel, chunk.lanes, panel);
    if (chunk.by_rows) {
      product.row_units = chunk.row_units.data();
      product.units = ProductUnits::kRows;
    }
    product.streams = chunk.lines;
    const std::int64_t behind = panel == 0 ? chunk.shift : 0;
    product.lanes += behind;
    product.lane_units += behind;
    product.lane_count -= behind;
    return product;
  }

  void multiply_chunk(const Panels& rows, std::int64_t row_panel, const Chunk& chunk, float* results) const {
    const std::int64_t positions = lane_.positions();
    const std::int64_t plane = result_shape_[2] * result_shape_[3];
    const std::int64_t first_row = row_panel * rows.width();
    for (std::int64_t panel = 0; panel < chunk.lanes.panels(); ++panel) {
      const BlockProduct product = product_of(rows, row_panel, chunk, panel);
      const std::int64_t lane = panel == 0 ? chunk.first : chunk.first - chunk.shift + panel * kProductLanes;
      const std::int64_t image = lane / positions;
      const std::int64_t position = lane % positions;
      if (plane == positions && position + product.lane_count <= positions) {
        multiply_blocks(product, results + (image * result_shape_[1] + first_row) * plane + position, plane);
        continue;
      }
      std::array<float, static_cast<std::size_t>(kProductPanel * kProductLanes)> values;
      multiply_blocks(product, values.data(), kProductLanes);
      for (std::int64_t i = 0, length = 0; i < product.lane_count; i += length) {
        length =
            store_row(values.data() + i, {lane + i, product.lane_count - i}, {first_row, product.row_count}, results);
      }
    }
  }

  // Lanes of one row of an image's results; returns how many.
  std::int64_t store_row(const float* values, const Span& lanes, const Span& rows, float* results) const {
    const std::int64_t positions = lane_.positions();
    const std::int64_t columns = lane_.columns();
    const std::int64_t plane = result_shape_[2] * result_shape_[3];
    const bool apart = pass_ == Pass::kBackwardData;
    const std::int64_t position = lanes.first % positions;
    const std::int64_t column = position % columns;
    const std::int64_t step = apart ? shape_.stride[1] : 1;
    const std::int64_t length = std::min(lanes.count, columns - column);
    float* target = results + (lanes.first / positions * result_shape_[1] + rows.first) * plane +
                    position / columns * (apart ? shape_.stride[0] : 1) * result_shape_[3] + column * step;
    for (std::int64_t r = 0; r < rows.count; ++r, target += plane, values += kProductLanes) {
      for (std::int64_t i = 0; i < length; ++i) target[i * step] = values[i];
    }
    return length;
  }

  // ---- The same of single elements: rows are images, lanes are channels

  void run_rows(float* results) {
    Panels rows(kProductPanel);
    pack_rows(rows, shape_.batch);
    const std::int64_t channels = result_shape_[1];
    const std::int64_t length = chunk_lanes(channels);
    tbb::enumerable_thread_specific<Chunk> chunks;
    base::parallel_for(std::int64_t{0}, base::ceiling(channels, length), [&](std::int64_t i) {
      Chunk& chunk = chunks.local();
      chunk.first = i * length;
      chunk.count = std::min(length, channels - chunk.first);
      chunk.lanes.allocate(chunk.count, outer_words(), false);
      pack_channels(chunk);
      for (std::int64_t panel = 0; panel < rows.panels(); ++panel) {
        for (std::int64_t block = 0; block < chunk.lanes.panels(); ++block) {
          float* target = results + panel * kProductPanel * channels + chunk.first + block * kProductLanes;
          multiply_blocks(product_of(rows, panel, chunk.lanes, block), target, channels);
        }
      }
    });
  }

  void pack_channels(Chunk& chunk) const {
    if (pass_ == Pass::kBackwardData) {
      WordRow row;
      row.count = chunk.count;
      pack_across(lane_, chunk.lanes, row,
                  [&](std::int64_t outer, std::int64_t) { return lane_.codes(outer, chunk.first); });
      set_units(lane_, chunk.lanes, {0, chunk.count}, 0, chunk.first);
      return;
    }
    for (std::int64_t i = 0; i < chunk.count; i += kProductPadding) {
      pack_along(lane_, chunk.lanes, {i, outer_}, 0, [&](std::int64_t m) { return lane_.codes(chunk.first + m, 0); });
    }
    set_units(lane_, chunk.lanes, {0, chunk.count}, 1, chunk.first);
  }

  // ---- Backward weight: rows and lanes are channels

  // What is summed at once, in groups: positions of a run of images, or images.
  struct Slice {
    Span run;     // images
    Span groups;  // positions, or none
    bool first = false;
    bool last = false;
  };

  void multiply_slice(Panels& rows, Panels& lanes, const Slice& slice, float* results) const {
    base::parallel_for(std::int64_t{0}, rows.panels(), [&](std::int64_t panel) { rows.correct(panel); });
    const std::int64_t pitch = result_shape_[1] * taps();
    base::parallel_for(std::int64_t{0}, rows.panels() * lanes.panels(), [&](std::int64_t task) {
      const std::int64_t row_panel = task / lanes.panels();
      const std::int64_t lane_panel = task % lanes.panels();
      BlockProduct product = product_of(rows, row_panel, lanes, lane_panel);
      product.adds = !slice.first;
      product.factor = slice.last ? tensor_scale_ : 1;
      multiply_blocks(product, results + row_panel * kProductPanel * pitch + lane_panel * kProductLanes, pitch);
    });
  }

  // Of single elements, all runs of images.
  void run_single_gradients(float* results) {
    Panels rows(kProductPanel);
    Panels lanes(kProductLanes);
    rows.allocate(result_shape_[0], outer_words(), true);
    lanes.allocate(result_shape_[1], outer_words(), false);
    const auto pack = [&](const ProductOperand& operand, Panels& panels) {
      base::parallel_for(std::int64_t{0}, panels.panels(), [&](std::int64_t panel) {
        WordRow row;
        row.lane = panel * panels.width();
        row.count = std::min(panels.count() - row.lane, panels.width());
        pack_across(operand, panels, row,
                    [&](std::int64_t outer, std::int64_t) { return operand.codes(outer, row.lane); });
        set_units(operand, panels, {row.lane, row.count}, 0);
      });
    };
    pack(row_, rows);
    pack(lane_, lanes);
    multiply_slice(rows, lanes, {{0, outer_}, {}, true, true}, results);
  }

  // Groups are positions of runs of images.
  void run_gradients(float* results) {
    const std::int64_t positions = row_.positions();
    Panels rows(kProductPanel);
    Panels lanes(kProductLanes);
    const std::int64_t channels = whole(result_shape_[0], kProductPanel) + whole(result_shape_[1], kProductLanes);
    for (const Span& run : runs_) {
      const std::int64_t words = base::ceiling(run.count, kWordBytes);
      // Of about the same size, and of whole lines of codes; long pieces of planes come faster from memory.
      const std::int64_t fit =
          std::clamp<std::int64_t>(kSliceBytes / (channels * words * kWordBytes), kFewPositions, kManyPositions);
      const std::int64_t length = whole(base::ceiling(positions, base::ceiling(positions, fit)), 32);
      for (std::int64_t first = 0; first < positions; first += length) {
        Slice slice{run, {first, std::min(length, positions - first)}, false, false};
        slice.first = run.first == 0 && first == 0;
        slice.last = run.first + run.count == outer_ && first + slice.groups.count == positions;
        const GroupWords group_words{slice.groups.count, words, words};
        rows.allocate(result_shape_[0], group_words, true);
        lanes.allocate(result_shape_[1], group_words, false);
        pack_positions(row_, rows, slice);
        pack_positions(lane_, lanes, slice);
        multiply_slice(rows, lanes, slice, results);
      }
    }
  }

  // Of all channels, a panel and word at a time.
  void pack_positions(const ProductOperand& operand, Panels& panels, const Slice& slice) const {
    const std::int64_t words = panels.words().each;
    base::parallel_for(std::int64_t{0}, panels.panels() * words, [&](std::int64_t task) {
      const std::int64_t panel = task % panels.panels();
      const std::int64_t word = task / panels.panels();
      const std::int64_t first = panel * panels.width();
      const std::int64_t count = std::min(panels.width(), panels.count() - first);
      if (word == 0) set_position_units(operand, panels, {first, count}, slice);
      pack_plane_words(operand, panels, {first, count}, word, slice);
    });
  }

  const std::uint16_t* image_codes(const ProductOperand& operand, const Span& run, std::int64_t image,
                                   std::int64_t channel, const Span& part, Room room) const {
    if (image >= run.count) return nullptr;
    return operand.codes({run.first + image, channel}, part, room);
  }

  void pack_plane_words(const ProductOperand& operand, Panels& panels, const Span& channels, std::int64_t word,
                        const Slice& slice) const {
    const std::int64_t pitch = whole(slice.groups.count, kProductPadding);
    std::array<std::uint32_t, static_cast<std::size_t>(kProductPanel * 16)> few;
    std::vector<std::uint32_t> many(static_cast<std::size_t>(pitch > 16 ? kProductPanel * pitch : 0));
    std::vector<std::uint16_t> room(static_cast<std::size_t>(operand.dense() ? 0 : kWordBytes * slice.groups.count));
    WordRow row;
    row.count = slice.groups.count;
    row.panels = pitch > 16 ? many.data() : few.data();
    row.width = pitch;
    std::uint32_t* quads = row.panels;
    for (std::int64_t c = 0; c < channels.count; ++c, row.panels += pitch) {
      for (std::int64_t k = 0; k < kWordBytes && channels.first + c + kChannelsAhead < panels.count(); ++k) {
        const std::int64_t image = word * kWordBytes + k;
        if (image < slice.run.count)
          operand.prefetch({slice.run.first + image, channels.first + c + kChannelsAhead}, slice.groups);
      }
      for (std::int64_t k = 0; k < kWordBytes; ++k) {
        row.codes[static_cast<std::size_t>(k)] =
            image_codes(operand, slice.run, word * kWordBytes + k, channels.first + c, slice.groups,
                        {room.data(), k * slice.groups.count});
      }
      operand.pack(row);
    }
    std::uint32_t* target = panels.word(word) + channels.first / panels.width() * panels.panel_words();
    transpose(Transposition<std::uint32_t>{quads, pitch, channels.count, slice.groups.count, target,
                                           panels.words().each * panels.width()});
  }

  void set_position_units(const ProductOperand& operand, Panels& panels, const Span& channels,
                          const Slice& slice) const {
    for (std::int64_t c = channels.first; c < channels.first + channels.count; ++c) {
      const float* units = operand.units(slice.run.first, c);
      for (std::int64_t p = 0; p < slice.groups.count; ++p) {
        panels.unit(p, c) = units[operand.tile(slice.groups.first + p)];
      }
    }
  }

  // Groups are whole images.
  void run_image_gradients(float* results) {
    const std::int64_t words = base::ceiling(row_.positions(), kWordBytes);
    const std::int64_t columns = result_shape_[1] * taps();
    const std::int64_t channels = whole(result_shape_[0], kProductPanel) + whole(columns, kProductLanes);
    // So many that results need not be read and written more often than operands.
    const std::int64_t bytes = std::clamp<std::int64_t>(
        2 * result_shape_[0] * columns * static_cast<std::int64_t>(sizeof(float)), kImagesBytes, kSliceBytes);
    const std::int64_t length = std::clamp<std::int64_t>(bytes / (channels * words * kWordBytes), 1, shape_.batch);
    Panels rows(kProductPanel);
    Panels lanes(kProductLanes);
    for (std::int64_t first = 0; first < shape_.batch; first += length) {
      const std::int64_t count = std::min(length, shape_.batch - first);
      const Slice slice{{first, count}, {}, first == 0, first + count == shape_.batch};
      rows.allocate(result_shape_[0], {count, words, words}, true);
      lanes.allocate(columns, {count, words, words}, false);
      pack_images(row_, rows, slice.run);
      taps() == 1 ? pack_images(lane_, lanes, slice.run) : pack_windows(lanes, slice.run);
      multiply_slice(rows, lanes, slice, results);
    }
  }

  void pack_images(const ProductOperand& operand, Panels& panels, const Span& images) const {
    const std::int64_t parts = base::ceiling(panels.count(), kProductPadding);
    base::parallel_for(std::int64_t{0}, parts * images.count, [&](std::int64_t task) {
      const std::int64_t group = task / parts;
      const std::int64_t first = task % parts * kProductPadding;
      const std::int64_t image = images.first + group;
      std::vector<std::uint16_t> room(static_cast<std::size_t>(operand.dense() ? 0 : operand.positions()));
      pack_along(operand, panels, {first, operand.positions()}, group * panels.words().each, [&](std::int64_t channel) {
        return operand.codes({image, channel}, {0, operand.positions()}, {room.data(), 0});
      });
      for (std::int64_t c = first; c < std::min(first + kProductPadding, panels.count()); ++c) {
        panels.unit(group, c) = *operand.units(image, c);
      }
    });
  }

  std::int64_t taps() const { return shape_.kernel[0] * shape_.kernel[1]; }

  // Lanes are pairs of an input channel and a kernel position, whose elements are a window of the padded plane.
  void pack_windows(Panels& panels, const Span& images) const {
    // Whole vectors of lanes, whatever the kernel.
    const std::int64_t parts = base::ceiling(result_shape_[1], kProductPadding);
    base::parallel_for(std::int64_t{0}, parts * images.count, [&](std::int64_t task) {
      const std::int64_t image = task / parts;
      const Span channels{task % parts * kProductPadding,
                          std::min(kProductPadding, result_shape_[1] - task % parts * kProductPadding)};
      const std::int64_t words = panels.words().each;
      const std::int64_t first = channels.first * taps();
      const std::int64_t lanes = channels.count * taps();
      std::vector<std::uint32_t> windows(static_cast<std::size_t>(lanes * words));
      fill_windows(images.first + image, channels, reinterpret_cast<std::uint8_t*>(windows.data()));
      for (std::int64_t lane = 0; lane < lanes; lane += kProductPadding) {
        std::uint32_t* target = panels.word(image * words) + (first + lane) / kProductLanes * panels.panel_words() +
                                (first + lane) % kProductLanes;
        transpose(Transposition<std::uint32_t>{windows.data() + lane * words, words,
                                               std::min(kProductPadding, lanes - lane), words, target, kProductLanes});
      }
      for (std::int64_t lane = 0; lane < lanes; ++lane) {
        panels.unit(image, first + lane) = *lane_.units(images.first + image, channels.first + lane / taps());
      }
    });
  }

  // Bytes of [channel][kernel position][output position].
  void fill_windows(std::int64_t image, const Span& channels, std::uint8_t* windows) const {
    const auto out = shape_.out_size();
    const std::int64_t width = shape_.in_size[1];
    const std::int64_t left = shape_.padding[1].begin;
    const std::int64_t top = shape_.padding[0].begin;
    const std::int64_t pitch = std::max((out[1] - 1) * shape_.stride[1] + shape_.kernel_extent(1), left + width);
    const std::int64_t rows =
        std::max((out[0] - 1) * shape_.stride[0] + shape_.kernel_extent(0), top + shape_.in_size[0]);
    const std::int64_t window = whole(out[0] * out[1], kWordBytes);
    std::vector<std::uint8_t> plane(static_cast<std::size_t>(rows * pitch), static_cast<std::uint8_t>(kByteOffset));
    for (std::int64_t c = channels.first; c < channels.first + channels.count; ++c) {
      lane_.decoder().decode(lane_.codes(image, c), shape_.in_size[0], width, plane.data() + top * pitch + left, pitch);
      for (std::int64_t tap = 0; tap < taps(); ++tap, windows += window) {
        const std::uint8_t* source = plane.data() + tap / shape_.kernel[1] * shape_.dilation[0] * pitch +
                                     tap % shape_.kernel[1] * shape_.dilation[1];
        std::uint8_t* target = windows;
        for (std::int64_t y = 0; y < out[0]; ++y, source += shape_.stride[0] * pitch, target += out[1]) {
          if (shape_.stride[1] == 1) {
            std::copy_n(source, out[1], target);
          } else {
            for (std::int64_t x = 0; x < out[1]; ++x) target[x] = source[x * shape_.stride[1]];
          }
        }
      }
    }
  }

  Pass pass_;
  const ConvolutionShape& shape_;
  bool gradient_;
  bool single_;   // planes are single elements
  bool swapped_;  // rows are the right operand
  bool powers_;   // all units are powers of two
  ProductOperand row_;
  ProductOperand lane_;
  GroupRounding rounding_;
  float tensor_scale_;
  std::vector<Span> runs_;
  std::int64_t outer_;
  Shape result_shape_;
};

}  // namespace

std::optional<std::string> block_product_refusal(const ConvolutionRequest& request) {
  const ConvolutionShape& shape = request.shape;
  const bool single = shape.in_size[0] * shape.in_size[1] == 1;
  const bool by_image = request.pass == Pass::kBackwardWeight && !single &&
                        request.left.format.layout.constant_over_planes() &&
                        request.right.format.layout.constant_over_planes();
  if (shape.groups > 1) return "the convolution has groups";
  if (shape.kernel != std::array<std::int64_t, 2>{1, 1}) {
    if (!by_image) return "the kernel has several positions";
    const auto out = shape.out_size();
    if (out[0] * out[1] > kWindowPositions) return "windows of the kernel are large";
    if (shape.out_channels < kSharedWindows) return "output channels are few";
  } else {
    for (const Padding& padding : shape.padding) {
      if (padding.begin != 0 || padding.end != 0) return "planes are padded";
    }
  }
  const std::vector<Span> runs = runs_of(request);
  if (by_image) {
    if (runs.size() != static_cast<std::size_t>(shape.batch)) return "a group is several images";
    return std::nullopt;
  }
  if (request.pass == Pass::kBackwardWeight) {
    if (!single) return std::nullopt;
    if (runs.front().count == 1) return "each product is a group";
  }
  for (const Span& run : runs) {
    if (&run != &runs.back() && run.count != runs.front().count) return "groups differ";
  }
  if (runs.size() > 1 && (runs.back().count > runs.front().count || runs.front().count % kWordBytes != 0)) {
    return "groups are no whole words";
  }
  return std::nullopt;
}

void multiply_in_blocks(const ConvolutionRequest& request, GroupRounding rounding, float* results) {
  BlockProducts(request, rounding).run(results);
}

}  // namespace mlsim::models
