#include "models/convolution/cpu/product_convolution.h"

#include <algorithm>
#include <array>
#include <vector>

#include "base/integers.h"
#include "models/convolution/cpu/product_kernels.h"
#include "models/convolution/cpu/refusals.h"
#include "models/convolution/cpu/scale_kernels.h"
#include "models/convolution/cpu/scratch.h"

namespace mlsim::models {
namespace {

constexpr std::array<std::int64_t, 2> kOne{1, 1};

// Bytes of columns that are prepared at a time, at least one tile of them; and of rows that meet all of those before
// the next ones.
constexpr std::int64_t kColumnBytes = 512 << 10;
constexpr std::int64_t kRowBytes = 256 << 10;
// A multiple of the rows of every block of the kernels, and of the lanes of a vector.
constexpr std::int64_t kRowUnit = 48;

// Numbers of index pairs that have one element each, from one on. Whole vectors are written.
void decode_pairs(const ScaledTensor& tensor, const CodeNumbers& numbers, std::int64_t begin, std::int64_t count,
                  float* values) {
  with_pair_scales(tensor, begin, count, [&](std::span<const TileScale> scales, std::int64_t first) {
    scale_codes(numbers, {tensor.codes.data() + first, scales.data(), tensor.format.element.unit_exponent(),
                          static_cast<std::int64_t>(scales.size()), values + (first - begin)});
  });
}

// Some columns of a matrix of index pairs.
struct Part {
  std::int64_t first;
  std::int64_t count;
  std::int64_t columns;  // of the matrix
  std::int64_t rows;
};

// Row d goes to values[d · pitch].
void decode_part(const ScaledTensor& tensor, const CodeNumbers& numbers, const Part& part, float* values,
                 std::int64_t pitch) {
  // The processor does not foresee rows that are far from each other.
  constexpr std::int64_t kAhead = 8;
  constexpr std::int64_t kLine = 64;
  const auto prefetch = [&](const auto* first) {
    const auto* line = reinterpret_cast<const char*>(first);
    const auto* end = reinterpret_cast<const char*>(first + part.count);
    for (; line < end; line += kLine) __builtin_prefetch(line);
  };
  const bool each = tensor.format.layout.one_a_plane();
  for (std::int64_t d = 0; d < part.rows; ++d) {
    if (d + kAhead < part.rows) {
      const std::int64_t pair = (d + kAhead) * part.columns + part.first;
      prefetch(tensor.codes.data() + pair);
      if (each) prefetch(tensor.scales.data() + pair);
    }
    decode_pairs(tensor, numbers, d * part.columns + part.first, part.count, values + d * pitch);
  }
}

// The factor of a product whose numbers meet vectors of the other one: its rows, decoded some at a time.
class Rows {
 public:
  // `transposed`: the tensor has the depth as its first index, else the rows.
  Rows(const ScaledTensor& tensor, std::int64_t rows, std::int64_t depth, bool transposed)
      : tensor_(tensor), numbers_(tensor.format.element), rows_(rows), depth_(depth), transposed_(transposed) {
    const auto lanes = static_cast<std::int64_t>(product_lanes());
    const std::int64_t fitting = kRowBytes / (depth * static_cast<std::int64_t>(sizeof(float)));
    const std::int64_t fewest = transposed ? kLineRows : kRowUnit;
    const std::int64_t some = std::clamp(fitting / kRowUnit * kRowUnit, fewest, kMostUnits * kRowUnit);
    slice_ = std::min(some, base::ceiling(rows, lanes) * lanes);
    lanes_ = lanes;
  }

  std::int64_t slice_rows() const { return slice_; }
  std::int64_t slices() const { return base::ceiling(rows_, slice_); }
  std::int64_t row_count(std::int64_t slice) const { return std::min(slice_, rows_ - slice * slice_); }
  std::int64_t row_step() const { return transposed_ ? 1 : depth_; }
  std::int64_t depth_step() const { return transposed_ ? slice_ : 1; }
  // Numbers of a slice, and of what is written behind it.
  std::int64_t size() const { return slice_ * depth_ + lanes_; }

