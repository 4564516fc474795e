// The worked examples of the numeric contract, tests/vectors/*.json, made by an independent implementation.
#include <gtest/gtest.h>

#include <bit>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "models/convolution/cpu/functional_convolution.h"
#include "models/convolution/reference/reference_convolution.h"
#include "models/quantizer/quantizer.h"
#include "models/quantizer/reference_quantizer.h"

namespace mlsim::models {
namespace {

using nlohmann::json;

json read_vectors(const std::string& name) {
  return json::parse(std::ifstream(MLSIM_SOURCE_DIR "/tests/vectors/" + name));
}

float float_of(const json& hex) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(std::stoul(hex.get<std::string>(), nullptr, 16)));
}

Tensor<float> tensor_of(const json& hex, const Shape& shape) {
  Tensor<float> tensor{shape, {}};
  for (const json& value : hex) tensor.values.push_back(float_of(value));
  EXPECT_EQ(tensor.size(), element_count(shape));
  return tensor;
}

std::vector<std::uint32_t> bits_of(const std::vector<float>& values) {
  std::vector<std::uint32_t> bits;
  bits.reserve(values.size());
  for (const float value : values) bits.push_back(std::bit_cast<std::uint32_t>(value));
  return bits;
}

using Quantize =
    std::function<QuantizedTensor(const Tensor<float>&, const MlsFormat&, const QuantizerOptions&, const std::string&)>;
using Convolve = std::function<ConvolutionResult(Pass, const ConvolutionShape&, const MlsTensor&, const MlsTensor&,
                                                 const Accumulator&)>;

void check_quantizer(const Quantize& quantizer) {
  const json vectors = read_vectors("quantize.json");
  ASSERT_FALSE(vectors.empty());
  for (std::size_t i = 0; i < vectors.size(); ++i) {
    const json& vector = vectors[i];
    SCOPED_TRACE("vector " + std::to_string(i) + ", " + vector["format"].get<std::string>());
    const Tensor<float> input = tensor_of(vector["input_hex"], vector["shape"].get<Shape>());
    const QuantizerOptions options{.rounding = parse_rounding(vector["rounding"]),
                                   .random_bits = vector["random_bits"],
                                   .seed = vector["seed"],
                                   .stream = vector["stream"]};
    const MlsTensor tensor =
        quantizer(input, parse_mls_format(vector["format"].get<std::string>()), options, "x").tensor;
    EXPECT_EQ(bits_of({tensor.tensor_scale}), bits_of({float_of(vector["tensor_scale_hex"])}));
    EXPECT_EQ(tensor.group_exponent, vector["group_exponent"].get<std::vector<std::uint8_t>>());
    EXPECT_EQ(tensor.group_fraction, vector["group_fraction"].get<std::vector<std::uint8_t>>());
    EXPECT_EQ(tensor.codes, vector["codes"].get<std::vector<std::uint16_t>>());
    EXPECT_EQ(decode_integers(tensor), vector["integers"].get<std::vector<std::int32_t>>());
  }
}

ConvolutionShape shape_of(const json& vector) {
  ConvolutionShape shape;
  shape.batch = vector["batch"];
  shape.in_channels = vector["in_channels"];
  shape.out_channels = vector["out_channels"];
  shape.in_size = vector["in_size"];
  shape.kernel = vector["kernel"];
  shape.stride = vector["stride"];
  shape.padding = vector["padding"];
  shape.groups = vector["groups"];
  return shape;
}

void check_convolution(const Quantize& quantizer, const Convolve& convolve) {
  const json vectors = read_vectors("convolution.json");
  ASSERT_FALSE(vectors.empty());
  for (std::size_t i = 0; i < vectors.size(); ++i) {
    const json& vector = vectors[i];
    const ConvolutionShape shape = shape_of(vector);
    const auto operand = [&](Operand which) {
      const std::string name = to_string(which);
      const QuantizerOptions options{.rounding = parse_rounding(vector["rounding"][name]),
                                     .random_bits = vector["random_bits"],
                                     .seed = vector["seed"],
                                     .stream = (vector["step"].get<std::uint64_t>() << 32) +
                                               3 * vector["layer_index"].get<std::uint64_t>() +
                                               static_cast<std::uint64_t>(which)};
      return quantizer(tensor_of(vector[name + "_hex"], shape.shape_of(which)),
                       parse_mls_format(vector["format"][name].get<std::string>()), options, name)
          .tensor;
    };
    Accumulator accumulator;
    if (!vector["accumulator_bits"].is_null()) accumulator.bits = vector["accumulator_bits"];
    accumulator.overflow = vector["overflow"] == "wrap" ? Overflow::kWrap : Overflow::kSaturate;
    for (const Pass pass : kPasses) {
      const std::string name = to_string(pass);
      SCOPED_TRACE("vector " + std::to_string(i) + ", " + name);
      const ConvolutionResult result =
          convolve(pass, shape, operand(left_operand(pass)), operand(right_operand(pass)), accumulator);
      const Tensor<float> expected = tensor_of(vector[name + "_hex"], shape.result_shape(pass));
      EXPECT_EQ(result.values.shape, expected.shape);
      EXPECT_EQ(bits_of(result.values.values), bits_of(expected.values));
      EXPECT_EQ(result.counts.overflows, vector["overflows"][name].get<std::uint64_t>());
    }
  }
}

const Quantize kFastQuantizer = [](const auto& input, const auto& format, const auto& options, const auto& name) {
  return quantize(input, format, options, name);
};

TEST(Vectors, ReferenceQuantizer) {
  check_quantizer(reference_quantize);
}

TEST(Vectors, FastQuantizer) {
  check_quantizer(kFastQuantizer);
}

TEST(Vectors, ReferenceConvolution) {
  check_convolution(reference_quantize, reference_convolution);
}

TEST(Vectors, FunctionalConvolution) {
  check_convolution(kFastQuantizer, functional_convolution);
}

}  // namespace
}  // namespace mlsim::models
