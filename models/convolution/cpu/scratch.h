// Memory and tasks of the engines that prepare their operands.
#pragma once

#include <oneapi/tbb/cache_aligned_allocator.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/parallel.h"

namespace mlsim::models {

constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

template <typename T>
struct ScratchDeallocate {
  std::size_t size;
  void operator()(T* data) const { tbb::cache_aligned_allocator<T>().deallocate(data, size); }
};

// Uninitialized memory from oneTBB's allocator, which keeps it for the next call.
template <typename T>
using Scratch = std::unique_ptr<T[], ScratchDeallocate<T>>;

template <typename T>
Scratch<T> make_scratch(std::int64_t count) {
  const auto size = static_cast<std::size_t>(count);
  return {tbb::cache_aligned_allocator<T>().allocate(size), ScratchDeallocate<T>{size}};
}

// body(0), body(1), … on all threads, as many of them in a row as make a task worth a thread's while. `cost` is about
// how many vector instructions one takes.
template <typename Body>
void parallel_tasks(std::int64_t count, std::int64_t cost, const Body& body) {
  constexpr std::int64_t kTaskCost = 20000;
  using Range = tbb::blocked_range<std::int64_t>;
  const std::int64_t in_a_row = std::max<std::int64_t>(kTaskCost / std::max<std::int64_t>(cost, 1), 1);
  base::parallel_for(Range(0, count, static_cast<std::size_t>(in_a_row)), [&](const Range& range) {
    for (std::int64_t i = range.begin(); i < range.end(); ++i) body(i);
  });
}

}  // namespace mlsim::models
