// The functional engine against libtorch's binary32 convolutions: the same layers, batch, threads and process, in turn.
//
//   ratios [REPETITIONS [NETWORK [INSTRUCTIONS]]]
//
// Medians of so many runs of each, 5 by default; of one network, every layer (all networks: ""). INSTRUCTIONS limit the
// engine, as Highway names them: AVX3_DL, AVX3, AVX2, SSE4; ATEN_CPU_CAPABILITY=avx2 DNNL_MAX_CPU_ISA=AVX2 libtorch.
// A ratio above 1 says that the exact low-bit convolution takes less time than the float one.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/core.h>
#include <malloc.h>
#include <tbb/global_control.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "bench/layers.h"
#include "hwy/highway.h"
#include "models/convolution/cpu/functional_convolution.h"
#include "workloads/network.h"

namespace mlsim {
namespace {

using models::Operand;
using models::Pass;

constexpr const char* kFormat = "e2m4";

double seconds_of(const auto& action) {
  const auto begin = std::chrono::steady_clock::now();
  action();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

struct Times {
  double ours = 0;
  double torch = 0;
  double ratio() const { return torch / ours; }
};

// Both in turn, so that a change of the machine's speed meets both.
Times in_turn(int repetitions, const auto& ours, const auto& torch) {
  std::vector<double> our_times;
  std::vector<double> torch_times;
  ours();
  torch();
  for (int i = 0; i < repetitions; ++i) {
    our_times.push_back(seconds_of(ours));
    torch_times.push_back(seconds_of(torch));
  }
  return {median(our_times), median(torch_times)};
}

// One layer's operands for both libraries.
struct Layer {
  std::string name;
  models::ConvolutionShape shape;
  std::array<models::Tensor<float>, 3> values;
  std::array<models::ScaledTensor, 3> mls;
  std::array<at::Tensor, 3> torch;
  std::vector<float> results;  // of the last pass

  Layer(std::string layer_name, const models::ConvolutionShape& layer_shape)
      : name(std::move(layer_name)), shape(layer_shape) {
    for (const Operand operand : models::kOperands) {
      const auto i = static_cast<std::size_t>(operand);
      values[i] = bench::random_operand(shape, operand);
      torch[i] = at::from_blob(values[i].values.data(), values[i].shape, at::kFloat).clone();
    }
    quantize();
  }

  void quantize() {
    for (const Operand operand : models::kOperands) {
      const auto i = static_cast<std::size_t>(operand);
      models::QuantizerOptions options;
      options.rounding = operand == Operand::kError ? models::Rounding::kStochastic : models::Rounding::kNearest;
      mls[i] = models::quantize(values[i], models::parse_scaled_format(kFormat), options, name).tensor;
    }
  }
  void run(Pass pass) {
    const auto size = static_cast<std::size_t>(models::element_count(shape.result_shape(pass)));
    results.resize(std::max(results.size(), size));
    models::functional_convolution_into(pass, shape, mls[static_cast<std::size_t>(models::left_operand(pass))],
                                        mls[static_cast<std::size_t>(models::right_operand(pass))], {},
                                        std::span(results).first(size));
  }
  void run_torch(Pass pass) const {
    const at::Tensor& activation = torch[0];
    const at::Tensor& weight = torch[1];
    const at::Tensor& error = torch[2];
    const at::IntArrayRef stride(shape.stride);
    const std::array<std::int64_t, 2> sides{shape.padding[0].begin, shape.padding[1].begin};
    const at::IntArrayRef padding(sides);
    if (pass == Pass::kForward) {
      at::convolution(activation, weight, {}, stride, padding, {1, 1}, false, {0, 0}, shape.groups);
    } else {
      at::convolution_backward(error, activation, weight, at::OptionalIntArrayRef(), stride, padding, {1, 1}, false,
                               {0, 0}, shape.groups,
                               {pass == Pass::kBackwardData, pass == Pass::kBackwardWeight, false});
    }
  }
};

class Threads {
 public:
  explicit Threads(int count) : limit_(tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(count)) {
    at::set_num_threads(count);
  }

 private:
  tbb::global_control limit_;
};

template <typename Filter>
std::vector<std::pair<std::string, models::ConvolutionShape>> shapes_of(const std::string& network, std::int64_t batch,
                                                                        const Filter& filter) {
  std::vector<std::pair<std::string, models::ConvolutionShape>> shapes;
  for (const workloads::NetworkLayer& layer : workloads::load_network(network).layers) {
    if (layer.type != workloads::LayerType::kConvolution) continue;
    const models::ConvolutionShape shape = layer.convolution_shape(batch);
    if (filter(shape)) shapes.emplace_back(layer.name, shape);
  }
  return shapes;
}

void print_layer(const Layer& layer, const std::array<Times, 3>& times) {
  const models::ConvolutionShape& s = layer.shape;
  fmt::print("{:<44}", fmt::format("{}: {}x{}x{} -> {}, {}x{}/{}", layer.name, s.in_channels, s.in_size[0],
                                   s.in_size[1], s.out_channels, s.kernel[0], s.kernel[1], s.stride[0]));
  for (const Pass pass : models::kPasses) {
    const Times& t = times[static_cast<std::size_t>(pass)];
    fmt::print(" {:>7.2f} ({:.3f} ms, {:.0f} G/s)", t.ratio(), 1e3 * t.ours,
               1e-9 * static_cast<double>(s.multiply_adds(pass)) / t.ours);
  }
  fmt::print("\n");
  std::fflush(stdout);
}

// Geometric mean of the ratios of each pass over the layers, equal ones measured once.
template <typename Filter>
void print_layers(const std::string& title, const std::string& network, std::int64_t batch, int repetitions,
                  const Filter& filter, bool every_layer) {
  const Threads one(1);
  std::vector<std::pair<models::ConvolutionShape, std::array<Times, 3>>> known;
  std::array<double, 3> log_sums{};
  std::array<double, 3> lowest{1e9, 1e9, 1e9};
  const auto shapes = shapes_of(network, batch, filter);
  for (const auto& [name, shape] : shapes) {
    auto entry = std::find_if(known.begin(), known.end(), [&shape = shape](const auto& k) { return k.first == shape; });
    if (entry == known.end()) {
      Layer layer(name, shape);
      std::array<Times, 3> times;
      for (const Pass pass : models::kPasses) {
        times[static_cast<std::size_t>(pass)] = in_turn(
            repetitions, [&] { layer.run(pass); }, [&] { layer.run_torch(pass); });
      }
      entry = known.insert(known.end(), {shape, times});
      if (every_layer) print_layer(layer, times);
    }
    for (std::size_t p = 0; p < 3; ++p) {
      log_sums[p] += std::log(entry->second[p].ratio());
      lowest[p] = std::min(lowest[p], entry->second[p].ratio());
    }
  }
  const auto count = static_cast<double>(shapes.size());
  fmt::print("{:<44} {:>7.2f} {:>7.2f} {:>7.2f}   lowest {:.2f} {:.2f} {:.2f}\n", title, std::exp(log_sums[0] / count),
             std::exp(log_sums[1] / count), std::exp(log_sums[2] / count), lowest[0], lowest[1], lowest[2]);
  std::fflush(stdout);
}

void print_step(const std::string& network, std::int64_t batch, int repetitions) {
  std::vector<Layer> layers;
  for (const auto& [name, shape] : shapes_of(network, batch, [](const auto&) { return true; })) {
    layers.emplace_back(name, shape);
  }
  const auto ours = [&] {
    for (Layer& layer : layers) {
      layer.quantize();
      for (const Pass pass : models::kPasses) layer.run(pass);
    }
  };
  const auto torch = [&] {
    for (const Layer& layer : layers) {
      for (const Pass pass : models::kPasses) layer.run_torch(pass);
    }
  };
  std::map<int, Times> times;
  for (const int threads : {1, 2}) {
    const Threads limit(threads);
    times[threads] = in_turn(repetitions, ours, torch);
    fmt::print("{:<44} {:>7.2f}   ours {:.0f} ms, libtorch {:.0f} ms\n",
               fmt::format("{} step, batch {}, quantize and convolve, {} thr.", network, batch, threads),
               times[threads].ratio(), 1e3 * times[threads].ours, 1e3 * times[threads].torch);
  }
  fmt::print("{:<44} {:>7.2f}   (libtorch {:.2f})\n", "two threads against one", times[1].ours / times[2].ours,
             times[1].torch / times[2].torch);
}

bool choose_instruction_set(const std::string& name) {
  for (std::int64_t left = hwy::SupportedTargets() & HWY_TARGETS; left != 0; left &= left - 1) {
    if (hwy::TargetName(left & -left) != name) continue;
    hwy::SetSupportedTargetsForTest(left & -left);
    return true;
  }
  return false;
}

}  // namespace
}  // namespace mlsim

int main(int argc, char** argv) {
  using mlsim::models::ConvolutionShape;
  if (argc > 3 && !mlsim::choose_instruction_set(argv[3])) {
    fmt::print(stderr, "ratios: this processor or build has no {}\n", argv[3]);
    return 2;
  }
  const int repetitions = argc > 1 ? std::max(std::atoi(argv[1]), 1) : 5;
  // Keeping memory spares both libraries the page faults.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  const auto all = [](const ConvolutionShape&) { return true; };
  const auto pointwise = [](const ConvolutionShape& s) { return s.kernel[0] * s.kernel[1] == 1 && s.groups == 1; };
  const auto depthwise = [](const ConvolutionShape& s) { return s.groups > 1; };
  fmt::print("libtorch's time as a multiple of the functional engine's ({}), medians of {}\n\n", mlsim::kFormat,
             repetitions);
  fmt::print("{:<44} {:>7} {:>7} {:>7}\n", "geometric mean over the layers, one thread", "forward", "b. data",
             "b. wgt.");
  const std::string only = argc > 2 ? argv[2] : "";
  const auto layers = [&](const std::string& title, const std::string& network, std::int64_t batch,
                          const auto& filter) {
    if (only.empty() || only == network) mlsim::print_layers(title, network, batch, repetitions, filter, !only.empty());
  };
  layers("resnet20, batch 64", "resnet20", 64, all);
  layers("resnet18, 224x224, batch 1", "resnet18", 1, all);
  layers("resnet50, 1x1 layers, batch 1", "resnet50", 1, pointwise);
  layers("mobilenetv2, 1x1 layers, batch 1", "mobilenetv2", 1, pointwise);
  layers("mobilenetv2, depthwise layers, batch 1", "mobilenetv2", 1, depthwise);
  fmt::print("\n");
  if (only.empty() || only == "resnet20") mlsim::print_step("resnet20", 128, repetitions);
}
