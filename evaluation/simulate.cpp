#include "evaluation/simulate.h"

#include <fmt/core.h>
#include <oneapi/tbb/task_arena.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <memory>
#include <mutex>
#include <new>
#include <nlohmann/json.hpp>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/hash.h"
#include "base/output_file.h"
#include "base/parallel.h"
#include "evaluation/residence.h"
#include "models/baseline/baseline.h"
#include "models/convolution/cpu/direct_convolution.h"
#include "models/convolution/cpu/functional_convolution.h"
#include "models/convolution/zero_products.h"
#include "models/quantizer/sqnr.h"
#include "sim/dataflow.h"
#include "sim/simulate.h"
#include "workloads/npy.h"

namespace mlsim::evaluation {
namespace {

using models::Operand;
using models::Pass;
using models::Tensor;

template <typename Values>
std::size_t bytes_in(const Values& values) {
  return values.size() * sizeof values[0];
}

// An operand as passes take it, in one of the two forms.
struct QuantizedOperand {
  models::Format format;
  models::ScaledTensor scaled;
  models::BaselineTensor baseline;
  std::vector<std::uint8_t> nonzero;

  std::size_t bytes() const {
    return sizeof *this + bytes_in(scaled.scales) + bytes_in(scaled.codes) + bytes_in(baseline.values) +
           bytes_in(nonzero);
  }
};

// An operand as it is read or drawn.
struct InputOperand {
  Tensor<float> tensor;
  std::uint64_t hash = 0;

  std::size_t bytes() const { return sizeof *this + bytes_in(tensor.values); }
};

// An operand in the forms that a layer's passes take, which share it where they tile it alike, and what is recorded.
struct OperandForms {
  std::array<std::shared_ptr<const QuantizedOperand>, 3> by_pass;
  OperandRecord record;

  std::size_t bytes() const {
    std::size_t sum = sizeof *this;
    for (std::size_t p = 0; p < by_pass.size(); ++p) {
      if (by_pass[p] && std::find(by_pass.begin(), by_pass.begin() + static_cast<std::ptrdiff_t>(p), by_pass[p]) ==
                            by_pass.begin() + static_cast<std::ptrdiff_t>(p)) {
        sum += by_pass[p]->bytes();
      }
    }
    return sum;
  }
};

// The result of a pass in binary64.
struct ExactResult {
  std::vector<double> values;

  std::size_t bytes() const { return sizeof *this + bytes_in(values); }
};

// A layer that has been run, whose measured figures hold on every array of as many taps a cycle.
struct MeasuredLayer {
  LayerRecord record;
  PerOperand<std::uint64_t> hashes;

  std::size_t bytes() const { return sizeof *this + record.name.size() + bytes_in(record.passes); }
};

// A layer's operands.
struct LayerValues {
  PerOperand<std::shared_ptr<const InputOperand>> input;
  PerOperand<std::shared_ptr<const OperandForms>> quantized;

  const Tensor<float>& input_of(Operand operand) const { return input[operand]->tensor; }
  const QuantizedOperand& left(Pass pass) const {
    return *quantized[models::left_operand(pass)]->by_pass[static_cast<std::size_t>(pass)];
  }
  const QuantizedOperand& right(Pass pass) const {
    return *quantized[models::right_operand(pass)]->by_pass[static_cast<std::size_t>(pass)];
  }
};

bool needs(const workloads::Layer& layer, Operand operand) {
  return std::any_of(layer.passes.begin(), layer.passes.end(), [&](Pass pass) { return models::takes(pass, operand); });
}

// What errors call an operand: the file where there is one, and always the layer.
std::string operand_name(const workloads::Layer& layer, Operand operand) {
  const auto* path = std::get_if<std::filesystem::path>(&layer.operand(operand).source);
  const std::string name = fmt::format("{} of layer '{}'", models::to_string(operand), layer.name);
  return path == nullptr ? name : fmt::format("{}: {}", path->string(), name);
}

// Quantizes an operand once for each way in which passes tile it. What is recorded is of all of them together.
class OperandQuantizer {
 public:
  OperandQuantizer(const Tensor<float>& input, const models::QuantizerOptions& rounding, std::string name)
      : input_(input), rounding_(rounding), name_(std::move(name)) {}

