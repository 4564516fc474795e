// The functional engine, the quantizer and plain arithmetic, beside the scalar reference: multiply-adds and elements a
// second.
#include <benchmark/benchmark.h>
#include <tbb/global_control.h>

#include <array>
#include <vector>

#include "base/memory.h"
#include "bench/layers.h"
#include "bench/peaks.h"
#include "models/convolution/cpu/direct_convolution.h"
#include "models/convolution/cpu/dot_kernels.h"
#include "models/convolution/cpu/functional_convolution.h"
#include "models/convolution/reference/reference_convolution.h"

namespace mlsim {
namespace {

using models::Pass;

template <typename Engine>
void convolve(benchmark::State& state, const models::ConvolutionShape& shape, const char* format,
              const Engine& engine) {
  const tbb::global_control one_thread(tbb::global_control::max_allowed_parallelism, 1);
  const auto pass = static_cast<Pass>(state.range(0));
  const models::ScaledTensor left = bench::quantized_operand(shape, models::left_operand(pass), format);
  const models::ScaledTensor right = bench::quantized_operand(shape, models::right_operand(pass), format);
  for ([[maybe_unused]] const auto _ : state)
    benchmark::DoNotOptimize(engine(pass, shape, left, right, models::Accumulator{}));
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

// The inner loop of forward and backward data alone, every operand in the first-level cache: 3×3 taps of 16 channels.
void dot_kernel(benchmark::State& state) {
  constexpr std::int64_t kChannels = 16;
  constexpr std::int64_t kPlane = 176;
  const std::vector<std::uint32_t> source(static_cast<std::size_t>(kChannels * kPlane), 0x80828481);
  const std::vector<std::int32_t> weights(static_cast<std::size_t>(kChannels * 3 * models::kDotChannels), 0x010203);
  const std::vector<std::int32_t> corrections(static_cast<std::size_t>(kChannels * models::kDotChannels), 1);
  const std::vector<float> units(static_cast<std::size_t>(kChannels * models::kDotChannels), 0.5F);
  const std::array<std::int64_t, 3> offsets{0, 32, 64};
  const auto positions = static_cast<std::int64_t>(models::kDotVectors * models::dot_lanes());
  const models::DotTile tile{.source = source.data(),
                             .plane = kPlane,
                             .outer = kChannels,
                             .offsets = offsets.data(),
                             .quads = 3,
                             .weights = weights.data(),
                             .corrections = corrections.data(),
                             .source_units = units.data(),
                             .weight_units = units.data(),
                             .channels = models::kDotChannels,
                             .used_channels = models::kDotChannels,
                             .positions = positions};
  std::vector<float> results(static_cast<std::size_t>(models::kDotChannels * positions));
  for ([[maybe_unused]] const auto _ : state) {
    models::correlate_dots(tile, results.data(), positions);
    benchmark::DoNotOptimize(results.data());
    benchmark::ClobberMemory();
  }
  state.counters["multiply_adds"] =
      benchmark::Counter(static_cast<double>(9 * kChannels * models::kDotChannels * positions),
                         benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK(dot_kernel);

void peak(benchmark::State& state, std::uint64_t (*loop)()) {
  std::uint64_t multiply_adds = 0;
  for ([[maybe_unused]] const auto _ : state) multiply_adds = loop();
  if (multiply_adds == 0) state.SkipWithError("this processor has no such instruction");
  state.counters["multiply_adds"] =
      benchmark::Counter(static_cast<double>(multiply_adds), benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK_CAPTURE(peak, dot_products, bench::dot_products);
BENCHMARK_CAPTURE(peak, fused_multiply_adds, bench::fused_multiply_adds);
// Plain arithmetic: the yardstick in binary64, the baselines in binary32.
template <typename T>
void direct(benchmark::State& state) {
  const tbb::global_control one_thread(tbb::global_control::max_allowed_parallelism, 1);
  const models::ConvolutionShape shape = bench::resnet20_layer(64);
  const auto pass = static_cast<Pass>(state.range(0));
  const models::Tensor<float> left = bench::random_operand(shape, models::left_operand(pass));
  const models::Tensor<float> right = bench::random_operand(shape, models::right_operand(pass));
  for ([[maybe_unused]] const auto _ : state) {
    benchmark::DoNotOptimize(models::direct_convolution<T>(pass, shape, left.values, right.values));
  }
  state.SetLabel(models::to_string(pass));
  state.counters["multiply_adds"] =
      benchmark::Counter(static_cast<double>(shape.multiply_adds(pass)), benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK(direct<float>)->DenseRange(0, 2)->Unit(benchmark::kMillisecond);
BENCHMARK(direct<double>)->DenseRange(0, 2)->Unit(benchmark::kMillisecond);

void reference(benchmark::State& state) {
  convolve(state, bench::resnet20_layer(1), "e2m4", models::reference_convolution);
}
BENCHMARK(reference)->DenseRange(0, 2)->Unit(benchmark::kMillisecond);

void quantizer(benchmark::State& state, models::Rounding rounding) {
  const tbb::global_control one_thread(tbb::global_control::max_allowed_parallelism, 1);
  const models::Tensor<float> input = bench::random_operand(bench::resnet20_layer(64), models::Operand::kError);
  models::QuantizerOptions options;
  options.rounding = rounding;
  const models::ScaledFormat format = models::parse_scaled_format("e2m4");
  for ([[maybe_unused]] const auto _ : state)
    benchmark::DoNotOptimize(models::quantize(input, format, options, "input"));
  state.counters["elements"] =
      benchmark::Counter(static_cast<double>(input.size()), benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK_CAPTURE(quantizer, nearest, models::Rounding::kNearest)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(quantizer, stochastic, models::Rounding::kStochastic)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace mlsim

int main(int argc, char** argv) {
  // Results are allocated anew each time; keeping the memory spares their page faults.
  mlsim::base::keep_freed_memory();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
}
