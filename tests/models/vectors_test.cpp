// The worked examples of the numeric contract, tests/vectors/*.json, made by an independent implementation.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
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

std::vector<std::uint32_t> all_bits_of(const std::vector<float>& values) {
  std::vector<std::uint32_t> bits;
  bits.reserve(values.size());
  // A NaN is a NaN, whatever its bits.
  for (const float value : values) {
    bits.push_back(std::isnan(value) ? 0x7FC00000U : std::bit_cast<std::uint32_t>(value));
  }
  return bits;
}

using Quantize = std::function<QuantizedTensor(const Tensor<float>&, const ScaledFormat&, const QuantizerOptions&,
                                               const std::string&)>;
using Convolve = std::function<ConvolutionResult(Pass, const ConvolutionShape&, const ScaledTensor&,
                                                 const ScaledTensor&, const Accumulator&)>;

// The scales of tiles as a vector has them, each for `pairs` index pairs of dimensions 0 and 1 where the file is of
// part 1.
std::vector<StoredScale> stored_scales(const json& vector, const ScaleFormat& format) {
  std::vector<StoredScale> scales;
  if (format.kind != ScaleKind::kMls) {
    for (const std::uint8_t byte : vector["scale"].get<std::vector<std::uint8_t>>()) scales.push_back({byte, 0});
    return scales;
  }
  const auto exponents = vector["group_exponent"].get<std::vector<std::uint8_t>>();
  const auto fractions = vector["group_fraction"].get<std::vector<std::uint8_t>>();
  for (std::size_t i = 0; i < exponents.size(); ++i) scales.push_back({exponents[i], fractions[i]});
  return scales;
}

std::vector<StoredScale> stored_scales(const ScaledTensor& tensor, bool of_pairs) {
  std::vector<StoredScale> scales;
  if (of_pairs) {
    for (std::int64_t pair = 0; pair < tensor.shape[0] * tensor.shape[1]; ++pair) {
      scales.push_back(store_scale(tensor.format.scale, scale_of_pair(tensor, pair)));
    }
  } else {
    for (const TileScale scale : tensor.scales) scales.push_back(store_scale(tensor.format.scale, scale));
  }
  return scales;
}

void check_quantizer(const Quantize& quantizer, const std::string& file) {
  const json vectors = read_vectors(file);
  ASSERT_FALSE(vectors.empty());
  for (std::size_t i = 0; i < vectors.size(); ++i) {
    const json& vector = vectors[i];
    SCOPED_TRACE("vector " + std::to_string(i) + ", " + vector["format"].get<std::string>());
    const Tensor<float> input = tensor_of(vector["input_hex"], vector["shape"].get<Shape>());
    const QuantizerOptions options{.rounding = parse_rounding(vector["rounding"]),
                                   .random_bits = vector["random_bits"],
                                   .seed = vector["seed"],
                                   .stream = vector["stream"]};
    const ScaledTensor tensor =
        quantizer(input, parse_scaled_format(vector["format"].get<std::string>()), options, "x").tensor;
    EXPECT_EQ(all_bits_of({tensor.tensor_scale}), all_bits_of({float_of(vector["tensor_scale_hex"])}));
    EXPECT_EQ(stored_scales(tensor, !vector.contains("grid")), stored_scales(vector, tensor.format.scale));
    if (vector.contains("grid")) {
      EXPECT_EQ(json(tensor.grid().extents()), vector["grid"]);
    }
    for (const TileScale scale : tensor.scales) {
      EXPECT_EQ(read_scale(tensor.format.scale, store_scale(tensor.format.scale, scale)), scale);
    }
    EXPECT_EQ(tensor.codes, vector["codes"].get<std::vector<std::uint16_t>>());
    EXPECT_EQ(decode_integers(tensor), vector["integers"].get<std::vector<std::int64_t>>());
  }
}

Padding padding_of(const json& side) {
  if (side.is_array()) return {side[0].get<std::int64_t>(), side[1].get<std::int64_t>()};
  return {side.get<std::int64_t>()};
}