  std::shared_ptr<const QuantizedOperand> in(const models::Format& format, OperandRecord& record) {
    for (const auto& done : done_) {
      if (done->format == format) return done;
    }
    auto operand = std::make_shared<QuantizedOperand>();
    operand->format = format;
    if (is_scaled(format)) {
      models::QuantizedTensor quantized =
          models::quantize(input_, std::get<models::ScaledFormat>(format), rounding_, name_);
      operand->scaled = std::move(quantized.tensor);
      take(operand->scaled, quantized.counts, *operand, record);
    } else {
      operand->baseline = models::quantize_baseline(input_, std::get<models::BaselineFormat>(format), rounding_, name_);
      take(operand->baseline, operand->baseline.counts, *operand, record);
    }
    done_.push_back(operand);
    return operand;
  }

 private:
  template <typename Quantized>
  void take(const Quantized& quantized, const models::QuantizationCounts& counts, QuantizedOperand& operand,
            OperandRecord& record) {
    operand.nonzero = models::nonzero_elements(quantized);
    record.measured = true;
    record.elements += input_.size();
    record.counts += counts;
    record.zeros = record.zeros.value_or(0) + std::count(operand.nonzero.begin(), operand.nonzero.end(), 0);
    models::add_errors(input_.values, quantized, errors_);
    record.sqnr_db = errors_.sqnr_db();
  }

