// Texts in parts, in lower case, and as numbers.
#pragma once

#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace mlsim::base {

// Parts between separators; an empty text is one empty part.
std::vector<std::string> split(std::string_view text, char separator);

// Letters of ASCII in lower case, all else as it is.
std::string lower(std::string_view text);

// All of the text as a number of that type, in decimal; nothing where it is none or is out of the type's range.
template <typename Number>
std::optional<Number> number_of(std::string_view text) {
  Number number{};
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, number);
  if (error != std::errc() || end != last) return std::nullopt;
  return number;
}

}  // namespace mlsim::base
