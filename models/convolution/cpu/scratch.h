// Memory and tasks of the engines that prepare their operands.
// Tested in tests/models/functional_convolution_test.cpp.
#pragma once

#include <oneapi/tbb/cache_aligned_allocator.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/parallel.h"

namespace mlsim::models {

// Large memory comes from oneTBB's allocator, which keeps it for the next call: pages that the system has just mapped
// cost more than the convolution of a small layer.
template <typename T>
using Buffer = std::vector<T, tbb::cache_aligned_allocator<T>>;

template <typename T>
struct ScratchDeallocate {
  std::size_t size;
  void operator()(T* data) const { tbb::cache_aligned_allocator<T>().deallocate(data, size); }
};

// The same, uninitialized.
template <typename T>
using Scratch = std::unique_ptr<T[], ScratchDeallocate<T>>;

template <typename T>
Scratch<T> make_scratch(std::int64_t count) {
  const auto size = static_cast<std::size_t>(count);
  return {tbb::cache_aligned_allocator<T>().allocate(size), ScratchDeallocate<T>{size}};
}

// How many pieces of work in a row make a task worth a thread's while. `cost` is about how many vector instructions one
// takes.
constexpr std::int64_t pieces_of_task(std::int64_t cost) {
  constexpr std::int64_t kTaskCost = 20000;
  return std::max<std::int64_t>(kTaskCost / std::max<std::int64_t>(cost, 1), 1);
}

// body(0), body(1), … on all threads, each of this cost.
template <typename Body>
void parallel_tasks(std::int64_t count, std::int64_t cost, const Body& body) {
  using Range = tbb::blocked_range<std::int64_t>;
  base::parallel_for(Range(0, count, static_cast<std::size_t>(pieces_of_task(cost))), [&](const Range& range) {
    for (std::int64_t i = range.begin(); i < range.end(); ++i) body(i);
  });
}

}  // namespace mlsim::models
