// The vector loop of counting changed bits, chosen at run time for the processor's widest instruction set.
// Tested in tests/sim/operand_toggles_test.cpp.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mlsim::sim::output_stationary {

// The most codes of a vector: that many weights behind the last one may be read.
inline constexpr std::size_t kMostToggleLanes = 128;

// Σ weights[i] · (bits in which a[i] and b[i] differ) over i < count. Weights are 0 to `largest_weight`; `readable`,
// which is at least `count`, tells how many codes lie in memory at both `a` and `b`.
std::uint64_t weighted_changes(const std::int16_t* weights, std::int16_t largest_weight, const std::uint16_t* a,
                               const std::uint16_t* b, std::size_t count, std::size_t readable);

}  // namespace mlsim::sim::output_stationary
