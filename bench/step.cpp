// A training step of a network, layer by layer, with synthetic operands: the time of quantization and of the three
// convolutions, and the memory that it takes.
//
//   step NETWORK BATCH [FORMAT]     each number of threads up to the machine's, best of three runs
#include <fmt/core.h>
#include <malloc.h>
#include <sys/resource.h>
#include <tbb/global_control.h>
#include <tbb/info.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "bench/layers.h"
#include "models/convolution/cpu/functional_convolution.h"
#include "workloads/network.h"

namespace mlsim {
namespace {

using models::Operand;
using models::Pass;

struct StepTimes {
  double quantize = 0;
  std::array<double, 3> passes{};

  void keep_least(const StepTimes& other) {
    quantize = std::min(quantize, other.quantize);
    for (std::size_t p = 0; p < passes.size(); ++p) passes[p] = std::min(passes[p], other.passes[p]);
  }
  StepTimes& operator+=(const StepTimes& other) {
    quantize += other.quantize;
    for (std::size_t p = 0; p < passes.size(); ++p) passes[p] += other.passes[p];
    return *this;
  }
};

StepTimes run_layer(const models::ConvolutionShape& shape, const models::ScaledFormat& format,
                    const std::array<models::Tensor<float>, 3>& operands, std::vector<float>& results) {
  using Clock = std::chrono::steady_clock;
  Clock::time_point begin = Clock::now();
  const auto lap = [&] {
    const Clock::time_point end = Clock::now();
    return std::chrono::duration<double>(end - std::exchange(begin, end)).count();
  };
  StepTimes times;
  std::array<models::ScaledTensor, 3> quantized;
  for (const Operand operand : models::kOperands) {
    models::QuantizerOptions options;
    options.rounding = operand == Operand::kError ? models::Rounding::kStochastic : models::Rounding::kNearest;
    const auto i = static_cast<std::size_t>(operand);
    quantized[i] = models::quantize(operands[i], format, options, "operand").tensor;
  }
  times.quantize = lap();
  for (const Pass pass : models::kPasses) {
    const auto size = static_cast<std::size_t>(models::element_count(shape.result_shape(pass)));
    results.resize(std::max(results.size(), size));
    lap();
    models::functional_convolution_into(pass, shape, quantized[static_cast<std::size_t>(models::left_operand(pass))],
                                        quantized[static_cast<std::size_t>(models::right_operand(pass))], {},
                                        std::span(results).first(size));
    times.passes[static_cast<std::size_t>(pass)] = lap();
  }
  return times;
}

void print_step(const std::string& network, std::int64_t batch, const std::string& format_name) {
  const models::ScaledFormat format = models::parse_scaled_format(format_name);
  std::map<int, StepTimes> steps;
  std::uint64_t multiply_adds = 0;
  std::vector<float> results;
  for (const workloads::NetworkLayer& layer : workloads::load_network(network).layers) {
    if (layer.type != workloads::LayerType::kConvolution) continue;
    const models::ConvolutionShape shape = layer.convolution_shape(batch);
    std::array<models::Tensor<float>, 3> operands;
    for (const Operand operand : models::kOperands) {
      operands[static_cast<std::size_t>(operand)] = bench::random_operand(shape, operand);
    }
    for (const Pass pass : models::kPasses) multiply_adds += shape.multiply_adds(pass);
    for (int threads = 1; threads <= tbb::info::default_concurrency(); ++threads) {
      const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(threads));
      StepTimes best = run_layer(shape, format, operands, results);
      for (int i = 0; i < 3; ++i) best.keep_least(run_layer(shape, format, operands, results));
      steps[threads] += best;
    }
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  for (const auto& [threads, times] : steps) {
    const double convolutions = times.passes[0] + times.passes[1] + times.passes[2];
    fmt::print("{:<12} {:>5} {:>7} {:>9.1f} {:>8.1f} {:>8.1f} {:>8.1f} {:>8.1f} {:>9.0f} {:>9}\n", network, batch,
               threads, 1e3 * (times.quantize + convolutions), 1e3 * times.quantize, 1e3 * times.passes[0],
               1e3 * times.passes[1], 1e3 * times.passes[2], 1e-9 * static_cast<double>(multiply_adds) / convolutions,
               usage.ru_maxrss / 1024);
  }
}

}  // namespace
}  // namespace mlsim

int main(int argc, char** argv) {
  if (argc < 3) {
    fmt::print(stderr, "usage: step NETWORK BATCH [FORMAT]\n");
    return 2;
  }
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  fmt::print("{:<12} {:>5} {:>7} {:>9} {:>8} {:>8} {:>8} {:>8} {:>9} {:>9}\n", "network", "batch", "threads", "step ms",
             "quantize", "forward", "b. data", "b. wgt.", "G MAC/s", "peak MiB");
  mlsim::print_step(argv[1], std::atoll(argv[2]), argc > 3 ? argv[3] : "e2m4");
}