  void decode(std::int64_t slice, float* values) const {
    const std::int64_t first = slice * slice_;
    if (!transposed_) {
      decode_pairs(tensor_, numbers_, first * depth_, row_count(slice) * depth_, values);
      return;
    }
    decode_part(tensor_, numbers_, {first, row_count(slice), rows_, depth_}, values, slice_);
  }

 private:
  static constexpr std::int64_t kMostUnits = 4;
  static constexpr std::int64_t kLineRows = 64;  // whose codes fill whole lines of a cache

  const ScaledTensor& tensor_;
  CodeNumbers numbers_;
  std::int64_t rows_;
  std::int64_t depth_;
  bool transposed_;
  std::int64_t lanes_;
  std::int64_t slice_;  // rows
};

// Whether the results of a pass lie as their matrix does: those of linear layers, but for forward passes, whose weights
// are better taken as rows.
bool is_flat(Pass pass, const ConvolutionShape& shape) {
  return pass == Pass::kBackwardWeight || (pass == Pass::kBackwardData && shape.in_size == kOne);
}

// Where the columns of a product come from, and its results go. Columns are the positions of all images, one image
// behind the other; where the product is flat, the input channels.
class Product {
 public:
  explicit Product(const ConvolutionRequest& request)
      : pass_(request.pass),
        shape_(request.shape),
        flat_(is_flat(pass_, shape_)),
        source_(flat_ ? request.right : request.left),
        numbers_(source_.format.element),
        tensor_scale_(request.tensor_scale),
        depth_(shape_.outer_count(pass_)),
        result_rows_(pass_ != Pass::kBackwardData ? shape_.out_channels
                     : flat_                      ? shape_.batch
                                                  : shape_.in_channels),
        rows_(flat_ ? request.left : request.right, result_rows_, depth_,
              pass_ == Pass::kBackwardWeight || (pass_ == Pass::kBackwardData && !flat_)),
        positions_(shape_.out_size()[0] * shape_.out_size()[1]),
        columns_(flat_ ? shape_.in_channels : shape_.batch * positions_),
        strided_(shape_.stride != kOne && !flat_),
        source_plane_(source_.inner_size()),
        result_plane_(pass_ == Pass::kBackwardData ? shape_.in_size[0] * shape_.in_size[1] : positions_),
        lanes_(static_cast<std::int64_t>(product_lanes())) {
    vectors_ = base::ceiling(columns_, lanes_);
    tiles_ = base::ceiling(vectors_, product_vectors());
    pitch_ = base::ceiling(vectors_, tiles_) * lanes_;
  }

  void run(float* results) {
    if (!flat_) units_ = pair_units(source_, 0, shape_.batch * depth_);
    // A tile is written up to a vector beyond its end.
    const std::int64_t tile_numbers = depth_ * pitch_ + lanes_;
    const std::int64_t at_once =
        std::clamp<std::int64_t>(kColumnBytes / (tile_numbers * static_cast<std::int64_t>(sizeof(float))), 1, tiles_);
    const bool once = at_once == tiles_;
    // Rows that meet all columns at once are decoded where they are taken, else before.
    const std::int64_t cost = rows_.slice_rows() * depth_;
    const auto decoded = make_scratch<float>(once ? 0 : rows_.slices() * rows_.size());
    if (!once) {
      parallel_tasks(rows_.slices(), cost,
                     [&](std::int64_t slice) { rows_.decode(slice, decoded.get() + slice * rows_.size()); });
    }
    const auto columns = make_scratch<float>(at_once * tile_numbers);
    for (std::int64_t first = 0; first < tiles_; first += at_once) {
      const std::int64_t tiles = std::min(at_once, tiles_ - first);
      parallel_tasks(tiles, tile_numbers,
                     [&](std::int64_t tile) { fill_tile(first + tile, columns.get() + tile * tile_numbers); });
      const auto multiply_slice = [&](std::int64_t slice, const float* values) {
        for (std::int64_t tile = 0; tile < tiles; ++tile) {
          multiply_tile(slice, values, first + tile, columns.get() + tile * tile_numbers, results);
        }
      };
      if (once) {
        parallel_tasks(rows_.slices(), cost * tiles * product_vectors(), [&](std::int64_t slice) {
          const auto values = make_scratch<float>(rows_.size());
          rows_.decode(slice, values.get());
          multiply_slice(slice, values.get());
        });
      } else {
        // Slices of rows meet all of the columns before the next one does.
        parallel_tasks(rows_.slices() * tiles, cost * product_vectors(), [&](std::int64_t task) {
          const std::int64_t slice = task / tiles;
          const std::int64_t tile = task % tiles;
          multiply_tile(slice, decoded.get() + slice * rows_.size(), first + tile, columns.get() + tile * tile_numbers,
                        results);
        });
      }
    }
  }

