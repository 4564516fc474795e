// Philox4x32-10, the counter-based generator of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
#pragma once

#include <array>
#include <cstdint>

namespace mlsim::base {

// The four words of one block.
std::array<std::uint32_t, 4> philox_4x32_10(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key);

// The random word of element `index` of a tensor: word index mod 4 of block index div 4.
std::uint32_t random_word(std::uint64_t seed, std::uint64_t stream, std::uint64_t index);

}  // namespace mlsim::base
