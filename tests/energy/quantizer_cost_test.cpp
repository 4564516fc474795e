#include "energy/quantizer_cost.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <string_view>

#include "tests/support/by_hand.h"
#include "tests/support/laws.h"

namespace mlsim::energy {
namespace {

using models::parse_format;
using test::adder;
using test::kRegister;
using test::laws;

QuantizerCost cost_of(std::string_view format) {
  return quantizer_cost(laws(), parse_format(format));
}

double area_of(std::string_view format) {
  double sum = 0;
  for (const QuantizerBlock& block : cost_of(format).blocks) sum += block.area_um2;
  return sum;
}

bool has_block(std::string_view format, std::string_view name) {
  for (const QuantizerBlock& block : cost_of(format).blocks) {
    if (block.name == name) return true;
  }
  return false;
}

double divider(int divisor_bits) {
  return 26 * (adder(divisor_bits + 1) + (divisor_bits + 1 + 26) * kRegister);
}

const double kMaximum = adder(31) + 31 * kRegister;
const double kDivision = divider(24) + adder(8) + adder(24);

TEST(QuantizerCost, OfMlsByHand) {
  // As published, the price of docs/energy-by-hand.md.
  const QuantizerCost sat = cost_of("e2m4/g8m1/nc");
  EXPECT_DOUBLE_EQ(sat.element_pj.value,
                   kMaximum + kDivision + adder(8) + divider(2) + adder(24) + 0.00225 * 24 * 3 + adder(5));
  EXPECT_NEAR(sat.element_pj.value, 13.577475, 1e-6);
  EXPECT_DOUBLE_EQ(sat.tile_pj.value, kDivision + adder(8) + adder(1));
  // One division more a tile, by the largest element, which has five significant bits.
  const QuantizerCost fit = cost_of("e2m4/g8m1/fit/k16");
  EXPECT_EQ(fit.element_pj, sat.element_pj);
  EXPECT_NEAR(fit.tile_pj.value, sat.tile_pj.value + adder(8) + divider(5) + adder(24), 1e-12);
  EXPECT_EQ(cost_of("e2m4/k16").tile_pj, fit.tile_pj) << "a block's own rule";
}

TEST(QuantizerCost, OfMxByHand) {
  struct Hand {
    std::string_view format;
    double element;
  };
  for (const Hand& hand : {Hand{"mxfp4", kMaximum + adder(8) + 0.00225 * 24 * 2 + adder(2)},
                           Hand{"mxfp8-e4m3", kMaximum + adder(8) + 0.00225 * 24 * 3 + adder(4)},
                           Hand{"mxint8", kMaximum + adder(8) + 0.00225 * 24 * 4 + adder(8)}}) {
    const QuantizerCost cost = cost_of(hand.format);
    EXPECT_NEAR(cost.element_pj.value, hand.element, 1e-12) << hand.format;
    EXPECT_DOUBLE_EQ(cost.tile_pj.value, adder(8)) << hand.format;
    EXPECT_DOUBLE_EQ(cost.element_pj.high, 1.35 * cost.element_pj.value) << hand.format;
  }
}

TEST(QuantizerCost, RulesOfMxTakeLittleMore) {
  EXPECT_EQ(cost_of("mxfp4/floor").tile_pj, cost_of("mxfp4").tile_pj);
  EXPECT_NEAR(cost_of("mxfp4/ceil").tile_pj.value, adder(8) + 0.0009 * 23 + adder(8), 1e-12);
  EXPECT_NEAR(cost_of("mxfp4/even").tile_pj.value, adder(8) + adder(10), 1e-12);
  EXPECT_NEAR(cost_of("mxint8/even").tile_pj.value, adder(8) + adder(15), 1e-12);
  const QuantizerCost rceil = cost_of("mxfp4/rceil");
  EXPECT_NEAR(rceil.tile_pj.value, cost_of("mxfp4/ceil").tile_pj.value + 3.7, 1e-12);
  EXPECT_NEAR(rceil.tile_pj.high, 1.2 * cost_of("mxfp4/ceil").tile_pj.value + 1.5 * 3.7, 1e-12);
  EXPECT_GT(area_of("mxfp4/rceil"), area_of("mxfp4/ceil"));
  for (const std::string_view rule : {"ceil", "even", "rceil"}) {
    EXPECT_EQ(cost_of("mxfp4/" + std::string(rule)).element_pj, cost_of("mxfp4").element_pj) << rule;
  }
}

TEST(QuantizerCost, OfNvfp4ByHand) {
  const QuantizerCost cost = cost_of("nvfp4");
  const double aligned = kMaximum + 0.00225 * 24 * 2 + adder(2);
  EXPECT_NEAR(cost.element_pj.value, aligned + 3.7, 1e-12);
  EXPECT_NEAR(cost.element_pj.low, 0.65 * aligned + 3.7 / 1.5, 1e-12);
  const double multiplications = 3.7 + std::sqrt(3.7 * 0.24);
  const double rest = 0.00225 * 24 * 3 + adder(4) + kDivision;
  EXPECT_NEAR(cost.tile_pj.value, multiplications + rest, 1e-12);
  EXPECT_NEAR(cost.tile_pj.high, 1.5 * multiplications + 1.2 * rest, 1e-12);
}

TEST(QuantizerCost, IsLeastWithoutADivider) {
  // An element with its share of a tile.
  const auto shared = [](std::string_view format, int tile) {
    const QuantizerCost cost = cost_of(format);
    return cost.element_pj.value + cost.tile_pj.value / tile;
  };
  EXPECT_LT(shared("mxfp4", 32), shared("nvfp4", 16) / 5);
  EXPECT_LT(shared("mxfp4/rceil", 32), shared("nvfp4", 16) / 5);
  EXPECT_LT(shared("nvfp4", 16), shared("e2m1/g8m0/k16", 16) / 2);
  EXPECT_LT(shared("mxfp4", 32), shared("mxfp8-e4m3", 32));
  EXPECT_LT(area_of("mxfp4"), area_of("nvfp4"));
  EXPECT_FALSE(has_block("mxfp4", "tensor_division"));
  EXPECT_FALSE(has_block("mxfp4", "scale_division"));
  EXPECT_TRUE(has_block("nvfp4", "scale_division"));
  EXPECT_TRUE(has_block("e2m4", "tensor_division"));
}

TEST(QuantizerCost, OfBaselines) {
  EXPECT_EQ(cost_of("fp32").element_pj.value, 0);
  EXPECT_TRUE(cost_of("fp32").blocks.empty());
  EXPECT_NEAR(cost_of("bf16").element_pj.value, 0.00225 * 24 * 4 + adder(8) + adder(8), 1e-12);
  EXPECT_NEAR(cost_of("fp8-e4m3").element_pj.value, kMaximum + 0.00225 * 24 * 3 + adder(8) + adder(4), 1e-12);
  EXPECT_NEAR(cost_of("int8").element_pj.value, kMaximum + kDivision + 0.00225 * 24 * 4 + adder(8), 1e-12);
  EXPECT_EQ(cost_of("int8").tile_pj.value, 0);
}

}  // namespace
}  // namespace mlsim::energy
