#include "trainer/quantized_convolution.h"

#include <ATen/Context.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <span>
#include <tuple>
#include <utility>
#include <variant>

#include "models/baseline/baseline.h"
#include "models/convolution/cpu/functional_convolution.h"
#include "trainer/batch_part.h"
#include "workloads/workload.h"

namespace mlsim::trainer {
namespace {

using models::Operand;

// An operand as a pass takes it: by arithmetic, values that Torch multiplies or elements of integers.
struct PassOperand {
  ScaledValues scaled;
  std::shared_ptr<const models::ScaledTensor> exact;
};

// Everything a convolution must remember between its two directions besides what autograd saves.
struct Call : torch::CustomClassHolder {
  Call(ConvolutionLayer called, const PassState& pass) : layer(std::move(called)), state(pass) {}
  ConvolutionLayer layer;
  const PassState& state;
  models::ConvolutionShape shape;
  // In exact arithmetic, those of the forward pass that a backward pass takes too; indexed by Operand.
  std::array<std::shared_ptr<const models::ScaledTensor>, 2> kept;
  // Of a traced convolution: what went in and came out.
  TracedConvolution* traced = nullptr;
  std::array<torch::Tensor, 3> operands;  // indexed by Operand
  std::array<torch::Tensor, 3> results;   // indexed by Pass

