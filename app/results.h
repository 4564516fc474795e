// What a simulation found out: the document between `mlsim simulate` and `mlsim report`.
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "models/convolution.h"
#include "models/format.h"
#include "models/operation_counts.h"
#include "models/quantizer.h"
#include "sim/array_config.h"
#include "sim/statistics.h"

namespace mlsim::app {

enum class Engine : std::uint8_t { kFunctional, kCycle, kStructural, kAnalytic };
Engine parse_engine(const std::string& text);  // throws std::runtime_error for another name
std::string to_string(Engine engine);

// A value for each of activation, weight and error.
template <typename T>
struct PerOperand {
  std::array<T, 3> values{};
  T& operator[](models::Operand operand) { return values[static_cast<std::size_t>(operand)]; }
  const T& operator[](models::Operand operand) const { return values[static_cast<std::size_t>(operand)]; }
  bool operator==(const PerOperand&) const = default;
};

// A machine that MLS is compared with: a format for each operand.
struct BaselineMachine {
  std::string name;
  PerOperand<models::BaselineFormat> formats;
};
// fp32, fp16, bf16, fp8 (e4m3 for activations and weights, e5m2 for errors: Micikevicius et al., "FP8 Formats for Deep
// Learning", arXiv 2209.05433) and int8.
const std::vector<BaselineMachine>& baseline_machines();

// SQNR in dB against binary64, or none where there are no values or nothing to compare. Infinite where nothing differs.
struct MeasuredError {
  std::string name;  // of the baseline machine
  double sqnr_db = 0;
};

struct OperandRecord {
  bool measured = false;  // quantized from values
  models::QuantizationCounts counts;
  std::int64_t elements = 0;
  double sqnr_db = 0;
};

struct PassRecord {
  models::Pass pass = models::Pass::kForward;
  int accumulator_bits = 0;         // asked for, or the width that no sum can overflow; 0 for baselines
  std::uint64_t multiply_adds = 0;  // taps whose operands both exist
  models::OperationCounts counts;
  sim::CycleCounts cycles;
  sim::Traffic traffic;
  double utilization = 0;
  std::optional<double> sqnr_db;
  std::optional<double> cosine_error;  // 1 - cosine of the angle to the binary64 result
  std::vector<MeasuredError> baselines;
};

struct LayerRecord {
  std::string name;
  models::ConvolutionShape shape;
  PerOperand<models::Format> formats;
  PerOperand<models::Rounding> rounding;
  PerOperand<OperandRecord> operands;
  std::vector<PassRecord> passes;
};

struct Results {
  std::string workload;  // its name
  Engine engine = Engine::kFunctional;
  int random_bits = 16;
  sim::ArrayConfig array;
  std::vector<LayerRecord> layers;
};

// Schema mlsim.results/1, documented in docs/simulate.md. `source` names the text in errors.
nlohmann::ordered_json to_json(const Results& results);
Results parse_results(const std::string& text, const std::string& source);
Results load_results(const std::string& path);  // - reads standard input

}  // namespace mlsim::app
