#include "sim/bus_widths.h"

#include <gtest/gtest.h>

#include "models/formats/format.h"

namespace mlsim::sim {
namespace {

using models::parse_scaled_format;

TEST(BusWidths, AreThoseOfTheFormats) {
  BusWidths widths;
  const models::ScaledFormat e2m4 = parse_scaled_format("e2m4/g8m1/nc");
  widths.add_pass(e2m4, e2m4, 19, 1000);
  EXPECT_EQ(widths.of("significand_3", 16), 5);
  EXPECT_EQ(widths.of("significand_3_15", 16), 5);  // of a lane with several multipliers
  EXPECT_EQ(widths.of("product_31", 32), 10);
  EXPECT_EQ(widths.of("exponent_0", 8), 2);  // 0 to 2
  EXPECT_EQ(widths.of("product", 32), 10);
  EXPECT_EQ(widths.of("shift", 8), 3);  // 0 to 4
  EXPECT_EQ(widths.of("accumulator", 64), 19);
  EXPECT_EQ(widths.of("handed_over", 64), 19);
  EXPECT_EQ(widths.of("address_12", 64), 10);  // 0 to 999
  EXPECT_EQ(widths.of("result_address_0", 64), 10);
  EXPECT_EQ(widths.of("scale_significand_0", 8), 2);  // 2 and 3
  EXPECT_EQ(widths.of("scale_exponent_0", 16), 8);    // -127 to 0
  EXPECT_EQ(widths.of("column_address_1", 64), 10);   // at the ends of the rows of a weight-stationary array
  EXPECT_EQ(widths.of("column_scale_significand", 8), 2);
  EXPECT_EQ(widths.of("column_scale_exponent", 16), 8);
  // The shift of a group-scale unit is of another width, and what is not named here has its type's.
  EXPECT_EQ(widths.of("shift", 32), 32);
  EXPECT_EQ(widths.of("partial_sum_3", 32), 32);
}

TEST(BusWidths, AreTheLargestOfARun) {
  BusWidths widths;
  widths.add_pass(parse_scaled_format("e2m1"), parse_scaled_format("e2m4"), 12, 8);
  widths.add_pass(parse_scaled_format("mxfp8-e5m2"), parse_scaled_format("mxint8"), 50, 4);
  widths.add_pass(parse_scaled_format("nvfp4"), parse_scaled_format("nvfp4"), 90, 1);
  EXPECT_EQ(widths.of("significand_0", 16), 7);      // of int8, its magnitude
  EXPECT_EQ(widths.of("significand_0_1_2", 16), 7);  // of a row, a column and a tap
  EXPECT_EQ(widths.of("exponent_0", 8), 5);
  EXPECT_EQ(widths.of("product", 32), 10);
  EXPECT_EQ(widths.of("accumulator", 64), 64);
  EXPECT_EQ(widths.of("address_0", 64), 3);
  EXPECT_EQ(widths.of("scale_significand_0", 8), 4);  // of e4m3
  widths.add_result(parse_scaled_format("e2m4"));
  widths.add_result(parse_scaled_format("mxfp8-e5m2"));
  EXPECT_EQ(widths.of("code_0", 16), 8);
  EXPECT_EQ(widths.of("packed_0", 16), 8);
}

}  // namespace
}  // namespace mlsim::sim
