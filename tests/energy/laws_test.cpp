#include "energy/laws.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace mlsim::energy {
namespace {

using models::BaselineFormat;

class LawsTest : public ::testing::Test {
 protected:
  Laws laws{find_cost_table()};
};

// Laws that hold for every table.
class EveryTable : public ::testing::TestWithParam<std::string_view> {
 protected:
  Laws laws{find_cost_table(std::string(GetParam()))};

  // Neither energy nor area falls from one to the next; both rise where `strictly`. Where there are no areas, none is
  // priced.
  void expect_rising(const Cost& low, const Cost& high, bool strictly = true) const {
    if (strictly) {
      EXPECT_GT(high.energy_pj, low.energy_pj);
    } else {
      EXPECT_GE(high.energy_pj, low.energy_pj);
    }
    if (!laws.table().has_area) {
      EXPECT_TRUE(std::isnan(high.area_um2));
    } else if (strictly) {
      EXPECT_GT(high.area_um2, low.area_um2);
    } else {
      EXPECT_GE(high.area_um2, low.area_um2);
    }
  }

  void expect_equal(const Cost& left, const Cost& right) const {
    EXPECT_DOUBLE_EQ(left.energy_pj, right.energy_pj);
    if (laws.table().has_area) {
      EXPECT_DOUBLE_EQ(left.area_um2, right.area_um2);
    }
  }
};

std::string suffix(const ::testing::TestParamInfo<std::string_view>& parameter) {
  std::string name(parameter.param);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Shipped, EveryTable, ::testing::ValuesIn(shipped_cost_tables()), suffix);

void expect_cost(const Cost& cost, double energy_pj, double area_um2) {
  EXPECT_DOUBLE_EQ(cost.energy_pj, energy_pj);
  EXPECT_DOUBLE_EQ(cost.area_um2, area_um2);
}

TEST_F(LawsTest, ExactAtThePublishedPoints) {
  expect_cost(laws.adder(8), 0.03, 36);
  expect_cost(laws.adder(16), 0.05, 67);
  expect_cost(laws.adder(32), 0.1, 137);
  expect_cost(laws.multiplier(8, 8), 0.2, 282);
  expect_cost(laws.multiplier(32, 32), 3.1, 3495);
  expect_cost(laws.float_adder(BaselineFormat::kFp16), 0.4, 1360);
  expect_cost(laws.float_adder(BaselineFormat::kFp32), 0.9, 4184);
  expect_cost(laws.float_multiplier(BaselineFormat::kFp16), 1.1, 1640);
  expect_cost(laws.float_multiplier(BaselineFormat::kFp32), 3.7, 7700);
  EXPECT_DOUBLE_EQ(laws.sram_access_pj(8192, 64), 10);
  EXPECT_DOUBLE_EQ(laws.sram_access_pj(32768, 64), 20);
  EXPECT_DOUBLE_EQ(laws.sram_access_pj(1048576, 64), 100);
  EXPECT_DOUBLE_EQ(laws.dram_access_pj(64).low, 1300);
  EXPECT_DOUBLE_EQ(laws.dram_access_pj(64).value, 1950);
  EXPECT_DOUBLE_EQ(laws.dram_access_pj(64).high, 2600);
  // Laws of any width at the widths of the named formats.
  expect_cost(laws.float_multiplier(10, 16), 1.1, 1640);
  expect_cost(laws.float_multiplier(23, 32), 3.7, 7700);
  expect_cost(laws.float_adder(10), 0.4, 1360);
  expect_cost(laws.float_adder(23), 0.9, 4184);
}

TEST_F(LawsTest, ExactAtTheScaledFigures) {
  expect_cost(laws.float_multiplier(BaselineFormat::kBf16), 0.66, 1080);
  expect_cost(laws.float_adder(BaselineFormat::kBf16), 0.33, 1265);
  expect_cost(laws.float_multiplier(BaselineFormat::kFp8E4m3), 0.24, 375);
  expect_cost(laws.float_adder(BaselineFormat::kFp8E4m3), 0.185, 635);
  expect_cost(laws.float_multiplier(BaselineFormat::kFp8E5m2), 0.185, 290);
  expect_cost(laws.float_adder(BaselineFormat::kFp8E5m2), 0.165, 600);
}

// The constants of the published page are those of the laws through the points, rounded.
TEST_F(LawsTest, ConstantsAreTheRoundedOnes) {
  const double f = 24 * 24 - 24;
  EXPECT_NEAR(laws.multiplier(24, 24).energy_pj, 0.2 * std::pow(f / 56, 0.9535), 0.002);
  EXPECT_NEAR(laws.multiplier(24, 24).area_um2, 282 * std::pow(f / 56, 0.8757), 1);
  EXPECT_NEAR(laws.multiplier(5, 4).energy_pj, 0.2 * 15.5 / 56, 1e-12);
  EXPECT_NEAR(laws.float_multiplier(7, 16).energy_pj, 1.1 * std::pow(8 / 11.0, 1.555), 1e-3);
  EXPECT_NEAR(laws.float_multiplier(7, 16).area_um2, 13.31 * 56 + 10.97 * 16, 1);
  EXPECT_NEAR(laws.float_adder(3).energy_pj, 0.4 * std::pow(0.5, 1.235), 1e-3);
  EXPECT_NEAR(laws.float_adder(3).area_um2, 1360 * std::pow(0.5, 1.711), 1);
  expect_cost(laws.multiplier(1, 7), 7 * 0.0009, 7);
  expect_cost(laws.shifter(10, 3), 0.0675, 51.9);
  EXPECT_DOUBLE_EQ(laws.registers(10).energy_pj, 0.051);
  EXPECT_DOUBLE_EQ(laws.registers(10).area_um2, 42.3);
  expect_cost(laws.sign_and_clear(19), 19 * 0.0016, 19);
}

TEST_P(EveryTable, IntegerBlocksRiseWithEveryWidth) {
  for (int n = 1; n <= 64; ++n) {
    expect_rising(laws.adder(n - 1), laws.adder(n));
    expect_rising(laws.registers(n - 1), laws.registers(n));
    expect_rising(laws.sign_and_clear(n - 1), laws.sign_and_clear(n));
    expect_rising(laws.integer_to_float(n), laws.integer_to_float(n + 1));
    for (int m = 1; m <= 64; ++m) {
      expect_equal(laws.multiplier(n, m), laws.multiplier(m, n));
      if (n > 1 || m > 1) expect_rising(laws.multiplier(n, m), laws.multiplier(n + 1, m));
      expect_rising(laws.divider(n, m), laws.divider(n + 1, m));
      expect_rising(laws.divider(n, m), laws.divider(n, m + 1));
    }
    for (int stages = 0; stages <= 6; ++stages) {
      expect_rising(laws.shifter(n, stages), laws.shifter(n, stages + 1));
      expect_rising(laws.shifter(n, stages), laws.shifter(n + 1, stages), stages > 0);
    }
  }
  // A 1×1 multiplier is a gate, and so less than any other.
  expect_rising(laws.multiplier(1, 1), laws.multiplier(1, 2));
}

TEST_P(EveryTable, FloatBlocksRiseWithEveryWidth) {
  for (int mantissa = 1; mantissa < 52; ++mantissa) {
    expect_rising(laws.float_adder(mantissa), laws.float_adder(mantissa + 1));
    for (int exponent = 2; exponent < 11; ++exponent) {
      const int bits = 1 + exponent + mantissa;
      expect_rising(laws.float_multiplier(mantissa, bits), laws.float_multiplier(mantissa + 1, bits + 1));
      if (laws.table().has_area) {
        EXPECT_GT(laws.float_multiplier(mantissa, bits + 1).area_um2, laws.float_multiplier(mantissa, bits).area_um2);
      }
    }
  }
  for (std::size_t i = 1; i < kFloatFormats.size(); ++i) {
    expect_rising(laws.float_multiplier(kFloatFormats[i]), laws.float_multiplier(kFloatFormats[i - 1]));
    expect_rising(laws.float_adder(kFloatFormats[i]), laws.float_adder(kFloatFormats[i - 1]));
  }
}

TEST_F(LawsTest, MixedFloatMultiplierLiesBetween) {
  const Cost mixed = laws.float_multiplier(BaselineFormat::kFp8E4m3, BaselineFormat::kFp8E5m2);
  EXPECT_DOUBLE_EQ(mixed.energy_pj, std::sqrt(0.24 * 0.185));
  EXPECT_EQ(mixed, laws.float_multiplier(BaselineFormat::kFp8E5m2, BaselineFormat::kFp8E4m3));
  EXPECT_GT(mixed.area_um2, 290);
  EXPECT_LT(mixed.area_um2, 375);
}

TEST_P(EveryTable, ExactAtEveryFigure) {
  const CostTable& table = laws.table();
  for (const WidthPoint& point : table.integer_add) expect_equal(laws.adder(point.width), point.cost);
  for (const WidthPoint& point : table.integer_multiply) {
    expect_equal(laws.multiplier(point.width, point.width), point.cost);
  }
  for (std::size_t i = 0; i < kFloatFormats.size(); ++i) {
    expect_equal(laws.float_adder(kFloatFormats[i]), table.float_add[i]);
    expect_equal(laws.float_multiplier(kFloatFormats[i]), table.float_multiply[i]);
  }
  for (const SramPoint& point : table.sram_read) {
    EXPECT_DOUBLE_EQ(laws.sram_access_pj(point.capacity_bytes, point.width), point.energy_pj);
  }
  EXPECT_EQ(laws.dram_access_pj(1), table.dram_bit_pj);
  EXPECT_EQ(std::isnan(laws.sram_area_um2(1024)), !table.has_area);
}

TEST_P(EveryTable, SramRisesWithCapacityAndBits) {
  double last = 0;
  for (int step = 0; step <= 240; ++step) {
    const double capacity = std::exp2(step / 8.0);
    const double energy = laws.sram_access_pj(capacity, 1);
    EXPECT_GE(energy, last);
    EXPECT_GE(energy, laws.registers(1).energy_pj);
    EXPECT_DOUBLE_EQ(laws.sram_access_pj(capacity, 128), 128 * energy);
    last = energy;
  }
}

TEST_F(LawsTest, SramIsASquareRootOfSmallCapacities) {
  // The square root of the capacity between 8 and 32 KB, and below.
  EXPECT_DOUBLE_EQ(laws.sram_access_pj(16384, 64), 10 * std::sqrt(2.0));
  EXPECT_DOUBLE_EQ(laws.sram_access_pj(2048, 64), 5);
  EXPECT_DOUBLE_EQ(laws.sram_area_um2(1024), 1024 * 8 * 0.346 / 0.5);
}

TEST_F(LawsTest, UserTableIsMetAtItsOwnPoints) {
  CostTable table = find_cost_table();
  table.integer_multiply.insert(table.integer_multiply.begin() + 1, {16, {1.0, 1200}});
  table.integer_add[1].cost = {0.06, 70};
  const Laws own(table);
  expect_cost(own.multiplier(8, 8), 0.2, 282);
  expect_cost(own.multiplier(16, 16), 1.0, 1200);
  expect_cost(own.multiplier(32, 32), 3.1, 3495);
  expect_cost(own.adder(16), 0.06, 70);
}

TEST_F(LawsTest, OneFigureIsProlongedInProportion) {
  CostTable table = find_cost_table();
  table.integer_multiply = {{16, {0.96, 240}}};
  table.integer_add = {{16, {0.05, 67}}};
  const Laws own(table);
  expect_cost(own.multiplier(16, 16), 0.96, 240);
  expect_cost(own.multiplier(8, 8), 0.96 * 56 / 240, 56);
  expect_cost(own.multiplier(32, 32), 0.96 * 992 / 240, 992);
  expect_cost(own.adder(8), 0.025, 33.5);
  expect_cost(own.adder(32), 0.1, 134);
}

}  // namespace
}  // namespace mlsim::energy
