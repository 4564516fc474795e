// Texts in parts and in lower case.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mlsim::base {

// Parts between separators; an empty text is one empty part.
std::vector<std::string> split(std::string_view text, char separator);

// Letters of ASCII in lower case, all else as it is.
std::string lower(std::string_view text);

}  // namespace mlsim::base
