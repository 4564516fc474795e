// JSON that users write: parsed, checked against a JSON Schema (draft 7), refused with file, place and reason.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace mlsim::workloads {

// Parses a text; `file` stands for it in errors. Throws std::runtime_error with line and column where it is no JSON,
// and for a key that an object gives twice.
nlohmann::json parse_json(std::string_view text, const std::string& file);
// The same; keys stay in the order of the text.
nlohmann::ordered_json parse_ordered_json(std::string_view text, const std::string& file);

// Whether a text would do more on a terminal than be shown.
bool has_control_characters(std::string_view text);

// All of a file. Throws std::runtime_error where it cannot be read.
std::string read_text(const std::filesystem::path& path);

// Throws std::runtime_error for the first place at which the document breaks the schema, as
// "FILE: /layers/0/stride: is -1, expected a list of 2 integers from 1 to 1048576".
void check_schema(const nlohmann::json& document, const nlohmann::json& schema, const std::string& file);

// Throws "FILE: POINTER: REASON"; `pointer` is a JSON pointer such as /layers/0, empty for the whole document.
[[noreturn]] void refuse_json(const std::string& file, const std::string& pointer, const std::string& reason);

// One schema of those built in, such as "workload.schema.json".
nlohmann::json embedded_json(std::string_view name);

}  // namespace mlsim::workloads
