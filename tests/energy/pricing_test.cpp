#include "energy/pricing.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>

#include "energy/quantizer_cost.h"
#include "models/convolution/convolution.h"
#include "tests/support/laws.h"
#include "tests/support/scaled_formats.h"

namespace mlsim::energy {
namespace {

using models::BaselineFormat;
using models::mls;
using test::laws;

// A 3×3 convolution: a use of the group-scale unit for nine multiply-adds.
Counts three_by_three(const ScaledDatapath& datapath, std::uint64_t groups) {
  Counts counts = multiply_add_counts(datapath, 9 * groups);
  for (const Operation operation :
       {Operation::kGroupExponentAdd, Operation::kShiftAndAdd, Operation::kConvertToFloat, Operation::kFloatAdd}) {
    counts[operation] = groups;
  }
  return counts;
}

TEST(Pricing, SumsAreThoseOfTheirLines) {
  const DatapathCost cost = price_datapath(laws(), ScaledDatapath{});
  Counts counts;
  std::uint64_t count = 1;
  for (const Operation operation : kOperations) counts[operation] = count++;
  const Breakdown breakdown = price(counts, cost);
  Range all;
  for (const Operation operation : kOperations) {
    EXPECT_EQ(breakdown.energy_pj[operation], cost.price_pj[operation] * static_cast<double>(counts[operation]));
    all += breakdown.energy_pj[operation];
  }
  EXPECT_EQ(breakdown.counts, PerOperation<WideCount>(counts));
  EXPECT_NEAR(breakdown.computing().value + breakdown.memory().value, all.value, 1e-9);
  EXPECT_NEAR(breakdown.computing().value, breakdown.operations_only().value + breakdown.sum(Line::kOverhead).value,
              1e-9);
  EXPECT_LT(breakdown.computing().low, breakdown.computing().value);
  EXPECT_LT(breakdown.computing().value, breakdown.computing().high);

  const Breakdown twice = breakdown + breakdown;
  EXPECT_EQ(twice.counts[Operation::kShift], 2 * counts[Operation::kShift]);
  EXPECT_DOUBLE_EQ(twice.computing().value, 2 * breakdown.computing().value);
}

TEST(Pricing, SumsGoBeyondTheirParts) {
  Counts counts;
  counts[Operation::kShift] = std::uint64_t{1} << 63;
  Breakdown sum = price(counts, price_datapath(laws(), ScaledDatapath{}));
  EXPECT_EQ(sum.counts[Operation::kShift].narrow(), std::uint64_t{1} << 63);
  sum += sum;
  EXPECT_FALSE(sum.counts[Operation::kShift].narrow());
  EXPECT_EQ(static_cast<double>(sum.counts[Operation::kShift]), 0x1p64);
  EXPECT_EQ(sum.counts[Operation::kShift].digits(), "18446744073709551616");
  EXPECT_EQ(sum.counts[Operation::kRegister].digits(), "0");
  EXPECT_EQ((WideCount(~std::uint64_t{0}) + 1).digits(), "18446744073709551616");
  EXPECT_LT(WideCount(~std::uint64_t{0}), sum.counts[Operation::kShift]);
}

// Without the operands' registers, which no zero changes.
Surroundings without_operand_registers() {
  Surroundings surroundings;
  surroundings.left_fanout = 1 << 30;
  surroundings.right_fanout = 1 << 30;
  return surroundings;
}

TEST(Pricing, HalfZerosSaveWhatWasMeasured) {
  constexpr std::uint64_t kMultiplyAdds = 1 << 20;
  const auto left_of = [&](const Datapath& datapath) {
    const DatapathCost cost = price_datapath(laws(), datapath, without_operand_registers());
    const Counts counts = multiply_add_counts(datapath, kMultiplyAdds);
    return price(counts, cost, kMultiplyAdds / 2).computing().value / price(counts, cost).computing().value;
  };
  EXPECT_NEAR(left_of(ScaledDatapath{}), 1 - 1.0 / 5, 1e-6);
  EXPECT_NEAR(left_of(ScaledDatapath{mls(0, 3), mls(1, 2), 30}), 1 - 1.0 / 5, 1e-6);
  EXPECT_NEAR(left_of(BaselineDatapath{BaselineFormat::kInt8, BaselineFormat::kInt8}), 1 - 1.0 / 3, 1e-6);
  EXPECT_NEAR(left_of(BaselineDatapath{BaselineFormat::kFp8E4m3, BaselineFormat::kFp8E5m2}), 1 - 1.0 / 5, 1e-6);
}

TEST(Pricing, ZerosChangeMultiplyAddsAlone) {
  const ScaledDatapath e2m4{mls(2, 4), mls(2, 4), 19};
  const DatapathCost cost = price_datapath(laws(), e2m4);
  Counts counts = three_by_three(e2m4, 100);
  counts[Operation::kDramRead] = 1000;
  const Breakdown dense = price(counts, cost);
  const Breakdown zeros = price(counts, cost, 300);
  for (const Operation operation : kOperations) {
    const double expected = is_of_multiply_add(operation)
                                ? 600 * cost.price_pj[operation].value + 300 * cost.zero_price_pj[operation].value
                                : dense.energy_pj[operation].value;
    EXPECT_NEAR(zeros.energy_pj[operation].value, expected, 1e-9) << name(operation);
    EXPECT_LE(zeros.energy_pj[operation].low, dense.energy_pj[operation].low);
    EXPECT_LE(zeros.energy_pj[operation].high, dense.energy_pj[operation].high);
  }
  EXPECT_EQ(price(counts, cost, 0).computing(), dense.computing());
}

TEST(Pricing, GatedElementsHoldStillForARegisterAndADetectorOfTheirOwn) {
  // <2,4>: seven bits an operand; the lanes' registers and detectors serve sixteen elements.
  const ScaledDatapath e2m4{mls(2, 4), mls(2, 4), 19};
  Surroundings shared;
  shared.left_fanout = 16;
  shared.right_fanout = 16;
  const DatapathCost plain = price_datapath(laws(), e2m4, shared);
  shared.zero_gating = true;
  const DatapathCost gated = price_datapath(laws(), e2m4, shared);
  const double lane = 14 * (0.0032 + 0.0019 + 0.0009) / 16;
  EXPECT_NEAR(gated.zero_price_pj[Operation::kRegister].value, lane, 1e-12);
  EXPECT_NEAR(gated.price_pj[Operation::kRegister].value - plain.price_pj[Operation::kRegister].value,
              14 * 0.0009 / 16 + 14 * (0.0032 + 0.0019), 1e-12);
  for (const Operation operation :
       {Operation::kMantissaMultiply, Operation::kExponentAdd, Operation::kShift, Operation::kIntegerAccumulate}) {
    EXPECT_EQ(gated.zero_price_pj[operation].value, 0) << name(operation);
    EXPECT_EQ(gated.price_pj[operation], plain.price_pj[operation]) << name(operation);
  }
  EXPECT_NEAR(gated.processing_element.total() - plain.processing_element.total(), 14 * (4.23 + 1.0 / 16), 1e-9);

  // It pays where there are zeros enough.
  const Counts counts = three_by_three(e2m4, 100);
  EXPECT_GT(price(counts, gated, 90).computing().value, price(counts, plain, 90).computing().value);
  EXPECT_LT(price(counts, gated, 450).computing().value, price(counts, plain, 450).computing().value);

  // A register that serves one element alone is itself held.
  shared.left_fanout = shared.right_fanout = 1;
  const DatapathCost own = price_datapath(laws(), e2m4, shared);
  EXPECT_NEAR(own.zero_price_pj[Operation::kRegister].value, 14 * 0.0009, 1e-12);
}

TEST(Pricing, Float32AgainstE2m4) {
  const ScaledDatapath e2m4{mls(2, 4), mls(2, 4), 19};
  const BaselineDatapath fp32{};
  const std::uint64_t groups = 1000;
  const Breakdown mls = price(three_by_three(e2m4, groups), price_datapath(laws(), e2m4));
  const Breakdown baseline = price(multiply_add_counts(fp32, 9 * groups), price_datapath(laws(), fp32));
  const Comparison comparison = compare(baseline, mls);
  ASSERT_TRUE(comparison.operations_only && comparison.computing);
  RecordProperty("operations_only", std::to_string(comparison.operations_only->value));
  RecordProperty("computing", std::to_string(comparison.computing->value));
  EXPECT_NEAR(comparison.operations_only->value, 20, 4);
  EXPECT_GT(comparison.computing->value, 6);
  EXPECT_LT(comparison.computing->value, 10);
  // Group scaling is about a third of the total of a 3×3 group.
  Range scaling;
  for (const Operation operation :
       {Operation::kGroupExponentAdd, Operation::kShiftAndAdd, Operation::kConvertToFloat, Operation::kFloatAdd}) {
    scaling += mls.energy_pj[operation];
  }
  EXPECT_NEAR(scaling.value / mls.computing().value, 1.0 / 3, 0.05);
}

TEST(Pricing, GroupScalingOfEveryProductEatsTheAdvantage) {
  const ScaledDatapath e2m4{mls(2, 4), mls(2, 4), 15};
  Counts counts = multiply_add_counts(e2m4, 1);
  for (const Operation operation :
       {Operation::kGroupExponentAdd, Operation::kShiftAndAdd, Operation::kConvertToFloat, Operation::kFloatAdd}) {
    counts[operation] = 1;
  }
  const Breakdown mls = price(counts, price_datapath(laws(), e2m4));
  const BaselineDatapath fp8{BaselineFormat::kFp8E4m3, BaselineFormat::kFp8E4m3};
  const Breakdown baseline = price(multiply_add_counts(fp8, 1), price_datapath(laws(), fp8));
  EXPECT_LT(compare(baseline, mls).computing->value, 1);
  EXPECT_GT(compare(baseline, mls).operations_only->value, 4);
}

// The row of docs/energy.md: pJ of a multiply-add in the forward pass of 64 channels, 1×1 and 3×3, and of quantizing an
// element and a tile.
std::string row_of(const std::string& name) {
  const models::ScaledFormat format = models::parse_scaled_format(name);
  std::string row = fmt::format("| `{}` |", name);
  for (const std::int64_t kernel : {1, 3}) {
    models::ConvolutionShape shape;
    shape.in_channels = shape.out_channels = 64;
    shape.in_size = shape.kernel = {kernel, kernel};
    const models::Pass forward = models::Pass::kForward;
    const std::int64_t taps = models::Reduction(forward, shape, format.of(models::Operand::kActivation, forward).layout,
                                                format.of(models::Operand::kWeight, forward).layout)
                                  .taps();
    const ScaledDatapath datapath{format, format, full_accumulator_bits(format.element, format.element, taps)};
    Counts counts = multiply_add_counts(datapath, static_cast<std::uint64_t>(taps));
    for (const Operation operation :
         {Operation::kGroupExponentAdd, Operation::kShiftAndAdd, Operation::kConvertToFloat, Operation::kFloatAdd}) {
      counts[operation] = 1;
    }
    const Breakdown group = price(counts, price_datapath(laws(), datapath));
    const auto each = static_cast<double>(taps);
    row += fmt::format(" {} | {} | {:.3f} | {:.3f} |", taps, datapath.accumulator_bits,
                       group.operations_only().value / each, group.computing().value / each);
  }
  const QuantizerCost quantizer = quantizer_cost(laws(), format);
  return row + fmt::format(" {:.2f} | {:.2f} |\n", quantizer.element_pj.value, quantizer.tile_pj.value);
}

TEST(Pricing, OfBlocksAsTheDocumentSays) {
  std::ifstream stream(MLSIM_SOURCE_DIR "/docs/energy.md");
  const std::string document{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  for (const char* name : {"e2m4/nc", "e2m4/b16", "e2m4/b32", "e2m1/nc", "e2m1/b16", "e2m1/b32", "e2m1/k16", "mxfp4",
                           "mxfp6-e2m3", "mxfp6-e3m2", "mxfp8-e4m3", "mxfp8-e5m2", "mxint8", "nvfp4"}) {
    EXPECT_THAT(document, testing::HasSubstr(row_of(name)));
  }
}

TEST(Ratio, TakesTheWorstOfBothEnds) {
  const auto result = ratio({6, 8, 12}, {1, 2, 3});
  ASSERT_TRUE(result);
  EXPECT_EQ(*result, (Range{2, 4, 12}));
  EXPECT_FALSE(ratio({1, 1, 1}, {}));
}

}  // namespace
}  // namespace mlsim::energy
