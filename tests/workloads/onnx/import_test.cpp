#include "workloads/onnx/import.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "tests/support/onnx_models.h"
#include "tests/support/temporary_folder.h"
#include "workloads/source.h"
#include "workloads/training_counts.h"
#include "workloads/workload.h"

namespace mlsim::workloads {
namespace {

using models::Operand;
using models::Padding;
using models::Pass;
using test::OnnxModel;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::StartsWith;
using Dims = OnnxModel::Dims;

class Onnx : public testing::Test {
 protected:
  Network import(const OnnxModel& model, const ModelOptions& options = {}) {
    return import_onnx(model.save(folder_.path() / "m.onnx"), options);
  }
  // Without the file's name in front.
  std::string error(const OnnxModel& model, const ModelOptions& options = {}) {
    const std::string text = test::error_of([&] { import(model, options); });
    const std::string start = (folder_.path() / "m.onnx").string() + ": ";
    EXPECT_THAT(text, StartsWith(start));
    return text.substr(std::min(start.size(), text.size()));
  }
  Workload workload(const OnnxModel& model, const SourceOptions& options = {}) {
    return open_workload(model.save(folder_.path() / "m.onnx").string(), options);
  }

  test::TemporaryFolder folder_;
};

// A convolution of 2 × 4 × 8 × 8 images with 6 kernels of 3 × 3.
OnnxModel convolution(const std::vector<std::pair<std::string, OnnxModel::Attribute>>& attributes,
                      const Dims& weight = {6, 4, 3, 3}) {
  OnnxModel model;
  model.input("x", {2, 4, 8, 8}).weight("w", weight).node("Conv", {"x", "w"}, {"y"}, attributes);
  return model;
}

TEST_F(Onnx, TakesAConvolution) {
  const Network network = import(convolution({}));
  EXPECT_EQ(network.name, "m");
  EXPECT_EQ(network.batch, 2);
  ASSERT_THAT(network.layers, SizeIs(1));
  EXPECT_EQ(
      network.layers[0].convolution_shape(1),
      (models::ConvolutionShape{.batch = 2, .in_channels = 4, .out_channels = 6, .in_size = {8, 8}, .kernel = {3, 3}}));
  // The images have no gradient.
  EXPECT_THAT(network.layers[0].passes, ElementsAre(Pass::kForward, Pass::kBackwardWeight));
}

TEST_F(Onnx, TakesEveryKindOfPadding) {
  const auto padding = [&](const std::vector<std::pair<std::string, OnnxModel::Attribute>>& attributes) {
    return import(convolution(attributes)).layers.at(0).padding;
  };
  EXPECT_THAT(padding({{"pads", Dims{1, 2, 3, 4}}}), ElementsAre(Padding(1, 3), Padding(2, 4)));
  EXPECT_THAT(padding({{"auto_pad", "VALID"}}), ElementsAre(Padding(0), Padding(0)));
  EXPECT_THAT(padding({{"auto_pad", "SAME_UPPER"}}), ElementsAre(Padding(1), Padding(1)));
  // 8 positions of stride 2: 4 outputs, (4 - 1) · 2 + 3 - 8 = 1 zero.
  EXPECT_THAT(padding({{"auto_pad", "SAME_UPPER"}, {"strides", Dims{2, 2}}}),
              ElementsAre(Padding(0, 1), Padding(0, 1)));
  EXPECT_THAT(padding({{"auto_pad", "SAME_LOWER"}, {"strides", Dims{2, 2}}}),
              ElementsAre(Padding(1, 0), Padding(1, 0)));
  EXPECT_THAT(padding({{"auto_pad", "SAME_UPPER"}, {"dilations", Dims{2, 1}}}), ElementsAre(Padding(2), Padding(1)));
}

TEST_F(Onnx, TakesStridesDilationsAndGroups) {
  const NetworkLayer layer =
      import(convolution({{"strides", Dims{2, 1}}, {"dilations", Dims{1, 3}}, {"group", 2}}, {6, 2, 3, 3}))
          .layers.at(0);
  EXPECT_EQ(layer.groups, 2);
  EXPECT_EQ(layer.weight_count(), 6 * 2 * 9);
  EXPECT_EQ(layer.output, (FeatureMap{6, {3, 2}}));
}

TEST_F(Onnx, TakesOneAxisAsOneRow) {
  OnnxModel model;
  model.input("x", {2, 4, 9}).weight("w", {6, 4, 3}).node("Conv", {"x", "w"}, {"y"}, {{"pads", Dims{2, 0}}});
  const NetworkLayer layer = import(model).layers.at(0);
  EXPECT_EQ(layer.input, (FeatureMap{4, {1, 9}}));
  EXPECT_EQ(layer.output, (FeatureMap{6, {1, 9}}));
  EXPECT_THAT(layer.padding, ElementsAre(Padding(0), Padding(2, 0)));
}

TEST_F(Onnx, TakesATransposedConvolutionAsBackwardData) {
  OnnxModel model;
  model.input("x", {2, 4, 8, 8})
      .weight("v", {4, 4, 1, 1})
      .weight("w", {4, 3, 4, 4})
      .weight("b", {3})
      .node("Conv", {"x", "v"}, {"h"})
      .node("ConvTranspose", {"h", "w", "b"}, {"y"}, {{"strides", Dims{2, 2}}, {"pads", Dims{1, 1, 1, 1}}})
      .node("Relu", {"y"}, {"z"});
  const Network network = import(model);
  ASSERT_THAT(network.layers, SizeIs(3));
  const NetworkLayer& layer = network.layers[1];
  // From 16 × 16 to 8 × 8.
  EXPECT_EQ(layer.convolution_shape(1), (models::ConvolutionShape{.batch = 2,
                                                                  .in_channels = 3,
                                                                  .out_channels = 4,
                                                                  .in_size = {16, 16},
                                                                  .kernel = {4, 4},
                                                                  .stride = {2, 2},
                                                                  .padding = {Padding(1), Padding(1)}}));
  EXPECT_EQ(layer.parameter_count(), 4 * 3 * 16 + 3);
  EXPECT_EQ(network.layers[2].output.elements(), 2 * 3 * 16 * 16);
  const TrainingCounts counts = count_training_step(network, 2);
  EXPECT_EQ(counts.convolution.forward, 2U * 4 * 64 * (4 + 3 * 16));

  const Layer of_workload = workload(model).layers.at(1);
  EXPECT_THAT(of_workload.passes, SizeIs(3));
  EXPECT_EQ(of_workload.role(Operand::kError), Operand::kActivation);
  EXPECT_EQ(of_workload.operand(Operand::kError).rounding, models::Rounding::kNearest);
  EXPECT_EQ(of_workload.operand(Operand::kActivation).rounding, models::Rounding::kStochastic);
}

TEST_F(Onnx, OutputPaddingLengthensATransposedConvolution) {
  const auto out = [&](const std::vector<std::pair<std::string, OnnxModel::Attribute>>& attributes) {
    OnnxModel model;
    model.input("x", {1, 2, 5, 5}).weight("w", {2, 2, 3, 3}).node("ConvTranspose", {"x", "w"}, {"y"}, attributes);
    return import(model).layers.at(0).input.size;
  };
  EXPECT_THAT(out({}), ElementsAre(7, 7));
  EXPECT_THAT(out({{"strides", Dims{2, 2}}, {"pads", Dims{1, 1, 1, 1}}}), ElementsAre(9, 9));
  EXPECT_THAT(out({{"strides", Dims{2, 2}}, {"pads", Dims{1, 1, 1, 1}}, {"output_padding", Dims{1, 1}}}),
              ElementsAre(10, 10));
  EXPECT_THAT(out({{"strides", Dims{2, 2}}, {"auto_pad", "SAME_UPPER"}}), ElementsAre(10, 10));
  EXPECT_THAT(out({{"strides", Dims{2, 2}}, {"output_shape", Dims{10, 11}}}), ElementsAre(10, 11));
}

struct ProductCase {
  std::string name;
  OnnxModel model;
  LayerType type;
  std::array<std::int64_t, 4> sizes;  // rows, groups, in, out of all groups
  std::vector<float> weights;         // the first ones
};

// A table, for all its length.
std::vector<ProductCase> product_cases() {
  const auto with = [](auto make) {
    OnnxModel model;
    make(model);
    return model;
  };
  return {
      {"Gemm",
       with([](OnnxModel& m) {
         m.input("x", {5, 2}).weight("w", {2, 3}).node("Gemm", {"x", "w"}, {"y"});
       }),
       LayerType::kLinear,
       {5, 1, 2, 3},
       {1, 4, 2, 5, 3, 6}},
      {"GemmTransposed",
       with([](OnnxModel& m) {
         m.input("x", {2, 5}).weight("w", {3, 2}).node("Gemm", {"x", "w"}, {"y"}, {{"transA", 1}, {"transB", 1}});
       }),
       LayerType::kLinear,
       {5, 1, 2, 3},
       {1, 2, 3, 4, 5, 6}},
      {"GemmOfWeightsFirst",
       with([](OnnxModel& m) {
         m.input("x", {2, 5}).weight("w", {3, 2}).node("Gemm", {"w", "x"}, {"y"});
       }),
       LayerType::kLinear,
       {5, 1, 2, 3},
       {1, 2, 3, 4, 5, 6}},
      {"MatMul",
       with([](OnnxModel& m) {
         m.input("x", {7, 5, 2}).weight("w", {2, 3}).node("MatMul", {"x", "w"}, {"y"});
       }),
       LayerType::kLinear,
       {35, 1, 2, 3},
       {1, 4, 2, 5, 3, 6}},
      {"MatMulOfATransposedWeight",
       with([](OnnxModel& m) {
         m.input("x", {7, 5, 2}).weight("w", {3, 2}).node("Transpose", {"w"}, {"t"}).node("MatMul", {"x", "t"}, {"y"});
       }),
       LayerType::kLinear,
       {35, 1, 2, 3},
       {1, 2, 3, 4, 5, 6}},
      {"MatMulOfWeightsFirst",
       with([](OnnxModel& m) {
         m.input("x", {7, 2, 5}).weight("w", {3, 2}).node("MatMul", {"w", "x"}, {"y"});
       }),
       LayerType::kLinear,
       {35, 1, 2, 3},
       {1, 2, 3, 4, 5, 6}},
      {"MatMulOfManyWeights",
       with([](OnnxModel& m) {
         m.input("x", {7, 4, 5, 2}).weight("w", {4, 2, 3}).node("MatMul", {"x", "w"}, {"y"});
       }),
       LayerType::kLinear,
       {35, 4, 8, 12},
       {1, 4, 2, 5, 3, 6, 7, 10}},
      {"MatMulOfAVector",
       with([](OnnxModel& m) {
         m.input("x", {7, 2}).weight("w", {2}).node("MatMul", {"x", "w"}, {"y"});
       }),
       LayerType::kLinear,
       {7, 1, 2, 1},
       {1, 2}},
      {"Attention",
       with([](OnnxModel& m) {
         m.input("x", {7, 4, 5, 2}).input("k", {7, 4, 2, 5}).node("MatMul", {"x", "k"}, {"y"});
       }),
       LayerType::kProduct,
       {5, 28, 56, 140},
       {}},
      {"ProductWithOneMatrix",
       with([](OnnxModel& m) {
         m.input("x", {7, 4, 5, 2}).input("k", {2, 3}).node("MatMul", {"x", "k"}, {"y"});
       }),
       LayerType::kProduct,
       {140, 1, 2, 3},
       {}},
      {"ProductOfOneMatrix",
       with([](OnnxModel& m) {
         m.input("x", {5, 2}).input("k", {7, 4, 2, 3}).node("MatMul", {"x", "k"}, {"y"});
       }),
       LayerType::kProduct,
       {84, 1, 2, 5},
       {}},
  };
}

TEST_F(Onnx, TakesProductsOfMatrices) {
  for (const ProductCase& one : product_cases()) {
    const Network network = import(one.model);
    ASSERT_THAT(network.layers, SizeIs(1)) << one.name;
    const NetworkLayer& layer = network.layers[0];
    EXPECT_EQ(layer.type, one.type) << one.name;
    EXPECT_THAT((std::array{layer.rows, layer.groups, layer.input.channels, layer.output.channels}), one.sizes)
        << one.name;
    if (one.type == LayerType::kProduct) {
      EXPECT_EQ(layer.parameter_count(), 0) << one.name;
      continue;
    }
    ASSERT_NE(layer.weight, nullptr) << one.name;
    const models::Tensor<float> weight = layer.weight->load();
    EXPECT_EQ(weight.shape, layer.convolution_shape(1).weight_shape()) << one.name;
    EXPECT_EQ(std::vector(weight.values.begin(), weight.values.begin() + std::ssize(one.weights)), one.weights)
        << one.name;
  }
}

// Both factors of attention's products are activations, and each has a gradient where what is before it is trained.
TEST_F(Onnx, GivesProductsThePassesOfTheirGradients) {
  OnnxModel model;
  model.input("x", {2, 4, 8})
      .weight("wq", {8, 8})
      .node("MatMul", {"x", "wq"}, {"q"})
      .node("Transpose", {"x"}, {"k"}, {{"perm", Dims{0, 2, 1}}})
      .node("MatMul", {"q", "k"}, {"s"})
      .node("MatMul", {"s", "q"}, {"y"});
  const Workload loaded = workload(model, {.values = NetworkValues::kSynthetic});
  ASSERT_THAT(loaded.layers, SizeIs(3));
  EXPECT_THAT(loaded.layers[0].passes, ElementsAre(Pass::kForward, Pass::kBackwardWeight));
  EXPECT_THAT(loaded.layers[1].passes, ElementsAre(Pass::kForward, Pass::kBackwardData));
  EXPECT_THAT(loaded.layers[2].passes, SizeIs(3));
  const Layer& product = loaded.layers[1];
  EXPECT_TRUE(product.linear);
  EXPECT_EQ(product.role(Operand::kWeight), Operand::kActivation);
  EXPECT_EQ(std::get<SyntheticValues>(product.operand(Operand::kWeight).source).distribution,
            Distribution::kReluNormal);
  EXPECT_EQ(import(model).gradient_additions, 2 * 4 * 8);  // of q, read twice
}

TEST_F(Onnx, TakesTheBiasOfALinearLayerFromWhereverItStands) {
  OnnxModel model;
  model.input("x", {2, 4, 8})
      .weight("w", {8, 3})
      .weight("b", {3})
      .node("MatMul", {"x", "w"}, {"h"})
      .node("Add", {"b", "h"}, {"y"})
      .node("Flatten", {"y"}, {"f"})
      .weight("v", {12, 5})
      .weight("c", {5})
      .node("Gemm", {"f", "v", "c"}, {"z"});
  const Network network = import(model);
  ASSERT_THAT(network.layers, SizeIs(2));
  EXPECT_EQ(network.parameter_count(), 8 * 3 + 3 + 12 * 5 + 5);
  EXPECT_EQ(count_training_step(network, 2).element_add, StepCount());
}

TEST_F(Onnx, CountsWeightsThatLayersShareOnce) {
  OnnxModel model;
  model.input("x", {2, 4, 8, 8})
      .weight("w", {4, 4, 1, 1})
      .node("Conv", {"x", "w"}, {"h"})
      .node("Conv", {"h", "w"}, {"y"});
  const Network network = import(model);
  EXPECT_EQ(network.parameter_count(), 16);
  EXPECT_EQ(count_training_step(network, 2).convolution_weights, 16U);
  EXPECT_EQ(count_training_step(network, 2).convolution.forward, 2U * 2 * 64 * 16);
  EXPECT_NE(network.layers[0].name, network.layers[1].name);
}

TEST_F(Onnx, CountsTheFloatRestByKind) {
  OnnxModel model(17);
  model.input("x", {2, 4, 8, 8})
      .weight("w", {4, 4, 1, 1})
      .weight("s", {4})
      .weight("n", {8})
      .weight("e", {1})
      .node("Conv", {"x", "w"}, {"a"})
      .node("BatchNormalization", {"a", "s", "s", "s", "s"}, {"b"})
      .node("Relu", {"b"}, {"c"})
      .node("LayerNormalization", {"c", "n", "n"}, {"d"})
      .node("Sigmoid", {"d"}, {"f"})
      .node("Mul", {"d", "f"}, {"g"})
      .node("Add", {"g", "a"}, {"h"})
      .node("Add", {"h", "e"}, {"i"})
      .node("MaxPool", {"i"}, {"j"}, {{"kernel_shape", Dims{2, 2}}, {"strides", Dims{2, 2}}})
      .node("Softmax", {"j"}, {"k"})
      .node("GlobalAveragePool", {"k"}, {"l"});
  const TrainingCounts counts = count_training_step(import(model), 2);
  constexpr std::uint64_t kMap = 2 * 4 * 64;
  EXPECT_EQ(counts.batch_norm, (StepCount{kMap, kMap}));
  EXPECT_EQ(counts.activation, (StepCount{kMap, kMap}));
  EXPECT_EQ(counts.layer_norm, (StepCount{kMap, kMap}));
  EXPECT_EQ(counts.smooth, (StepCount{kMap, kMap}));
  EXPECT_EQ(counts.element_multiply, (StepCount{kMap, 2 * kMap}));
  EXPECT_EQ(counts.element_add, (StepCount{2 * kMap, 2 * kMap}));
  EXPECT_EQ(counts.pooling, (StepCount{kMap + kMap / 4, kMap / 4 + kMap / 4}));
  EXPECT_EQ(counts.softmax, (StepCount{kMap / 4, kMap / 4}));
  EXPECT_EQ(counts.gradient_add, (StepCount{0, 2 * kMap}));  // of a and d
  EXPECT_EQ(counts.parameters, 16U + 8 + 8 + 1);             // both numbers of the normalization are one tensor
}

// The chain of Shape, Gather, Unsqueeze and Concat that exporters make of x.view(x.size(0), -1).
TEST_F(Onnx, FoldsTheShapesThatExportersCompute) {
  OnnxModel model(12);
  model.input("x", {-1, 4, 6, 6}).integers("zero", {0}).integers("rest", {-1}).weight("w", {10, 144});
  model.graph().mutable_initializer(0)->clear_dims();  // a scalar
  model.node("Shape", {"x"}, {"shape"})
      .node("Gather", {"shape", "zero"}, {"batch"})
      .node("Unsqueeze", {"batch"}, {"first"}, {{"axes", Dims{0}}})
      .node("Concat", {"first", "rest"}, {"sizes"}, {{"axis", 0}})
      .node("Reshape", {"x", "sizes"}, {"flat"})
      .node("Gemm", {"flat", "w"}, {"y"}, {{"transB", 1}});
  const Network network = import(model, {.batch = 3});
  ASSERT_THAT(network.layers, SizeIs(1));
  EXPECT_EQ(network.layers[0].rows, 3);
  EXPECT_EQ(network.layers[0].input.channels, 144);
}

// Sizes in the middle of a model, by the bias-free linear layer that reads them.
TEST_F(Onnx, KnowsTheSizesBehindOperators) {
  const auto behind = [&](std::int64_t opset, auto make) {
    OnnxModel model(opset);
    model.input("x", {2, 4, 6, 6});
    make(model);
    model.node("GlobalAveragePool", {"y"}, {"mean"}).node("ReduceSum", {"y"}, {"sum"}, {{"keepdims", 0}});
    const Network network = import(model);
    return network.layers.back().input.channels;
  };
  EXPECT_EQ(behind(9,
                   [](OnnxModel& m) {
                     m.node("Slice", {"x"}, {"y"}, {{"starts", Dims{1}}, {"ends", Dims{-1}}, {"axes", Dims{2}}});
                   }),
            2 * 4 * 4 * 6);
  EXPECT_EQ(behind(13,
                   [](OnnxModel& m) {
                     m.integers("b", {5}).integers("e", {INT64_MIN}).integers("a", {3}).integers("s", {-2});
                     m.node("Slice", {"x", "b", "e", "a", "s"}, {"y"});
                   }),
            2 * 4 * 6 * 3);
  EXPECT_EQ(behind(11,
                   [](OnnxModel& m) {
                     m.node("Split", {"x"}, {"z", "y"}, {{"axis", 1}, {"split", Dims{1, 3}}});
                   }),
            2 * 3 * 36);
  EXPECT_EQ(behind(13,
                   [](OnnxModel& m) {
                     m.integers("s", {1, 3}).node("Split", {"x", "s"}, {"z", "y"}, {{"axis", 1}});
                   }),
            2 * 3 * 36);
  EXPECT_EQ(behind(9,
                   [](OnnxModel& m) {
                     m.node("Pad", {"x"}, {"y"}, {{"pads", Dims{0, 0, 1, 0, 0, 0, 1, -1}}});
                   }),
            2 * 4 * 8 * 5);
  EXPECT_EQ(behind(13,
                   [](OnnxModel& m) {
                     m.integers("p", {0, 0, 1, 0, 0, 0, 1, -1}).node("Pad", {"x", "p"}, {"y"});
                   }),
            2 * 4 * 8 * 5);
  EXPECT_EQ(behind(13,
                   [](OnnxModel& m) {
                     m.integers("z", {2, 4, 12, 9}).node("Resize", {"x", "", "", "z"}, {"y"});
                   }),
            2 * 4 * 12 * 9);
  EXPECT_EQ(behind(10,
                   [](OnnxModel& m) {
                     auto& scales = m.tensor("z", {4}, ::onnx::TensorProto::FLOAT);
                     for (const float scale : {1.0F, 1.0F, 2.0F, 1.5F}) scales.add_float_data(scale);
                     m.node("Resize", {"x", "z"}, {"y"});
                   }),
            2 * 4 * 12 * 9);
  EXPECT_EQ(behind(13, [](OnnxModel& m) { m.node("DepthToSpace", {"x"}, {"y"}, {{"blocksize", 2}}); }), 2 * 144);
  EXPECT_EQ(behind(13,
                   [](OnnxModel& m) {
                     m.integers("r", {1, 2, 1, 1}).node("Tile", {"x", "r"}, {"y"});
                   }),
            2 * 8 * 36);
  EXPECT_EQ(behind(13, [](OnnxModel& m) { m.node("Concat", {"x", "x"}, {"y"}, {{"axis", -3}}); }), 2 * 8 * 36);
  EXPECT_EQ(behind(13,
                   [](OnnxModel& m) {
                     m.node("AveragePool", {"x"}, {"y"},
                            {{"kernel_shape", Dims{3, 3}}, {"strides", Dims{2, 2}}, {"ceil_mode", 1}});
                   }),
            2 * 4 * 9);
  EXPECT_EQ(behind(13,
                   [](OnnxModel& m) {
                     m.integers("f", {0, 0, 36}).node("Reshape", {"x", "f"}, {"h"}).integers("a", {3});
                     m.node("Unsqueeze", {"h", "a"}, {"y"});
                   }),
            2 * 4 * 36);
}

// The same classifier as each opset writes it: operators took attributes for inputs, and Upsample became Resize.
OnnxModel classifier(std::int64_t opset) {
  OnnxModel m(opset);
  const auto scales = [&m] {
    auto& tensor = m.tensor("twice", {4}, ::onnx::TensorProto::FLOAT);
    for (const float scale : {1.0F, 1.0F, 2.0F, 2.0F}) tensor.add_float_data(scale);
  };
  m.input("x", {2, 4, 6, 6}).weight("w", {8, 4, 3, 3}).weight("s", {8}).weight("f.weight", {10, 8});
  m.node("Conv", {"x", "w"}, {"a"}, {{"pads", Dims{1, 1, 1, 1}}})
      .node("BatchNormalization", {"a", "s", "s", "s", "s"}, {"b"});
  if (opset < 11) {
    m.node("Clip", {"b"}, {"c"}, {{"min", 0.0F}, {"max", 6.0F}});
  } else {
    m.weight("low", {}).weight("high", {}).node("Clip", {"b", "low", "high"}, {"c"});
  }
  if (opset < 9) {
    auto& attribute = *m.node("Upsample", {"c"}, {"d"}).graph().mutable_node()->rbegin()->add_attribute();
    attribute.set_name("scales");
    attribute.set_type(::onnx::AttributeProto::FLOATS);
    for (const float scale : {1.0F, 1.0F, 2.0F, 2.0F}) attribute.add_floats(scale);
  } else {
    scales();
    if (opset < 10) m.node("Upsample", {"c", "twice"}, {"d"});
    if (opset == 10) m.node("Resize", {"c", "twice"}, {"d"});
    if (opset > 10) m.node("Resize", {"c", "", "twice"}, {"d"});
  }
  m.node("Conv", {"d", "w2"}, {"e"}).weight("w2", {8, 8, 1, 1}).node("GlobalAveragePool", {"e"}, {"g"});
  if (opset < 13) {
    m.node("Squeeze", {"g"}, {"h"}, {{"axes", Dims{2, 3}}});
  } else {
    m.integers("axes", {2, 3}).node("Squeeze", {"g", "axes"}, {"h"});
  }
  if (opset < 12) {
    m.node("Dropout", {"h"}, {"i"}, {{"ratio", 0.5F}});
  } else {
    m.weight("ratio", {}).node("Dropout", {"h", "ratio"}, {"i"});
  }
  return m.node("Gemm", {"i", "f.weight"}, {"j"}, {{"transB", 1}}).node("Softmax", {"j"}, {"y"}, {{"axis", 1}});
}

TEST_F(Onnx, EveryOpsetGivesTheSameNetwork) {
  for (std::int64_t opset = 7; opset <= 17; ++opset) {
    SCOPED_TRACE(opset);
    const Network network = import(classifier(opset), {.strict = true});
    const TrainingCounts counts = count_training_step(network, 2);
    EXPECT_EQ(counts.convolution.forward, 2U * 36 * 8 * 36 + 2U * 144 * 8 * 8);
    EXPECT_EQ(counts.batch_norm.forward, 2U * 8 * 36);
    EXPECT_EQ(counts.activation.forward, 2U * 8 * 36);
    EXPECT_EQ(counts.pooling.forward, 2U * 8 * 144);
    EXPECT_EQ(counts.softmax.forward, 2U * 10);
    EXPECT_EQ(counts.linear.forward, 2U * 10 * 8);
  }
}

TEST_F(Onnx, BindsAnOpenBatch) {
  OnnxModel model;
  model.input("x", {-1, 4, 8, 8}).input("y", {-1, 4, 8, 8}).node("Add", {"x", "y"}, {"z"});
  EXPECT_EQ(error(model), "input 'x': has an open batch 'N', expected --batch N");
  EXPECT_EQ(import(model, {.batch = 5}).layers.at(0).output.elements(), 5 * 4 * 64);
  EXPECT_EQ(error(OnnxModel().input("x", {2, -1}).node("Relu", {"x"}, {"y"})),
            "input 'x': has the open size 'N' on axis 1, expected a number: --batch binds the batch alone");
}

TEST_F(Onnx, TakesAnotherBatchWhereTheModelDoes) {
  EXPECT_EQ(import(convolution({}), {.batch = 7}).layers.at(0).rows, 7);
  OnnxModel fixed;
  fixed.input("x", {2, 4, 8}).integers("s", {2, 32}).node("Reshape", {"x", "s"}, {"y"});
  EXPECT_THAT(import(fixed).layers, IsEmpty());
  EXPECT_EQ(error(fixed, {.batch = 7}),
            "node 0 (Reshape): makes 2 × 32 of 7 × 4 × 8, which has 224 elements (with a batch of 7 in place of the "
            "model's 2, which sizes inside it may have)");
  const Network network = import(convolution({}));
  EXPECT_EQ(test::error_of([&] { count_training_step(network, 3); }), "m: is for a batch of 2, not of 3");
}

TEST_F(Onnx, ListsWhatItDoesNotCount) {
  OnnxModel model;
  model.input("x", {4, 2, 8})
      .weight("w", {1, 40, 8})
      .weight("r", {1, 40, 10})
      .node("LSTM", {"x", "w", "r"}, {"h"}, {{"hidden_size", 10}})
      .node("Mystery", {"h"}, {"m"})
      .node("Mystery", {"m"}, {"n"})
      .node("Relu", {"n"}, {"o"})
      .weight("v", {8, 8})
      .node("MatMul", {"x", "v"}, {"y"});
  model.graph().mutable_node(1)->set_domain("com.example");
  const Network network = import(model);
  ASSERT_THAT(network.layers, SizeIs(1));
  // 8 · (40 · 8 + 40 · 10) of the LSTM beside 8 · 64.
  const std::string list =
      "LSTM (1 node, 91.8 % of the multiply-adds), Mystery (1 node, of an unknown share), Relu of unknown sizes (1 "
      "node, "
      "of an unknown share), com.example.Mystery (1 node, of an unknown share)";
  EXPECT_THAT(network.remarks,
              ElementsAre((folder_.path() / "m.onnx").string() + ": has operators that are not counted: " + list));
  EXPECT_EQ(error(model, {.strict = true}), "has operators that are not counted, with --strict: " + list);
}

TEST_F(Onnx, TakesTheSizesThatTheFileSays) {
  OnnxModel model;
  model.input("x", {-1, 8}).node("Mystery", {"x"}, {"h"}).weight("v", {8, 8}).node("MatMul", {"h", "v"}, {"y"});
  EXPECT_THAT(import(model, {.batch = 2}).layers, IsEmpty());
  auto& info = *model.graph().add_value_info();
  info.set_name("h");
  auto& shape = *info.mutable_type()->mutable_tensor_type()->mutable_shape();
  shape.add_dim()->set_dim_param("N");
  shape.add_dim()->set_dim_value(8);
  EXPECT_THAT(import(model, {.batch = 2}).layers, SizeIs(1));
}

TEST_F(Onnx, RefusesWithPlaceAndReason) {
  const auto with = [](const Dims& dims) {
    OnnxModel model;
    model.input("x", dims).node("Relu", {"x"}, {"y"});
    return model;
  };
  EXPECT_EQ(error(with({2, 0, 3})), "input 'x': has 0 on axis 1, expected 1 to 2^31");
  EXPECT_EQ(error(with({2, -3})), "input 'x': has -3 on axis 1, expected 1 to 2^31");
  EXPECT_EQ(error(with({2, INT64_MAX})), "input 'x': has 9223372036854775807 on axis 1, expected 1 to 2^31");
  EXPECT_EQ(error(with({1 << 30, 1 << 30})), "input 'x': has more than 2^56 elements");
  EXPECT_EQ(error(with({2, 3}).node("Relu", {"z"}, {"w"})),
            "node 1 (Relu): reads 'z', which is no input, no initializer and no earlier node's output");
  EXPECT_EQ(error(with({2, 3}).node("Add", {"b", "x"}, {"a"}).node("Relu", {"a"}, {"b"})),
            "node 1 (Add): reads 'b', which node 2 gives: expected nodes in order, without cycles");
  EXPECT_EQ(error(with({2, 3}).node("Relu", {"x"}, {"y"})), "node 1 (Relu): gives 'y', which is there already");
  EXPECT_EQ(error(with({2, 3}).input("x", {2, 3})), "input 'x': is there twice");
  EXPECT_EQ(error(with({2, 3}).weight("w", {2}).weight("w", {2})), "tensor 'w': is there twice");
  EXPECT_EQ(error(OnnxModel().node("Relu", {"x"}, {"y"})), "has no input but parameters, expected one");
  EXPECT_EQ(error(OnnxModel(6).input("x", {2}).node("Relu", {"x"}, {"y"})), "has opset 6, expected 7 or later");
  EXPECT_EQ(error(OnnxModel().input("x", {2})), "is no ONNX model: it has no graph with nodes");
  EXPECT_EQ(error(convolution({{"strides", Dims{0, 1}}})),
            "node 0 (Conv): strides has 0, expected numbers from 1 to 1048576");
  EXPECT_EQ(error(convolution({{"group", 3}})),
            "node 0 (Conv): has weights of 6 × 4 × 3 × 3 in 3 groups for an input of 2 × 4 × 8 × 8");
  EXPECT_EQ(error(convolution({{"pads", Dims{-1, 0, 0, 0}}})),
            "node 0 (Conv): pads has -1, expected numbers from 0 to 1048576");
  EXPECT_EQ(error(convolution({{"dilations", Dims{4, 4}}})),
            "node 0 (Conv): has a kernel of 9 on an input of 8 with its padding");
  EXPECT_EQ(error(convolution({{"strides", 2}})), "node 0 (Conv): strides is no list of integers, expected one");
  EXPECT_EQ(error(convolution({{"auto_pad", "SAME"}})),
            "node 0 (Conv): auto_pad is 'SAME', expected NOTSET, VALID, SAME_UPPER or SAME_LOWER");
  EXPECT_EQ(error(with({2, 3}).input("z", {4, 4}).node("Add", {"x", "z"}, {"w"})),
            "node 1 (Add): combines 2 × 3 with 4 × 4, which do not go together");
  EXPECT_EQ(error(with({2, 3}).integers("s", {4}).node("Reshape", {"x", "s"}, {"w"})),
            "node 1 (Reshape): makes 4 of 2 × 3, which has 6 elements");
  EXPECT_EQ(error(with({2, 3}).node("MatMul", {"x", "x"}, {"w"})), "node 1 (MatMul): multiplies 2 × 3 by 2 × 3");
  EXPECT_EQ(error(with({2, 3}).node("Transpose", {"x"}, {"w"}, {{"perm", Dims{0, 0}}})),
            "node 1 (Transpose): has the perm 0 × 0 for 2 axes");
  EXPECT_EQ(error(with({2, 3}).node("Conv", {"x"}, {"w"})),
            "node 1 (Conv): has 1 inputs, expected one more that is not empty");
}

// Whatever a file holds: a network, or one sentence.
void expect_no_crash(const std::string& bytes, std::size_t which) {
  try {
    const Network network = parse_onnx(bytes, "m.onnx", {.batch = 2});
    count_training_step(network, 2);
    const nlohmann::json document{
        {"schema", "mlsim.workload/1"}, {"name", "n"}, {"seed", 1U}, {"format", "e2m4"}, {"layers", "n"}};
    workload_of(network, document, "n");
  } catch (const std::runtime_error& error) {
    const std::string text = error.what();
    EXPECT_FALSE(text.empty()) << which;
    EXPECT_LT(text.size(), 4000U) << which;
  }
}

OnnxModel varied_model() {
  OnnxModel model(13);
  model.input("x", {-1, 4, 6, 6})
      .weight("w", {4, 2, 3, 3})
      .weight("t", {4, 4, 2, 2})
      .integers("zero", {0})
      .integers("rest", {-1})
      .integers("a", {1})
      .weight("v", {5, 3})
      .node("Conv", {"x", "w"}, {"c"}, {{"group", 2}, {"pads", Dims{1, 1, 1, 1}}, {"strides", Dims{2, 2}}})
      .node("ConvTranspose", {"c", "t"}, {"d"}, {{"strides", Dims{2, 2}}})
      .node("MaxPool", {"d"}, {"e"}, {{"kernel_shape", Dims{2, 2}}, {"strides", Dims{2, 2}}})
      .node("Shape", {"e"}, {"s"})
      .node("Gather", {"s", "zero"}, {"n"})
      .node("Concat", {"n", "rest"}, {"f"}, {{"axis", 0}})
      .node("Reshape", {"e", "f"}, {"g"})
      .node("Slice", {"g", "zero", "rest", "a"}, {"h"})
      .node("ReduceMean", {"h"}, {"i"}, {{"axes", Dims{1}}})
      .node("Sub", {"h", "i"}, {"j"})
      .node("Softmax", {"j"}, {"k"})
      .node("Split", {"k"}, {"l", "m"}, {{"axis", 1}})
      .node("Unsqueeze", {"l", "a"}, {"o"})
      .node("Gemm", {"h", "v"}, {"q"});
  return model;
}

TEST_F(Onnx, RefusesWhatIsCutOffAnywhere) {
  const std::string bytes = varied_model().bytes();
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    expect_no_crash(bytes.substr(0, length), length);
  }
  std::ofstream(folder_.path() / "m.onnx", std::ios::binary) << bytes.substr(0, bytes.size() / 2);
  EXPECT_EQ(
      test::error_of([&] { import_onnx(folder_.path() / "m.onnx", {}); }),
      (folder_.path() / "m.onnx").string() + ": is no ONNX model, or is cut off: expected a protocol buffer of one");
}

TEST_F(Onnx, SurvivesDamage) {
  std::mt19937_64 random(14);
  const std::string whole = varied_model().bytes();
  for (std::size_t round = 0; round < 30000; ++round) {
    std::string bytes = whole;
    const std::size_t changes = 1 + random() % 4;
    for (std::size_t change = 0; change < changes; ++change) {
      bytes[random() % bytes.size()] = static_cast<char>(random() % 3 == 0 ? 0xFF : random());
    }
    expect_no_crash(bytes, round);
  }
}

// Sizes and attributes that are numbers, but wild ones.
TEST_F(Onnx, SurvivesWildNumbers) {
  std::mt19937_64 random(15);
  const std::vector<std::int64_t> wild{
      INT64_MIN, -(std::int64_t{1} << 32), -3, -1, 0, 1, 2, 3, 7, 1 << 20, std::int64_t{1} << 31, std::int64_t{1} << 56,
      INT64_MAX};
  const auto number = [&] { return wild[random() % wild.size()]; };
  for (std::size_t round = 0; round < 30000; ++round) {
    OnnxModel model = varied_model();
    for (int change = 0; change < 2; ++change) {
      auto& node = *model.graph().mutable_node(static_cast<int>(random() % 14));
      auto& tensor = *model.graph().mutable_initializer(static_cast<int>(random() % 6));
      switch (random() % 4) {
        case 0:
          if (node.attribute_size() == 0) break;
          if (auto& a = *node.mutable_attribute(
                  static_cast<int>(random() % static_cast<std::uint64_t>(node.attribute_size())));
              a.ints_size() > 0) {
            a.set_ints(static_cast<int>(random() % static_cast<std::uint64_t>(a.ints_size())), number());
          } else {
            a.set_i(number());
          }
          break;
        case 1:
          if (tensor.int64_data_size() > 0) tensor.set_int64_data(0, number());
          break;
        case 2:
          tensor.set_dims(0, number());
          break;
        default:
          model.graph()
              .mutable_input(0)
              ->mutable_type()
              ->mutable_tensor_type()
              ->mutable_shape()
              ->mutable_dim(static_cast<int>(random() % 4))
              ->set_dim_value(number());
      }
    }
    expect_no_crash(model.bytes(), round);
  }
}

}  // namespace
}  // namespace mlsim::workloads
