#include "models/convolution/cpu/block_convolution.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/integers.h"
#include "base/parallel.h"
#include "models/convolution/cpu/block_product_kernels.h"
#include "models/convolution/cpu/dot_kernels.h"
#include "models/convolution/cpu/padded_planes.h"
#include "models/convolution/cpu/tile_units.h"

namespace mlsim::models {
namespace {

// One axis of the operand that is no lanes, padded with zeros. Result c of a phase takes, of a tap, the element at
// c · step + offset.
struct SourceLine {
  std::int64_t size;    // of the operand
  std::int64_t lead;    // zeros in front
  std::int64_t extent;  // as far as it is read
  std::int64_t step;
  std::vector<ResultPhase> results;
};

SourceLine source_line(Pass pass, const ConvolutionShape& shape, std::size_t axis) {
  if (pass == Pass::kBackwardData) {
    const PaddedPlanes planes(pass, shape, false);
    const SourceAxis& source = axis == 0 ? planes.vertical : planes.horizontal;
    return {source.size, source.lead, source.extent, 1, source.results};
  }
  // Backward weight is a forward pass whose kernel is the error, with stride and dilation exchanged.
  const std::int64_t stride = shape.stride[axis];
  const std::int64_t dilation = shape.dilation[axis];
  const std::int64_t out = shape.out_size()[axis];
  const bool forward = pass == Pass::kForward;
  SourceLine line{shape.in_size[axis],
                  shape.padding[axis].begin,
                  (out - 1) * stride + shape.kernel_extent(axis),
                  forward ? stride : dilation,
                  {{0, 1, forward ? out : shape.kernel[axis], {}}}};
  const std::int64_t taps = forward ? shape.kernel[axis] : out;
  for (std::int64_t t = 0; t < taps; ++t) line.results[0].taps.push_back({t, 0, t * (forward ? dilation : stride)});
  return line;
}

// Outer indices that follow each other, of one group of the convolution.
struct Run {
  std::int64_t first = 0;
  std::int64_t count = 0;
  std::int64_t words = 0;
  std::int64_t lanes = 0;  // words of the runs before it
  std::int64_t place = 0;  // the same in a pixel, where units follow the words
  std::int64_t index = 0;  // runs before it
};

// Lanes of one group of the convolution that are computed at once.
struct LaneBlock {
  std::int64_t group = 0;
  std::int64_t first = 0;  // lane of the group
  std::int64_t count = 0;
  std::int64_t vectors = 0;
  std::int64_t words = 0;   // of the blocks before it
  std::int64_t groups = 0;  // lanes times reduction groups of the blocks before it
  std::int64_t values = 0;  // lanes of the blocks before it
};

// Some positions of a block of lanes.
struct Chunk {
  const LaneBlock& block;
  std::int64_t first = 0;
  std::int64_t count = 0;
};

// The results that share their taps.
struct Phase {
  const ResultPhase* rows = nullptr;
  const ResultPhase* columns = nullptr;
  std::vector<BlockTap> taps;
  Buffer<std::int32_t> corrections;  // where taps are not apart

  std::int64_t positions() const { return rows->count * columns->count; }
};

// Images and runs that are prepared together.
struct Slice {
  std::int64_t first_image = 0;
  std::int64_t images = 0;
  std::vector<std::vector<Run>> runs;  // of each group of the convolution
};

constexpr std::int64_t kTaskPositions = 96;      // positions of a task
constexpr std::int64_t kFewTaps = 64;            // so many that those of all lanes are packed together
constexpr std::int64_t kLargestWidth = 16;       // lanes of a vector
constexpr std::int64_t kPanelBytes = 128 << 10;  // of packed lanes that are read again and again

// Words of four outer indices of a run, for `columns` neighbouring elements of each. The codes of outer index i begin
// at codes_at(i); an index behind the run's end has zeros.
template <typename CodesAt>
void interleave_run(const ByteDecoder& decoder, const Run& run, std::int64_t word, std::int64_t columns,
                    std::uint32_t* quads, const CodesAt& codes_at) {
  WordRow row;
  for (std::int64_t i = 0; i < 4; ++i) {
    const bool exists = word * 4 + i < run.count;
    row.codes[static_cast<std::size_t>(i)] = exists ? codes_at(run.first + word * 4 + i) : nullptr;
  }
  row.count = columns;
  row.panels = quads;
  row.width = base::ceiling(columns, kProductPadding) * kProductPadding;
  pack_words(row, decoder);
}

template <typename Element>
class BlockConvolution {
 public:
  static constexpr bool kBytes = std::is_same_v<Element, std::uint8_t>;
  static constexpr bool kDoubles = std::is_same_v<Element, double>;
  using Word = std::conditional_t<kDoubles, double, std::uint32_t>;
  using Unit = std::conditional_t<kDoubles, double, float>;
  static constexpr std::int64_t kPerWord =
      sizeof(Word) / sizeof(Element);  // NOLINT(bugprone-sizeof-expression): elements of a word

