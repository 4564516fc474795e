#include "base/yaml.h"

#include <gmock/gmock.h>

#include "base/json.h"
#include "tests/support/temporary_folder.h"

namespace mlsim::base {
namespace {

using nlohmann::json;
using test::error_of;

std::string error_of_yaml(const std::string& text) {
  return error_of([&] { parse_yaml(text, "a.yaml"); });
}

TEST(Yaml, IsTheSameAsJson) {
  const std::string text = R"({"a": [1, -2, 2.5e-3, true, null, "text", "1"], "b": {"c": [], "d": {}}})";
  EXPECT_EQ(parse_yaml(text, "a.yaml"), json::parse(text));
  EXPECT_EQ(parse_yaml("a:\n- 1\n- x y\n- ~\n-\nb: {}\n", "a.yaml"),
            json::parse(R"({"a": [1, "x y", null, null], "b": {}})"));
  EXPECT_EQ(parse_yaml("", "a.yaml"), json());
}

TEST(Yaml, TakesPlainScalarsForWhatTheyLookLike) {
  const auto scalar = [](const std::string& text) { return parse_yaml(text, "a.yaml"); };
  for (const char* text : {"18446744073709551615", "+18446744073709551615"}) {
    EXPECT_EQ(scalar(text), json(18446744073709551615U)) << text;
    EXPECT_TRUE(scalar(text).is_number_unsigned()) << text;
  }
  EXPECT_TRUE(scalar("-9223372036854775808").is_number_integer());
  EXPECT_EQ(scalar("1.5"), json(1.5));
  EXPECT_EQ(scalar(".5"), json(0.5));
  EXPECT_EQ(scalar("-1e-05"), json(-1e-5));
  EXPECT_EQ(scalar("1.0E+3"), json(1000.0));
  for (const char* text : {"True", "TRUE", "true"}) EXPECT_EQ(scalar(text), json(true)) << text;
  for (const char* text : {"False", "FALSE", "false"}) EXPECT_EQ(scalar(text), json(false)) << text;
  for (const char* text : {".inf", ".nan", "1e999", "1.2.3", "+-1", ".", "e5", "0x10", "yes", "1 2"}) {
    EXPECT_EQ(scalar(text), json(text)) << text;
  }
  for (const char* text : {"1", "true", "null", "1.5"}) {
    EXPECT_EQ(scalar("\"" + std::string(text) + "\""), json(text));
    EXPECT_EQ(scalar("'" + std::string(text) + "'"), json(text));
  }
}

TEST(Yaml, RefusesWithAPlace) {
  EXPECT_EQ(error_of_yaml("a: [1"), "a.yaml: line 1, column 1: is no YAML: end of sequence flow not found");
  EXPECT_THAT(error_of_yaml("a: 1\nb: *none\n"), testing::StartsWith("a.yaml: line 2, column "));
  EXPECT_EQ(error_of_yaml("a: [{b: 1, b: 2}]"), "a.yaml: /a/0: the key \"b\" is given twice");
  EXPECT_EQ(error_of_yaml("a: {[1]: 2}"), "a.yaml: /a: has a key that is no text");
}

TEST(Yaml, RefusesWhatGrowsWithoutEnd) {
  std::string nested(kDeepestJson - 1, '[');
  nested += std::string(kDeepestJson - 1, ']');
  parse_yaml(nested, "a.yaml");
  EXPECT_EQ(error_of_yaml("[[" + nested + "]]"), "a.yaml: is nested deeper than 64 levels");
  EXPECT_EQ(error_of_yaml("&a [*a]"), "a.yaml: is nested deeper than 64 levels");
  // Each line is ten of the line before.
  std::string lines = "a0: &a0 x\n";
  for (int i = 1; i < 9; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    lines += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before;
    for (int k = 0; k < 9; ++k) lines += ", " + before;
    lines += "]\n";
  }
  EXPECT_EQ(error_of_yaml(lines), "a.yaml: has more than 1048576 values");
  // Few values that are long.
  std::string texts = "a: &a " + std::string(std::size_t{1} << 18, 'x') + "\nb: [*a";
  for (int i = 0; i < 300; ++i) texts += ", *a";
  EXPECT_EQ(error_of_yaml(texts + "]\n"), "a.yaml: has more than 67108864 bytes");
}

}  // namespace
}  // namespace mlsim::base