  bool is_exact() const { return state.quantization.arithmetic == Arithmetic::kExact; }
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

// Where an operand lies in that of the batch that it is quantized with, if it is a part.
std::optional<models::TensorPart> part_of(Operand operand, const torch::Tensor& tensor, const models::Format& format,
                                          const PassState& state) {
  if (state.part == nullptr || state.evaluating || operand == Operand::kWeight) return std::nullopt;
  return state.part->of(tensor, format);
}

std::string name_of(Operand operand, const ConvolutionLayer& layer) {
  return layer.name + " " + to_string(operand);
}

std::span<const float> values_of(const torch::Tensor& dense) {
  return {dense.data_ptr<float>(), static_cast<std::size_t>(dense.numel())};
}

ScaledValues quantize_values(const torch::Tensor& tensor, Operand operand, models::Pass pass, const Call& call) {
  const PassState& state = call.state;
  const models::Format format = models::format_of(state.quantization[operand].format, operand, pass);
  if (is_binary32(format)) return {tensor, {}};
  models::QuantizerOptions options = options_of(operand, call.layer, state);
  const std::optional<models::TensorPart> part = part_of(operand, tensor, format, state);
  if (part) options.part = &*part;
  if (state.gpu != nullptr) return state.gpu->quantize(tensor, format, options);
  const torch::Tensor dense = tensor.contiguous();
  torch::Tensor values = at::empty_like(dense);
  const std::span<float> output(values.data_ptr<float>(), static_cast<std::size_t>(values.numel()));
  const std::string name = name_of(operand, call.layer);
  const auto* const scaled = std::get_if<models::ScaledFormat>(&format);
  const float scale =
      scaled != nullptr
          ? models::quantize_scaled(values_of(dense), shape_of(dense), *scaled, options, name, output)
          : models::quantize_baseline_scaled(values_of(dense), shape_of(dense),
                                             std::get<models::BaselineFormat>(format), options, name, output);
  return {std::move(values), torch::tensor(scale)};
}

// From binary32, with the same random words for the same element whatever the pass.
PassOperand quantize_operand(const torch::Tensor& tensor, Operand operand, models::Pass pass, const Call& call) {
  if (!call.is_exact()) return {quantize_values(tensor, operand, pass, call), nullptr};
  const torch::Tensor dense = tensor.contiguous();
  const models::ScaledFormat format =
      std::get<models::ScaledFormat>(call.state.quantization[operand].format).of(operand, pass);
  models::QuantizerOptions options = options_of(operand, call.layer, call.state);
  const std::optional<models::TensorPart> part = part_of(operand, dense, format, call.state);
  if (part) options.part = &*part;
  models::QuantizedTensor quantized =
      models::quantize(values_of(dense), shape_of(dense), format, options, name_of(operand, call.layer));
  return {{}, std::make_shared<const models::ScaledTensor>(std::move(quantized.tensor))};
}

// Whether two passes take an operand in the same tiles.
bool tiled_alike(Operand operand, models::Pass one, models::Pass other, const Call& call) {
  const models::Format& format = call.state.quantization[operand].format;
  return models::format_of(format, operand, one) == models::format_of(format, operand, other);
}

// The backward pass that takes an operand of the forward one.
models::Pass backward_pass(Operand operand) {
  return operand == Operand::kActivation ? models::Pass::kBackwardWeight : models::Pass::kBackwardData;
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

// How far the results of a pass are from exact ones.
Difference difference_from_exact(models::Pass pass, const Call& call, const models::Tensor<float>& result) {
  const auto quantized = [&](Operand operand) {
    const torch::Tensor& tensor = call.operands[static_cast<std::size_t>(operand)];
    models::QuantizerOptions options = options_of(operand, call.layer, call.state);
    options.stream = workloads::random_stream(call.state.step, call.layer.index, operand);
    const auto& format = std::get<models::ScaledFormat>(call.state.quantization[operand].format);
    return models::quantize(copy_first(tensor, tensor.size(0)), format.of(operand, pass), options,
                            name_of(operand, call.layer))
        .tensor;
  };
  const models::ScaledTensor left = quantized(models::left_operand(pass));
  const models::ScaledTensor right = quantized(models::right_operand(pass));
  return difference_of(result, models::functional_convolution(pass, call.shape, left, right, {}).values);
}

void finish_trace(const Call& call) {
  TracedConvolution& traced = *call.traced;
  traced.linear = call.layer.linear;
  traced.index = call.layer.index;
  traced.shape = call.shape;
  traced.shape.batch = std::min(call.state.trace_samples, call.shape.batch);
  for (const Operand operand : models::kOperands) {
    const auto index = static_cast<std::size_t>(operand);
    const bool weight = operand == Operand::kWeight;
    traced.operands[index] = copy_first(call.operands[index], weight ? call.shape.out_channels : traced.shape.batch);
  }
  const Quantization& quantization = call.state.quantization;
  const bool compared = quantization.arithmetic == Arithmetic::kDequantized && quantization.is_block_scaled();
  const bool whole = traced.shape.batch == call.shape.batch;
  if (!whole && !compared) return;
  for (const models::Pass pass : models::kPasses) {
    const auto index = static_cast<std::size_t>(pass);
    models::Tensor<float> result = copy_first(call.results[index], call.results[index].size(0));
    if (compared) traced.differences[index] = difference_from_exact(pass, call, result);
    if (whole) traced.results[index] = std::move(result);
  }
}

// The result of a pass. Torch's functions for the gradients ask for the third tensor too, of which they take the shape:
// `other`, a tensor like the pass's result.
torch::Tensor convolve(models::Pass pass, const Call& call, const PassOperand& left, const PassOperand& right,
                       const torch::Tensor& other, bool counted) {
  if (call.is_exact()) return convolve_exactly(pass, call, *left.exact, *right.exact, counted);
  const Tf32WhereExact tf32(call.state);
  const std::array<std::int64_t, 2> stride{call.layer.stride, call.layer.stride};
  const std::array<std::int64_t, 2> padding{call.layer.padding, call.layer.padding};
  torch::Tensor result;
  if (pass == models::Pass::kForward) {
    result = at::conv2d(left.scaled.values, right.scaled.values, {}, stride, padding);
  } else {
    const bool data = pass == models::Pass::kBackwardData;
    const torch::Tensor& activation = data ? other : right.scaled.values;
    const torch::Tensor& weight = data ? right.scaled.values : other;
    const auto gradients = at::convolution_backward(left.scaled.values, activation, weight, {}, stride, padding, {1, 1},
                                                    false, {0, 0}, 1, {data, !data, false});
    result = data ? std::get<0>(gradients) : std::get<1>(gradients);
  }
  return rescaled(std::move(result), left.scaled.scale, right.scaled.scale);
}

class QuantizedConvolution : public torch::autograd::Function<QuantizedConvolution> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& activation,
                               const torch::Tensor& weight, const c10::intrusive_ptr<Call>& call) {
    call->shape = shape_of_call(activation, weight, call->layer);
    call->traced = traced_by(call->state, call->layer.name);
    context->saved_data["call"] = c10::IValue::make_capsule(call);
    constexpr models::Pass kPass = models::Pass::kForward;
    const PassOperand a = quantize_operand(activation, Operand::kActivation, kPass, *call);
    const PassOperand w = quantize_operand(weight, Operand::kWeight, kPass, *call);
    torch::Tensor result = convolve(kPass, *call, a, w, {}, true);
    torch::autograd::variable_list saved;
    save(saved, *call, Operand::kActivation, a, activation);
    save(saved, *call, Operand::kWeight, w, weight);
    context->save_for_backward(saved);
    if (call->traced != nullptr) {
      call->operands = {copy_of(activation), copy_of(weight), torch::Tensor()};
      call->results[0] = copy_of(result);
    }
    return result;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const auto call = c10::static_intrusive_pointer_cast<Call>(context->saved_data["call"].toCapsule());
    const torch::autograd::variable_list saved = context->get_saved_variables();
    const torch::Tensor& error = gradients[0];
    const bool traced = call->traced != nullptr;
    std::array<torch::Tensor, 2> results;  // indexed by Operand
    PassOperand e;
    bool quantized = false;
    for (const Operand operand : {Operand::kActivation, Operand::kWeight}) {
      const auto index = static_cast<std::size_t>(operand);
      const bool counted = context->needs_input_grad(index);
      if (!counted && !traced) continue;
      const bool data = operand == Operand::kActivation;
      const models::Pass pass = data ? models::Pass::kBackwardData : models::Pass::kBackwardWeight;
      if (!quantized || !tiled_alike(Operand::kError, models::Pass::kBackwardData, pass, *call)) {
        e = quantize_operand(error, Operand::kError, pass, *call);
        quantized = true;
      }
      const PassOperand other = restored(saved, *call, data ? Operand::kWeight : Operand::kActivation);
      results[index] = convolve(pass, *call, e, other, saved[2 * index], counted);
    }
    if (traced) {
      call->operands[2] = error;
      call->results[1] = results[0];
      call->results[2] = results[1];
      finish_trace(*call);
    }
    return {results[0], results[1], torch::Tensor()};
  }