 private:
  // Neighbouring columns of one image.
  struct Segment {
    std::int64_t image;
    std::int64_t position;
    std::int64_t count;
  };

  // Tiles are about as wide as each other.
  std::int64_t first_column(std::int64_t tile) const { return std::min(tile * vectors_ / tiles_ * lanes_, columns_); }

  std::vector<Segment> segments_of(std::int64_t tile) const {
    std::vector<Segment> segments;
    const std::int64_t end = first_column(tile + 1);
    for (std::int64_t column = first_column(tile); column < end;) {
      const std::int64_t position = column % positions_;
      const std::int64_t count = std::min(positions_ - position, end - column);
      segments.push_back({column / positions_, position, count});
      column += count;
    }
    return segments;
  }

  // Where positions of the outputs lie in a plane of the inputs.
  std::vector<std::int64_t> input_places(const Segment& segment) const {
    const std::int64_t width = shape_.out_size()[1];
    std::vector<std::int64_t> places;
    places.reserve(static_cast<std::size_t>(segment.count));
    for (std::int64_t p = segment.position; p < segment.position + segment.count; ++p) {
      places.push_back(p / width * shape_.stride[0] * shape_.in_size[1] + p % width * shape_.stride[1]);
    }
    return places;
  }

  void fill_tile(std::int64_t tile, float* values) const {
    if (flat_) {
      const std::int64_t first = first_column(tile);
      const Part part{first, first_column(tile + 1) - first, columns_, depth_};
      decode_part(source_, numbers_, part, values, pitch_);
      return;
    }
    const std::vector<Segment> segments = segments_of(tile);
    std::vector<CodeRun> runs;
    CodePanel panel{{}, source_plane_, depth_, values, pitch_};
    std::vector<std::uint16_t> gathered;
    if (strided_ && pass_ == Pass::kForward) {
      panel.plane = pitch_;
      gathered.resize(static_cast<std::size_t>(depth_ * pitch_));
    }
    std::int64_t done = 0;
    for (const Segment& segment : segments) {
      const std::uint16_t* codes = source_.codes.data() + segment.image * depth_ * source_plane_;
      if (gathered.empty()) {
        codes += segment.position;
      } else {
        gather(segment, codes, gathered.data() + done);
        codes = gathered.data() + done;
      }
      runs.push_back({codes, units_.get() + segment.image * depth_, segment.count});
      done += segment.count;
    }
    panel.runs = runs;
    fill_panel(numbers_, panel);
  }

  // Codes of every plane of an image at the places that strides leave.
  void gather(const Segment& segment, const std::uint16_t* codes, std::uint16_t* target) const {
    const std::vector<std::int64_t> places = input_places(segment);
    for (std::int64_t d = 0; d < depth_; ++d, codes += source_plane_, target += pitch_) {
      for (std::size_t i = 0; i < places.size(); ++i) target[i] = codes[places[i]];
    }
  }

