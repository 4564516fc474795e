#include "base/json_lines.h"

#include <fmt/format.h>

#include <sstream>

#include "base/error.h"
#include "base/json.h"

namespace mlsim::base {

void for_json_lines(const std::string& text, const std::string& file, const std::string& expected,
                    const UseJsonLine& use) {
  std::istringstream lines(text);
  std::size_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    const std::string place = fmt::format("line {}", ++number);
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    nlohmann::json object;
    try {
      object = parse_json(line, file);
    } catch (const Error& error) {
      // What is JSON and refused all the same, as a key given twice, says why.
      const bool is_json = error.reason().find("is no JSON") == std::string::npos;
      refuse(file, place, fmt::format("{}, {}", is_json ? error.reason() : "is no JSON", expected));
    }
    if (!object.is_object()) refuse(file, place, fmt::format("is {}, {}", shown(object), expected));
    use(JsonReader(object, file, place), line);
  }
}

}  // namespace mlsim::base