  BlockConvolution(const ConvolutionRequest& request, GroupRounding rounding)
      : pass_(request.pass),
        gradient_(pass_ == Pass::kBackwardWeight),
        source_(gradient_ ? request.right : request.left),
        lane_(gradient_ ? request.left : request.right),
        source_grid_(source_.grid()),
        lane_grid_(lane_.grid()),
        rounding_(rounding_of(request, rounding)),
        source_units_of_(units_of(source_, rounding_)),
        lane_units_of_(units_of(lane_, rounding_)),
        tensor_scale_(request.tensor_scale),
        apart_(request.reduction.taps_apart()),
        groups_(request.shape.groups),
        outer_(request.shape.outer_count(pass_)),
        rows_(source_line(pass_, request.shape, 0)),
        columns_(source_line(pass_, request.shape, 1)),
        lane_size_(gradient_ ? request.shape.out_size() : request.shape.kernel),
        lane_taps_(lane_size_[0] * lane_size_[1]),
        result_shape_(request.shape.result_shape(pass_)),
        images_(gradient_ ? request.shape.in_channels : request.shape.batch),
        group_lanes_((pass_ == Pass::kBackwardData ? request.shape.in_channels : request.shape.out_channels) / groups_),
        width_(static_cast<std::int64_t>(block_lanes(kDoubles))) {
    if constexpr (kBytes) {
      source_bytes_.emplace(source_.format.element, kByteOffset);
      lane_bytes_.emplace(lane_.format.element, 0);
    } else {
      source_elements_ = elements_of(source_.format.element);
      lane_elements_ = elements_of(lane_.format.element);
    }
    source_tiles_ = tiles_of_plane(source_grid_, rows_.size, columns_.size);
    lane_tiles_ = tiles_of_plane(lane_grid_, lane_size_[0], lane_size_[1]);
    for (std::int64_t group = 0; group < groups_; ++group) all_runs_.push_back(runs_of(request.reduction, group));
  }

  void run(float* results) {
    make_phases();
    return gradient_ ? run_gradient(results) : run_images(results);
  }

 private:
  static GroupRounding rounding_of(const ConvolutionRequest& request, GroupRounding rounding) {
    const bool powers =
        request.left.format.scale.largest_significand() == 1 && request.right.format.scale.largest_significand() == 1;
    return !kDoubles && powers && rounding != GroupRounding::kDouble && has_power_products() ? GroupRounding::kPowers
                                                                                             : rounding;
  }

  static std::vector<Unit> units_of(const ScaledTensor& tensor, GroupRounding rounding) {
    if constexpr (!kDoubles) {
      if (rounding == GroupRounding::kPowers) return tile_powers(tensor);
    }
    return tile_units<Unit>(tensor);
  }

  static std::vector<Element> elements_of(const ElementFormat& format) {
    std::vector<Element> elements;
    for (const std::int64_t k : decode_table(format)) elements.push_back(static_cast<Element>(k));
    return elements;
  }

  // Of every element, counted from the plane's first.
  static std::vector<std::int64_t> tiles_of_plane(const TileGrid& grid, std::int64_t rows, std::int64_t columns) {
    std::vector<std::int64_t> tiles;
    tiles.reserve(static_cast<std::size_t>(rows * columns));
    for (std::int64_t y = 0; y < rows; ++y) {
      for (std::int64_t x = 0; x < columns; ++x) tiles.push_back(grid.index(0, 0, y, x));
    }
    return tiles;
  }

  std::vector<Run> runs_of(const Reduction& reduction, std::int64_t group) const {
    std::vector<Run> runs;
    for (std::int64_t first = 0; first < outer_;) {
      const std::int64_t count = reduction.run_end(group, first) - first;
      runs.push_back({first, count, base::ceiling(count, kPerWord), 0, 0, 0});
      first += count;
    }
    return runs;
  }

  // Forward and backward data: all runs, some images at a time.
  void run_images(float* results) {
    Slice slice;
    set_runs(slice, 0, std::numeric_limits<std::int64_t>::max());
    lay_out(slice);
    slice.images = images_at_once<std::uint8_t>(images_, image_words() * static_cast<std::int64_t>(sizeof(Word)));
    allocate_source(slice.images);
    pack_lanes(slice);
    for (; slice.first_image < images_; slice.first_image += slice.images) {
      slice.images = std::min(slice.images, images_ - slice.first_image);
      pack_source(slice);
      for (const Phase& phase : phases_) {
        for_each_tile(slice, phase, [&](const Chunk& chunk) {
          std::array<float, kTaskPositions * kBlockVectors * kLargestWidth> values;
          std::fill_n(values.begin(), chunk.count * chunk.block.vectors * width_, 0.0F);
          sum_tile(slice, phase, chunk, values.data());
          store(slice, phase, chunk, values.data(), results);
        });
      }
    }
  }

