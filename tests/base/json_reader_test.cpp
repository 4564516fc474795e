#include "base/json_reader.h"

#include <gmock/gmock.h>

#include "base/error.h"
#include "base/json.h"
#include "tests/support/temporary_folder.h"

namespace mlsim::base {
namespace {

using test::error_of;

const nlohmann::ordered_json kDocument = parse_ordered_json(
    R"({"layers": [{"stride": 0, "name": "", "a/b~c": true}], "rate": -0.5, "big": 18446744073709551615, "half": 2.5})",
    "a.json");

OrderedJsonReader root() {
  return OrderedJsonReader(kDocument, "a.json");
}

TEST(JsonReader, WalksToAPlace) {
  const OrderedJsonReader layer = root()["layers"][0];
  EXPECT_EQ(layer["a/b~c"].pointer(), "/layers/0/a~1b~0c");
  EXPECT_TRUE(layer["a/b~c"].flag());
  EXPECT_TRUE(layer.has("stride"));
  EXPECT_FALSE(layer.has("padding"));
  EXPECT_THROW(static_cast<void>(layer["stride"].has("padding")), Error) << "is no object";
  EXPECT_EQ(root()["layers"].size(), 1U);
  EXPECT_EQ(error_of([&] { layer["padding"]; }), "a.json: /layers/0: the key \"padding\" is missing");
  EXPECT_EQ(error_of([&] { layer["stride"]["x"]; }), "a.json: /layers/0/stride: is 0, expected an object");
  EXPECT_EQ(error_of([&] { layer["stride"].size(); }), "a.json: /layers/0/stride: is 0, expected a list");
}

TEST(JsonReader, RefusesUnknownKeys) {
  EXPECT_EQ(error_of([] { root()["layers"][0].refuse_unknown({"stride", "name", "a/b~c"}); }), "nothing was thrown");
  EXPECT_EQ(error_of([] {
              root()["layers"][0].refuse_unknown({"stride", "name"});
            }),
            "a.json: /layers/0/a~1b~0c: is an unknown key, expected one of stride, name");
  EXPECT_EQ(error_of([] { root()["rate"].refuse_unknown({"x"}); }), "a.json: /rate: is -0.5, expected an object");
}

TEST(JsonReader, ReadsNumbersWithinTheirRange) {
  EXPECT_EQ(root()["big"].integer<std::uint64_t>(0, UINT64_MAX), UINT64_MAX);
  EXPECT_EQ(root()["layers"][0]["stride"].integer<int>(0, 7), 0);
  EXPECT_EQ(error_of([] { root()["layers"][0]["stride"].integer<int>(1, 7, " or \"all\""); }),
            "a.json: /layers/0/stride: is 0, expected an integer from 1 to 7 or \"all\"");
  const nlohmann::ordered_json numbers =
      nlohmann::ordered_json::parse(R"([3.0, 3e0, -0.0, 9007199254740992.0, 9007199254740994.0, 7.5])");
  const OrderedJsonReader number(numbers, "a.json");
  for (const std::size_t i : {0U, 1U}) EXPECT_EQ(number[i].integer<int>(0, 7), 3);
  EXPECT_EQ(number[2].integer<int>(0, 7), 0);
  EXPECT_EQ(number[3].integer<std::uint64_t>(0, UINT64_MAX), 9007199254740992U);
  for (const std::size_t i : {4U, 5U}) {
    EXPECT_THAT(error_of([&] { number[i].integer<std::uint64_t>(0, UINT64_MAX); }),
                testing::EndsWith("expected an integer from 0 to 18446744073709551615"));
  }
  for (const char* key : {"rate", "big", "half", "layers"}) {
    EXPECT_THAT(error_of([&] { root()[key].integer<int>(0, 7); }),
                testing::EndsWith("expected an integer from 0 to 7"));
  }
  EXPECT_EQ(root()["rate"].number(), -0.5);
  EXPECT_EQ(root()["rate"].number(-0.5, 0), -0.5);
  EXPECT_EQ(error_of([] { root()["rate"].number(0, 1); }), "a.json: /rate: is -0.5, expected a number from 0 to 1");
  EXPECT_EQ(error_of([] { root()["rate"].number(0); }), "a.json: /rate: is -0.5, expected a number of 0 or more");
  EXPECT_EQ(error_of([] { root()["rate"].number_above(-0.5); }),
            "a.json: /rate: is -0.5, expected a number above -0.5");
  EXPECT_THAT(error_of([] { root()["layers"].number(); }), testing::EndsWith("expected a number"));
}

TEST(JsonReader, ReadsTexts) {
  const OrderedJsonReader name = root()["layers"][0]["name"];
  EXPECT_EQ(name.text(), "");
  EXPECT_EQ(error_of([&] { name.nonempty_text(); }),
            "a.json: /layers/0/name: is \"\", expected a text that is not empty");
  EXPECT_EQ(name.one_of({"x", ""}), 1U);
  EXPECT_EQ(error_of([&] {
              name.one_of({"x", "y"});
            }),
            "a.json: /layers/0/name: is \"\", expected one of \"x\", \"y\"");
  EXPECT_EQ(error_of([&] { name.one_of({"x"}); }), "a.json: /layers/0/name: is \"\", expected \"x\"");
  EXPECT_EQ(error_of([] { root()["rate"].text(); }), "a.json: /rate: is -0.5, expected a text");
  EXPECT_EQ(error_of([] { root()["rate"].flag(); }), "a.json: /rate: is -0.5, expected true or false");
}

TEST(JsonReader, GivesItsPlaceToWhatOthersThrow) {
  EXPECT_EQ(root()["rate"].guarded([] { return 3; }), 3);
  EXPECT_EQ(error_of([] { root()["rate"].guarded([]() -> int { throw std::runtime_error("is odd"); }); }),
            "a.json: /rate: is odd");
}

}  // namespace
}  // namespace mlsim::base
