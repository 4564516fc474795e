#include "energy/datapath_cost.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace mlsim::energy {
namespace {

const Laws& laws() {
  static const Laws shared{find_cost_table()};
  return shared;
}

std::vector<MlsOperand> all_elements() {
  std::vector<MlsOperand> operands;
  for (int ex = 0; ex <= 4; ++ex) {
    for (int mx = ex == 0 ? 1 : 0; mx <= 10; ++mx) operands.push_back({ex, mx, 8, 1});
  }
  return operands;
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

TEST(MlsDatapath, WidthsOfEqualOperands) {
  const MlsDatapath e2m4{{2, 4}, {2, 4}};
  EXPECT_EQ(e2m4.left.code_bits(), 7);
  EXPECT_EQ(e2m4.left.significand_bits(), 5);
  EXPECT_EQ(e2m4.product_bits(), 14);
  EXPECT_EQ(e2m4.shifter_stages(), 3);
  EXPECT_EQ(e2m4.exponent_adder_bits(), 2);
  EXPECT_EQ(e2m4.scaled_sum_bits(), 23);
  for (int ex = 1; ex <= 4; ++ex) EXPECT_EQ((MlsDatapath{{ex, 2}, {ex, 2}}.shifter_stages()), ex + 1);
  const MlsDatapath fixed{{0, 7, 8, 0}, {0, 7, 8, 0}};
  EXPECT_EQ(fixed.left.significand_bits(), 7);
  EXPECT_EQ(fixed.product_bits(), 14);
  EXPECT_EQ(fixed.shifter_stages(), 0);
  EXPECT_EQ(fixed.exponent_adder_bits(), 0);
  EXPECT_EQ(fixed.scaled_sum_bits(), 19);
}

TEST(MlsDatapath, StagesCoverTheLargestShift) {
  for (int left = 0; left <= 4; ++left) {
    for (int right = 0; right <= 4; ++right) {
      const MlsDatapath datapath{{left, 2}, {right, 2}};
      const int largest = (left > 0 ? (1 << left) - 2 : 0) + (right > 0 ? (1 << right) - 2 : 0);
      EXPECT_GT(1 << datapath.shifter_stages(), largest) << left << " " << right;
      EXPECT_EQ(datapath.shifter_stages(), std::max(left, right) + (left > 0 && right > 0 ? 1 : 0));
    }
  }
}

TEST(DatapathCost, PartsAddUpToTheElementLaw) {
  // Broadcast to so many elements that the operand registers vanish.
  const Surroundings broadcast{.left_fanout = 1 << 30, .right_fanout = 1 << 30};
  for (const MlsOperand& left : all_elements()) {
    for (const MlsOperand& right : all_elements()) {
      for (const int accumulator : {2, 8, 16, 19, 32, 33, 64}) {
        const MlsDatapath datapath{left, right, accumulator};
        const DatapathCost cost = price_datapath(laws(), datapath, broadcast);
        const double law =
            laws().processing_element_pj(left.significand_bits(), right.significand_bits(), datapath.shifter_stages(),
                                         datapath.product_bits(), accumulator);
        ASSERT_NEAR(element_total(cost), law, 1e-9);
      }
    }
  }
}

TEST(DatapathCost, RegisterShareIsNeverNegative) {
  const Surroundings broadcast{.left_fanout = 1 << 30, .right_fanout = 1 << 30};
  for (const MlsOperand& left : all_elements()) {
    for (const MlsOperand& right : all_elements()) {
      for (int accumulator = 2; accumulator <= 64; ++accumulator) {
        const DatapathCost cost = price_datapath(laws(), MlsDatapath{left, right, accumulator}, broadcast);
        ASSERT_GT(price_of(cost, Operation::kRegister), 0)
            << "e" << left.exponent_bits << "m" << left.mantissa_bits << " e" << right.exponent_bits << "m"
            << right.mantissa_bits << " accumulator " << accumulator;
      }
    }
  }
}

TEST(DatapathCost, RegisterShareIsNeverNegativeInAnyTable) {
  const Surroundings broadcast{.left_fanout = 1 << 30, .right_fanout = 1 << 30};
  for (const std::string_view table : shipped_cost_tables()) {
    const Laws own(find_cost_table(std::string(table)));
    for (const MlsOperand& left : all_elements()) {
      for (const MlsOperand& right : all_elements()) {
        for (const int accumulator : {2, 19, 64}) {
          const DatapathCost cost = price_datapath(own, MlsDatapath{left, right, accumulator}, broadcast);
          ASSERT_GT(price_of(cost, Operation::kRegister), 0)
              << table << ": e" << left.exponent_bits << "m" << left.mantissa_bits << " e" << right.exponent_bits << "m"
              << right.mantissa_bits << " accumulator " << accumulator;
        }
      }
    }
  }
}

TEST(DatapathCost, ATableWithoutAreasPricesNone) {
  const DatapathCost cost = price_datapath(Laws(find_cost_table("tpuv4i-7nm")), MlsDatapath{});
  EXPECT_GT(price_of(cost, Operation::kMantissaMultiply), 0);
  EXPECT_TRUE(std::isnan(cost.processing_element.total()));
  EXPECT_TRUE(std::isnan(cost.group_scale_unit.total()));
  EXPECT_TRUE(std::isnan(cost.sram_area_um2));
  EXPECT_TRUE(std::isnan(machine_area(cost, {256, 16, 1, 2, 1}).total()));
}

TEST(DatapathCost, OperandRegistersAreSharedByTheirFanout) {
  const MlsDatapath datapath{{2, 4}, {2, 1}};
  const double own = price_of(price_datapath(laws(), datapath), Operation::kRegister);
  const double shared =
      price_of(price_datapath(laws(), datapath, {.left_fanout = 16, .right_fanout = 8}), Operation::kRegister);
  EXPECT_NEAR(own - shared, 0.0051 * (7 * (1 - 1 / 16.0) + 4 * (1 - 1 / 8.0)), 1e-12);
}

TEST(DatapathCost, BaselinesPayForTheScaleThatTheyHave) {
  const auto scale = [](Baseline baseline) {
    return price_of(price_datapath(laws(), BaselineDatapath{baseline, baseline}), Operation::kTensorScale);
  };
  EXPECT_EQ(scale(Baseline::kFp32), 0);
  EXPECT_EQ(scale(Baseline::kBf16), 0);
  EXPECT_EQ(scale(Baseline::kFp16), 0.03) << "an 8-bit adder on the exponent";
  EXPECT_EQ(scale(Baseline::kFp8E5m2), 0.03);
  EXPECT_EQ(scale(Baseline::kInt8), 3.7) << "a binary32 multiplier";
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
  for (const MlsOperand& left : all_elements()) {
    for (const MlsOperand& right : all_elements()) {
      const DatapathCost cost = price_datapath(laws(), MlsDatapath{left, right, 24});
      const std::string what = "e" + std::to_string(left.exponent_bits) + "m" + std::to_string(left.mantissa_bits) +
                               " e" + std::to_string(right.exponent_bits) + "m" + std::to_string(right.mantissa_bits);
      if (left.mantissa_bits < 10) {
        MlsOperand wider = left;
        ++wider.mantissa_bits;
        expect_no_less(cost, price_datapath(laws(), MlsDatapath{wider, right, 24}), what);
        expect_no_less(price_datapath(laws(), MlsDatapath{right, left, 24}),
                       price_datapath(laws(), MlsDatapath{right, wider, 24}), what);
      }
      if (left.exponent_bits < 4) {
        MlsOperand wider = left;
        ++wider.exponent_bits;
        expect_no_less(cost, price_datapath(laws(), MlsDatapath{wider, right, 24}), what);
        expect_no_less(price_datapath(laws(), MlsDatapath{right, left, 24}),
                       price_datapath(laws(), MlsDatapath{right, wider, 24}), what);
      }
    }
  }
}

TEST(DatapathCost, RisesWithAccumulatorAndScaleWidths) {
  for (const MlsOperand& element : all_elements()) {
    for (int accumulator = 2; accumulator < 64; ++accumulator) {
      expect_no_less(price_datapath(laws(), MlsDatapath{element, element, accumulator}),
                     price_datapath(laws(), MlsDatapath{element, element, accumulator + 1}), "accumulator");
    }
  }
  for (int fraction = 0; fraction < 3; ++fraction) {
    const DatapathCost low = price_datapath(laws(), MlsDatapath{{2, 4, 8, fraction}, {2, 4, 8, 0}, 19});
    const DatapathCost high = price_datapath(laws(), MlsDatapath{{2, 4, 8, fraction + 1}, {2, 4, 8, 0}, 19});
    for (const Operation operation : {Operation::kShiftAndAdd, Operation::kConvertToFloat}) {
      EXPECT_GT(price_of(high, operation), price_of(low, operation));
    }
    EXPECT_GT(price_of(high, Operation::kQuantize), price_of(low, Operation::kQuantize));
    EXPECT_GT(high.group_scale_unit.total(), low.group_scale_unit.total());
  }
  for (int exponent = 0; exponent < 8; ++exponent) {
    EXPECT_GT(
        price_of(price_datapath(laws(), MlsDatapath{{2, 4, exponent + 1, 1}, {2, 4, 0, 1}}),
                 Operation::kGroupExponentAdd),
        price_of(price_datapath(laws(), MlsDatapath{{2, 4, exponent, 1}, {2, 4, 0, 1}}), Operation::kGroupExponentAdd));
  }
}

TEST(DatapathCost, GroupScaleUnitCostsAboutOnePointFour) {
  const DatapathCost cost = price_datapath(laws(), MlsDatapath{{2, 4}, {2, 4}, 19});
  const double logic = price_of(cost, Operation::kShiftAndAdd) + price_of(cost, Operation::kConvertToFloat) +
                       price_of(cost, Operation::kFloatAdd) - laws().registers(32).energy_pj;
  EXPECT_NEAR(logic, 1.4, 0.1);
  const DatapathCost plain = price_datapath(laws(), MlsDatapath{{2, 4, 8, 0}, {2, 4, 8, 0}, 19});
  EXPECT_EQ(price_of(plain, Operation::kShiftAndAdd), 0);
}

TEST(DatapathCost, Baselines) {
  const auto cost_of = [](Baseline left, Baseline right) {
    return price_datapath(laws(), BaselineDatapath{left, right});
  };
  const auto multiply_add = [&](Baseline baseline) {
    const DatapathCost cost = cost_of(baseline, baseline);
    return price_of(cost, Operation::kFloatMultiply) + price_of(cost, Operation::kFloatAccumulate);
  };
  EXPECT_DOUBLE_EQ(multiply_add(Baseline::kFp32), 3.7 + 0.9);
  EXPECT_DOUBLE_EQ(multiply_add(Baseline::kFp16), 1.1 + 0.9);
  EXPECT_DOUBLE_EQ(multiply_add(Baseline::kBf16), 0.66 + 0.9);
  EXPECT_DOUBLE_EQ(multiply_add(Baseline::kFp8E4m3), 0.24 + 0.9);
  EXPECT_DOUBLE_EQ(multiply_add(Baseline::kFp8E5m2), 0.185 + 0.9);

  const DatapathCost int8 = cost_of(Baseline::kInt8, Baseline::kInt8);
  EXPECT_DOUBLE_EQ(price_of(int8, Operation::kIntegerMultiply), 0.2);
  EXPECT_DOUBLE_EQ(price_of(int8, Operation::kIntegerAccumulate), 0.1);
  EXPECT_EQ(price_of(int8, Operation::kFloatMultiply), 0);
  EXPECT_NEAR(price_of(int8, Operation::kRegister), 0.0051 * (8 + 8 + 32), 1e-12);
  EXPECT_NEAR(price_of(cost_of(Baseline::kFp32, Baseline::kFp32), Operation::kRegister), 0.0051 * 96, 1e-12);

  const DatapathCost mixed = cost_of(Baseline::kFp8E4m3, Baseline::kFp8E5m2);
  EXPECT_DOUBLE_EQ(price_of(mixed, Operation::kFloatMultiply), std::sqrt(0.24 * 0.185));
  EXPECT_EQ(price_of(cost_of(Baseline::kFp32, Baseline::kFp32), Operation::kQuantize), 0);
  EXPECT_EQ(cost_of(Baseline::kFp32, Baseline::kFp32).quantizer.total(), 0);
}

TEST(DatapathCost, SumsInFp16TakeItsAdderAndAHalfRegister) {
  const BaselineDatapath in_binary32{Baseline::kFp8E4m3, Baseline::kFp8E4m3};
  const BaselineDatapath in_fp16{Baseline::kFp8E4m3, Baseline::kFp8E4m3, true};
  const DatapathCost wide = price_datapath(laws(), in_binary32);
  const DatapathCost narrow = price_datapath(laws(), in_fp16);
  EXPECT_DOUBLE_EQ(wide.price_pj[Operation::kFloatAccumulate].value, 0.9);
  EXPECT_DOUBLE_EQ(narrow.price_pj[Operation::kFloatAccumulate].value, 0.4);
  EXPECT_EQ(narrow.price_pj[Operation::kFloatMultiply], wide.price_pj[Operation::kFloatMultiply]);
  EXPECT_NEAR(wide.price_pj[Operation::kRegister].value - narrow.price_pj[Operation::kRegister].value, 16 * 0.0051,
              1e-12);
  EXPECT_NEAR(wide.processing_element.total() - narrow.processing_element.total(), 4184 - 1360 + 16 * 4.23, 1e-9);
  EXPECT_THROW(price_datapath(laws(), BaselineDatapath{Baseline::kInt8, Baseline::kInt8, true}), std::runtime_error);
}

TEST(DatapathCost, ErrorBars) {
  const DatapathCost mls = price_datapath(laws(), MlsDatapath{});
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
  const DatapathCost cost = price_datapath(laws(), MlsDatapath{}, {.buffer_bytes = 32768, .sram_bytes = 8192});
  EXPECT_DOUBLE_EQ(price_of(cost, Operation::kBufferRead), 20.0 / 64);
  EXPECT_DOUBLE_EQ(price_of(cost, Operation::kBufferWrite), 20.0 / 64);
  EXPECT_DOUBLE_EQ(price_of(cost, Operation::kSramRead), 10.0 / 64);
  EXPECT_DOUBLE_EQ(cost.operand_buffer_area_um2, laws().sram_area_um2(32768));
}

TEST(DatapathCost, AreaOfAMachine) {
  const DatapathCost cost = price_datapath(laws(), MlsDatapath{});
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
  EXPECT_EQ(sentence(MlsDatapath{{5, 4}, {2, 4}}),
            "the left operand's exponent width of the datapath is expected from 0 to 4, found 5");
  EXPECT_EQ(sentence(MlsDatapath{{2, 4}, {0, 0}}),
            "the right operand's mantissa width of the datapath is expected from 1 to 10, found 0");
  EXPECT_NE(sentence(MlsDatapath{{2, 11}, {2, 4}}), "accepted");
  EXPECT_NE(sentence(MlsDatapath{{2, 4, 9, 1}, {2, 4}}), "accepted");
  EXPECT_NE(sentence(MlsDatapath{{2, 4, 8, 4}, {2, 4}}), "accepted");
  EXPECT_NE(sentence(MlsDatapath{{2, 4}, {2, 4}, 65}), "accepted");
  EXPECT_NE(sentence(MlsDatapath{{2, 4}, {2, 4}, 1}), "accepted");
  EXPECT_NE(sentence(BaselineDatapath{Baseline::kInt8, Baseline::kFp32}), "accepted");
  EXPECT_NE(sentence(BaselineDatapath{Baseline::kFp32, Baseline::kInt8}), "accepted");
  EXPECT_NE(sentence(MlsDatapath{}, {.left_fanout = 0}), "accepted");
  EXPECT_NE(sentence(MlsDatapath{}, {.buffer_bytes = 0}), "accepted");
  EXPECT_NE(sentence(MlsDatapath{}, {.sram_bytes = std::nan("")}), "accepted");
}

TEST(MultiplyAddCounts, NameWhatTheDatapathDoes) {
  const Counts mls = multiply_add_counts(MlsDatapath{}, 9);
  EXPECT_EQ(mls[Operation::kMantissaMultiply], 9U);
  EXPECT_EQ(mls[Operation::kShift], 9U);
  EXPECT_EQ(mls[Operation::kRegister], 9U);
  EXPECT_EQ(mls[Operation::kFloatMultiply], 0U);
  const Counts fixed = multiply_add_counts(MlsDatapath{{0, 7}, {0, 7}}, 9);
  EXPECT_EQ(fixed[Operation::kExponentAdd], 0U);
  EXPECT_EQ(fixed[Operation::kShift], 0U);
  const Counts int8 = multiply_add_counts(BaselineDatapath{Baseline::kInt8, Baseline::kInt8}, 9);
  EXPECT_EQ(int8[Operation::kIntegerMultiply], 9U);
  EXPECT_EQ(int8[Operation::kIntegerAccumulate], 9U);
  const Counts fp16 = multiply_add_counts(BaselineDatapath{Baseline::kFp16, Baseline::kFp16}, 9);
  EXPECT_EQ(fp16[Operation::kFloatMultiply], 9U);
  EXPECT_EQ(fp16[Operation::kFloatAccumulate], 9U);
}

}  // namespace
}  // namespace mlsim::energy
