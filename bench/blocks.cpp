// Formats of blocks beside e2m4/nc on layers of ResNets and a transformer: multiply-adds and quantized elements a
// second on one thread, and their ratio to those of e2m4/nc, each the median of runs that take turns.
//
//   blocks [RUNS [LAYER [FORMAT]]]      the layers and formats whose names contain these
#include <fmt/core.h>
#include <tbb/global_control.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/memory.h"
#include "bench/layers.h"
#include "bench/timing.h"
#include "models/convolution/cpu/functional_convolution.h"
#include "models/convolution/engine.h"

namespace mlsim {
namespace {

using models::Operand;
using models::Pass;

struct Layer {
  const char* name;
  models::ConvolutionShape shape;
};

models::ConvolutionShape square(std::int64_t batch, std::int64_t in, std::int64_t out, std::int64_t size,
                                std::int64_t kernel) {
  return {.batch = batch,
          .in_channels = in,
          .out_channels = out,
          .in_size = {size, size},
          .kernel = {kernel, kernel},
          .padding = {kernel / 2, kernel / 2}};
}

const std::vector<Layer> kLayers{
    {"16x32x32 3x3", square(32, 16, 16, 32, 3)},       {"64x56x56 3x3", square(32, 64, 64, 56, 3)},
    {"128x28x28 3x3", square(32, 128, 128, 28, 3)},    {"512x7x7 3x3", square(32, 512, 512, 7, 3)},
    {"64x56x56 1x1", square(32, 64, 256, 56, 1)},      {"1024x14x14 1x1", square(32, 1024, 256, 14, 1)},
    {"linear 768-3072", square(128, 768, 3072, 1, 1)},
};
const std::vector<const char*> kFormats{"e2m4/k16", "e2m4/k32",   "e2m4/b16",       "e2m4/b32",  "mxfp4",
                                        "nvfp4",    "mxint8/k32", "mxfp6-e3m2/k32", "mxfp8-e4m3"};
constexpr const char* kBasis = "e2m4/nc";

struct Operands {
  models::ScaledTensor left;
  models::ScaledTensor right;
};

Operands operands_of(const models::ConvolutionShape& shape, Pass pass, const char* name) {
  const models::ScaledFormat format = models::parse_scaled_format(name);
  const auto operand = [&](Operand which) {
    return models::quantize(bench::random_operand(shape, which), format.of(which, pass), {}, "operand").tensor;
  };
  return {operand(models::left_operand(pass)), operand(models::right_operand(pass))};
}

// Times of each format, all of them in turn.
template <typename Run>
std::vector<double> take_turns(int runs, std::size_t formats, const Run& run) {
  std::vector<std::vector<double>> times(formats);
  for (int i = 0; i < runs; ++i) {
    for (std::size_t f = 0; f < formats; ++f) {
      run(f);  // its memory is at hand
      const double time = bench::thread_seconds_of([&] { run(f); });
      times[f].push_back(time);
    }
  }
  std::vector<double> medians;
  medians.reserve(times.size());
  for (const std::vector<double>& all : times) medians.push_back(bench::median(all));
  return medians;
}

void compare_pass(const Layer& layer, Pass pass, const std::vector<const char*>& formats, int runs) {
  std::vector<Operands> operands;
  operands.reserve(formats.size());
  for (const char* format : formats) operands.push_back(operands_of(layer.shape, pass, format));
  std::vector<float> results(static_cast<std::size_t>(models::element_count(layer.shape.result_shape(pass))));
  const std::vector<double> times = take_turns(runs, formats.size(), [&](std::size_t f) {
    models::functional_convolution_into(pass, layer.shape, operands[f].left, operands[f].right, {}, results);
  });
  const double multiply_adds = static_cast<double>(layer.shape.multiply_adds(pass)) * 1e-9;
  for (std::size_t f = 0; f < formats.size(); ++f) {
    const models::Accumulator accumulator;
    const std::string engine =
        models::explain_choice({pass, layer.shape, operands[f].left, operands[f].right, accumulator}).back();
    fmt::print("{:16} {:16} {:16} {:8.1f} {:6.2f}  {}\n", layer.name, models::to_string(pass), formats[f],
               multiply_adds / times[f], times[0] / times[f], engine.substr(0, engine.find(':')));
  }
}

void compare_quantizers(const std::vector<const char*>& formats, int runs) {
  const models::ConvolutionShape shape = square(32, 64, 64, 28, 3);
  const models::Tensor<float> input = bench::random_operand(shape, Operand::kError);
  for (const Pass pass : {Pass::kBackwardData, Pass::kBackwardWeight}) {
    for (const models::Rounding rounding : {models::Rounding::kNearest, models::Rounding::kStochastic}) {
      models::QuantizerOptions options;
      options.rounding = rounding;
      const std::vector<double> times = take_turns(runs, formats.size(), [&](std::size_t f) {
        models::quantize(input, models::parse_scaled_format(formats[f]).of(Operand::kError, pass), options, "error");
      });
      for (std::size_t f = 0; f < formats.size(); ++f) {
        fmt::print("{:16} {:16} {:16} {:8.3f} {:6.2f}  {}\n", "quantize", models::to_string(pass), formats[f],
                   static_cast<double>(input.size()) * 1e-9 / times[f], times[0] / times[f],
                   models::to_string(rounding));
      }
    }
  }
}

}  // namespace
}  // namespace mlsim

int main(int argc, char** argv) {
  using namespace mlsim;
  // Results are allocated anew each time; keeping the memory spares their page faults.
  mlsim::base::keep_freed_memory();
  const tbb::global_control one_thread(tbb::global_control::max_allowed_parallelism, 1);
  const int runs = argc > 1 ? std::max(std::atoi(argv[1]), 1) : 5;
  const std::string layer_part = argc > 2 ? argv[2] : "";
  const std::string format_part = argc > 3 ? argv[3] : "";
  std::vector<const char*> formats{kBasis};
  for (const char* format : kFormats) {
    if (std::string(format).find(format_part) != std::string::npos) formats.push_back(format);
  }
  fmt::print("{:16} {:16} {:16} {:>8} {:>6}\n", "layer", "pass", "format", "G/s", "ratio");
  for (const Layer& layer : kLayers) {
    if (std::string(layer.name).find(layer_part) == std::string::npos) continue;
    for (const Pass pass : models::kPasses) compare_pass(layer, pass, formats, runs);
  }
  if (std::string("quantize").find(layer_part) != std::string::npos) compare_quantizers(formats, runs);
}
