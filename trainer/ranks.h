// The processes of one training, ranks 0 to size - 1, that each have a part of every batch.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "trainer/rank_environment.h"

namespace at {
class Tensor;
}

namespace mlsim::trainer {

// Every rank calls connect, maximum, sum, of_leader and leave in the same order. They throw std::runtime_error with
// a sentence where another rank is gone, cannot be reached or waits for more than kMostWaiting (collectives.h). A rank
// whose object goes without leave() is gone for the others.
class Ranks {
 public:
  // Waits until all are there, up to five minutes. From then on a thread watches that the others live: `on_loss` is
  // called by it with a sentence where one is gone and this process has not ended three seconds later, as it does not
  // while it waits for a GPU; it must end the process.
  Ranks(const RankEnvironment& environment, std::function<void(const std::string&)> on_loss);
  ~Ranks();
  Ranks(const Ranks&) = delete;
  Ranks& operator=(const Ranks&) = delete;
  Ranks(Ranks&&) = delete;
  Ranks& operator=(Ranks&&) = delete;

  int rank() const { return environment_.rank; }
  int size() const { return environment_.size; }
  int local_rank() const { return environment_.local_rank; }
  bool leads() const { return rank() == 0; }

  // Prepares the next two: between the current GPUs of the processes, or between processors.
  void connect(bool gpus);
  // Makes each number the largest one of all ranks. 32-bit integers of one dimension, contiguous, where the network is.
  void maximum(const at::Tensor& numbers);
  // Makes each number the sum over all ranks, added one after the other in their order, in the type of the tensor, so
  // that it has the same bits on every rank and in every run. Of one dimension.
  void sum(const at::Tensor& numbers);

  // The text that rank 0 has under a name.
  std::string of_leader(const std::string& name, const std::string& own);

  // Ends the training for this rank; rank 0 waits for the others.
  void leave();

 private:
  class Members;

  RankEnvironment environment_;
  std::unique_ptr<Members> members_;
};

}  // namespace mlsim::trainer
