// Texts in parts.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mlsim::base {

// Parts between separators; an empty text is one empty part.
std::vector<std::string> split(std::string_view text, char separator);

}  // namespace mlsim::base
