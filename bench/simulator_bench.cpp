// The SystemC engine at one detail: simulated cycles and multiply-adds a second, on an array of 16 × 16. Options before
// all others: --array=N for one of N × N, --weight-stationary, --memory for a channel to LPDDR5 and SRAM ports of 16
// bytes.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <string>

#include "bench/layers.h"
#include "sim/simulate.h"

namespace mlsim {
namespace {

sim::ArrayConfig array;

void simulate(benchmark::State& state) {
  static sim::Simulator simulator(sim::Detail::MLSIM_DETAIL, array);
  const auto pass = static_cast<models::Pass>(state.range(0));
  const models::ConvolutionShape shape = bench::resnet20_layer(1);
  const models::ScaledTensor left = bench::quantized_operand(shape, models::left_operand(pass), "e2m4");
  const models::ScaledTensor right = bench::quantized_operand(shape, models::right_operand(pass), "e2m4");
  std::uint64_t cycles = 0;
  for ([[maybe_unused]] auto _ : state) {
    cycles = simulator.simulate_pass(pass, shape, left, right, {}, std::nullopt).cycles.total();
  }
  state.SetLabel(models::to_string(pass));
  const auto rate = [](std::uint64_t count) {
    return benchmark::Counter(static_cast<double>(count), benchmark::Counter::kIsIterationInvariantRate);
  };
  state.counters["cycles"] = rate(cycles);
  state.counters["multiply_adds"] = rate(shape.multiply_adds(pass));
}
BENCHMARK(simulate)->DenseRange(0, 2)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace mlsim

int main(int argc, char** argv) {
  mlsim::sim::keep_systemc_quiet();
  for (; argc > 1; --argc, ++argv) {
    const std::string option = argv[1];
    if (option.starts_with("--array=")) {
      mlsim::array.rows = mlsim::array.columns = std::atoi(option.c_str() + 8);
    } else if (option == "--weight-stationary") {
      mlsim::array.dataflow = mlsim::sim::DataflowKind::kWeightStationary;
    } else if (option == "--memory") {
      mlsim::array.dram_bytes_per_cycle = {25600};
      mlsim::array.dram_latency_cycles = 40;
      mlsim::array.dram_burst_bytes = 32;
      mlsim::array.sram_read_bytes_per_cycle = mlsim::array.sram_write_bytes_per_cycle = {16000};
    } else {
      break;
    }
    argv[1] = argv[0];
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
}
