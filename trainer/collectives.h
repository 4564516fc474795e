// What the processes of a training do together, by a library: Gloo between processors, NCCL between GPUs.
// Tested in tests/trainer/ranks_test.cpp.
#pragma once

#include <torch/types.h>

#include <chrono>
#include <memory>
#include <string>
#include <torch/csrc/distributed/c10d/Store.hpp>

namespace mlsim::trainer {

// Every rank calls the same ones in the same order. Tensors have one dimension, are contiguous, and lie where the
// network does. Throws an exception of the library where another rank is gone.
class Collectives {
 public:
  Collectives() = default;
  virtual ~Collectives() = default;
  Collectives(const Collectives&) = delete;
  Collectives& operator=(const Collectives&) = delete;
  Collectives(Collectives&&) = delete;
  Collectives& operator=(Collectives&&) = delete;

  // Each number becomes the largest one of all ranks; 32-bit integers.
  virtual void maximum(torch::Tensor numbers) = 0;
  // Cuts `input` into equal parts, one for each rank, and fills `output` with those of this rank, in the order of the
  // ranks that they come from.
  virtual void exchange(torch::Tensor input, torch::Tensor output) = 0;
};

// How ranks find each other.
struct Meeting {
  c10::intrusive_ptr<c10d::Store> store;
  int rank = 0;
  int size = 1;
  std::string address;  // of the machine of the store
};

// How long a collective operation waits for the slowest rank.
inline constexpr std::chrono::minutes kMostWaiting{10};

// Throw std::runtime_error where this build has no such library.
std::unique_ptr<Collectives> make_gloo(const Meeting& meeting);
// For the GPU that is the current one.
std::unique_ptr<Collectives> make_nccl(const Meeting& meeting);

}  // namespace mlsim::trainer
