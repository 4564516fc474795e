#include "trainer/mls_convolution.h"

#include <ATen/Context.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <span>
#include <tuple>
#include <utility>
#include <variant>

#include "models/baseline/baseline.h"
#include "models/convolution/cpu/functional_convolution.h"
#include "workloads/workload.h"

namespace mlsim::trainer {
namespace {

using models::Operand;

// Everything a convolution must remember between its two directions besides what autograd saves.
struct Call : torch::CustomClassHolder {
  Call(ConvolutionLayer called, const PassState& pass) : layer(std::move(called)), state(pass) {}
  ConvolutionLayer layer;
  const PassState& state;
  models::ConvolutionShape shape;
  // In exact arithmetic.
  models::ScaledTensor activation;
  models::ScaledTensor weight;
  // Of a traced convolution: what went in and came out.
  TracedConvolution* traced = nullptr;
  std::array<torch::Tensor, 3> operands;  // indexed by Operand
  std::array<torch::Tensor, 3> results;   // indexed by Pass
};

models::Shape shape_of(const torch::Tensor& tensor) {
  return {tensor.sizes().begin(), tensor.sizes().end()};
}

bool is_binary32(const models::Format& format) {
  return format == models::Format(models::BaselineFormat::kFp32);
}

models::QuantizerOptions options_of(Operand operand, const ConvolutionLayer& layer, const PassState& state) {
  const bool nearest = state.evaluating && !state.quantization.evaluate_as_trained;
  return {
      .rounding = nearest ? models::Rounding::kNearest : state.quantization[operand].rounding,
      .random_bits = state.quantization.random_bits,
      .seed = state.quantization.seed,
      .stream = workloads::random_stream(state.gpu == nullptr ? state.step : 0, layer.index, operand),
  };
}

std::string name_of(Operand operand, const ConvolutionLayer& layer) {
  return layer.name + " " + to_string(operand);
}

std::span<const float> values_of(const torch::Tensor& dense) {
  return {dense.data_ptr<float>(), static_cast<std::size_t>(dense.numel())};
}

ScaledTensor quantize_operand(const torch::Tensor& tensor, Operand operand, const ConvolutionLayer& layer,
                              const PassState& state) {
  const models::Format& format = state.quantization[operand].format;
  if (is_binary32(format)) return {tensor, {}};
  const models::QuantizerOptions options = options_of(operand, layer, state);
  if (state.gpu != nullptr) return state.gpu->quantize(tensor, format, options);
  const torch::Tensor dense = tensor.contiguous();
  torch::Tensor values = at::empty_like(dense);
  const std::span<float> output(values.data_ptr<float>(), static_cast<std::size_t>(values.numel()));
  const std::string name = name_of(operand, layer);
  const auto* const mls = std::get_if<models::ScaledFormat>(&format);
  const float scale =
      mls != nullptr
          ? models::quantize_scaled(values_of(dense), shape_of(dense), *mls, options, name, output)
          : models::quantize_baseline_scaled(values_of(dense), shape_of(dense),
                                             std::get<models::BaselineFormat>(format), options, name, output);
  return {std::move(values), torch::tensor(scale)};
}

models::ScaledTensor quantize_to_mls(const torch::Tensor& tensor, Operand operand, const ConvolutionLayer& layer,
                                     const PassState& state) {
  const torch::Tensor dense = tensor.contiguous();
  return models::quantize(values_of(dense), shape_of(dense),
                          std::get<models::ScaledFormat>(state.quantization[operand].format),
                          options_of(operand, layer, state), name_of(operand, layer))
      .tensor;
}

torch::Tensor convolve_exactly(models::Pass pass, const Call& call, const models::ScaledTensor& left,
                               const models::ScaledTensor& right, bool counted) {
  const models::ConvolutionResult result =
      models::functional_convolution(pass, call.shape, left, right, call.state.quantization.accumulator);
  if (counted && call.state.overflows != nullptr) {
    (*call.state.overflows)[static_cast<std::size_t>(pass)] += result.counts.overflows;
  }
  torch::Tensor values = at::empty(at::IntArrayRef(result.values.shape));
  std::ranges::copy(result.values.values, values.data_ptr<float>());
  return values;
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

models::ConvolutionShape shape_of_call(const torch::Tensor& activation, const torch::Tensor& weight,
                                       const ConvolutionLayer& layer) {
  return {
      .batch = activation.size(0),
      .in_channels = activation.size(1),
      .out_channels = weight.size(0),
      .in_size = {activation.size(2), activation.size(3)},
      .kernel = {weight.size(2), weight.size(3)},
      .stride = {layer.stride, layer.stride},
      .padding = {layer.padding, layer.padding},
      .groups = 1,
  };
}

TracedConvolution* traced_by(const PassState& state, const std::string& name) {
  if (state.trace == nullptr) return nullptr;
  const auto found = std::ranges::find(*state.trace, name, &TracedConvolution::name);
  return found == state.trace->end() ? nullptr : &*found;
}

// A later layer may change a tensor in place.
torch::Tensor copy_of(const torch::Tensor& tensor) {
  return tensor.detach().clone();
}

void finish_trace(const Call& call) {
  TracedConvolution& traced = *call.traced;
  traced.shape = call.shape;
  traced.shape.batch = std::min(call.state.trace_samples, call.shape.batch);
  for (const Operand operand : models::kOperands) {
    const auto index = static_cast<std::size_t>(operand);
    const bool weight = operand == Operand::kWeight;
    traced.operands[index] = copy_first(call.operands[index], weight ? call.shape.out_channels : traced.shape.batch);
  }
  const Quantization& quantization = call.state.quantization;
  const bool compared = quantization.arithmetic == Arithmetic::kDequantized && quantization.is_mls();
  const bool whole = traced.shape.batch == call.shape.batch;
  if (!whole && !compared) return;
  std::array<models::Tensor<float>, 3> results;
  for (const models::Pass pass : models::kPasses) {
    const torch::Tensor& result = call.results[static_cast<std::size_t>(pass)];
    results[static_cast<std::size_t>(pass)] = copy_first(result, result.size(0));
  }
  if (compared) {
    std::array<models::ScaledTensor, 3> operands;
    for (const Operand operand : models::kOperands) {
      const auto index = static_cast<std::size_t>(operand);
      const models::Tensor<float> values = copy_first(call.operands[index], call.operands[index].size(0));
      models::QuantizerOptions options = options_of(operand, call.layer, call.state);
      options.stream = workloads::random_stream(call.state.step, call.layer.index, operand);
      operands[index] = models::quantize(values, std::get<models::ScaledFormat>(quantization[operand].format), options,
                                         name_of(operand, call.layer))
                            .tensor;
    }
    for (const models::Pass pass : models::kPasses) {
      const models::Tensor<float> exact =
          models::functional_convolution(pass, call.shape,
                                         operands[static_cast<std::size_t>(models::left_operand(pass))],
                                         operands[static_cast<std::size_t>(models::right_operand(pass))], {})
              .values;
      traced.differences[static_cast<std::size_t>(pass)] =
          difference_of(results[static_cast<std::size_t>(pass)], exact);
    }
  }
  if (whole) traced.results = std::move(results);
}

class MlsConvolution : public torch::autograd::Function<MlsConvolution> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& activation,
                               const torch::Tensor& weight, const c10::intrusive_ptr<Call>& call) {
    const ConvolutionLayer& layer = call->layer;
    call->shape = shape_of_call(activation, weight, layer);
    call->traced = traced_by(call->state, layer.name);
    context->saved_data["call"] = c10::IValue::make_capsule(call);
    torch::Tensor result;
    if (call->state.quantization.arithmetic == Arithmetic::kExact) {
      call->activation = quantize_to_mls(activation, Operand::kActivation, layer, call->state);
      call->weight = quantize_to_mls(weight, Operand::kWeight, layer, call->state);
      result = convolve_exactly(models::Pass::kForward, *call, call->activation, call->weight, true);
    } else {
      const ScaledTensor a = quantize_operand(activation, Operand::kActivation, layer, call->state);
      const ScaledTensor w = quantize_operand(weight, Operand::kWeight, layer, call->state);
      context->save_for_backward({a.values, w.values, a.scale, w.scale});
      const Tf32WhereExact tf32(call->state);
      result =
          rescaled(at::conv2d(a.values, w.values, {}, {layer.stride, layer.stride}, {layer.padding, layer.padding}),
                   a.scale, w.scale);
    }
    if (call->traced != nullptr) {
      call->operands = {copy_of(activation), copy_of(weight), torch::Tensor()};
      call->results[0] = copy_of(result);
    }
    return result;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const auto call = c10::static_intrusive_pointer_cast<Call>(context->saved_data["call"].toCapsule());
    const ConvolutionLayer& layer = call->layer;
    const torch::Tensor& error = gradients[0];
    const bool traced = call->traced != nullptr;
    const bool needs_activation = context->needs_input_grad(0) || traced;
    const bool needs_weight = context->needs_input_grad(1) || traced;
    torch::Tensor for_activation;
    torch::Tensor for_weight;
    if (call->state.quantization.arithmetic == Arithmetic::kExact) {
      const models::ScaledTensor e = quantize_to_mls(error, Operand::kError, layer, call->state);
      if (needs_activation) {
        for_activation =
            convolve_exactly(models::Pass::kBackwardData, *call, e, call->weight, context->needs_input_grad(0));
      }
      if (needs_weight) {
        for_weight =
            convolve_exactly(models::Pass::kBackwardWeight, *call, e, call->activation, context->needs_input_grad(1));
      }
    } else {
      const torch::autograd::variable_list saved = context->get_saved_variables();
      const ScaledTensor e = quantize_operand(error, Operand::kError, layer, call->state);
      const Tf32WhereExact tf32(call->state);
      std::tie(for_activation, for_weight, std::ignore) = at::convolution_backward(
          e.values, saved[0], saved[1], c10::nullopt, {layer.stride, layer.stride}, {layer.padding, layer.padding},
          {1, 1}, false, {0, 0}, 1, {needs_activation, needs_weight, false});
      for_activation = rescaled(std::move(for_activation), e.scale, saved[3]);
      for_weight = rescaled(std::move(for_weight), e.scale, saved[2]);
    }
    if (traced) {
      call->operands[2] = error;
      call->results[1] = for_activation;
      call->results[2] = for_weight;
      finish_trace(*call);
    }
    return {for_activation, for_weight, torch::Tensor()};
  }
};

}  // namespace

torch::Tensor mls_convolution(const torch::Tensor& activation, const torch::Tensor& weight,
                              const ConvolutionLayer& layer, const PassState& state) {
  return MlsConvolution::apply(activation, weight, c10::make_intrusive<Call>(layer, state));
}

}  // namespace mlsim::trainer
