// The functional engine and the quantizer, beside the scalar reference: multiply-adds and elements a second.
#include <benchmark/benchmark.h>
#include <tbb/global_control.h>

#include <vector>

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

// How cost grows from a 3×3 layer of 16 → 16 channels on 32×32, batch 16: the first argument is the pass.
void grow(benchmark::State& state, std::int64_t batch, std::int64_t channels, std::int64_t size) {
  models::ConvolutionShape shape = bench::resnet20_layer(batch);
  shape.in_channels = channels;
  shape.out_channels = channels;
  shape.in_size = {size, size};
  convolve(state, shape, "e2m4", models::functional_convolution);
}
const std::vector<std::int64_t> kAllPasses{0, 1, 2};
void grow_batch(benchmark::State& state) {
  grow(state, state.range(1), 16, 32);
}
BENCHMARK(grow_batch)->ArgsProduct({kAllPasses, {1, 4, 16, 64, 256}})->Unit(benchmark::kMillisecond);
void grow_channels(benchmark::State& state) {
  grow(state, 16, state.range(1), 32);
}
BENCHMARK(grow_channels)->ArgsProduct({kAllPasses, {4, 16, 64, 256}})->Unit(benchmark::kMillisecond);
void grow_size(benchmark::State& state) {
  grow(state, 16, 16, state.range(1));
}
BENCHMARK(grow_size)->ArgsProduct({kAllPasses, {8, 16, 32, 64, 128}})->Unit(benchmark::kMillisecond);

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
