#include "energy/datapath_cost.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "energy/quantizer_cost.h"
#include "models/convolution/convolution.h"
#include "tests/support/by_hand.h"
#include "tests/support/laws.h"
#include "tests/support/scaled_formats.h"

namespace mlsim::energy {
namespace {

using models::BaselineFormat;
using models::full_accumulator_bits;
using models::mls;
using models::parse_scaled_format;
using models::ScaledFormat;
using test::adder;
using test::kRegister;
using test::laws;

std::vector<ScaledFormat> all_elements() {
  std::vector<ScaledFormat> operands;
  for (int ex = 0; ex <= 4; ++ex) {
    for (int mx = ex == 0 ? 1 : 0; mx <= 10; ++mx) operands.push_back(mls(ex, mx));
  }
  return operands;
}

constexpr std::array<std::string_view, 7> kNamed{"mxfp4",      "mxfp6-e2m3", "mxfp6-e3m2", "mxfp8-e4m3",
                                                 "mxfp8-e5m2", "mxint8",     "nvfp4"};

std::vector<ScaledFormat> all_formats() {
  std::vector<ScaledFormat> formats = all_elements();
  for (const std::string_view name : kNamed) formats.push_back(parse_scaled_format(name));
  return formats;
}

double price_of(const DatapathCost& cost, Operation operation) {
  return cost.price_pj[operation].value;
}

double element_total(const DatapathCost& cost) {
  double sum = 0;
  for (const Operation operation : {Operation::kMantissaMultiply, Operation::kExponentAdd, Operation::kShift,
                                    Operation::kIntegerAccumulate, Operation::kRegister}) {
    sum += price_of(cost, operation);
  }
  return sum;
}

TEST(ScaledDatapath, WidthsOfEqualOperands) {
  const ScaledDatapath e2m4{mls(2, 4), mls(2, 4)};
  EXPECT_EQ(e2m4.left.element.code_bits(), 7);
  EXPECT_EQ(e2m4.left.element.significand_bits(), 5);
  EXPECT_EQ(e2m4.product_bits(), 14);
  EXPECT_EQ(e2m4.shifter_stages(), 3);
  EXPECT_EQ(e2m4.exponent_adder_bits(), 2);
  EXPECT_EQ(e2m4.scaled_sum_bits(), 23);
  for (int ex = 1; ex <= 4; ++ex) EXPECT_EQ((ScaledDatapath{mls(ex, 2), mls(ex, 2)}.shifter_stages()), ex + 1);
  const ScaledDatapath fixed{mls(0, 7, 8, 0), mls(0, 7, 8, 0)};
  EXPECT_EQ(fixed.left.element.significand_bits(), 7);
  EXPECT_EQ(fixed.product_bits(), 14);
  EXPECT_EQ(fixed.shifter_stages(), 0);
  EXPECT_EQ(fixed.exponent_adder_bits(), 0);
  EXPECT_EQ(fixed.scaled_sum_bits(), 19);
}

TEST(ScaledDatapath, StagesCoverTheLargestShift) {
  for (int left = 0; left <= 4; ++left) {
    for (int right = 0; right <= 4; ++right) {
      const ScaledDatapath datapath{mls(left, 2), mls(right, 2)};
      const int largest = (left > 0 ? (1 << left) - 2 : 0) + (right > 0 ? (1 << right) - 2 : 0);
      EXPECT_GT(1 << datapath.shifter_stages(), largest) << left << " " << right;
      EXPECT_EQ(datapath.shifter_stages(), std::max(left, right) + (left > 0 && right > 0 ? 1 : 0));
    }
  }
}

TEST(ScaledDatapath, WidthsOfOcpElements) {
  const auto square = [](std::string_view name) {
    return ScaledDatapath{parse_scaled_format(name), parse_scaled_format(name)};
  };
  struct Widths {
    std::string_view name;
    int significand, product, exponent_adder, stages, scaled_sum;
  };
  for (const Widths& widths :
       {Widths{"mxfp4", 2, 8, 2, 3, 19}, Widths{"mxfp6-e2m3", 4, 12, 2, 3, 19}, Widths{"mxfp6-e3m2", 3, 18, 3, 4, 19},
        Widths{"mxfp8-e4m3", 4, 36, 4, 5, 19}, Widths{"mxfp8-e5m2", 3, 64, 5, 6, 19}, Widths{"mxint8", 7, 14, 0, 0, 19},
        Widths{"nvfp4", 2, 8, 2, 3, 27}}) {
    const ScaledDatapath datapath = square(widths.name);
    EXPECT_EQ(datapath.left.element.significand_bits(), widths.significand) << widths.name;
    EXPECT_EQ(datapath.product_bits(), widths.product) << widths.name;
    EXPECT_EQ(datapath.exponent_adder_bits(), widths.exponent_adder) << widths.name;
    EXPECT_EQ(datapath.shifter_stages(), widths.stages) << widths.name;
    EXPECT_EQ(datapath.scaled_sum_bits(), widths.scaled_sum) << widths.name;
    // The largest element is shifted furthest.
    const int largest = 2 * (datapath.left.element.integer_bits() - widths.significand);
    EXPECT_GT(1 << widths.stages, largest) << widths.name;
  }
  EXPECT_EQ((ScaledDatapath{parse_scaled_format("mxfp8-e4m3"), parse_scaled_format("mxfp8-e5m2")}.product_bits()), 50);
  EXPECT_EQ((ScaledDatapath{parse_scaled_format("nvfp4"), parse_scaled_format("mxfp4")}.scaled_sum_bits()), 23);
}

TEST(DatapathCost, PartsAddUpToTheElementLaw) {
  // Broadcast to so many elements that the operand registers vanish.
  const Surroundings broadcast{.left_fanout = 1 << 30, .right_fanout = 1 << 30};
  for (const ScaledFormat& left : all_formats()) {
    for (const ScaledFormat& right : all_formats()) {
      for (const int accumulator : {2, 8, 16, 19, 32, 33, 64, 65, 128}) {
        const ScaledDatapath datapath{left, right, accumulator};
        const DatapathCost cost = price_datapath(laws(), datapath, broadcast);
        const double law =
            laws().processing_element_pj(left.element.significand_bits(), right.element.significand_bits(),
                                         datapath.shifter_stages(), datapath.product_bits(), accumulator);
        ASSERT_NEAR(element_total(cost), law, 1e-9);
      }
    }
  }
}

TEST(DatapathCost, RegisterShareIsNeverNegative) {
  const Surroundings broadcast{.left_fanout = 1 << 30, .right_fanout = 1 << 30};
  for (const ScaledFormat& left : all_formats()) {
    for (const ScaledFormat& right : all_formats()) {
      for (int accumulator = 2; accumulator <= 128; ++accumulator) {
        const DatapathCost cost = price_datapath(laws(), ScaledDatapath{left, right, accumulator}, broadcast);
        ASSERT_GT(price_of(cost, Operation::kRegister), 0)
            << to_string(left) << " " << to_string(right) << " accumulator " << accumulator;
      }
    }
  }
}

TEST(DatapathCost, RegisterShareIsNeverNegativeInAnyTable) {
  const Surroundings broadcast{.left_fanout = 1 << 30, .right_fanout = 1 << 30};
  for (const std::string_view table : shipped_cost_tables()) {
    const Laws own(find_cost_table(std::string(table)));
    for (const ScaledFormat& left : all_formats()) {
      for (const ScaledFormat& right : all_formats()) {
        for (const int accumulator : {2, 19, 64, 128}) {
          const DatapathCost cost = price_datapath(own, ScaledDatapath{left, right, accumulator}, broadcast);
          ASSERT_GT(price_of(cost, Operation::kRegister), 0)
              << table << ": " << to_string(left) << " " << to_string(right) << " accumulator " << accumulator;
        }
      }
    }
  }
}

// <2,4> with four multipliers: products of 14 bits and a sign, so adders of 15, 15 and 16 bits.
TEST(DatapathCost, AnElementOfSeveralMultipliersByHand) {
  const ScaledDatapath datapath{mls(2, 4), mls(2, 4), 19, 4};
  const DatapathCost cost = price_datapath(laws(), datapath);
  const double adder_15 = 0.03 + 7 * 0.02 / 8;
  const double adder_19 = 0.05 + 3 * 0.05 / 16;
  EXPECT_NEAR(price_of(cost, Operation::kMantissaMultiply), 0.2 * 20 / 56, 1e-12);
  EXPECT_NEAR(price_of(cost, Operation::kExponentAdd), 0.0075, 1e-12);
  EXPECT_NEAR(price_of(cost, Operation::kShift), 0.0675, 1e-12);
  EXPECT_NEAR(price_of(cost, Operation::kTreeAdd), (2 * adder_15 + 0.05) / 3, 1e-12);
  EXPECT_NEAR(price_of(cost, Operation::kIntegerAccumulate), adder_19, 1e-12);
  EXPECT_NEAR(price_of(cost, Operation::kAccumulatorRegister), 0.0066 * 19 - adder_19, 1e-12);
  const double product = 1.4 * 0.2 * 20 / 56 + 0.0023 * 10 * 3 + 0.0014 * 14;
  EXPECT_NEAR(price_of(cost, Operation::kRegister),
              product - (0.2 * 20 / 56 + 0.0075 + 0.0675) + 0.0016 * 14 + 14 * 0.0051, 1e-12);
  const DatapathCost one = price_datapath(laws(), ScaledDatapath{mls(2, 4), mls(2, 4), 19});
  const auto area = [](const DatapathCost& of, std::string_view name) {
    double sum = 0;
    for (const AreaBlock& block : of.processing_element.blocks) sum += block.name == name ? block.area_um2 : 0;
    return sum;
  };
  for (const std::string_view block : {"multiplier", "exponent_adder", "shifter", "operand_registers"}) {
    EXPECT_NEAR(area(cost, block), 4 * area(one, block), 1e-9) << block;
  }
  for (const std::string_view block : {"accumulator_adder", "accumulator_register", "sum_register"}) {
    EXPECT_NEAR(area(cost, block), area(one, block), 1e-9) << block;
  }
  EXPECT_NEAR(area(cost, "adder_tree"), 2 * (36 + 7 * 31.0 / 8) + 67, 1e-9);
  EXPECT_EQ(area(one, "adder_tree"), 0);
  EXPECT_NEAR(area(cost, "sign_and_clear"), 19 + 4 * 14, 1e-9);
}

// The tree of any number of inputs has one adder less, and a narrow accumulator an adder that takes the tree's sum.
TEST(DatapathCost, TreesOfAnyWidth) {
  const auto adder = [](int bits) { return laws().adder(bits).energy_pj; };
  const auto price = [&](int multipliers, int accumulator, Operation operation) {
    return price_of(price_datapath(laws(), ScaledDatapath{mls(2, 1), mls(2, 1), accumulator, multipliers}), operation);
  };
  // Products of 8 bits. Five inputs: 2 adders of 9 bits, 1 of 10, 1 of 11.
  EXPECT_NEAR(price(5, 13, Operation::kTreeAdd), (2 * adder(9) + adder(10) + adder(11)) / 4, 1e-12);
  EXPECT_NEAR(price(2, 13, Operation::kTreeAdd), adder(9), 1e-12);
  EXPECT_NEAR(price(32, 13, Operation::kTreeAdd),
              (16 * adder(9) + 8 * adder(10) + 4 * adder(11) + 2 * adder(12) + adder(13)) / 31, 1e-12);
  EXPECT_EQ(price(1, 13, Operation::kTreeAdd), 0);
  EXPECT_EQ(price(1, 13, Operation::kAccumulatorRegister), 0);
  EXPECT_NEAR(price(5, 13, Operation::kIntegerAccumulate), adder(13), 1e-12);
  EXPECT_NEAR(price(5, 8, Operation::kIntegerAccumulate), adder(12), 1e-12);
  EXPECT_NEAR(price(5, 8, Operation::kAccumulatorRegister), 0.0066 * 8 - adder(8), 1e-12);
  // Two's complement products of 16 bits, and floats, which all have the same adder.
  const auto of_baseline = [&](BaselineFormat format, Operation operation) {
    return price_of(price_datapath(laws(), BaselineDatapath{format, format, false, 4}), operation);
  };
  EXPECT_NEAR(of_baseline(BaselineFormat::kInt8, Operation::kTreeAdd), (2 * adder(16) + adder(17)) / 3, 1e-12);
  EXPECT_NEAR(of_baseline(BaselineFormat::kInt8, Operation::kIntegerAccumulate), adder(32), 1e-12);
  EXPECT_EQ(of_baseline(BaselineFormat::kFp16, Operation::kTreeAdd), 0);
  EXPECT_NEAR(of_baseline(BaselineFormat::kFp16, Operation::kFloatAccumulate), 0.9, 1e-12);
  EXPECT_NEAR(of_baseline(BaselineFormat::kFp16, Operation::kAccumulatorRegister), 32 * 0.0051, 1e-12);
  EXPECT_NEAR(of_baseline(BaselineFormat::kFp16, Operation::kRegister), 2 * 16 * 0.0051, 1e-12);
}

TEST(DatapathCost, NoShareOfSeveralMultipliersIsNegativeInAnyTable) {
  const Surroundings broadcast{.left_fanout = 1 << 30, .right_fanout = 1 << 30};
  for (const std::string_view table : shipped_cost_tables()) {
    const Laws own(find_cost_table(std::string(table)));
    for (const ScaledFormat& left : all_formats()) {
      for (const ScaledFormat& right : all_formats()) {
        for (const int accumulator : {2, 19, 64, 128}) {
          const DatapathCost cost = price_datapath(own, ScaledDatapath{left, right, accumulator, 8}, broadcast);
          ASSERT_GT(price_of(cost, Operation::kRegister), 0) << table << ": " << to_string(left) << to_string(right);
          ASSERT_GT(price_of(cost, Operation::kAccumulatorRegister), 0) << table << ": " << accumulator;
          ASSERT_GT(price_of(cost, Operation::kTreeAdd), 0) << table << ": " << to_string(left) << to_string(right);
        }
      }
    }
  }
}

// Zeros save what is done for a product; the tree and the accumulator take them as others.
TEST(DatapathCost, ZerosOfSeveralMultipliers) {
  const ScaledDatapath datapath{mls(2, 4), mls(2, 4), 19, 4};
  for (const bool gating : {false, true}) {
    const DatapathCost cost = price_datapath(laws(), datapath, {.zero_gating = gating});
    for (const Operation operation : {Operation::kMantissaMultiply, Operation::kExponentAdd, Operation::kShift}) {
      EXPECT_NEAR(cost.zero_price_pj[operation].value, price_of(cost, operation) * (gating ? 0 : kZeroShareMls), 1e-12);
    }
    EXPECT_LT(cost.zero_price_pj[Operation::kRegister].value, price_of(cost, Operation::kRegister));
    for (const Operation operation :
         {Operation::kTreeAdd, Operation::kIntegerAccumulate, Operation::kAccumulatorRegister}) {
      EXPECT_EQ(cost.zero_price_pj[operation].value, price_of(cost, operation));
    }
  }
  // Each product that is held is a zero for the tree: a gate for each of its bits.
  const auto zero_register = [&](const ScaledDatapath& of) {
    return price_datapath(laws(), of, {.zero_gating = true}).zero_price_pj[Operation::kRegister].value;
  };
  EXPECT_NEAR(zero_register(datapath) - zero_register({mls(2, 4), mls(2, 4), 19}), 14 * 0.0009, 1e-12);
}

TEST(DatapathCost, ATableWithoutAreasPricesNone) {
  const DatapathCost cost = price_datapath(Laws(find_cost_table("tpuv4i-7nm")), ScaledDatapath{});
  EXPECT_GT(price_of(cost, Operation::kMantissaMultiply), 0);
  EXPECT_TRUE(std::isnan(cost.processing_element.total()));
  EXPECT_TRUE(std::isnan(cost.group_scale_unit.total()));
  EXPECT_TRUE(std::isnan(cost.sram_area_um2));
  EXPECT_TRUE(std::isnan(machine_area(cost, {256, 16, 1, 2, 1}).total()));
}

TEST(DatapathCost, OperandRegistersAreSharedByTheirFanout) {
  const ScaledDatapath datapath{mls(2, 4), mls(2, 1)};
  const double own = price_of(price_datapath(laws(), datapath), Operation::kRegister);
  const double shared =
      price_of(price_datapath(laws(), datapath, {.left_fanout = 16, .right_fanout = 8}), Operation::kRegister);
  EXPECT_NEAR(own - shared, 0.0051 * (7 * (1 - 1 / 16.0) + 4 * (1 - 1 / 8.0)), 1e-12);
}

TEST(DatapathCost, BaselinesPayForTheScaleThatTheyHave) {
  const auto scale = [](BaselineFormat baseline) {
    return price_of(price_datapath(laws(), BaselineDatapath{baseline, baseline}), Operation::kTensorScale);
  };
  EXPECT_EQ(scale(BaselineFormat::kFp32), 0);
  EXPECT_EQ(scale(BaselineFormat::kBf16), 0);
  EXPECT_EQ(scale(BaselineFormat::kFp16), 0.03) << "an 8-bit adder on the exponent";
  EXPECT_EQ(scale(BaselineFormat::kFp8E5m2), 0.03);
  EXPECT_EQ(scale(BaselineFormat::kInt8), 3.7) << "a binary32 multiplier";
}

// Every price and every area of one datapath is at least that of another.
void expect_no_less(const DatapathCost& low, const DatapathCost& high, const std::string& what) {
  for (const Operation operation :
       {Operation::kMantissaMultiply, Operation::kExponentAdd, Operation::kShift, Operation::kIntegerAccumulate,
        Operation::kGroupExponentAdd, Operation::kShiftAndAdd, Operation::kConvertToFloat, Operation::kFloatAdd,
        Operation::kTensorScale, Operation::kQuantize, Operation::kGroupQuantize, Operation::kRandomBits}) {
    ASSERT_GE(price_of(high, operation), price_of(low, operation)) << what << " " << name(operation);
  }
  ASSERT_GT(element_total(high), element_total(low)) << what;
  ASSERT_GT(high.processing_element.total(), low.processing_element.total()) << what;
  ASSERT_GE(high.group_scale_unit.total(), low.group_scale_unit.total()) << what;
  ASSERT_GE(high.quantizer.total(), low.quantizer.total()) << what;
}

TEST(DatapathCost, RisesWithEveryElementWidth) {
  for (const ScaledFormat& left : all_elements()) {
    for (const ScaledFormat& right : all_elements()) {
      const DatapathCost cost = price_datapath(laws(), ScaledDatapath{left, right, 24});
      const std::string what =
          "e" + std::to_string(left.element.exponent_bits) + "m" + std::to_string(left.element.mantissa_bits) + " e" +
          std::to_string(right.element.exponent_bits) + "m" + std::to_string(right.element.mantissa_bits);
      if (left.element.mantissa_bits < 10) {
        ScaledFormat wider = left;
        ++wider.element.mantissa_bits;
        expect_no_less(cost, price_datapath(laws(), ScaledDatapath{wider, right, 24}), what);
        expect_no_less(price_datapath(laws(), ScaledDatapath{right, left, 24}),
                       price_datapath(laws(), ScaledDatapath{right, wider, 24}), what);
      }
      if (left.element.exponent_bits < 4) {
        ScaledFormat wider = left;
        ++wider.element.exponent_bits;
        expect_no_less(cost, price_datapath(laws(), ScaledDatapath{wider, right, 24}), what);
        expect_no_less(price_datapath(laws(), ScaledDatapath{right, left, 24}),
                       price_datapath(laws(), ScaledDatapath{right, wider, 24}), what);
      }
    }
  }
}

TEST(DatapathCost, RisesWithAccumulatorAndScaleWidths) {
  for (const ScaledFormat& element : all_elements()) {
    for (int accumulator = 2; accumulator < 64; ++accumulator) {
      expect_no_less(price_datapath(laws(), ScaledDatapath{element, element, accumulator}),
                     price_datapath(laws(), ScaledDatapath{element, element, accumulator + 1}), "accumulator");
    }
  }
  for (int fraction = 0; fraction < 3; ++fraction) {
    const DatapathCost low = price_datapath(laws(), ScaledDatapath{mls(2, 4, 8, fraction), mls(2, 4, 8, 0), 19});
    const DatapathCost high = price_datapath(laws(), ScaledDatapath{mls(2, 4, 8, fraction + 1), mls(2, 4, 8, 0), 19});
    for (const Operation operation : {Operation::kShiftAndAdd, Operation::kConvertToFloat}) {
      EXPECT_GT(price_of(high, operation), price_of(low, operation));
    }
    EXPECT_GT(price_of(high, Operation::kQuantize), price_of(low, Operation::kQuantize));
    EXPECT_GT(high.group_scale_unit.total(), low.group_scale_unit.total());
  }
  for (int exponent = 0; exponent < 8; ++exponent) {
    EXPECT_GT(price_of(price_datapath(laws(), ScaledDatapath{mls(2, 4, exponent + 1, 1), mls(2, 4, 0, 1)}),
                       Operation::kGroupExponentAdd),
              price_of(price_datapath(laws(), ScaledDatapath{mls(2, 4, exponent, 1), mls(2, 4, 0, 1)}),
                       Operation::kGroupExponentAdd));
  }
}

TEST(DatapathCost, GroupScaleUnitCostsAboutOnePointFour) {
  const DatapathCost cost = price_datapath(laws(), ScaledDatapath{mls(2, 4), mls(2, 4), 19});
  const double logic = price_of(cost, Operation::kShiftAndAdd) + price_of(cost, Operation::kConvertToFloat) +
                       price_of(cost, Operation::kFloatAdd) - laws().registers(32).energy_pj;
  EXPECT_NEAR(logic, 1.4, 0.1);
  const DatapathCost plain = price_datapath(laws(), ScaledDatapath{mls(2, 4, 8, 0), mls(2, 4, 8, 0), 19});
  EXPECT_EQ(price_of(plain, Operation::kShiftAndAdd), 0);
}

// Both operands of one format, with the accumulator of so many taps a group.
ScaledDatapath of_taps(std::string_view name, std::int64_t taps) {
  const ScaledFormat format = parse_scaled_format(name);
  return {format, format, full_accumulator_bits(format.element, format.element, taps)};
}

struct ByHand {
  std::string_view name;
  std::int64_t taps;
  int accumulator;
  double multiply, exponent, shift;
  double law;     // of the element, both operands' registers besides
  int code_bits;  // of both
  double scale_exponent, fractions, convert, tensor_scale;
};

TEST(DatapathCost, OcpFormatsByHand) {
  // A tile's groups have 32 taps, those of nvfp4 16.
  for (const ByHand& hand :
       {ByHand{"mxfp4", 32, 14, 0.2 * 2 / 56, adder(2), 0.00225 * 4 * 3,
               1.4 * 0.2 * 2 / 56 + 0.0023 * 4 * 3 + 0.0014 * 8 + 0.0066 * 14, 8, adder(8), 0,
               adder(14) + 0.0016 * 14 + 0.00225 * 14 * 4 + adder(8), 0},
        ByHand{"mxfp8-e4m3", 32, 42, 0.2 * 12 / 56, adder(4), 0.00225 * 8 * 5,
               1.4 * 0.2 * 12 / 56 + 0.0023 * 8 * 5 + 0.0014 * 36 + 0.0066 * 42, 16, adder(8), 0,
               adder(42) + 0.0016 * 42 + 0.00225 * 42 * 6 + adder(8) + adder(24), 0},
        ByHand{"mxint8", 32, 20, 0.2 * 42 / 56, 0, 0, 1.4 * 0.2 * 42 / 56 + 0.0014 * 14 + 0.0066 * 20, 16, adder(8), 0,
               adder(20) + 0.0016 * 20 + 0.00225 * 20 * 5 + adder(8), 0},
        ByHand{"nvfp4", 16, 13, 0.2 * 2 / 56, adder(2), 0.00225 * 4 * 3,
               1.4 * 0.2 * 2 / 56 + 0.0023 * 4 * 3 + 0.0014 * 8 + 0.0066 * 13, 8, adder(4),
               adder(14) + adder(15) + adder(16) + adder(17) + adder(18) + adder(19),
               adder(21) + 0.0016 * 21 + 0.00225 * 21 * 5 + adder(8), 3.7}}) {
    SCOPED_TRACE(hand.name);
    const ScaledDatapath datapath = of_taps(hand.name, hand.taps);
    ASSERT_EQ(datapath.accumulator_bits, hand.accumulator);
    const DatapathCost cost = price_datapath(laws(), datapath);
    EXPECT_DOUBLE_EQ(price_of(cost, Operation::kMantissaMultiply), hand.multiply);
    EXPECT_DOUBLE_EQ(price_of(cost, Operation::kExponentAdd), hand.exponent);
    EXPECT_DOUBLE_EQ(price_of(cost, Operation::kShift), hand.shift);
    EXPECT_DOUBLE_EQ(price_of(cost, Operation::kIntegerAccumulate), adder(hand.accumulator));
    EXPECT_NEAR(element_total(cost), hand.law + hand.code_bits * kRegister, 1e-12);
    EXPECT_DOUBLE_EQ(price_of(cost, Operation::kGroupExponentAdd), hand.scale_exponent);
    EXPECT_NEAR(price_of(cost, Operation::kShiftAndAdd), hand.fractions, 1e-12);
    EXPECT_NEAR(price_of(cost, Operation::kConvertToFloat), hand.convert, 1e-12);
    EXPECT_DOUBLE_EQ(price_of(cost, Operation::kFloatAdd), 0.9 + 32 * kRegister);
    EXPECT_DOUBLE_EQ(price_of(cost, Operation::kTensorScale), hand.tensor_scale);
  }
}

TEST(DatapathCost, ScalesOfPowersOfTwoAreTheCheapest) {
  // The same elements and accumulator: E8M0 beside E8M0, E4M3 beside E8M0, E4M3 beside E4M3.
  const ScaledFormat mx = parse_scaled_format("mxfp4");
  const ScaledFormat nv = parse_scaled_format("nvfp4");
  const DatapathCost low = price_datapath(laws(), ScaledDatapath{mx, mx, 14});
  const DatapathCost middle = price_datapath(laws(), ScaledDatapath{nv, mx, 14});
  const DatapathCost high = price_datapath(laws(), ScaledDatapath{nv, nv, 14});
  const auto use = [](const DatapathCost& cost) {
    return price_of(cost, Operation::kGroupExponentAdd) + price_of(cost, Operation::kShiftAndAdd) +
           price_of(cost, Operation::kConvertToFloat) + price_of(cost, Operation::kFloatAdd);
  };
  EXPECT_EQ(price_of(low, Operation::kShiftAndAdd), 0);
  EXPECT_NEAR(price_of(middle, Operation::kShiftAndAdd), adder(15) + adder(16) + adder(17), 1e-12);
  EXPECT_LT(use(low), use(middle));
  EXPECT_LT(use(middle), use(high));
  EXPECT_LT(low.group_scale_unit.total(), middle.group_scale_unit.total());
  EXPECT_LT(middle.group_scale_unit.total(), high.group_scale_unit.total());
  EXPECT_EQ(low.processing_element.total(), high.processing_element.total());
  // A side's exponent is as wide as it is, and a tensor's scale is there where one side has it.
  EXPECT_DOUBLE_EQ(price_of(middle, Operation::kGroupExponentAdd), adder(8));
  EXPECT_EQ(price_of(low, Operation::kTensorScale), 0);
  EXPECT_EQ(price_of(middle, Operation::kTensorScale), 3.7);
  EXPECT_EQ(price_of(price_datapath(laws(), ScaledDatapath{mx, mls(2, 4), 14}), Operation::kTensorScale), 3.7);
}

TEST(DatapathCost, AccumulatorsBeyond64BitsHaveAPrice) {
  const ScaledDatapath wide = of_taps("mxfp8-e5m2", 32);
  ASSERT_EQ(wide.accumulator_bits, 70);
  const DatapathCost cost = price_datapath(laws(), wide);
  EXPECT_DOUBLE_EQ(price_of(cost, Operation::kIntegerAccumulate), 0.1 * 70 / 32);
  EXPECT_NEAR(element_total(cost), 1.4 * 0.2 * 6 / 56 + 0.0023 * 6 * 6 + 0.0014 * 64 + 0.0066 * 70 + 16 * kRegister,
              1e-12);
}

TEST(DatapathCost, AMachineOfTwoSystemsQuantizesAsItsResultsAsk) {
  const ScaledFormat mx = parse_scaled_format("mxfp4");
  const ScaledDatapath mixed{mx, mls(2, 4), 19};
  const auto quantize = [&](const Surroundings& surroundings) {
    return price_of(price_datapath(laws(), mixed, surroundings), Operation::kQuantize);
  };
  EXPECT_EQ(quantize({}), quantizer_cost(laws(), mls(2, 4)).element_pj.value) << "the dearer one";
  Surroundings surroundings;
  surroundings.quantized = mx;
  EXPECT_EQ(quantize(surroundings), quantizer_cost(laws(), mx).element_pj.value);
}

TEST(DatapathCost, Baselines) {
  const auto cost_of = [](BaselineFormat left, BaselineFormat right) {
    return price_datapath(laws(), BaselineDatapath{left, right});
  };
  const auto multiply_add = [&](BaselineFormat baseline) {
    const DatapathCost cost = cost_of(baseline, baseline);
    return price_of(cost, Operation::kFloatMultiply) + price_of(cost, Operation::kFloatAccumulate);
  };
  EXPECT_DOUBLE_EQ(multiply_add(BaselineFormat::kFp32), 3.7 + 0.9);
  EXPECT_DOUBLE_EQ(multiply_add(BaselineFormat::kFp16), 1.1 + 0.9);
  EXPECT_DOUBLE_EQ(multiply_add(BaselineFormat::kBf16), 0.66 + 0.9);
  EXPECT_DOUBLE_EQ(multiply_add(BaselineFormat::kFp8E4m3), 0.24 + 0.9);
  EXPECT_DOUBLE_EQ(multiply_add(BaselineFormat::kFp8E5m2), 0.185 + 0.9);

  const DatapathCost int8 = cost_of(BaselineFormat::kInt8, BaselineFormat::kInt8);
  EXPECT_DOUBLE_EQ(price_of(int8, Operation::kIntegerMultiply), 0.2);
  EXPECT_DOUBLE_EQ(price_of(int8, Operation::kIntegerAccumulate), 0.1);
  EXPECT_EQ(price_of(int8, Operation::kFloatMultiply), 0);
  EXPECT_NEAR(price_of(int8, Operation::kRegister), 0.0051 * (8 + 8 + 32), 1e-12);
  EXPECT_NEAR(price_of(cost_of(BaselineFormat::kFp32, BaselineFormat::kFp32), Operation::kRegister), 0.0051 * 96,
              1e-12);

  const DatapathCost mixed = cost_of(BaselineFormat::kFp8E4m3, BaselineFormat::kFp8E5m2);
  EXPECT_DOUBLE_EQ(price_of(mixed, Operation::kFloatMultiply), std::sqrt(0.24 * 0.185));
  EXPECT_EQ(price_of(cost_of(BaselineFormat::kFp32, BaselineFormat::kFp32), Operation::kQuantize), 0);
  EXPECT_EQ(cost_of(BaselineFormat::kFp32, BaselineFormat::kFp32).quantizer.total(), 0);
}

TEST(DatapathCost, SumsInFp16TakeItsAdderAndAHalfRegister) {
  const BaselineDatapath in_binary32{BaselineFormat::kFp8E4m3, BaselineFormat::kFp8E4m3};
  const BaselineDatapath in_fp16{BaselineFormat::kFp8E4m3, BaselineFormat::kFp8E4m3, true};
  const DatapathCost wide = price_datapath(laws(), in_binary32);
  const DatapathCost narrow = price_datapath(laws(), in_fp16);
  EXPECT_DOUBLE_EQ(wide.price_pj[Operation::kFloatAccumulate].value, 0.9);
  EXPECT_DOUBLE_EQ(narrow.price_pj[Operation::kFloatAccumulate].value, 0.4);
  EXPECT_EQ(narrow.price_pj[Operation::kFloatMultiply], wide.price_pj[Operation::kFloatMultiply]);
  EXPECT_NEAR(wide.price_pj[Operation::kRegister].value - narrow.price_pj[Operation::kRegister].value, 16 * 0.0051,
              1e-12);
  EXPECT_NEAR(wide.processing_element.total() - narrow.processing_element.total(), 4184 - 1360 + 16 * 4.23, 1e-9);
  EXPECT_THROW(price_datapath(laws(), BaselineDatapath{BaselineFormat::kInt8, BaselineFormat::kInt8, true}),
               std::runtime_error);
}

TEST(DatapathCost, ErrorBars) {
  const DatapathCost mls = price_datapath(laws(), ScaledDatapath{});
  const Range multiply = mls.price_pj[Operation::kMantissaMultiply];
  EXPECT_DOUBLE_EQ(multiply.low, 0.8 * multiply.value);
  EXPECT_DOUBLE_EQ(multiply.high, 1.2 * multiply.value);
  const Range shift = mls.price_pj[Operation::kShift];
  EXPECT_DOUBLE_EQ(shift.low, 0.65 * shift.value);
  EXPECT_DOUBLE_EQ(shift.high, 1.35 * shift.value);
  const DatapathCost fp32 = price_datapath(laws(), BaselineDatapath{});
  const Range product = fp32.price_pj[Operation::kFloatMultiply];
  EXPECT_DOUBLE_EQ(product.low, 3.7 / 1.5);
  EXPECT_DOUBLE_EQ(product.high, 3.7 * 1.5);
  EXPECT_DOUBLE_EQ(fp32.price_pj[Operation::kDramRead].low, 1300.0 / 64);
  EXPECT_DOUBLE_EQ(fp32.price_pj[Operation::kDramWrite].high, 2600.0 / 64);
}

TEST(DatapathCost, MemoryFollowsItsCapacity) {
  const DatapathCost cost = price_datapath(laws(), ScaledDatapath{}, {.buffer_bytes = 32768, .sram_bytes = 8192});
  EXPECT_DOUBLE_EQ(price_of(cost, Operation::kBufferRead), 20.0 / 64);
  EXPECT_DOUBLE_EQ(price_of(cost, Operation::kBufferWrite), 20.0 / 64);
  EXPECT_DOUBLE_EQ(price_of(cost, Operation::kSramRead), 10.0 / 64);
  EXPECT_DOUBLE_EQ(cost.operand_buffer_area_um2, laws().sram_area_um2(32768));
}

TEST(DatapathCost, AreaOfAMachine) {
  const DatapathCost cost = price_datapath(laws(), ScaledDatapath{});
  const UnitArea machine =
      machine_area(cost, {.processing_elements = 256, .group_scale_units = 32, .operand_buffers = 2});
  ASSERT_EQ(machine.blocks.size(), 3U);
  EXPECT_EQ(machine.blocks[0].name, "processing_elements");
  EXPECT_DOUBLE_EQ(machine.total(), 256 * cost.processing_element.total() + 32 * cost.group_scale_unit.total() +
                                        2 * cost.operand_buffer_area_um2);
}

TEST(DatapathCost, RefusesNumbersOutOfRange) {
  const auto sentence = [](const Datapath& datapath, const Surroundings& surroundings = {}) -> std::string {
    try {
      price_datapath(laws(), datapath, surroundings);
    } catch (const std::runtime_error& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_EQ(sentence(ScaledDatapath{mls(5, 4), mls(2, 4)}),
            "the left operand's exponent width of the datapath is expected from 0 to 4, found 5");
  EXPECT_EQ(sentence(ScaledDatapath{mls(2, 4), mls(0, 0)}),
            "the right operand's mantissa width of the datapath is expected from 1 to 10, found 0");
  EXPECT_NE(sentence(ScaledDatapath{mls(2, 11), mls(2, 4)}), "accepted");
  EXPECT_NE(sentence(ScaledDatapath{mls(2, 4, 9, 1), mls(2, 4)}), "accepted");
  EXPECT_NE(sentence(ScaledDatapath{mls(2, 4, 8, 4), mls(2, 4)}), "accepted");
  EXPECT_NE(sentence(ScaledDatapath{mls(2, 4), mls(2, 4), 129}), "accepted");
  EXPECT_NE(sentence(ScaledDatapath{mls(2, 4), mls(2, 4), 1}), "accepted");
  EXPECT_NE(sentence(ScaledDatapath{mls(2, 4), mls(2, 4), 19, 0}), "accepted");
  EXPECT_NE(sentence(BaselineDatapath{BaselineFormat::kInt8, BaselineFormat::kFp32}), "accepted");
  EXPECT_NE(sentence(BaselineDatapath{BaselineFormat::kFp32, BaselineFormat::kInt8}), "accepted");
  EXPECT_NE(sentence(ScaledDatapath{}, {.left_fanout = 0}), "accepted");
  EXPECT_NE(sentence(ScaledDatapath{}, {.buffer_bytes = 0}), "accepted");
  EXPECT_NE(sentence(ScaledDatapath{}, {.sram_bytes = std::nan("")}), "accepted");
}

TEST(MultiplyAddCounts, NameWhatTheDatapathDoes) {
  const Counts scaled = multiply_add_counts(ScaledDatapath{}, 9);
  EXPECT_EQ(scaled[Operation::kMantissaMultiply], 9U);
  EXPECT_EQ(scaled[Operation::kShift], 9U);
  EXPECT_EQ(scaled[Operation::kRegister], 9U);
  EXPECT_EQ(scaled[Operation::kFloatMultiply], 0U);
  const Counts fixed = multiply_add_counts(ScaledDatapath{mls(0, 7), mls(0, 7)}, 9);
  EXPECT_EQ(fixed[Operation::kExponentAdd], 0U);
  EXPECT_EQ(fixed[Operation::kShift], 0U);
  const Counts int8 = multiply_add_counts(BaselineDatapath{BaselineFormat::kInt8, BaselineFormat::kInt8}, 9);
  EXPECT_EQ(int8[Operation::kIntegerMultiply], 9U);
  EXPECT_EQ(int8[Operation::kIntegerAccumulate], 9U);
  const Counts dot = multiply_add_counts(ScaledDatapath{mls(2, 4), mls(2, 4), 19, 4}, 9, 3);
  EXPECT_EQ(dot[Operation::kMantissaMultiply], 9U);
  EXPECT_EQ(dot[Operation::kRegister], 9U);
  EXPECT_EQ(dot[Operation::kTreeAdd], 6U);
  EXPECT_EQ(dot[Operation::kIntegerAccumulate], 3U);
  EXPECT_EQ(dot[Operation::kAccumulatorRegister], 3U);
  EXPECT_EQ(scaled[Operation::kTreeAdd], 0U);
  EXPECT_EQ(scaled[Operation::kAccumulatorRegister], 0U);
  const Counts dot_fp16 =
      multiply_add_counts(BaselineDatapath{BaselineFormat::kFp16, BaselineFormat::kFp16, false, 4}, 9, 3);
  EXPECT_EQ(dot_fp16[Operation::kFloatAccumulate], 9U);
  EXPECT_EQ(dot_fp16[Operation::kTreeAdd], 0U);
  EXPECT_EQ(dot_fp16[Operation::kAccumulatorRegister], 3U);
  const Counts fp16 = multiply_add_counts(BaselineDatapath{BaselineFormat::kFp16, BaselineFormat::kFp16}, 9);
  EXPECT_EQ(fp16[Operation::kFloatMultiply], 9U);
  EXPECT_EQ(fp16[Operation::kFloatAccumulate], 9U);
}

}  // namespace
}  // namespace mlsim::energy
