// How fast a memory is.
// Tested in tests/sim/array_config_test.cpp.
#pragma once

#include <cstdint>

namespace mlsim::sim {

// Bytes a cycle, to the thousandth, so that time is exact.
struct ByteRate {
  std::int64_t thousandths = 0;  // 0 is as many as there are

  bool limited() const { return thousandths != 0; }
  double bytes() const { return static_cast<double>(thousandths) / 1000; }
  // An unlimited rate is above all others.
  bool below(const ByteRate& other) const { return limited() && (!other.limited() || thousandths < other.thousandths); }
  bool operator==(const ByteRate&) const = default;
};

}  // namespace mlsim::sim
