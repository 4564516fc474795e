// Parallel sections whose results may be used whatever happens beside them. oneTBB hands a cancellation on to the
// algorithms nested in a cancelled one, which then return without having done their work; here each has a context of
// its own, so that it ends with all its work done or with an exception. Nothing else in the project starts one.
#pragma once

#include <oneapi/tbb/blocked_range.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/parallel_pipeline.h>
#include <oneapi/tbb/parallel_reduce.h>
#include <oneapi/tbb/task_group.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <exception>
#include <limits>
#include <vector>

namespace mlsim::base {

// body(range) for parts of a range that cover it.
template <typename Range, typename Body>
void parallel_for(const Range& range, const Body& body) {
  tbb::task_group_context context(tbb::task_group_context::isolated);
  tbb::parallel_for(range, body, context);
}

// body(i) for first <= i < last.
template <typename Index, typename Body>
void parallel_for(Index first, Index last, const Body& body) {
  tbb::task_group_context context(tbb::task_group_context::isolated);
  tbb::parallel_for(first, last, body, context);
}

// As tbb::parallel_reduce in its functional form.
template <typename Range, typename Value, typename Body, typename Combine>
Value parallel_reduce(const Range& range, const Value& identity, const Body& body, const Combine& combine) {
  tbb::task_group_context context(tbb::task_group_context::isolated);
  return tbb::parallel_reduce(range, identity, body, combine, context);
}

// f(0) to f(count - 1), begun in this order, at most `at_once` at a time. After an exception no higher index is begun;
// what has begun is ended, and the exception of the lowest index is thrown: the same one each time.
template <typename Function>
void in_order(std::size_t count, std::size_t at_once, const Function& f) {
  std::vector<std::exception_ptr> errors(count);
  std::atomic<std::size_t> failed = std::numeric_limits<std::size_t>::max();
  std::size_t next = 0;
  const auto start = [&](tbb::flow_control& control) -> std::size_t {
    if (next == count || failed.load() != std::numeric_limits<std::size_t>::max()) {
      control.stop();
      return 0;
    }
    return next++;
  };
  const auto run = [&](std::size_t i) {
    try {
      f(i);
    } catch (...) {
      errors[i] = std::current_exception();
      failed = i;
    }
  };
  tbb::task_group_context context(tbb::task_group_context::isolated);
  tbb::parallel_pipeline(at_once,
                         tbb::make_filter<void, std::size_t>(tbb::filter_mode::serial_in_order, start) &
                             tbb::make_filter<std::size_t, void>(tbb::filter_mode::parallel, run),
                         context);
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

// f(0) to f(count - 1) side by side, all of them; of their exceptions, that of the lowest index is thrown.
template <typename Function>
void side_by_side(std::size_t count, const Function& f) {
  std::vector<std::exception_ptr> errors(count);
  parallel_for(std::size_t{0}, count, [&](std::size_t i) {
    try {
      f(i);
    } catch (...) {
      errors[i] = std::current_exception();
    }
  });
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

// Both, side by side; of two exceptions, that of the first is thrown.
template <typename First, typename Second>
void parallel_invoke(const First& first, const Second& second) {
  side_by_side(2, [&](std::size_t i) {
    if (i == 0) {
      first();
    } else {
      second();
    }
  });
}

}  // namespace mlsim::base
