#include "trainer/trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>
#include <system_error>

#include "base/output_file.h"
#include "workloads/convolution_check.h"
#include "workloads/npy.h"

namespace mlsim::trainer {
namespace {

using Json = nlohmann::ordered_json;

// Neighbouring binary32 numbers have neighbouring places; both zeros have place 0.
std::int64_t place_of(float value) {
  const auto magnitude = static_cast<std::int64_t>(std::bit_cast<std::uint32_t>(value) & 0x7FFFFFFF);
  return std::signbit(value) ? -magnitude : magnitude;
}

// Names in the folder of a trace.
constexpr const char* kResults = "results";
constexpr const char* kWorkload = "workload.json";

std::string tensor_file(const std::string& layer, models::Operand operand) {
  return layer + "." + to_string(operand) + ".npy";
}

std::string result_file(const std::string& layer, models::Pass pass) {
  return layer + "." + to_string(pass) + ".npy";
}

void write_tensor(const std::filesystem::path& file, const TracedConvolution& layer, models::Tensor<float> tensor) {
  if (layer.linear) tensor.shape.resize(2);
  workloads::write_npy(file, tensor);
}

// A layer of a workload but for its operands.
Json shape_of(const TracedConvolution& layer) {
  const models::ConvolutionShape& shape = layer.shape;
  Json entry{{"name", layer.name},
             {"type", layer.linear ? "linear" : "conv2d"},
             {"batch", shape.batch},
             {"in_channels", shape.in_channels},
             {"out_channels", shape.out_channels}};
  if (!layer.linear) {
    entry["in_size"] = shape.in_size;
    entry["kernel"] = shape.kernel;
    entry["stride"] = shape.stride;
    entry["padding"] = workloads::padding_to_json(shape.padding);
  }
  entry["groups"] = shape.groups;
  return entry;
}

}  // namespace

Difference& Difference::operator+=(const Difference& other) {
  results += other.results;
  equal += other.equal;
  largest = std::max(largest, other.largest);
  most_ulp = std::max(most_ulp, other.most_ulp);
  return *this;
}

Difference difference_of(const models::Tensor<float>& found, const models::Tensor<float>& expected) {
  assert(found.shape == expected.shape);
  Difference difference;
  difference.results = found.values.size();
  double largest_result = 0;
  for (std::size_t i = 0; i < found.values.size(); ++i) {
    const float own = found.values[i];
    const float other = expected.values[i];
    if (std::bit_cast<std::uint32_t>(own) == std::bit_cast<std::uint32_t>(other)) ++difference.equal;
    largest_result = std::max(largest_result, std::fabs(static_cast<double>(other)));
    difference.largest = std::max(difference.largest, std::fabs(static_cast<double>(own) - other));
    const auto steps = static_cast<std::uint64_t>(std::abs(place_of(own) - place_of(other)));
    difference.most_ulp = std::max(difference.most_ulp, steps);
  }
  if (difference.largest > 0) difference.largest /= largest_result;
  return difference;
}

void check_trace_folder(const std::filesystem::path& folder, std::span<const std::string> layers, bool with_results,
                        const std::vector<std::filesystem::path>& inputs) {
  std::set<std::filesystem::path> written{folder / kWorkload};
  for (const std::string& layer : layers) {
    for (const models::Operand operand : models::kOperands) written.insert(folder / tensor_file(layer, operand));
    if (!with_results) continue;
    for (const models::Pass pass : models::kPasses) written.insert(folder / kResults / result_file(layer, pass));
  }
  // Writing to a pipe would wait for a reader.
  for (const std::filesystem::path& file : written) base::require_regular_file(file);
  base::check_outputs({written.begin(), written.end()}, inputs);
  for (const std::filesystem::path& place : {folder, folder / kResults}) {
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(place, ignored)) {
      if (entry.path().extension() != ".npy" || written.contains(entry.path())) continue;
      throw std::runtime_error(fmt::format("--trace {}: {} is of another trace, expected a new or an empty folder",
                                           folder.string(), entry.path().string()));
    }
  }
}

void write_trace(const std::filesystem::path& folder, const std::string& name, const Quantization& quantization,
                 std::uint64_t step, std::span<const TracedConvolution> layers) {
  base::create_directories(folder);
  const std::filesystem::path results = folder / kResults;

  Json format;
  Json rounding;
  for (const models::Operand operand : models::kOperands) {
    format[to_string(operand)] = to_string(quantization[operand].format);
    rounding[to_string(operand)] = to_string(quantization[operand].rounding);
  }
  if (format["activation"] == format["weight"] && format["activation"] == format["error"]) {
    format = Json(format["activation"]);
  }

  Json entries = Json::array();
  for (const TracedConvolution& layer : layers) {
    Json tensors;
    for (const models::Operand operand : models::kOperands) {
      const std::string file = tensor_file(layer.name, operand);
      write_tensor(folder / file, layer, layer.operands[static_cast<std::size_t>(operand)]);
      tensors[to_string(operand)] = file;
    }
    for (const models::Pass pass : models::kPasses) {
      const models::Tensor<float>& result = layer.results[static_cast<std::size_t>(pass)];
      if (result.values.empty()) continue;
      base::create_directories(results);
      write_tensor(results / result_file(layer.name, pass), layer, result);
    }
    Json entry = shape_of(layer);
    if (layer.index != entries.size()) entry["index"] = layer.index;
    entry["passes"] = {"forward", "backward_data", "backward_weight"};
    entry["tensors"] = tensors;
    entries.push_back(entry);
  }
  Json workload{{"schema", "mlsim.workload/1"},
                {"name", name},
                {"seed", quantization.seed},
                {"step", step},
                {"random_bits", quantization.random_bits},
                {"format", format},
                {"rounding", rounding},
                {"layers", entries}};
  if (quantization.accumulator.bits != 0) {
    workload["accumulator_bits"] = quantization.accumulator.bits;
    workload["overflow"] = to_string(quantization.accumulator.overflow);
  }
  base::write_file(folder / kWorkload, workload.dump(2) + "\n");
}

}  // namespace mlsim::trainer