 private:
  // Values and scale of an operand as its backward pass takes it. Where that pass has other tiles: binary32 and no
  // scale, to be quantized there, so that one tensor is kept in either case.
  static void save(torch::autograd::variable_list& saved, Call& call, Operand operand, const PassOperand& quantized,
                   const torch::Tensor& tensor) {
    const bool kept = tiled_alike(operand, models::Pass::kForward, backward_pass(operand), call);
    if (kept) call.kept[static_cast<std::size_t>(operand)] = quantized.exact;
    saved.push_back(!kept ? tensor : quantized.scaled.values);
    saved.push_back(!kept ? torch::Tensor() : quantized.scaled.scale);
  }

  static PassOperand restored(const torch::autograd::variable_list& saved, const Call& call, Operand operand) {
    const auto index = static_cast<std::size_t>(operand);
    const models::Pass pass = backward_pass(operand);
    if (tiled_alike(operand, models::Pass::kForward, pass, call)) {
      return {{saved[2 * index], saved[2 * index + 1]}, call.kept[index]};
    }
    return quantize_operand(saved[2 * index], operand, pass, call);
  }
};

}  // namespace

torch::Tensor quantized_convolution(const torch::Tensor& activation, const torch::Tensor& weight,
                                    const ConvolutionLayer& layer, const PassState& state) {
  return QuantizedConvolution::apply(activation, weight, c10::make_intrusive<Call>(layer, state));
}

torch::Tensor quantized_product(const torch::Tensor& activation, const torch::Tensor& weight, ConvolutionLayer layer,
                                const PassState& state) {
  layer.linear = true;
  layer.stride = 1;
  layer.padding = 0;
  const auto as_images = [](const torch::Tensor& matrix) {
    return matrix.reshape({matrix.size(0), matrix.size(1), 1, 1});
  };
  return quantized_convolution(as_images(activation), as_images(weight), layer, state).flatten(1);
}

}  // namespace mlsim::trainer
