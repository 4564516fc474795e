#include "trainer/networks/batch_norm.h"

#include <torch/csrc/autograd/custom_function.h>

#include <utility>

#include "trainer/ranks.h"

namespace mlsim::trainer {
namespace {

// A number for each channel beside images.
torch::Tensor beside_images(const torch::Tensor& channels) {
  return channels.view({1, -1, 1, 1});
}

// Sums over the images of all ranks, in binary64.
torch::Tensor sum_of_channels(const torch::Tensor& images) {
  return images.sum({0, 2, 3}, false, torch::kDouble);
}

// What the ranks share a batch norm with.
struct Shared : torch::CustomClassHolder {
  Shared(Ranks& sharing, std::int64_t values) : ranks(sharing), count(values) {}
  Ranks& ranks;
  std::int64_t count;  // of values that a channel has, on all ranks
  torch::Tensor mean;
  torch::Tensor variance;
};

class SharedNorm : public torch::autograd::Function<SharedNorm> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& input,
                               const torch::Tensor& weight, const torch::Tensor& bias,
                               const c10::intrusive_ptr<Shared>& shared, double epsilon) {
    const auto count = static_cast<double>(shared->count);
    const torch::Tensor sums = sum_of_channels(input);
    shared->ranks.sum(sums);
    shared->mean = (sums / count).to(torch::kFloat);
    const torch::Tensor centered = input - beside_images(shared->mean);
    const torch::Tensor squares = sum_of_channels(centered.square());
    shared->ranks.sum(squares);
    shared->variance = squares / count;
    const torch::Tensor inverse = (shared->variance + epsilon).rsqrt().to(torch::kFloat);
    const torch::Tensor normalized = centered * beside_images(inverse);
    context->save_for_backward({normalized, weight, inverse});
    context->saved_data["shared"] = c10::IValue::make_capsule(shared);
    return normalized * beside_images(weight) + beside_images(bias);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const auto shared = c10::static_intrusive_pointer_cast<Shared>(context->saved_data["shared"].toCapsule());
    const torch::autograd::variable_list saved = context->get_saved_variables();
    const torch::Tensor& normalized = saved[0];
    const torch::Tensor& error = gradients[0];
    const torch::Tensor of_bias = sum_of_channels(error);
    const torch::Tensor of_weight = sum_of_channels(error * normalized);
    const torch::Tensor sums = at::cat({of_bias, of_weight});
    shared->ranks.sum(sums);
    const torch::Tensor means = (sums / static_cast<double>(shared->count)).to(torch::kFloat);
    const std::int64_t channels = of_bias.numel();
    const torch::Tensor data =
        (error - beside_images(means.narrow(0, 0, channels)) -
         normalized * beside_images(means.narrow(0, channels, channels))) *
        beside_images(saved[1] * saved[2]);
    // Those of the parameters are this rank's, added to the others' with all gradients.
    return {data, of_weight.to(torch::kFloat), of_bias.to(torch::kFloat), torch::Tensor(), torch::Tensor()};
  }
};

}  // namespace

torch::Tensor BatchNormModule::forward(const torch::Tensor& input) {
  if (!is_training() || state_->norm_ranks == nullptr) return torch::nn::BatchNorm2dImpl::forward(input);
  Ranks& ranks = *state_->norm_ranks;
  const std::int64_t count = input.numel() / input.size(1) * ranks.size();
  const auto shared = c10::make_intrusive<Shared>(ranks, count);
  torch::Tensor result = SharedNorm::apply(input, weight, bias, shared, options.eps());
  const torch::NoGradGuard no_gradients;
  const double part = options.momentum().value();
  running_mean.mul_(1 - part).add_(shared->mean, part);
  const double unbiased = static_cast<double>(count) / static_cast<double>(count - 1);
  running_var.mul_(1 - part).add_((shared->variance * unbiased).to(torch::kFloat), part);
  num_batches_tracked.add_(1);
  return result;
}

}  // namespace mlsim::trainer
