// Integers of 128 bits, and quotients that are rounded up.
// Tested in tests/models/datapath_test.cpp.
#pragma once

#include <type_traits>

namespace mlsim::base {

__extension__ using Int128 = __int128;

// value / divisor, rounded up: the parts of what does not divide evenly. Of values above -divisor.
template <typename Integer>
constexpr Integer ceiling(Integer value, std::type_identity_t<Integer> divisor) {
  return (value + divisor - 1) / divisor;
}

}  // namespace mlsim::base
