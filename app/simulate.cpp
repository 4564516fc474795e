#include "app/simulate.h"

#include <fmt/core.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <map>
#include <stdexcept>
#include <utility>

#include "models/baseline.h"
#include "models/direct_convolution.h"
#include "models/functional_convolution.h"
#include "models/sqnr.h"
#include "models/zero_products.h"
#include "sim/analytic.h"
#include "sim/operand_toggles.h"
#include "sim/simulate.h"
#include "workloads/atomic_file.h"
#include "workloads/npy.h"

namespace mlsim::app {
namespace {

using models::Operand;
using models::Pass;
using models::Tensor;

// A layer's operands in every form that its passes need.
struct LayerValues {
  PerOperand<Tensor<float>> input;
  PerOperand<std::vector<double>> exact;
  PerOperand<models::MlsTensor> mls;
  PerOperand<models::BaselineTensor> baseline;  // where the layer's own format is one
  PerOperand<std::vector<std::uint8_t>> nonzero;
};

bool needs(const workloads::Layer& layer, Operand operand) {
  for (const Pass pass : layer.passes) {
    if (models::left_operand(pass) == operand || models::right_operand(pass) == operand) return true;
  }
  return false;
}

bool is_mls(const models::Format& format) {
  return std::holds_alternative<models::MlsFormat>(format);
}

// What errors call an operand: the file where there is one, and always the layer.
std::string operand_name(const workloads::Layer& layer, Operand operand) {
  const auto* path = std::get_if<std::filesystem::path>(&layer.operand(operand).source);
  const std::string name = fmt::format("{} of layer '{}'", models::to_string(operand), layer.name);
  return path == nullptr ? name : fmt::format("{}: {}", path->string(), name);
}

OperandRecord record_of(const std::vector<double>& exact, const Tensor<double>& quantized,
                        const models::QuantizationCounts& counts) {
  OperandRecord record;
  record.measured = true;
  record.elements = quantized.size();
  record.counts = counts;
  record.sqnr_db = models::sqnr_db<double>(exact, quantized.values);
  return record;
}

LayerValues load_values(const workloads::Workload& workload, std::size_t index, LayerRecord& record) {
  const workloads::Layer& layer = workload.layers[index];
  LayerValues values;
  for (const Operand operand : models::kOperands) {
    if (!needs(layer, operand)) continue;
    Tensor<float>& input = values.input[operand];
    input = workloads::load_operand(layer, operand);
    values.exact[operand].assign(input.values.begin(), input.values.end());
    const std::string name = operand_name(layer, operand);
    const models::Format& format = layer.operand(operand).format;
    const models::QuantizerOptions rounding = workloads::quantizer_options(workload, index, operand);
    if (is_mls(format)) {
      models::QuantizedTensor quantized = models::quantize(input, std::get<models::MlsFormat>(format), rounding, name);
      record.operands[operand] =
          record_of(values.exact[operand], models::dequantize(quantized.tensor), quantized.counts);
      values.mls[operand] = std::move(quantized.tensor);
      values.nonzero[operand] = models::nonzero_elements(values.mls[operand]);
    } else {
      values.baseline[operand] =
          models::quantize_baseline(input, std::get<models::BaselineFormat>(format), rounding, name);
      record.operands[operand] = record_of(values.exact[operand], models::dequantize(values.baseline[operand]),
                                           values.baseline[operand].counts);
      values.nonzero[operand] = models::nonzero_elements(values.baseline[operand]);
    }
    const std::vector<std::uint8_t>& nonzero = values.nonzero[operand];
    record.operands[operand].zeros = std::count(nonzero.begin(), nonzero.end(), 0);
  }
  return values;
}

std::optional<models::Format> result_format(const workloads::Layer& layer, Pass pass, const sim::ArrayConfig& array) {
  if (!array.quantize_results) return std::nullopt;
  return layer.operand(models::result_operand(pass)).format;
}

// What a baseline does with a layer's operands, each quantized once: one entry for each pass.
std::vector<MeasuredBaseline> measure_baseline(const BaselineMachine& machine, const workloads::Layer& layer,
                                               const LayerValues& values,
                                               const std::vector<std::vector<double>>& exact) {
  PerOperand<models::BaselineTensor> tensors;
  PerOperand<std::vector<std::uint8_t>> nonzero;
  for (const Operand operand : models::kOperands) {
    if (!needs(layer, operand)) continue;
    tensors[operand] =
        models::quantize_baseline(values.input[operand], machine.formats[operand], models::to_string(operand));
    nonzero[operand] = models::nonzero_elements(tensors[operand]);
  }
  std::vector<MeasuredBaseline> measured;
  for (std::size_t p = 0; p < layer.passes.size(); ++p) {
    const Pass pass = layer.passes[p];
    const Operand left = models::left_operand(pass);
    const Operand right = models::right_operand(pass);
    const models::ConvolutionResult result =
        models::baseline_convolution(pass, layer.shape, tensors[left], tensors[right]);
    measured.push_back({machine.name, models::sqnr_db<float>(exact[p], result.values.values),
                        models::count_zero_products(pass, layer.shape, nonzero[left], nonzero[right])});
  }
  return measured;
}

class Simulation {
 public:
  Simulation(const workloads::Workload& workload, const SimulationOptions& options, const Progress& progress)
      : workload_(workload), options_(options), progress_(progress) {
    if (is_systemc()) {
      simulator_.emplace(detail(), options.array,
                         options.trace ? std::optional(options.trace->string()) : std::nullopt);
    }
  }

