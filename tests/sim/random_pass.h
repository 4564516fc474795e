// Random passes of random layers on random values.
#pragma once

#include <cmath>
#include <cstdint>
#include <random>
#include <string>

#include "models/convolution/convolution.h"
#include "models/quantizer/reference_quantizer.h"
#include "sim/systemc/job.h"
#include "tests/sim/random_arrays.h"
#include "tests/support/random_layers.h"
#include "tests/support/random_tensors.h"

namespace mlsim::sim {

struct RandomPass {
  models::Pass pass;
  models::ConvolutionShape shape;
  models::ScaledTensor left;
  models::ScaledTensor right;
  models::Accumulator accumulator;
  ResultQuantization quantization;

  std::string describe() const {
    std::string text = to_string(pass) + " of " + tests::to_string(shape) + " in " + to_string(left.format) +
                       " times " + to_string(right.format) + " (" + models::to_string(left.format.layout) + ", " +
                       models::to_string(right.format.layout) + "), accumulator " + std::to_string(accumulator.bits);
    for (const models::ScaledFormat& format : quantization.formats) text += " to " + to_string(format);
    if (quantization.residence.rows) text += ", rows are there";
    if (quantization.residence.columns) text += ", columns are there";
    for (const CodePath& path : quantization.residence.codes) {
      text += std::string(path.to_dram ? ", codes to DRAM" : ", codes") + (path.stay ? " stay" : "");
    }
    return text;
  }
};

class RandomPasses {
 public:
  // `grouped`: of layers that have more than one convolution group.
  explicit RandomPasses(std::uint64_t seed, bool grouped = false) : generator_(seed), grouped_(grouped) {}

  RandomPass next() {
    RandomPass random;
    random.shape = shape();
    random.pass = models::kPasses[static_cast<std::size_t>(pick(0, 2))];
    random.left = tensor(random.shape.shape_of(left_operand(random.pass)));
    random.right = tensor(random.shape.shape_of(right_operand(random.pass)));
    if (pick(0, 3) == 0) {
      random.accumulator.bits = pick(2, 16);
      random.accumulator.overflow = pick(0, 1) == 0 ? models::Overflow::kSaturate : models::Overflow::kWrap;
    } else if (pick(0, 7) == 0) {
      random.accumulator.bits = 64;
    }
    random.quantization.formats = {format()};
    random.quantization.options = quantizer_options();
    random.quantization.residence = random_residence(generator_, 1);
    return random;
  }

  // With formats of any system, tiles of any kind, dilation, paddings of one side, linear layers and values of any
  // size.
  RandomPass next_of_blocks() {
    RandomPass random;
    random.pass = models::kPasses[static_cast<std::size_t>(pick(0, 2))];
    do {
      random.shape = block_shape();
      random.left = block_tensor(random, left_operand(random.pass));
      random.right = block_tensor(random, right_operand(random.pass));
      random.accumulator = {};
      if (pick(0, 3) == 0) {
        random.accumulator.bits = pick(2, 24);
        random.accumulator.overflow = pick(0, 1) == 0 ? models::Overflow::kSaturate : models::Overflow::kWrap;
      }
    } while (!std::isfinite(random.left.tensor_scale * random.right.tensor_scale) || too_wide(random));
    random.quantization.formats.clear();
    for (const models::Format& format : models::next_formats(block_format(), random.pass)) {
      random.quantization.formats.push_back(std::get<models::ScaledFormat>(format));
    }
    random.quantization.options = quantizer_options();
    random.quantization.residence = random_residence(generator_, random.quantization.formats.size());
    return random;
  }

  int pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(generator_); }

  models::ScaledFormat format() {
    models::ScaledFormat format;
    do {
      format.element.exponent_bits = pick(0, 9) < 4 ? 2 : pick(0, 4);
      format.element.mantissa_bits = pick(0, format.element.exponent_bits == 4 ? 4 : 10);
    } while (format.element.exponent_bits + format.element.mantissa_bits == 0);
    if (pick(0, 1) == 0) format.scale = {pick(0, 8), pick(0, 3)};
    format.layout = models::grouping::kAll[static_cast<std::size_t>(pick(0, 3))];
    return format;
  }

  models::Tensor<float> values(const models::Shape& shape) {
    models::Tensor<float> input{shape, {}};
    const int kind = pick(0, 11);  // 0: zeros; 1: subnormal; 2: widely spread; else normal
    std::normal_distribution<float> normal;
    for (std::int64_t i = 0; i < models::element_count(shape); ++i) {
      float value = kind == 0 || pick(0, 4) == 0 ? 0 : normal(generator_);
      if (kind == 1) value = std::ldexp(value, -140);
      if (kind == 2) value = std::ldexp(value, pick(-60, 0));
      input.values.push_back(value);
    }
    return input;
  }