  const Tensor<float>& input_;
  models::QuantizerOptions rounding_;
  std::string name_;
  models::ErrorSums errors_;
  std::vector<std::shared_ptr<const QuantizedOperand>> done_;
};

ValueOrigin origin_of(const workloads::OperandSource& source) {
  if (std::holds_alternative<std::filesystem::path>(source)) return ValueOrigin::kTensor;
  return std::holds_alternative<workloads::SyntheticValues>(source) ? ValueOrigin::kSynthetic : ValueOrigin::kModel;
}

// What is kept of other simulations, or else made now.
template <typename Value, typename Make>
std::shared_ptr<const Value> shared_or_made(SharedWork* shared, SharedWork::Use use, const std::string& key,
                                            const Make& make) {
  if (shared == nullptr) return std::make_shared<const Value>(make());
  return shared->get<Value>(use, key, make);
}

InputOperand load_input(const workloads::Layer& layer, Operand operand, const std::string& key, SharedWork* shared) {
  InputOperand input{workloads::load_operand(layer, operand)};
  input.hash = base::Hash().add(std::span<const float>(input.tensor.values)).value();
  // Whatever times a file has, all points of a sweep are of the same values.
  if (shared != nullptr && !shared->is_as_before(key, input.hash)) {
    throw std::runtime_error(operand_name(layer, operand) +
                             " has changed since the sweep began, expected it to stay as it was");
  }
  return input;
}

LayerValues load_values(const workloads::Workload& workload, std::size_t index, LayerRecord& record,
                        SharedWork* shared) {
  const workloads::Layer& layer = workload.layers[index];
  LayerValues values;
  base::side_by_side(models::kOperands.size(), [&](std::size_t o) {
    const Operand operand = models::kOperands[o];
    if (!needs(layer, operand)) return;
    const std::string key = fmt::format("{} {}", index, models::to_string(operand));
    values.input[operand] = shared_or_made<InputOperand>(shared, SharedWork::Use::kEveryPoint, key,
                                                         [&] { return load_input(layer, operand, key, shared); });
    const models::Format& format = layer.operand(operand).format;
    const std::string form_key = shared == nullptr ? "" : fmt::format("{} {}", key, models::to_string(format));
    values.quantized[operand] = shared_or_made<OperandForms>(shared, SharedWork::Use::kNeighbours, form_key, [&] {
      OperandForms forms;
      OperandQuantizer quantizer(values.input_of(operand), workloads::quantizer_options(workload, index, operand),
                                 operand_name(layer, operand));
      for (const Pass pass : layer.passes) {
        if (!models::takes(pass, operand)) continue;
        forms.by_pass[static_cast<std::size_t>(pass)] =
            quantizer.in(models::format_of(format, operand, pass), forms.record);
      }
      return forms;
    });
    record.operands[operand] = values.quantized[operand]->record;
    record.operands[operand].values = origin_of(layer.operand(operand).source);
  });
  return values;
}

PerOperand<std::uint64_t> hashes_of(const LayerValues& values) {
  PerOperand<std::uint64_t> hashes;
  for (const Operand operand : models::kOperands) {
    if (values.input[operand]) hashes[operand] = values.input[operand]->hash;
  }
  return hashes;
}

// The result of a pass in binary64.
std::vector<double> exact_result(Pass pass, const models::ConvolutionShape& shape, const LayerValues& values) {
  return models::direct_convolution<double>(pass, shape, values.input_of(models::left_operand(pass)).values,
                                            values.input_of(models::right_operand(pass)).values);
}

// What a baseline does with a layer's operands, each quantized once: one entry for each pass.
std::vector<MeasuredBaseline> measure_baseline(const BaselineMachine& machine, const workloads::Layer& layer,
                                               const LayerValues& values,
                                               const std::vector<std::shared_ptr<const ExactResult>>& exact) {
  PerOperand<models::BaselineTensor> tensors;
  PerOperand<std::vector<std::uint8_t>> nonzero;
  base::side_by_side(models::kOperands.size(), [&](std::size_t o) {
    const Operand operand = models::kOperands[o];
    if (!needs(layer, operand)) return;
    tensors[operand] =
        models::quantize_baseline(values.input_of(operand), machine.formats[operand], models::to_string(operand));
    nonzero[operand] = models::nonzero_elements(tensors[operand]);
  });
  std::vector<MeasuredBaseline> measured(layer.passes.size());
  base::side_by_side(layer.passes.size(), [&](std::size_t p) {
    const Pass pass = layer.passes[p];
    const Operand left = models::left_operand(pass);
    const Operand right = models::right_operand(pass);
    measured[p] = {machine.name, std::numeric_limits<double>::quiet_NaN(),
                   models::count_zero_products(pass, layer.shape, nonzero[left], nonzero[right])};
    // Of scales that have no product there is no result; an MX machine, without tensor scales, may have one.
    if (std::isinf(tensors[left].scale * tensors[right].scale)) return;
    const models::ConvolutionResult result =
        models::baseline_convolution(pass, layer.shape, tensors[left], tensors[right]);
    measured[p].sqnr_db = models::sqnr_db<float>(exact[p]->values, result.values.values);
  });
  return measured;
}

class Simulation {
 public:
  Simulation(const workloads::Workload& workload, const SimulationOptions& options, const Progress& progress)
      : workload_(workload),
        options_(options),
        progress_(progress),
        accumulator_(workload.accumulator),
        residences_(step_layers(workload), options.array) {
    accumulator_.taps_per_cycle = options.array.taps_per_cycle;
    if (is_systemc(options_.engine)) {
      std::optional<sim::TraceRequest> trace = options.trace;
      if (trace) trace->widths = bus_widths();
      simulator_.emplace(detail(), options.array, trace);
    }
  }

