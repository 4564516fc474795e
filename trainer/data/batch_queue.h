// Batches made ahead of the step that takes them.
// Tested in tests/trainer/batches_test.cpp.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <future>

#include "trainer/data/batches.h"

namespace mlsim::trainer {

// Makes batches first .. end - 1 in threads of its own, up to two beyond the one that is taken.
class BatchQueue {
 public:
  // `make` is called with the number of a batch, by several threads at once.
  BatchQueue(std::function<Batch(std::size_t)> make, std::size_t first, std::size_t end);

  // The next batch, in order. Throws what making it threw.
  Batch next();

 private:
  std::function<Batch(std::size_t)> make_;
  std::size_t next_;
  std::size_t end_;
  std::deque<std::future<Batch>> batches_;  // the first is next; each waits for its thread when it goes
};

}  // namespace mlsim::trainer