  // Backward weight: all input channels, some runs of images at a time.
  void run_gradient(float* results) {
    const Phase& phase = phases_[0];
    const auto runs = static_cast<std::int64_t>(all_runs_[0].size());
    std::int64_t words = 1;
    for (const Run& run : all_runs_[0]) words = std::max(words, run.words);
    const std::int64_t run_bytes = (images_ * rows_.extent * columns_.extent + group_lanes_ * groups_ * lane_taps_) *
                                   words * static_cast<std::int64_t>(sizeof(Word));
    const std::int64_t at_once = std::clamp<std::int64_t>(kPreparedBytes / run_bytes, 1, runs);
    Slice slice{0, images_, {}};
    Buffer<float> values;
    for (std::int64_t first = 0; first < runs; first += at_once) {
      set_runs(slice, first, at_once);
      lay_out(slice);
      if (first == 0) values.assign(static_cast<std::size_t>(all_lanes_ * group_positions(slice, phase)), 0.0F);
      allocate_source(slice.images);
      pack_lanes(slice);
      pack_source(slice);
      const bool last = first + at_once >= runs;
      for_each_tile(slice, phase, [&](const Chunk& chunk) {
        const std::int64_t before = chunk.block.values * group_positions(slice, phase);
        float* chunk_values = values.data() + before + chunk.first * chunk.block.vectors * width_;
        sum_tile(slice, phase, chunk, chunk_values);
        if (last) store(slice, phase, chunk, chunk_values, results);
      });
    }
  }

  // ---- Layout

  void set_runs(Slice& slice, std::int64_t first, std::int64_t count) const {
    slice.runs.clear();
    for (const std::vector<Run>& all : all_runs_) {
      const auto size = static_cast<std::int64_t>(all.size());
      std::vector<Run> runs(all.begin() + std::min(first, size), all.begin() + first + std::min(count, size - first));
      std::int64_t words = 0;
      for (std::size_t i = 0; i < runs.size(); ++i) {
        runs[i].index = static_cast<std::int64_t>(i);
        runs[i].lanes = words;
        runs[i].place = words + runs[i].index * unit_words();
        words += runs[i].words;
      }
      slice.runs.push_back(std::move(runs));
    }
  }

  // Words for the unit of a run in a pixel.
  std::int64_t unit_words() const { return apart_ && !kDoubles ? 1 : 0; }
  static std::int64_t lane_words(const std::vector<Run>& runs) { return runs.back().lanes + runs.back().words; }

  // Where things lie: pixels [group][run][word], lanes [group][block][run][tap][word][lane].
  void lay_out(const Slice& slice) {
    pixel_words_ = 0;
    image_units_ = 0;
    blocks_.clear();
    group_words_.clear();
    group_units_.clear();
    std::int64_t words = 0;
    std::int64_t groups = 0;
    all_lanes_ = 0;
    for (std::int64_t group = 0; group < groups_; ++group) {
      const std::vector<Run>& runs = slice.runs[static_cast<std::size_t>(group)];
      group_words_.push_back(gradient_ ? 0 : pixel_words_);
      group_units_.push_back(gradient_ ? 0 : image_units_);
      // The pixels of an input channel's plane belong to one group.
      pixel_words_ = runs.back().place + runs.back().words + unit_words() + (gradient_ ? 0 : pixel_words_);
      image_units_ = static_cast<std::int64_t>(runs.size()) + (gradient_ ? 0 : image_units_);
      for (std::int64_t first = 0; first < group_lanes_; first += kBlockVectors * width_) {
        LaneBlock block{group,  first,     std::min(group_lanes_ - first, kBlockVectors * width_), 0, words,
                        groups, all_lanes_};
        block.vectors = base::ceiling(block.count, width_);
        const std::int64_t lanes = block.vectors * width_;
        blocks_.push_back(block);
        words += lane_words(runs) * lane_taps_ * lanes;
        groups += static_cast<std::int64_t>(runs.size()) * groups_of_run() * lanes;
        all_lanes_ += lanes;
      }
    }
    for (Phase& phase : phases_) {
      phase.taps.clear();
      for_each_tap(phase, [&](const BlockTap& tap) { phase.taps.push_back(tap); });
    }
    // Places without an element, from slice to slice not the same ones, are 0.
    std::fill(lanes_.begin(), lanes_.end(), Word{0});
    lanes_.resize(static_cast<std::size_t>(words), Word{0});
    if (kDoubles) return;
    lane_units_.assign(static_cast<std::size_t>(groups), 0.0F);
    if (!kBytes) return;
    if (apart_) corrections_.assign(static_cast<std::size_t>(groups), 0);
    for (Phase& phase : phases_) {
      if (!apart_) phase.corrections.assign(static_cast<std::size_t>(groups), 0);
    }
  }

  std::int64_t groups_of_run() const { return apart_ ? lane_taps_ : 1; }
  std::int64_t image_words() const { return rows_.extent * columns_.extent * pixel_words_; }

  void allocate_source(std::int64_t images) {
    const auto words = static_cast<std::size_t>(images * image_words());
    const Word zero = kBytes ? static_cast<Word>(0x01010101U * kByteOffset) : Word{0};
    if (pixels_.size() != words) pixels_.assign(words, zero);
    if (!kDoubles && !apart_) source_units_.assign(static_cast<std::size_t>(images * image_units_), 0.0F);
  }

  void make_phases() {
    for (const ResultPhase& rows : rows_.results) {
      for (const ResultPhase& columns : columns_.results) {
        if (rows.taps.empty() || columns.taps.empty()) continue;
        phases_.push_back({&rows, &columns, {}, {}});
      }
    }
  }

  // ---- The operand whose channels are lanes

