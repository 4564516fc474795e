// JSON that users write: parsed, checked against a JSON Schema (draft 7), refused with file, place and reason.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace mlsim::base {

// Arrays and objects inside one another, at the most.
constexpr int kDeepestJson = 64;
// Values in one document, at the most.
constexpr std::size_t kMostJsonValues = std::size_t{1} << 23;

// Parses a text; `file` stands for it in errors. Throws Error with line and column where it is no JSON, for a key that
// an object gives twice, for one nested deeper than kDeepestJson and for more than kMostJsonValues values.
nlohmann::json parse_json(std::string_view text, const std::string& file);
// The same; keys stay in the order of the text.
nlohmann::ordered_json parse_ordered_json(std::string_view text, const std::string& file);

// A value as a message shows it: on one line, and only the beginning of a long one.
std::string shown(const nlohmann::json& value);
std::string shown(const nlohmann::ordered_json& value);

// A key as a JSON pointer has it, on one line.
std::string pointer_token(const std::string& key);

// Whether a text would do more on a terminal than be shown.
bool has_control_characters(std::string_view text);

// An integer however JSON writes it: 1, 1.0 and 1e0 are one. None for other values, and for a number with a fraction or
// exponent beyond 2^53, which may stand for another one.
template <typename Json>
std::optional<Json> as_integer(const Json& value);
extern template std::optional<nlohmann::json> as_integer(const nlohmann::json&);
extern template std::optional<nlohmann::ordered_json> as_integer(const nlohmann::ordered_json&);

// Parses a text and checks it against a schema: parse_json() and check_schema(). Integers come as such, see
// as_integer().
nlohmann::json parse_json(std::string_view text, const std::string& file, const nlohmann::json& schema);

// Throws Error for the first place at which the document breaks the schema, as
// "FILE: /layers/0/stride/1: is -1, expected an integer from 1 to 1048576".
void check_schema(const nlohmann::json& document, const nlohmann::json& schema, const std::string& file);

// A document as text; what is no UTF-8, as names of files may be, becomes U+FFFD. `indent` -1 puts it on one line.
std::string to_text(const nlohmann::json& document, int indent = -1);
std::string to_text(const nlohmann::ordered_json& document, int indent = -1);

}  // namespace mlsim::base
