#include "base/json.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstdint>
#include <limits>
#include <set>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validator.hpp>
#include <vector>

#include "base/error.h"
#include "base/terminal.h"

namespace mlsim::base {
namespace {

using nlohmann::json;

std::string joined(const std::vector<std::string>& words, const std::string& separator) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : separator) + word;
  return text;
}

std::string shortened(const std::string& text, std::size_t longest = 200) {
  return text.size() > longest ? text.substr(0, longest - 3) + "..." : text;
}

// The part of the schema that says what an instance must be: references followed, and the branch taken that a
// conditional on the key "type" asks for.
const json& resolved(const json& root, const json& schema, const json& instance) {
  if (const auto reference = schema.find("$ref"); reference != schema.end()) {
    return resolved(root, root.at(json::json_pointer(reference->get<std::string>().substr(1))), instance);
  }
  if (!schema.contains("allOf") || !instance.is_object() || !instance.contains("type")) return schema;
  for (const json& branch : schema.at("allOf")) {
    const json& wanted = branch.at("if").at("properties").at("type");
    const json& type = instance.at("type");
    const json choices = wanted.contains("const") ? json::array({wanted.at("const")}) : wanted.at("enum");
    if (std::find(choices.begin(), choices.end(), type) != choices.end()) {
      return resolved(root, branch.at("then"), instance);
    }
  }
  return schema;
}

std::string range_of(const json& schema, const std::string& one, const std::string& least, const std::string& most) {
  const bool has_least = schema.contains(least);
  const bool has_most = schema.contains(most);
  if (has_least && has_most && schema.at(least) == schema.at(most)) return one + schema.at(least).dump();
  if (has_least && has_most) return " from " + schema.at(least).dump() + " to " + schema.at(most).dump();
  if (has_least) return " of " + schema.at(least).dump() + " or more";
  if (has_most) return " of " + schema.at(most).dump() + " or less";
  return {};
}

std::string expectation(const json& root, const json& unresolved);

std::string expectation_of_type(const json& root, const json& schema, const std::string& type) {
  if (type == "integer") {
    return "an integer" + range_of(schema, " ", "minimum", "maximum") +
           (schema.contains("not") ? " other than " + schema.at("not").at("const").dump() : "");
  }
  if (type == "number" && schema.contains("exclusiveMinimum")) {
    return "a number above " + schema.at("exclusiveMinimum").dump() +
           (schema.contains("maximum") ? " and up to " + schema.at("maximum").dump() : "");
  }
  if (type == "number") return "a number" + range_of(schema, " ", "minimum", "maximum");
  if (type == "string") return schema.contains("minLength") ? "a text that is not empty" : "a text";
  if (type == "boolean") return "true or false";
  if (type == "null") return "null";
  if (type == "object") return schema.contains("minProperties") ? "an object that is not empty" : "an object";
  assert(type == "array");
  std::string text = "a list";
  if (schema.value("maxItems", 0) == schema.value("minItems", 1)) {
    text += " of " + schema.at("minItems").dump();
  } else if (schema.value("minItems", 0) == 1) {
    text += " that is not empty";
  } else if (schema.contains("minItems")) {
    text += " of " + schema.at("minItems").dump() + " or more";
  }
  if (schema.value("uniqueItems", false)) text += " without repetition";
  return text + ", each " + expectation(root, schema.at("items"));
}

// What a schema asks for, in words.
std::string expectation(const json& root, const json& unresolved) {
  const json& schema = resolved(root, unresolved, json());
  if (schema.contains("const")) return schema.at("const").dump();
  std::vector<std::string> choices;
  if (schema.contains("enum")) {
    for (const json& choice : schema.at("enum")) choices.push_back(choice.dump());
    return "one of " + joined(choices, ", ");
  }
  if (schema.contains("anyOf")) {
    for (const json& choice : schema.at("anyOf")) choices.push_back(expectation(root, choice));
    return joined(choices, " or ");
  }
  const json types = schema.value("type", json("object"));
  if (types.is_string()) return expectation_of_type(root, schema, types.get<std::string>());
  for (const json& type : types) choices.push_back(expectation_of_type(root, schema, type.get<std::string>()));
  return joined(choices, " or ");
}

// Throws for the instance at the end of a path of keys and indices, the first place where validation failed.
[[noreturn]] void refuse_violation(const json& document, const json& root, const std::vector<std::string>& path,
                                   const std::string& file) {
  const json* instance = &document;
  const json* schema = &resolved(root, root, document);
  std::string pointer;
  for (const std::string& token : path) {
    pointer += "/" + pointer_token(token);
    if (instance->is_array()) {
      instance = &instance->at(std::stoul(token));
      schema = &resolved(root, schema->at("items"), *instance);
    } else {
      instance = &instance->at(token);
      schema = &resolved(root, schema->at("properties").at(token), *instance);
    }
  }
  if (instance->is_object() && schema->contains("properties")) {
    const json& known = schema->at("properties");
    std::vector<std::string> names;
    for (const auto& [key, value] : known.items()) names.push_back(key);
    if (schema->contains("additionalProperties")) {
      for (const auto& [key, value] : instance->items()) {
        if (!known.contains(key)) {
          refuse(file, pointer + "/" + pointer_token(key), "is an unknown key, expected one of " + joined(names, ", "));
        }
      }
    }
    for (const json& key : schema->value("required", json::array())) {
      if (!instance->contains(key.get<std::string>())) {
        refuse(file, pointer, "the key " + key.dump() + " is missing");
      }
    }
  }
  refuse(file, pointer, "is " + shown(*instance) + ", expected " + expectation(root, *schema));
}

