// Sums of 64-bit counts, which no number of layers takes out of range.
// Tested in tests/energy/pricing_test.cpp.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>

namespace mlsim::energy {

class WideCount {
 public:
  constexpr WideCount() = default;
  constexpr WideCount(std::uint64_t count) : value_(count) {}  // NOLINT(google-explicit-constructor)

  constexpr WideCount& operator+=(const WideCount& other) {
    value_ += other.value_;
    return *this;
  }
  // So many times as much.
  friend constexpr WideCount operator*(WideCount count, std::uint64_t times) {
    count.value_ *= times;
    return count;
  }
  // What is left without `other`; 0 where that is more.
  constexpr WideCount without(const WideCount& other) const {
    WideCount rest;
    if (value_ > other.value_) rest.value_ = value_ - other.value_;
    return rest;
  }
  friend constexpr WideCount operator+(WideCount left, const WideCount& right) { return left += right; }
  friend constexpr bool operator==(const WideCount&, const WideCount&) = default;
  // The check takes the 0 that a defaulted <=> is compared with for a pointer.
  friend constexpr auto operator<=>(const WideCount&, const WideCount&) = default;  // NOLINT(modernize-use-nullptr)

  // The nearest binary64.
  explicit constexpr operator double() const { return static_cast<double>(value_); }
  // The count where it has 64 bits.
  constexpr std::optional<std::uint64_t> narrow() const {
    const auto low = static_cast<std::uint64_t>(value_);
    return value_ == low ? std::optional(low) : std::nullopt;
  }
  // Every digit.
  std::string digits() const {
    std::string text;
    for (Integer rest = value_; rest != 0 || text.empty(); rest /= 10) {
      text.insert(text.begin(), static_cast<char>('0' + static_cast<int>(rest % 10)));
    }
    return text;
  }

 private:
  __extension__ using Integer = unsigned __int128;
  Integer value_ = 0;
};

}  // namespace mlsim::energy
