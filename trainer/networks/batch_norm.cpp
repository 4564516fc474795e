#include "trainer/networks/batch_norm.h"

#include <ATen/Context.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>

#include "trainer/ranks.h"

namespace mlsim::trainer {
namespace {

// Torch's defaults.
constexpr double kMomentum = 0.1;
constexpr double kEpsilon = 1e-5;

// A number for each channel beside images.
torch::Tensor beside_images(const torch::Tensor& channels) {
  return channels.view({1, -1, 1, 1});
}

// Sums over this rank's images, in binary64.
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
                               const c10::intrusive_ptr<Shared>& shared) {
    // Of each rank's mean, its square, and the variance around it: all that the ranks' common ones are made of.
    const double size = shared->ranks.size();
    const double own_count = static_cast<double>(shared->count) / size;
    const torch::Tensor own_mean = sum_of_channels(input) / own_count;
    const torch::Tensor own_variance =
        sum_of_channels((input - beside_images(own_mean.to(torch::kFloat))).square()) / own_count;
    const std::int64_t channels = own_mean.numel();
    const torch::Tensor sums = at::cat({own_mean, own_mean.square(), own_variance});
    shared->ranks.sum(sums);
    const torch::Tensor mean = sums.narrow(0, 0, channels) / size;
    shared->mean = mean.to(torch::kFloat);
    shared->variance =
        ((sums.narrow(0, channels, channels) + sums.narrow(0, 2 * channels, channels)) / size - mean.square())
            .clamp_min(0);
    const torch::Tensor centered = input - beside_images(shared->mean);
    const torch::Tensor inverse = (shared->variance + kEpsilon).rsqrt().to(torch::kFloat);
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
    const torch::Tensor data = (error - beside_images(means.narrow(0, 0, channels)) -
                                normalized * beside_images(means.narrow(0, channels, channels))) *
                               beside_images(saved[1] * saved[2]);
    // Those of the parameters are this rank's, added to the others' with all gradients.
    return {data, of_weight.to(torch::kFloat), of_bias.to(torch::kFloat), torch::Tensor()};
  }
};

}  // namespace

BatchNormModule::BatchNormModule(std::int64_t channels, const PassState& state)
    : state_(&state),
      weight_(register_parameter("weight", torch::ones({channels}))),
      bias_(register_parameter("bias", torch::zeros({channels}))),
      running_mean_(register_buffer("running_mean", torch::zeros({channels}))),
      running_variance_(register_buffer("running_var", torch::ones({channels}))),
      batches_(register_buffer("num_batches_tracked", torch::tensor(0, torch::kLong))) {}

torch::Tensor BatchNormModule::forward(const torch::Tensor& input) {
  if (is_training()) batches_ += 1;
  if (is_training() && state_->norm_ranks != nullptr) return shared(input);
  return torch::batch_norm(input, weight_, bias_, running_mean_, running_variance_, is_training(), kMomentum, kEpsilon,
                           at::globalContext().userEnabledCuDNN());
}

torch::Tensor BatchNormModule::shared(const torch::Tensor& input) {
  const std::int64_t count = input.numel() / input.size(1) * state_->norm_ranks->size();
  const auto statistics = c10::make_intrusive<Shared>(*state_->norm_ranks, count);
  torch::Tensor result = SharedNorm::apply(input, weight_, bias_, statistics);
  const torch::NoGradGuard no_gradients;
  const double unbiased = static_cast<double>(count) / static_cast<double>(count - 1);
  running_mean_.mul_(1 - kMomentum).add_(statistics->mean, kMomentum);
  running_variance_.mul_(1 - kMomentum).add_((statistics->variance * unbiased).to(torch::kFloat), kMomentum);
  return result;
}

}  // namespace mlsim::trainer
