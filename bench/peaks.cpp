#include "bench/peaks.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace mlsim::bench {
#if defined(__x86_64__)

namespace {

constexpr int kSteps = 1000;
// Independent sums: more than latency times throughput of any such processor.
constexpr int kSums = 16;

__attribute__((target("avx512f,avx512vnni"))) void run_dot_products() {
  __m512i sums[kSums] = {};
  const __m512i factor = _mm512_set1_epi32(0x01020304);
  for (int i = 0; i < kSteps; ++i) {
#pragma GCC unroll 16
    for (__m512i& sum : sums) {
      sum = _mm512_dpbusd_epi32(sum, factor, factor);
      asm volatile("" : "+v"(sum));
    }
  }
}

__attribute__((target("avx512f"))) void run_fused_multiply_adds() {
  __m512 sums[kSums] = {};
  const __m512 factor = _mm512_set1_ps(0.5F);
  for (int i = 0; i < kSteps; ++i) {
#pragma GCC unroll 16
    for (__m512& sum : sums) {
      sum = _mm512_fmadd_ps(factor, factor, sum);
      asm volatile("" : "+v"(sum));
    }
  }
}

}  // namespace

std::uint64_t dot_products() {
  if (__builtin_cpu_supports("avx512vnni") == 0) return 0;
  run_dot_products();
  return std::uint64_t{64} * kSums * kSteps;
}

std::uint64_t fused_multiply_adds() {
  if (__builtin_cpu_supports("avx512f") == 0) return 0;
  run_fused_multiply_adds();
  return std::uint64_t{16} * kSums * kSteps;
}

#else

std::uint64_t dot_products() {
  return 0;
}
std::uint64_t fused_multiply_adds() {
  return 0;
}

#endif

}  // namespace mlsim::bench