  Results run() {
    if (is_systemc(options_.engine)) check_widths();
    if (options_.trace) foretell_trace();
    Results results;
    results.workload = workload_.name;
    results.engine = options_.engine;
    results.random_bits = workload_.random_bits;
    results.array = options_.array;
    results.layers.resize(workload_.layers.size());
    tensor_hashes_.resize(workload_.layers.size());
    const int layers_at_once = std::min(options_.layers_at_once, tbb::this_task_arena::max_concurrency());
    const auto run = [&](std::size_t index) { results.layers[index] = run_layer(index); };
    if (is_systemc(options_.engine) || layers_at_once == 1) {
      for (std::size_t index = 0; index < results.layers.size(); ++index) run(index);
    } else {
      // What is serial in a layer runs beside the work of another.
      base::in_order(results.layers.size(), static_cast<std::size_t>(layers_at_once), run);
    }
    if (simulator_) simulator_->finish_trace();
    if (options_.tells_provenance) results.provenance = provenance();
    return results;
  }

 private:
  Provenance provenance() const {
    Provenance provenance;
    provenance.version = MLSIM_VERSION;
    provenance.seed = workload_.seed;
    provenance.step = workload_.step;
    base::Hash hash;
    hash.add(hash_text(workload_.content_hash));
    // They may come from a network in a file of its own.
    for (const workloads::Layer& layer : workload_.layers) hash.add(layer.name).add(shape_to_json(layer.shape).dump());
    provenance.workload_hash = hash.value();
    base::Hash tensors;
    bool any = false;
    for (const std::optional<PerOperand<std::uint64_t>>& hashes : tensor_hashes_) {
      any = any || hashes.has_value();
      for (const std::uint64_t of : hashes.value_or(PerOperand<std::uint64_t>{}).values) tensors.add(hash_text(of));
    }
    if (any) provenance.tensors_hash = tensors.value();
    provenance.array_hash = base::Hash().add(array_to_json(options_.array).dump()).value();
    return provenance;
  }

  sim::Detail detail() const {
    return options_.engine == Engine::kCycle ? sim::Detail::kCycle : sim::Detail::kStructural;
  }

  struct Length {
    std::uint64_t cycles = 0;
    double multiply_adds = 0;
  };
  // Of all passes, by the closed form.
  Length predicted_length() const {
    Length length;
    for_each_pass([&](std::size_t index, Pass pass, const models::Format& left, const models::Format& right) {
      const models::ConvolutionShape& shape = workload_.layers[index].shape;
      length.cycles += sim::dataflow_of(options_.array)
                           .predict(pass, shape, left, right, options_.array, residences_.exchange(index, pass))
                           .cycles.total();
      length.multiply_adds += static_cast<double>(shape.multiply_adds(pass));
    });
    return length;
  }

  void foretell_trace() const {
    const Length length = predicted_length();
    const std::uint64_t all = length.cycles;
    const sim::TraceRequest& trace = *options_.trace;
    if (trace.first_cycle >= all) {
      throw std::runtime_error(
          fmt::format("--trace-cycles begins with {}, expected one of the run's {} cycles", trace.first_cycle, all));
    }
    const std::optional<sim::Simulator::TraceSize> size = simulator_->trace_size();
    const std::uint64_t cycles = std::min(trace.last_cycle, all - 1) - trace.first_cycle + 1;
    if (!options_.on_trace) return;
    // What changes where no element works, of what does where all do.
    constexpr double kIdleShare = 0.15;
    const auto multipliers = static_cast<double>(options_.array.multipliers());
    const double at_work = length.multiply_adds / (multipliers * static_cast<double>(all));
    options_.on_trace({size->signals, cycles,
                       size->bytes_a_cycle * (kIdleShare + (1 - kIdleShare) * at_work) * static_cast<double>(cycles)});
  }

  // Calls `use` with the layer's index, pass and both operands' formats.
  template <typename Use>
  void for_each_pass(const Use& use) const {
    for (std::size_t index = 0; index < workload_.layers.size(); ++index) {
      const workloads::Layer& layer = workload_.layers[index];
      for (const Pass pass : layer.passes) {
        const auto format_of = [&](Operand operand) {
          return models::format_of(layer.operand(operand).format, operand, pass);
        };
        use(index, pass, format_of(models::left_operand(pass)), format_of(models::right_operand(pass)));
      }
    }
  }

