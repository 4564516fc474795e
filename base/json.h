// JSON that users write: parsed, checked against a JSON Schema (draft 7), refused with file, place and reason.
#pragma once

#include <nlohmann/json.hpp>
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

// Throws Error for the first place at which the document breaks the schema, as
// "FILE: /layers/0/stride: is -1, expected a list of 2 integers from 1 to 1048576".
void check_schema(const nlohmann::json& document, const nlohmann::json& schema, const std::string& file);

// A document as text; what is no UTF-8, as names of files may be, becomes U+FFFD. `indent` -1 puts it on one line.
std::string to_text(const nlohmann::json& document, int indent = -1);
std::string to_text(const nlohmann::ordered_json& document, int indent = -1);

}  // namespace mlsim::base
