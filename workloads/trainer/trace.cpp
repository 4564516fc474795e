#include "workloads/trainer/trace.h"

#include <nlohmann/json.hpp>

#include "workloads/atomic_file.h"
#include "workloads/npy.h"

namespace mlsim::trainer {

void write_trace(const std::filesystem::path& folder, const std::string& name, const Quantization& quantization,
                 std::uint64_t step, std::span<const TracedConvolution> layers) {
  using Json = nlohmann::ordered_json;
  workloads::create_directories(folder);

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
    const models::ConvolutionShape& shape = layer.shape;
    Json tensors;
    for (const models::Operand operand : models::kOperands) {
      const std::string file = layer.name + "." + to_string(operand) + ".npy";
      workloads::write_npy(folder / file, layer.operands[static_cast<std::size_t>(operand)]);
      tensors[to_string(operand)] = file;
    }
    entries.push_back({{"name", layer.name},
                       {"type", "conv2d"},
                       {"batch", shape.batch},
                       {"in_channels", shape.in_channels},
                       {"out_channels", shape.out_channels},
                       {"in_size", shape.in_size},
                       {"kernel", shape.kernel},
                       {"stride", shape.stride},
                       {"padding", shape.padding},
                       {"groups", shape.groups},
                       {"passes", {"forward", "backward_data", "backward_weight"}},
                       {"tensors", tensors}});
  }
  const Json workload{{"schema", "mlsim.workload/1"},
                      {"name", name},
                      {"seed", quantization.seed},
                      {"step", step},
                      {"random_bits", quantization.random_bits},
                      {"format", format},
                      {"rounding", rounding},
                      {"layers", entries}};
  workloads::write_file(folder / "workload.json", workload.dump(2) + "\n");
}

}  // namespace mlsim::trainer
