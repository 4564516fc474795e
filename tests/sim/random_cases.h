// Random passes of random layers, by their shapes and formats alone.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <variant>
#include <vector>

#include "models/convolution/convolution.h"
#include "models/formats/format.h"
#include "tests/sim/random_arrays.h"
#include "tests/support/random_layers.h"
#include "tests/support/random_tensors.h"

namespace mlsim::sim {

inline std::uint64_t unsigned_of(std::int64_t value) {
  return static_cast<std::uint64_t>(value);
}

class RandomLayers {
 public:
  explicit RandomLayers(std::uint64_t seed) : generator_(seed) {}

  std::int64_t pick(std::int64_t low, std::int64_t high) { return tests::between(generator_, low, high); }

  models::ConvolutionShape shape() {
    models::ConvolutionShape shape;
    shape.batch = pick(1, 3) * pick(1, 3);
    // Many groups of few channels now and then, also depthwise.
    const bool narrow = pick(0, 2) == 0;
    shape.groups = narrow ? pick(2, 13) : pick(1, 3);
    shape.in_channels = shape.groups * pick(1, narrow ? pick(1, 3) : 7);
    shape.out_channels = shape.groups * pick(1, narrow ? pick(1, 3) : 7);
    for (const std::size_t axis : {0U, 1U}) {
      shape.in_size[axis] = pick(1, 11);
      shape.padding[axis] = pick(0, pick(0, 1) * 6);
      if (pick(0, 3) == 0) shape.padding[axis].end = pick(0, 6);
      const std::int64_t padded = shape.in_size[axis] + shape.padding[axis].begin + shape.padding[axis].end;
      shape.dilation[axis] = pick(0, 2) == 0 ? pick(1, 4) : 1;
      shape.kernel[axis] = pick(1, std::min<std::int64_t>((padded - 1) / shape.dilation[axis] + 1, 12));
      shape.stride[axis] = pick(1, 13);
    }
    return shape;
  }

  models::ConvolutionShape linear() {
    models::ConvolutionShape shape;
    shape.batch = pick(1, 40);
    shape.groups = pick(1, 3);
    shape.in_channels = shape.groups * pick(1, 40);
    shape.out_channels = shape.groups * pick(1, 40);
    return shape;
  }

  // Of any system, with tiles of any kind.
  models::ScaledFormat format() { return tests::random_block_format(generator_); }

  ArrayConfig array() { return random_array(generator_); }
  Residence residence(std::size_t formats) { return random_residence(generator_, formats); }
  // Every other one with elements of several multipliers.
  ArrayConfig any_array() { return pick(0, 1) == 0 ? array() : with_random_multipliers(generator_, array()); }
  ArrayConfig any_array_with_memory() {
    return pick(0, 1) == 0 ? array_with_memory() : with_random_multipliers(generator_, array_with_memory());
  }
  ArrayConfig array_with_memory() { return random_array_with_memory(generator_, 1); }

 private:
  std::mt19937_64 generator_;
};

// A pass with what it is predicted from.
struct Case {
  models::Pass pass;
  models::ConvolutionShape shape;
  models::Format left;
  models::Format right;
  std::vector<models::Format> results;
  Residence residence{};

  Exchange exchange() const {
    Exchange all(results);
    all.residence = residence;
    return all;
  }
};

inline std::uint64_t stored_scale_bits(const models::Format& format) {
  const auto* scaled = std::get_if<models::ScaledFormat>(&format);
  return scaled == nullptr ? 0 : unsigned_of(scaled->scale.stored_bits());
}

// Scales of the channels of each convolution group, counted tile by tile.
inline std::uint64_t scales_of_shares(const models::Format& format, const models::Shape& shape,
                                      std::int64_t conv_groups) {
  const auto* scaled = std::get_if<models::ScaledFormat>(&format);
  if (scaled == nullptr) return 0;
  const models::ScaleLayout& layout = scaled->layout;
  std::int64_t blocks = 0;
  const std::int64_t width = shape[1] / conv_groups;
  for (std::int64_t c = 0; c < shape[1]; ++c) {
    blocks += c % width == 0 || layout.tile_of(1, c) != layout.tile_of(1, c - 1) ? 1 : 0;
  }
  const auto grid = layout.grid(shape);
  return unsigned_of(grid[0] * blocks * grid[2] * grid[3]);
}

class RandomCases {
 public:
  explicit RandomCases(std::uint64_t seed) : random(seed) {}

  // Many phases and few results in each: strides as large as kernels and inputs, or larger.
  Case next(int i) {
    Case test{models::kPasses[i % 4 == 0   ? 0
                              : i % 4 == 1 ? 2
                                           : 1],
              random.pick(0, 7) == 0 ? random.linear() : random.shape(),
              formats_[static_cast<std::size_t>(random.pick(0, 2))],
              {},
              {}};
    test.right = test.left;
    test.results = {test.left};
    if (i % 2 == 0) {
      test.left = random.format().of(left_operand(test.pass), test.pass);
      test.right = random.format().of(right_operand(test.pass), test.pass);
      test.results = models::next_formats(random.format(), test.pass);
    }
    return test;
  }

  RandomLayers random;

 private:
  const std::vector<models::Format> formats_{models::parse_format("e2m4"), models::parse_format("e2m4/none"),
                                             models::BaselineFormat::kInt8};
};

inline std::string describe(int i, const Case& test, const ArrayConfig& config) {
  return "layer " + std::to_string(i) + ", " + to_string(test.pass) + " in " + to_string(test.left) + " times " +
         to_string(test.right) + ", " + tests::to_string(test.shape) + ", array " + std::to_string(config.rows) + "x" +
         std::to_string(config.columns) + " of " + std::to_string(config.taps_per_cycle) + " multipliers, groups " +
         (config.depthwise == DepthwiseMapping::kOff ? "one after the other, " : "side by side, ") +
         std::to_string(config.dram_bytes_per_cycle.thousandths) + " thousandths of a byte from DRAM, " +
         std::to_string(config.sram_read_bytes_per_cycle.thousandths) + " from SRAM and " +
         std::to_string(config.sram_write_bytes_per_cycle.thousandths) + " into it, latency " +
         std::to_string(config.dram_latency_cycles) + ", bursts of " + std::to_string(config.dram_burst_bytes);
}

}  // namespace mlsim::sim