  std::array<std::int64_t, 2> lane_pair(std::int64_t group, std::int64_t lane, std::int64_t outer) const {
    if (pass_ == Pass::kForward) return {group * group_lanes_ + lane, outer};
    if (pass_ == Pass::kBackwardData) return {group * outer_ + outer, lane};
    return {outer, group * group_lanes_ + lane};
  }
  const std::uint16_t* lane_codes(std::int64_t group, std::int64_t lane, std::int64_t outer) const {
    const auto pair = lane_pair(group, lane, outer);
    return lane_.codes.data() + (pair[0] * lane_.shape[1] + pair[1]) * lane_taps_;
  }

  void pack_lanes(const Slice& slice) {
    base::parallel_for(std::int64_t{0}, static_cast<std::int64_t>(blocks_.size()), [&](std::int64_t b) {
      const LaneBlock& block = blocks_[static_cast<std::size_t>(b)];
      for (const Run& run : slice.runs[static_cast<std::size_t>(block.group)]) {
        Word* words = lanes_.data() + block.words + run.lanes * lane_taps_ * block.vectors * width_;
        if constexpr (kBytes) {
          pack_lane_run(block, run, words);
        } else {
          pack_lane_elements(block, run, words);
        }
        if constexpr (!kDoubles) set_lane_units(block, run);
      }
    });
  }

  void pack_lane_elements(const LaneBlock& block, const Run& run, Word* words) {
    // At a time: what is written stays in a cache, in whose sets taps that are a power of two apart may meet.
    constexpr std::int64_t kTaps = kDoubles ? 4 : 8;
    const std::int64_t lanes = block.vectors * width_;
    auto* elements = reinterpret_cast<Element*>(words);
    for (std::int64_t first = 0; first < lane_taps_; first += kTaps) {
      const std::int64_t end = std::min(first + kTaps, lane_taps_);
      for (std::int64_t i = 0; i < run.count; ++i) {
        for (std::int64_t lane = 0; lane < block.count; ++lane) {
          const std::uint16_t* codes = lane_codes(block.group, block.first + lane, run.first + i);
          const Unit* units = lane_units(block, lane, run.first + i);
          Element* place = elements + ((first * run.words + i / kPerWord) * lanes + lane) * kPerWord + i % kPerWord;
          for (std::int64_t t = first; t < end; ++t, place += run.words * lanes * kPerWord) {
            *place = lane_elements_[codes[t]];
            if constexpr (kDoubles) *place *= units[lane_tiles_[static_cast<std::size_t>(t)]];
          }
        }
      }
    }
  }

  // Units of the tiles of a lane's plane; lane_tiles_ has that of each tap.
  const Unit* lane_units(const LaneBlock& block, std::int64_t lane, std::int64_t outer) const {
    const auto pair = lane_pair(block.group, block.first + lane, outer);
    return lane_units_of_.data() + lane_grid_.index(pair[0], pair[1]);
  }

  void set_lane_units(const LaneBlock& block, const Run& run) {
    const std::int64_t lanes = block.vectors * width_;
    const std::int64_t first = block.groups + run.index * groups_of_run() * lanes;
    float* units = lane_units_.data() + first;
    for (std::int64_t lane = 0; lane < block.count; ++lane) {
      const Unit* tiles = lane_units(block, lane, run.first);
      for (std::int64_t t = 0; t < groups_of_run(); ++t) {
        units[t * lanes + lane] = static_cast<float>(tiles[lane_tiles_[static_cast<std::size_t>(t)]]);
      }
    }
    if (!kBytes) return;
    const auto* words =
        reinterpret_cast<const std::uint32_t*>(lanes_.data()) + block.words + run.lanes * lane_taps_ * lanes;
    if (apart_) {
      for (std::int64_t t = 0; t < lane_taps_; ++t) {
        add_corrections(words + t * run.words * lanes, run.words, lanes, corrections_.data() + first + t * lanes);
      }
    } else {
      for (Phase& phase : phases_) {
        for (const BlockTap& tap : phase.taps) {
          add_corrections(words + tap.lanes * run.words * lanes, run.words, lanes, phase.corrections.data() + first);
        }
      }
    }
  }

  // Bytes of the same tap of a run come together in words, words of the lanes in vectors.
  void pack_lane_run(const LaneBlock& block, const Run& run, std::uint32_t* words) {
    const LaneWords target{words, run.words * block.vectors * width_, block.vectors * width_};
    if (pass_ == Pass::kForward) {
      pack_lane_rows(block, run, target);
    } else if (lane_taps_ <= kFewTaps) {
      pack_lane_columns(block, run, target);
    } else {
      pack_lane_planes(block, run, target);
    }
  }

  struct LaneWords {
    std::uint32_t* words;
    std::int64_t tap;   // from one tap to the next
    std::int64_t word;  // and from a word of a tap to the next
  };