// The library escapes what is below U+0020; what else a terminal acts on stands in strings alone, where an escape means
// the same.
std::string without_controls(std::string text) {
  const auto is_plain = [](char c) { return c == '\n' || (c >= ' ' && c <= '~'); };
  return std::all_of(text.begin(), text.end(), is_plain) ? text : json_escaped(text);
}

std::string place_of(std::string_view text, std::size_t byte) {
  const std::string_view before = text.substr(0, byte == 0 ? 0 : std::min(byte - 1, text.size()));
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const std::size_t column = before.size() - (before.rfind('\n') + 1) + 1;
  return "line " + std::to_string(line) + ", column " + std::to_string(column);
}

template <typename Json>
Json parsed(std::string_view text, const std::string& file) {
  std::vector<std::set<std::string>> keys;
  std::size_t values = 0;
  const typename Json::parser_callback_t check = [&](int depth, typename Json::parse_event_t event, Json& value) {
    // What is deeper would exhaust the stack of those who walk it.
    if (depth >= kDeepestJson &&
        (event == Json::parse_event_t::object_start || event == Json::parse_event_t::array_start)) {
      refuse(file, "", "is nested deeper than " + std::to_string(kDeepestJson) + " levels");
    }
    if (event != Json::parse_event_t::object_end && event != Json::parse_event_t::array_end &&
        ++values > kMostJsonValues) {
      refuse(file, "", "has more than " + std::to_string(kMostJsonValues) + " values");
    }
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key && !keys.back().insert(value.template get<std::string>()).second) {
      refuse(file, "", "the key " + value.dump() + " is given twice in one object");
    }
    return true;
  };
  try {
    return Json::parse(text.begin(), text.end(), check);
  } catch (const json::parse_error& error) {
    const std::string what = error.what();
    const std::size_t reason = what.find(" - ");
    refuse(file, "",
           place_of(text, error.byte) + ": is no JSON: " +
               shortened(reason == std::string::npos ? what.substr(what.find(": ") + 2) : what.substr(reason + 3)));
  } catch (const json::out_of_range& error) {
    const std::string what = error.what();
    refuse(file, "", "is no JSON: " + what.substr(what.find("] ") + 2));
  }
}

// Every integer of a document as such.
void make_integers(json& value) {
  if (value.is_structured()) {
    for (json& element : value) make_integers(element);
  } else if (const std::optional<json> integer = as_integer(value)) {
    value = *integer;
  }
}

// What the library compares as it should: it takes integers from 2^63 for negative ones, in documents and schemas. No
// schema's range ends between there and 2^64 - 1.
void bound_integers(json& value) {
  constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (value.is_structured()) {
    for (json& element : value) bound_integers(element);
  } else if (value.is_number_unsigned() && value.get<std::uint64_t>() > kMost) {
    value = kMost;
  }
}

}  // namespace

template <typename Json>
std::optional<Json> as_integer(const Json& value) {
  if (value.is_number_integer()) return value;
  if (!value.is_number_float()) return std::nullopt;
  const auto number = value.template get<double>();
  if (std::abs(number) > 0x1p53 || number != std::floor(number)) return std::nullopt;
  return number < 0 ? Json(static_cast<std::int64_t>(number)) : Json(static_cast<std::uint64_t>(number));
}

template std::optional<json> as_integer(const json&);
template std::optional<nlohmann::ordered_json> as_integer(const nlohmann::ordered_json&);

json parse_json(std::string_view text, const std::string& file) {
  return parsed<json>(text, file);
}

nlohmann::ordered_json parse_ordered_json(std::string_view text, const std::string& file) {
  return parsed<nlohmann::ordered_json>(text, file);
}

std::string shown(const json& value) {
  return shortened(value.dump(-1, ' ', true, json::error_handler_t::replace), 60);
}

std::string shown(const nlohmann::ordered_json& value) {
  return shortened(value.dump(-1, ' ', true, json::error_handler_t::replace), 60);
}

std::string pointer_token(const std::string& key) {
  const std::string quoted = json(key).dump(-1, ' ', false, json::error_handler_t::replace);
  std::string text;
  for (const char c : quoted.substr(1, quoted.size() - 2)) {
    text += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  }
  return text;
}

bool has_control_characters(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

json parse_json(std::string_view text, const std::string& file, const json& schema) {
  json document = parse_json(text, file);
  make_integers(document);
  check_schema(document, schema, file);
  return document;
}

void check_schema(const json& document, const json& schema, const std::string& file) {
  json bounded_schema = schema;
  bound_integers(bounded_schema);
  // Its own allocator returns null where memory runs out, and nobody looks.
  valijson::Schema compiled([](std::size_t size) { return ::operator new(size); }, ::operator delete);
  valijson::SchemaParser(valijson::SchemaParser::kDraft7)
      .populateSchema(valijson::adapters::NlohmannJsonAdapter(bounded_schema), compiled);
  valijson::ValidationResults results;
  json bounded = document;
  bound_integers(bounded);
  if (valijson::Validator().validate(compiled, valijson::adapters::NlohmannJsonAdapter(bounded), &results)) return;

  // The first error is the deepest of its branch; those of the enclosing values follow.
  std::vector<std::string> path;
  for (const std::string& token : results.begin()->context) {
    if (token.starts_with('[')) path.push_back(token.substr(1, token.size() - 2));
  }
  refuse_violation(document, schema, path, file);
}

std::string to_text(const json& document, int indent) {
  return without_controls(document.dump(indent, ' ', false, json::error_handler_t::replace));
}

std::string to_text(const nlohmann::ordered_json& document, int indent) {
  return without_controls(document.dump(indent, ' ', false, json::error_handler_t::replace));
}

}  // namespace mlsim::base
