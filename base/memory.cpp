#include "base/memory.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace mlsim::base {

void keep_freed_memory([[maybe_unused]] std::size_t largest_block) {
#ifdef __GLIBC__
  constexpr int kMost = std::numeric_limits<int>::max();
  if (largest_block > static_cast<std::size_t>(kMost)) {
    mallopt(M_MMAP_MAX, 0);
  } else {
    mallopt(M_MMAP_THRESHOLD, static_cast<int>(largest_block));
  }
  mallopt(M_TRIM_THRESHOLD, kMost);
#endif
}

}  // namespace mlsim::base
