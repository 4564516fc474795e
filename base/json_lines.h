// Texts with a JSON object on each line (JSON Lines).
// Tested in tests/evaluation/accuracy_test.cpp.
#pragma once

#include <functional>
#include <string>

#include "base/json_reader.h"

namespace mlsim::base {

// What is done with a line: its object, whose place is "line N", counted from 1, and its text.
using UseJsonLine = std::function<void(const JsonReader& line, const std::string& text)>;

// Goes over the lines that are not blank. Throws base::Error with file and line where one is no JSON object;
// `expected` ends the sentence, such as "expected metrics of mlsim-train".
void for_json_lines(const std::string& text, const std::string& file, const std::string& expected,
                    const UseJsonLine& use);

}  // namespace mlsim::base