  // The same for each pass that the SystemC machine can run.
  template <typename Use>
  void for_each_scaled_pass(const Use& use) const {
    for_each_pass([&](std::size_t index, Pass pass, const models::Format& left, const models::Format& right) {
      if (!is_scaled(left) || !is_scaled(right)) return;
      use(index, pass, std::get<models::ScaledFormat>(left), std::get<models::ScaledFormat>(right));
    });
  }

  sim::BusWidths bus_widths() const {
    sim::BusWidths widths;
    for_each_scaled_pass(
        [&](std::size_t index, Pass pass, const models::ScaledFormat& left, const models::ScaledFormat& right) {
          const workloads::Layer& layer = workload_.layers[index];
          widths.add_pass(left, right, accumulator_bits(layer.shape, pass, left, right),
                          models::element_count(layer.shape.result_shape(pass)));
          if (!options_.array.quantizes_results()) return;
          for (const models::Format& format : residences_.exchange(index, pass).results) {
            if (is_scaled(format)) widths.add_result(std::get<models::ScaledFormat>(format));
          }
        });
    return widths;
  }

  // Widths that the SystemC machine lacks need no values: they are refused before hours of work.
  void check_widths() const {
    for_each_scaled_pass(
        [&](std::size_t index, Pass pass, const models::ScaledFormat& left, const models::ScaledFormat& right) {
          const workloads::Layer& layer = workload_.layers[index];
          try {
            sim::check_widths(pass, left.element, right.element, accumulator_bits(layer.shape, pass, left, right));
          } catch (const std::runtime_error& error) {
            throw std::runtime_error(fmt::format("{}: layer '{}': {}", workload_.name, layer.name, error.what()));
          }
        });
  }

  LayerRecord run_layer(std::size_t index) {
    try {
      return run_layer_in_memory(index);
    } catch (const std::bad_alloc&) {
      throw std::runtime_error(
          fmt::format("{}: layer '{}' needs more memory than there is", workload_.name, workload_.layers[index].name));
    }
  }

  LayerRecord run_layer_in_memory(std::size_t index) {
    const workloads::Layer& layer = workload_.layers[index];
    const bool computed = options_.engine != Engine::kAnalytic && !layer.is_shape_only();
    if (is_systemc(options_.engine) && !computed) {
      throw std::runtime_error(fmt::format("{}: layer '{}' has neither tensors nor values, which the {} engine needs",
                                           workload_.name, layer.name, to_string(options_.engine)));
    }
    if (!computed || options_.shared == nullptr) return measure_layer(index, computed).record;
    bool is_new = false;
    const auto measured = options_.shared->get<MeasuredLayer>(SharedWork::Use::kNeighbours, key_of(index), [&] {
      is_new = true;
      return measure_layer(index, true);
    });
    LayerRecord record = measured->record;
    tensor_hashes_[index] = measured->hashes;
    if (is_new) return record;
    for (PassRecord& pass : record.passes) {
      PassRecord here = predict_pass(index, pass.pass, true);
      take_over(pass, here);
      pass = std::move(here);
    }
    return record;
  }

  // What the measured figures of a layer depend on.
  std::string key_of(std::size_t index) const {
    const workloads::Layer& layer = workload_.layers[index];
    std::string key = fmt::format("layer {} {} {} {}", index, accumulator_.bits,
                                  static_cast<int>(accumulator_.overflow), accumulator_.taps_per_cycle);
    for (const Operand operand : models::kOperands) {
      key += fmt::format(" {}", models::to_string(layer.operand(operand).format));
    }
    if (!options_.measure_activity) return key;
    // How registers change is up to the array, but for its group-scale units, which take no part in it.
    sim::ArrayConfig array = options_.array;
    array.elements_per_scaler = 1;
    return key + array_to_json(array).dump();
  }