  // A lane's elements of the run are neighbours.
  void pack_lane_rows(const LaneBlock& block, const Run& run, const LaneWords& target) {
    constexpr std::int64_t kWords = 16;
    const std::int64_t taps = lane_taps_;
    std::vector<std::uint8_t> bytes(static_cast<std::size_t>(kWords * kPerWord * taps + kDotSlack));
    std::vector<std::uint32_t> quads(static_cast<std::size_t>(block.count * kWords * taps + kDotSlack));
    for (std::int64_t first = 0; first < run.words; first += kWords) {
      const std::int64_t words = std::min(kWords, run.words - first);
      const std::int64_t count = std::min(words * kPerWord, run.count - first * kPerWord);
      std::fill(bytes.begin() + count * taps, bytes.end(), std::uint8_t{0});
      for (std::int64_t lane = 0; lane < block.count; ++lane) {
        const std::uint16_t* codes = lane_codes(block.group, block.first + lane, run.first + first * kPerWord);
        std::uint32_t* lane_quads = quads.data() + lane * words * taps;
        lane_bytes_->decode(codes, 1, count * taps, bytes.data(), 0);
        if (taps == 1) {
          std::memcpy(lane_quads, bytes.data(), static_cast<std::size_t>(words * kPerWord));
        } else {
          const std::uint8_t* at = bytes.data();
          interleave_bytes({at, at + taps, at + 2 * taps, at + 3 * taps}, kPerWord * taps, words, taps, lane_quads);
        }
      }
      std::uint32_t* to = target.words + first * target.word;
      if (taps == 1) {
        transpose(Transposition<std::uint32_t>{quads.data(), words, block.count, words, to, target.word});
      } else {
        for (std::int64_t w = 0; w < words; ++w) {
          transpose(Transposition<std::uint32_t>{quads.data() + w * taps, words * taps, block.count, taps,
                                                 to + w * target.word, target.tap});
        }
      }
    }
  }

  // All lanes of an outer index are neighbours.
  void pack_lane_columns(const LaneBlock& block, const Run& run, const LaneWords& target) {
    const std::int64_t columns = block.count * lane_taps_;
    std::vector<std::uint32_t> quads(static_cast<std::size_t>(columns + kDotSlack));
    for (std::int64_t w = 0; w < run.words; ++w) {
      std::uint32_t* to = target.words + w * target.word;
      interleave_run(*lane_bytes_, run, w, columns, quads.data(),
                     [&](std::int64_t outer) { return lane_codes(block.group, block.first, outer); });
      if (lane_taps_ == 1) {
        std::copy_n(quads.data(), columns, to);
      } else {
        transpose(Transposition<std::uint32_t>{quads.data(), lane_taps_, block.count, lane_taps_, to, target.tap});
      }
    }
  }

  // The same where planes are large: some taps at a time.
  void pack_lane_planes(const LaneBlock& block, const Run& run, const LaneWords& target) {
    constexpr std::int64_t kTaps = 512;
    const std::int64_t pitch = std::min(kTaps, lane_taps_) + kDotSlack;
    std::vector<std::uint32_t> quads(static_cast<std::size_t>(block.count * pitch));
    for (std::int64_t first = 0; first < lane_taps_; first += kTaps) {
      const std::int64_t taps = std::min(kTaps, lane_taps_ - first);
      for (std::int64_t w = 0; w < run.words; ++w) {
        for (std::int64_t lane = 0; lane < block.count; ++lane) {
          interleave_run(*lane_bytes_, run, w, taps, quads.data() + lane * pitch, [&](std::int64_t outer) {
            return lane_codes(block.group, block.first + lane, outer) + first;
          });
        }
        transpose(Transposition<std::uint32_t>{quads.data(), pitch, block.count, taps,
                                               target.words + w * target.word + first * target.tap, target.tap});
      }
    }
  }

  // ---- The other operand

  std::array<std::int64_t, 2> source_pair(std::int64_t image, std::int64_t group, std::int64_t outer) const {
    return gradient_ ? std::array{outer, image} : std::array{image, group * outer_ + outer};
  }
  const std::uint16_t* source_codes(std::int64_t image, std::int64_t group, std::int64_t outer) const {
    const auto pair = source_pair(image, group, outer);
    return source_.codes.data() + (pair[0] * source_.shape[1] + pair[1]) * rows_.size * columns_.size;
  }

  // Rows and columns of the operand that are read.
  std::int64_t used_rows() const { return std::min(rows_.size, rows_.extent - rows_.lead); }
  std::int64_t used_columns() const { return std::min(columns_.size, columns_.extent - columns_.lead); }

  void pack_source(const Slice& slice) {
    std::vector<std::pair<std::int64_t, const Run*>> jobs;
    for (std::int64_t group = 0; group < (gradient_ ? 1 : groups_); ++group) {
      for (const Run& run : slice.runs[static_cast<std::size_t>(group)]) jobs.emplace_back(group, &run);
    }
    const auto count = static_cast<std::int64_t>(jobs.size());
    const bool many_images = kBytes && gradient_ && rows_.size * columns_.size == 1;
    if constexpr (kBytes) {
      if (many_images) {
        base::parallel_for(std::int64_t{0}, count, [&](std::int64_t job) { pack_source_images(*jobs[job].second); });
      }
    }
    base::parallel_for(std::int64_t{0}, slice.images * count, [&](std::int64_t task) {
      const auto& [group, run] = jobs[static_cast<std::size_t>(task % count)];
      const std::int64_t slot = task / count;
      const std::int64_t image = slice.first_image + slot;
      if constexpr (kBytes) {
        if (!many_images) pack_source_words(slot, image, group, *run);
      } else {
        pack_source_elements(slot, image, group, *run);
      }
      if constexpr (!kDoubles) set_source_units(slot, image, group, *run);
    });
  }

