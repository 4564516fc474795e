#include "models/formats/format.h"

#include <gmock/gmock.h>

#include <stdexcept>

namespace mlsim::models {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

constexpr std::int64_t kWhole = ScaleLayout::kWhole;
using Tile = std::array<std::int64_t, 4>;

Tile tile(const std::string& text, Operand operand, Pass pass) {
  return parse_scaled_format(text).of(operand, pass).layout.tile;
}

TEST(Format, FullNamesReadAsTheyAreWritten) {
  for (const char* name : {"e2m4/g8m1/nc", "e2m1/g8m0/n", "e2m1/g8m1/fit/nc", "e2m1/g8m1/b16", "e2m1/g8m1/sat/k16",
                           "e0m3/g4m3/t2x3x1", "mxfp4/k32", "mxfp8-e4m3/rceil/b32", "mxint8/even/nc", "nvfp4/k16",
                           "nvfp4/t16x16x1x1", "e2m1/g8m1/t*x2x*x1", "fp32", "fp8-e5m2", "int8"}) {
    EXPECT_EQ(to_string(parse_format(name)), name);
  }
}

TEST(Format, ShortNamesStandForFullOnes) {
  const auto full = [](const char* name) { return to_string(parse_format(name)); };
  EXPECT_EQ(full("e2m4"), "e2m4/g8m1/nc");
  EXPECT_EQ(full("mxfp4"), "mxfp4/k32");
  EXPECT_EQ(full("mxfp6-e2m3/floor"), "mxfp6-e2m3/k32");
  EXPECT_EQ(full("nvfp4"), "nvfp4/k16");
  EXPECT_EQ(full("e2m1/b16"), "e2m1/g8m1/b16");
  EXPECT_EQ(full("e2m1/fit/b16"), "e2m1/g8m1/b16");
  EXPECT_EQ(full("e2m1/t1x1x*x*"), "e2m1/g8m1/nc");
  EXPECT_EQ(full("e2m1/t1x16"), "e2m1/g8m1/t1x16");
  EXPECT_EQ(full("e2m1/b1"), "e2m1/g8m1/b1");
}

TEST(Format, TheRuleFollowsTheTiles) {
  const auto rule = [](const char* name) { return parse_scaled_format(name).rule; };
  for (const char* name : {"e2m1", "e2m1/n", "e2m1/none", "e2m1/t1x1x*x*", "e2m1/b1", "e2m1/sat/k16"}) {
    EXPECT_EQ(rule(name), ScaleRule::kSat) << name;
  }
  for (const char* name : {"e2m1/b16", "e2m1/k16", "e2m1/t1x1x1x1", "e2m1/fit", "e2m1/fit/none"}) {
    EXPECT_EQ(rule(name), ScaleRule::kFit) << name;
  }
  EXPECT_EQ(rule("mxfp4/nc"), ScaleRule::kFloor);
  EXPECT_EQ(rule("nvfp4/nc"), ScaleRule::kNvfp4);
}

TEST(Format, TilesOfOperandsAndPasses) {
  EXPECT_EQ(tile("e2m1/b16", Operand::kActivation, Pass::kForward), (Tile{1, 16, kWhole, kWhole}));
  EXPECT_EQ(tile("e2m1/b16", Operand::kError, Pass::kBackwardWeight), (Tile{1, 16, kWhole, kWhole}));
  EXPECT_EQ(tile("e2m1/b16", Operand::kWeight, Pass::kBackwardData), (Tile{16, 16, kWhole, kWhole}));
  const Tile along_1{1, 32, 1, 1};
  const Tile along_0{32, 1, 1, 1};
  EXPECT_EQ(tile("mxfp4", Operand::kActivation, Pass::kForward), along_1);
  EXPECT_EQ(tile("mxfp4", Operand::kWeight, Pass::kForward), along_1);
  EXPECT_EQ(tile("mxfp4", Operand::kError, Pass::kBackwardData), along_1);
  EXPECT_EQ(tile("mxfp4", Operand::kWeight, Pass::kBackwardData), along_0);
  EXPECT_EQ(tile("mxfp4", Operand::kError, Pass::kBackwardWeight), along_0);
  EXPECT_EQ(tile("mxfp4", Operand::kActivation, Pass::kBackwardWeight), along_0);
  for (const Operand operand : kOperands) {
    EXPECT_EQ(tile("nvfp4/t16x16x1x1", operand, Pass::kForward), (Tile{16, 16, 1, 1}));
  }
}

TEST(Format, ResultsAreQuantizedOnceForEachWayToTileThem) {
  const auto count = [](const char* name, Pass pass) { return next_formats(parse_format(name), pass).size(); };
  for (const Pass pass : kPasses) {
    EXPECT_EQ(count("e2m4", pass), 1U);
    EXPECT_EQ(count("e2m1/b16", pass), 1U);
    EXPECT_EQ(count("mxfp4", pass), 2U);
    EXPECT_EQ(count("fp32", pass), 1U);
  }
}

TEST(Format, OneNameForAllOperands) {
  const OperandFormats fp8 = parse_operand_formats("fp8");
  EXPECT_EQ(fp8[0], Format(BaselineFormat::kFp8E4m3));
  EXPECT_EQ(fp8[1], Format(BaselineFormat::kFp8E4m3));
  EXPECT_EQ(fp8[2], Format(BaselineFormat::kFp8E5m2));
  const OperandFormats mxfp8 = parse_operand_formats("mxfp8/ceil/b32");
  EXPECT_EQ(to_string(mxfp8[1]), "mxfp8-e4m3/ceil/b32");
  EXPECT_EQ(to_string(mxfp8[2]), "mxfp8-e5m2/ceil/b32");
  EXPECT_EQ(to_string(parse_operand_formats("e2m4")[2]), "e2m4/g8m1/nc");
  for (const char* name : {"fp8", "mxfp8/ceil/b32", "mxfp8/k32", "e2m4/g8m1/nc", "int8"}) {
    EXPECT_EQ(to_string(parse_operand_formats(name)), name);
  }
  EXPECT_EQ(to_string(OperandFormats{fp8[0], fp8[0], fp8[0]}), "fp8-e4m3");
  EXPECT_EQ(to_string(OperandFormats{fp8[0], mxfp8[0], fp8[2]}), "fp8-e4m3+mxfp8-e4m3/ceil/b32+fp8-e5m2");
}

TEST(Format, RefusesWithASentence) {
  const auto expect = [](const char* name, const char* part) {
    EXPECT_THAT([&] { parse_format(name); }, ThrowsMessage<std::runtime_error>(HasSubstr(part))) << name;
  };
  expect("", "is neither an MLS format");
  expect("mxfp5", "is neither an MLS format");
  expect("e2m1/b0", "has blocks of 0");
  expect("e2m1/t0x1", "has a tile that is not of the form");
  expect("e2m1/t1x1x2", "has a tile of 2 positions");
  expect("e2m1/t1x1x1x1x1", "has a tile that is not of the form");
  expect("e2m1/t", "has a tile that is not of the form");
  expect("e2m1/floor", "has rule floor, expected one of sat, fit");
  expect("mxfp4/sat", "has rule sat, expected one of floor, ceil, even, rceil");
  expect("int8/b16", "expected int8 alone");
  expect("mxfp8/b16", "expected mxfp8-e4m3 or mxfp8-e5m2 here");
  expect("mxfp4/k32/floor", "is not of the form mxfp4[/RULE][/GROUPING]");
  expect("mxfp4/", "is not of the form");
  expect("mxfp4/k32/", "is not of the form");
  expect("nvfp4/even", "has rule even, expected none");
  expect("nvfp4/k016", "is not of the form");
  expect("nvfp4/k12345678901", "is not of the form");
  expect("mxfp4//k32", "is not of the form");
  expect("e2m1/fit/sat/nc", "is not of the form eXmY");
  expect("e2m1/nc/b16", "is not of the form eXmY");
  expect("e5m2", "more than 4 element exponent bits");
}

}  // namespace
}  // namespace mlsim::models
