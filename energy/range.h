// A figure with its error bar.
// Tested in tests/energy/pricing_test.cpp.
#pragma once

namespace mlsim::energy {

// Low end, stated value and high end, in one unit. Sums are worst case: ends add to ends, as if every figure erred
// in the same direction.
struct Range {
  double low = 0;
  double value = 0;
  double high = 0;

  Range& operator+=(const Range& other) {
    low += other.low;
    value += other.value;
    high += other.high;
    return *this;
  }
  friend Range operator+(Range left, const Range& right) { return left += right; }
  friend Range operator*(Range range, double factor) {
    return {range.low * factor, range.value * factor, range.high * factor};
  }
  bool operator==(const Range&) const = default;
};

}  // namespace mlsim::energy