  void pack_source_words(std::int64_t slot, std::int64_t image, std::int64_t group, const Run& run) {
    std::uint32_t* words = pixels_.data() + group_words_[static_cast<std::size_t>(group)] + run.place;
    const std::int64_t width = columns_.size;
    if (rows_.size * width == 1) {
      if (used_rows() < 1 || used_columns() < 1) return;
      auto* bytes = reinterpret_cast<std::uint8_t*>(words + pixel(slot, 0, 0) * pixel_words_);
      return source_bytes_->decode(source_codes(image, group, run.first), 1, run.count, bytes, 0);
    }
    const std::int64_t rows_at_once = std::max<std::int64_t>(1024 / width, 1);
    const std::int64_t pitch = std::min(rows_at_once, used_rows()) * width + kDotSlack;
    std::vector<std::uint32_t> quads(static_cast<std::size_t>(run.words * pitch));
    for (std::int64_t first = 0; first < used_rows(); first += rows_at_once) {
      const std::int64_t end = std::min(first + rows_at_once, used_rows());
      for (std::int64_t w = 0; w < run.words; ++w) {
        interleave_run(*source_bytes_, run, w, (end - first) * width, quads.data() + w * pitch,
                       [&](std::int64_t outer) { return source_codes(image, group, outer) + first * width; });
      }
      if (columns_.extent == width && columns_.lead == 0) {
        transpose(Transposition<std::uint32_t>{quads.data(), pitch, run.words, (end - first) * width,
                                               words + pixel(slot, first, 0) * pixel_words_, pixel_words_});
        continue;
      }
      for (std::int64_t y = first; y < end; ++y) {
        transpose(Transposition<std::uint32_t>{quads.data() + (y - first) * width, pitch, run.words, used_columns(),
                                               words + pixel(slot, y, 0) * pixel_words_, pixel_words_});
      }
    }
  }

  // Backward weight of images of one element: input channels are neighbours.
  void pack_source_images(const Run& run) {
    if (used_rows() < 1 || used_columns() < 1) return;
    const std::int64_t pitch = images_ + kDotSlack;
    std::vector<std::uint32_t> quads(static_cast<std::size_t>(run.words * pitch));
    for (std::int64_t w = 0; w < run.words; ++w) {
      interleave_run(*source_bytes_, run, w, images_, quads.data() + w * pitch,
                     [&](std::int64_t outer) { return source_codes(0, 0, outer); });
    }
    transpose(Transposition<std::uint32_t>{quads.data(), pitch, run.words, images_,
                                           pixels_.data() + run.place + pixel(0, 0, 0) * pixel_words_, image_words()});
  }

  std::int64_t pixel(std::int64_t slot, std::int64_t y, std::int64_t x) const {
    return (slot * rows_.extent + y + rows_.lead) * columns_.extent + x + columns_.lead;
  }

  void pack_source_elements(std::int64_t slot, std::int64_t image, std::int64_t group, const Run& run) {
    const std::int64_t step = pixel_words_ * kPerWord;
    auto* elements =
        reinterpret_cast<Element*>(pixels_.data() + group_words_[static_cast<std::size_t>(group)] + run.place);
    for (std::int64_t y = 0; y < used_rows(); ++y) {
      const std::int64_t* tiles = source_tiles_.data() + y * columns_.size;
      for (std::int64_t i = 0; i < run.count; ++i) {
        const std::uint16_t* codes = source_codes(image, group, run.first + i) + y * columns_.size;
        const Unit* units = source_units(image, group, run.first + i);
        Element* place = elements + pixel(slot, y, 0) * step + i;
        for (std::int64_t x = 0; x < used_columns(); ++x, place += step) {
          *place = source_elements_[codes[x]];
          if constexpr (kDoubles) *place *= units[tiles[x]];
        }
      }
    }
  }

  // Units of the tiles of a plane; source_tiles_ has that of each element.
  const Unit* source_units(std::int64_t image, std::int64_t group, std::int64_t outer) const {
    const auto pair = source_pair(image, group, outer);
    return source_units_of_.data() + source_grid_.index(pair[0], pair[1]);
  }

  void set_source_units(std::int64_t slot, std::int64_t image, std::int64_t group, const Run& run) {
    const Unit* tiles = source_units(image, group, run.first);
    const auto at = static_cast<std::size_t>(group);
    if (!apart_) {
      source_units_[static_cast<std::size_t>(slot * image_units_ + group_units_[at] + run.index)] =
          static_cast<float>(*tiles);
      return;
    }
    Word* units = pixels_.data() + group_words_[at] + run.place + run.words;
    for (std::int64_t y = 0; y < used_rows(); ++y) {
      const std::int64_t* of_row = source_tiles_.data() + y * columns_.size;
      Word* place = units + pixel(slot, y, 0) * pixel_words_;
      for (std::int64_t x = 0; x < used_columns(); ++x, place += pixel_words_) {
        *place = std::bit_cast<std::uint32_t>(static_cast<float>(tiles[of_row[x]]));
      }
    }
  }

