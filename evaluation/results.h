// What a simulation found out: the document between `mlsim simulate` and `mlsim report`.
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "energy/wide_count.h"
#include "models/convolution/convolution.h"
#include "models/convolution/operation_counts.h"
#include "models/formats/format.h"
#include "models/quantizer/quantizer.h"
#include "sim/array_config.h"
#include "sim/statistics.h"
#include "workloads/workload.h"

namespace mlsim::evaluation {

enum class Engine : std::uint8_t { kFunctional, kCycle, kStructural, kAnalytic };
Engine parse_engine(const std::string& text);  // throws std::runtime_error for another name
std::string to_string(Engine engine);
bool is_systemc(Engine engine);  // cycle and structural: the simulated machine

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
  bool sums_in_fp16 = false;  // else in binary32, or int8 in 32 bits; priced, but no error is measured
  bool in_summary = false;    // whether a report's first sentences compare with it
};
// fp32, fp16, bf16, fp8 (e4m3 for activations and weights, e5m2 for errors: Micikevicius et al., "FP8 Formats for Deep
// Learning", arXiv 2209.05433), int8, and fp8-acc16, which is fp8 with sums in fp16.
const std::vector<BaselineMachine>& baseline_machines();

// What a baseline does with the values of a pass. SQNR in dB against binary64: NaN where there is nothing to compare,
// infinite where nothing differs.
struct MeasuredBaseline {
  std::string name;  // of the baseline machine
  double sqnr_db = 0;
  std::optional<std::uint64_t> zero_products;
};

// Where the values of an operand came from: a file of the workload, a distribution, a model.
enum class ValueOrigin : std::uint8_t { kTensor, kSynthetic, kModel };
std::string to_string(ValueOrigin origin);  // tensor, synthetic, model

struct OperandRecord {
  bool measured = false;  // quantized from values
  std::optional<ValueOrigin> values;
  models::QuantizationCounts counts;
  std::int64_t elements = 0;
  std::optional<std::int64_t> zeros;  // after quantization
  double sqnr_db = 0;
};

struct PassRecord {
  models::Pass pass = models::Pass::kForward;
  int accumulator_bits = 0;         // asked for, or the width that no sum can overflow; 0 for baselines
  std::uint64_t multiply_adds = 0;  // taps whose operands both exist
  // Of them, those of a zero operand; counted where there are values.
  std::optional<std::uint64_t> zero_products;
  // Bits of the operand registers that change; counted for MLS formats where there are values.
  std::optional<sim::OperandToggles> toggles;
  models::OperationCounts counts;
  // Not where a sum might leave a narrow accumulator and there are no values to see it.
  bool overflows_are_counted = true;
  sim::CycleCounts cycles;
  sim::Traffic traffic;
  double utilization = 0;
  std::optional<double> sqnr_db;
  std::optional<double> cosine_error;  // 1 - cosine of the angle to the binary64 result
  std::vector<MeasuredBaseline> baselines;
};

struct LayerRecord {
  std::string name;
  bool linear = false;  // a matrix product; shape is that of 1×1 images
  workloads::InputLink link = workloads::InputLink::kNone;
  models::ConvolutionShape shape;
  PerOperand<models::Format> formats;
  PerOperand<models::Rounding> rounding;
  PerOperand<OperandRecord> operands;
  std::vector<PassRecord> passes;
};

// What results come from. Nothing in it tells one run from the next of the same, or one engine from another.
struct Provenance {
  std::string version;     // of the program
  std::uint64_t seed = 0;  // of the workload, as is the step
  std::uint64_t step = 0;
  std::uint64_t workload_hash = 0;            // of its file and the layers that it names elsewhere (base/hash.h)
  std::optional<std::uint64_t> tensors_hash;  // of all operands' values, where there are some
  std::uint64_t array_hash = 0;
  bool operator==(const Provenance&) const = default;
};

struct Results {
  std::string workload;  // its name
  Engine engine = Engine::kFunctional;
  int random_bits = 16;
  sim::ArrayConfig array;
  std::vector<LayerRecord> layers;
  std::optional<Provenance> provenance;  // none in files of version 0.4.0 and before
};

// What to say where results are infinite or NaN: how many, and where the first is. Empty where none is.
std::string non_finite_remark(const Results& results);

// dB of a signal to its error as JSON, which knows no infinity: "exact" where nothing differs (infinity), "infinite
// error" (-infinity), "undefined" where a result is NaN or there is no signal (NaN), null where nothing is measured.
nlohmann::ordered_json decibels_to_json(const std::optional<double>& value);
// The way back; null, which is how undefined ones were written before, gives NaN. Throws std::runtime_error for others.
double decibels_from_json(const nlohmann::ordered_json& json);
// In words those that are no number; nothing for others.
std::optional<std::string> decibels_in_words(double decibels);
// The JSON as a text, - where nothing is measured.
std::string decibels_text(const nlohmann::ordered_json& json);

// A text as a cell of a CSV file: in quotes where it has to be, and behind an apostrophe where a spreadsheet would take
// it for a formula (docs/report.md).
std::string csv_cell(const std::string& text);

// The sum over the `overflows` of passes, or - where one is not counted.
std::string overflows_text(const nlohmann::ordered_json& passes);

// A sum of counts: an integer up to 2^64 - 1, the nearest binary64 above. `json` may be either.
nlohmann::ordered_json count_to_json(const energy::WideCount& count);
// That in digits, or above 2^64 - 1 with an exponent.
std::string count_text(const nlohmann::ordered_json& json);

// pJ a multiply-add of a sweep's point; - where it has none.
std::string picojoules_each(const nlohmann::ordered_json& point, const char* energy);

// That of a pass for sums over passes: its error is infinite where results are no numbers.
std::optional<double> summed_sqnr(const PassRecord& record);

// "undefined" where a result is infinite or NaN.
nlohmann::ordered_json cosine_error_to_json(double value);

// Null for a number that JSON does not know, such as an area without a figure.
nlohmann::ordered_json number_or_null(double value);

// A hash in 16 hexadecimal digits, as files and reports have it.
std::string hash_text(std::uint64_t hash);

nlohmann::ordered_json provenance_to_json(const Provenance& provenance);

nlohmann::ordered_json shape_to_json(const models::ConvolutionShape& shape);
nlohmann::ordered_json array_to_json(const sim::ArrayConfig& array);

// Schema mlsim.results/1, documented in docs/simulate.md. `source` names the text in errors.
nlohmann::ordered_json to_json(const Results& results);
Results parse_results(const std::string& text, const std::string& source);
Results load_results(const std::string& path);  // - reads standard input

}  // namespace mlsim::evaluation