  Results run() {
    Results results;
    results.workload = workload_.name;
    results.engine = options_.engine;
    results.random_bits = workload_.random_bits;
    results.array = options_.array;
    for (std::size_t index = 0; index < workload_.layers.size(); ++index) results.layers.push_back(run_layer(index));
    if (simulator_) simulator_->finish_trace();
    return results;
  }

 private:
  bool is_systemc() const { return options_.engine == Engine::kCycle || options_.engine == Engine::kStructural; }
  sim::Detail detail() const {
    return options_.engine == Engine::kCycle ? sim::Detail::kCycle : sim::Detail::kStructural;
  }

  LayerRecord run_layer(std::size_t index) {
    const workloads::Layer& layer = workload_.layers[index];
    LayerRecord record;
    record.name = layer.name;
    record.shape = layer.shape;
    for (const Operand operand : models::kOperands) {
      record.formats[operand] = layer.operand(operand).format;
      record.rounding[operand] = layer.operand(operand).rounding;
    }
    const bool computed = options_.engine != Engine::kAnalytic && !layer.is_shape_only();
    if (is_systemc() && !computed) {
      throw std::runtime_error(fmt::format("{}: layer '{}' has neither tensors nor values, which the {} engine needs",
                                           workload_.name, layer.name, to_string(options_.engine)));
    }
    report(index, "quantizing");
    const LayerValues values = computed ? load_values(workload_, index, record) : LayerValues{};
    std::vector<std::vector<double>> exact;  // results of the passes in binary64
    for (const Pass pass : layer.passes) {
      report(index, models::to_string(pass));
      record.passes.push_back(run_pass(index, pass, computed ? &values : nullptr, exact));
    }
    if (!computed || !options_.measure_baselines) return record;
    for (const BaselineMachine& machine : baseline_machines()) {
      if (machine.sums_in_fp16) continue;
      report(index, "in " + machine.name);
      const std::vector<MeasuredBaseline> measured = measure_baseline(machine, layer, values, exact);
      for (std::size_t p = 0; p < measured.size(); ++p) record.passes[p].baselines.push_back(measured[p]);
    }
    return record;
  }

  void report(std::size_t index, const std::string& what) const {
    progress_(
        fmt::format("layer {} of {}, {}: {}", index + 1, workload_.layers.size(), workload_.layers[index].name, what));
  }

  // Without values, what the closed form predicts.
  PassRecord run_pass(std::size_t index, Pass pass, const LayerValues* values,
                      std::vector<std::vector<double>>& exact) {
    const workloads::Layer& layer = workload_.layers[index];
    const models::Format& left = layer.operand(models::left_operand(pass)).format;
    const models::Format& right = layer.operand(models::right_operand(pass)).format;
    sim::PassPrediction prediction =
        sim::predict_pass(pass, layer.shape, left, right, options_.array, result_format(layer, pass, options_.array));
    PassRecord record;
    record.pass = pass;
    record.multiply_adds = layer.shape.multiply_adds(pass);
    if (is_mls(left)) record.accumulator_bits = accumulator_bits(layer.shape, pass, left, right);
    record.counts = prediction.counts;
    record.cycles = prediction.cycles;
    record.traffic = prediction.traffic;
    if (values != nullptr) {
      const Tensor<float> result = compute(index, pass, *values, record);
      exact.push_back(measure(layer.shape, pass, *values, result, record));
      if (options_.tensors) {
        workloads::write_npy(*options_.tensors / fmt::format("{}.{}.npy", layer.name, models::to_string(pass)), result);
      }
    }
    record.utilization = sim::utilization(record.counts, record.cycles, options_.array);
    return record;
  }

