// A walk through a JSON document that knows its place, so that whatever cannot be used is refused as
// "FILE: /layers/0/stride: is 0, expected an integer from 1 to 16".
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

namespace mlsim::base {

// A value of a document, which outlives it. Json is nlohmann's json or ordered_json.
template <typename Json>
class BasicJsonReader {
 public:
  explicit BasicJsonReader(const Json& value, std::string file, std::string pointer = "")
      : value_(&value), file_(std::move(file)), pointer_(std::move(pointer)) {}

  const Json& json() const { return *value_; }
  const std::string& file() const { return file_; }
  const std::string& pointer() const { return pointer_; }

  [[noreturn]] void refuse(const std::string& reason) const;
  // "is VALUE, expected EXPECTATION"
  [[noreturn]] void refuse_value(const std::string& expectation) const;

  // Whether this object has that key; refuses what is no object.
  bool has(std::string_view key) const;
  // A member; refuses what is no object or has no such key.
  BasicJsonReader operator[](std::string_view key) const;
  // An element of a list, below its size.
  BasicJsonReader operator[](std::size_t index) const;
  std::size_t size() const;
  // Refuses what is no object and keys other than these.
  void refuse_unknown(std::span<const std::string_view> known) const;
  void refuse_unknown(std::initializer_list<std::string_view> known) const {
    refuse_unknown(std::span(known.begin(), known.size()));
  }

  // An integer, as as_integer() has it; `or_else` is what else the value may be. nlohmann's own conversions would wrap
  // one that is out of range and cut a fraction off.
  template <typename Integer>
  Integer integer(std::uint64_t low, std::uint64_t high, const std::string& or_else = "") const {
    return static_cast<Integer>(whole_number(low, high, or_else));
  }
  // Both ends included.
  double number(double low = -std::numeric_limits<double>::infinity(),
                double high = std::numeric_limits<double>::infinity()) const;
  double number_above(double low) const;
  std::string text() const;
  std::string nonempty_text() const;
  bool flag() const;
  // The index of the name among `names`.
  std::size_t one_of(std::span<const std::string_view> names) const;
  std::size_t one_of(std::initializer_list<std::string_view> names) const {
    return one_of(std::span(names.begin(), names.size()));
  }
  // What a function returns; what it throws becomes the reason of a refusal.
  template <typename Function>
  auto guarded(const Function& read) const -> decltype(read()) {
    try {
      return read();
    } catch (const std::runtime_error& error) {
      refuse(error.what());
    }
  }

 private:
  std::uint64_t whole_number(std::uint64_t low, std::uint64_t high, const std::string& or_else) const;

  const Json* value_;
  std::string file_;
  std::string pointer_;
};

using JsonReader = BasicJsonReader<nlohmann::json>;
using OrderedJsonReader = BasicJsonReader<nlohmann::ordered_json>;

}  // namespace mlsim::base
