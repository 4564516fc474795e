// Results of small layers.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "evaluation/results.h"
#include "evaluation/simulate.h"
#include "workloads/workload.h"

namespace mlsim::test {

// `layers` and `more` are those of a workload in e2m4, as in its file.
inline evaluation::Results run_layers(const std::string& layers, evaluation::Engine engine,
                                      const std::string& more = "", const sim::ArrayConfig& array = {}) {
  evaluation::SimulationOptions options;
  options.engine = engine;
  options.array = array;
  const std::string text = R"({"schema": "mlsim.workload/1", "name": "w", "seed": 3, "format": "e2m4", )" + more +
                           R"("layers": )" + layers + "}";
  return evaluation::simulate(workloads::parse_workload(text, "w.json", "."), options, [](const std::string&) {});
}

// Results are those of every engine, but for its name.
inline std::string without_engine(const evaluation::Results& results) {
  auto document = evaluation::to_json(results);
  document.erase("engine");
  return document.dump();
}

// Activations are those of a ReLU by default, so that about half of them are zero.
inline constexpr const char* kLayer =
    R"([{ "name": "conv", "type": "conv2d", "batch": 2, "in_channels": 4, "out_channels": 6,
  "in_size": [9, 8], "kernel": [3, 3], "stride": [2, 1], "padding": [1, 1], "values": {} }])";
inline constexpr const char* kShape =
    R"([{ "name": "conv", "type": "conv2d", "batch": 2, "in_channels": 16, "out_channels": 32,
  "in_size": [16, 16], "kernel": [3, 3], "padding": [1, 1] }])";

}  // namespace mlsim::test
