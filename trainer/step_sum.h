// What ranks add up in every step.
// Tested in tests/trainer/ranks_test.cpp.
#pragma once

#include <torch/types.h>

#include <vector>

#include "trainer/ranks.h"

namespace mlsim::trainer {

// Gradients and the statistics of batch norm in one tensor, so that a step has one sum.
class StepSum {
 public:
  // `statistics`: tensors of binary32 of which every rank has its own.
  StepSum(Ranks& ranks, std::vector<torch::Tensor> parameters, std::vector<torch::Tensor> statistics);

  // Every gradient becomes the sum of those of all ranks, every statistic their mean: the same bits on every rank. The
  // gradients share memory with this object until they are replaced.
  void add();

 private:
  Ranks* ranks_;
  std::vector<torch::Tensor> parameters_;
  std::vector<torch::Tensor> statistics_;
  torch::Tensor numbers_;
  std::vector<torch::Tensor> places_;  // of gradients and then of statistics in them
};

}  // namespace mlsim::trainer