  MeasuredLayer measure_layer(std::size_t index, bool computed) {
    const workloads::Layer& layer = workload_.layers[index];
    MeasuredLayer measured;
    LayerRecord& record = measured.record;
    record.name = layer.name;
    record.linear = layer.linear;
    record.link = layer.link;
    record.shape = layer.shape;
    for (const Operand operand : models::kOperands) {
      record.formats[operand] = layer.operand(operand).format;
      record.rounding[operand] = layer.operand(operand).rounding;
    }
    report(index, "quantizing");
    const LayerValues values = computed ? load_values(workload_, index, record, options_.shared) : LayerValues{};
    if (computed) tensor_hashes_[index] = measured.hashes = hashes_of(values);
    // Results of the passes in binary64, for the baselines.
    std::vector<std::shared_ptr<const ExactResult>> exact(layer.passes.size());
    record.passes.resize(layer.passes.size());
    const auto run = [&](std::size_t p) {
      report(index, models::to_string(layer.passes[p]));
      std::shared_ptr<const ExactResult> result;
      record.passes[p] = run_pass(index, layer.passes[p], computed ? &values : nullptr, result);
      if (options_.measure_baselines) exact[p] = std::move(result);
    };
    if (is_systemc(options_.engine)) {
      for (std::size_t p = 0; p < layer.passes.size(); ++p) run(p);
    } else {
      base::side_by_side(layer.passes.size(), run);
    }
    if (!computed || !options_.measure_baselines) return measured;
    for (const BaselineMachine& machine : baseline_machines()) {
      if (machine.sums_in_fp16) continue;
      report(index, "in " + machine.name);
      const std::vector<MeasuredBaseline> baseline = measure_baseline(machine, layer, values, exact);
      for (std::size_t p = 0; p < baseline.size(); ++p) record.passes[p].baselines.push_back(baseline[p]);
    }
    return measured;
  }

  void report(std::size_t index, const std::string& what) {
    if (!progress_) return;
    const std::lock_guard lock(progress_mutex_);
    progress_(
        fmt::format("layer {} of {}, {}: {}", index + 1, workload_.layers.size(), workload_.layers[index].name, what));
  }

  // What the closed form says of a pass.
  PassRecord predict_pass(std::size_t index, Pass pass, bool has_values) const {
    const workloads::Layer& layer = workload_.layers[index];
    const auto format_of = [&](Operand operand) {
      return models::format_of(layer.operand(operand).format, operand, pass);
    };
    const models::Format left = format_of(models::left_operand(pass));
    const models::Format right = format_of(models::right_operand(pass));
    sim::PassPrediction prediction =
        sim::dataflow_of(options_.array)
            .predict(pass, layer.shape, left, right, options_.array, residences_.exchange(index, pass));
    PassRecord record;
    record.pass = pass;
    record.multiply_adds = layer.shape.multiply_adds(pass);
    if (is_scaled(left)) record.accumulator_bits = accumulator_bits(layer.shape, pass, left, right);
    record.counts = prediction.counts;
    record.cycles = prediction.cycles;
    record.traffic = prediction.traffic;
    record.overflows_are_counted = has_values || !is_scaled(left) ||
                                   record.accumulator_bits >= full_accumulator_bits(layer.shape, pass, left, right);
    record.utilization = sim::utilization(record.counts, record.cycles, options_.array);
    return record;
  }

  // What was measured of a pass on another array.
  static void take_over(const PassRecord& measured, PassRecord& record) {
    record.zero_products = measured.zero_products;
    record.toggles = measured.toggles;
    record.sqnr_db = measured.sqnr_db;
    record.cosine_error = measured.cosine_error;
    if (measured.accumulator_bits != 0) {
      record.counts = measured.counts;
    } else {
      // A baseline's engine counts nothing else.
      record.counts.overflows = measured.counts.overflows;
      record.counts.non_finite = measured.counts.non_finite;
    }
  }

