// A training step of a network, layer by layer, with synthetic operands: the time of quantization and of the three
// convolutions, and the memory that it takes; or beside oneDNN's binary32 convolutions of the same step.
//
//   step NETWORK [options]     a line for each number of threads up to the machine's
#include <fmt/core.h>
#include <sys/resource.h>
#include <tbb/global_control.h>
#include <tbb/info.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <exception>
#include <map>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/command_line.h"
#include "base/memory.h"
#include "bench/layers.h"
#include "bench/onednn.h"
#include "bench/timing.h"
#include "models/convolution/cpu/functional_convolution.h"
#include "workloads/network.h"

namespace mlsim {
namespace {

using models::Operand;
using models::Pass;

const base::Command& command() {
  static const base::Command table = [] {
    const auto parses = [](const std::string& text) { models::parse_scaled_format(text); };
    return base::Command{
        .name = "step",
        .synopsis = "NETWORK [options]",
        .summary = "a training step of a network",
        .description = "A training step of a network: quantization and the three convolutions of every layer.",
        .operands = {{.name = "NETWORK", .kind = base::File{workloads::shipped_networks()}}},
        .groups = {{.title = "options",
                    .options = {{.name = "batch",
                                 .value_name = "N",
                                 .help = "images",
                                 .kind = base::WholeNumber{1, 1 << 16},
                                 .preset = "1"},
                                {.name = "format",
                                 .value_name = "F",
                                 .help = "of all operands",
                                 .kind = base::Parsed{parses},
                                 .preset = "e2m4"},
                                {.name = "rounds",
                                 .value_name = "N",
                                 .help = "measurements of each layer, of which the median counts",
                                 .kind = base::WholeNumber{1, 1000},
                                 .preset = "5"},
                                {.name = "against-onednn",
                                 .help = "in turn with oneDNN's binary32 convolutions, which take no quantizer"}}}}};
  }();
  return table;
}

// Parts of a step: quantization, the three passes, oneDNN's three.
constexpr std::size_t kQuantize = 0;
constexpr std::size_t kConvolve = 1;
constexpr std::size_t kOneDnn = 4;
using Times = std::array<double, 7>;

// One layer's operands, and what a step makes of them.
class Layer {
 public:
  Layer(const models::ConvolutionShape& shape, const std::string& format)
      : shape_(shape), format_(models::parse_scaled_format(format)) {
    std::size_t results = 0;
    for (const Pass pass : models::kPasses) {
      results = std::max(results, static_cast<std::size_t>(models::element_count(shape.result_shape(pass))));
    }
    results_.resize(results);
    for (const Operand operand : models::kOperands) {
      values_[static_cast<std::size_t>(operand)] = bench::random_operand(shape, operand);
    }
  }

  // oneDNN divides the work among threads when a convolution is prepared.
  void prepare_onednn() {
    onednn_.clear();
    for (const Pass pass : models::kPasses) onednn_.emplace_back(pass, shape_, bench::Arithmetic::kBinary32);
  }

  Times run(int threads) {
    Times times{};
    times[kQuantize] = seconds(threads, [&] { quantize(); });
    for (std::size_t p = 0; p < models::kPasses.size(); ++p) {
      times[kConvolve + p] = seconds(threads, [&] { convolve(models::kPasses[p]); });
    }
    if (onednn_.empty()) return times;
    rest(threads);
    for (std::size_t p = 0; p < onednn_.size(); ++p) {
      times[kOneDnn + p] = seconds(threads, [&] { onednn_[p].run(); });
    }
    rest(threads);
    return times;
  }

 private:
  struct Quantized {
    models::ScaleLayout layout;
    models::ScaledTensor tensor;
  };

  // The thread's own time where it is the only one.
  template <typename Action>
  static double seconds(int threads, const Action& action) {
    return threads == 1 ? bench::thread_seconds_of(action) : bench::seconds_of(action);
  }

  // The threads of a library look for work for some time after they had some, on the processors that the other wants.
  static void rest(int threads) {
    if (threads > 1) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }

  const models::ScaledTensor* find(Operand operand, Pass pass) const {
    const std::vector<Quantized>& all = quantized_[static_cast<std::size_t>(operand)];
    const auto found = std::ranges::find(all, format_.of(operand, pass).layout, &Quantized::layout);
    return found == all.end() ? nullptr : &found->tensor;
  }

  // Each operand once, or for each of its passes where those tile it differently.
  void quantize() {
    for (std::vector<Quantized>& all : quantized_) all.clear();
    for (const Pass pass : models::kPasses) {
      for (const Operand operand : {models::left_operand(pass), models::right_operand(pass)}) {
        if (find(operand, pass) != nullptr) continue;
        const auto o = static_cast<std::size_t>(operand);
        const models::ScaledFormat format = format_.of(operand, pass);
        models::QuantizerOptions options;
        options.rounding = operand == Operand::kError ? models::Rounding::kStochastic : models::Rounding::kNearest;
        quantized_[o].push_back({format.layout, models::quantize(values_[o], format, options, "operand").tensor});
      }
    }
  }