ConvolutionShape shape_of(const json& vector) {
  ConvolutionShape shape;
  shape.batch = vector["batch"];
  shape.in_channels = vector["in_channels"];
  shape.out_channels = vector["out_channels"];
  shape.groups = vector.value("groups", shape.groups);
  if (vector.value("type", "conv2d") == "linear") return shape;
  shape.dilation = vector.value("dilation", shape.dilation);
  shape.in_size = vector["in_size"];
  shape.kernel = vector["kernel"];
  shape.stride = vector["stride"];
  shape.padding = {padding_of(vector["padding"][0]), padding_of(vector["padding"][1])};
  return shape;
}

void check_convolution(const Quantize& quantizer, const Convolve& convolve, const std::string& file) {
  const json vectors = read_vectors(file);
  ASSERT_FALSE(vectors.empty());
  for (std::size_t i = 0; i < vectors.size(); ++i) {
    const json& vector = vectors[i];
    const ConvolutionShape shape = shape_of(vector);
    const auto operand = [&](Operand which, Pass pass) {
      const std::string name = to_string(which);
      const QuantizerOptions options{.rounding = parse_rounding(vector["rounding"][name]),
                                     .random_bits = vector["random_bits"],
                                     .seed = vector["seed"],
                                     .stream = (vector["step"].get<std::uint64_t>() << 32) +
                                               3 * vector["layer_index"].get<std::uint64_t>() +
                                               static_cast<std::uint64_t>(which)};
      return quantizer(tensor_of(vector[name + "_hex"], shape.shape_of(which)),
                       parse_scaled_format(vector["format"][name].get<std::string>()).of(which, pass), options, name)
          .tensor;
    };
    Accumulator accumulator;
    if (!vector["accumulator_bits"].is_null()) accumulator.bits = vector["accumulator_bits"];
    accumulator.taps_per_cycle = vector.value("taps_per_cycle", 1);
    accumulator.overflow = vector["overflow"] == "wrap" ? Overflow::kWrap : Overflow::kSaturate;
    for (const Pass pass : kPasses) {
      const std::string name = to_string(pass);
      SCOPED_TRACE("vector " + std::to_string(i) + ", " + name);
      const ConvolutionResult result =
          convolve(pass, shape, operand(left_operand(pass), pass), operand(right_operand(pass), pass), accumulator);
      const Tensor<float> expected = tensor_of(vector[name + "_hex"], shape.result_shape(pass));
      EXPECT_EQ(result.values.shape, expected.shape);
      EXPECT_EQ(all_bits_of(result.values.values), all_bits_of(expected.values));
      EXPECT_EQ(result.counts.overflows, vector["overflows"][name].get<std::uint64_t>());
      if (vector.contains("non_finite")) {
        EXPECT_EQ(result.counts.non_finite, vector["non_finite"][name].get<std::uint64_t>());
      }
    }
  }
}

const Quantize kFastQuantizer = [](const auto& input, const auto& format, const auto& options, const auto& name) {
  return quantize(input, format, options, name);
};

TEST(Vectors, ReferenceQuantizer) {
  check_quantizer(reference_quantize, "quantize.json");
  check_quantizer(reference_quantize, "blocks-quantize.json");
}

TEST(Vectors, FastQuantizer) {
  check_quantizer(kFastQuantizer, "quantize.json");
  check_quantizer(kFastQuantizer, "blocks-quantize.json");
}

TEST(Vectors, ReferenceConvolution) {
  check_convolution(reference_quantize, reference_convolution, "convolution.json");
  check_convolution(reference_quantize, reference_convolution, "blocks-convolution.json");
}

TEST(Vectors, FunctionalConvolution) {
  check_convolution(kFastQuantizer, functional_convolution, "convolution.json");
  check_convolution(kFastQuantizer, functional_convolution, "blocks-convolution.json");
}

}  // namespace
}  // namespace mlsim::models
