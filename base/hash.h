// A hash that tells contents apart in journals and provenance; no defence against those who want it to be equal.
// Tested in tests/evaluation/results_test.cpp.
#pragma once

#include <bit>
#include <cstdint>
#include <span>
#include <string_view>

namespace mlsim::base {

// 64-bit FNV-1a (Fowler, Noll, Vo) over texts, each closed by a byte that tells "ab", "c" from "a", "bc".
class Hash {
 public:
  Hash& add(std::string_view text) {
    for (const char c : text) mix(static_cast<unsigned char>(c));
    mix(0xFF);
    return *this;
  }
  // Of values, which may be many: a word of 32 bits at a time in the place of a byte.
  Hash& add(std::span<const float> values) {
    for (const float value : values) mix(std::bit_cast<std::uint32_t>(value));
    mix(0xFF);
    return *this;
  }
  std::uint64_t value() const { return value_; }

 private:
  void mix(std::uint32_t word) { value_ = (value_ ^ word) * 0x100000001b3ULL; }

  std::uint64_t value_ = 0xcbf29ce484222325ULL;
};

}  // namespace mlsim::base
