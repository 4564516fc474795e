// Random passes of random layers on random values.
#pragma once

#include <cmath>
#include <cstdint>
#include <random>
#include <string>

#include "models/convolution/convolution.h"
#include "models/quantizer/reference_quantizer.h"
#include "sim/systemc/job.h"

namespace mlsim::sim {

struct RandomPass {
  models::Pass pass;
  models::ConvolutionShape shape;
  models::ScaledTensor left;
  models::ScaledTensor right;
  models::Accumulator accumulator;
  ResultQuantization quantization;

  std::string describe() const {
    const auto pair = [](const std::array<std::int64_t, 2>& p) {
      return std::to_string(p[0]) + "x" + std::to_string(p[1]);
    };
    return to_string(pass) + " batch " + std::to_string(shape.batch) + " channels " +
           std::to_string(shape.in_channels) + "->" + std::to_string(shape.out_channels) + " in " +
           pair(shape.in_size) + " kernel " + pair(shape.kernel) + " stride " + pair(shape.stride) + " padding " +
           pair(shape.padding) + " groups " + std::to_string(shape.groups) + " " + to_string(left.format) + " " +
           to_string(right.format) + " accumulator " + std::to_string(accumulator.bits);
  }
};

class RandomPasses {
 public:
  explicit RandomPasses(std::uint64_t seed) : generator_(seed) {}

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
    random.quantization = {format(), {}, "result"};
    random.quantization.options.rounding = pick(0, 1) == 0 ? models::Rounding::kNearest : models::Rounding::kStochastic;
    random.quantization.options.random_bits = pick(1, 24);
    random.quantization.options.seed = generator_();
    random.quantization.options.stream = generator_();
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

  models::ConvolutionShape shape() {
    models::ConvolutionShape s;
    do {
      s.batch = pick(1, 3);
      s.groups = pick(0, 2) == 0 ? pick(2, 5) : 1;
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
    } while (s.kernel[0] > s.in_size[0] + 2 * s.padding[0] || s.kernel[1] > s.in_size[1] + 2 * s.padding[1] ||
             s.multiply_adds(models::Pass::kForward) > 30000);
    return s;
  }

  std::mt19937_64 generator_;
};

}  // namespace mlsim::sim
