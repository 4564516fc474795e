// The closed form where it can be followed by hand; simulate_test compares it with the simulation.
#include "sim/analytic.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/array_config.h"

namespace mlsim::sim {
namespace {

using models::BaselineFormat;
using models::ConvolutionShape;
using models::Format;
using models::Pass;

const Format kE2m4 = models::parse_format("e2m4");

ConvolutionShape resnet20_layer(std::int64_t batch) {
  return {.batch = batch,
          .in_channels = 16,
          .out_channels = 16,
          .in_size = {32, 32},
          .kernel = {3, 3},
          .stride = {1, 1},
          .padding = {1, 1},
          .groups = 1};
}

// The worked example of docs/dataflow.md.
TEST(Analytic, WorkedExampleForward) {
  const PassPrediction p = predict_pass(Pass::kForward, resnet20_layer(1), kE2m4, kE2m4, {}, kE2m4);
  EXPECT_EQ(p.cycles.array, 144U + 63 * 144 + 144 + 8 + 6);
  EXPECT_EQ(p.cycles.quantizer, 16384U / 16 + 4);
  EXPECT_EQ(p.cycles.fill_stalls, 144U);
  EXPECT_EQ(p.cycles.scaler_stalls, 0U);
  EXPECT_EQ(p.counts.mantissa_multiplies, 16U * 16 * 94 * 94);
  EXPECT_EQ(p.counts.conversions, 16384U * 16);
  EXPECT_EQ(p.counts.tensor_scale_multiplies, 16384U);
  EXPECT_NEAR(utilization(p, {}), 0.9426, 0.0001);

  const Traffic& t = p.traffic;
  EXPECT_EQ(t.dram_row_reads, 2304U * 7 + 256 * 9);
  EXPECT_EQ(t.dram_column_reads, 16384U * 7 + 16 * 9);
  EXPECT_EQ(t.dram_result_writes, 16384U * 32);
  EXPECT_EQ(t.dram_code_writes, 16384U * 7 + 16 * 9);
  EXPECT_EQ(t.row_buffer_writes, 2304U * 7);
  EXPECT_EQ(t.row_buffer_reads, 64U * 2304 * 7);
  EXPECT_EQ(t.column_buffer_writes, 1024U * 144 * 7);
  EXPECT_EQ(t.column_buffer_reads, 1024U * 144 * 7);
  EXPECT_EQ(t.sram_row_reads, 2304U * 7 + 256 * 9);
  EXPECT_EQ(t.sram_column_reads, 1024U * 144 * 7 + 1024 * 16 * 9);
  EXPECT_EQ(t.sram_result_reads, 2U * 16384 * 32);
}

TEST(Analytic, WorkedExampleBackwardWeight) {
  // 1024 taps of one image are cut into four chunks of 256; 144 columns are nine tiles.
  const PassPrediction p = predict_pass(Pass::kBackwardWeight, resnet20_layer(1), kE2m4, kE2m4, {}, kE2m4);
  EXPECT_EQ(p.cycles.array, 256U + 35 * 256 + 256 + 8 + 6);
  EXPECT_EQ(p.cycles.quantizer, 2304U / 16 + 4);
  EXPECT_EQ(p.traffic.row_buffer_writes, 9U * 16384 * 7);
}

TEST(Analytic, PointwiseLayerWaitsForGroupScalers) {
  ConvolutionShape shape = resnet20_layer(1);
  shape.kernel = {1, 1};
  shape.padding = {0, 0};
  const PassPrediction p = predict_pass(Pass::kForward, shape, kE2m4, kE2m4, {}, kE2m4);
  // 16 groups of one tap a tile, each of them 8 cycles.
  EXPECT_EQ(p.cycles.scaler_stalls, 64U * 16 * 7);
  EXPECT_EQ(p.cycles.array, 16U + 64 * 128 + 8 + 6);
  ArrayConfig unshared;
  unshared.elements_per_scaler = 1;
  const PassPrediction fast = predict_pass(Pass::kForward, shape, kE2m4, kE2m4, unshared, kE2m4);
  EXPECT_EQ(fast.cycles.scaler_stalls, 0U);
  EXPECT_EQ(fast.cycles.array, 16U + 64 * 16 + 1 + 6);
}

TEST(Analytic, BaselinesNeedNoGroupScaler) {
  const Format none = models::parse_format("e2m4/none");
  for (const Pass pass : models::kPasses) {
    for (const std::int64_t stride : {1, 2}) {
      ConvolutionShape shape = resnet20_layer(3);
      shape.stride = {stride, stride};
      const PassPrediction mls = predict_pass(pass, shape, none, none, {}, none);
      const PassPrediction fp8 =
          predict_pass(pass, shape, BaselineFormat::kFp8E4m3, BaselineFormat::kFp8E4m3, {}, BaselineFormat::kFp8E4m3);
      EXPECT_EQ(fp8.cycles.array + 8, mls.cycles.array);
      EXPECT_EQ(fp8.cycles.quantizer, mls.cycles.quantizer);
      EXPECT_EQ(fp8.cycles.scaler_stalls, 0U);
      EXPECT_EQ(fp8.counts.mantissa_multiplies, shape.multiply_adds(pass));
      EXPECT_EQ(fp8.counts.float_adds, 0U);
      EXPECT_EQ(fp8.traffic.row_buffer_reads * 7, mls.traffic.row_buffer_reads * 8);
    }
  }
}

TEST(Analytic, UnquantizedResults) {
  ArrayConfig config;
  const Format fp32 = BaselineFormat::kFp32;
  EXPECT_EQ(predict_pass(Pass::kForward, resnet20_layer(1), fp32, fp32, config, fp32).cycles.quantizer, 0U);
  EXPECT_EQ(predict_pass(Pass::kForward, resnet20_layer(1), kE2m4, kE2m4, config, {}).cycles.quantizer, 0U);
  config.quantize_results = false;
  EXPECT_EQ(predict_pass(Pass::kForward, resnet20_layer(1), kE2m4, kE2m4, config, kE2m4).cycles.quantizer, 0U);
}

TEST(Analytic, RefusesMixedKindsOfFormats) {
  EXPECT_THAT(
      [] { predict_pass(Pass::kForward, resnet20_layer(1), kE2m4, BaselineFormat::kInt8, {}, {}); },
      testing::ThrowsMessage<std::runtime_error>(testing::HasSubstr("expected two MLS formats or two baseline")));
}

}  // namespace
}  // namespace mlsim::sim
