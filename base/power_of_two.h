// Powers of two, without a call of the library of mathematics.
// Tested in tests/models/functional_convolution_test.cpp.
#pragma once

#include <bit>
#include <cstdint>

namespace mlsim::base {

// 2^exponent for -1023 < exponent < 1024.
inline double power_of_two(int exponent) {
  return std::bit_cast<double>(static_cast<std::uint64_t>(1023 + exponent) << 52);
}

}  // namespace mlsim::base
