#include "trainer/data/batch_queue.h"

#include <cassert>
#include <utility>

namespace mlsim::trainer {
namespace {

constexpr std::size_t kAhead = 2;

}  // namespace

BatchQueue::BatchQueue(std::function<Batch(std::size_t)> make, std::size_t first, std::size_t end)
    : make_(std::move(make)), next_(first), end_(end) {}

Batch BatchQueue::next() {
  while (next_ < end_ && batches_.size() <= kAhead) {
    batches_.push_back(std::async(std::launch::async, make_, next_++));
  }
  assert(!batches_.empty());
  std::future<Batch> batch = std::move(batches_.front());
  batches_.pop_front();
  return batch.get();
}

}  // namespace mlsim::trainer
