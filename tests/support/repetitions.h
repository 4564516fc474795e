// How often a test repeats what only chance shows.
#pragma once

namespace mlsim::test {

// ThreadSanitizer finds a race whatever moment it strikes at, and takes ten times as long: a tenth is enough for it.
#ifdef __SANITIZE_THREAD__
constexpr bool kThreadSanitizer = true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
constexpr bool kThreadSanitizer = true;
#else
constexpr bool kThreadSanitizer = false;
#endif
#else
constexpr bool kThreadSanitizer = false;
#endif

constexpr int repetitions(int count) {
  return kThreadSanitizer ? count / 10 : count;
}

}  // namespace mlsim::test