  void multiply_tile(std::int64_t slice, const float* rows, std::int64_t tile, const float* columns,
                     float* results) const {
    const std::int64_t column = first_column(tile);
    const std::int64_t row = slice * rows_.slice_rows();
    const std::int64_t count = rows_.row_count(slice);
    const ProductTile product{.columns = columns,
                              .column_pitch = pitch_,
                              .rows = rows,
                              .row_step = rows_.row_step(),
                              .depth_step = rows_.depth_step(),
                              .depth = depth_,
                              .row_count = count,
                              .column_count = first_column(tile + 1) - column,
                              .factor = tensor_scale_};
    if (flat_) return multiply(product, results + row * columns_ + column, columns_);
    const std::vector<Segment> segments = segments_of(tile);
    if (segments.size() > 1 || (strided_ && pass_ == Pass::kBackwardData)) {
      std::vector<float> y(static_cast<std::size_t>(count * pitch_));
      multiply(product, y.data(), pitch_);
      spread(segments, row, count, y.data(), results);
    } else {
      const Segment& segment = segments.front();
      multiply(product, results + (segment.image * result_rows_ + row) * result_plane_ + segment.position,
               result_plane_);
    }
  }

  // Takes a tile's results to their places.
  void spread(const std::vector<Segment>& segments, std::int64_t row, std::int64_t count, const float* y,
              float* results) const {
    for (const Segment& segment : segments) {
      float* target = results + (segment.image * result_rows_ + row) * result_plane_;
      if (strided_ && pass_ == Pass::kBackwardData) {
        scatter(segment, count, y, target);
      } else {
        for (std::int64_t r = 0; r < count; ++r) {
          std::copy_n(y + r * pitch_, segment.count, target + r * result_plane_ + segment.position);
        }
      }
      y += segment.count;
    }
  }

  // To the places that strides leave.
  void scatter(const Segment& segment, std::int64_t count, const float* y, float* target) const {
    const std::vector<std::int64_t> places = input_places(segment);
    for (std::int64_t r = 0; r < count; ++r, y += pitch_, target += result_plane_) {
      for (std::size_t i = 0; i < places.size(); ++i) target[places[i]] = y[i];
    }
  }

  Pass pass_;
  const ConvolutionShape& shape_;
  bool flat_;
  const ScaledTensor& source_;  // its elements are the columns
  CodeNumbers numbers_;
  float tensor_scale_;
  std::int64_t depth_;
  std::int64_t result_rows_;
  Rows rows_;
  std::int64_t positions_;  // of an image
  std::int64_t columns_;
  bool strided_;
  std::int64_t source_plane_;
  std::int64_t result_plane_;
  std::int64_t lanes_;
  std::int64_t vectors_;  // of all columns
  std::int64_t tiles_;
  std::int64_t pitch_;    // numbers of a tile for an index of the depth
  Scratch<float> units_;  // of the source's index pairs
};

}  // namespace

Refusal refuse_products(const ConvolutionRequest& request) {
  const ConvolutionShape& shape = request.shape;
  if (shape.kernel != kOne || shape.padding != std::array<Padding, 2>{})
    return "a result takes several taps of a plane";
  if (shape.groups != 1) return "the channels are in groups";
  if (request.pass == Pass::kBackwardWeight && (shape.in_size != kOne || shape.stride != kOne)) {
    return "a result takes several taps of a plane";
  }
  if (Refusal refusal = refuse_split_planes(request)) return refusal;
  if (!request.reduction.by_outer_index()) return "a group has several outer indices";
  if (!request.exact_float) return "a product may be no binary32 number";
  return std::nullopt;
}

std::uint64_t sum_products(const ConvolutionRequest& request, float* results) {
  Product(request).run(results);
  return 0;
}

}  // namespace mlsim::models
