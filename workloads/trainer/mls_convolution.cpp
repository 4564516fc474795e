#include "workloads/trainer/mls_convolution.h"

#include <ATen/Context.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <span>
#include <utility>
#include <variant>

#include "models/baseline.h"
#include "workloads/workload.h"

namespace mlsim::trainer {
namespace {

using models::Operand;

// Everything a convolution must remember between its two directions besides tensors.
struct Call : torch::CustomClassHolder {
  Call(ConvolutionLayer called, const PassState& pass) : layer(std::move(called)), state(pass) {}
  ConvolutionLayer layer;
  const PassState& state;
};

models::Shape shape_of(const torch::Tensor& tensor) {
  return {tensor.sizes().begin(), tensor.sizes().end()};
}

bool is_binary32(const models::Format& format) {
  return format == models::Format(models::BaselineFormat::kFp32);
}

ScaledTensor quantize_operand(const torch::Tensor& tensor, Operand operand, const ConvolutionLayer& layer,
                              const PassState& state) {
  const OperandQuantization& quantization = state.quantization[operand];
  if (is_binary32(quantization.format)) return {tensor, {}};
  const bool nearest = state.evaluating && !state.quantization.evaluate_as_trained;
  const models::QuantizerOptions options{
      .rounding = nearest ? models::Rounding::kNearest : quantization.rounding,
      .random_bits = state.quantization.random_bits,
      .seed = state.quantization.seed,
      .stream = workloads::random_stream(state.gpu == nullptr ? state.step : 0, layer.index, operand),
  };
  if (state.gpu != nullptr) return state.gpu->quantize(tensor, quantization.format, options);
  const torch::Tensor dense = tensor.contiguous();
  torch::Tensor values = at::empty_like(dense);
  const auto size = static_cast<std::size_t>(dense.numel());
  const std::span<const float> input(dense.data_ptr<float>(), size);
  const std::span<float> output(values.data_ptr<float>(), size);
  const std::string name = layer.name + " " + to_string(operand);
  const auto* const mls = std::get_if<models::MlsFormat>(&quantization.format);
  const float scale =
      mls != nullptr
          ? models::quantize_scaled(input, shape_of(dense), *mls, options, name, output)
          : models::quantize_baseline_scaled(
                input, shape_of(dense), std::get<models::BaselineFormat>(quantization.format), options, name, output);
  return {std::move(values), torch::tensor(scale)};
}

// A result of scaled operands times both tensor scales, whose product is rounded first as in the numeric contract.
torch::Tensor rescaled(torch::Tensor result, const torch::Tensor& left, const torch::Tensor& right) {
  if (!result.defined() || (!left.defined() && !right.defined())) return result;
  if (left.defined() && right.defined()) return result.mul_(left * right);
  return result.mul_(left.defined() ? left : right);
}

// While it lives, convolutions on the GPU multiply in TF32 if that keeps all bits of the operands.
class Tf32WhereExact {
 public:
  explicit Tf32WhereExact(const PassState& state) : allowed_(state.gpu != nullptr && fits_tf32(state.quantization)) {
    if (allowed_) at::globalContext().setAllowTF32CuDNN(true);
  }
  ~Tf32WhereExact() {
    if (allowed_) at::globalContext().setAllowTF32CuDNN(false);
  }
  Tf32WhereExact(const Tf32WhereExact&) = delete;
  Tf32WhereExact& operator=(const Tf32WhereExact&) = delete;
  Tf32WhereExact(Tf32WhereExact&&) = delete;
  Tf32WhereExact& operator=(Tf32WhereExact&&) = delete;

 private:
  bool allowed_;
};

models::Tensor<float> copy_first(const torch::Tensor& tensor, std::int64_t count) {
  const torch::Tensor slice = tensor.slice(0, 0, count).cpu().contiguous();
  const float* const data = slice.data_ptr<float>();
  return {shape_of(slice), {data, data + slice.numel()}};
}

class MlsConvolution : public torch::autograd::Function<MlsConvolution> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& activation,
                               const torch::Tensor& weight, const c10::intrusive_ptr<Call>& call) {
    const ConvolutionLayer& layer = call->layer;
    const ScaledTensor a = quantize_operand(activation, Operand::kActivation, layer, call->state);
    const ScaledTensor w = quantize_operand(weight, Operand::kWeight, layer, call->state);
    if (call->state.trace != nullptr) {
      start_trace(activation, weight, *call);
    }
    context->save_for_backward({a.values, w.values, a.scale, w.scale});
    context->saved_data["call"] = c10::IValue::make_capsule(call);
    const Tf32WhereExact tf32(call->state);
    torch::Tensor result =
        at::conv2d(a.values, w.values, {}, {layer.stride, layer.stride}, {layer.padding, layer.padding});
    return rescaled(std::move(result), a.scale, w.scale);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const auto call = c10::static_intrusive_pointer_cast<Call>(context->saved_data["call"].toCapsule());
    const ConvolutionLayer& layer = call->layer;
    const torch::autograd::variable_list saved = context->get_saved_variables();
    const ScaledTensor e = quantize_operand(gradients[0], Operand::kError, layer, call->state);
    if (call->state.trace != nullptr) finish_trace(gradients[0], *call);
    const Tf32WhereExact tf32(call->state);
    auto [for_activation, for_weight, for_bias] = at::convolution_backward(
        e.values, saved[0], saved[1], c10::nullopt, {layer.stride, layer.stride}, {layer.padding, layer.padding},
        {1, 1}, false, {0, 0}, 1, {context->needs_input_grad(0), context->needs_input_grad(1), false});
    return {rescaled(std::move(for_activation), e.scale, saved[3]), rescaled(std::move(for_weight), e.scale, saved[2]),
            torch::Tensor()};
  }

 private:
  static void start_trace(const torch::Tensor& activation, const torch::Tensor& weight, const Call& call) {
    const std::int64_t samples = std::min(call.state.trace_samples, activation.size(0));
    for (TracedConvolution& traced : *call.state.trace) {
      if (traced.name != call.layer.name) continue;
      traced.shape = {
          .batch = samples,
          .in_channels = activation.size(1),
          .out_channels = weight.size(0),
          .in_size = {activation.size(2), activation.size(3)},
          .kernel = {weight.size(2), weight.size(3)},
          .stride = {call.layer.stride, call.layer.stride},
          .padding = {call.layer.padding, call.layer.padding},
          .groups = 1,
      };
      traced.operands[static_cast<std::size_t>(Operand::kActivation)] = copy_first(activation, samples);
      traced.operands[static_cast<std::size_t>(Operand::kWeight)] = copy_first(weight, weight.size(0));
    }
  }

  static void finish_trace(const torch::Tensor& error, const Call& call) {
    for (TracedConvolution& traced : *call.state.trace) {
      if (traced.name != call.layer.name) continue;
      traced.operands[static_cast<std::size_t>(Operand::kError)] = copy_first(error, traced.shape.batch);
    }
  }
};

}  // namespace

torch::Tensor mls_convolution(const torch::Tensor& activation, const torch::Tensor& weight,
                              const ConvolutionLayer& layer, const PassState& state) {
  return MlsConvolution::apply(activation, weight, c10::make_intrusive<Call>(layer, state));
}

}  // namespace mlsim::trainer
