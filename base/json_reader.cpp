#include "base/json_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "base/error.h"
#include "base/json.h"

namespace mlsim::base {

template <typename Json>
void BasicJsonReader<Json>::refuse(const std::string& reason) const {
  base::refuse(file_, pointer_, reason);
}

template <typename Json>
void BasicJsonReader<Json>::refuse_value(const std::string& expectation) const {
  refuse(fmt::format("is {}, expected {}", shown(*value_), expectation));
}

template <typename Json>
bool BasicJsonReader<Json>::has(std::string_view key) const {
  if (!value_->is_object()) refuse_value("an object");
  return value_->contains(key);
}

template <typename Json>
BasicJsonReader<Json> BasicJsonReader<Json>::operator[](std::string_view key) const {
  if (!value_->is_object()) refuse_value("an object");
  const auto member = value_->find(key);
  if (member == value_->end()) refuse(fmt::format("the key {} is missing", Json(key).dump()));
  return BasicJsonReader(*member, file_, pointer_ + "/" + pointer_token(std::string(key)));
}

template <typename Json>
BasicJsonReader<Json> BasicJsonReader<Json>::operator[](std::size_t index) const {
  return BasicJsonReader((*value_)[index], file_, fmt::format("{}/{}", pointer_, index));
}

template <typename Json>
std::size_t BasicJsonReader<Json>::size() const {
  if (!value_->is_array()) refuse_value("a list");
  return value_->size();
}

template <typename Json>
void BasicJsonReader<Json>::refuse_unknown(std::span<const std::string_view> known) const {
  if (!value_->is_object()) refuse_value("an object");
  for (const auto& [key, value] : value_->items()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    base::refuse(file_, pointer_ + "/" + pointer_token(key),
                 fmt::format("is an unknown key, expected one of {}", fmt::join(known, ", ")));
  }
}

template <typename Json>
std::uint64_t BasicJsonReader<Json>::whole_number(std::uint64_t low, std::uint64_t high,
                                                  const std::string& or_else) const {
  const std::optional<Json> integer = as_integer(*value_);
  const auto fits = [&](std::uint64_t number) { return number >= low && number <= high; };
  if (!integer || !integer->is_number_unsigned() || !fits(integer->template get<std::uint64_t>())) {
    refuse_value(fmt::format("an integer from {} to {}{}", low, high, or_else));
  }
  return integer->template get<std::uint64_t>();
}

template <typename Json>
double BasicJsonReader<Json>::number(double low, double high) const {
  if (!value_->is_number() || value_->template get<double>() < low || value_->template get<double>() > high) {
    const bool bounded = high < std::numeric_limits<double>::infinity();
    refuse_value(low == -std::numeric_limits<double>::infinity() ? "a number"
                 : bounded                                       ? fmt::format("a number from {} to {}", low, high)
                                                                 : fmt::format("a number of {} or more", low));
  }
  return value_->template get<double>();
}

template <typename Json>
double BasicJsonReader<Json>::number_above(double low) const {
  if (!value_->is_number() || value_->template get<double>() <= low) {
    refuse_value(fmt::format("a number above {}", low));
  }
  return value_->template get<double>();
}

template <typename Json>
std::string BasicJsonReader<Json>::text() const {
  if (!value_->is_string()) refuse_value("a text");
  return value_->template get<std::string>();
}

template <typename Json>
std::string BasicJsonReader<Json>::nonempty_text() const {
  if (!value_->is_string() || value_->template get_ref<const std::string&>().empty()) {
    refuse_value("a text that is not empty");
  }
  return value_->template get<std::string>();
}

template <typename Json>
bool BasicJsonReader<Json>::flag() const {
  if (!value_->is_boolean()) refuse_value("true or false");
  return value_->template get<bool>();
}

template <typename Json>
std::size_t BasicJsonReader<Json>::one_of(std::span<const std::string_view> names) const {
  const auto found = std::find_if(names.begin(), names.end(), [&](std::string_view name) { return *value_ == name; });
  if (found == names.end()) {
    refuse_value(fmt::format("{}\"{}\"", names.size() > 1 ? "one of " : "", fmt::join(names, "\", \"")));
  }
  return static_cast<std::size_t>(found - names.begin());
}

template class BasicJsonReader<nlohmann::json>;
template class BasicJsonReader<nlohmann::ordered_json>;

}  // namespace mlsim::base
