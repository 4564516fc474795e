// What the processor could do if nothing but its arithmetic counted: loops of one instruction on registers.
#pragma once

#include <cstdint>

namespace mlsim::bench {

// Each runs some microseconds and returns the multiply-adds done, 0 where the processor lacks the instruction.
// AVX-512 VNNI, 64 multiply-adds of bytes an instruction.
std::uint64_t dot_products();
// AVX-512, 16 fused multiply-adds of binary32 an instruction.
std::uint64_t fused_multiply_adds();

}  // namespace mlsim::bench
