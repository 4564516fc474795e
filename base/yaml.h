// YAML that users bring, as JSON: base/json_reader.h then walks it and refuses with file, place and reason.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace mlsim::base {

// Values in one document, at the most.
constexpr std::size_t kMostYamlValues = std::size_t{1} << 20;
// Bytes of them and of the places that they are at, at the most: a short document repeats a long text by aliases.
constexpr std::size_t kMostYamlBytes = std::size_t{1} << 26;

// Parses a text; `file` stands for it in errors. A plain scalar is null, true, false or a decimal number where YAML 1.2
// takes it for one (core schema, without octal and hexadecimal numbers), and else a text; what JSON has no number for,
// such as .inf, stays a text, too. Throws Error with line and column where it is no YAML, with the place for a key that
// is no text or that a map gives twice, for what is nested deeper than kDeepestJson (json.h), and where aliases make
// more than kMostYamlValues values or kMostYamlBytes bytes of it.
nlohmann::json parse_yaml(std::string_view text, const std::string& file);

}  // namespace mlsim::base
