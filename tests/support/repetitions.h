// How often a test repeats what only chance shows.
#pragma once

#include <algorithm>
#include <cstdlib>

namespace mlsim::test {

// Sanitizers find what is wrong with a step whatever it computes, and take five to ten times as long: a fifth is enough
// for AddressSanitizer, a tenth for ThreadSanitizer, which finds a race whatever moment it strikes at.
#ifdef __has_feature
#define MLSIM_HAS_FEATURE(feature) __has_feature(feature)
#else
#define MLSIM_HAS_FEATURE(feature) 0
#endif
#if defined(__SANITIZE_THREAD__) || MLSIM_HAS_FEATURE(thread_sanitizer)
constexpr int kOneOf = 10;
#elif defined(__SANITIZE_ADDRESS__) || MLSIM_HAS_FEATURE(address_sanitizer)
constexpr int kOneOf = 5;
#else
constexpr int kOneOf = 1;
#endif
#undef MLSIM_HAS_FEATURE

constexpr int repetitions(int count) {
  return count / kOneOf;
}

// Of runs of the command, each with a fault or a moment of its own: the environment can ask for one in MLSIM_ONE_OF.
inline int runs(int count) {
  const char* const one_of = std::getenv("MLSIM_ONE_OF");  // NOLINT(concurrency-mt-unsafe)
  return std::max(1, repetitions(count) / (one_of == nullptr ? 1 : std::max(1, std::atoi(one_of))));
}

}  // namespace mlsim::test