  // ---- Sums

  // The taps of a phase; that of a kernel position in `lanes`.
  template <typename Use>
  void for_each_tap(const Phase& phase, const Use& use) const {
    for (const AxisTap& y : phase.rows->taps) {
      for (const AxisTap& x : phase.columns->taps) {
        const std::int64_t pixels = y.offset * columns_.extent + x.offset;
        use(BlockTap{pixels * pixel_words_ * static_cast<std::int64_t>(sizeof(Word)),
                     y.kernel * lane_size_[1] + x.kernel});
      }
    }
  }

  // Positions of a group of the convolution.
  std::int64_t group_positions(const Slice& slice, const Phase& phase) const {
    return (gradient_ ? images_ / groups_ : slice.images) * phase.positions();
  }

  // use(chunk) for all lane blocks and chunks of positions.
  template <typename Use>
  void for_each_tile(const Slice& slice, const Phase& phase, const Use& use) {
    const std::int64_t positions = group_positions(slice, phase);
    const std::int64_t chunks = base::ceiling(positions, kTaskPositions);
    const std::int64_t blocks = static_cast<std::int64_t>(blocks_.size()) / groups_;
    base::parallel_for(std::int64_t{0}, groups_ * chunks * blocks, [&](std::int64_t task) {
      const std::int64_t group = task / blocks / chunks;
      const std::int64_t first = task / blocks % chunks * kTaskPositions;
      use(Chunk{blocks_[static_cast<std::size_t>(group * blocks + task % blocks)], first,
                std::min(kTaskPositions, positions - first)});
    });
  }

  // Walks the positions of a chunk row by row: use(p, slot, row, column, length), p counted from its first.
  template <typename Use>
  void for_each_row(const Phase& phase, const Chunk& chunk, const Use& use) const {
    const std::int64_t width = phase.columns->count;
    std::int64_t slot = chunk.first / phase.positions() + (gradient_ ? chunk.block.group * (images_ / groups_) : 0);
    std::int64_t row = chunk.first % phase.positions() / width;
    std::int64_t column = chunk.first % width;
    for (std::int64_t p = 0; p < chunk.count;) {
      const std::int64_t length = std::min(width - column, chunk.count - p);
      use(p, slot, row, column, length);
      p += length;
      column = 0;
      if (++row < phase.rows->count) continue;
      row = 0;
      ++slot;
    }
  }

  void sum_tile(const Slice& slice, const Phase& phase, const Chunk& chunk, float* values) const {
    const LaneBlock& block = chunk.block;
    constexpr auto kWordBytes = static_cast<std::int64_t>(sizeof(Word));
    std::array<std::int64_t, kTaskPositions> positions;
    std::array<std::int64_t, kTaskPositions> unit_positions;
    for_each_row(phase, chunk,
                 [&](std::int64_t p, std::int64_t slot, std::int64_t row, std::int64_t column, std::int64_t length) {
                   const std::int64_t pixels =
                       (slot * rows_.extent + row * rows_.step) * columns_.extent + column * columns_.step;
                   const std::int64_t step = columns_.step * pixel_words_ * kWordBytes;
                   for (std::int64_t i = 0; i < length; ++i) {
                     positions[static_cast<std::size_t>(p + i)] = pixels * pixel_words_ * kWordBytes + i * step;
                     unit_positions[static_cast<std::size_t>(p + i)] = slot * image_units_;
                   }
                 });
    std::vector<BlockRun> runs;
    for (const Run& run : slice.runs[static_cast<std::size_t>(block.group)]) {
      runs.push_back({run.words, run.place * kWordBytes, run.lanes * lane_taps_ * width_ * kWordBytes, run.index,
                      run.index * groups_of_run()});
    }
    BlockTile tile{
        .source =
            reinterpret_cast<const std::uint8_t*>(pixels_.data() + group_words_[static_cast<std::size_t>(block.group)]),
        .positions = positions.data(),
        .unit_positions = unit_positions.data(),
        .position_count = chunk.count,
        .lanes = reinterpret_cast<const std::uint8_t*>(lanes_.data() + block.words),
        .vectors = static_cast<int>(block.vectors),
        .runs = runs.data(),
        .run_count = static_cast<std::int64_t>(runs.size()),
        .taps = phase.taps.data(),
        .tap_count = static_cast<std::int64_t>(phase.taps.size()),
        .taps_apart = apart_,
        .rounding = rounding_,
    };
    if (!kDoubles) {
      if (!apart_) tile.source_units = source_units_.data() + group_units_[static_cast<std::size_t>(block.group)];
      tile.lane_units = lane_units_.data() + block.groups;
    }
    if (kBytes) tile.corrections = (apart_ ? corrections_ : phase.corrections).data() + block.groups;
    sum_panels(tile, values);
  }