  // Without values, what the closed form predicts.
  PassRecord run_pass(std::size_t index, Pass pass, const LayerValues* values,
                      std::shared_ptr<const ExactResult>& exact) {
    const workloads::Layer& layer = workload_.layers[index];
    PassRecord record = predict_pass(index, pass, values != nullptr);
    if (values == nullptr) return record;
    Tensor<float> result;
    const auto compute_exact = [&] {
      const std::string key = fmt::format("exact {} {}", index, models::to_string(pass));
      exact = shared_or_made<ExactResult>(options_.shared, SharedWork::Use::kEveryPoint, key,
                                          [&] { return ExactResult{exact_result(pass, layer.shape, *values)}; });
    };
    if (is_systemc(options_.engine)) {
      result = simulate_pass(index, pass, *values, record);
      compute_exact();
    } else {
      base::parallel_invoke([&] { result = compute(index, pass, *values, record); }, compute_exact);
    }
    models::ErrorSums sums;
    sums.add(std::span<const double>(exact->values), std::span<const float>(result.values));
    record.sqnr_db = sums.sqnr_db();
    record.cosine_error = sums.cosine_error();
    if (options_.tensors) {
      result.shape = workloads::file_shape(layer, result.shape);
      workloads::write_npy(tensor_file(options_, layer, pass), result);
    }
    record.utilization = sim::utilization(record.counts, record.cycles, options_.array);
    return record;
  }

  int accumulator_bits(const models::ConvolutionShape& shape, Pass pass, const models::Format& left,
                       const models::Format& right) const {
    return accumulator_.bits != 0 ? accumulator_.bits : full_accumulator_bits(shape, pass, left, right);
  }

  static int full_accumulator_bits(const models::ConvolutionShape& shape, Pass pass, const models::Format& left,
                                   const models::Format& right) {
    const auto& l = std::get<models::ScaledFormat>(left);
    const auto& r = std::get<models::ScaledFormat>(right);
    return models::full_accumulator_bits(l.element, r.element,
                                         models::Reduction(pass, shape, l.layout, r.layout).taps());
  }

  // Refuses operands whose tensor scales have no product, with the layer.
  void require_product_scale(const workloads::Layer& layer, Pass pass, const LayerValues& values) const {
    try {
      models::product_scale(pass, values.left(pass).scaled, values.right(pass).scaled);
    } catch (const std::runtime_error& error) {
      throw std::runtime_error(fmt::format("{}: layer '{}': {} ({} and {})", workload_.name, layer.name, error.what(),
                                           models::to_string(values.left(pass).format),
                                           models::to_string(values.right(pass).format)));
    }
  }

  // The pass's result by the functional engine; what is counted goes into the record.
  Tensor<float> compute(std::size_t index, Pass pass, const LayerValues& values, PassRecord& record) const {
    const workloads::Layer& layer = workload_.layers[index];
    const QuantizedOperand& left = values.left(pass);
    const QuantizedOperand& right = values.right(pass);
    const bool scaled = is_scaled(left.format);
    models::ConvolutionResult result;
    const auto convolve = [&] {
      if (scaled) require_product_scale(layer, pass, values);
      result = scaled ? models::functional_convolution(pass, layer.shape, left.scaled, right.scaled, accumulator_)
                      : models::baseline_convolution(pass, layer.shape, left.baseline, right.baseline);
    };
    const auto count = [&] {
      if (!options_.measure_activity) return;
      record.zero_products = models::count_zero_products(pass, layer.shape, left.nonzero, right.nonzero);
      if (!scaled) return;
      record.toggles =
          sim::dataflow_of(options_.array).count_toggles(pass, layer.shape, left.scaled, right.scaled, options_.array);
    };
    base::parallel_invoke(convolve, count);
    if (scaled) {
      record.counts = result.counts;
    } else {
      record.counts.overflows = result.counts.overflows;
      record.counts.non_finite = static_cast<std::uint64_t>(std::count_if(
          result.values.values.begin(), result.values.values.end(), [](float value) { return !std::isfinite(value); }));
    }
    return std::move(result.values);
  }

