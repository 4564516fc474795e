// What users name where a workload or a network is wanted: a workload file, a network file, a shipped network's name, a
// topology of SCALE-Sim (.csv), an ONNX model (.onnx), or - for JSON on standard input.
// Tested in tests/workloads/onnx/import_test.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "workloads/network.h"
#include "workloads/workload.h"

namespace mlsim::workloads {

// Where the values of a network's layers come from.
enum class NetworkValues : std::uint8_t {
  kNone,       // layers are shapes
  kWeights,    // weights are the model's where it has them, everything else is synthetic
  kSynthetic,  // everything is
};
NetworkValues parse_network_values(const std::string& text);  // none, weights, synthetic; throws std::runtime_error

struct SourceOptions {
  std::optional<std::int64_t> batch{};    // where the source has none; in place of an ONNX model's
  std::optional<NetworkValues> values{};  // of a network; the weights of a model that has some, else none
  bool strict = false;                    // refuses ONNX operators that are not known
};

// A workload from any of them. One of a network has all layers that the network does not leave in binary32, as e2m4
// with seed 1. Throws std::runtime_error with one sentence for what cannot be read, and for options that do not go with
// it: a batch beside the source's own, values of a workload's.
Workload open_workload(const std::string& name, const SourceOptions& options = {});

// A network and the batch of its step.
struct NetworkStep {
  Network network;
  std::optional<std::int64_t> batch{};  // none where neither source nor options give one
};

// A network from any of them: of a workload, that which it names, or else its layers with their batches.
NetworkStep open_network(const std::string& name, const SourceOptions& options = {});

}  // namespace mlsim::workloads