  // As much of the lanes at a time as stays in a cache.
  void sum_panels(BlockTile tile, float* values) const {
    const BlockElement element = kBytes     ? BlockElement::kBytes
                                 : kDoubles ? BlockElement::kDoubles
                                            : BlockElement::kShorts;
    std::int64_t words = 0;
    for (std::int64_t r = 0; r < tile.run_count; ++r) words += tile.runs[r].words;
    const std::int64_t vector_bytes = tile.vectors * width_ * static_cast<std::int64_t>(sizeof(Word));
    if (!apart_ || words * tile.tap_count * vector_bytes <= 2 * kPanelBytes) return sum_blocks(element, tile, values);
    const BlockTap* taps = tile.taps;
    const std::int64_t tap_count = tile.tap_count;
    for (std::int64_t runs = std::exchange(tile.run_count, 1); runs > 0; --runs, ++tile.runs) {
      const std::int64_t at_once = std::max<std::int64_t>(kPanelBytes / (tile.runs->words * vector_bytes), 1);
      for (std::int64_t first = 0; first < tap_count; first += at_once) {
        tile.taps = taps + first;
        tile.tap_count = std::min(at_once, tap_count - first);
        sum_blocks(element, tile, values);
      }
    }
  }

  // ---- Results

  void store(const Slice& slice, const Phase& phase, const Chunk& chunk, const float* values, float* results) const {
    const LaneBlock& block = chunk.block;
    const std::int64_t plane = result_shape_[2] * result_shape_[3];
    // Between lanes, and between images.
    const std::int64_t lane_step = gradient_ ? result_shape_[1] * plane : plane;
    const std::int64_t image_step = gradient_ ? plane : result_shape_[1] * plane;
    const std::int64_t first_slot = gradient_ ? block.group * (images_ / groups_) : 0;
    float* lanes_at = results + (block.group * group_lanes_ + block.first) * lane_step;
    const std::int64_t pitch = block.vectors * width_;
    // Positions whose results are neighbours, those of several rows where they are.
    Transposition<float> neighbours{values, pitch, 0, block.count, nullptr, lane_step};
    const auto flush = [&] {
      if (neighbours.rows > 0) transpose(neighbours, tensor_scale_);
      neighbours.rows = 0;
    };
    const auto add = [&](std::int64_t p, std::int64_t length, float* target) {
      if (lane_step == 1) {
        for (std::int64_t lane = 0; lane < block.count; ++lane) target[lane] = values[p * pitch + lane] * tensor_scale_;
        return;
      }
      if (target != neighbours.target + neighbours.rows) {
        flush();
        neighbours.source = values + p * pitch;
        neighbours.target = target;
      }
      neighbours.rows += length;
    };
    for_each_row(phase, chunk,
                 [&](std::int64_t p, std::int64_t slot, std::int64_t row, std::int64_t column, std::int64_t length) {
                   const std::int64_t image = gradient_ ? slot - first_slot : slice.first_image + slot;
                   float* target = lanes_at + image * image_step +
                                   (phase.rows->first + row * phase.rows->step) * result_shape_[3] +
                                   phase.columns->first + column * phase.columns->step;
                   if (phase.columns->step == 1) return add(p, length, target);
                   for (std::int64_t i = 0; i < length; ++i) add(p + i, 1, target + i * phase.columns->step);
                 });
    flush();
  }

  Pass pass_;
  bool gradient_;
  const ScaledTensor& source_;
  const ScaledTensor& lane_;
  TileGrid source_grid_;
  TileGrid lane_grid_;
  GroupRounding rounding_;
  std::vector<Unit> source_units_of_;  // of tiles
  std::vector<Unit> lane_units_of_;
  std::vector<std::int64_t> source_tiles_;  // of a plane's elements
  std::vector<std::int64_t> lane_tiles_;
  float tensor_scale_;
  bool apart_;
  std::int64_t groups_;
  std::int64_t outer_;
  SourceLine rows_;
  SourceLine columns_;
  std::array<std::int64_t, 2> lane_size_;
  std::int64_t lane_taps_;
  Shape result_shape_;
  std::int64_t images_;  // of backward weight: input channels
  std::int64_t group_lanes_;
  std::int64_t width_;                    // lanes of a vector
  std::vector<Element> source_elements_;  // of every code
  std::vector<Element> lane_elements_;
  std::optional<ByteDecoder> source_bytes_;
  std::optional<ByteDecoder> lane_bytes_;
  std::vector<std::vector<Run>> all_runs_;
  std::vector<Phase> phases_;

  std::int64_t pixel_words_ = 0;
  std::int64_t image_units_ = 0;
  std::vector<std::int64_t> group_words_;  // of a pixel, before each group of the convolution
  std::vector<std::int64_t> group_units_;
  std::vector<LaneBlock> blocks_;
  std::int64_t all_lanes_ = 0;
  Buffer<Word> pixels_;  // [image][row][column][group][run][word]
  Buffer<float> source_units_;
  Buffer<Word> lanes_;  // [group][block][run][tap][word][lane]
  Buffer<float> lane_units_;
  Buffer<std::int32_t> corrections_;
};

}  // namespace

void sum_in_blocks(BlockElement element, const ConvolutionRequest& request, GroupRounding rounding, float* results) {
  switch (element) {
    case BlockElement::kBytes:
      return BlockConvolution<std::uint8_t>(request, rounding).run(results);
    case BlockElement::kShorts:
      return BlockConvolution<std::int16_t>(request, rounding).run(results);
    case BlockElement::kDoubles:
      return BlockConvolution<double>(request, rounding).run(results);
  }
}

}  // namespace mlsim::models