  models::Tensor<float> normal_values(const models::Shape& shape) {
    models::Tensor<float> input{shape, {}};
    std::normal_distribution<float> normal;
    for (std::int64_t i = 0; i < models::element_count(shape); ++i) input.values.push_back(normal(generator_));
    return input;
  }

 private:
  models::ScaledTensor tensor(const models::Shape& shape) {
    return models::reference_quantize(values(shape), format(), {}, "operand").tensor;
  }

  models::QuantizerOptions quantizer_options() {
    models::QuantizerOptions options;
    options.rounding = pick(0, 1) == 0 ? models::Rounding::kNearest : models::Rounding::kStochastic;
    options.random_bits = pick(1, 24);
    options.seed = generator_();
    options.stream = generator_();
    return options;
  }

  models::ScaledTensor block_tensor(const RandomPass& random, models::Operand operand) {
    const models::ScaledFormat format = block_format().of(operand, random.pass);
    const models::Shape shape = random.shape.shape_of(operand);
    return models::reference_quantize(pick(0, 1) == 0 ? values(shape) : tests::random_tensor(generator_, shape), format,
                                      {}, "operand")
        .tensor;
  }

  // One in four is NVFP4, whose scales may be zero.
  models::ScaledFormat block_format() {
    models::ScaledFormat format = tests::random_block_format(generator_);
    if (pick(0, 3) > 0) return format;
    models::ScaledFormat nvfp4 = models::parse_scaled_format("nvfp4");
    nvfp4.layout = format.layout;
    nvfp4.blocks = format.blocks;
    nvfp4.block = format.block;
    return nvfp4;
  }

  // More than the machine's registers hold.
  static bool too_wide(const RandomPass& random) {
    const models::ElementFormat& left = random.left.format.element;
    const models::ElementFormat& right = random.right.format.element;
    const models::Reduction reduction(random.pass, random.shape, random.left.format.layout, random.right.format.layout);
    return left.integer_bits() + right.integer_bits() + 1 > 64 ||
           (random.accumulator.bits == 0 && full_accumulator_bits(left, right, reduction.taps()) > 64);
  }

  models::ConvolutionShape block_shape() {
    models::ConvolutionShape s;
    if (pick(0, 7) == 0) {
      s.groups = pick(grouped_ ? 2 : 1, grouped_ ? 9 : 3);
      s.batch = pick(1, 12);
      s.in_channels = s.groups * pick(1, 12);
      s.out_channels = s.groups * pick(1, 12);
      return s;
    }
    do {
      s = tests::random_layer(generator_);
    } while (s.multiply_adds(models::Pass::kForward) > 15000 || (grouped_ && s.groups == 1));
    return s;
  }

  models::ConvolutionShape shape() {
    models::ConvolutionShape s;
    do {
      s.batch = pick(1, 3);
      s.groups = grouped_ ? pick(2, 9) : pick(0, 2) == 0 ? pick(2, 5) : 1;
      const bool depthwise = s.groups > 1 && pick(0, 1) == 0;
      s.in_channels = s.groups * (depthwise ? 1 : pick(1, s.groups > 1 ? 3 : 20));
      s.out_channels = s.groups * (depthwise ? 1 : pick(1, s.groups > 1 ? 4 : 20));
      for (const std::size_t axis : {0U, 1U}) {
        constexpr std::array<int, 6> kKernels{1, 3, 3, 5, 7, 2};
        s.in_size[axis] = pick(1, 9);
        s.kernel[axis] = kKernels[static_cast<std::size_t>(pick(0, 5))];
        s.stride[axis] = pick(1, 3);
        s.padding[axis] = pick(0, 3);
      }
      if (pick(0, 1) == 0) {
        s.kernel[1] = s.kernel[0];
        s.stride[1] = s.stride[0];
        s.padding[1] = s.padding[0];
      }
    } while (s.kernel[0] > s.in_size[0] + 2 * s.padding[0].begin ||
             s.kernel[1] > s.in_size[1] + 2 * s.padding[1].begin || s.multiply_adds(models::Pass::kForward) > 30000);
    return s;
  }

  std::mt19937_64 generator_;
  bool grouped_;
};

}  // namespace mlsim::sim