  int accumulator_bits(const models::ConvolutionShape& shape, Pass pass, const models::Format& left,
                       const models::Format& right) const {
    if (workload_.accumulator.bits != 0) return workload_.accumulator.bits;
    const auto& l = std::get<models::MlsFormat>(left);
    const auto& r = std::get<models::MlsFormat>(right);
    return models::full_accumulator_bits(l.element, r.element,
                                         models::reduction_of(pass, shape, l.grouping, r.grouping).taps);
  }

  // The pass's result; what the engine counted goes into the record.
  Tensor<float> compute(std::size_t index, Pass pass, const LayerValues& values, PassRecord& record) {
    const workloads::Layer& layer = workload_.layers[index];
    const Operand left = models::left_operand(pass);
    const Operand right = models::right_operand(pass);
    if (!is_systemc()) {
      record.zero_products =
          models::count_zero_products(pass, layer.shape, values.nonzero[left], values.nonzero[right]);
    }
    if (!is_mls(layer.operand(left).format)) {
      if (is_systemc()) {
        throw std::runtime_error(fmt::format(
            "{}: layer '{}' is in {}, but the {} engine takes MLS formats alone; the "
            "functional and the analytic engine take both",
            workload_.name, layer.name, models::to_string(layer.operand(left).format), to_string(options_.engine)));
      }
      models::ConvolutionResult result =
          models::baseline_convolution(pass, layer.shape, values.baseline[left], values.baseline[right]);
      record.counts.overflows = result.counts.overflows;
      return std::move(result.values);
    }
    if (!is_systemc()) {
      models::ConvolutionResult result =
          models::functional_convolution(pass, layer.shape, values.mls[left], values.mls[right], workload_.accumulator);
      record.counts = result.counts;
      record.toggles =
          sim::count_operand_toggles(pass, layer.shape, values.mls[left], values.mls[right], options_.array);
      return std::move(result.values);
    }
    std::optional<sim::ResultQuantization> quantization;
    if (const auto format = result_format(layer, pass, options_.array); format && is_mls(*format)) {
      const Operand role = models::result_operand(pass);
      quantization = {std::get<models::MlsFormat>(*format), workloads::quantizer_options(workload_, index, role),
                      fmt::format("{} result of layer '{}'", models::to_string(pass), layer.name)};
    }
    sim::PassResult result = simulator_->simulate_pass(
        pass, layer.shape, values.mls[left], values.mls[right], workload_.accumulator, quantization,
        [&](std::uint64_t done, std::uint64_t predicted) {
          report(index, fmt::format("{}, {:.0f} % of {} cycles", models::to_string(pass),
                                    100.0 * static_cast<double>(done) / static_cast<double>(predicted), predicted));
        });
    record.counts = result.counts;
    record.zero_products = result.zero_products;
    record.toggles = result.toggles;
    record.cycles = result.cycles;
    record.traffic = result.traffic;
    return std::move(result.values);
  }

  // The result in binary64; how far the pass's result is from it goes into the record.
  static std::vector<double> measure(const models::ConvolutionShape& shape, Pass pass, const LayerValues& values,
                                     const Tensor<float>& result, PassRecord& record) {
    std::vector<double> exact = models::direct_convolution<double>(
        pass, shape, values.exact[models::left_operand(pass)], values.exact[models::right_operand(pass)]);
    record.sqnr_db = models::sqnr_db<float>(exact, result.values);
    record.cosine_error = models::cosine_error<float>(exact, result.values);
    return exact;
  }

  const workloads::Workload& workload_;
  const SimulationOptions& options_;
  const Progress& progress_;
  std::optional<sim::Simulator> simulator_;
};

}  // namespace

Results simulate(const workloads::Workload& workload, const SimulationOptions& options, const Progress& progress) {
  if (options.trace && options.engine != Engine::kStructural) {
    throw std::runtime_error("a trace has the signals of the structural engine, not of the " +
                             to_string(options.engine) + " engine");
  }
  if (options.tensors) {
    if (options.engine == Engine::kAnalytic) throw std::runtime_error("the analytic engine computes no tensors");
    workloads::create_directories(*options.tensors);
  }
  return Simulation(workload, options, progress).run();
}

}  // namespace mlsim::app
