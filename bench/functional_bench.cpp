// The functional engine and the quantizer, beside the scalar reference: multiply-adds and elements a second.
#include <benchmark/benchmark.h>
#include <tbb/global_control.h>

#include "bench/layers.h"
#include "models/functional_convolution.h"
#include "models/reference_convolution.h"

namespace mlsim {
namespace {

using models::Pass;

template <typename Engine>
void convolve(benchmark::State& state, const models::ConvolutionShape& shape, const char* format,
              const Engine& engine) {
  const tbb::global_control one_thread(tbb::global_control::max_allowed_parallelism, 1);
  const auto pass = static_cast<Pass>(state.range(0));
  const models::MlsTensor left = bench::quantized_operand(shape, models::left_operand(pass), format);
  const models::MlsTensor right = bench::quantized_operand(shape, models::right_operand(pass), format);
  for (auto _ : state) benchmark::DoNotOptimize(engine(pass, shape, left, right, models::Accumulator{}));
  state.SetLabel(models::to_string(pass));
  state.counters["multiply_adds"] =
      benchmark::Counter(static_cast<double>(shape.multiply_adds(pass)), benchmark::Counter::kIsIterationInvariantRate);
}

void functional(benchmark::State& state, const char* format) {
  convolve(state, bench::resnet20_layer(64), format, models::functional_convolution);
}
BENCHMARK_CAPTURE(functional, e2m4, "e2m4")->DenseRange(0, 2)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(functional, e2m1, "e2m1")->DenseRange(0, 2)->Unit(benchmark::kMillisecond);

void reference(benchmark::State& state) {
  convolve(state, bench::resnet20_layer(1), "e2m4", models::reference_convolution);
}
BENCHMARK(reference)->DenseRange(0, 2)->Unit(benchmark::kMillisecond);

void quantizer(benchmark::State& state, models::Rounding rounding) {
  const tbb::global_control one_thread(tbb::global_control::max_allowed_parallelism, 1);
  const models::Tensor<float> input = bench::random_operand(bench::resnet20_layer(64), models::Operand::kError);
  models::QuantizerOptions options;
  options.rounding = rounding;
  const models::MlsFormat format = models::parse_mls_format("e2m4");
  for (auto _ : state) benchmark::DoNotOptimize(models::quantize(input, format, options, "input"));
  state.counters["elements"] =
      benchmark::Counter(static_cast<double>(input.size()), benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK_CAPTURE(quantizer, nearest, models::Rounding::kNearest)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(quantizer, stochastic, models::Rounding::kStochastic)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace mlsim