  void convolve(Pass pass) {
    const auto size = static_cast<std::size_t>(models::element_count(shape_.result_shape(pass)));
    models::functional_convolution_into(pass, shape_, *find(models::left_operand(pass), pass),
                                        *find(models::right_operand(pass), pass), {}, std::span(results_).first(size));
  }

  models::ConvolutionShape shape_;
  models::ScaledFormat format_;
  std::array<models::Tensor<float>, 3> values_;
  std::array<std::vector<Quantized>, 3> quantized_;
  std::vector<float> results_;
  std::vector<bench::OneDnnPass> onednn_;
};

class Threads {
 public:
  explicit Threads(int count) : limit_(tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(count)) {
    bench::set_onednn_threads(count);
  }

 private:
  tbb::global_control limit_;
};

// Medians of each part.
Times measure(Layer& layer, int threads, int rounds, bool against_onednn) {
  const Threads limit(threads);
  if (against_onednn) layer.prepare_onednn();
  layer.run(threads);
  std::array<std::vector<double>, std::tuple_size_v<Times>> all;
  for (int i = 0; i < rounds; ++i) {
    const Times times = layer.run(threads);
    for (std::size_t part = 0; part < times.size(); ++part) all[part].push_back(times[part]);
  }
  Times medians{};
  for (std::size_t part = 0; part < medians.size(); ++part) medians[part] = bench::median(all[part]);
  return medians;
}

double sum(const Times& times, std::size_t first, std::size_t count) {
  double total = 0;
  for (std::size_t i = first; i < first + count; ++i) total += times[i];
  return total;
}

void print_step(const base::CommandLine& line) {
  const std::string& network = line.operands().front();
  const auto batch = line.whole_number<std::int64_t>("batch");
  const bool against = line.flag("against-onednn");
  std::map<int, Times> steps;
  std::uint64_t multiply_adds = 0;
  for (const workloads::NetworkLayer& description : workloads::load_network(network).layers) {
    if (description.type != workloads::LayerType::kConvolution) continue;
    const models::ConvolutionShape shape = description.convolution_shape(batch);
    Layer layer(shape, line.text("format"));
    for (const Pass pass : models::kPasses) multiply_adds += shape.multiply_adds(pass);
    for (int threads = 1; threads <= tbb::info::default_concurrency(); ++threads) {
      const Times times = measure(layer, threads, line.whole_number<int>("rounds"), against);
      for (std::size_t part = 0; part < times.size(); ++part) steps[threads][part] += times[part];
    }
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  fmt::print("{:<12} {:>5} {:>8} {:>7} {:>9} {:>8} {:>8} {:>8} {:>8} {:>9} {:>9} {:>9} {:>6}\n", "network", "batch",
             "format", "threads", "step ms", "quantize", "forward", "b. data", "b. wgt.", "G MAC/s", "peak MiB",
             "oneDNN ms", "ratio");
  for (const auto& [threads, times] : steps) {
    const double step = sum(times, kQuantize, kOneDnn);
    const double onednn = sum(times, kOneDnn, 3);
    fmt::print("{:<12} {:>5} {:>8} {:>7} {:>9.1f} {:>8.1f} {:>8.1f} {:>8.1f} {:>8.1f} {:>9.0f} {:>9} {:>9} {:>6}\n",
               network, batch, line.text("format"), threads, 1e3 * step, 1e3 * times[kQuantize], 1e3 * times[kConvolve],
               1e3 * times[kConvolve + 1], 1e3 * times[kConvolve + 2],
               1e-9 * static_cast<double>(multiply_adds) / sum(times, kConvolve, 3),
               against ? "-" : fmt::format("{}", usage.ru_maxrss / 1024),
               against ? fmt::format("{:.1f}", 1e3 * onednn) : "-",
               against ? fmt::format("{:.2f}", onednn / step) : "-");
  }
}

}  // namespace
}  // namespace mlsim

int main(int argc, char** argv) {
  mlsim::base::keep_freed_memory();
  try {
    const mlsim::base::CommandLine line(mlsim::command(), {argv + 1, argv + argc});
    if (line.flag("help")) {
      fmt::print("{}", mlsim::base::help_text(mlsim::command()));
      return 0;
    }
    mlsim::print_step(line);
  } catch (const std::exception& error) {
    fmt::print(stderr, "step: {}\n", error.what());
    return 2;
  }
}
