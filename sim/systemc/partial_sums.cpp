#include "sim/systemc/partial_sums.h"

namespace mlsim::sim {

void SumTraffic::count(const FoldSums& fold, int word_bits, std::uint64_t sums) {
  constexpr std::uint64_t kFloatBits = 32;
  const auto word = static_cast<std::uint64_t>(word_bits);
  if (!fold.begins) reads += sums * word;
  if (!fold.ends_group) {
    writes += sums * word;
    return;
  }
  if (!fold.first_group) reads += sums * kFloatBits;
  if (!fold.last_group) writes += sums * kFloatBits;
}

}  // namespace mlsim::sim