  // The pass's result by a SystemC engine, likewise.
  Tensor<float> simulate_pass(std::size_t index, Pass pass, const LayerValues& values, PassRecord& record) {
    const workloads::Layer& layer = workload_.layers[index];
    const QuantizedOperand& left = values.left(pass);
    const QuantizedOperand& right = values.right(pass);
    if (!is_scaled(left.format)) {
      throw std::runtime_error(
          fmt::format("{}: layer '{}' is in {}, but the {} engine takes block-scaled formats alone; the "
                      "functional and the analytic engine take both",
                      workload_.name, layer.name, models::to_string(left.format), to_string(options_.engine)));
    }
    std::optional<sim::ResultQuantization> quantization;
    if (options_.array.quantizes_results()) {
      const sim::Exchange exchange = residences_.exchange(index, pass);
      quantization = {
          {}, workloads::quantizer_options(workload_, index, models::result_operand(pass)), exchange.residence};
      // All three operands of a layer are of one family.
      for (const models::Format& format : exchange.results) {
        quantization->formats.push_back(std::get<models::ScaledFormat>(format));
      }
    }
    require_product_scale(layer, pass, values);
    simulator_->mark(fmt::format("{}.{}", layer.name, models::to_string(pass)));
    simulator_->on_progress([this, index, pass](std::uint64_t done, std::uint64_t predicted) {
      report(index, fmt::format("{}, {:.0f} % of {} cycles", models::to_string(pass),
                                100.0 * static_cast<double>(done) / static_cast<double>(predicted), predicted));
    });
    sim::PassResult result =
        simulator_->simulate_pass(pass, layer.shape, left.scaled, right.scaled, accumulator_, quantization);
    record.counts = result.counts;
    record.zero_products = result.zero_products;
    record.toggles = result.toggles;
    record.cycles = result.cycles;
    record.traffic = result.traffic;
    return std::move(result.values);
  }

  const workloads::Workload& workload_;
  const SimulationOptions& options_;
  const Progress& progress_;
  models::Accumulator accumulator_;
  Residences residences_;
  std::vector<std::optional<PerOperand<std::uint64_t>>> tensor_hashes_;  // by layer, of those with values
  std::mutex progress_mutex_;
  std::optional<sim::Simulator> simulator_;
};

}  // namespace

std::vector<std::filesystem::path> output_files(const SimulationOptions& options, const workloads::Workload& workload) {
  std::vector<std::filesystem::path> files;
  if (options.trace) {
    files.emplace_back(options.trace->file);
    files.emplace_back(sim::gtkw_file(options.trace->file));
  }
  if (!options.tensors) return files;
  for (const workloads::Layer& layer : workload.layers) {
    for (const Pass pass : layer.passes) files.push_back(tensor_file(options, layer, pass));
  }
  return files;
}

std::filesystem::path tensor_file(const SimulationOptions& options, const workloads::Layer& layer, Pass pass) {
  return *options.tensors / fmt::format("{}.{}.npy", layer.name, models::to_string(pass));
}

Results simulate(const workloads::Workload& workload, const SimulationOptions& options, const Progress& progress) {
  if (options.trace && options.engine != Engine::kStructural) {
    throw std::runtime_error("a trace has the signals of the structural engine, not of the " +
                             to_string(options.engine) + " engine");
  }
  const std::vector<std::filesystem::path> outputs = output_files(options, workload);
  if (options.tensors) {
    if (options.engine == Engine::kAnalytic) throw std::runtime_error("the analytic engine computes no tensors");
    base::create_directories(*options.tensors);
    // The trace and its save file come first.
    for (const std::filesystem::path& tensor : std::span(outputs).subspan(options.trace ? 2 : 0)) {
      base::require_regular_file(tensor);
    }
  }
  base::check_outputs(outputs, workload.files);
  if (options.trace) base::create_folder_of(options.trace->file);
  return Simulation(workload, options, progress).run();
}

}  // namespace mlsim::evaluation
