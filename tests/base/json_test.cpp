#include "base/json.h"

#include <gmock/gmock.h>

#include "tests/support/temporary_folder.h"

namespace mlsim::base {
namespace {

using nlohmann::json;
using test::error_of;

std::string parse_error(const std::string& text) {
  return error_of([&] { parse_json(text, "a.json"); });
}

TEST(ParseJson, GivesLineAndColumn) {
  EXPECT_EQ(
      parse_error("{\n  \"a\": 1,\n  b\n}"),
      "a.json: line 3, column 3: is no JSON: invalid literal; last read: '1,<U+000A>  b'; expected string literal");
  EXPECT_EQ(parse_error(""),
            "a.json: line 1, column 1: is no JSON: unexpected end of input; expected '[', '{', or a literal");
  EXPECT_EQ(parse_error("[1, 2"), "a.json: line 1, column 6: is no JSON: unexpected end of input; expected ']'");
  EXPECT_EQ(parse_error("{} x"),
            "a.json: line 1, column 4: is no JSON: invalid literal; last read: '{} x'; expected end of input");
  EXPECT_EQ(parse_error("[NaN]").substr(0, 40), "a.json: line 1, column 2: is no JSON: in");
}

TEST(ParseJson, RefusesNumbersBeyondBinary64) {
  EXPECT_EQ(parse_error("[1e400]"), "a.json: is no JSON: number overflow parsing '1e400'");
}

TEST(ParseJson, RefusesAKeyGivenTwice) {
  EXPECT_EQ(parse_error(R"({"a": {"b": 1}, "c": [{"b": 1}, {"b": 2, "b": 2}]})"),
            "a.json: the key \"b\" is given twice in one object");
  EXPECT_EQ(parse_error(R"({"a": {"a": {"a": 1}}, "b": [{"a": 1}, {"a": 2}]})"), "nothing was thrown");
}

TEST(ParseJson, RefusesWhatWouldExhaustTheStack) {
  const auto nested = [](int levels) {
    std::string text;
    for (int i = 0; i < levels; ++i) text += i % 2 == 0 ? "[" : "{\"a\":";
    if (levels % 2 == 0) text += "1";
    for (int i = levels; i-- > 0;) text += i % 2 == 0 ? "]" : "}";
    return text;
  };
  EXPECT_EQ(parse_error(nested(kDeepestJson)), "nothing was thrown");
  EXPECT_EQ(parse_error(nested(kDeepestJson + 1)), "a.json: is nested deeper than 64 levels");
  EXPECT_EQ(parse_error(nested(60'000)), "a.json: is nested deeper than 64 levels");
  EXPECT_EQ(parse_error(std::string(60'000, '[')), "a.json: is nested deeper than 64 levels");
}

TEST(ParseJson, ShowsTheBeginningOfALongWord) {
  EXPECT_LT(parse_error(std::string(100'000, 'x')).size(), 300U);
  EXPECT_LT(parse_error("[\"" + std::string(100'000, 'x')).size(), 300U);
}

TEST(ParseJson, RefusesMoreValuesThanDocumentsHave) {
  std::string text = "[0";
  for (std::size_t i = 0; i < kMostJsonValues; ++i) text += ",0";
  EXPECT_EQ(parse_error(text + "]"), "a.json: has more than 8388608 values");
}

TEST(ToText, EscapesWhatATerminalActsOn) {
  const json document{{"name", "\u202E\u0085\u009B\x1b\x7F µm²"}};
  EXPECT_EQ(to_text(document), "{\"name\":\"\\u202e\\u0085\\u009b\\u001b\\u007f µm²\"}");
  EXPECT_EQ(json::parse(to_text(document)), document);
}

TEST(ToText, WritesNamesThatAreNoUtf8) {
  EXPECT_EQ(to_text(json{{"file", "a\xFF"}}), "{\"file\":\"a\uFFFD\"}");
  EXPECT_EQ(to_text(nlohmann::ordered_json{{"file", "a\xFF"}}), "{\"file\":\"a\uFFFD\"}");
}

TEST(CheckSchema, NamesThePlaceAndWhatWasExpected) {
  const json schema = json::parse(R"({
    "type": "object", "required": ["n"], "additionalProperties": false,
    "properties": {
      "n": {"type": "integer", "minimum": 1}, "m": {"type": "integer", "minimum": 2, "maximum": 5},
      "x": {"type": "number", "exclusiveMinimum": 0}, "b": {"type": "boolean"}, "c": {"const": "v/1"},
      "e": {"enum": ["p", "q"]}, "t": {"type": "string", "minLength": 1}, "a/b": {"type": "integer", "maximum": 0},
      "p": {"type": "array", "minItems": 2, "maxItems": 2, "items": {"$ref": "#/properties/m"}},
      "u": {"type": "array", "minItems": 1, "uniqueItems": true, "items": {"type": "string"}},
      "w": {"type": ["string", "object"], "minLength": 1, "minProperties": 1, "additionalProperties": false,
            "properties": {"k": {"type": "number"}}} } })");
  const auto error = [&](const std::string& text) {
    return error_of([&] { check_schema(json::parse(text), schema, "a.json"); });
  };
  EXPECT_EQ(error(R"({"n": 1, "m": 5, "x": 0.5, "b": true, "c": "v/1", "e": "q", "t": "t", "a/b": -1,
                      "p": [2, 3], "u": ["x", "y"], "w": {"k": 1}})"),
            "nothing was thrown");
  EXPECT_EQ(error(R"([])"), "a.json: is [], expected an object");
  EXPECT_EQ(error(R"({})"), "a.json: the key \"n\" is missing");
  EXPECT_EQ(error(R"({"n": 0})"), "a.json: /n: is 0, expected an integer of 1 or more");
  EXPECT_EQ(error(R"({"n": 1.5})"), "a.json: /n: is 1.5, expected an integer of 1 or more");
  EXPECT_EQ(error(R"({"n": 1, "m": 6})"), "a.json: /m: is 6, expected an integer from 2 to 5");
  EXPECT_EQ(error(R"({"n": 1, "x": 0})"), "a.json: /x: is 0, expected a number above 0");
  EXPECT_EQ(error(R"({"n": 1, "b": 1})"), "a.json: /b: is 1, expected true or false");
  EXPECT_EQ(error(R"({"n": 1, "c": "v/2"})"), "a.json: /c: is \"v/2\", expected \"v/1\"");
  EXPECT_EQ(error(R"({"n": 1, "e": "r"})"), "a.json: /e: is \"r\", expected one of \"p\", \"q\"");
  EXPECT_EQ(error(R"({"n": 1, "t": ""})"), "a.json: /t: is \"\", expected a text that is not empty");
  EXPECT_EQ(error(R"({"n": 1, "a/b": 1})"), "a.json: /a~1b: is 1, expected an integer of 0 or less");
  EXPECT_EQ(error(R"({"n": 1, "p": [2]})"), "a.json: /p: is [2], expected a list of 2, each an integer from 2 to 5");
  EXPECT_EQ(error(R"({"n": 1, "p": [2, 9]})"), "a.json: /p/1: is 9, expected an integer from 2 to 5");
  EXPECT_EQ(error(R"({"n": 1, "u": ["x", "x"]})"),
            "a.json: /u: is [\"x\",\"x\"], expected a list that is not empty without repetition, each a text");
  EXPECT_EQ(error(R"({"n": 1, "w": 3})"),
            "a.json: /w: is 3, expected a text that is not empty or an object that is not empty");
  EXPECT_EQ(error(R"({"n": 1, "w": {"j": 3}})"), "a.json: /w/j: is an unknown key, expected one of k");
  EXPECT_EQ(error(R"({"n": 1, "w\n": 3})"),
            "a.json: /w\\n: is an unknown key, expected one of a/b, b, c, e, m, n, p, t, u, w, x");
  EXPECT_EQ(error(R"({"n": ")" + std::string(100, 'y') + R"("})"),
            "a.json: /n: is \"" + std::string(56, 'y') + "..., expected an integer of 1 or more");
}

TEST(CheckSchema, KnowsIntegersUpTo64Bits) {
  const json schema = json::parse(R"({"type": "object", "properties": {
    "seed": {"type": "integer", "minimum": 0, "maximum": 18446744073709551615},
    "bits": {"type": "integer", "minimum": 0, "maximum": 64, "not": {"const": 1}}}})");
  const auto error = [&](const std::string& text) { return error_of([&] { parse_json(text, "a.json", schema); }); };
  EXPECT_EQ(error(R"({"seed": 18446744073709551615, "bits": 64})"), "nothing was thrown");
  EXPECT_EQ(error(R"({"seed": 9223372036854775808, "bits": 2.0})"), "nothing was thrown");
  EXPECT_EQ(error(R"({"seed": 18446744073709551616})"),
            "a.json: /seed: is 1.8446744073709552e+19, expected an integer from 0 to 18446744073709551615");
  EXPECT_EQ(error(R"({"bits": 9223372036854775808})"),
            "a.json: /bits: is 9223372036854775808, expected an integer from 0 to 64 other than 1");
  EXPECT_EQ(error(R"({"bits": 1.0})"), "a.json: /bits: is 1, expected an integer from 0 to 64 other than 1");
  EXPECT_TRUE(parse_json(R"({"seed": 1e3})", "a.json", schema).at("seed").is_number_unsigned());
}

TEST(CheckSchema, FollowsConditionals) {
  const json schema = json::parse(R"({
    "type": "object", "required": ["type"], "properties": {"type": {"enum": ["a", "b"]}},
    "allOf": [
      {"if": {"required": ["type"], "properties": {"type": {"const": "a"}}}, "then": {"$ref": "#/definitions/a"}},
      {"if": {"required": ["type"], "properties": {"type": {"enum": ["b"]}}}, "then": {"$ref": "#/definitions/b"}}],
    "definitions": {
      "a": {"required": ["x"], "additionalProperties": false,
            "properties": {"type": {"type": "string"}, "x": {"type": "integer", "minimum": 1}}},
      "b": {"required": ["y"], "additionalProperties": false,
            "properties": {"type": {"type": "string"}, "y": {"type": "boolean"}}} } })");
  const auto error = [&](const std::string& text) {
    return error_of([&] { check_schema(json::parse(text), schema, "a.json"); });
  };
  EXPECT_EQ(error(R"({"type": "a", "x": 1})"), "nothing was thrown");
  EXPECT_EQ(error(R"({"type": "b", "y": true})"), "nothing was thrown");
  EXPECT_EQ(error(R"({"x": 1})"), "a.json: the key \"type\" is missing");
  EXPECT_EQ(error(R"({"type": "c", "x": 1})"), "a.json: /type: is \"c\", expected one of \"a\", \"b\"");
  EXPECT_EQ(error(R"({"type": "a"})"), "a.json: the key \"x\" is missing");
  EXPECT_EQ(error(R"({"type": "a", "x": 0})"), "a.json: /x: is 0, expected an integer of 1 or more");
  EXPECT_EQ(error(R"({"type": "b", "x": 1})"), "a.json: /x: is an unknown key, expected one of type, y");
}

}  // namespace
}  // namespace mlsim::base
