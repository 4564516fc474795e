#include "base/yaml.h"

#include <fmt/core.h>
#include <yaml-cpp/yaml.h>

#include <array>
#include <cmath>
#include <cstdint>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

namespace mlsim::base {
namespace {

using nlohmann::json;

// What a plain scalar stands for.
json resolved(const std::string& text) {
  for (const char* const null : {"", "~", "null", "Null", "NULL"}) {
    if (text == null) return nullptr;
  }
  for (const char* const word : {"true", "True", "TRUE"}) {
    if (text == word) return true;
  }
  for (const char* const word : {"false", "False", "FALSE"}) {
    if (text == word) return false;
  }
  if (text.find_first_not_of("0123456789+-.eE") != std::string::npos) return text;
  const std::string digits = text.starts_with('+') && !text.starts_with("+-") ? text.substr(1) : text;
  if (const auto value = number_of<std::uint64_t>(digits)) return *value;
  if (const auto value = number_of<std::int64_t>(digits)) return *value;
  if (const auto value = number_of<double>(digits); value && std::isfinite(*value)) return *value;
  return text;
}

class Converter {
 public:
  explicit Converter(const std::string& file) : file_(file) {}

  json value_of(const YAML::Node& node, const std::string& pointer, int depth) {
    if (++values_ > kMostYamlValues) refuse(file_, "", fmt::format("has more than {} values", kMostYamlValues));
    bytes_ += pointer.size() + (node.IsScalar() ? node.Scalar().size() : 0);
    if (bytes_ > kMostYamlBytes) refuse(file_, "", fmt::format("has more than {} bytes", kMostYamlBytes));
    // What is deeper would exhaust the stack of those who walk it, as a list that is an alias of itself would here.
    if (depth > kDeepestJson) refuse(file_, "", fmt::format("is nested deeper than {} levels", kDeepestJson));
    if (node.IsScalar()) return node.Tag() == "?" ? resolved(node.Scalar()) : json(node.Scalar());
    if (node.IsSequence()) {
      json list = json::array();
      for (const YAML::Node& element : node) {
        list.push_back(value_of(element, fmt::format("{}/{}", pointer, list.size()), depth + 1));
      }
      return list;
    }
    if (!node.IsMap()) return nullptr;
    json map = json::object();
    for (const auto& entry : node) {
      if (!entry.first.IsScalar()) refuse(file_, pointer, "has a key that is no text");
      const std::string& name = entry.first.Scalar();
      if (map.contains(name)) refuse(file_, pointer, fmt::format("the key {} is given twice", shown(json(name))));
      map[name] = value_of(entry.second, pointer + "/" + pointer_token(name), depth + 1);
    }
    return map;
  }

 private:
  const std::string& file_;
  std::size_t values_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace

json parse_yaml(std::string_view text, const std::string& file) {
  YAML::Node root;
  try {
    root = YAML::Load(std::string(text));
  } catch (const YAML::Exception& error) {
    const std::string place =
        error.mark.is_null() ? "" : fmt::format("line {}, column {}", error.mark.line + 1, error.mark.column + 1);
    refuse(file, place, "is no YAML: " + error.msg);
  }
  return Converter(file).value_of(root, "", 1);
}

}  // namespace mlsim::base
