#include "trainer/step_sum.h"

#include <cstdint>
#include <utility>

namespace mlsim::trainer {

StepSum::StepSum(Ranks& ranks, std::vector<torch::Tensor> parameters, std::vector<torch::Tensor> statistics)
    : ranks_(&ranks), parameters_(std::move(parameters)), statistics_(std::move(statistics)) {
  std::int64_t count = 0;
  for (const auto* const tensors : {&parameters_, &statistics_}) {
    for (const torch::Tensor& tensor : *tensors) count += tensor.numel();
  }
  numbers_ = at::zeros({count}, parameters_.front().options().requires_grad(false));
  std::int64_t first = 0;
  for (const auto* const tensors : {&parameters_, &statistics_}) {
    for (const torch::Tensor& tensor : *tensors) {
      // In the order that the tensor's elements have in memory.
      places_.push_back(numbers_.as_strided(tensor.sizes(), tensor.strides(), first));
      first += tensor.numel();
    }
  }
}

void StepSum::add() {
  const torch::NoGradGuard no_gradients;
  for (std::size_t i = 0; i < parameters_.size(); ++i) places_[i].copy_(parameters_[i].grad());
  for (std::size_t i = 0; i < statistics_.size(); ++i) places_[parameters_.size() + i].copy_(statistics_[i]);
  ranks_->sum(numbers_);
  for (std::size_t i = 0; i < parameters_.size(); ++i) parameters_[i].mutable_grad() = places_[i];
  for (std::size_t i = 0; i < statistics_.size(); ++i) {
    statistics_[i].copy_(places_[parameters_.size() + i].div(ranks_->size()));
  }
}

}  // namespace mlsim::trainer
