// Runs a workload through an engine.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "evaluation/results.h"
#include "evaluation/shared_work.h"
#include "sim/array_config.h"
#include "sim/simulate.h"
#include "workloads/workload.h"

namespace mlsim::evaluation {

// How large a trace will be: its signals, its cycles, and about its bytes.
struct TraceForecast {
  std::size_t signals = 0;
  std::uint64_t cycles = 0;
  double bytes = 0;
};

struct SimulationOptions {
  Engine engine = Engine::kFunctional;
  sim::ArrayConfig array;
  bool measure_baselines = true;  // SQNR of the baselines, where there are values
  // Zeros of products and bits that change in registers, where there are values. Prices of dense operands need neither.
  bool measure_activity = true;
  // Of other simulations of the same workload in other formats and on other arrays, by the functional engine, without
  // baselines and tensors; none for a simulation on its own.
  SharedWork* shared = nullptr;
  std::optional<std::filesystem::path> tensors;  // folder for LAYER.PASS.npy
  std::optional<sim::TraceRequest> trace;        // of the structural engine
  // Told the size of the trace before the first pass.
  std::function<void(const TraceForecast&)> on_trace;
  bool tells_provenance = true;  // what the results come from
  int layers_at_once = 1;        // most layers in memory, of the engines without SystemC
};

// What a run writes: its trace and its tensors.
std::vector<std::filesystem::path> output_files(const SimulationOptions& options, const workloads::Workload& workload);

// Called before each pass, and during one where it is long: what is being done, as a sentence's fragment. Calls come
// from any thread, one at a time. Empty where nobody wants to know.
using Progress = std::function<void(const std::string&)>;

// Where --tensors puts the result of a pass.
std::filesystem::path tensor_file(const SimulationOptions& options, const workloads::Layer& layer, models::Pass pass);

// Every layer and pass of the workload, in order; the first error in that order is thrown. The functional engine
// predicts layers without values, as the analytic engine does; the others refuse them. Throws std::runtime_error for
// what an engine does not take, for tensors that cannot be read or quantized and for files that cannot be written or
// that the workload is read from.
Results simulate(const workloads::Workload& workload, const SimulationOptions& options, const Progress& progress);

}  // namespace mlsim::evaluation
