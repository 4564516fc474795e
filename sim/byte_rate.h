// How fast a memory is.
#pragma once

#include <cstdint>

namespace mlsim::sim {

// Bytes a cycle, to the thousandth, so that time is exact.
struct ByteRate {
  std::int64_t thousandths = 0;  // 0 is as many as there are

  bool limited() const { return thousandths != 0; }
  double bytes() const { return static_cast<double>(thousandths) / 1000; }
  bool operator==(const ByteRate&) const = default;
};

}  // namespace mlsim::sim
