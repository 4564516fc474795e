#include "evaluation/array_shapes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/support/temporary_folder.h"

namespace mlsim::evaluation {
namespace {

using sim::ArrayConfig;
using sim::DataflowKind;
using testing::HasSubstr;

std::vector<std::pair<int, int>> shapes(const NamedArrays& arrays) {
  std::vector<std::pair<int, int>> shapes;
  for (const auto& [name, array] : arrays) shapes.emplace_back(array.rows, array.columns);
  return shapes;
}

double elements_of(const ArrayConfig& array) {
  return 1e6 * array.rows * array.columns;
}

TEST(ArrayShapes, OfANumberOfElements) {
  const NamedArrays arrays = arrays_of(parse_array_choice("auto:12"), {});
  EXPECT_EQ(shapes(arrays), (std::vector<std::pair<int, int>>{{1, 12}, {2, 6}, {3, 4}, {4, 3}, {6, 2}, {12, 1}}));
  EXPECT_EQ(arrays[2].first, "auto:12 3x4");
  EXPECT_EQ(arrays[2].second.elements_per_scaler, 8);
  EXPECT_EQ(arrays_of(parse_array_choice("auto:4"), {})[0].second.elements_per_scaler, 4);
  EXPECT_EQ(arrays_of(parse_array_choice("auto:256"), {}).size(), 9U);
  // 2048 rows would be too many.
  EXPECT_EQ(shapes(arrays_of(parse_array_choice("auto:1048576"), {})),
            (std::vector<std::pair<int, int>>{{1024, 1024}}));
  EXPECT_EQ(shapes(arrays_of(parse_array_choice("auto:2046"), {})).front(), (std::pair{2, 1023}));
}

TEST(ArrayShapes, OfAnArea) {
  // A mm² an element.
  EXPECT_EQ(shapes(arrays_of(parse_array_choice("auto:10.5mm2"), elements_of)),
            (std::vector<std::pair<int, int>>{{1, 10}, {2, 5}, {4, 2}, {8, 1}}));
  const auto all = shapes(arrays_of(parse_array_choice("auto:1000000mm2"), elements_of));
  EXPECT_EQ(all.size(), 11U);
  EXPECT_EQ(all.front(), (std::pair{1, 1024}));
  EXPECT_EQ(all.back(), (std::pair{1024, 976}));
}

TEST(ArrayShapes, HaveTheOtherKeysOfAFile) {
  test::TemporaryFolder folder;
  const std::string file = (folder.path() / "a.json").string();
  folder.write("a.json", R"({"quantizer_lanes": 3, "dataflow": "weight-stationary",
                             "row_feeder": {"buffer_elements": 64}, "elements_per_scaler": 2})");
  const NamedArrays arrays = arrays_of(parse_array_choice("auto:16:" + file), {});
  EXPECT_EQ(arrays.size(), 5U);
  EXPECT_EQ(arrays[0].second.quantizer_lanes, 3);
  EXPECT_EQ(arrays[0].second.dataflow, DataflowKind::kWeightStationary);
  // Buffers of a file may be too small for a shape.
  EXPECT_THAT(test::error_of([&] { arrays_of(parse_array_choice("auto:64:" + file), {}); }),
              HasSubstr("as 64x1: /row_feeder/buffer_elements: is 64, expected 128"));
  EXPECT_EQ(shapes(arrays_of(parse_array_choice("auto:100mm2:" + file), elements_of)).back(), (std::pair{32, 3}));
}

TEST(ArrayShapes, EveryDataflow) {
  const std::vector<DataflowKind> both{DataflowKind::kOutputStationary, DataflowKind::kWeightStationary};
  const std::vector<ArrayChoice> choices = with_dataflows({ArrayChoice{}, parse_array_choice("auto:2")}, both);
  ASSERT_EQ(choices.size(), 4U);
  EXPECT_EQ(choices[1].text, "default, weight-stationary");
  EXPECT_EQ(arrays_of(choices[1], {})[0].second.dataflow, DataflowKind::kWeightStationary);
  EXPECT_EQ(arrays_of(choices[0], {})[0].second, ArrayConfig{});
  EXPECT_EQ(arrays_of(choices[3], {})[1].first, "auto:2, weight-stationary 2x1");
  EXPECT_EQ(with_dataflows({ArrayChoice{}}, {DataflowKind::kWeightStationary})[0].text, "default");
  EXPECT_EQ(with_dataflows({ArrayChoice{}}, {}).size(), 1U);
}

TEST(ArrayShapes, RefuseWhatIsNone) {
  for (const char* text : {"auto:", "auto:0", "auto:-4", "auto:x", "auto:1.5", "auto:1048577", "auto:0mm2", "auto:mm2",
                           "auto:1e9mm2", "auto:4 ", "auto:nanmm2", "auto:0x10"}) {
    EXPECT_THAT(test::error_of([&] { parse_array_choice(text); }), HasSubstr("expected auto:N with 1 to 1048576"))
        << text;
  }
  EXPECT_THAT(test::error_of([] { parse_array_choice("auto:4:"); }), HasSubstr("expected a file"));
  EXPECT_THAT(test::error_of([] { arrays_of(parse_array_choice("auto:2053"), {}); }), HasSubstr("no shape"));
  EXPECT_THAT(test::error_of([] { arrays_of(parse_array_choice("auto:0.5mm2"), elements_of); }),
              HasSubstr("not even one element"));
  const auto nothing = [](const ArrayConfig&) { return std::numeric_limits<double>::quiet_NaN(); };
  EXPECT_THAT(test::error_of([&] { arrays_of(parse_array_choice("auto:1mm2"), nothing); }), HasSubstr("no areas"));
}

}  // namespace
}  // namespace mlsim::evaluation
